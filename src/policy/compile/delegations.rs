//! `[[delegation]]`: what a managing tenant's principals may do in a customer's scopes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::grants::{Written, role};
use super::onboarding::{self, ManagingTenants};
use super::places::Place;
use super::references::Who;
use crate::arm::scope::Anchor;
use crate::delegation::roles::NotDelegable;
use crate::delegation::{Grant, Origin, OriginKind, RoleIndex, Window};
use crate::directory::{Authorization, Delegation, OnRequest, PrincipalKind};
use crate::ids::{SubscriptionId, TenantId};
use crate::policy::diagnostics::{Diagnostic, Span};
use crate::policy::file::{self, At};
use crate::policy::parse::Entry;

/// Shortest and longest activation. Source: Azure Lighthouse, "Create eligible authorizations", maximum duration.
const DURATION_MIN: Duration = Duration::from_secs(30 * 60);
const DURATION_MAX: Duration = Duration::from_secs(8 * 60 * 60);
/// Source: Azure Lighthouse, "Create eligible authorizations", approvers.
const APPROVERS_MAX: usize = 10;

/// Delegations, and what was bound so far.
#[derive(Debug, Default)]
struct Delegations {
    list: Vec<Delegation>,
    /// Where an offer is bound to a scope: its subscription, and what lies below it with the name of the offer, without case.
    bound: HashMap<(Option<SubscriptionId>, String), Span, foldhash::fast::RandomState>,
}

/// What the authorizations of one offer share.
pub(super) struct Offer<'a> {
    /// Where the offer begins.
    pub(super) span: Span,
    /// The table that holds its authorizations.
    pub(super) table: &'static str,
    pub(super) name: Arc<str>,
    pub(super) managing_tenant: TenantId,
    pub(super) suspended: bool,
    pub(super) authorizations: &'a [At<file::Authorization>],
}

/// All delegations; the grants they make are added to those that are `written`.
pub(super) fn compile(context: &mut Context<'_>, allowed: &ManagingTenants, written: &mut Vec<Written>) -> Vec<Delegation> {
    let parsed = context.parsed;
    let mut delegations = Delegations::default();
    for entry in &parsed.delegations {
        let scopes = delegations.scopes(context, entry);
        let managing_tenant = context.tenant(entry.at(&entry.body.managing_tenant), &entry.body.managing_tenant.value);
        let Some(managing_tenant) = managing_tenant else { continue };
        refuse_own_tenant(context, entry, managing_tenant, &scopes);
        if let Some((_, customer)) = scopes.first() {
            onboarding::refuse_others(context, entry, managing_tenant, allowed.get(customer));
        }
        let name: Arc<str> = Arc::from(&*entry.body.offer.value);
        let offer = Offer {
            span: entry.span(),
            table: "delegation.authorization",
            name: Arc::clone(&name),
            managing_tenant,
            suspended: entry.body.suspended,
            authorizations: &entry.body.authorization,
        };
        let authorizations = offer.authorizations(context);
        delegations.bind(context, (entry, managing_tenant, &name), scopes, authorizations, written);
    }
    delegations.list.shrink_to_fit();
    delegations.list
}

impl Delegations {
    /// The scopes with their customer.
    fn scopes(&mut self, context: &mut Context<'_>, entry: &Entry<file::Delegation>) -> Vec<(Place, TenantId)> {
        let body = &entry.body;
        if body.scopes.value.is_empty() {
            let diagnostic = Diagnostic::error("delegation.empty", "this delegation has no scope");
            context.push(diagnostic.at(entry.at(&body.scopes), "name a subscription or `subscription/resource-group`"));
        }
        let mut found: Vec<(Place, TenantId)> = Vec::new();
        for scope in &body.scopes.value {
            let Some(place) = context.place(entry.at(scope), &scope.value) else { continue };
            let Some(customer) = place.tenant.filter(|_| is_delegable(&place)) else {
                let message = format!("`{}` cannot be delegated", scope.value);
                let diagnostic =
                    Diagnostic::error("scope.kind", message).at(entry.at(scope), "neither a subscription nor a resource group");
                context.push(diagnostic.help("delegate each subscription below it"));
                continue;
            };
            if let Some((_, first)) = found.first()
                && *first != customer
            {
                let message = format!(
                    "`{}` belongs to {}, the scopes before to {}",
                    scope.value,
                    context.tenants.display(customer),
                    context.tenants.display(*first)
                );
                let diagnostic = Diagnostic::error("delegation.customers", message).at(entry.at(scope), "of another customer");
                context.push(diagnostic.help("write one [[delegation]] per customer"));
                continue;
            }
            self.claim(context, entry, scope, &place);
            found.push((place, customer));
        }
        found
    }

