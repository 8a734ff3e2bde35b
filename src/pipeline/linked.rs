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
use crate::identity::{Caller, Owner};
use crate::ids::PrincipalId;
use crate::json::{self, TooManyValues};
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
    /// It is too much to be judged.
    #[error("the body cannot be judged: {0}")]
    TooMany(#[from] TooManyValues),
    /// It can be read in two ways, or in none.
    #[error("the body, which has to be JSON, or the query cannot be read in one way only: {0}")]
    Unreadable(#[from] Unreadable),
}

/// How much of a refused text an error shows, in characters.
const SHOWN_MAX: usize = 128;

impl Unread {
    /// Whose share of what all share it takes.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.0.caller().owner()
    }

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
            Meaning::Plain if !body.is_empty() => {
                json::bounded(body)?;
                places.extend(links::in_json(body, self.place())?);
            }
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
    // What lies below a location is not: deleted vaults, backups and restorable accounts of all groups are kept there.
    let is_known_type = match segments.as_slice() {
        [providers, namespace, kind, _name] if is(providers, "providers") => {
            is(kind, "locations") || is(namespace, "Microsoft.Authorization") && is_definition(kind)
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{BARE, MAIN, THEIRS, WARNED, World};
    use super::super::{Outbound, Scoped};
    use super::*;
    use crate::identity::Standing;

    const PUT_VM: &str = "PUT ~/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines/vm";
    const QUERY: &str = "POST /providers/Microsoft.ResourceGraph/resources";

    /// What becomes of a request with this body: nothing, or the reason why it is kept back.
    fn judged(world: &World, scoped: Scoped, body: &Value) -> Result<Outbound, &'static str> {
        let outbound = world.unread(scoped).judge(body.to_string().as_bytes(), &world.context());
        outbound.map_err(|rejection| rejection.reason())
    }

    fn verdict(world: &World, who: &str, asked: &str, body: &Value) -> &'static str {
        judged(world, world.resolve(world.caller(who), asked).unwrap(), body).err().unwrap_or_default()
    }

    fn network(subscription: &str) -> Value {
        json!({ "id": format!("{subscription}/resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks/v/subnets/s") })
    }

    fn query(subscription: &str, text: &str) -> Value {
        json!({ "subscriptions": [subscription.trim_start_matches("/subscriptions/")], "query": text })
    }

    #[test]
    fn a_body_has_as_many_names_and_values_as_may_be_and_no_more() {
        let list = |values: usize| json!(vec![1; values - 1]);
        let world = World::new();
        assert_eq!(verdict(&world, "contributor", PUT_VM, &list(json::VALUES_MAX)), "");
        assert_eq!(verdict(&world, "contributor", PUT_VM, &list(json::VALUES_MAX + 1)), "request.malformed");
    }

    #[test]
    fn whoever_sent_it_is_of_its_own_tenant() {
        let world = World::new();
        for who in ["contributor", "owner"] {
            for standing in [Standing::Configured, Standing::Visitor] {
                let caller = Caller { standing, ..world.caller(who) };
                let expected = Owner { tenant: caller.principal.tenant, standing };
                assert_eq!(world.unread(world.resolve(caller, PUT_VM).unwrap()).owner(), expected, "{who}");
            }
        }
    }

    #[test]
    fn a_body_is_json_in_utf_8_by_one_word_or_bytes_of_a_thing_or_it_is_refused() {
        let world = World::new();
        let content = |asked, fields: &[(&str, &str)]| {
            let scoped = world.resolve_with(world.caller("contributor"), asked, fields).unwrap();
            world.unread(scoped).content().map_err(|rejection| rejection.reason())
        };
        let kind = |kind| content(PUT_VM, &[("content-type", kind)]);
        assert_eq!(content(PUT_VM, &[]), Ok(Content::Json));
        for json in [
            "application/json",
            "Application/JSON; charset=\"UTF-8\"",
            "text/json;charset=utf-8",
            "application/json; odata=verbose",
            "application/merge-patch+json",
            "application/x+json; charset=utf-8",
        ] {
            assert_eq!(kind(json), Ok(Content::Json), "{json}");
        }
        for other in [
            "application/json; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-16",
            "application/x+json; charset=latin1",
            "text/x+json",
            "application/xml",
            "application/x",
            "text/plain",
            "",
        ] {
            assert_eq!(kind(other), Err("request.media_type"), "{other}");
        }
        for twice in ["application/json", "application/merge-patch+json", "application/octet-stream"] {
            assert_eq!(content(PUT_VM, &[("content-type", twice), ("content-type", twice)]), Err("request.media_type"), "{twice}");
        }
        assert_eq!(kind("application/octet-stream"), Ok(Content::Opaque));
        let bytes: &[(&str, &str)] = &[("content-type", "application/octet-stream")];
        assert_eq!(content("POST ~/resourceGroups/rg-a/moveResources", bytes), Err("request.media_type"));
        assert_eq!(content(PUT_VM, &[("content-encoding", "identity")]), Ok(Content::Json));
        assert_eq!(content(PUT_VM, &[("content-encoding", "gzip")]), Err("request.media_type"));
        assert_eq!(content(&PUT_VM.replace("PUT", "GET"), &[("content-encoding", "gzip")]), Ok(Content::Nothing));
    }

    #[test]
    fn a_place_that_is_named_takes_a_grant_of_its_own() {
        let world = World::new();
        for (who, body, expected) in [
            ("contributor", network(MAIN), ""),
            ("contributor", network(BARE), "scope.linked"),
            ("contributor", network(THEIRS), "scope.linked"),
            ("contributor", json!({ "id": format!("{WARNED}/resourceGroups/rg") }), "scope.linked"),
            ("in-group", network(MAIN), "scope.linked"),
            ("in-group", json!({ "id": format!("{MAIN}/resourceGroups/rg-a") }), ""),
            ("in-group", json!({ "id": format!("{MAIN}/providers/Microsoft.Web/locations/west") }), ""),
            // A thing below a location is one like others, wherever it came from.
            (
                "in-group",
                json!({ "restore": format!("{MAIN}/providers/Microsoft.DocumentDB/locations/west/restorableDatabaseAccounts/a") }),
                "scope.linked",
            ),
            ("owner", json!({ "id": "/providers/Microsoft.Management/managementGroups/Top" }), "scope.linked"),
        ] {
            assert_eq!(verdict(&world, who, PUT_VM, &body), expected, "{who}: {body}");
        }
    }

    #[test]
    fn a_management_group_is_named_by_who_reads_it_in_its_own_tenant() {
        let world = World::with("[[role_assignment]]\nwho = \"owner\"\nrole = \"Reader\"\nscope = \"Top\"\n");
        let group = |name: &str| json!({ "id": format!("/providers/Microsoft.Management/managementGroups/{name}") });
        assert_eq!(verdict(&world, "owner", PUT_VM, &group("Top")), "");
        assert_eq!(verdict(&world, "owner", PUT_VM, &group("Others")), "scope.linked");
        assert_eq!(verdict(&world, "contributor", PUT_VM, &group("Top")), "scope.linked");
        assert_eq!(verdict(&world, "editor", PUT_VM, &group("Top")), "scope.linked");
    }

    #[test]
    fn an_auxiliary_token_lends_what_its_own_tenant_owns() {
        let world = World::new();
        let with = |lender: &str, body| {
            let scoped = world.resolve(world.caller("contributor"), PUT_VM).unwrap();
            let auxiliary: Box<[Arc<Caller>]> = Box::new([Arc::new(world.caller(lender))]);
            judged(&world, Scoped { auxiliary, ..scoped }, &body).map(|outbound| outbound.lent().collect::<Vec<_>>())
        };
        let [lent] = with("stranger", network(THEIRS)).unwrap().try_into().unwrap();
        assert!(lent.starts_with("a linked place is permitted by the auxiliary token of `stranger` with object id"), "{lent}");
        assert_eq!(with("stranger", network(MAIN)), Ok(Vec::new()), "what the caller may name itself is not lent");
        assert_eq!(with("stranger", network(BARE)), Err("scope.linked"));
        assert_eq!(with("owner", network(THEIRS)), Err("scope.linked"));
        // The provider reads there, and that was given to be used and not to be lent.
        assert_eq!(with("reader", json!({ "id": format!("{WARNED}/resourceGroups/rg") })), Err("scope.linked"));
        assert_eq!(with("owner", json!({ "id": format!("{WARNED}/resourceGroups/rg") })).map(|lent| lent.len()), Ok(1));
    }

    #[test]
    fn a_query_takes_reading_everything_where_it_asks_and_reading_what_it_names() {
        let assigned = |role: &str, scope: &str| format!("[[role_assignment]]\nwho = \"editor\"\nrole = \"{role}\"\nscope = \"{scope}\"\n");
        let world = World::new();
        assert_eq!(verdict(&world, "reader", QUERY, &query(MAIN, "Resources")), "");
        assert_eq!(verdict(&world, "remover", QUERY, &query(MAIN, "Resources")), "scope.linked");
        assert_eq!(verdict(&world, "in-group", QUERY, &query(MAIN, "Resources")), "scope.linked");
        // To read that a subscription is there is not to read what is in it.
        let world = World::with(&assigned("Azure Arc ScVmm Private Cloud User", "bare"));
        let role = world.directory.roles().role(world.directory.roles().by_name("Azure Arc ScVmm Private Cloud User").unwrap()).unwrap();
        assert!(links::actions_on(&Scope::parse(BARE).unwrap()).unwrap().iter().all(|action| role.permits(action)));
        assert_eq!(verdict(&world, "editor", QUERY, &query(BARE, "Resources")), "scope.linked");
        let world = World::with(&[assigned("Reader", "bare"), assigned("Virtual Machine Contributor", "warned/rg-a")].concat());
        let named = |kind: &str| query(BARE, &format!("{WARNED}/resourceGroups/rg-a/providers/{kind}/x"));
        assert_eq!(verdict(&world, "editor", QUERY, &named("Microsoft.Compute/virtualMachines")), "");
        assert_eq!(verdict(&world, "editor", QUERY, &named("Microsoft.Sql/servers")), "scope.linked");
    }

    #[test]
    fn a_query_is_refused_where_something_may_be_kept_from_reading() {
        let denied = |actions: &str| {
            let world = World::with(&format!("[[deny_assignment]]\nname = \"kept\"\nscope = \"main\"\n{actions}\n"));
            verdict(&world, "reader", QUERY, &query(MAIN, "Resources"))
        };
        assert_eq!(denied("actions = [\"Microsoft.Storage/*\"]"), "request.malformed");
        assert_eq!(denied("actions = [\"Microsoft.Storage/*\"]\nnot_actions = [\"Microsoft.Storage/*/read\"]"), "request.malformed");
        assert_eq!(denied("actions = [\"*\"]\nnot_actions = [\"*/READ\"]"), "");
    }

    #[test]
    fn definitions_above_and_locations_are_everybodys_who_works_there() {
        let world = World::new();
        let own = Scope::parse(&format!("{MAIN}/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines/vm")).unwrap();
        let definition = |above: &str, kind: &str| format!("{above}/providers/Microsoft.Authorization/{kind}/x");
        let [top, others] = ["Top", "Others"].map(|name| format!("/providers/Microsoft.Management/managementGroups/{name}"));
        for (place, expected) in [
            (definition(MAIN, "policyDefinitions"), true),
            (definition(MAIN, "policySetDefinitions"), true),
            (definition(MAIN, "RoleDefinitions"), true),
            (definition(&top, "policyDefinitions"), true),
            (definition(BARE, "policyDefinitions"), false),
            (definition(&others, "policyDefinitions"), false),
            (definition(MAIN, "policyAssignments"), false),
            (definition(&format!("{MAIN}/resourceGroups/rg-a"), "policyDefinitions"), false),
            (format!("{MAIN}/resourceGroups/Microsoft.Authorization/policyDefinitions/x"), false),
            (format!("{MAIN}/providers/Microsoft.Policy/policyDefinitions/x"), false),
            (format!("{MAIN}/providers/Microsoft.Compute/virtualMachines/x"), false),
            (format!("{MAIN}/providers/Microsoft.Compute/locations/west"), true),
            (format!("{BARE}/providers/Microsoft.Compute/locations/west"), false),
            (format!("{MAIN}/providers/Microsoft.Web/locations/west/managedApis/sql"), false),
            (format!("{MAIN}/providers/Microsoft.KeyVault/locations/west/deletedVaults/v"), false),
            (format!("{MAIN}/resourceGroups/rg-a"), false),
            (MAIN.to_owned(), false),
        ] {
            assert_eq!(is_inherited(&Scope::parse(&place).unwrap(), &own, &world.directory), expected, "{place}");
        }
    }
}
