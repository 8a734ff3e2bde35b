//! What goes wrong, one thing after the other, and how it is put right.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;
use steward::clock::Clock;
use tokio::task::block_in_place;

use crate::client::{call, get};
use crate::gateway::{Gateway, OTHER, OTHER_READER, READER};
use crate::keys::{FIRST, FORGED, SECOND};
use crate::node::eventually;
use crate::postgres::Cluster;
use crate::relay::{Line, Relay};
use crate::scripted::{Manner, Scripted};
use crate::traffic::{Oha, Traffic, decided, other, permitted, refusals, token};

/// How long something stays wrong, where nothing else says so.
const FAULT_TIME: Duration = Duration::from_secs(3);
/// Nothing that a changed file took away is allowed to what is sent later than this.
const REVOCATION_TIME_MAX: Duration = Duration::from_secs(1);
/// From one request of the one whose grant is taken away to the next.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A pair of files is looked at every 5 s: docs/limits.md.
const CERTIFICATE_FAULT_TIME: Duration = Duration::from_secs(6);
/// Longer than keys are kept without being loaded again, and than the pause after a load that failed: docs/limits.md.
const KEYS_ARE_DUE_S: i64 = 11 * 60;
const KEYS_ARE_RETRIED_S: i64 = 31;
/// How far the clock is set off.
const CLOCK_STEP_S: i64 = 20 * 60;
/// A write that was under way when its file was moved is there when the file is back.
const UNDER_WAY_TIME_MAX: Duration = Duration::from_millis(500);
const DISK_DELAY: Duration = Duration::from_millis(500);
const DESCRIPTORS_LEFT: u64 = 16;
const KILLS: usize = 3;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Backend(Manner),
    CertificateReplaced,
    Clock,
    Descriptors,
    Flood,
    Issuer(Manner),
    IssuerGarbageKeys,
    IssuerRotates,
    Kill,
    KillBusy,
    PolicyBroken,
    PolicyRevokes,
    PostgresKilled,
    PostgresSilent,
    RecordsFull,
    RecordsSlow,
    StopAndGo,
    StoreFull,
    StoreLocked,
    StoreRemoved,
    StoreTruncated,
    Terminate,
}

/// Whether permitted requests are served while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Some are turned away, and told to come again.
    Crowded,
    /// Some are not, or only after a long while.
    Interrupted,
    /// All of them.
    Throughout,
}

/// One of the table.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    pub what: &'static str,
    pub kind: Kind,
    pub service: Service,
}

const fn fault(name: &'static str, kind: Kind, service: Service, what: &'static str) -> Fault {
    Fault { name, what, kind, service }
}

use Service::{Crowded, Interrupted, Throughout};

