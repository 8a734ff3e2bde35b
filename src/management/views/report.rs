//! `accessReport`: who can touch a scope, through what, and whether they did.
//!
//! In the tenant that owns the scope, who may read who has access sees all of it, and everybody else what they hold themselves. The
//! people of a managing tenant see what their tenant holds. For all others there is no such scope.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::delegations::{force, kept, principal_name, role_of};
use super::shapes::{Access, AccessReport, Holder, Party, Reach, Shows, Through};
use super::{Call, OwnAnswer, OwnError, READ_ACCESS, document, is_reachable};
use crate::arm::action::Action;
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::decide::{self, Decision, Question};
use crate::delegation::roles::Exposures;
use crate::delegation::{Grant, OriginKind};
use crate::directory::{Acquaintance, Directory, Subscription};
use crate::ids::PrincipalId;
use crate::management::pages::{self, Left};
use crate::record::{GrantKey, Uses};

impl Call<'_> {
    pub(super) async fn access_report(&self) -> Result<OwnAnswer, OwnError> {
        let scope = self.scope_asked()?;
        let action = self.action_asked()?;
        let directory = self.directory();
        let subscription = scope.subscription_id().and_then(|id| directory.subscription(id));
        let known = subscription.filter(|found| is_reachable(directory, found.tenant) && directory.related(self.home(), found.tenant));
        let subscription = known.ok_or_else(|| OwnError::NotFound { id: scope.to_string() })?;
        let survey = Survey { directory, known: self.known(), subscription, scope: &scope, now: self.now() };
        let shows = self.shows(subscription, &scope);
        let grants: Vec<&Grant> = survey.grants().filter(|grant| self.is_shown(shows, grant.principal)).collect();
        let before = self.shown_before()?;
        let mut page = Page { end: before.clone(), left: Left::default() };
        let mut rows: Vec<Row<'_>> = rows_after(before.as_ref(), &grants, directory).take(ROWS_PER_PAGE + 1).collect();
        let mut has_more = rows.len() > ROWS_PER_PAGE;
        rows.truncate(ROWS_PER_PAGE);
        let keys = rows.iter().map(|row| row.key.clone()).collect();
        let nothing = |_unanswered| Uses { since: self.now(), last: Vec::new() };
        let uses = self.desk.recorder.uses(keys).await.unwrap_or_else(nothing);
        let exposures = Exposures::of(directory.roles());
        let last = uses.last.into_iter().chain(std::iter::repeat(None));
        let count = rows.len();
        let value = page.take(rows.into_iter().zip(last).map(|(row, last)| {
            let permits = action.as_ref().map(|action| survey.permits(row.grant, action));
            let shown = Access { last_used: last, permits, ..survey.describe(row.grant, &exposures) };
            (row.end(), shown)
        }));
        has_more |= value.len() < count;
        // Who is permitted comes after the grants, on the page that these end on.
        let permitted = action.as_ref().filter(|_| !has_more).map(|action| {
            let is_left = |who: &PrincipalId| self.is_shown(shows, *who) && before.as_ref().is_none_or(|end| end.is_before(*who));
            let all: Vec<_> = survey.permitted(action).into_iter().filter(is_left).collect();
            let taken = page.take(all.iter().map(|who| (End::Holder(*who), survey.holder(*who))));
            has_more = taken.len() < all.len();
            taken
        });
        let end = page.end.filter(|_| has_more);
        let next_link = end.map(|end| pages::next_link(self.request, &pages::token(&json!(end).to_string())));
        let customer = Party { tenant_id: subscription.tenant, name: self.tenant_name(subscription.tenant) };
        let permitted = permitted.or_else(|| action.map(|_| Vec::new()));
        Ok(document(&AccessReport { scope: scope.to_string(), customer, shows, used_since: uses.since, value, permitted, next_link }))
    }

    /// What the page before ended with.
    fn shown_before(&self) -> Result<Option<End>, OwnError> {
        let shown = pages::shown_so_far(self.request)?.map(|end| serde_json::from_str(&end).map_err(|_cause| pages::foreign()));
        shown.transpose()
    }

    fn scope_asked(&self) -> Result<Scope, OwnError> {
        let wrong = |problem: String| OwnError::Parameter { name: "scope", problem };
        let text = self.query_value("scope").ok_or_else(|| wrong("is missing: name a subscription, or something in one".to_owned()))?;
        let scope = Scope::parse(text.trim_end_matches('/')).map_err(|cause| wrong(format!("cannot be read: {cause}")))?;
        match scope.subscription_id() {
            Some(_) => Ok(scope),
            None => Err(wrong("has to be a subscription, or something in one".to_owned())),
        }
    }

    fn action_asked(&self) -> Result<Option<Action>, OwnError> {
        let wrong =
            |cause: crate::arm::action::NotAnAction| OwnError::Parameter { name: "action", problem: format!("cannot be read: {cause}") };
        self.query_value("action").map(|text| text.parse().map_err(wrong)).transpose()
    }

    fn shows(&self, subscription: &Subscription, scope: &Scope) -> Shows {
        match subscription.tenant == self.home() {
            false => Shows::OwnTenant,
            true if self.may(READ_ACCESS, scope) => Shows::Everything,
            true => Shows::Oneself,
        }
    }

    fn is_shown(&self, shows: Shows, principal: PrincipalId) -> bool {
        match shows {
            Shows::Everything => true,
            Shows::Oneself => self.principals.contains(&principal),
            Shows::OwnTenant => principal.tenant == self.home(),
        }
    }
}

