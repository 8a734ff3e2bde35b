//! A panic while a request is carried out: told, recorded and counted, and over when the request is.
//!
//! The store of this gateway panics when it is told to. Everything else of it is the gateway's own.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::json;
use steward::bodies::Turns;
use steward::clock::{Clock, Timestamp};
use steward::config;
use steward::held::Held;
use steward::https::Drained;
use steward::identity::{CacheLimits, Fetcher, KeyStore, KeyTimes, Verifier};
use steward::ids::SessionId;
use steward::management::Discovery;
use steward::panics;
use steward::pipeline::{AssertionSigner, CheckName, OperationOwners, Outcome, Site, Throttle};
use steward::policy::LoadOptions;
use steward::policy::watch::{PolicySource, Watcher};
use steward::record::{Found, Record, Recorder, Writer};
use steward::server::{self, BackendsConfig, Gateway, Listening, Workers};
use steward::state::State;
use steward::store::{self, Answer, Change, CommitError, Epoch, Heard, Plan, Revision, Snapshot, Store, Tail, Write};
use steward::telemetry::{Condition, Metrics, Vitals};
use steward::tls::{self, ReloadingCertificate};
use tokio::sync::watch;

use crate::common::client::{Answer as Told, Call, Client, call, get};
use crate::common::installation::{SHARED, certificates, empty_folder};

/// A store that panics instead of keeping a change.
#[derive(Debug)]
struct Breaking {
    store: Arc<dyn Store>,
    breaks: AtomicBool,
}

impl Store for Breaking {
    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.store.snapshot()
    }

    fn commit<'a>(&'a self, epoch: Epoch, base: Revision, at: Timestamp, writes: &'a [Write]) -> Answer<'a, Revision, CommitError> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            assert!(!self.breaks.load(Ordering::SeqCst), "the secret of the test");
            self.store.commit(epoch, base, at, writes).await
        })
    }

    fn commit_in_turn<'a>(
        &'a self,
        epoch: Epoch,
        applied: Revision,
        at: Timestamp,
        plan: Plan<'a>,
    ) -> Answer<'a, Option<Change>, CommitError> {
        self.store.commit_in_turn(epoch, applied, at, plan)
    }

    fn poll(&self, session: SessionId, epoch: Epoch, applied: Revision) -> Answer<'_, Heard> {
        self.store.poll(session, epoch, applied)
    }

    fn leave(&self, session: SessionId) -> Answer<'_, ()> {
        self.store.leave(session)
    }

    fn changes(&self, epoch: Epoch, after: Revision, limit: usize) -> Answer<'_, Tail> {
        self.store.changes(epoch, after, limit)
    }

    fn woken(&self) -> watch::Receiver<u64> {
        self.store.woken()
    }
}

/// Workers of a gateway, without what runs beside them.
struct Served {
    client: Client,
    store: Arc<Breaking>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    vitals: Vitals,
    workers: Workers,
    writer: Writer,
    stop: watch::Sender<bool>,
}

impl Served {
    async fn start(name: &str) -> Self {
        panics::note(panics::Text::Shown);
        let world = &SHARED.demo.world;
        let (clock, folder) = (Clock::system(), empty_folder(name));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
        let text = format!(
            "[gateway]\nauthorities = [{authority:?}]\n[identity]\nlogin_endpoint = {:?}\n[backend]\nurl = {:?}\n",
            world.authority, world.backend
        );
        let config = config::parse(&folder, "test", &text).unwrap_or_else(|wrong| panic!("{}", wrong.render(Default::default())));
        let options = LoadOptions::new(clock.now()).with_demo_issuer(&world.authority);
        let (_watcher, policies) = Watcher::start(PolicySource::Folder(SHARED.folder.join("policies")), options, clock.clone()).unwrap();
        let store = Arc::new(Breaking { store: store::open(&config.store).await.unwrap(), breaks: AtomicBool::new(false) });
        let state = State::open(Arc::clone(&store) as Arc<dyn Store>, None, policies.published().clone()).await.unwrap();
        let fetcher = Fetcher::new(tls::trusted_roots(Some(&world.ca)).unwrap()).unwrap();
        let (keys, _upkeep) = KeyStore::new(fetcher, clock.clone(), KeyTimes::default());
        let directory = policies.directory();
        let first = Arc::clone(&directory.borrow());
        keys.warm(&first).await;
        let (recorder, writer) = Recorder::open(&config.records, clock.clone()).unwrap();
        let metrics = Arc::new(Metrics::default());
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let gateway = Arc::new(Gateway {
            site: Site {
                authorities: config.authorities.clone(),
                default_authority: String::new(),
                wrong_tenant: config.wrong_tenant,
                head: config.limits.head,
            },
            discovery: Discovery { name: String::new(), login_endpoint: String::new(), audience: String::new(), locations: Vec::new() },
            directory,
            verifier: Arc::new(Verifier::new(config.audiences.clone(), keys, clock.clone(), CacheLimits::default())),
            state,
            operations: OperationOwners::default(),
            signer: AssertionSigner::new(pkcs8.as_ref(), format!("https://{authority}"), config.backend.url.clone()).unwrap(),
            deployments: Arc::default(),
            throttle: Throttle::default(),
            turns: Turns::new(1),
            held: Held::default(),
            recorder: recorder.clone(),
            metrics: Arc::clone(&metrics),
            clock,
        });
        let certificate = ReloadingCertificate::load(&certificates().join("server.pem"), &certificates().join("server.key")).unwrap();
        let tls = Some(tls::server_config(Arc::new(certificate)).unwrap());
        let (stop, stopping) = watch::channel(false);
        let (vitals, backends) = (Vitals::default(), BackendsConfig { manager: config.backend.clone(), fabric: None });
        let listening = Listening { listener, tls, limits: config.limits.clone(), workers: 1, requests_max: config.requests_max };
        let workers = server::start(&gateway, &backends, &listening, &stopping, &vitals).unwrap();
        let client = Client::new(&format!("https://{authority}"), &world.ca);
        Self { client, store, recorder, metrics, vitals, workers, writer, stop }
    }

