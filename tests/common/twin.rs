//! The slow twin of the decision engine, and worlds made by chance to compare them in.
//!
//! The twin is written from the rules alone: it walks over every grant, matches patterns by recursion, compares scopes as
//! strings, and shares no code with the engine but the types of its input.

#[path = "dice.rs"]
mod dice;

use std::fmt::Write as _;
use std::sync::Arc;

pub(super) use dice::Dice;

use steward::arm::action::Action;
use steward::arm::scope::Scope;
use steward::clock::Timestamp;
use steward::delegation::decide::{Decision, Question, decide, nearest, scopes_below};
use steward::delegation::roles::{Permission, RoleCatalogue};
use steward::delegation::{DenyAssignment, Grant, Origin, OriginKind, RoleIndex, SourceLocation, Window};
use steward::ids::{ObjectId, PrincipalId, TenantId};

const ACTIONS: [&str; 14] = [
    "A.Web/sites/read",
    "A.Web/sites/write",
    "A.Web/sites/slots/read",
    "A.Web/sites/slots/write",
    "A.Web/sites/delete",
    "A.Web/sites/restart/action",
    "A.WebPubSub/hubs/read",
    "A.WebPubSub/hubs/write",
    "A.Authorization/roleAssignments/read",
    "A.Authorization/roleAssignments/write",
    "A.Authorization/locks/delete",
    "a.web/SITES/Read",
    "A.Compute/virtualMachines/start/action",
    "A.Compute/virtualMachines/read",
];

const SCOPES: [&str; 12] = [
    "/",
    "/subscriptions/00000000-0000-4000-8000-000000000001",
    "/subscriptions/00000000-0000-4000-8000-000000000002",
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/prod",
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourcegroups/PROD",
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/prod2",
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/prod/providers/A.Web/sites/one",
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/prod/providers/A.Web/sites/one1",
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/prod/providers/A.Web",
    "/subscriptions/00000000-0000-4000-8000-000000000002/resourceGroups/prod",
    "/providers/Microsoft.Management/managementGroups/root",
    "/providers/Microsoft.Management/managementGroups/root2",
];

/// One block of a role: actions, not-actions, whether it has a condition.
struct Block {
    actions: Vec<String>,
    not_actions: Vec<String>,
    conditional: bool,
}

struct World {
    roles: Vec<Vec<Block>>,
    catalogue: RoleCatalogue,
    grants: Vec<Grant>,
    denies: Vec<DenyAssignment>,
}

fn pattern(dice: &mut Dice<'_>) -> String {
    let action = *dice.pick(&ACTIONS);
    match dice.roll(9) {
        0 => "*".to_owned(),
        1 => format!("*/{}", action.rsplit('/').next().unwrap()),
        2 => format!("{}/*", action.split('/').next().unwrap()),
        3 => {
            let cut = dice.roll(action.len() as u64) as usize;
            format!("{}*", &action[..cut])
        }
        4 => {
            let (from, until) = (dice.roll(6) as usize + 3, action.len() - dice.roll(6) as usize);
            format!("{}*{}", &action[..from], &action[until.max(from)..])
        }
        5 => action.to_uppercase(),
        6 => action.replace("sites", "*s").replace('W', "*"),
        _ => action.to_owned(),
    }
}

fn block(dice: &mut Dice<'_>) -> Block {
    let mut not_actions = dice.some(2, pattern);
    not_actions.pop();
    Block { actions: dice.some(3, pattern), not_actions, conditional: dice.roll(8) == 0 }
}

fn table(roles: &[Vec<Block>]) -> String {
    let mut text = String::new();
    let mut line = |mark: &str, pattern: &str| writeln!(text, "{mark} {}", pattern.replacen('/', " ", 1)).unwrap();
    for (number, blocks) in roles.iter().enumerate() {
        line("role", &format!("00000000-0000-4000-9000-{number:012}/Role {number}"));
        for (place, block) in blocks.iter().enumerate() {
            if place > 0 {
                line("block", "");
            }
            if block.conditional {
                line("when", "never");
            }
            block.actions.iter().for_each(|pattern| line("+", pattern));
            block.not_actions.iter().for_each(|pattern| line("-", pattern));
        }
    }
    text.replace("block \n", "block\n")
}

fn principal(dice: &mut Dice<'_>) -> PrincipalId {
    let tenant = TenantId::from_bytes([dice.roll(2) as u8; 16]);
    PrincipalId { tenant, object: ObjectId::from_bytes([dice.roll(5) as u8; 16]) }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
}