/// Grants of which one page tells, however small they are.
const ROWS_PER_PAGE: usize = 1_000;

/// What a page ends with. The next one goes on after it, whatever came or went meanwhile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum End {
    /// One of the grants.
    Grant { key: GrantKey, stored: String, nth: usize },
    /// One of those who are permitted; there are no grants after it.
    Holder(PrincipalId),
}

impl End {
    fn is_before(&self, who: PrincipalId) -> bool {
        match self {
            Self::Grant { .. } => true,
            Self::Holder(last) => *last < who,
        }
    }

    /// The holder whose grants go on after it, if there are grants after it.
    const fn holder(&self) -> Option<PrincipalId> {
        match self {
            Self::Grant { key, .. } => Some(key.principal()),
            Self::Holder(_) => None,
        }
    }

    fn is_before_row(&self, row: &Row<'_>) -> bool {
        match self {
            Self::Grant { key, stored, nth } => (key, stored.as_str(), *nth) < (&row.key, row.stored, row.nth),
            Self::Holder(_) => false,
        }
    }
}

/// A grant and its place among all.
struct Row<'d> {
    key: GrantKey,
    /// The id of what it was made by at run time; empty for what stands in a file.
    stored: &'d str,
    /// Among those that are the same by both.
    nth: usize,
    grant: &'d Grant,
}

impl Row<'_> {
    fn end(self) -> End {
        End::Grant { key: self.key, stored: self.stored.to_owned(), nth: self.nth }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.key == other.key && self.stored == other.stored
    }
}

/// The grants that no page has shown, in the order of their holders and of their keys. Only what is asked for is brought into order.
fn rows_after<'g>(end: Option<&'g End>, grants: &'g [&'g Grant], directory: &'g Directory) -> impl Iterator<Item = Row<'g>> {
    let first = end.map_or(0, |end| match end.holder() {
        Some(holder) => grants.partition_point(|grant| grant.principal < holder),
        None => grants.len(),
    });
    let of_holders = grants.get(first..).unwrap_or_default().chunk_by(|one, other| one.principal == other.principal);
    let rows = of_holders.flat_map(|held| in_order(held, directory));
    rows.filter(move |row| end.is_none_or(|end| end.is_before_row(row)))
}

