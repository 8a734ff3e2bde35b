//! Stage 9: the places that the body and the query of a request name besides its own. A grant on what is written is none on what it refers to.

use std::sync::Arc;

use hyper::header;

use super::Context;
use super::meaning::Meaning;
use super::moved;
use super::on_behalf::Outbound;
use super::plan;
use super::query;
use crate::arm::action::{Action, Method};
use crate::arm::links::{self, Unreadable};
use crate::arm::scope::{Anchor, Scope};
use crate::delegation::decide::{self, Decision, Question};
use crate::delegation::{DenyAssignment, Grant};
use crate::directory::{Directory, SubscriptionState};
use crate::identity::Caller;
use crate::ids::PrincipalId;
use crate::rejection::Rejection;

/// A permitted request of which nobody has read the body yet. There is no way to a request that can be sent but through a judgement.
#[derive(Debug)]
pub struct Unread(pub(super) Outbound);

/// What the body of a request is, by what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// JSON, which is read as a whole and judged.
    Json,
    /// There is none that counts: it is left behind.
    Nothing,
    /// Bytes that are no document: passed on piece by piece, as long as they do not look like one.
    Opaque,
}

/// Why the body or the query of a permitted request keeps it back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It is coded, and so cannot be read.
    #[error("a request body cannot be coded as `{coding}`; send it as it is")]
    Coding {
        /// As sent, cut.
        coding: String,
    },
    /// It is of a kind that the management plane does not have.
    #[error("the media type `{sent}` is not supported; send `application/json`, in UTF-8")]
    MediaType {
        /// As sent, cut.
        sent: String,
    },
    /// It moves what cannot be moved, or where it cannot be moved to.
    #[error("this cannot be moved: {problem}")]
    Move {
        /// What is wrong.
        problem: String,
    },
    /// It asks the resource graph what cannot be asked.
    #[error("this cannot be asked: {problem}")]
    Query {
        /// What is wrong.
        problem: String,
    },
    /// What is permitted on the request's own scope is not permitted on one that it names.
    #[error("`{actions}` is not granted on `{place}`, which the request names, or there is no such place")]
    NotGranted {
        /// What would have to be granted.
        actions: String,
        /// Where.
        place: String,
        /// What the request does.
        done: String,
        /// Where it does that.
        scope: String,
    },
    /// It moves resources out of the tenant that they are in.
    #[error("`{place}` is in another tenant than what is moved, and resources stay in theirs")]
    OtherTenant {
        /// Where to.
        place: String,
    },
    /// It can be read in two ways, or in none.
    #[error("the body, which has to be JSON, or the query cannot be read in one way only: {0}")]
    Unreadable(#[from] Unreadable),
}

/// How much of a refused text an error shows, in characters.
const SHOWN_MAX: usize = 128;

impl Unread {
    /// What the body is, by what is said of it.
    ///
    /// # Errors
    /// When it is said to be what the management plane does not take.
    pub fn content(&self) -> Result<Content, Box<Rejection>> {
        self.read_content().map_err(|error| self.0.rejection_of(error))
    }

    /// Judges the places that are named by the query, and by this body if there is one.
    ///
    /// # Errors
    /// When the body cannot be read in one way only, or a place is named on which the caller may not do what that takes.
    pub fn judge(self, body: &[u8], context: &Context<'_>) -> Result<Outbound, Box<Rejection>> {
        let Self(mut outbound) = self;
        match outbound.find_links(body).and_then(|()| outbound.judge_links(context)) {
            Ok(lenders) => {
                outbound.lent_by(lenders);
                outbound.speak_for_one(context)?;
                Ok(outbound)
            }
            Err(error) => Err(outbound.rejection_of(error)),
        }
    }

    fn read_content(&self) -> Result<Content, LinkError> {
        if matches!(self.0.method(), Method::Get | Method::Head) {
            return Ok(Content::Nothing);
        }
        let received = self.0.received();
        let text = |name| received.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let cut = |text: String| text.chars().take(SHOWN_MAX).collect();
        if let Some(coding) = text(header::CONTENT_ENCODING).filter(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
            return Err(LinkError::Coding { coding: cut(coding) });
        }
        let Some(sent) = text(header::CONTENT_TYPE) else { return Ok(Content::Json) };
        let is_one = received.get_all(header::CONTENT_TYPE).iter().count() == 1;
        let mut parts = sent.split(';').map(|part| part.trim().to_ascii_lowercase());
        let kind = parts.next().unwrap_or_default();
        let is_utf8 = parts.filter_map(|part| charset(&part)).all(|charset| charset == "utf-8");
        match kind.as_str() {
            // What the body means cannot be judged when nobody reads it.
            "application/octet-stream" if is_one && self.0.meaning() == Meaning::Plain => Ok(Content::Opaque),
            "application/json" | "text/json" if is_one && is_utf8 => Ok(Content::Json),
            kind if is_one && is_utf8 && kind.starts_with("application/") && kind.ends_with("+json") => Ok(Content::Json),
            _ => Err(LinkError::MediaType { sent: cut(sent) }),
        }
    }
}

