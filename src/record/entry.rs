//! The record itself: its JSON form is a promise, `steward.record/1`, and grows only by adding. In files it stands in a shorter one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Finished;
use super::audit::{Link, Log};
use crate::arm::action::Action;
use crate::clock::Timestamp;
use crate::delegation::roles::{Exposure, Role};
use crate::delegation::{Grant, OriginKind, SourceLocation, Window};
use crate::directory::{Acquaintance, Directory};
use crate::identity::{Caller, CallerKind};
use crate::ids::{ObjectId, RequestId, SubscriptionId, TenantId};
use crate::pipeline::{CheckName, Outcome, ScopeError, ScoredGrant, Trail};
use crate::rejection::Rejection;
use crate::shown::{TEXT_BYTES_MAX, shown, shown_within};

/// The name and version of the form.
pub(super) const SCHEMA: &str = "steward.record/1";

/// A path or scope that a proven caller asked for: a resource inside others, with a role assignment on it, is named in full.
const PLACE_BYTES_MAX: usize = 1_024;

/// Allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was answered or forwarded.
    Allow,
    /// It was refused.
    Deny,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `steward.record/1`.
    pub schema: String,
    /// `x-ms-request-id` of the answer.
    pub id: RequestId,
    /// `x-ms-correlation-request-id`.
    pub correlation_id: String,
    /// `x-ms-client-request-id`, when the client sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// When the request arrived, RFC 3339.
    pub time: String,
    /// The verdict.
    pub outcome: Verdict,
    /// Reason code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The smallest change that would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Microseconds from arrival to the head of the answer.
    pub took_us: u64,
    /// What it was judged by.
    pub policy: Policy,
    /// Method as sent.
    pub method: String,
    /// Canonical path, without the query.
    pub path: String,
    /// The words of the Azure CLI command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Address of the client.
    pub client: String,
    /// Who called, once that was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<PrincipalEntry>,
    /// The actions asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// What they give beyond management: keys, a shell, data. Derived from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposes: Vec<Exposure>,
    /// The scope asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Who owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    /// What was odd but not refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The ten checks, in their order.
    pub checks: Vec<CheckEntry>,
    /// In a summary: the requests that it stands for. All but its id tells of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// Its places in the logs of tenants; the last member of the document, see `docs/audit.md`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Link>,
}

/// Requests that have no records of their own, since too many of their kind came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// When the last of them arrived, RFC 3339.
    pub until: String,
    /// How many they are.
    pub requests: u64,
    /// Of these, how many were refused for which reason code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, u64>,
}

/// What the caller's own tenant may read of a request to another tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// All of it.
    Everything,
    /// What its caller was answered: that there is no such target, whether there is one or not.
    NoSuchTarget,
}

impl Told {
    pub(super) fn of(rejection: Option<&Rejection>) -> Self {
        if rejection.is_some_and(Rejection::hides_target) { Self::NoSuchTarget } else { Self::Everything }
    }
}

impl Record {
    /// The log it belongs to, and the caller's own one where that is another.
    pub(super) fn logs(&self) -> (Log, Option<Log>) {
        Log::of(self.customer.as_ref().map(|customer| customer.tenant), self.principal.as_ref().map(|principal| principal.tenant))
    }

    /// The record that would have been made if there were no such target: of the same form and with the same words.
    #[must_use]
    pub fn without_target(&self) -> Self {
        let words = subscription_in(&self.path).map(|id| ScopeError::Subscription { id, owner: None });
        let mut checks = self.checks.clone();
        for check in checks.iter_mut().filter(|check| check.name >= CheckName::Scope) {
            let is_scope = check.name == CheckName::Scope;
            check.outcome = if is_scope { Outcome::Fail } else { Outcome::NotReached };
            check.seen = words.as_ref().filter(|_| is_scope).map(ToString::to_string);
            check.took_ns = check.took_ns.filter(|_| is_scope);
            check.grants.clear();
        }
        let reason = Some(UNKNOWN_TARGET.to_owned());
        Self { reason, hint: None, customer: None, notes: Vec::new(), checks, counted: None, ..self.clone() }
    }

    /// The same record without the names of tenants that its reader is not told of.
    #[must_use]
    pub fn told_to(mut self, known: Acquaintance<'_>) -> Self {
        let hidden = |tenant: TenantId| !known.knows(tenant);
        let caller = self.principal.as_mut().filter(|principal| hidden(principal.tenant));
        let caller = caller.map(|principal| {
            principal.tenant_name = None;
            principal.tenant.to_string()
        });
        let customer = self.customer.as_mut().filter(|customer| hidden(customer.tenant));
        let has_customer = customer.map(|customer| customer.name = None).is_some();
        for check in self.checks.iter_mut().filter(|check| check.outcome == Outcome::Pass) {
            if let (CheckName::Tenant, Some(caller)) = (check.name, &caller) {
                check.seen = Some(caller.clone());
            }
            if check.name == CheckName::Scope && has_customer {
                check.seen.clone_from(&self.scope);
            }
        }
        self
    }
}

