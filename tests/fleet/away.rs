//! A gateway that does not reach the database, and a database that nobody reaches.

use std::time::Duration;

use steward::clock::Clock;
use tokio::task::block_in_place;

use crate::client::get;
use crate::node::{Wire, eventually, measured};
use crate::relay::Line;
use crate::several::{Fleet, LEASE, Lane, MARGIN, SLACK, alone, is_allowed, is_stale};

/// Whether the gateway calls itself ready.
async fn is_ready(fleet: &Fleet, node: usize) -> bool {
    let answer = fleet.nodes[node].admin(get("/readyz")).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status == 200, !text.contains("[-] state"), "{text}");
    answer.status == 200
}

/// Looks until the gateway says that it does not know enough; until then it decides.
async fn goes_stale(lane: &Lane, wire: &mut Wire) {
    eventually("the lease is over", async || {
        let answer = wire.ask(lane.look()).await.unwrap();
        if is_allowed(&answer) {
            return None;
        }
        assert_eq!(answer.told(), "503 ServerBusy state.stale");
        assert!(!answer.header("retry-after").is_empty());
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes of kills and load: passed by hand, not yet steady enough to stop a change; cargo test -- --ignored"]
async fn a_gateway_that_is_cut_off_stops_deciding_and_comes_back_by_itself() {
    let _alone = alone().await;
    let fleet = Fleet::start("cut").await;
    let (lane, standing) = (Lane::new(0), Lane::new(1));
    let (mut wire, mut cut_off) = (fleet.nodes[0].wire(), fleet.last().wire());
    lane.offer(&mut wire).await;
    standing.offer(&mut wire).await;
    standing.assign(0, &mut wire).await;
    standing.is_permitted(&mut cut_off).await;
    for (round, line) in (0..).zip([Line::Cut, Line::Silent]) {
        lane.assign(round, &mut wire).await;
        lane.is_permitted(&mut cut_off).await;
        fleet.relay.set(line);
        let cut = Clock::instant();
        let permitted = wire_allows(&standing, &mut cut_off).await;
        assert!(permitted || cut.elapsed() > LEASE - Duration::from_millis(500), "{line:?}: decisions go on until the lease is over");
        let removal = lane.remove(round, &mut wire).await;
        let watching = async {
            goes_stale(&standing, &mut cut_off).await;
            cut.elapsed()
        };
        let (succeeded, stale_after) = tokio::join!(removal.succeeded(&mut wire), watching);
        assert!(stale_after < LEASE + SLACK, "{line:?}: {stale_after:?}");
        assert!(succeeded - cut > LEASE - Duration::from_millis(1), "{line:?}: not before the gateway is fenced");
        assert!(succeeded - cut < LEASE + MARGIN + SLACK, "{line:?}: {:?}", succeeded - cut);
        assert!(is_stale(&cut_off.ask(lane.look()).await.unwrap()));
        assert!(!is_ready(&fleet, 2).await);
        assert!(is_ready(&fleet, 0).await);
        fleet.relay.set(Line::Open);
        let healed = Clock::instant();
        eventually("the gateway decides again", async || {
            assert!(!wire_allows(&lane, &mut cut_off).await, "{line:?}: what was removed meanwhile is refused");
            wire_allows(&standing, &mut cut_off).await.then_some(())
        })
        .await;
        measured(format_args!(
            "{line:?}: 503 state.stale {stale_after:?} after the cut; a removal succeeded {:?} after it; deciding again {:?} after healing",
            succeeded - cut,
            healed.elapsed()
        ));
        eventually("the gateway is ready", async || is_ready(&fleet, 2).await.then_some(())).await;
    }
}

async fn wire_allows(lane: &Lane, wire: &mut Wire) -> bool {
    is_allowed(&wire.ask(lane.look()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes of kills and load: passed by hand, not yet steady enough to stop a change; cargo test -- --ignored"]
async fn without_the_database_nothing_is_written_and_decisions_go_on_for_a_lease() {
    let _alone = alone().await;
    let mut fleet = Fleet::start("away").await;
    let lane = Lane::new(0);
    let mut wires: Vec<Wire> = fleet.nodes.iter().map(|node| node.wire()).collect();
    lane.offer(&mut wires[0]).await;
    lane.assign(0, &mut wires[0]).await;
    for wire in &mut wires {
        lane.is_permitted(wire).await;
    }
    let other = Lane::new(1);
    other.offer(&mut wires[0]).await;

    block_in_place(|| fleet.cluster.kill_server());
    let killed = Clock::instant();
    for wire in &mut wires {
        let permitted = wire_allows(&lane, wire).await;
        assert!(permitted || killed.elapsed() > LEASE - Duration::from_millis(500));
    }
    let refused = wires[0].ask(other.assigning(0)).await.unwrap();
    assert_eq!(refused.told(), "503 ServerBusy state.unavailable", "{:?} after the kill", killed.elapsed());
    assert!(!refused.header("retry-after").is_empty());
    for (node, wire) in wires.iter_mut().enumerate() {
        goes_stale(&lane, wire).await;
        assert!(!is_ready(&fleet, node).await);
    }
    assert!(killed.elapsed() < LEASE + SLACK, "{:?}", killed.elapsed());
    assert!(is_stale(&wires[0].ask(other.assigning(0)).await.unwrap()), "who cannot decide does not write either");

    block_in_place(|| fleet.cluster.start_again());
    let back = Clock::instant();
    for wire in &mut wires {
        lane.is_permitted(wire).await;
    }
    measured(format_args!("a database that was killed: all gateways decide again {:?} after it was back", back.elapsed()));
    other.assign(0, &mut wires[1]).await;
    let removal = lane.remove(0, &mut wires[2]).await;
    removal.succeeded(&mut wires[0]).await;
    for wire in &mut wires {
        assert!(!wire_allows(&lane, wire).await);
    }
}
