//! The life of delegations against a slow reference: random sequences of onboarding, updating, activating, expiring and removing.
//!
//! The product takes each step as a change of the store and renews what it touches. The reference keeps plain facts and answers every
//! question by walking over all of them. Both must always agree; and what was renewed step by step must equal what is made from
//! scratch. `STEWARD_SEED` replaces the seed, which a failure prints.
#![expect(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test panics when it fails; random numbers are folded into small ranges"
)]

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use steward::arm::action::Action;
use steward::arm::scope::Scope;
use steward::clock::Timestamp;
use steward::delegation::decide::{Decision, Question, decide};
use steward::delegation::offer::{
    Authorization, DefinitionKey, EligibleAuthorization, JustInTimePolicy, RegistrationAssignment, RegistrationDefinition, Term,
};
use steward::delegation::roles::RoleCatalogue;
use steward::directory::entity::{self, Activation, ActivationStatus, Entity, RoleAssignment};
use steward::directory::{Directory, Registry};
use steward::ids::{
    ActivationId, AssignmentId, DefinitionId, Epoch, ObjectId, PrincipalId, RoleAssignmentId, RoleId, SubscriptionId, TenantId,
};
use steward::policy::{self, LoadOptions};
use steward::store::{Change, Object, ObjectKey, Revision, Snapshot, Write};

const SEQUENCES: u64 = 10_000;
const STEPS: u64 = 20;

/// Splitmix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.roll(choices.len() as u64) as usize]
    }
}

fn id(kind: u8, n: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    (bytes[0], bytes[6], bytes[8], bytes[15]) = (kind, 0x40, 0x80, n as u8);
    bytes
}

fn tenant(n: u64) -> TenantId {
    TenantId::from_bytes(id(1, n))
}

fn subscription(n: u64) -> SubscriptionId {
    SubscriptionId::from_bytes(id(2, n))
}

fn object(n: u64) -> ObjectId {
    ObjectId::from_bytes(id(3, n))
}

/// Tenants 0 and 1 are customers with two subscriptions each, 2 and 3 providers. Tenant 2 holds one declared delegation.
fn world() -> Directory {
    let mut text = String::new();
    for n in 0..4 {
        text += &format!("[[tenant]]\nkey = \"t{n}\"\nid = \"{}\"\nname = \"T{n}\"\n", tenant(n));
        text += &format!("[[subscription]]\nid = \"{}\"\nname = \"s{n}\"\ntenant = \"t{}\"\n", subscription(n), n / 2);
    }
    text += &format!("[[user]]\nkey = \"u\"\nobject_id = \"{}\"\ntenant = \"t2\"\n", object(0));
    text += "[[delegation]]\noffer = \"Declared\"\nmanaging_tenant = \"t2\"\nscopes = [\"s0/prod\"]\n";
    text += "[[delegation.authorization]]\nwho = \"u\"\nrole = \"Reader\"\n";
    text += "[[delegation.authorization]]\nwho = \"u\"\nrole = \"Contributor\"\non_request = { max = \"2h\" }\n";
    policy::load_texts("model".as_ref(), &[("world.toml", &text)], &LoadOptions::new(start())).unwrap().directory
}

fn start() -> Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

const ROLES: [&str; 3] =
    ["acdd72a7-3385-48ef-bd42-f606fba81ae7", "b24988ac-6180-42a0-ab88-20f7382dd24c", "9980e02c-c2be-4d73-94e8-173b1dc7cf3c"];
const ACTIONS: [&str; 4] = [
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Network/virtualNetworks/write",
    "Microsoft.Authorization/roleAssignments/write",
];

fn scope(dice: &mut Dice, subscription_number: u64) -> Scope {
    let whole = Scope::subscription(subscription(subscription_number));
    match dice.roll(3) {
        0 => whole,
        1 => Scope::resource_group(subscription(subscription_number), "prod"),
        _ => Scope::resource_group(subscription(subscription_number), "Prod2"),
    }
}

/// What somebody may do somewhere, from and until.
struct Fact {
    principal: PrincipalId,
    role: RoleId,
    scope: String,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// Everything that was ever written and is still there, as rows.
#[derive(Default)]
struct Facts {
    rows: Vec<(ObjectKey, Entity)>,
}

impl Facts {
    fn write(&mut self, write: &Write, entity: Option<Entity>) {
        self.rows.retain(|(key, _)| *key != write.key);
        self.rows.extend(entity.map(|entity| (write.key.clone(), entity)));
    }

