//! A thousand delegations are removed under load on all gateways.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use steward::clock::Clock;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::client::{PATIENCE, get};
use crate::node::{Node, Wire, measured, owner, setting};
use crate::oha::oha;
use crate::several::{Fleet, LEASE, Lane, NODES, alone, is_allowed, is_stale, quantile};

const REVOCATIONS: u32 = 1_000;
const LANES: u16 = 6;
/// Between two requests of one principal to one gateway: while it waits for a removal to take effect, and at other times.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];
/// Requests to each gateway, sent after the removal has succeeded, that have to be refused.
const LOOKS_AFTERWARDS: usize = 2;

/// An answer, by when its request was sent.
struct Seen {
    sent: Instant,
    allowed: bool,
    stale: bool,
}

/// What was measured in one lane.
#[derive(Default)]
struct Measured {
    /// For each gateway, from when the removal was asked for, which is before its commit, to when the last request was sent that was
    /// allowed.
    allowed_for: [Vec<Duration>; NODES],
    /// The same from the acknowledgement, which is after the commit, on all gateways.
    allowed_after: Vec<Duration>,
    /// From the acknowledgement to the operation's success.
    succeeded_after: Vec<Duration>,
    /// Sent after success, and allowed.
    too_late: Vec<String>,
    requests: u64,
    stale: u64,
}

/// How much is asked.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Fast,
    Slow,
    Stop,
}

/// One principal at one gateway.
async fn load(lane: Lane, mut wire: Wire, seen: mpsc::UnboundedSender<Seen>, mut pace: watch::Receiver<Pace>) {
    loop {
        let wanted = *pace.borrow_and_update();
        if wanted == Pace::Stop {
            return;
        }
        let sent = Clock::instant();
        let answer = wire.ask(lane.look()).await.unwrap();
        let told = seen.send(Seen { sent, allowed: is_allowed(&answer), stale: is_stale(&answer) });
        assert!(told.is_ok(), "the lane listens as long as there is load");
        // A new pace counts at once.
        let pause = PAUSES[usize::from(wanted == Pace::Slow)];
        let _changed = tokio::time::timeout(pause, pace.changed()).await.is_ok();
    }
}

/// `oha` at every gateway, until it is dropped: load beside that of the lanes, whose answers are looked at one by one.
struct Oha(Vec<Child>);

impl Oha {
    fn start(nodes: &[Node]) -> Self {
        let start = |node: &Node| {
            let mut command = Command::new(oha());
            command.args(["--no-tui", "-z", "1h", "-c", "4", "-q", "150", "-H"]).arg(format!("authorization: Bearer {}", owner()));
            command.arg(format!("http://{}/subscriptions?api-version=2022-12-01", node.address));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        Self(nodes.iter().map(start).collect())
    }

    fn is_running(&mut self) -> bool {
        self.0.iter_mut().all(|child| child.try_wait().unwrap().is_none())
    }
}

impl Drop for Oha {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ended = child.kill().and_then(|()| child.wait()).is_ok();
        }
    }
}

/// Requests that the gateways have answered.
async fn answered(nodes: &[Node]) -> u64 {
    let mut all = 0;
    for node in nodes {
        let metrics = node.admin(get("/metrics")).await;
        let text = String::from_utf8(metrics.body.to_vec()).unwrap();
        let counts = text.lines().filter(|line| line.starts_with("http_server_request_duration_seconds_count"));
        all += counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>();
    }
    all
}

/// What one lane sees of all gateways.
struct Watched {
    lane: Lane,
    seen: Vec<mpsc::UnboundedReceiver<Seen>>,
    wires: Vec<Wire>,
    pace: watch::Sender<Pace>,
    measured: Measured,
}

impl Watched {
    async fn next(&mut self, node: usize) -> Seen {
        let seen = tokio::time::timeout(PATIENCE, self.seen[node].recv()).await.expect("the load goes on").unwrap();
        self.measured.requests += 1;
        self.measured.stale += u64::from(seen.stale);
        seen
    }