pub const FAULTS: [Fault; 32] = [
    fault("backend refuses", Kind::Backend(Manner::Refuse), Interrupted, "nobody listens for 3 s, and open connections end"),
    fault("backend resets", Kind::Backend(Manner::Reset), Interrupted, "each request is answered by a reset of its connection"),
    fault("backend hangs", Kind::Backend(Manner::Hang), Interrupted, "connections are accepted and requests not answered"),
    fault(
        "backend drips",
        Kind::Backend(Manner::Drip),
        Interrupted,
        "answers come at one byte a second, from the head on or from the body on",
    ),
    fault(
        "backend cuts the head",
        Kind::Backend(Manner::CutHead),
        Interrupted,
        "the connection ends in the middle of the head of the answer",
    ),
    fault("backend cuts the body", Kind::Backend(Manner::CutBody), Interrupted, "the connection ends in the middle of the body"),
    fault(
        "backend gives a wrong length",
        Kind::Backend(Manner::WrongLength),
        Interrupted,
        "too long, too short, two lengths, a length beside chunks, by turns",
    ),
    fault("backend talks garbage", Kind::Backend(Manner::Garbage), Interrupted, "answers are no HTTP"),
    fault(
        "backend switches protocols",
        Kind::Backend(Manner::Unasked),
        Interrupted,
        "101, which nobody asked for, and another answer behind it",
    ),
    fault("backend answers twice", Kind::Backend(Manner::Two), Throughout, "a second answer, which is somebody else's, behind each"),
    fault("issuer is down", Kind::Issuer(Manner::Refuse), Throughout, "nobody listens when the keys are due to be loaded again"),
    fault("issuer is slow", Kind::Issuer(Manner::Hang), Throughout, "it does not answer when the keys are due"),
    fault("issuer serves garbage", Kind::IssuerGarbageKeys, Throughout, "its key set has one key, which is none, when the keys are due"),
    fault(
        "issuer rotates",
        Kind::IssuerRotates,
        Interrupted,
        "one key is replaced by another without notice, and all tokens from then on are signed with it",
    ),
    fault("disk full, records", Kind::RecordsFull, Throughout, "writes to the folder of records fail with ENOSPC"),
    fault("disk slow, records", Kind::RecordsSlow, Throughout, "each write and flush in the folder of records takes 500 ms"),
    fault("disk full, store", Kind::StoreFull, Throughout, "writes to the file of the store and its log fail with ENOSPC"),
    fault("store locked", Kind::StoreLocked, Throughout, "another process holds an exclusive transaction on the file"),
    fault(
        "store truncated",
        Kind::StoreTruncated,
        Interrupted,
        "half of the file is cut off while the gateway is stopped; it must not start; a backup is restored",
    ),
    fault("store removed", Kind::StoreRemoved, Throughout, "the file and its log are moved away under the running gateway, and back"),
    fault("policy file broken", Kind::PolicyBroken, Throughout, "a file of the policies is replaced by half of itself"),
    fault("policy file revokes", Kind::PolicyRevokes, Throughout, "a file that grants is replaced by one that does not, and put back"),
    fault("certificate replaced", Kind::CertificateReplaced, Throughout, "first the certificate without its key, 6 s later the key"),
    fault("clock set", Kind::Clock, Throughout, "the time of day is 20 minutes ahead, and then 20 minutes behind"),
    fault("descriptors exhausted", Kind::Descriptors, Interrupted, "the process may open no file or connection any more"),
    fault("stopped and woken", Kind::StopAndGo, Interrupted, "SIGSTOP, 3 s later SIGCONT"),
    fault("killed and restarted", Kind::Kill, Interrupted, "SIGKILL three times, and started again at once"),
    fault("killed during many writes", Kind::KillBusy, Interrupted, "the same, while four more clients do nothing but write"),
    fault("terminated and restarted", Kind::Terminate, Interrupted, "SIGTERM, and started again when it has ended"),
    fault(
        "another caller's flood",
        Kind::Flood,
        Crowded,
        "128 connections ask without pause with a forged token and for what is not delegated",
    ),
    fault("database killed", Kind::PostgresKilled, Interrupted, "SIGKILL for all processes of PostgreSQL, 3 s later it is started again"),
    fault("database out of reach", Kind::PostgresSilent, Interrupted, "nothing comes through to PostgreSQL for 3 s, and nothing is closed"),
];

/// Everything around one gateway.
pub struct Stage {
    pub gateway: Gateway,
    pub backend: Scripted,
    pub issuer: Scripted,
    pub relay: Option<Relay>,
    /// What the issuer publishes.
    pub keys: tokio::sync::watch::Sender<String>,
}

/// How it went.
pub struct Injected {
    /// From when on all is well again, but for the gateway.
    pub end: Instant,
    /// When the gateway had recovered, where that is more than serving what is permitted.
    pub recovered: Option<Instant>,
    /// Worth telling.
    pub observed: String,
}

impl Injected {
    fn over(observed: impl Into<String>) -> Self {
        Self { end: Clock::instant(), recovered: None, observed: observed.into() }
    }
}

async fn lasts() {
    tokio::time::sleep(FAULT_TIME).await;
}

impl Kind {
    /// Whether the gateway runs on a machine that can be told things.
    pub const fn is_of_the_machine(self) -> bool {
        matches!(self, Self::Clock | Self::Issuer(_) | Self::IssuerGarbageKeys | Self::RecordsFull | Self::RecordsSlow | Self::StoreFull)
    }