    /// One offer of a name per scope: removal and suspension go by that name.
    fn claim(&mut self, context: &mut Context<'_>, entry: &Entry<file::Delegation>, scope: &At<String>, place: &Place) {
        let offer = &entry.body.offer.value;
        let key = (place.scope.subscription_id(), format!("{}\n{offer}", place.scope.below()).to_lowercase());
        if let Some(first) = self.bound.get(&key) {
            let message = format!("the offer `{offer}` is bound to `{}` twice", scope.value);
            let diagnostic = Diagnostic::error("delegation.duplicate", message).at(entry.at(scope), "again here");
            context.push(diagnostic.with(first.clone(), "first here").help("join both, or give one offer another name"));
            return;
        }
        self.bound.insert(key, entry.at(scope));
    }

    fn bind(
        &mut self,
        context: &Context<'_>,
        (entry, managing_tenant, offer): (&Entry<file::Delegation>, TenantId, &Arc<str>),
        scopes: Vec<(Place, TenantId)>,
        authorizations: Vec<(Authorization, Span)>,
        written: &mut Vec<Written>,
    ) {
        let (authorizations, spans): (Vec<Authorization>, Vec<Span>) = authorizations.into_iter().unzip();
        let authorizations: Arc<[Authorization]> = authorizations.into();
        for (place, customer) in scopes {
            for (authorization, span) in authorizations.iter().zip(&spans) {
                let Authorization { principal, role, ref window, ref origin, .. } = *authorization;
                let (window, scope, origin) = (window.clone(), Arc::clone(&place.scope), Arc::clone(origin));
                let grant = Grant { principal, role, scope, window, origin };
                written.push(Written { grant, owner: customer, span: span.clone() });
            }
            self.list.push(Delegation {
                offer: Arc::clone(offer),
                managing_tenant,
                customer,
                scope: place.scope,
                authorizations: Arc::clone(&authorizations),
                defined_at: context.location(&entry.span()),
            });
        }
    }
}

/// Delegations reach subscriptions and resource groups. Source: Azure Lighthouse, registration assignments.
fn is_delegable(place: &Place) -> bool {
    let segments: Vec<&str> = place.scope.segments().collect();
    match (place.scope.anchor(), segments.as_slice()) {
        (Anchor::Subscription(_), []) => true,
        (Anchor::Subscription(_), [groups, _name]) => groups.eq_ignore_ascii_case("resourceGroups"),
        (Anchor::Subscription(_) | Anchor::ManagementGroup(_) | Anchor::Tenant, _) => false,
    }
}

fn refuse_own_tenant(context: &mut Context<'_>, entry: &Entry<file::Delegation>, managing_tenant: TenantId, scopes: &[(Place, TenantId)]) {
    if scopes.iter().all(|(_, customer)| *customer != managing_tenant) {
        return;
    }
    let message = format!("{} cannot delegate to itself", context.tenants.display(managing_tenant));
    let diagnostic = Diagnostic::error("delegation.own_tenant", message).at(entry.at(&entry.body.managing_tenant), "owns these scopes");
    let diagnostic = diagnostic.with(entry.at(&entry.body.scopes), "in its own tenant");
    context.push(diagnostic.help("for people of the same tenant, write a [[role_assignment]]"));
}