/// What a parameter of a media type says of the charset.
fn charset(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=')?;
    (name.trim() == "charset").then(|| value.trim().trim_matches('"').to_owned())
}

impl Outbound {
    fn find_links(&mut self, body: &[u8]) -> Result<(), LinkError> {
        let mut places = links::in_query(self.query().unwrap_or_default(), self.place())?;
        match self.meaning() {
            Meaning::Move => places.push(moved::target(body, self.place()).map_err(|problem| LinkError::Move { problem })?),
            Meaning::Query => {
                let listed = query::subscriptions(body).map_err(|problem| LinkError::Query { problem })?;
                places.extend(links::in_json(body, self.place())?);
                places.extend(listed);
                places.sort_by_key(ToString::to_string);
                places.dedup();
            }
            Meaning::Plain if !body.is_empty() => places.extend(links::in_json(body, self.place())?),
            Meaning::Batch | Meaning::Plain => {}
        }
        self.name(places);
        Ok(())
    }

    /// Judges the places that it names, by what is known now, and gives the callers of auxiliary tokens by whose grants it may name some.
    pub(super) fn judge_links(&self, context: &Context<'_>) -> Result<Vec<Arc<Caller>>, LinkError> {
        let mut lenders: Vec<Arc<Caller>> = Vec::new();
        if self.links().is_empty() {
            return Ok(lenders);
        }
        let principals = self.caller().principals(&context.directory);
        for place in self.links().iter().filter(|place| !is_inherited(place, self.place(), &context.directory)) {
            let actions = self.actions_on(place);
            if is_granted(self.caller(), principals.ids(), &actions, place, context) {
                continue;
            }
            if let Some(lender) = self.lender(&actions, place, context) {
                if !lenders.iter().any(|known| Arc::ptr_eq(known, lender)) {
                    lenders.push(Arc::clone(lender));
                }
            } else {
                let shown = |text: String| text.chars().take(SHOWN_MAX).collect();
                return Err(LinkError::NotGranted {
                    actions: actions.iter().map(Action::as_str).collect::<Vec<_>>().join(", "),
                    place: shown(place.to_string()),
                    done: self.done().to_owned(),
                    scope: self.place().to_string(),
                });
            }
        }
        match self.meaning() {
            Meaning::Move => self.stay_in_tenant(&context.directory)?,
            Meaning::Query => self.ask_one_tenant(&context.directory)?,
            Meaning::Batch | Meaning::Plain => {}
        }
        Ok(lenders)
    }

    /// What the caller has to be permitted on a place that the request names.
    fn actions_on(&self, place: &Scope) -> Vec<Action> {
        match self.meaning() {
            Meaning::Move => moved::action().into_iter().collect(),
            Meaning::Query if place.below().is_empty() => query::actions(),
            Meaning::Batch | Meaning::Plain | Meaning::Query => links::actions_on(place).unwrap_or_default(),
        }
    }

    /// Source: Azure Resource Manager, "Move resources": both subscriptions have to be in one tenant.
    fn stay_in_tenant(&self, directory: &Directory) -> Result<(), LinkError> {
        let is_kept_here = |place: &&Scope| place.subscription_id().is_some_and(|id| plan::is_private(id, directory));
        if self.links().iter().any(|place| is_kept_here(&place)) {
            return Err(LinkError::Move { problem: "the target is in the private cloud, where only its fabric makes anything".to_owned() });
        }
        let state = |place: &Scope| place.subscription_id().and_then(|id| directory.subscription(id)).map(|found| found.state);
        if let Some(place) = self.links().iter().find(|place| state(place).is_some_and(|state| state != SubscriptionState::Enabled)) {
            return Err(LinkError::Move { problem: format!("`{place}` is in a subscription that accepts reads and deletes only") });
        }
        let is_own = |place: &&Scope| directory.owner(place) == directory.owner(self.place());
        match self.links().iter().find(|place| !is_own(place)) {
            Some(place) => Err(LinkError::OtherTenant { place: place.to_string() }),
            None => Ok(()),
        }
    }

