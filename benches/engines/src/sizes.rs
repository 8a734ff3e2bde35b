//! The measurements: decisions by size and engine, memory, loading, one changed grant.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use steward::arm::scope::Scope;
use steward::clock::Timestamp;
use steward::delegation::decide::{self, Decision};
use steward::delegation::offer::{Authorization, DefinitionKey, RegistrationAssignment, RegistrationDefinition, Term};
use steward::delegation::roles::CONTRIBUTOR;
use steward::directory::entity::Entity;
use steward::directory::{Directory, Published};
use steward::ids::{AssignmentId, DefinitionId};
use steward::policy::{self, LoadOptions};
use steward::store::{Change, Revision};
use toml::de::DeTable;

use crate::figures::{Figure, Turns, seconds};
use crate::heap;
use crate::peers::{Engine, PEERS};
use crate::world::{Dice, Question, World};

/// Asked of Steward in each turn, half of them allowed.
const QUESTIONS: usize = 50_000;
/// Asked of the others, for they take longer.
const QUESTIONS_OF_PEERS: usize = 2_000;
/// The others have no more than this.
pub const PEER_GRANTS_MAX: usize = 100_000;
/// A turn ends after this, however few questions were asked.
const TURN_TIME_MAX: Duration = Duration::from_secs(2);
const CHANGES: usize = 1_000;

/// One contender at one size.
pub struct Row {
    pub engine: &'static str,
    pub grants: usize,
    pub all: Turns,
    /// Steward only: the two halves by themselves.
    pub allowed: Turns,
    pub denied: Turns,
    /// Seconds, and bytes of the heap for each grant.
    pub made_in: f64,
    pub memory: f64,
}

pub struct Loads {
    pub grants: usize,
    pub files: usize,
    pub bytes: u64,
    pub parse: Figure,
    pub load: Figure,
    /// A load after one file changed.
    pub reload: Figure,
    /// A change of the store, from its rows to the first decision by it, in seconds.
    pub change: Figure,
    pub change_p99: f64,
}

pub struct Results {
    pub rounds: usize,
    pub rows: Vec<Row>,
    pub loads: Vec<Loads>,
}

/// Steward with one world, and the others where it is not too large.
struct Site {
    world: World,
    folder: PathBuf,
    directory: Directory,
    questions: Vec<Question>,
    contenders: Vec<(Option<Box<dyn Engine>>, Row)>,
}

pub fn measure(sizes: &[usize], rounds: usize, peer_grants_max: usize) -> Results {
    let folder = std::env::temp_dir().join(format!("steward-engines-{}", std::process::id()));
    let mut sites: Vec<Site> = sizes.iter().map(|size| Site::new(*size, folder.join(size.to_string()), peer_grants_max)).collect();
    for round in 0..rounds {
        eprintln!("decisions, round {} of {rounds}", round + 1);
        for site in &mut sites {
            site.turn();
        }
    }
    let mut loads = Vec::new();
    let mut rows = Vec::new();
    for site in sites {
        eprintln!("loads of {} grants", site.world.grants);
        loads.push(site.loads(rounds));
        rows.extend(site.contenders.into_iter().map(|(_, row)| row));
    }
    fs::remove_dir_all(folder).unwrap();
    Results { rounds, rows, loads }
}

fn load(folder: &Path) -> Directory {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    match policy::load(folder, &LoadOptions::new(now)) {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.warnings(), 0, "{:?}", loaded.warnings.list().first());
            loaded.directory
        }
        Err(problems) => panic!("{}: {:?}", problems.summary(), problems.list().first()),
    }
}

/// Reads every file and has the parser of `policy::parse` take it apart; nothing is made of it.
fn parse(folder: &Path) {
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let (table, errors) = DeTable::parse_recoverable(&text);
        assert!(errors.is_empty());
        black_box(&table);
    }
}

/// As `pipeline::authorize` does it for a request in a subscription.
fn decide<'d>(directory: &'d Directory, question: &Question) -> Decision<'d> {
    let (grants, denies) = directory.subscription(question.subscription).map_or((&[][..], &[][..]), |found| (&found.grants, &found.denies));
    let Question { principals, action, scope, .. } = question;
    let asked = decide::Question { principals, actions: std::slice::from_ref(action), scope, now: Timestamp::UNIX_EPOCH };
    decide::decide(grants, denies, directory.roles(), &asked)
}

fn permits(directory: &Directory, question: &Question) -> bool {
    matches!(decide(directory, question), Decision::Permit { .. })
}

/// As many allowed as denied ones, turn about.
fn questions(world: &World, directory: &Directory) -> Vec<Question> {
    let mut dice = Dice::new(7);
    let mut halves = [Vec::new(), Vec::new()];
    while halves.iter().any(|half| half.len() < QUESTIONS / 2) {
        let question = world.question(&mut dice);
        let half = &mut halves[usize::from(permits(directory, &question))];
        if half.len() < QUESTIONS / 2 {
            half.push(question);
        }
    }
    let [denied, allowed] = halves;
    denied.into_iter().zip(allowed).flat_map(|(denied, allowed)| [denied, allowed]).collect()
}