    async fn ask(&self, identity: &str, call: Call) -> Told {
        self.client.send(call.bearer(&SHARED.token(identity).await)).await
    }

    async fn record(&self, answer: &Told) -> Box<Record> {
        match self.recorder.find(answer.request_id()).await.unwrap() {
            Found::One(record) => record,
            other @ (Found::None | Found::Several(_)) => panic!("{other:?}"),
        }
    }

    async fn end(self) -> Drained {
        self.stop.send_replace(true);
        let drained = self.workers.ended().await;
        drop(self.recorder);
        self.writer.join();
        drained
    }
}

fn definition() -> Call {
    let id = "00000001-0000-4000-8000-000000000000";
    let place = SHARED.subscription("alder-dev");
    let target = format!("{place}/providers/Microsoft.ManagedServices/registrationDefinitions/{id}?api-version=2022-10-01");
    let world = &SHARED.demo.world;
    let reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
    let authorization = json!({ "principalId": world.identities["operator"].object_id.to_string(), "roleDefinitionId": reader });
    call("PUT", target).json(&json!({ "properties": {
        "registrationDefinitionName": "Night shift",
        "managedByTenantId": world.tenants["ostra"].id.to_string(),
        "authorizations": [authorization],
    } }))
}

#[tokio::test]
async fn a_panic_is_told_and_recorded_with_what_had_permitted_the_request() {
    let served = Served::start("panics").await;
    served.store.breaks.store(true, Ordering::SeqCst);
    let seen = panics::seen();
    let answer = served.ask("alder-owner", definition()).await;
    assert_eq!(answer.told(), "500 InternalServerError internal.panic");
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret of the test"));
    assert!(panics::seen() > seen);

    let record = served.record(&answer).await;
    assert_eq!((record.status, record.reason.as_deref(), record.method.as_str()), (500, Some("internal.panic"), "PUT"));
    let of = |outcome| record.checks.iter().filter(move |check| check.outcome == outcome).map(|check| check.name);
    assert_eq!(of(Outcome::Fail).collect::<Vec<_>>(), [CheckName::Forward]);
    assert!(of(Outcome::Pass).any(|name| name == CheckName::Role), "{record:?}");
    let caller = record.principal.as_ref().unwrap().id.to_string();
    assert_eq!(caller, SHARED.demo.world.identities["alder-owner"].object_id.to_string());
    let metrics = served.metrics.render();
    assert!(metrics.contains("steward_decisions_total{outcome=\"deny\",reason=\"internal.panic\"} 1"), "{metrics}");

    // No lock was left: others are answered, and the same request as well.
    assert_eq!(served.ask("reader", get("/subscriptions?api-version=2022-12-01")).await.status, 200);
    served.store.breaks.store(false, Ordering::SeqCst);
    assert_eq!(served.ask("alder-owner", definition()).await.status, 201);
    assert_eq!(served.vitals.condition().0, Condition::Sound);
    assert_eq!(served.end().await, Drained::Clean);
}
