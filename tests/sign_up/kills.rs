//! Kills at random moments, and at each step of a sign-up and of a move.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use steward::clock::Clock;
use tokio::task::{JoinHandle, JoinSet};

use crate::client::{Answer, Call};
use crate::node::{Unanswered, Wire, eventually, measured, setting};
use crate::world::{Holder, World, roles, tenants, visitor};

const KILLS: u32 = 208;
/// Kills of one world: the roles of all its tenants are told again at each start.
const KILLS_OF_A_WORLD: u32 = 26;
/// Sign-ups at once before a kill at a random moment.
const VISITORS: u32 = 3;
/// The longest time from their beginning to the kill.
const RANDOM_MS_MAX: u64 = 120;

/// When the kill comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// The row is written, and nobody was told.
    RowWritten,
    RoleAsked,
    RoleStored,
    /// The fabric refused for good, and the row says so.
    UndoAsked,
    UndoStored,
    MoveAsked,
    MoveStored,
    /// The first of the two old steps: another role.
    HandOverAsked,
    HandOverStored,
    /// The second: another owner.
    OwnerAsked,
    OwnerStored,
    Random,
}

const EXACT: [Moment; 11] = [
    Moment::RowWritten,
    Moment::RoleAsked,
    Moment::RoleStored,
    Moment::UndoAsked,
    Moment::UndoStored,
    Moment::MoveAsked,
    Moment::MoveStored,
    Moment::HandOverAsked,
    Moment::HandOverStored,
    Moment::OwnerAsked,
    Moment::OwnerStored,
];

/// Source: Vigna, splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// What became of what was begun.
#[derive(Debug, Default)]
struct Tally {
    kills: BTreeMap<Moment, u32>,
    fabric_kills: u32,
    acknowledged: u32,
    completed: u32,
    undone: u32,
    moves_acknowledged: u32,
    moves_completed: u32,
    moves_undone: u32,
    looks: u32,
}

/// A world, and what has to be there.
struct Run {
    world: World,
    sides: [Holder; 2],
    machine: String,
    /// Which of the sides has the machine.
    holder: usize,
    /// Sign-ups begun, and what was acknowledged of each.
    begun: BTreeMap<String, Option<String>>,
    number: u32,
}

impl Run {
    async fn begin(name: &str, apart: bool) -> Self {
        let world = World::start(name, apart).await;
        let sides = [Holder::sign_up(&world, "olga@old.example").await, Holder::sign_up(&world, "olga@new.example").await];
        let machine = sides[0].make_machine(&world).await;
        Self { world, sides, machine, holder: 0, begun: BTreeMap::new(), number: 0 }
    }

    fn somebody(&mut self) -> (String, Call) {
        self.number += 1;
        let name = format!("org{}", self.number);
        self.begun.insert(name.clone(), None);
        (name.clone(), visitor(&name))
    }

    /// One kill, and everything that has to hold after it.
    async fn kill_at(&mut self, moment: Moment, random: &mut Random, tally: &mut Tally) {
        let was_apart = self.world.fabric.is_apart();
        let before = self.holder;
        let mut moved = None;
        match moment {
            Moment::RowWritten | Moment::RoleAsked | Moment::RoleStored | Moment::UndoAsked | Moment::UndoStored => {
                self.sign_up_until(moment).await;
            }
            Moment::MoveAsked | Moment::MoveStored => moved = Some(self.move_until(moment).await),
            Moment::HandOverAsked | Moment::HandOverStored | Moment::OwnerAsked | Moment::OwnerStored => self.step_until(moment).await,
            Moment::Random => moved = Some(self.anything_until(random, tally).await),
        }
        *tally.kills.entry(moment).or_default() += 1;
        tally.fabric_kills += u32::from(was_apart);
        self.world.start_again(was_apart).await;
        if matches!(moment, Moment::HandOverAsked | Moment::HandOverStored | Moment::OwnerAsked | Moment::OwnerStored) {
            self.finish_steps().await;
            tally.moves_acknowledged += 1;
        }
        self.verify(moved.as_ref()).await;
        match moved {
            Some(Some(StatusCode::OK)) => tally.moves_acknowledged += 1,
            Some(_) if self.holder != before => tally.moves_completed += 1,
            Some(_) => tally.moves_undone += 1,
            None => {}
        }
    }