/// The grants of one holder by their keys.
fn in_order<'g>(grants: &[&'g Grant], directory: &Directory) -> Vec<Row<'g>> {
    let row = |grant: &&'g Grant| Row { key: GrantKey::of(grant, directory.roles()), stored: stored(grant), nth: 0, grant };
    let mut rows: Vec<Row<'g>> = grants.iter().map(row).collect();
    rows.sort_by(|one, other| (&one.key, one.stored).cmp(&(&other.key, other.stored)));
    for same in rows.chunk_by_mut(|one, other| one.is_same(other)) {
        same.iter_mut().enumerate().for_each(|(nth, row)| row.nth = nth);
    }
    rows
}

fn stored(grant: &Grant) -> &str {
    let at = &grant.origin.defined_at;
    if at.line == 0 { &at.file } else { "" }
}

/// A page that is being filled.
struct Page {
    /// The last row that was shown.
    end: Option<End>,
    left: Left,
}

impl Page {
    fn take<T: Serialize>(&mut self, rows: impl Iterator<Item = (End, T)>) -> Vec<T> {
        let mut taken = Vec::new();
        for (end, row) in rows.take_while(|(_, row)| self.left.takes(row)) {
            self.end = Some(end);
            taken.push(row);
        }
        taken
    }
}

/// A scope, looked at.
struct Survey<'d> {
    directory: &'d Directory,
    /// Names and members are told of these only.
    known: Acquaintance<'d>,
    subscription: &'d Subscription,
    scope: &'d Scope,
    now: Timestamp,
}