/// The classes of what actions give, each once.
pub(super) fn exposed_by<'a>(actions: impl Iterator<Item = &'a str>) -> Vec<Exposure> {
    let mut classes: Vec<Exposure> = actions.filter_map(Exposure::of).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// The reason code of a target that does not exist.
pub(super) const UNKNOWN_TARGET: &str = "scope.unknown";

pub(super) fn subscription_in(path: &str) -> Option<SubscriptionId> {
    let mut segments = path.trim_start_matches('/').split('/');
    segments.next().filter(|first| first.eq_ignore_ascii_case("subscriptions"))?;
    segments.next()?.parse().ok()
}

/// The snapshot a request was judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its revision in the process that judged.
    pub version: u64,
    /// Digest of its files.
    pub digest: String,
    /// The revision of the run-time state.
    #[serde(default)]
    pub state: u64,
}

/// Who called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalEntry {
    /// Object id.
    pub id: ObjectId,
    /// Display name, as the token says.
    pub name: String,
    /// Home tenant.
    pub tenant: TenantId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_name: Option<String>,
    /// `user` or `service_principal`.
    pub kind: String,
    /// Where the groups came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
    /// Its tenant signed itself up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub visitor: bool,
}

/// Who owns the scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One of the ten checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckEntry {
    /// Which.
    pub name: CheckName,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Nanoseconds since the check before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ns: Option<u64>,
    /// At `role`: the grant that permitted, or the nearest that did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantEntry>,
}

/// A grant, as it can be read after the policy has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "four independent ticks of one table, each shown on its own")]
pub struct GrantEntry {
    /// Display name of the role.
    pub role: String,
    /// Whom the policy names.
    pub granted_to: String,
    /// Its object id, in the caller's home tenant or in that of another holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_to_id: Option<ObjectId>,
    /// The scope granted.
    pub granted_on: String,
    /// `standing`, `limited`, `on_request` or `suspended`.
    pub kind: String,
    /// The offer, when the grant comes from a delegation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<String>,
    /// It names the caller or a group of the caller.
    pub principal: bool,
    /// It covers the scope.
    pub scope: bool,
    /// Its role holds the action.
    pub action: bool,
    /// It was in force.
    pub in_force: bool,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
}

impl From<Finished> for Record {
    fn from(finished: Finished) -> Self {
        Self::of(&finished)
    }
}

impl Record {
    /// All that is known of a request.
    pub(super) fn of(finished: &Finished) -> Self {
        let Finished { trail, status, rejection, took } = finished;
        let directory = &trail.directory;
        Self {
            schema: SCHEMA.to_owned(),
            id: trail.id,
            correlation_id: shown(&trail.correlation_id).into_owned(),
            client_request_id: trail.client_request_id.as_deref().map(owned),
            time: format!("{:.3}", trail.received),
            outcome: if rejection.is_some() { Verdict::Deny } else { Verdict::Allow },
            reason: rejection.as_ref().map(|rejection| rejection.reason().to_owned()),
            hint: rejection.as_ref().and_then(Rejection::hint).map(str::to_owned),
            status: status.as_u16(),
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            policy: Policy::of(directory),
            method: owned(&trail.method),
            path: path(trail).into_owned(),
            command: trail.command.as_deref().map(owned),
            client: trail.peer.to_string(),
            principal: trail.caller.as_deref().map(|caller| principal(caller, trail)),
            actions: trail.actions.iter().map(|action| owned(action.as_str())).collect(),
            exposes: exposed_by(trail.actions.iter().map(Action::as_str)),
            scope: scope(trail),
            customer: trail.customer.map(|tenant| Customer::of(tenant, directory)),
            notes: trail.notes.iter().map(|note| owned(note)).collect(),
            checks: CheckName::ALL.map(|name| check(name, trail)).into(),
            counted: None,
            chain: Vec::new(),
        }
    }
}

impl Policy {
    pub(super) fn of(directory: &Directory) -> Self {
        Self { version: directory.revision, digest: directory.digest().to_owned(), state: directory.registry().revision().0 }
    }
}

impl Customer {
    pub(super) fn of(tenant: TenantId, directory: &Directory) -> Self {
        Self { tenant, name: name_of(directory, tenant) }
    }
}

/// A text of somebody else's, as records hold it.
fn owned(text: &str) -> String {
    shown(text).into_owned()
}

/// The path that was asked for. Of a stranger's no more is kept than of its other texts.
pub(super) fn path(trail: &Trail) -> Cow<'_, str> {
    shown_within(place_bytes_max(trail), &trail.path)
}

fn scope(trail: &Trail) -> Option<String> {
    trail.scope.as_ref().map(|scope| shown_within(place_bytes_max(trail), &scope.to_string()).into_owned())
}