    pub const fn is_of_postgres(self) -> bool {
        matches!(self, Self::PostgresKilled | Self::PostgresSilent)
    }

    /// Clients that do nothing but write.
    pub const fn busy_writers(self) -> u16 {
        if matches!(self, Self::KillBusy) { 4 } else { 0 }
    }
}

impl Stage {
    /// Makes it go wrong, and right again.
    #[expect(clippy::cognitive_complexity, reason = "a table: one arm for each kind")]
    pub async fn inject(&mut self, kind: Kind, traffic: &Traffic, cluster: &mut Option<Cluster>) -> Injected {
        match kind {
            Kind::Backend(manner) => self.backend(manner).await,
            Kind::CertificateReplaced => self.certificate().await,
            Kind::Clock => self.clock().await,
            Kind::Descriptors => self.descriptors().await,
            Kind::Flood => self.flood().await,
            Kind::Issuer(manner) => self.issuer(manner).await,
            Kind::IssuerGarbageKeys => self.garbage_keys().await,
            Kind::IssuerRotates => self.rotate(traffic).await,
            Kind::Kill | Kind::KillBusy => self.kill().await,
            Kind::PolicyBroken => self.policy_broken().await,
            Kind::PolicyRevokes => self.policy_revokes().await,
            Kind::PostgresKilled => postgres_killed(cluster.as_mut().unwrap()).await,
            Kind::PostgresSilent => self.postgres_silent().await,
            Kind::RecordsFull => self.full("/records/").await,
            Kind::RecordsSlow => self.slow("/records/").await,
            Kind::StopAndGo => self.stop_and_go().await,
            Kind::StoreFull => self.full("/state.db").await,
            Kind::StoreLocked => self.store_locked().await,
            Kind::StoreRemoved => self.store_removed(traffic).await,
            Kind::StoreTruncated => self.store_truncated().await,
            Kind::Terminate => self.terminate(traffic).await,
        }
    }

    async fn backend(&self, manner: Manner) -> Injected {
        let before = self.backend.seen().requests;
        self.backend.order(manner);
        lasts().await;
        self.backend.order(Manner::Sound);
        Injected::over(format!("{} requests reached it", self.backend.seen().requests - before))
    }

    async fn issuer(&self, manner: Manner) -> Injected {
        self.issuer.order(manner);
        self.gateway.machine.set_clock(KEYS_ARE_DUE_S);
        let failure = self.keys_failed().await;
        lasts().await;
        self.issuer.order(Manner::Sound);
        self.keys_loaded(failure).await
    }

    async fn garbage_keys(&self) -> Injected {
        let sound = self.keys.borrow().clone();
        self.keys.send_replace(FORGED.set().to_string().replace("\"x\":\"", "\"x\":\"A"));
        self.gateway.machine.set_clock(KEYS_ARE_DUE_S);
        let failure = self.keys_failed().await;
        lasts().await;
        self.keys.send_replace(sound);
        self.keys_loaded(failure).await
    }

    /// Why the keys could not be loaded again.
    async fn keys_failed(&self) -> String {
        let failure = eventually("the keys cannot be loaded", async || self.key_failures().await.into_iter().next()).await;
        // The port differs from run to run.
        failure.replace(&format!("http://{}", self.issuer.address), "")
    }

    async fn keys_loaded(&self, failure: String) -> Injected {
        let over = Injected::over(failure);
        self.gateway.machine.set_clock(KEYS_ARE_DUE_S + KEYS_ARE_RETRIED_S);
        eventually("the keys are loaded again", async || self.key_failures().await.is_empty().then_some(())).await;
        over
    }

    async fn key_failures(&self) -> Vec<String> {
        let status = self.gateway.admin(get("/api/status")).await.unwrap().json();
        let issuers = status["issuers"].as_array().unwrap().iter();
        issuers.filter_map(|issuer| issuer["failure"].as_str().map(str::to_owned)).collect()
    }

