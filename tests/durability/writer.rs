//! A client that writes without pause, and knows what has to be there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use steward::clock::Clock;
use tokio::sync::{Notify, watch};

use crate::client::{Answer, Call, PATIENCE, call, get};
use crate::node::{CUSTOMER, Node, PROVIDER, READER, Unanswered, VM_CONTRIBUTOR, Wire, guid, offer, owner, subscription, token};

/// Eligible authorizations of an automation are an extension of the gateway's own version.
const MS: &str = "api-version=2026-11-01-steward-preview";
const PIM: &str = "api-version=2020-10-01";
const ROLES: &str = "api-version=2022-04-01";

/// More than so many of a kind are not kept by one writer.
const KEPT_MAX: usize = 12;
/// How many things, of those that were not written lately, are looked at each time.
const SAMPLE: usize = 2;
/// Between two requests that the gateway cannot take now.
const PAUSE: Duration = Duration::from_millis(25);

/// A small generator with a seed, so that a failure can be looked at again. Source: Vigna, splitmix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let place = self.below(u64::try_from(from.len().max(1)).unwrap());
        from.get(usize::try_from(place).unwrap()).copied()
    }
}

/// What a writer writes, by a number that it uses once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    Activation(u32),
    Assignment(u32),
    Definition(u32),
    RoleAssignment(u32),
}

/// What has to be seen of a thing.
#[derive(Debug, Clone, Default)]
pub struct Fact {
    /// As acknowledged. Nothing: it is not there.
    pub sure: Option<String>,
    pub doubt: Option<Doubt>,
}

/// A write that was not acknowledged.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// What is there if it took place.
    after: Option<String>,
}

/// What became of the writes so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub acknowledged: u64,
    /// Not acknowledged, and found afterwards.
    pub found: u64,
    /// Not acknowledged, and not there.
    pub not_found: u64,
    /// Refused by a gateway that said that nothing was changed.
    pub refused: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.found += other.found;
        self.not_found += other.not_found;
        self.refused += other.refused;
    }
}

/// One client with a subscription of its own.
#[derive(Debug)]
pub struct Writer {
    number: u16,
    wire: Wire,
    random: Random,
    next: u32,
    pub facts: BTreeMap<Thing, Fact>,
    lately: BTreeSet<Thing>,
    pub tally: Tally,
    owner: String,
    activator: String,
}

/// A write, and what is there once it took place.
#[derive(Clone)]
struct Step {
    thing: Thing,
    after: Option<String>,
    call: Call,
}

impl Writer {
    pub fn new(number: u16, node: &Node, seed: u64) -> Self {
        Self {
            number,
            wire: node.wire(),
            random: Random(seed ^ u64::from(number) << 32),
            next: 0,
            facts: BTreeMap::new(),
            lately: BTreeSet::new(),
            tally: Tally::default(),
            owner: String::new(),
            activator: String::new(),
        }
    }

    /// New tokens: a run may last longer than one of them.
    pub fn sign_in(&mut self) {
        self.owner = owner();
        self.activator = token(PROVIDER, &self.activator_id());
    }

    fn activator_id(&self) -> String {
        guid(3, self.number, 0)
    }

    /// An eligible role on the whole subscription, so that there is something to activate. Two writes.
    pub async fn prepare(&mut self) {
        let definition = self.define(0);
        self.insist(definition).await;
        let assignment = self.assign(0, 0);
        self.insist(assignment).await;
    }

    /// One more definition, whatever it takes: afterwards the gateway knows everything that was written before.
    ///
    /// A database that was killed a moment ago may take a few of them.
    pub async fn fence(&mut self) {
        let (acknowledged, started) = (self.tally.acknowledged, Clock::instant());
        while self.tally.acknowledged == acknowledged {
            assert!(started.elapsed() < PATIENCE, "a write is acknowledged again");
            let number = self.fresh();
            let step = self.define(number);
            assert!(self.make(step).await.is_some(), "the gateway runs and answers");
        }
    }

    async fn insist(&mut self, step: Step) {
        let (before, started) = (self.tally, Clock::instant());
        while self.tally.acknowledged == before.acknowledged {
            let refused = self.tally.refused;
            self.make(step.clone()).await;
            let made = self.tally.acknowledged > before.acknowledged;
            assert!(made || self.tally.refused > refused && started.elapsed() < PATIENCE, "the write is acknowledged");
        }
    }