    fn definitions(&self) -> impl Iterator<Item = &RegistrationDefinition> {
        self.rows.iter().filter_map(|(_, row)| if let Entity::Definition(one) = row { Some(one) } else { None })
    }

    fn assignments(&self) -> impl Iterator<Item = &RegistrationAssignment> {
        self.rows.iter().filter_map(|(_, row)| if let Entity::Assignment(one) = row { Some(one) } else { None })
    }

    /// The eligible authorizations in force: assignment, scope, managing tenant, principal, role, term.
    fn eligible(&self, directory: &Directory) -> Vec<(AssignmentId, String, TenantId, ObjectId, RoleId, Term)> {
        let mut all = Vec::new();
        for one in self.assignments() {
            for definition in self.definitions().filter(|definition| definition.key() == one.definition) {
                for eligible in &definition.eligible {
                    let place = one.scope.to_string().to_lowercase();
                    all.push((one.name, place, definition.managing_tenant, eligible.principal, eligible.role, definition.term));
                }
            }
        }
        let declared = steward::directory::shown::assignments(directory, subscription(0));
        let declared = declared.iter().find(|one| matches!(one.kept, steward::directory::shown::Kept::Declared(_))).unwrap();
        let place = declared.body.scope.to_string().to_lowercase();
        all.push((declared.body.name, place, tenant(2), object(0), ROLES[1].parse().unwrap(), Term::default()));
        all
    }