    async fn sign_up_until(&mut self, moment: Moment) {
        let held = |at: &str| ("at", json!(at));
        if moment == Moment::RowWritten {
            self.world.restart_with("GET", "/stamps", held("before_answer")).await;
        } else {
            self.world.idle().await;
        }
        let fabric = &self.world.fabric;
        match moment {
            Moment::RoleAsked => fabric.fault("PUT", "/roles/", held("before_store")).await,
            Moment::RoleStored => fabric.fault("PUT", "/roles/", held("before_answer")).await,
            Moment::UndoAsked => fabric.fault("DELETE", "/roles/", held("before_store")).await,
            Moment::UndoStored => fabric.fault("DELETE", "/roles/", held("before_answer")).await,
            Moment::RowWritten
            | Moment::MoveAsked
            | Moment::MoveStored
            | Moment::HandOverAsked
            | Moment::HandOverStored
            | Moment::OwnerAsked
            | Moment::OwnerStored
            | Moment::Random => {}
        }
        if matches!(moment, Moment::UndoAsked | Moment::UndoStored) {
            fabric.fault("PUT", "/roles/", ("status", json!(400))).await;
        }
        let (name, call) = self.somebody();
        let asked = ask(Wire::to(self.world.front), call);
        if moment == Moment::RowWritten {
            let world = &self.world;
            eventually("the row is written", async || (world.rows().await.sign_ups == 1).then_some(())).await;
        } else {
            self.world.fabric.held().await;
        }
        self.world.kill();
        let answer = asked.await.unwrap();
        let is_told = matches!(moment, Moment::UndoAsked | Moment::UndoStored);
        match answer {
            // The visitor is told as soon as it is sure to come to nothing.
            Ok(answer) => assert!(is_told && answer.status == 409, "{moment:?}: {answer:?}"),
            Err(_) => assert!(self.begun[&name].is_none()),
        }
    }

    async fn move_until(&mut self, moment: Moment) -> Option<StatusCode> {
        let at = if moment == Moment::MoveAsked { "before_store" } else { "before_answer" };
        self.world.fabric.fault("POST", "/vms/", ("at", json!(at))).await;
        let asked = ask(self.world.node.wire(), self.transfer(false));
        self.world.fabric.held().await;
        self.world.kill();
        assert!(asked.await.unwrap().is_err(), "it was held");
        None
    }

    fn transfer(&self, role_only: bool) -> Call {
        self.sides[self.holder].gives_to(&self.sides[1 - self.holder], role_only)
    }

    async fn step_until(&mut self, moment: Moment) {
        let is_second = matches!(moment, Moment::OwnerAsked | Moment::OwnerStored);
        if is_second {
            let answer = self.world.node.wire().ask(self.transfer(true)).await.unwrap();
            assert_eq!(answer.status, 200, "{:?}", answer.body);
        }
        let at = if matches!(moment, Moment::HandOverAsked | Moment::OwnerAsked) { "before_store" } else { "before_answer" };
        self.world.fabric.fault("PATCH", "/vms/", ("at", json!(at))).await;
        let call = if is_second { self.sides[1 - self.holder].becomes_owner() } else { self.transfer(true) };
        let asked = ask(self.world.node.wire(), call);
        self.world.fabric.held().await;
        self.world.kill();
        assert!(asked.await.unwrap().is_err(), "it was held");
    }

