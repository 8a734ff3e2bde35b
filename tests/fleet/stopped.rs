//! A gateway that is stopped decides nothing by what it knew.

use std::time::Duration;

use steward::clock::Clock;
use tokio::task::JoinSet;

use crate::node::{eventually, measured};
use crate::several::{Fleet, LEASE, Lane, SUCCESS_TIME_MAX, alone, is_allowed, is_stale};

const ROUNDS: u32 = 6;
/// Requests that lie in the sockets of the stopped gateway when it goes on.
const WAITING: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_gateway_delays_a_removal_and_allows_nothing_afterwards() {
    let _alone = alone().await;
    let fleet = Fleet::start("stopped").await;
    let (lane, node) = (Lane::new(0), fleet.last());
    let mut wire = fleet.nodes[0].wire();
    lane.offer(&mut wire).await;
    let (mut took, mut stale, mut refused) = (Vec::new(), 0, 0);
    for round in 0..ROUNDS {
        lane.assign(round, &mut wire).await;
        let mut wires: Vec<_> = (0..WAITING).map(|_| node.wire()).collect();
        for wire in &mut wires {
            lane.is_permitted(wire).await;
        }
        node.signal("STOP");
        let stopped = Clock::instant();
        let removal = lane.remove(round, &mut wire).await;
        let succeeded = removal.succeeded(&mut wire).await;
        took.push(succeeded - stopped);
        let mut waiting = JoinSet::new();
        for mut wire in wires {
            let look = lane.look();
            waiting.spawn(async move { wire.ask(look).await.unwrap() });
        }
        // They are on their way before the process is woken.
        tokio::time::sleep(Duration::from_millis(50)).await;
        node.signal("CONT");
        for answer in waiting.join_all().await {
            assert!(!is_allowed(&answer), "round {round}: sent after the removal had succeeded");
            stale += usize::from(is_stale(&answer));
        }
        let mut wire = node.wire();
        eventually("the gateway has caught up", async || {
            let answer = wire.ask(lane.look()).await.unwrap();
            assert!(!is_allowed(&answer), "round {round}");
            (!is_stale(&answer)).then_some(())
        })
        .await;
        refused += 1;
    }
    took.sort_unstable();
    measured(format_args!(
        "a stopped gateway: removals succeeded {:?} to {:?} after it was stopped; woken, it allowed none of {}, of which {stale} were \
         answered 503 state.stale; {refused} times it caught up",
        took[0],
        took[took.len() - 1],
        WAITING * took.len()
    ));
    assert!(took[took.len() - 1] < SUCCESS_TIME_MAX, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_woken_in_between_allows_nothing_after_success() {
    let _alone = alone().await;
    let fleet = Fleet::start("woken").await;
    let (lane, node) = (Lane::new(0), fleet.last());
    let mut wire = fleet.nodes[0].wire();
    lane.offer(&mut wire).await;
    for (round, pause) in (0..).zip([300, 1_200, 1_900, 2_100, 2_300, 2_450]) {
        lane.assign(round, &mut wire).await;
        let mut stopped = node.wire();
        lane.is_permitted(&mut stopped).await;
        node.signal("STOP");
        let removal = lane.remove(round, &mut wire).await;
        let waking = async {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            node.signal("CONT");
            let mut seen = Vec::new();
            loop {
                let sent = Clock::instant();
                let answer = stopped.ask(lane.look()).await.unwrap();
                seen.push((sent, is_allowed(&answer)));
                if !is_allowed(&answer) && !is_stale(&answer) {
                    return seen;
                }
            }
        };
        let (succeeded, seen) = tokio::join!(removal.succeeded(&mut wire), waking);
        let too_late = seen.iter().filter(|(sent, allowed)| *allowed && *sent > succeeded).count();
        assert_eq!(too_late, 0, "woken after {pause} ms");
        let beyond = seen.iter().filter(|(sent, allowed)| *allowed && *sent > removal.acknowledged + LEASE).count();
        assert_eq!(beyond, 0, "woken after {pause} ms: allowed after the lease");
    }
}