    fn facts(&self, directory: &Directory) -> Vec<Fact> {
        let mut facts = vec![Fact {
            principal: PrincipalId { tenant: tenant(2), object: object(0) },
            role: ROLES[0].parse().unwrap(),
            scope: Scope::resource_group(subscription(0), "prod").to_string().to_lowercase(),
            from: None,
            until: None,
        }];
        for one in self.assignments() {
            for definition in self.definitions().filter(|definition| definition.key() == one.definition) {
                facts.extend(definition.authorizations.iter().map(|authorization| Fact {
                    principal: PrincipalId { tenant: definition.managing_tenant, object: authorization.principal },
                    role: authorization.role,
                    scope: one.scope.to_string().to_lowercase(),
                    from: definition.term.not_before,
                    until: definition.term.not_after,
                }));
            }
        }
        let eligible = self.eligible(directory);
        for (_, row) in &self.rows {
            match row {
                Entity::RoleAssignment(one) => facts.push(Fact {
                    principal: one.principal,
                    role: one.role,
                    scope: one.scope.to_string().to_lowercase(),
                    from: None,
                    until: None,
                }),
                Entity::Activation(one) if one.status == ActivationStatus::Granted => {
                    let place = one.scope.to_string().to_lowercase();
                    let behind = eligible.iter().find(|(assignment, scope, managing, principal, role, _)| {
                        *assignment == one.assignment
                            && is_within(&place, scope)
                            && (*managing, *principal, *role) == (one.principal.tenant, one.eligible, one.role)
                    });
                    facts.extend(behind.map(|(.., term)| Fact {
                        principal: one.principal,
                        role: one.role,
                        scope: place.clone(),
                        from: Some(term.not_before.map_or(one.from, |begin| begin.max(one.from))),
                        until: Some(term.not_after.map_or(one.until, |end| end.min(one.until))),
                    }));
                }
                Entity::Account(_)
                | Entity::Activation(_)
                | Entity::Assignment(_)
                | Entity::CloudSubscription(_)
                | Entity::Definition(_)
                | Entity::Deployment(_)
                | Entity::Event(_)
                | Entity::Operation(_)
                | Entity::SignUp(_)
                | Entity::Tenure(_)
                | Entity::WebhookCursor(_) => {}
            }
        }
        facts
    }
}

/// Scopes as text, by whole segments.
fn is_within(inner: &str, outer: &str) -> bool {
    inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

struct Model {
    dice: Dice,
    directory: Directory,
    facts: Facts,
    now: Timestamp,
    written: usize,
    permitted: u64,
}

impl Model {
    fn step(&mut self) {
        let n = self.dice.roll(4);
        match self.dice.roll(10) {
            0..=2 => self.define(n),
            3 | 4 => self.assign(n),
            5 => self.remove(),
            6 | 7 => self.activate(),
            8 => self.give(n),
            _ => self.now += Duration::from_secs(60 * (1 + self.dice.roll(90))),
        }
    }

    fn define(&mut self, n: u64) {
        let managing_tenant = tenant(2 + self.dice.roll(2));
        let authorizations = (0..=self.dice.roll(2)).map(|_| Authorization {
            principal: object(self.dice.roll(4)),
            display_name: None,
            role: self.dice.pick(&ROLES).parse().unwrap(),
            delegated_roles: Vec::new(),
        });
        let authorizations = authorizations.collect();
        let eligible = (0..self.dice.roll(3)).map(|_| EligibleAuthorization {
            principal: object(self.dice.roll(4)),
            display_name: None,
            role: self.dice.pick(&ROLES).parse().unwrap(),
            policy: JustInTimePolicy::default(),
        });
        let eligible = eligible.collect();
        let mut moment = |sides| (self.dice.roll(sides) == 0).then(|| self.now + Duration::from_secs(60 * self.dice.roll(120)));
        let term = Term { not_before: moment(5), not_after: moment(4), ..Term::default() };
        let nobody = PrincipalId { tenant: tenant(n / 2), object: object(9) };
        let definition = RegistrationDefinition {
            subscription: subscription(n),
            name: DefinitionId::from_bytes(id(4, self.dice.roll(3))),
            offer_name: Arc::from("offer"),
            description: None,
            managing_tenant,
            authorizations,
            eligible,
            plan: None,
            term,
            created_at: self.now,
            created_by: nobody,
            updated_at: self.now,
            updated_by: nobody,
        };
        self.apply(Entity::Definition(definition));
    }

    fn assign(&mut self, n: u64) {
        let scope = scope(&mut self.dice, n);
        let definition = DefinitionKey { subscription: subscription(n), name: DefinitionId::from_bytes(id(4, self.dice.roll(3))) };
        let created_by = PrincipalId { tenant: tenant(n / 2), object: object(9) };
        let name = AssignmentId::from_bytes(id(5, self.dice.roll(4)));
        self.apply(Entity::Assignment(RegistrationAssignment { scope, name, definition, created_at: self.now, created_by }));
    }

    fn give(&mut self, n: u64) {
        let principal = PrincipalId { tenant: tenant(n / 2), object: object(self.dice.roll(4)) };
        let role = RoleAssignment {
            name: RoleAssignmentId::from_bytes(id(6, self.dice.roll(3))),
            scope: scope(&mut self.dice, n),
            subscription: subscription(n),
            principal,
            principal_kind: None,
            role: self.dice.pick(&ROLES).parse().unwrap(),
            description: None,
            delegated_managed_identity: None,
            created_at: self.now,
            created_by: principal,
        };
        self.apply(Entity::RoleAssignment(role));
    }

    fn activate(&mut self) {
        let eligible = self.facts.eligible(&self.directory);
        let (assignment, place, managing, principal, role, _) = self.dice.pick(&eligible).clone();
        let place = Scope::parse(&place).unwrap();
        let home = place.subscription_id().unwrap();
        let narrower = if place.below().is_empty() && self.dice.roll(2) == 0 { Scope::resource_group(home, "PROD") } else { place };
        let from = self.now + Duration::from_secs(60 * self.dice.roll(20));
        let statuses = [ActivationStatus::Granted, ActivationStatus::Granted, ActivationStatus::PendingApproval, ActivationStatus::Denied];
        let activation = Activation {
            name: ActivationId::from_bytes(id(7, self.dice.roll(4))),
            scope: narrower,
            subscription: home,
            assignment,
            principal: PrincipalId { tenant: managing, object: principal },
            principal_name: Arc::from("p"),
            eligible: principal,
            role,
            justification: "j".into(),
            ticket: None,
            requested_at: self.now,
            from,
            until: from + Duration::from_secs(60 * (5 + self.dice.roll(100))),
            stages: Vec::new(),
            status: *self.dice.pick(&statuses),
        };
        self.apply(Entity::Activation(activation));
    }

    fn remove(&mut self) {
        if self.facts.rows.is_empty() {
            return;
        }
        let (key, _) = self.dice.pick(&self.facts.rows).clone();
        self.commit(entity::removal(key), None);
    }

    fn apply(&mut self, entity: Entity) {
        self.commit(entity.clone().into_write(), Some(entity));
    }

    fn commit(&mut self, write: Write, entity: Option<Entity>) {
        self.facts.write(&write, entity);
        let revision = Revision(self.directory.registry().revision().0 + 1);
        self.directory = self.directory.apply(&Change { revision, at: self.now, writes: vec![write] }).unwrap();
        self.written += 1;
    }

    fn question(&mut self) -> (PrincipalId, Action, Scope) {
        let n = self.dice.roll(4);
        let home = if self.dice.roll(4) == 0 { tenant(n / 2) } else { tenant(2 + self.dice.roll(2)) };
        let principal = PrincipalId { tenant: home, object: object(self.dice.roll(4)) };
        let action = self.dice.pick(&ACTIONS).parse().unwrap();
        (principal, action, scope(&mut self.dice, n))
    }

    fn compare(&mut self) {
        let (principal, action, scope) = self.question();
        let expected = self.expected(principal, &action, &scope);
        let found = self.directory.subscription(scope.subscription_id().unwrap()).unwrap();
        let question = Question { principals: &[principal], actions: std::slice::from_ref(&action), scope: &scope, now: self.now };
        let decision = decide(&found.grants, &found.denies, self.directory.roles(), &question);
        assert_eq!(matches!(decision, Decision::Permit { .. }), expected, "{principal:?} {action} {scope} at {}: {decision:?}", self.now);
        self.permitted += u64::from(expected);
        let related = self.facts.assignments().any(|one| {
            let mut offers = self.facts.definitions().filter(|definition| definition.key() == one.definition);
            offers.any(|offer| offer.managing_tenant == principal.tenant && self.home(one.scope.subscription_id().unwrap()) == found.tenant)
        });
        let declared = (principal.tenant, found.tenant) == (tenant(2), tenant(0));
        let related = related || declared || principal.tenant == found.tenant;
        assert_eq!(self.directory.related(principal.tenant, found.tenant), related, "{} and {}", principal.tenant, found.tenant);
    }

    fn home(&self, id: SubscriptionId) -> TenantId {
        self.directory.subscription(id).unwrap().tenant
    }

    fn expected(&self, principal: PrincipalId, action: &Action, scope: &Scope) -> bool {
        let roles = RoleCatalogue::builtin();
        let place = scope.to_string().to_lowercase();
        self.facts.facts(&self.directory).iter().any(|fact| {
            fact.principal == principal
                && is_within(&place, &fact.scope)
                && fact.from.is_none_or(|from| from <= self.now)
                && fact.until.is_none_or(|until| self.now < until)
                && roles.role(roles.by_id(fact.role).unwrap()).unwrap().permits(action)
        })
    }

    /// What was renewed step by step is what a node makes that starts now.
    fn compare_with_scratch(&mut self) {
        let revision = self.directory.registry().revision();
        let objects = self.facts.rows.iter().map(|(_, entity)| {
            let write = entity.clone().into_write();
            Object { key: write.key, revision, body: write.body.unwrap() }
        });
        let snapshot = Snapshot { epoch: Epoch::random(), revision, objects: objects.collect() };
        let fresh = world().agreeing(Registry::from_snapshot(&snapshot).unwrap());
        for n in 0..4 {
            let of = |directory: &Directory| {
                let found = directory.subscription(subscription(n)).unwrap();
                let mut grants: Vec<String> = found.grants.iter().map(|grant| format!("{grant:?}")).collect();
                grants.sort();
                let mut reach: Vec<SubscriptionId> = directory.reach(tenant(n)).map(|one| one.id).collect();
                reach.sort_unstable();
                (grants, found.managed_by.clone(), reach)
            };
            assert_eq!(of(&self.directory), of(&fresh));
        }
        self.directory = fresh;
    }
}

#[test]
fn ten_thousand_lives_of_delegations_agree_with_the_slow_reference() {
    let seed: u64 = std::env::var("STEWARD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    let world = world();
    let (mut questions, mut permitted, mut written) = (0_u64, 0, 0);
    for sequence in 0..SEQUENCES {
        let dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(sequence));
        let mut model = Model { dice, directory: world.clone(), facts: Facts::default(), now: start(), written: 0, permitted: 0 };
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                model.step();
                for _ in 0..4 {
                    model.compare();
                }
            }
            if sequence % 10 == 0 {
                model.compare_with_scratch();
            }
        }));
        assert!(lived.is_ok(), "sequence {sequence} of seed {seed} differs: STEWARD_SEED={seed}");
        questions += STEPS * 4;
        permitted += model.permitted;
        written += model.written;
    }
    assert!(permitted > 1_000, "questions that are all denied show nothing");
    // Past the capture of the test harness: the counts are what the test is for.
    writeln!(
        std::io::stdout().lock(),
        "measured: {SEQUENCES} sequences, {written} changes, {questions} questions, {permitted} of them permitted: no difference"
    )
    .unwrap();
}
