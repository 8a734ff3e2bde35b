//! What each step of a permitted request costs by itself, in this process and with warm caches: for seeing where time goes, not for comparing with
//! anything else. `benches/proxies` measures requests.
//!
//! Run it with `cargo bench --bench micro`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a program for developers"
)]

#[expect(dead_code, reason = "shared with the comparison of proxies, which needs files of tokens as well")]
#[path = "proxies/token.rs"]
mod token;
#[path = "proxies/world.rs"]
mod world;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use hyper::{Request, StatusCode};
use steward::arm::action::{self, Method};
use steward::arm::path::CanonicalPath;
use steward::arm::scope::Scope;
use steward::clock::Clock;
use steward::delegation::decide::{self, Decision, Question};
use steward::directory::Directory;
use steward::https::{Connection, HeadLimits};
use steward::identity::{CacheLimits, Fetcher, KeyStore, KeyTimes, Verifier};
use steward::ids::{PrincipalId, RequestId, SubscriptionId};
use steward::pipeline::{Allowances, Arrival, AssertionSigner, Context, OperationOwners, Refused, Site, Target, Throttle, WrongTenant};
use steward::policy::{self, LoadOptions};
use steward::record::{Finished, Journal, RecordConfig};
use token::{OPERATORS, Signer, TENANT, Wanted};
use world::{SUBSCRIPTION, world};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const REQUESTS: usize = 20_000;
const FRESH_TOKENS: usize = 500;
const HOST: &str = "gateway.example";
const RECORDS_BYTES_MAX: u64 = 64 << 20;

/// What the times of one step were, in nanoseconds.
struct Step {
    name: &'static str,
    took: Vec<u128>,
}

/// The steps, in the order they are first taken.
#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn time<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let before = Instant::now();
        let made = black_box(work());
        let took = before.elapsed().as_nanos();
        match self.0.iter_mut().find(|step| step.name == name) {
            Some(step) => step.took.push(took),
            None => self.0.push(Step { name, took: vec![took] }),
        }
        made
    }

    fn print(mut self) {
        println!("| step | median | 99th percentile |\n|---|---|---|");
        let clock = self.0.first_mut().map(|step| step.at(50)).unwrap_or_default();
        for (place, mut step) in self.0.into_iter().enumerate() {
            let less = if place == 0 { 0 } else { clock };
            let [median, p99] = [50, 99].map(|percent| step.at(percent).saturating_sub(less));
            println!("| {} | {median} ns | {p99} ns |", step.name);
        }
    }
}

impl Step {
    fn at(&mut self, percent: usize) -> u128 {
        self.took.sort_unstable();
        self.took.get(self.took.len() * percent / 100).copied().unwrap_or_default()
    }
}

/// What a gateway would have.
struct Gateway {
    site: Site,
    directory: Arc<Directory>,
    verifier: Verifier,
    operations: OperationOwners,
    signer: AssertionSigner,
    throttle: Throttle,
    clock: Clock,
    journal: Journal,
    connection: Arc<Connection>,
}

fn main() {
    let folder = std::env::temp_dir().join(format!("steward-micro-{}", std::process::id()));
    fs::create_dir_all(folder.join("policies")).unwrap();
    let tokens = Signer::open(&folder).unwrap();
    let mut gateway = Gateway::start(&folder, &tokens);
    let mut steps = Steps::default();
    (0..REQUESTS).for_each(|_| steps.time("reading the clock, which the others are less by", || ()));
    parts(&gateway, &mut steps);
    for number in 0..FRESH_TOKENS {
        let token = tokens.token(Wanted { caller: number, number, group: OPERATORS, is_expired: false }).unwrap();
        gateway.request(&token, "authenticate, token not seen before", &mut Steps::default(), Some(&mut steps));
    }
    let token = tokens.operator().unwrap();
    // The second time it is kept.
    (0..2).for_each(|_| gateway.request(&token, "", &mut Steps::default(), None));
    (0..REQUESTS).for_each(|_| gateway.request(&token, "authenticate, token known", &mut steps, None));
    steps.print();
    gateway.journal.close();
    fs::remove_dir_all(folder).unwrap();
}

/// Path, action and decision, each by itself.
fn parts(gateway: &Gateway, steps: &mut Steps) {
    let subscription: SubscriptionId = SUBSCRIPTION.parse().unwrap();
    let text = target();
    let path = CanonicalPath::parse(&text).unwrap();
    let derived = action::derive(Method::Get, &path).unwrap();
    let tenant = TENANT.parse().unwrap();
    let principals = [PrincipalId { tenant, object: OPERATORS.parse().unwrap() }];
    let scope = Scope::parse(&text).unwrap();
    let question = Question { principals: &principals, actions: &derived.actions, scope: &scope, now: gateway.clock.now() };
    for _ in 0..REQUESTS {
        steps.time("path", || CanonicalPath::parse(&text).unwrap());
        steps.time("action and scope from the path", || action::derive(Method::Get, &path).unwrap());
        steps.time("decide", || {
            let found = gateway.directory.subscription(subscription).unwrap();
            let decision = decide::decide(&found.grants, &found.denies, gateway.directory.roles(), &question);
            assert!(matches!(decision, Decision::Permit { .. }));
        });
    }
}