pub(super) fn place_bytes_max(trail: &Trail) -> usize {
    if trail.caller.is_some() { PLACE_BYTES_MAX } else { TEXT_BYTES_MAX }
}

fn name_of(directory: &Directory, tenant: TenantId) -> Option<String> {
    directory.tenant(tenant).map(|tenant| owned(&tenant.name))
}

pub(super) fn principal(caller: &Caller, trail: &Trail) -> PrincipalEntry {
    let kind = match caller.kind {
        CallerKind::ServicePrincipal => "service_principal",
        CallerKind::User => "user",
    };
    PrincipalEntry {
        id: caller.principal.object,
        name: owned(&caller.name),
        tenant: caller.principal.tenant,
        tenant_name: name_of(&trail.directory, caller.principal.tenant),
        kind: kind.to_owned(),
        groups: trail.group_source.as_ref().map(ToString::to_string),
        visitor: caller.standing.is_visitor(),
    }
}

fn check(name: CheckName, trail: &Trail) -> CheckEntry {
    let (took_ns, failure) = trail.lap_of(name);
    let outcome = trail.outcome(name);
    let seen = match outcome {
        Outcome::Fail => failure.map(str::to_owned),
        Outcome::NotReached => None,
        Outcome::Pass => seen(name, trail),
    };
    let considered = if name == CheckName::Role { trail.grants.as_slice() } else { &[] };
    CheckEntry { name, outcome, seen, took_ns, grants: grants(considered, &trail.directory) }
}

/// What a passed check saw.
fn seen(name: CheckName, trail: &Trail) -> Option<String> {
    let caller = trail.caller.as_deref();
    match name {
        CheckName::Connection => Some(trail.transport.to_string()),
        CheckName::Token => caller.map(|caller| genuine(&token_end(caller.expires_at))),
        CheckName::Audience => caller.map(|caller| caller.audience.to_string()),
        CheckName::Tenant => caller.and_then(|caller| name_of(&trail.directory, caller.principal.tenant)),
        CheckName::Plane => Some(path(trail).into_owned()),
        CheckName::Scope => {
            let scope = scope(trail)?;
            let owner = trail.customer.and_then(|tenant| name_of(&trail.directory, tenant));
            Some(placed(&scope, owner.as_deref()))
        }
        CheckName::Delegation => trail.grants.first().map(|scored| delegated(offer(scored).as_deref()).to_owned()),
        CheckName::Role | CheckName::Rules | CheckName::Forward => None,
    }
}

/// When a caller's token ends, RFC 3339 in whole seconds.
pub(super) fn token_end(expires_at: Timestamp) -> String {
    format!("{expires_at:.0}")
}

/// What the check of the token saw.
pub(super) fn genuine(until: &str) -> String {
    format!("genuine, until {until}")
}

/// What the check of the scope saw.
pub(super) fn placed(scope: &str, owner: Option<&str>) -> String {
    owner.map_or_else(|| scope.to_owned(), |owner| format!("{scope} belongs to {owner}"))
}

/// What the check of the delegation saw.
pub(super) fn delegated(offer: Option<&str>) -> &str {
    offer.unwrap_or("the tenant's own role assignments")
}

/// The role that a grant gives, for people.
pub(super) fn role_name<'d>(grant: &Grant, directory: &'d Directory) -> &'d str {
    directory.roles().role(grant.role).map(Role::name).unwrap_or_default()
}

/// Whether a grant is in force by itself.
pub(super) const fn kind(window: Window) -> &'static str {
    match window {
        Window::Standing => "standing",
        Window::Between { .. } => "limited",
        Window::Eligible => "on_request",
        Window::Suspended => "suspended",
        Window::Unused { .. } => "unused",
    }
}

/// The delegation that a grant is part of.
pub(super) fn offer(scored: &ScoredGrant) -> Option<Cow<'_, str>> {
    match &scored.grant.origin.kind {
        OriginKind::Delegation { offer, .. } => Some(shown(offer)),
        OriginKind::RoleAssignment => None,
    }
}

/// The grants of a decision, as they can be read after the policy has changed. Files have them from [`stored`](super::stored).
pub(super) fn grants(scored: &[ScoredGrant], directory: &Directory) -> Vec<GrantEntry> {
    scored.iter().map(|scored| grant(scored, directory)).collect()
}

fn grant(scored: &ScoredGrant, directory: &Directory) -> GrantEntry {
    let grant = &scored.grant;
    GrantEntry {
        role: role_name(grant, directory).to_owned(),
        granted_to: owned(&grant.origin.principal_name),
        granted_to_id: Some(grant.principal.object),
        granted_on: grant.scope.to_string(),
        kind: kind(*grant.window).to_owned(),
        delegation: offer(scored).map(Cow::into_owned),
        principal: scored.principal,
        scope: scored.scope,
        action: scored.action,
        in_force: scored.in_force,
        defined_at: grant.origin.defined_at.clone(),
    }
}