fn window(dice: &mut Dice<'_>) -> Window {
    match dice.roll(9) {
        0 => Window::Eligible,
        1 => Window::Suspended,
        8 => Window::Unused { since: at(dice.roll(20)) },
        2 | 3 => {
            let (from, length) = (dice.roll(20), 1 + dice.roll(10));
            let from = at(from);
            let until = from + jiff::SignedDuration::from_secs(i64::try_from(length).unwrap());
            Window::Between { from: (dice.roll(2) == 0).then_some(from), until: (dice.roll(2) == 0).then_some(until) }
        }
        _ => Window::Standing,
    }
}

fn scope(dice: &mut Dice<'_>) -> Scope {
    Scope::parse(dice.pick::<&str>(&SCOPES)).unwrap()
}

fn nowhere() -> SourceLocation {
    SourceLocation { file: "twin".into(), line: 1, column: 1 }
}

fn grant(dice: &mut Dice<'_>, roles: usize) -> Grant {
    let origin = Origin { kind: OriginKind::RoleAssignment, principal_name: "somebody".into(), defined_at: nowhere(), through: None };
    Grant {
        principal: principal(dice),
        role: RoleIndex(dice.roll(roles as u64) as u16),
        scope: scope(dice).into(),
        window: window(dice).into(),
        origin: Arc::new(origin),
    }
}

fn deny(dice: &mut Dice<'_>) -> DenyAssignment {
    let patterns = dice.some(1, pattern);
    let actions = Permission::new(&patterns, &[] as &[&str]).unwrap();
    let mut excluded = dice.some(2, principal);
    excluded.pop();
    DenyAssignment { name: "deny".into(), actions, scope: scope(dice), excluded, defined_at: nowhere() }
}

fn world(dice: &mut Dice<'_>) -> World {
    let roles: Vec<Vec<Block>> = dice.some(70, |dice| dice.some(2, block));
    let catalogue = RoleCatalogue::from_table(&table(&roles)).unwrap();
    // Few grants are read through, many are searched.
    let most = if dice.roll(3) == 0 { 90 } else { 25 };
    let mut grants = dice.some(most, |dice| grant(dice, roles.len()));
    grants.sort_by_key(|grant| grant.principal);
    let denies = if dice.roll(3) == 0 { dice.some(2, deny) } else { Vec::new() };
    World { roles, catalogue, grants, denies }
}

// The twin.

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => glob(rest, text) || (!text.is_empty() && glob(pattern, &text[1..])),
        ([p, pattern @ ..], [t, text @ ..]) => p == t && glob(pattern, text),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}

fn matches(patterns: &[String], action: &str) -> bool {
    patterns.iter().any(|pattern| glob(pattern.to_lowercase().as_bytes(), action.to_lowercase().as_bytes()))
}

fn inside(wide: &Scope, narrow: &Scope) -> bool {
    let (wide, narrow) = (wide.to_string().to_lowercase(), narrow.to_string().to_lowercase());
    wide == narrow || (wide != "/" && narrow.starts_with(&format!("{wide}/")))
}

fn permits(world: &World, role: RoleIndex, action: &str, conditional: bool) -> bool {
    let blocks = &world.roles[usize::from(role.0)];
    blocks.iter().any(|b| b.conditional == conditional && matches(&b.actions, action) && !matches(&b.not_actions, action))
}

fn in_force(window: Window, now: Timestamp) -> bool {
    match window {
        Window::Standing => true,
        Window::Eligible | Window::Suspended | Window::Unused { .. } => false,
        Window::Between { from, until } => from.is_none_or(|from| now >= from) && until.is_none_or(|until| until > now),
    }
}

fn over(window: Window, now: Timestamp) -> bool {
    match window {
        Window::Suspended | Window::Unused { .. } => true,
        Window::Between { until, .. } => until.is_some_and(|until| now >= until),
        Window::Standing | Window::Eligible => false,
    }
}