    async fn rotate(&self, traffic: &Traffic) -> Injected {
        self.keys.send_replace(SECOND.set().to_string());
        traffic.keys.send_replace(SECOND);
        let end = Clock::instant();
        let recovered = traffic.recovered(end).await;
        let old = decided(&self.gateway.client, &permitted("rg-old").bearer(&token(FIRST, READER))).await;
        assert_eq!(old.status, 401, "the key that was withdrawn counts no more: {}", old.told());
        Injected { end, recovered: Some(recovered), observed: format!("from then on tokens of the old key: {}", old.told()) }
    }

    async fn full(&self, path: &str) -> Injected {
        self.gateway.machine.fill(path);
        lasts().await;
        let hits = self.gateway.machine.mend();
        assert!(hits > 0, "nothing was written");
        Injected::over(format!("{hits} writes failed"))
    }

    async fn slow(&self, path: &str) -> Injected {
        self.gateway.machine.slow(path, DISK_DELAY);
        lasts().await;
        let hits = self.gateway.machine.mend();
        assert!(hits > 0, "nothing was written");
        Injected::over(format!("{hits} writes and flushes were slow"))
    }

    async fn store_locked(&self) -> Injected {
        let beside = Connection::open(self.gateway.folder.join("state.db")).unwrap();
        beside.busy_timeout(FAULT_TIME).unwrap();
        beside.execute_batch("BEGIN EXCLUSIVE").unwrap();
        lasts().await;
        beside.execute_batch("ROLLBACK").unwrap();
        Injected::over("")
    }