impl Row {
    fn new(engine: &'static str, grants: usize, made_in: f64, bytes: usize) -> Self {
        let memory = bytes as f64 / grants as f64;
        Self { engine, grants, all: Turns::default(), allowed: Turns::default(), denied: Turns::default(), made_in, memory }
    }
}

impl Site {
    fn new(size: usize, folder: PathBuf, peer_grants_max: usize) -> Self {
        let world = World::new(size);
        world.write(&folder);
        // What all snapshots of a process share is no part of this one.
        drop(steward::delegation::roles::RoleCatalogue::builtin());
        let ((directory, bytes), made_in) = seconds(|| heap::kept(|| load(&folder)));
        let questions = questions(&world, &directory);
        let mut contenders = vec![(None, Row::new("steward", world.grants, made_in, bytes))];
        for (name, make) in PEERS.into_iter().filter(|_| size <= peer_grants_max) {
            eprintln!("{name} with {} grants", world.grants);
            let asked = &questions[..QUESTIONS_OF_PEERS];
            let ((mut engine, bytes), made_in) = seconds(|| heap::kept(|| make(&world, asked)));
            for (at, question) in asked.iter().enumerate() {
                assert_eq!(engine.permits(at), permits(&directory, question), "{name} and steward differ on question {at}");
            }
            contenders.push((Some(engine), Row::new(name, world.grants, made_in, bytes)));
        }
        Self { world, folder, directory, questions, contenders }
    }

    fn turn(&mut self) {
        let Self { directory, questions, contenders, .. } = self;
        for (engine, row) in contenders {
            if let Some(engine) = engine {
                row.all.take(
                    QUESTIONS_OF_PEERS,
                    TURN_TIME_MAX,
                    |at| at,
                    |at| {
                        black_box(engine.permits(*at));
                    },
                );
                continue;
            }
            let ask = |question: &Question| drop(black_box(decide(directory, question)));
            row.all.take(QUESTIONS, TURN_TIME_MAX, |at| questions[at].clone(), ask);
            row.denied.take(QUESTIONS / 2, TURN_TIME_MAX, |at| questions[2 * at].clone(), ask);
            row.allowed.take(QUESTIONS / 2, TURN_TIME_MAX, |at| questions[2 * at + 1].clone(), ask);
        }
    }

    fn loads(&self, rounds: usize) -> Loads {
        let Self { world, folder, directory, questions, .. } = self;
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).collect();
        let (mut parses, mut loads, mut reloads) = (Vec::new(), Vec::new(), Vec::new());
        let more = "\n[[tenant]]\nkey = \"more\"\nid = \"00000000-0000-4000-8000-000000000001\"\nname = \"More\"\n";
        for round in 0..rounds {
            parses.push(seconds(|| parse(folder)).1);
            let (before, took) = seconds(|| load(folder));
            loads.push(took);
            world.write_customers(folder, 0, if round % 2 == 0 { more } else { "" });
            let (after, took) = seconds(|| load(folder));
            assert_ne!(before.digest(), after.digest());
            reloads.push(took);
        }
        world.write_customers(folder, 0, "");
        let denied = questions.iter().step_by(2).take(CHANGES);
        let mut changes: Vec<_> = denied.map(|question| change(directory, question)).collect();
        changes.sort_by(f64::total_cmp);
        Loads {
            grants: world.grants,
            files: files.len(),
            bytes: files.iter().sum(),
            parse: Figure::of(parses),
            load: Figure::of(loads),
            reload: Figure::of(reloads),
            change_p99: changes[changes.len() * 99 / 100],
            change: Figure::of(changes),
        }
    }
}

/// Seconds from the rows of an offer that is assigned to the resource group of a denied question to the first decision that allows it.
fn change(directory: &Directory, question: &Question) -> f64 {
    let (at, caller) = (Timestamp::UNIX_EPOCH, question.principals[0]);
    let definition = RegistrationDefinition {
        subscription: question.subscription,
        name: DefinitionId::random(),
        offer_name: "One More".into(),
        description: None,
        managing_tenant: caller.tenant,
        authorizations: vec![Authorization {
            principal: caller.object,
            display_name: None,
            role: CONTRIBUTOR,
            delegated_roles: Vec::new(),
        }],
        eligible: Vec::new(),
        plan: None,
        term: Term::default(),
        created_at: at,
        created_by: caller,
        updated_at: at,
        updated_by: caller,
    };
    let assignment = RegistrationAssignment {
        scope: Scope::resource_group(question.subscription, &question.group),
        name: AssignmentId::random(),
        definition: DefinitionKey { subscription: question.subscription, name: definition.name },
        created_at: at,
        created_by: caller,
    };
    let writes = vec![Entity::Definition(definition).into_write(), Entity::Assignment(assignment).into_write()];
    let (change, published) = (Change { revision: Revision(1), at, writes }, Published::new(directory.clone()));
    let asked = Question { action: "Microsoft.Compute/virtualMachines/write".parse().unwrap(), ..question.clone() };
    let (is_permitted, took) = seconds(|| {
        published.try_update(|current| current.apply(&change).map(Some)).unwrap();
        permits(&published.current(), &asked)
    });
    // The customer's own people can be given nothing by an offer.
    let is_own = directory.subscription(question.subscription).is_some_and(|found| found.tenant == caller.tenant);
    assert!(is_permitted || is_own);
    took
}
