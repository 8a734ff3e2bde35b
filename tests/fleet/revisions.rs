//! Who wrote at one gateway and asks another one is judged by what it wrote.

use steward::clock::Clock;

use crate::client::Answer;
use crate::node::measured;
use crate::several::{Fleet, Lane, NODES, alone, decided, is_allowed, is_stale};

const ROUNDS: u32 = 50;

fn revision(answer: &Answer) -> u64 {
    answer.header("x-steward-state-revision").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_judged_by_at_least_what_it_wrote_elsewhere() {
    let _alone = alone().await;
    let fleet = Fleet::start("revisions").await;
    let lane = Lane::new(0);
    let mut wires: Vec<_> = fleet.nodes.iter().map(|node| node.wire()).collect();
    lane.offer(&mut wires[0]).await;
    let mut waited = 0;
    for round in 0..ROUNDS {
        let node = usize::try_from(round).unwrap() % NODES;
        let (here, there) = (node, (node + 1) % NODES);
        let made = revision(&lane.assign(round, &mut wires[here]).await);
        let look = |least: u64| lane.look().header("x-steward-min-revision", &least.to_string());
        let answer = decided(&mut wires[there], &look(made)).await;
        assert!(is_allowed(&answer), "round {round}: {}", answer.told());
        assert!(revision(&answer) >= made);
        let removed = revision(&lane.remove(round, &mut wires[here]).await.answer);
        assert!(removed > made);
        let plain = wires[there].ask(lane.look()).await.unwrap();
        waited += u32::from(is_allowed(&plain));
        let answer = decided(&mut wires[there], &look(removed)).await;
        assert!(!is_allowed(&answer), "round {round}: {}", answer.told());
        assert!(revision(&answer) >= removed);
    }
    measured(format_args!("read your writes: {ROUNDS} rounds; without the header {waited} would have been judged by the state before"));

    let ahead = revision(&decided(&mut wires[0], &lane.look()).await) + 1_000;
    let asked = Clock::instant();
    let answer = wires[0].ask(lane.look().header("x-steward-min-revision", &ahead.to_string())).await.unwrap();
    assert!(is_stale(&answer), "a revision that nobody wrote: {}", answer.told());
    assert!(asked.elapsed().as_secs_f64() > 0.9, "it waits a little");
}