    async fn store_truncated(&mut self) -> Injected {
        self.gateway.signal(Signal::TERM);
        assert!(self.gateway.ended().await.success());
        self.gateway.done(&["backup", "backup"]);
        let file = self.gateway.folder.join("state.db");
        let length = std::fs::metadata(&file).unwrap().len();
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length / 2).unwrap();
        let refused = block_in_place(|| self.gateway.run(&["serve"]));
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains("state.db` is damaged; restore a backup"), "{} {told}", refused.status);
        lasts().await;
        std::fs::rename(&file, self.gateway.folder.join("damaged.db")).unwrap();
        self.gateway.done(&["restore", "backup"]);
        let over = Injected::over(format!("exit code {}: the store is damaged; restore a backup", refused.status.code().unwrap()));
        self.gateway.start();
        over
    }

    async fn store_removed(&self, traffic: &Traffic) -> Injected {
        let place = |folder: &Path, name: &str| folder.join(name);
        let away = self.gateway.folder.join("away");
        std::fs::create_dir(&away).unwrap();
        let carry = |from: &Path, to: &Path| {
            for name in ["state.db", "state.db-wal", "state.db-shm"] {
                std::fs::rename(place(from, name), place(to, name)).unwrap();
            }
        };
        carry(&self.gateway.folder, &away);
        let removed = Clock::instant();
        lasts().await;
        let written = traffic.book.borrow().written.iter().filter(|written| written.acknowledged > removed + UNDER_WAY_TIME_MAX).count();
        // What is acknowledged now is in no file that a restart finds.
        assert_eq!(written, 0, "writes were acknowledged that nobody will find");
        carry(&away, &self.gateway.folder);
        Injected::over("no write was acknowledged meanwhile")
    }

    async fn policy_broken(&self) -> Injected {
        let file = "policies/other.toml";
        self.gateway.replace(file, OTHER.split_at(OTHER.len() / 2).0);
        let told = self.gateway.admin(call("POST", "/api/policies/reload")).await.unwrap();
        assert_eq!(told.status, 422, "{}", told.json());
        lasts().await;
        self.gateway.replace(file, OTHER);
        let over = Injected::over("the set before stayed in force");
        let told = self.gateway.admin(call("POST", "/api/policies/reload")).await.unwrap();
        assert_eq!(told.status, 200, "{}", told.json());
        over
    }

    async fn policy_revokes(&self) -> Injected {
        let file = "policies/other.toml";
        let look = other("rg-other").bearer(&token(FIRST, OTHER_READER));
        let is_allowed = async || decided(&self.gateway.client, &look).await.status == 200;
        assert!(is_allowed().await);
        self.gateway.replace(file, "# Nothing is granted here.\n");
        let replaced = Clock::instant();
        let mut last = Duration::ZERO;
        while replaced.elapsed() < FAULT_TIME {
            let sent = replaced.elapsed();
            if is_allowed().await {
                last = sent;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        assert!(last <= REVOCATION_TIME_MAX, "allowed {last:?} after the file was replaced");
        self.gateway.replace(file, OTHER);
        let end = Clock::instant();
        eventually("the grant is back", async || is_allowed().await.then_some(())).await;
        let recovered = Some(Clock::instant());
        Injected { end, recovered, observed: format!("last allowed {} ms after the file was replaced", last.as_millis()) }
    }

    async fn certificate(&self) -> Injected {
        let before = self.gateway.shown().await.unwrap();
        let [certificate, key] = Gateway::next_certificate();
        self.gateway.replace("server.pem", &certificate);
        tokio::time::sleep(CERTIFICATE_FAULT_TIME).await;
        assert_eq!(self.gateway.shown().await.unwrap(), before, "one without its key is not shown");
        self.gateway.replace("server.key", &key);
        let end = Clock::instant();
        eventually("the new one is shown", async || self.gateway.shown().await.filter(|shown| *shown != before)).await;
        Injected { end, recovered: Some(Clock::instant()), observed: "the old pair until both files were there".to_owned() }
    }

    async fn clock(&self) -> Injected {
        for step in [CLOCK_STEP_S, -CLOCK_STEP_S] {
            self.gateway.machine.set_clock(step);
            lasts().await;
        }
        self.gateway.machine.set_clock(0);
        Injected::over("")
    }

    async fn descriptors(&self) -> Injected {
        self.gateway.descriptors(Some(DESCRIPTORS_LEFT));
        lasts().await;
        self.gateway.descriptors(None);
        Injected::over("")
    }

    async fn stop_and_go(&self) -> Injected {
        self.gateway.signal(Signal::STOP);
        lasts().await;
        self.gateway.signal(Signal::CONT);
        Injected::over("")
    }

    async fn kill(&mut self) -> Injected {
        let mut over = Injected::over("");
        for _ in 0..KILLS {
            self.gateway.ready().await;
            tokio::time::sleep(FAULT_TIME / 4).await;
            self.gateway.kill();
            over = Injected::over("");
            self.gateway.start();
        }
        over
    }

    async fn terminate(&mut self, traffic: &Traffic) -> Injected {
        self.gateway.signal(Signal::TERM);
        assert!(self.gateway.ended().await.success(), "{}", self.gateway.log());
        let over = Injected::over("no request that was accepted went unanswered");
        self.gateway.start();
        traffic.recovered(over.end).await;
        let book = traffic.book.borrow();
        let lost = book.permitted.iter().chain(&book.refused).filter(|seen| seen.told == "lost").count();
        assert_eq!(lost, 0, "requests that were accepted went unanswered");
        assert!(book.unwritten.iter().all(|told| told != "lost"), "{:?}", book.unwritten);
        over
    }

    async fn postgres_silent(&self) -> Injected {
        let relay = self.relay.as_ref().unwrap();
        relay.set(Line::Silent);
        lasts().await;
        relay.set(Line::Open);
        Injected::over("")
    }

    /// Two strangers to each other ask as fast as they can: one with a forged token, one for what is not delegated to it.
    async fn flood(&self) -> Injected {
        let strangers = refusals();
        let mut floods = [&strangers[3].0, &strangers[0].0].map(|call| Oha::start(&self.gateway, &["-c", "64"], call));
        lasts().await;
        let refused: u64 = floods.iter_mut().flat_map(|flood| flood.end()).map(|(_told, count)| count).sum();
        Injected::over(format!("{refused} further requests in 3 s"))
    }
}

async fn postgres_killed(cluster: &mut Cluster) -> Injected {
    block_in_place(|| cluster.kill_server());
    lasts().await;
    block_in_place(|| cluster.start_again());
    Injected::over("")
}