/// `Ok` when everything is permitted, else the code of the reason.
fn twin(world: &World, question: &Question<'_>) -> Result<(), &'static str> {
    for deny in &world.denies {
        let patterns: Vec<String> = deny.actions.actions().map(ToOwned::to_owned).collect();
        let excluded = question.principals.iter().any(|principal| deny.excluded.contains(principal));
        if !excluded && inside(&deny.scope, question.scope) && question.actions.iter().any(|action| matches(&patterns, action.as_str())) {
            return Err("role.deny_assignment");
        }
    }
    question.actions.iter().try_for_each(|action| twin_action(world, question, action.as_str()))
}

fn twin_action(world: &World, question: &Question<'_>, action: &str) -> Result<(), &'static str> {
    let tenant = question.principals[0].tenant;
    let covering: Vec<&Grant> =
        world.grants.iter().filter(|grant| grant.principal.tenant == tenant && inside(&grant.scope, question.scope)).collect();
    let mine: Vec<&Grant> = covering.iter().copied().filter(|grant| question.principals.contains(&grant.principal)).collect();
    let permitting: Vec<&Grant> = mine.iter().copied().filter(|grant| permits(world, grant.role, action, false)).collect();
    if permitting.iter().any(|grant| in_force(*grant.window, question.now)) {
        return Ok(());
    }
    if covering.is_empty() {
        return Err("delegation.none");
    }
    if covering.iter().all(|grant| over(*grant.window, question.now)) {
        let suspended = covering.iter().any(|grant| *grant.window == Window::Suspended);
        let unused = covering.iter().any(|grant| matches!(*grant.window, Window::Unused { .. }));
        return Err(if suspended {
            "delegation.suspended"
        } else if unused {
            "delegation.unused"
        } else {
            "delegation.expired"
        });
    }
    if mine.is_empty() {
        return Err("role.principal");
    }
    if permitting.is_empty() {
        let conditional = mine.iter().any(|grant| permits(world, grant.role, action, true));
        return Err(if conditional { "role.condition" } else { "role.action_missing" });
    }
    let waiting = |grant: &&&Grant| *grant.window == Window::Eligible || !over(*grant.window, question.now);
    if permitting.iter().any(|grant| waiting(&grant)) {
        return Err("role.not_active");
    }
    if permitting.iter().any(|grant| matches!(*grant.window, Window::Unused { .. })) {
        return Err("delegation.unused");
    }
    let ended = permitting.iter().any(|grant| *grant.window != Window::Suspended);
    Err(if ended { "delegation.expired" } else { "delegation.suspended" })
}

// The comparison.

/// How often each answer was given.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) permitted: u32,
    pub(super) denied: std::collections::BTreeMap<&'static str, u32>,
}

/// Asks engine and twin these many questions about one world.
///
/// # Panics
/// When they differ.
pub(super) fn compare(mut dice: Dice<'_>, questions: u64, counts: &mut Counts) {
    let world = world(&mut dice);
    for number in 0..questions {
        let tenant = principal(&mut dice).tenant;
        let mut principals = dice.some(2, |dice| PrincipalId { tenant, ..principal(dice) });
        principals.sort_unstable();
        principals.dedup();
        let actions: Vec<Action> = dice.some(1, |dice| dice.pick(&ACTIONS).parse().unwrap());
        let scope = scope(&mut dice);
        let question = Question { principals: &principals, actions: &actions, scope: &scope, now: at(dice.roll(30)) };
        let expected = twin(&world, &question);
        let context = || format!("question {number}: {question:?}");
        let decision = decide(&world.grants, &world.denies, &world.catalogue, &question);
        match decision {
            Decision::Permit { grant } => {
                assert_eq!(expected, Ok(()), "{}", context());
                assert!(principals.contains(&grant.principal) && inside(&grant.scope, &scope), "{}", context());
                counts.permitted += 1;
            }
            Decision::Deny(reason) => {
                assert_eq!(expected, Err(reason.code()), "{}", context());
                *counts.denied.entry(reason.code()).or_default() += 1;
            }
        }
        compare_views(&world, &question, &context);
    }
}

fn compare_views(world: &World, question: &Question<'_>, context: &dyn Fn() -> String) {
    let below = scopes_below(&world.grants, &world.denies, &world.catalogue, question);
    for place in world.grants.iter().filter(|grant| question.principals.contains(&grant.principal)).map(|grant| &grant.scope) {
        let permitted = inside(question.scope, place) && twin(world, &Question { scope: place, ..*question }).is_ok();
        let shown = below.iter().any(|known| inside(known, place));
        assert!(!permitted || shown, "{place} is not shown; {}", context());
    }
    for place in below {
        let there = Question { scope: place, ..*question };
        assert!(inside(question.scope, place) && twin(world, &there).is_ok(), "{place} is shown; {}", context());
    }
    let tenant = question.principals[0].tenant;
    let nearest = nearest(&world.grants, &world.catalogue, question, tenant, 3);
    let best = nearest.first().map_or(0, |first| first.score());
    assert!(nearest.iter().all(|one| one.score() <= best && one.grant.principal.tenant == tenant), "{}", context());
    if let [action] = question.actions {
        assert_eq!(best == 4, twin_action(world, question, action.as_str()).is_ok(), "{}", context());
    }
}
