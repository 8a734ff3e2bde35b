//! A gateway that does not reach the database, and a database that nobody reaches.

use std::time::Instant;

use steward::clock::Clock;
use tokio::task::block_in_place;

use crate::client::get;
use crate::node::{Node, UNREACHABLE, Wire, eventually, measured};
use crate::relay::Line;
use crate::several::{Fleet, LEASE, Lane, SUCCESS_TIME_MAX, alone, is_allowed, is_stale};

/// Whether the gateway calls itself ready.
async fn is_ready(fleet: &Fleet, node: usize) -> bool {
    let answer = fleet.nodes[node].admin(get("/readyz")).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status == 200, !text.contains("[-] state"), "{text}");
    answer.status == 200
}

/// Looks until the gateway says that it does not know enough; until then it decides. When the last request was sent that it allowed.
async fn goes_stale(lane: &Lane, wire: &mut Wire, away: Instant) -> Instant {
    let mut last_allowed = away;
    eventually("the lease is over", async || {
        let sent = Clock::instant();
        let answer = wire.ask(lane.look()).await.unwrap();
        if is_allowed(&answer) {
            last_allowed = sent;
            return None;
        }
        assert_eq!(answer.told(), "503 ServerBusy state.stale");
        assert!(!answer.header("retry-after").is_empty());
        Some(())
    })
    .await;
    assert!(last_allowed - away <= LEASE, "allowed {:?} after the store was away", last_allowed - away);
    last_allowed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
        assert!(permitted || cut.elapsed() > LEASE / 2, "{line:?}: decisions go on until the lease is over");
        let removal = lane.remove(round, &mut wire).await;
        let (succeeded, last_allowed) = tokio::join!(removal.succeeded(&mut wire), goes_stale(&standing, &mut cut_off, cut));
        assert!(succeeded > last_allowed, "{line:?}: not before the gateway is fenced");
        assert!(succeeded - cut < SUCCESS_TIME_MAX, "{line:?}: {:?}", succeeded - cut);
        assert!(is_stale(&cut_off.ask(lane.look()).await.unwrap()));
        assert!(!is_ready(&fleet, 2).await);
        eventually("the others are ready", async || is_ready(&fleet, 0).await.then_some(())).await;
        fleet.relay.set(Line::Open);
        let healed = Clock::instant();
        eventually("the gateway decides again", async || {
            assert!(!wire_allows(&lane, &mut cut_off).await, "{line:?}: what was removed meanwhile is refused");
            wire_allows(&standing, &mut cut_off).await.then_some(())
        })
        .await;
        measured(format_args!(
            "{line:?}: last request allowed {:?} after the cut, then 503 state.stale; a removal succeeded {:?} after it; deciding again \
             {:?} after healing",
            last_allowed - cut,
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
        assert!(permitted || killed.elapsed() > LEASE / 2);
    }
    let refused = wires[0].ask(other.assigning(0)).await.unwrap();
    let expected = if is_stale(&refused) && killed.elapsed() > LEASE / 2 { "state.stale" } else { "state.unavailable" };
    assert_eq!(refused.told(), format!("503 ServerBusy {expected}"), "{:?} after the kill", killed.elapsed());
    assert!(!refused.header("retry-after").is_empty());
    let mut last_allowed = killed;
    for (node, wire) in wires.iter_mut().enumerate() {
        last_allowed = goes_stale(&lane, wire, killed).await.max(last_allowed);
        assert!(!is_ready(&fleet, node).await);
    }
    assert!(is_stale(&wires[0].ask(other.assigning(0)).await.unwrap()), "who cannot decide does not write either");

    let late = Node::new("away-late", 1, "http://127.0.0.1:9", &fleet.cluster.url("postgres"));
    let ended = block_in_place(|| late.run(&["serve"]));
    assert_eq!(ended.status.code(), Some(UNREACHABLE), "{}", String::from_utf8_lossy(&ended.stderr));

    block_in_place(|| fleet.cluster.start_again());
    let back = Clock::instant();
    for wire in &mut wires {
        lane.is_permitted(wire).await;
    }
    measured(format_args!(
        "a database that was killed: last request allowed {:?} after it; all gateways decide again {:?} after it was back",
        last_allowed - killed,
        back.elapsed()
    ));
    other.assign(0, &mut wires[1]).await;
    let removal = lane.remove(0, &mut wires[2]).await;
    removal.succeeded(&mut wires[0]).await;
    for wire in &mut wires {
        assert!(!wire_allows(&lane, wire).await);
    }
}
