//! Kills at random moments.

use std::sync::Arc;
use std::time::Duration;

use steward::clock::Clock;
use steward::store::{self, StoreConfig};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::timeout;

use crate::client::PATIENCE;
use crate::history::{check_history, check_objects};
use crate::node::{Node, measured, setting};
use crate::postgres::Cluster;
use crate::writer::{Random, Tally, Writer};

const KILLS: u32 = 200;
const POSTGRES_KILLS: u32 = 200;
/// Kills of the database server.
const SERVER_KILLS: u32 = 20;
const WRITERS: u16 = 6;
/// The longest time that clients write between two kills.
const WRITING_MS_MAX: u64 = 180;
/// One kill in so many comes while the gateway starts.
const KILLED_AT_START: u64 = 8;
/// After so many kills the whole store is compared with what the clients know.
const LOOK_EVERY: u32 = 20;

/// A gateway, its clients and its store.
struct Run {
    node: Node,
    writers: Vec<Writer>,
    store: StoreConfig,
    random: Random,
    kills: u32,
    started: std::time::Instant,
}

impl Run {
    async fn begin(name: &str, store_url: &str) -> Self {
        let seed = setting("STEWARD_SEED", u32::try_from(Clock::system().now().as_second() & 0xffff).unwrap());
        measured(format_args!("{name}: STEWARD_SEED={seed}"));
        let mut node = Node::new(name, WRITERS, "http://127.0.0.1:9", store_url);
        node.started().await;
        let url = if store_url.contains("://") { store_url.to_owned() } else { node.folder.join(store_url).display().to_string() };
        let writers = (0..WRITERS).map(|number| Writer::new(number, &node, seed.into())).collect();
        let store = StoreConfig::new(url.parse().unwrap());
        let mut run = Self { node, writers, store, random: Random(seed.into()), kills: 0, started: Clock::instant() };
        for writer in &mut run.writers {
            writer.sign_in();
            writer.prepare().await;
        }
        run
    }

    /// All clients write while something happens, which begins when the first write was acknowledged. They are told to stop when it is
    /// over.
    async fn while_writing<T>(&mut self, happens: impl AsyncFnOnce(&mut Node, &mut Random) -> T) -> T {
        let (stop, stopped) = watch::channel(false);
        let written = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        for mut writer in self.writers.drain(..) {
            writer.sign_in();
            tasks.spawn(writer.write(stopped.clone(), Arc::clone(&written)));
        }
        timeout(PATIENCE, written.notified()).await.expect("a write is acknowledged");
        let happened = happens(&mut self.node, &mut self.random).await;
        stop.send_replace(true);
        self.writers = tasks.join_all().await;
        happened
    }

    async fn kill_the_gateway(&mut self) {
        self.while_writing(async |node, random| {
            tokio::time::sleep(Duration::from_micros(random.below(WRITING_MS_MAX * 1000))).await;
            node.kill();
        })
        .await;
        self.kills += 1;
        if self.random.below(KILLED_AT_START) == 0 {
            self.node.start();
            tokio::time::sleep(Duration::from_micros(self.random.below(WRITING_MS_MAX * 2000))).await;
            self.node.kill();
            self.kills += 1;
        }
        self.node.started().await;
        self.verify().await;
    }

    /// The gateway stays, and comes back to work by itself.
    async fn kill_the_server(&mut self, cluster: &mut Cluster) {
        self.while_writing(async |node, random| {
            tokio::time::sleep(Duration::from_micros(random.below(WRITING_MS_MAX * 1000))).await;
            block_in_place(|| {
                cluster.kill_server();
                cluster.start_again();
            });
            node.ready().await;
            tokio::time::sleep(Duration::from_millis(random.below(WRITING_MS_MAX))).await;
        })
        .await;
        self.verify().await;
    }

    async fn verify(&mut self) {
        // A commit of the killed gateway may still be on its way to a server; after a newer one it is there or never will be.
        if let Some(writer) = self.writers.first_mut() {
            writer.fence().await;
        }
        let mut tasks = JoinSet::new();
        for mut writer in self.writers.drain(..) {
            tasks.spawn(async move {
                writer.verify().await;
                writer
            });
        }
        self.writers = tasks.join_all().await;
    }

    async fn look(&self) {
        check_objects(&store::look(&self.store).await.unwrap(), &self.writers);
    }

    /// Everything once more, from all sides.
    async fn end(mut self, what: &str) -> Tally {
        for writer in &mut self.writers {
            writer.verify_all().await;
        }
        self.look().await;
        self.node.terminated().await;
        let audited = self.node.run(&["audit", "verify"]);
        assert!(audited.status.success(), "{}{}", String::from_utf8_lossy(&audited.stdout), String::from_utf8_lossy(&audited.stderr));
        let revisions = check_history(&self.store).await;
        let mut all = Tally::default();
        self.writers.iter().for_each(|writer| all += writer.tally);
        let Tally { acknowledged, found, not_found, refused } = all;
        assert_eq!(revisions, acknowledged + found, "each write is one change, and there is no other");
        assert!(acknowledged > u64::from(self.kills), "{acknowledged}");
        measured(format_args!(
            "{what}: {} kills of the gateway in {:.0} s; {acknowledged} writes acknowledged, all there; {} not acknowledged: \
             {found} there as a whole, {not_found} not at all; {refused} refused; {revisions} revisions without a gap; audit chain intact",
            self.kills,
            self.started.elapsed().as_secs_f64(),
            found + not_found,
        ));
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_on_sqlite() {
    let mut run = Run::begin("sqlite", "state.db").await;
    let kills = setting("STEWARD_KILLS", KILLS);
    let mut looked = 0;
    while run.kills < kills {
        run.kill_the_gateway().await;
        if run.kills >= looked + LOOK_EVERY {
            looked = run.kills;
            run.look().await;
        }
    }
    run.end("SQLite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_on_postgres() {
    let mut cluster = Cluster::start(&[]);
    let mut run = Run::begin("postgres", &cluster.database()).await;
    let kills = setting("STEWARD_POSTGRES_KILLS", POSTGRES_KILLS);
    let mut server_kills = 0;
    while run.kills < kills {
        run.kill_the_gateway().await;
        if server_kills < run.kills * SERVER_KILLS / kills {
            server_kills += 1;
            run.kill_the_server(&mut cluster).await;
            run.look().await;
        }
    }
    run.end(&format!("PostgreSQL, killed {server_kills} times itself")).await;
}