fn target() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-web/providers/Microsoft.Compute/virtualMachines/vm-1")
}

impl Gateway {
    fn start(folder: &Path, tokens: &Signer) -> Self {
        let policies = folder.join("policies");
        fs::write(policies.join("keys.json"), tokens.key_set().to_string()).unwrap();
        fs::write(policies.join("world.toml"), world()).unwrap();
        let clock = Clock::system();
        let directory = match policy::load(&policies, &LoadOptions::new(clock.now())) {
            Ok(loaded) => loaded.directory,
            Err(problems) => panic!("{:?}", problems.list()),
        };
        let (keys, _upkeep) = KeyStore::new(Fetcher::new(rustls::RootCertStore::empty()).unwrap(), clock.clone(), KeyTimes::default());
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(keys.warm(&directory));
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let records = RecordConfig { folder: folder.join("records"), bytes_max: RECORDS_BYTES_MAX };
        Self {
            site: Site {
                authorities: vec![HOST.into()],
                default_authority: "https://login.example/organizations".to_owned(),
                wrong_tenant: WrongTenant::Hide,
                head: HeadLimits::default(),
            },
            directory: Arc::new(directory),
            verifier: Verifier::new(vec![token::AUDIENCE.to_owned()], keys, clock.clone(), CacheLimits::default()),
            operations: OperationOwners::default(),
            signer: AssertionSigner::new(pkcs8.as_ref(), format!("https://{HOST}"), "backend".to_owned()).unwrap(),
            throttle: Throttle::new(Allowances::UNBOUNDED),
            journal: Journal::open(&records, clock.clone()).unwrap(),
            clock,
            connection: Arc::new(Connection { peer: "192.0.2.1:40000".parse().unwrap(), tls: None }),
        }
    }

    /// Takes one request through all stages. How long the token took may be told to somebody else, and then nothing else is told.
    fn request(&mut self, token: &str, authenticate: &'static str, steps: &mut Steps, token_steps: Option<&mut Steps>) {
        let context = Context {
            site: &self.site,
            directory: Arc::clone(&self.directory),
            verifier: &self.verifier,
            is_current: true,
            operations: &self.operations,
            signer: &self.signer,
            throttle: &self.throttle,
            now: self.clock.now(),
        };
        let request = Request::get(format!("{}?api-version=2024-07-01", target()))
            .header("host", HOST)
            .header("authorization", format!("Bearer {token}"))
            .header("accept", "application/json")
            .header("accept-encoding", "gzip, deflate")
            .header("connection", "keep-alive")
            .header("user-agent", "AZURECLI/2.80.0 azsdk-python-core/1.35.0 Python/3.13.7 (Linux-6.12)")
            .header("x-ms-client-request-id", "0b1f6ad2-90a5-11f0-9c1e-00155d1b2c3d");
        let (head, ()) = request.body(()).unwrap().into_parts();
        let (id, connection) = (RequestId::random(), Arc::clone(&self.connection));
        let arrival = steps.time("arrival", || Arrival::new(head, connection, id, &context));
        let classified = passed(steps.time("classify", || arrival.classify(&context)));
        let authenticated = passed(token_steps.unwrap_or(steps).time(authenticate, || now(classified.authenticate(&context))));
        let scoped = match passed(steps.time("resolve: scope and action", || authenticated.resolve(&context))) {
            Target::Customer(scoped) => scoped,
            Target::Gateway(question) => panic!("{question:?}"),
        };
        let authorized = passed(steps.time("authorize: decision and rules", || scoped.authorize(&context)));
        let authorized = passed(steps.time("throttle: what is left", || authorized.throttle(&context)));
        let forwardable = passed(steps.time("on behalf: assertion and own fields", || authorized.on_behalf(&context)));
        let (unread, trail) = forwardable.split();
        let outbound = steps.time("judge: places named", || unread.judge(&[], &context)).unwrap_or_else(|rejection| panic!("{rejection}"));
        drop(steps.time("header rewrite", || outbound.headers()));
        let finished = Finished { trail, status: StatusCode::OK, rejection: None, took: Duration::from_micros(200) };
        steps.time("record", || self.journal.record(&finished));
    }
}

fn passed<T>(outcome: Result<T, Refused>) -> T {
    outcome.unwrap_or_else(|refused| panic!("{:?}", refused.rejection))
}

/// What a future that has nothing to wait for gives.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(made) => made,
        Poll::Pending => panic!("the keys are not loaded"),
    }
}