impl Offer<'_> {
    fn span<T>(&self, value: &At<T>) -> Span {
        Span { file: self.span.file, range: value.range.clone() }
    }

    pub(super) fn authorizations(&self, context: &mut Context<'_>) -> Vec<(Authorization, Span)> {
        if self.authorizations.is_empty() && context.parsed.complete(&[self.table]) {
            let (noun, _) = self.table.split_once('.').unwrap_or((self.table, ""));
            let message = format!("this {} authorizes nobody", noun.replace('_', " "));
            let diagnostic = Diagnostic::error("delegation.empty", message).at(self.span.clone(), "");
            context.push(diagnostic.help(format!("add [[{}]] with who and role", self.table)));
        }
        let each = |written| Some((self.authorization(context, written)?, self.span(written)));
        self.authorizations.iter().filter_map(each).collect()
    }

    fn authorization(&self, context: &mut Context<'_>, written: &At<file::Authorization>) -> Option<Authorization> {
        let value = &written.value;
        let who = context.principal(self.managing_tenant, self.span(&value.who), &value.who.value);
        let role = self.role(context, value);
        let window = self.window(context, value);
        let on_request = value.on_request.as_ref().map(|on_request| self.on_request(context, on_request));
        let who = who?;
        if on_request.is_some() {
            self.refuse_automation(context, &who, &value.who);
        }
        let (window, on_request) = match (window?, on_request) {
            (window, None) => (window, None),
            (window, Some(on_request)) => (window, Some(Box::new(on_request?))),
        };
        let kind = OriginKind::Delegation { offer: Arc::clone(&self.name), managing_tenant: self.managing_tenant };
        let origin = Origin { kind, principal_name: who.name, defined_at: context.location(&self.span(written)), through: None };
        Some(Authorization { principal: who.id, role: role?, window: window.into(), on_request, origin: Arc::new(origin) })
    }

    /// A role that may be delegated. `None` has been reported.
    fn role(&self, context: &mut Context<'_>, value: &file::Authorization) -> Option<RoleIndex> {
        let index = role(context, self.span(&value.role), &value.role.value)?;
        let Err(refusal) = context.roles.delegable(index) else { return Some(index) };
        let help = match refusal {
            NotDelegable::Constrained { .. } => "a policy file has no place for those; choose a role that assigns none",
            NotDelegable::DataAction { .. }
            | NotDelegable::Owner { .. }
            | NotDelegable::Restricted { .. }
            | NotDelegable::Unknown { .. } => "choose the role with the fewest actions that are needed",
        };
        let diagnostic = Diagnostic::error("role.excluded", refusal.to_string()).at(self.span(&value.role), "cannot be delegated");
        context.push(diagnostic.with(self.span(&value.who), "to this principal").help(help));
        None
    }

    fn window(&self, context: &mut Context<'_>, value: &file::Authorization) -> Option<Window> {
        let (from, until) = (value.from.as_ref(), value.until.as_ref());
        if let (Some(from), Some(until)) = (from, until)
            && from.value.0 >= until.value.0
        {
            let diagnostic =
                Diagnostic::error("grant.window", "this authorization ends before it begins").at(self.span(until), "ends here");
            context.push(diagnostic.with(self.span(from), "begins here"));
            return None;
        }
        if let (Some(on_request), Some(bound)) = (&value.on_request, from.or(until)) {
            let diagnostic =
                Diagnostic::error("grant.window", "a role on request has no period of its own").at(self.span(bound), "without effect");
            context.push(
                diagnostic.with(self.span(on_request), "because of this").help("write two authorizations, or leave one of the two out"),
            );
            return None;
        }
        if let Some(until) = until.filter(|until| until.value.0 <= context.options.now) {
            let diagnostic = Diagnostic::warning("grant.expired", "this authorization has expired").at(self.span(until), "in the past");
            context.push(diagnostic.help("remove it, or move its end"));
        }
        if self.suspended || value.suspended {
            return Some(Window::Suspended);
        }
        let bound = |moment: &At<file::Moment>| moment.value.0;
        Some(match (&value.on_request, from, until) {
            (Some(_), _, _) => Window::Eligible,
            (None, None, None) => Window::Standing,
            (None, from, until) => Window::Between { from: from.map(bound), until: until.map(bound) },
        })
    }

    fn on_request(&self, context: &mut Context<'_>, written: &At<file::OnRequest>) -> Option<OnRequest> {
        let value = &written.value;
        let duration_max = value.max.as_ref().map_or(Some(DURATION_MAX), |max| self.duration(context, max));
        if let Some(one_too_many) = value.approvers.get(APPROVERS_MAX) {
            let message = format!("{} approvers; allowed: {APPROVERS_MAX}", value.approvers.len());
            let diagnostic = Diagnostic::error("jit.approvers", message).at(self.span(one_too_many), "one too many");
            context.push(diagnostic.help("name a group instead of its members"));
        }
        let mut approvers = Vec::with_capacity(value.approvers.len());
        for approver in &value.approvers {
            let who = context.principal(self.managing_tenant, self.span(approver), &approver.value);
            if let Some(who) = who {
                self.refuse_automation(context, &who, approver);
                approvers.push(who.id);
            }
        }
        (approvers.len() == value.approvers.len()).then_some(())?;
        Some(OnRequest { duration_max: duration_max?, approvers })
    }

    fn duration(&self, context: &mut Context<'_>, written: &At<String>) -> Option<Duration> {
        let duration = written.value.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
        let problem = match duration {
            Some(duration) if duration > DURATION_MAX => "activation may last 8 hours at most",
            Some(duration) if duration < DURATION_MIN => "activation must be allowed for 30 minutes at least",
            Some(duration) => return Some(duration),
            None => "this is not a duration such as 30m, 4h or 1h30m",
        };
        context.push(Diagnostic::error("jit.duration", problem).at(self.span(written), "between 30m and 8h"));
        None
    }

    /// Nobody is there to ask or to answer. Source: Azure Lighthouse, "Create eligible authorizations", user or group only.
    fn refuse_automation(&self, context: &mut Context<'_>, who: &Who, written: &At<String>) {
        if who.kind == Some(PrincipalKind::ServicePrincipal) {
            let message = format!("`{}` is a service principal; a role on request is for users and groups", who.name);
            let diagnostic = Diagnostic::error("jit.principal", message).at(self.span(written), "not a person");
            context.push(diagnostic.help("give it a standing role with as few actions as it needs"));
        }
    }
}