impl<'d> Survey<'d> {
    /// The grants that reach the scope or something below it, in the order of their holders.
    fn grants(&self) -> impl Iterator<Item = &'d Grant> {
        let scope = self.scope;
        self.subscription.grants.iter().filter(move |grant| grant.scope.covers(scope) || scope.covers(&grant.scope))
    }

    /// Whether its holder may do something on the scope by this very grant.
    fn permits(&self, grant: &Grant, action: &Action) -> bool {
        let mut holder: Vec<PrincipalId> = grant.origin.through.as_deref().copied().into_iter().chain([grant.principal]).collect();
        holder.sort_unstable();
        self.decides(std::slice::from_ref(grant), &holder, action)
    }

    /// Everybody who may do something on the scope, groups included.
    fn permitted(&self, action: &Action) -> Vec<PrincipalId> {
        let mut candidates: Vec<PrincipalId> = self.grants().map(|grant| grant.principal).collect();
        let members = self.known.principals().filter(|known| {
            let groups = known.groups.iter().map(|object| PrincipalId { tenant: known.id.tenant, object: *object });
            groups.into_iter().any(|group| candidates.contains(&group))
        });
        let members: Vec<PrincipalId> = members.map(|known| known.id).collect();
        candidates.extend(members);
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|who| self.decides(&self.subscription.grants, &self.with_groups(*who), action));
        candidates
    }

    fn decides(&self, grants: &[Grant], principals: &[PrincipalId], action: &Action) -> bool {
        let question = Question { principals, actions: std::slice::from_ref(action), scope: self.scope, now: self.now };
        let decision = decide::decide(grants, &self.subscription.denies, self.directory.roles(), &question);
        matches!(decision, Decision::Permit { .. })
    }

    /// A principal and the groups that the directory knows it in.
    fn with_groups(&self, who: PrincipalId) -> Vec<PrincipalId> {
        let groups = self.known.principal(who).map(|known| known.groups.as_slice()).unwrap_or_default();
        let mut all: Vec<PrincipalId> = groups.iter().map(|object| PrincipalId { object: *object, ..who }).chain([who]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn describe(&self, grant: &Grant, exposures: &Exposures) -> Access {
        let (role_definition_id, role_name) = role_of(self.directory, grant.role);
        let origin = &grant.origin;
        let activated = origin.defined_at.line == 0 && origin.defined_at.file.contains("/roleAssignmentScheduleRequests/");
        let (through, offer) = match &origin.kind {
            OriginKind::Delegation { offer, .. } if activated => (Through::Activation, Some(offer.to_string())),
            OriginKind::Delegation { offer, .. } => (Through::Delegation, Some(offer.to_string())),
            OriginKind::RoleAssignment => (Through::RoleAssignment, None),
        };
        Access {
            holder: self.holder_of(grant),
            members: self.members(grant.principal),
            role_definition_id,
            role_name,
            through,
            offer,
            kept_in: kept(&origin.defined_at),
            scope: grant.scope.to_string(),
            reach: if grant.scope.covers(self.scope) { Reach::Whole } else { Reach::Part },
            force: force(*grant.window, self.now),
            last_used: None,
            exposure: exposures.exposed(grant.role).into_iter().map(|one| one.class).collect(),
            permits: None,
        }
    }

    fn members(&self, group: PrincipalId) -> Vec<Holder> {
        let is_in = |known: &&crate::directory::Principal| known.id.tenant == group.tenant && known.groups.contains(&group.object);
        let mut members: Vec<PrincipalId> = self.known.principals().filter(is_in).map(|known| known.id).collect();
        members.sort_unstable();
        members.into_iter().map(|who| self.holder(who)).collect()
    }

    /// By the name that the grant has. It has none where the owner of the subscription is told none.
    fn holder_of(&self, grant: &Grant) -> Holder {
        let holder = self.holder(grant.principal);
        let name = &*grant.origin.principal_name;
        if name == grant.principal.object.to_string() { holder } else { Holder { name: name.to_owned(), ..holder } }
    }

    fn holder(&self, who: PrincipalId) -> Holder {
        Holder {
            tenant_id: who.tenant,
            tenant_name: self.known.tenant_name(who.tenant),
            object_id: who.object,
            name: principal_name(self.known, who),
            kind: self.known.principal(who).map(|known| known.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::delegation::SourceLocation;
    use crate::ids::{ObjectId, SubscriptionId, TenantId};
    use crate::policy::{LoadOptions, load_texts};

    const NOW: &str = "2026-11-20T12:00:00Z";
    const TENANTS: [&str; 3] = ["home", "first", "second"];
    const ROLES: [&str; 4] = ["Reader", "Contributor", "Virtual Machine Contributor", "Storage Account Key Operator Service Role"];
    const SCOPES: [&str; 3] = ["main", "main/rg-a", "main/rg-b"];
    const ACTIONS: [&str; 5] = [
        "Microsoft.Compute/virtualMachines/read",
        "Microsoft.Compute/virtualMachines/start/action",
        "Microsoft.Storage/storageAccounts/listKeys/action",
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Network/virtualNetworks/delete",
    ];
    const WINDOWS: [&str; 5] = ["", "until = 2025-01-01\n", "from = 2090-01-01\n", "suspended = true\n", "on_request = { max = \"1h\" }\n"];

    fn guid(kind: u8, tenant: usize, n: usize) -> String {
        format!("{kind:08x}-{tenant:04x}-4000-8000-{n:012x}")
    }

    /// Who holds what where: tenant, principal (0 and 1 are users, 2 a group with user 1 in it), role, scope, window.
    type Held = (usize, usize, usize, usize, usize);

    /// Three tenants with two users and a group each; the second of them owns nothing but people.
    fn world(held: &[Held], deny: Option<(usize, bool)>) -> Directory {
        let mut text = String::new();
        for (number, tenant) in TENANTS.iter().enumerate() {
            writeln!(text, "[[tenant]]\nkey = {tenant:?}\nid = {:?}\nname = {tenant:?}", guid(1, number, 0)).unwrap();
            for user in 0..2 {
                let id = guid(2, number, user);
                writeln!(text, "[[user]]\nkey = \"{tenant}-{user}\"\nobject_id = {id:?}\ntenant = {tenant:?}").unwrap();
            }
            let id = guid(4, number, 2);
            writeln!(text, "[[group]]\nkey = \"{tenant}-2\"\nobject_id = {id:?}\ntenant = {tenant:?}\nmembers = [\"user:{tenant}-1\"]")
                .unwrap();
        }
        writeln!(text, "[[subscription]]\nid = {:?}\nname = \"main\"\ntenant = \"home\"", guid(5, 0, 0)).unwrap();
        for (number, (tenant, who, role, scope, window)) in held.iter().copied().enumerate() {
            let (tenant, role, scope) = (TENANTS[tenant], ROLES[role], SCOPES[scope]);
            let kind = if who == 2 { "group" } else { "user" };
            let who = format!("{kind}:{tenant}-{who}");
            if tenant == "home" {
                writeln!(text, "[[role_assignment]]\nwho = {who:?}\nrole = {role:?}\nscope = {scope:?}\ntenant = \"home\"").unwrap();
            } else {
                let window = WINDOWS[window];
                writeln!(text, "[[delegation]]\noffer = \"offer {number}\"\nmanaging_tenant = {tenant:?}\nscopes = [{scope:?}]").unwrap();
                writeln!(text, "[[delegation.authorization]]\nwho = {who:?}\nrole = {role:?}\n{window}").unwrap();
            }
        }
        if let Some((scope, excludes)) = deny {
            let excluded = if excludes { "excluded = [\"group:home-2\"]" } else { "" };
            let scope = SCOPES[scope];
            writeln!(text, "[[deny_assignment]]\nname = \"no\"\nactions = [\"Microsoft.Compute/*\"]\nscope = {scope:?}\n{excluded}")
                .unwrap();
        }
        let loaded = load_texts(Path::new("world"), &[("world.toml", &text)], &LoadOptions::new(NOW.parse().unwrap()));
        loaded.unwrap_or_else(|wrong| panic!("{text}\n{}", wrong.render(crate::policy::diagnostics::Style::default()))).directory
    }

    fn everybody() -> Vec<PrincipalId> {
        let objects = |tenant| [(2, 0), (2, 1), (4, 2)].map(|(kind, n)| guid(kind, tenant, n));
        let of = |tenant: usize| {
            let id: TenantId = guid(1, tenant, 0).parse().unwrap();
            objects(tenant).map(|object| PrincipalId { tenant: id, object: object.parse::<ObjectId>().unwrap() })
        };
        (0..TENANTS.len()).flat_map(of).collect()
    }

    /// What the decision says about somebody with all groups: written out, without a look at the report.
    fn decided(directory: &Directory, subscription: &Subscription, who: PrincipalId, action: &Action, scope: &Scope) -> bool {
        let group: ObjectId =
            guid(4, TENANTS.iter().position(|key| *directory.tenant(who.tenant).unwrap().key == **key).unwrap(), 2).parse().unwrap();
        let in_group = who.object.to_string().starts_with("00000002") && who.object.to_string().ends_with('1');
        let mut principals = vec![who];
        principals.extend(in_group.then_some(PrincipalId { object: group, ..who }));
        principals.sort_unstable();
        let question = Question { principals: &principals, actions: std::slice::from_ref(action), scope, now: NOW.parse().unwrap() };
        matches!(decide::decide(&subscription.grants, &subscription.denies, directory.roles(), &question), Decision::Permit { .. })
    }

    #[test]
    fn a_page_goes_on_after_the_one_before_whatever_went_meanwhile() {
        // Several grants of one holder, of holders of two tenants.
        let held = [(1, 0, 0, 0, 0), (1, 0, 1, 0, 0), (1, 0, 0, 1, 0), (0, 0, 0, 0, 0), (0, 1, 1, 1, 0), (1, 1, 0, 0, 0), (1, 2, 0, 2, 0)];
        let directory = world(&held, None);
        let all: Vec<&Grant> = directory.subscription(guid(5, 0, 0).parse().unwrap()).unwrap().grants.iter().collect();
        let rows = |end: Option<&End>, grants: &[&Grant]| -> Vec<(GrantKey, usize)> {
            rows_after(end, grants, &directory).map(|row| (row.key, row.nth)).collect()
        };
        let whole = rows(None, &all);
        assert!(whole.len() == all.len() && whole.len() >= held.len() && whole.is_sorted());
        for last in 0..whole.len() {
            let (key, nth) = whole[last].clone();
            let end: End = serde_json::from_str(&json!(End::Grant { key, stored: String::new(), nth }).to_string()).unwrap();
            assert_eq!(rows(Some(&end), &all), whole[last + 1..]);
            for gone in &whole {
                let left: Vec<&Grant> = all.iter().copied().filter(|grant| GrantKey::of(grant, directory.roles()) != gone.0).collect();
                let expected: Vec<_> = whole[last + 1..].iter().filter(|row| *row != gone).cloned().collect();
                assert_eq!(rows(Some(&end), &left), expected);
            }
        }
        // Each of those that nothing tells apart has a row.
        let twice: Vec<&Grant> = all.iter().flat_map(|grant| [*grant, *grant]).collect();
        let (mut count, mut end) = (0, None);
        while let Some((key, nth)) = rows(end.as_ref(), &twice).first().cloned() {
            count += 1;
            end = Some(End::Grant { key, stored: String::new(), nth });
        }
        assert_eq!(count, 2 * all.len());
        // An activation that ends does not pass its place on to the grant beside it.
        let mut activated = all[0].clone();
        Arc::make_mut(&mut activated.origin).defined_at = SourceLocation { file: "/of/it".into(), line: 0, column: 0 };
        let beside = [&activated, all[0]];
        let ends: Vec<End> = rows_after(None, &beside, &directory).map(Row::end).collect();
        for (gone, left) in [(&ends[0], &ends[1]), (&ends[1], &ends[0])] {
            let grants = if json!(left).to_string().contains("/of/it") { [&activated] } else { [all[0]] };
            let expected = usize::from(json!(gone) == json!(ends[0]));
            assert_eq!(rows_after(Some(gone), &grants, &directory).count(), expected);
        }
        let holder = End::Holder(all[0].principal);
        assert!(rows(Some(&holder), &all).is_empty() && !holder.is_before(all[0].principal) && end.unwrap().is_before(all[0].principal));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_report_is_what_the_decision_says_of_everybody(
            held in proptest::collection::vec((0..3usize, 0..3usize, 0..4usize, 0..3usize, 0..5usize), 0..8),
            deny in proptest::option::of((0..3usize, any::<bool>())),
        ) {
            let directory = world(&held, deny);
            let id: SubscriptionId = guid(5, 0, 0).parse().unwrap();
            let subscription = directory.subscription(id).unwrap();
            for scope in [Scope::subscription(id), Scope::resource_group(id, "rg-a"), Scope::resource_group(id, "rg-b")] {
                let survey = Survey { directory: &directory, known: directory.known_to_operator(), subscription, scope: &scope, now: NOW.parse().unwrap() };
                for action in ACTIONS.map(|action| action.parse::<Action>().unwrap()) {
                    let expected: Vec<PrincipalId> =
                        everybody().into_iter().filter(|who| decided(&directory, subscription, *who, &action, &scope)).collect();
                    let mut permitted = survey.permitted(&action);
                    permitted.sort_unstable();
                    let mut sorted = expected.clone();
                    sorted.sort_unstable();
                    prop_assert_eq!(&permitted, &sorted);
                    if deny.is_none() {
                        for who in everybody() {
                            let mine = survey.with_groups(who);
                            let by_rows = survey.grants().any(|grant| mine.contains(&grant.principal) && survey.permits(grant, &action));
                            prop_assert_eq!(by_rows, expected.contains(&who));
                        }
                    }
                }
            }
        }
    }
}