    /// The assertion names one customer, and the backend answers for that one. Where somebody may not read everything, nobody would cut the answer down.
    fn ask_one_tenant(&self, directory: &Directory) -> Result<(), LinkError> {
        let first = self.links().first().and_then(|place| directory.owner(place));
        if self.links().iter().any(|place| directory.owner(place) != first) {
            let problem = "`subscriptions` lists subscriptions of several tenants; ask for those of each tenant by themselves".to_owned();
            return Err(LinkError::Query { problem });
        }
        let known = |place: &Scope| place.subscription_id().and_then(|id| directory.subscription(id));
        if let Some(place) = self.links().iter().find(|place| known(place).is_some_and(|found| found.denies.iter().any(keeps_from_reading)))
        {
            let problem = format!("a deny assignment keeps something of `{place}` from being read, which the answer could hold");
            return Err(LinkError::Query { problem });
        }
        Ok(())
    }

    /// Whoever of the auxiliary callers may do this there by itself. Each counts for places of its own tenant only: what it was given elsewhere
    /// was not given for being lent. Where a move leads to, and what a query is about, is what the request itself is about: nobody lends that.
    fn lender(&self, actions: &[Action], place: &Scope, context: &Context<'_>) -> Option<&Arc<Caller>> {
        if matches!(self.meaning(), Meaning::Move | Meaning::Query) {
            return None;
        }
        let owner = context.directory.owner(place)?;
        let may = |lender: &Caller| is_granted(lender, lender.principals(&context.directory).ids(), actions, place, context);
        self.auxiliary().iter().find(|lender| lender.tenant() == owner && may(lender))
    }
}

/// Definitions of a scope hold for all below it, and locations are everybody's who has the subscription: to refer to them takes nothing.
fn is_inherited(place: &Scope, own: &Scope, directory: &Directory) -> bool {
    let segments: Vec<&str> = place.segments().collect();
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    let is_known_type = match segments.as_slice() {
        [providers, namespace, kind, _name] => {
            is(providers, "providers") && is(namespace, "Microsoft.Authorization") && is_definition(kind)
        }
        [providers, _namespace, locations, _name, ..] => {
            is(providers, "providers") && is(locations, "locations") && !segments.iter().skip(1).any(|segment| is(segment, "providers"))
        }
        _ => false,
    };
    let is_above = match place.anchor() {
        Anchor::Subscription(id) => own.subscription_id() == Some(*id),
        Anchor::ManagementGroup(name) => {
            let ancestors = own.subscription_id().and_then(|id| directory.subscription(id)).map(|subscription| &subscription.ancestors);
            ancestors.is_some_and(|ancestors| ancestors.iter().any(|ancestor| ancestor.eq_ignore_ascii_case(name)))
        }
        Anchor::Tenant => false,
    };
    is_known_type && is_above
}

/// Whether a deny assignment may be about reading. One that takes all reading out again is not.
fn keeps_from_reading(deny: &DenyAssignment) -> bool {
    !deny.actions.not_actions().any(|pattern| pattern.eq_ignore_ascii_case("*/read"))
}

fn is_definition(kind: &str) -> bool {
    ["policyDefinitions", "policySetDefinitions", "roleDefinitions"].iter().any(|known| known.eq_ignore_ascii_case(kind))
}

/// Whether the caller may do all of this there. A place that does not exist, or cannot be one, is none where anything is granted.
fn is_granted(caller: &Caller, principals: &[PrincipalId], actions: &[Action], place: &Scope, context: &Context<'_>) -> bool {
    let directory = &context.directory;
    let Some((grants, denies)) = rules_at(place, caller, directory) else { return false };
    let question = Question { principals, actions, scope: place, now: context.now };
    matches!(decide::decide(grants, denies, directory.roles(), &question), Decision::Permit { .. })
}

fn rules_at<'d>(place: &Scope, caller: &Caller, directory: &'d Directory) -> Option<(&'d [Grant], &'d [DenyAssignment])> {
    match place.anchor() {
        Anchor::Subscription(id) => {
            let subscription = directory.subscription(*id)?;
            let is_reachable = directory.tenant(subscription.tenant).is_some_and(|tenant| !tenant.suspended);
            is_reachable.then_some((subscription.grants.as_slice(), &*subscription.denies))
        }
        Anchor::ManagementGroup(name) => {
            let group = directory.management_group(name).filter(|group| group.tenant == caller.principal.tenant)?;
            Some((group.grants.as_slice(), &[]))
        }
        Anchor::Tenant => None,
    }
}