    /// Writes until told to stop, or until nobody answers.
    pub async fn write(mut self, stopped: watch::Receiver<bool>, written: Arc<Notify>) -> Self {
        let before = self.tally.acknowledged;
        while !*stopped.borrow() {
            let step = self.plan();
            if self.make(step).await.is_none() {
                break;
            }
            if self.tally.acknowledged > before {
                written.notify_one();
            }
        }
        self
    }

    /// Makes one write. Nothing when nobody answered.
    async fn make(&mut self, step: Step) -> Option<()> {
        let shown = format!("{} {}", step.call.method, step.call.target);
        let answered = self.wire.ask(step.call).await;
        let fact = self.facts.entry(step.thing).or_default();
        match answered {
            Ok(answer) if answer.status.is_success() => {
                assert!(answer.status != StatusCode::NO_CONTENT, "{shown}: there was something to change");
                fact.sure = step.after;
                self.tally.acknowledged += 1;
            }
            Ok(answer) if is_in_doubt(&answer) => {
                fact.doubt = Some(Doubt { after: step.after });
                tokio::time::sleep(PAUSE).await;
            }
            Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                assert!(!answer.header("retry-after").is_empty(), "{shown} {}", answer.told());
                self.tally.refused += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Ok(answer) => panic!("{shown} {} {}", answer.status, String::from_utf8_lossy(&answer.body)),
            Err(Unanswered::NotSent) => return None,
            Err(Unanswered::Lost) => {
                fact.doubt = Some(Doubt { after: step.after });
                self.lately.insert(step.thing);
                return None;
            }
        }
        self.lately.insert(step.thing);
        Some(())
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// Things that are there for sure.
    fn held<T>(&self, which: impl Fn(&Thing, &str) -> Option<T>) -> Vec<T> {
        let sure = self.facts.iter().filter(|(_, fact)| fact.doubt.is_none());
        sure.filter_map(|(thing, fact)| which(thing, fact.sure.as_deref()?)).collect()
    }

    fn plan(&mut self) -> Step {
        let fresh = self.fresh();
        let definitions = self.held(|thing, _| if let Thing::Definition(number) = thing { Some(*number) } else { None });
        let assignments = self.held(|thing, _| if let Thing::Assignment(number @ 1..) = thing { Some(*number) } else { None });
        let roles = self.held(|thing, _| if let Thing::RoleAssignment(number) = thing { Some(*number) } else { None });
        let active = self.held(|thing, value| match thing {
            Thing::Activation(number) => (value == "Provisioned").then_some(*number),
            Thing::Assignment(_) | Thing::Definition(_) | Thing::RoleAssignment(_) => None,
        });
        let unbound: Vec<u32> = definitions.iter().copied().filter(|number| *number > 0 && !self.is_bound(*number)).collect();
        let chance = self.random.below(100);
        let full = |list: &[u32]| list.len() >= KEPT_MAX;
        let random = &mut self.random;
        let chosen = match chance {
            0..15 if !full(&definitions) => return self.define(fresh),
            0..25 => random.choose(&unbound).map(|number| self.drop_definition(number)),
            25..40 => random.choose(&definitions).map(|number| self.define(number)),
            40..60 if !full(&assignments) => random.choose(&definitions).map(|number| self.assign(fresh, number)),
            40..75 => random.choose(&assignments).map(|number| self.unassign(number)),
            75..82 if !full(&roles) => return self.give_role(fresh),
            75..90 => random.choose(&roles).map(|number| self.take_role(number)),
            90..97 if !full(&active) => return self.activate(fresh),
            _ => random.choose(&active).map(|number| self.deactivate(number)),
        };
        chosen.unwrap_or_else(|| self.define(fresh))
    }

    fn is_bound(&self, definition: u32) -> bool {
        let text = definition.to_string();
        self.facts.iter().any(|(thing, fact)| {
            let is_it = |value: &Option<String>| value.as_deref() == Some(&text);
            matches!(thing, Thing::Assignment(_)) && (is_it(&fact.sure) || fact.doubt.as_ref().is_some_and(|doubt| is_it(&doubt.after)))
        })
    }

    fn scope(&self, number: u32) -> String {
        // The first assignment is that of the whole subscription.
        match number {
            0 => subscription(self.number),
            number => format!("{}/resourceGroups/rg-{number}", subscription(self.number)),
        }
    }

    /// The resource id of a thing.
    pub fn id(&self, thing: Thing) -> String {
        let in_scope = |kind: &str, number: u32| format!("{}/providers/{kind}/{}", self.scope(number), self.name(thing));
        match thing {
            Thing::Activation(number) => in_scope("Microsoft.Authorization/roleAssignmentScheduleRequests", number),
            Thing::Assignment(number) => in_scope("Microsoft.ManagedServices/registrationAssignments", number),
            Thing::Definition(_) => in_scope("Microsoft.ManagedServices/registrationDefinitions", 0),
            Thing::RoleAssignment(number) => in_scope("Microsoft.Authorization/roleAssignments", number),
        }
    }

    fn name(&self, thing: Thing) -> String {
        match thing {
            Thing::Activation(number) => guid(4, self.number, number),
            Thing::Assignment(number) => guid(5, self.number, number),
            Thing::Definition(number) => guid(6, self.number, number),
            Thing::RoleAssignment(number) => guid(7, self.number, number),
        }
    }

    /// The kind and name of its row.
    pub fn row(&self, thing: Thing) -> (&'static str, String) {
        let subscription = guid(1, 0, self.number.into());
        let name = self.name(thing);
        match thing {
            Thing::Activation(_) => ("activation", format!("{subscription}/{name}")),
            Thing::Assignment(number) => ("registration_assignment", format!("{}/{name}", self.scope(number).to_lowercase())),
            Thing::Definition(_) => ("registration_definition", format!("{subscription}/{name}")),
            Thing::RoleAssignment(_) => ("role_assignment", format!("{subscription}/{name}")),
        }
    }

    fn step(&self, thing: Thing, after: Option<String>, method: &str, body: Option<&Value>) -> Step {
        let (version, token) = match thing {
            Thing::Activation(_) => (PIM, &self.activator),
            Thing::Assignment(_) | Thing::Definition(_) => (MS, &self.owner),
            Thing::RoleAssignment(_) => (ROLES, &self.owner),
        };
        let call = call(method, format!("{}?{version}", self.id(thing))).bearer(token);
        Step { thing, after, call: body.into_iter().fold(call, Call::json) }
    }

    /// A new definition, or another text for one that is there.
    fn define(&mut self, number: u32) -> Step {
        let description = format!("written {}", self.random.next());
        let standing = json!([{ "principalId": self.activator_id(), "roleDefinitionId": READER }]);
        let eligible = json!([{ "principalId": self.activator_id(), "roleDefinitionId": VM_CONTRIBUTOR, "justInTimeAccessPolicy": {
            "multiFactorAuthProvider": "None", "maximumActivationDuration": "PT8H",
        } }]);
        let body = offer(&format!("Offer {number}"), &description, &standing, &eligible);
        self.step(Thing::Definition(number), Some(description), "PUT", Some(&body))
    }

    fn drop_definition(&self, number: u32) -> Step {
        self.step(Thing::Definition(number), None, "DELETE", None)
    }

    fn assign(&self, number: u32, definition: u32) -> Step {
        let body = json!({ "properties": { "registrationDefinitionId": self.id(Thing::Definition(definition)) } });
        self.step(Thing::Assignment(number), Some(definition.to_string()), "PUT", Some(&body))
    }

    fn unassign(&self, number: u32) -> Step {
        self.step(Thing::Assignment(number), None, "DELETE", None)
    }

    fn give_role(&self, number: u32) -> Step {
        let principal = guid(8, self.number, number);
        let body = json!({ "properties": { "roleDefinitionId": READER, "principalId": principal, "principalType": "User" } });
        self.step(Thing::RoleAssignment(number), Some(principal), "PUT", Some(&body))
    }

    fn take_role(&self, number: u32) -> Step {
        self.step(Thing::RoleAssignment(number), None, "DELETE", None)
    }

    fn activate(&self, number: u32) -> Step {
        let body = self.activation("SelfActivate");
        self.step(Thing::Activation(number), Some("Provisioned".to_owned()), "PUT", Some(&body))
    }

    fn deactivate(&mut self, number: u32) -> Step {
        let body = self.activation("SelfDeactivate");
        let mut step = self.step(Thing::Activation(number), Some("Revoked".to_owned()), "PUT", Some(&body));
        // The request to end it has a name of its own.
        step.call.target = step.call.target.replace(&self.name(step.thing), &guid(9, self.number, number));
        step
    }

    fn activation(&self, kind: &str) -> Value {
        json!({ "properties": {
            "principalId": self.activator_id(), "roleDefinitionId": VM_CONTRIBUTOR, "requestType": kind, "justification": "a test",
        } })
    }

    /// Looks at what was written lately, and at some of the rest. What was in doubt is so no more.
    pub async fn verify(&mut self) {
        let mut looked_at = std::mem::take(&mut self.lately);
        let all: Vec<Thing> = self.facts.keys().copied().collect();
        looked_at.extend((0..SAMPLE).filter_map(|_| self.random.choose(&all)));
        self.verify_these(looked_at).await;
    }

    /// Looks at everything that was ever written.
    pub async fn verify_all(&mut self) {
        self.verify_these(self.facts.keys().copied().collect()).await;
    }

    async fn verify_these(&mut self, things: BTreeSet<Thing>) {
        for thing in things {
            let seen = self.see(thing).await;
            let (id, fact) = (self.id(thing), self.facts.get_mut(&thing).unwrap());
            match fact.doubt.take() {
                None => assert_eq!(seen, fact.sure, "{id}: what was acknowledged is there"),
                Some(_) if seen == fact.sure => self.tally.not_found += 1,
                Some(Doubt { after }) => {
                    assert_eq!(seen, after, "{id}: all of it is there, or nothing; before it was {:?}", fact.sure);
                    fact.sure = after;
                    self.tally.found += 1;
                }
            }
        }
    }

    async fn see(&mut self, thing: Thing) -> Option<String> {
        let mut step = self.step(thing, None, "GET", None);
        // The request itself is asked for, and its state is part of the answer.
        step.call = Call { method: get("").method, ..step.call };
        let started = Clock::instant();
        let answer = loop {
            let answer = self.wire.ask(step.call.clone()).await.unwrap_or_else(|lost| panic!("{}: {lost:?}", self.id(thing)));
            // The gateway was not given the processor for as long as its lease.
            if answer.told() != "503 ServerBusy state.stale" || started.elapsed() > PATIENCE {
                break answer;
            }
            tokio::time::sleep(PAUSE).await;
        };
        if answer.status == StatusCode::NOT_FOUND {
            return None;
        }
        assert_eq!(answer.status, StatusCode::OK, "{} {}", self.id(thing), answer.told());
        let properties = &answer.json()["properties"];
        let text = |name: &str| properties[name].as_str().unwrap().to_owned();
        Some(match thing {
            Thing::Activation(_) => text("status"),
            Thing::Assignment(_) => number_of(&text("registrationDefinitionId")),
            Thing::Definition(_) => text("description"),
            Thing::RoleAssignment(_) => text("principalId"),
        })
    }

    /// What a row says about its thing.
    pub fn read_row(thing: Thing, body: &Value) -> String {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        match thing {
            Thing::Activation(_) => match body["status"].as_str().unwrap() {
                "granted" => "Provisioned".to_owned(),
                "revoked" => "Revoked".to_owned(),
                other => panic!("{other}"),
            },
            Thing::Assignment(_) => number_of(&text(&body["definition"]["name"])),
            Thing::Definition(_) => text(&body["description"]),
            Thing::RoleAssignment(_) => {
                assert_eq!(body["principal"]["tenant"], CUSTOMER);
                text(&body["principal"]["object"])
            }
        }
    }
}

/// The number of the definition with this name or id.
fn number_of(id: &str) -> String {
    let name = id.rsplit('/').next().unwrap();
    u32::from_str_radix(name.split('-').next().unwrap(), 16).unwrap().to_string()
}

/// Whether a refusal says that the write may have taken place.
fn is_in_doubt(answer: &Answer) -> bool {
    answer.told() == "503 ServerBusy state.unavailable" && String::from_utf8_lossy(&answer.body).contains("look whether it is there")
}