    async fn revoke(&mut self, round: u32) {
        let node = usize::try_from(round).unwrap() % NODES;
        self.lane.assign(round, &mut self.wires[node]).await;
        for node in 0..NODES {
            while !self.next(node).await.allowed {}
        }
        self.pace.send_replace(Pace::Fast);
        let removal = self.lane.remove(round, &mut self.wires[(node + 1) % NODES]).await;
        let succeeded = removal.succeeded(&mut self.wires[(node + 2) % NODES]).await;
        let mut last_of_all = removal.asked;
        for node in 0..NODES {
            let (mut afterwards, mut last_allowed) = (0, removal.asked);
            while afterwards < LOOKS_AFTERWARDS {
                let seen = self.next(node).await;
                if seen.allowed {
                    last_allowed = last_allowed.max(seen.sent);
                }
                if seen.sent > succeeded {
                    afterwards += 1;
                    if seen.allowed {
                        self.measured.too_late.push(format!("round {round}, node {node}: {:?} after success", seen.sent - succeeded));
                    }
                }
            }
            self.measured.allowed_for[node].push(last_allowed - removal.asked);
            last_of_all = last_of_all.max(last_allowed);
        }
        self.pace.send_replace(Pace::Slow);
        self.measured.allowed_after.push(last_of_all.saturating_duration_since(removal.acknowledged));
        self.measured.succeeded_after.push(succeeded - removal.acknowledged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_after_success_is_allowed_anywhere() {
    let _alone = alone().await;
    let fleet = Fleet::start("revocations").await;
    let rounds = setting("STEWARD_REVOCATIONS", REVOCATIONS).div_ceil(u32::from(LANES));
    let mut oha = Oha::start(&fleet.nodes);
    let (started, before) = (Clock::instant(), answered(&fleet.nodes).await);
    let mut lanes = JoinSet::new();
    for number in 0..LANES {
        let lane = Lane::new(number);
        lane.offer(&mut fleet.nodes[0].wire()).await;
        let (pace, paced) = watch::channel(Pace::Slow);
        let mut watched = Watched { lane, seen: Vec::new(), wires: Vec::new(), pace, measured: Measured::default() };
        let mut loads = JoinSet::new();
        for node in &fleet.nodes {
            let (sender, receiver) = mpsc::unbounded_channel();
            loads.spawn(load(watched.lane.clone(), node.wire(), sender, paced.clone()));
            watched.seen.push(receiver);
            watched.wires.push(node.wire());
        }
        lanes.spawn(async move {
            for round in 0..rounds {
                watched.revoke(round).await;
            }
            watched.pace.send_replace(Pace::Stop);
            loads.join_all().await;
            watched.measured
        });
    }
    let lanes = lanes.join_all().await;
    let took = started.elapsed();
    assert!(oha.is_running(), "the load went on to the end");
    report(lanes, took, answered(&fleet.nodes).await - before);
}

fn report(lanes: Vec<Measured>, took: Duration, answered: u64) {
    let mut all = Measured::default();
    for lane in lanes {
        for (all, of_lane) in all.allowed_for.iter_mut().zip(lane.allowed_for) {
            all.extend(of_lane);
        }
        all.allowed_after.extend(lane.allowed_after);
        all.succeeded_after.extend(lane.succeeded_after);
        all.too_late.extend(lane.too_late);
        all.requests += lane.requests;
        all.stale += lane.stale;
    }
    all.allowed_after.sort_unstable();
    all.succeeded_after.sort_unstable();
    let shown = |sorted: &[Duration]| {
        let of = |percent| quantile(sorted, percent).as_secs_f64() * 1e3;
        format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", of(50), of(99), of(100))
    };
    measured(format_args!(
        "{} revocations on {NODES} gateways in {:.0} s under {:.0} requests/s, {:.0} of them looked at: {} allowed that were sent after success; {} answered 503 \
         state.stale",
        all.allowed_after.len(),
        took.as_secs_f64(),
        answered as f64 / took.as_secs_f64(),
        all.requests as f64 / took.as_secs_f64(),
        all.too_late.len(),
        all.stale,
    ));
    for (node, allowed_for) in (1..).zip(&mut all.allowed_for) {
        allowed_for.sort_unstable();
        measured(format_args!("gateway {node}: last allowed request sent {} after the removal was asked for", shown(allowed_for)));
    }
    measured(format_args!(
        "all gateways: last allowed request sent {} after the acknowledgement, bound {} ms; operation succeeded {} after it",
        shown(&all.allowed_after),
        LEASE.as_millis(),
        shown(&all.succeeded_after),
    ));
    assert_eq!(all.too_late, [""; 0]);
    assert!(all.allowed_after.iter().all(|after| *after <= LEASE), "the stated bound");
}
