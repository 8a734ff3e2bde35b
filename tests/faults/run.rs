//! One fault after the other, each with a gateway of its own.

use std::time::Duration;

use steward::clock::Clock;
use tokio::runtime::Builder;
use tokio::task::block_in_place;

use crate::gateway::Gateway;
use crate::injections::{FAULTS, Fault, Service, Stage};
use crate::keys::FIRST;
use crate::node::measured;
use crate::page;
use crate::postgres::Cluster;
use crate::relay::Relay;
use crate::scripted::{Scripted, named};
use crate::traffic::{Traffic, counted, decided, lost, refusals, revoke};

/// Who waits for so long notices it.
const LONG: Duration = Duration::from_secs(1);

/// What came of one fault.
pub struct Row {
    pub fault: Fault,
    /// Answers to permitted requests that were sent while it lasted.
    pub meanwhile: String,
    pub wrong: usize,
    pub refused: usize,
    pub acknowledged: usize,
    pub lost: usize,
    pub recovery: Duration,
    pub observed: String,
}

impl Stage {
    /// A gateway that serves, with all around it.
    async fn start(fault: &Fault, cluster: &mut Option<Cluster>) -> Self {
        let backend = Scripted::start(|target| {
            let path = target.split('?').next().unwrap_or_default();
            named(path.rsplit('/').next().unwrap_or_default())
        })
        .await;
        let keys = tokio::sync::watch::Sender::new(FIRST.set().to_string());
        let published = keys.subscribe();
        let issuer = Scripted::start(move |_target| published.borrow().clone()).await;
        let (store, relay) = if fault.kind.is_of_postgres() { database(cluster).await } else { ("state.db".to_owned(), None) };
        let name = fault.name.replace([' ', ',', '\''], "-");
        let mut gateway = Gateway::new(&name, backend.address, issuer.address, &store, fault.kind.is_of_the_machine());
        gateway.start();
        gateway.ready().await;
        Self { gateway, backend, issuer, relay, keys }
    }
}

async fn database(cluster: &mut Option<Cluster>) -> (String, Option<Relay>) {
    let cluster = block_in_place(|| cluster.get_or_insert_with(|| Cluster::start(&[])));
    let url = block_in_place(|| cluster.database());
    let relay = Relay::start(cluster.address()).await;
    let through = url.replace(&format!(":{}/", cluster.address().port()), &format!(":{}/", relay.address.port()));
    assert_ne!(url, through);
    (through, Some(relay))
}

async fn run(fault: &Fault, cluster: &mut Option<Cluster>) -> Row {
    let mut stage = Stage::start(fault, cluster).await;
    revoke(&stage.gateway).await;
    for (call, expected) in refusals() {
        assert_eq!(decided(&stage.gateway.client, &call).await.told(), expected, "{} {}", call.method, call.target);
    }
    let traffic = Traffic::start(&stage.gateway, fault.kind.busy_writers());
    traffic.flows(Clock::instant()).await;

    let began = Clock::instant();
    let injected = stage.inject(fault.kind, &traffic, cluster).await;
    let served = traffic.recovered(injected.end).await;
    traffic.flows(injected.end).await;
    let recovery = injected.recovered.unwrap_or(served).saturating_duration_since(injected.end);
    let key = *traffic.keys.borrow();
    let (book, load) = traffic.end().await;

    // What is read back is what a crash leaves.
    stage.gateway.kill();
    stage.gateway.start();
    stage.gateway.ready().await;
    let lost = lost(&stage.gateway.client, key, &book.written).await;
    let never = stage.backend.seen().never;
    let wrong = book.wrong();
    let over = injected.recovered.map_or(injected.end, |recovered| recovered.max(injected.end));
    let during: Vec<_> = book.permitted.iter().filter(|seen| seen.sent >= began && seen.sent <= over).collect();
    let meanwhile = counted(during.iter().map(|seen| seen.told.as_str()));
    let row = Row {
        fault: *fault,
        meanwhile,
        wrong: wrong.len() + never.len(),
        refused: book.refused.len(),
        acknowledged: book.written.len(),
        lost: lost.len(),
        recovery,
        observed: injected.observed,
    };
    measured(format_args!("{} oha: {load:?}; not written: {}", page::line(&row), counted(book.unwritten.iter().map(String::as_str))));
    assert!(wrong.is_empty() && never.is_empty(), "{}: allowed and should not be: {wrong:?} {never:?}", fault.name);
    assert!(lost.is_empty(), "{}: acknowledged and lost: {lost:?}", fault.name);
    assert!(load.get("200").is_some_and(|count| *count > 0), "{}: {load:?}", fault.name);
    let is_as_said = match fault.service {
        Service::Crowded => during.iter().all(|seen| seen.is_good || seen.told == "503 ServerBusy limit.overload"),
        // A fault that nobody notices was none.
        Service::Interrupted => during.iter().any(|seen| !seen.is_good || seen.ended - seen.sent >= LONG),
        Service::Throughout => during.iter().all(|seen| seen.is_good),
    };
    assert!(is_as_said, "{}: {}", fault.name, row.meanwhile);
    row
}

/// Each fault has a runtime and a thread of its own: one that fails leaves the others their turn.
#[test]
fn nothing_is_wrongly_allowed_or_lost_and_service_comes_back() {
    let wanted = std::env::vars().find(|(name, _)| name == "STEWARD_FAULTS").map(|(_, wanted)| wanted);
    let (mut cluster, mut rows, mut failed) = (None, Vec::new(), Vec::new());
    for fault in FAULTS.iter().filter(|fault| wanted.as_ref().is_none_or(|wanted| fault.name.contains(wanted))) {
        let mut given = cluster.take();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            (runtime.block_on(run(fault, &mut given)), given)
        });
        match thread.join() {
            Ok((row, kept)) => {
                rows.push(row);
                cluster = kept;
            }
            Err(_panic) => failed.push(fault.name),
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    assert!(!rows.is_empty(), "STEWARD_FAULTS names none");
    if wanted.is_none() {
        page::hold(&rows);
    }
}