    /// What a person does who finds the machine between the two old steps: goes on.
    async fn finish_steps(&mut self) {
        let target = 1 - self.holder;
        if self.owner_and_role().await.1 == self.sides[self.holder].id {
            let answer = self.world.node.wire().ask(self.transfer(true)).await.unwrap();
            assert_eq!(answer.status, 200, "{:?}", answer.body);
        }
        assert_eq!(self.owner_and_role().await.1, self.sides[target].id);
        let answer = self.world.node.wire().ask(self.sides[target].becomes_owner()).await.unwrap();
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        self.holder = target;
    }

    /// Several sign-ups and a move, until a moment that nobody chose.
    async fn anything_until(&mut self, random: &mut Random, tally: &mut Tally) -> Option<StatusCode> {
        let watch = Watch::start(&self.world);
        let mut visitors = JoinSet::new();
        for _ in 0..VISITORS {
            let (name, call) = self.somebody();
            let mut wire = Wire::to(self.world.front);
            visitors.spawn(async move { (name, wire.ask(call).await) });
        }
        let moving = ask(self.world.node.wire(), self.transfer(false));
        let until = tokio::time::Instant::now() + Duration::from_micros(random.below(RANDOM_MS_MAX * 1000));
        tally.looks += watch.look_until(&self.world, until).await;
        self.world.kill();
        while let Some(ended) = visitors.join_next().await {
            let (name, Ok(answer)) = ended.unwrap() else { continue };
            assert_eq!(answer.status, 201, "{:?}", answer.body);
            self.begun.insert(name, Some(answer.json()["subscriptionId"].as_str().unwrap().to_owned()));
        }
        let answer = moving.await.unwrap().ok()?;
        assert!(answer.status == 200 && answer.json()["obstacles"] == json!([]), "{:?}", answer.body);
        Some(answer.status)
    }

    async fn owner_and_role(&self) -> (String, String) {
        let machine = self.world.fabric.ask(&format!("/vms/{}", self.machine)).await.unwrap();
        let text = |name: &str| machine[name].as_str().unwrap_or_default().to_owned();
        (text("owner"), text("user_role"))
    }

    /// All that has to hold when nothing is under way. A move that was acknowledged took place.
    async fn verify(&mut self, moved: Option<&Option<StatusCode>>) {
        let rows = self.world.settled().await;
        // The gateway follows its store: it sees a moment later what was written.
        let tenants = eventually("what the operator sees is what is stored", async || {
            self.world.tenants().await.filter(|tenants| tenants.keys().eq(rows.clouds.keys()))
        })
        .await;
        let roles = self.world.roles().await.unwrap();
        let ids: Vec<&String> = rows.clouds.keys().collect();
        assert_eq!(roles.keys().collect::<Vec<_>>(), ids, "no role without tenant, no tenant without role");
        for (id, (account, name)) in &rows.clouds {
            assert_eq!(tenants[id]["name"], **name);
            assert_eq!(roles[id]["members"][0], tenants[id]["administrator"]["identity"]);
            let is_visitor = self.begun.contains_key(name);
            assert_eq!(rows.accounts.contains(account), is_visitor, "an account with each visitor's subscription: {name}");
            assert!(tenants[id]["accountName"].is_string() && tenants[id]["accountId"] == **account);
        }
        let visitors = rows.clouds.values().filter(|(_, name)| self.begun.contains_key(name)).count();
        assert_eq!(visitors, rows.accounts.len(), "no account without subscription");
        for (name, acknowledged) in &self.begun {
            let found: Vec<&String> = rows.clouds.iter().filter(|(_, (_, known))| known == name).map(|(id, _)| id).collect();
            assert!(found.len() <= 1, "{name} is there twice");
            assert!(acknowledged.is_none() || acknowledged.as_ref() == found.first().copied(), "{name} was acknowledged");
        }
        self.verify_machine(moved).await;
    }

    async fn verify_machine(&mut self, moved: Option<&Option<StatusCode>>) {
        let (owner, role) = self.owner_and_role().await;
        let holder = self.sides.iter().position(|side| side.id == role && side.identity == owner);
        let holder = holder.unwrap_or_else(|| panic!("neither the old pair nor the new one: {owner} {role}"));
        match moved {
            Some(Some(_)) => assert_ne!(holder, self.holder, "the move was acknowledged"),
            Some(None) => {}
            None => assert_eq!(holder, self.holder, "nobody moved it, or it was moved before"),
        }
        self.holder = holder;
        for (side, expected) in self.sides.iter().enumerate().map(|(at, side)| (side, if at == holder { 200 } else { 404 })) {
            let seen = side.ask(&self.world, "GET", "", &Value::Null).await.unwrap();
            assert_eq!(seen.status, expected, "{}: {:?}", side.identity, seen.body);
        }
    }

    async fn end(mut self, tally: &mut Tally) {
        let there = self.world.rows().await.clouds;
        for (name, acknowledged) in &self.begun {
            match acknowledged {
                Some(_) => tally.acknowledged += 1,
                None if there.values().any(|(_, known)| known == name) => tally.completed += 1,
                None => tally.undone += 1,
            }
        }
        self.world.node.terminated().await;
        let audited = self.world.node.run(&["audit", "verify"]);
        assert!(audited.status.success(), "{}", String::from_utf8_lossy(&audited.stdout));
        self.world.fabric.stop().await;
    }
}

fn ask(mut wire: Wire, call: Call) -> JoinHandle<Result<Answer, Unanswered>> {
    tokio::spawn(async move { wire.ask(call).await })
}

/// Looks at tenants, and then at roles: whoever is seen has a role.
struct Watch {
    wire: Wire,
}

impl Watch {
    fn start(world: &World) -> Self {
        Self { wire: world.node.wire() }
    }

    async fn look_until(mut self, world: &World, until: tokio::time::Instant) -> u32 {
        let mut looks = 0;
        let looking = async {
            loop {
                let tenants = tenants(&mut self.wire).await.unwrap();
                let roles = roles(&world.fabric).await.unwrap();
                for id in tenants.keys() {
                    assert!(roles.contains_key(id), "the tenant {id} is seen, and its role is not there");
                }
                looks += 1;
            }
        };
        let _late = tokio::time::timeout_at(until, looking).await.is_err();
        looks
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_signs_up_or_moves_is_there_as_a_whole_or_not_at_all() {
    let kills = setting("STEWARD_SIGN_UP_KILLS", KILLS);
    let seed = setting("STEWARD_SEED", u32::try_from(Clock::system().now().as_second() & 0xffff).unwrap());
    measured(format_args!("sign-up: STEWARD_SEED={seed}"));
    let (mut random, mut tally, started) = (Random(seed.into()), Tally::default(), Clock::instant());
    for world in 0..kills.div_ceil(KILLS_OF_A_WORLD) {
        let mut run = Run::begin(&format!("kills-{world}"), world % 2 == 1).await;
        let random_ones = std::iter::repeat(Moment::Random);
        for moment in EXACT.into_iter().chain(random_ones).take(usize::try_from(KILLS_OF_A_WORLD).unwrap()) {
            run.kill_at(moment, &mut random, &mut tally).await;
        }
        run.end(&mut tally).await;
    }
    let all: u32 = tally.kills.values().sum();
    assert!(all >= kills && tally.acknowledged > 0 && tally.completed > 0 && tally.undone > 0, "{tally:?}");
    let steps: Vec<String> = tally.kills.iter().map(|(moment, count)| format!("{moment:?} {count}")).collect();
    measured(format_args!(
        "sign-up and moves: {all} kills of the gateway in {:.0} s, {} of them with the fabric ({}); sign-ups: {} acknowledged, {} completed \
         without acknowledgement, {} undone or never begun; moves: {} acknowledged, {} completed without acknowledgement, {} not begun; \
         {} looks while they went on saw no tenant without its role; audit chains intact",
        started.elapsed().as_secs_f64(),
        tally.fabric_kills,
        steps.join(", "),
        tally.acknowledged,
        tally.completed,
        tally.undone,
        tally.moves_acknowledged,
        tally.moves_completed,
        tally.moves_undone,
        tally.looks,
    ));
}
