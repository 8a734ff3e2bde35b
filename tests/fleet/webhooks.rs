//! Of several gateways one at a time delivers to a webhook; another one goes on when it ends or dies.

use std::io::Write as _;

use crate::node::Node;
use crate::postgres::Cluster;
use crate::receiver::Receiver;
use crate::several::{Lane, NODES, SUBSCRIPTIONS, alone, backend};

struct Told {
    nodes: Vec<Node>,
    receiver: Receiver,
    lane: Lane,
    round: u32,
    /// Of the last answer to a change.
    revision: String,
    _cluster: Cluster,
}

impl Told {
    /// The first `running` gateways are started.
    async fn start(name: &str, running: usize) -> Self {
        let cluster = tokio::task::block_in_place(|| Cluster::start(&[]));
        let url = tokio::task::block_in_place(|| cluster.database());
        let receiver = Receiver::start().await;
        let backend = format!("http://{}", backend().await);
        let mut nodes = Vec::new();
        for number in 0..NODES {
            let mut node = Node::new(&format!("{name}-{number}"), SUBSCRIPTIONS, &backend, &url);
            std::fs::write(node.folder.join("secret"), "the same secret at every gateway").unwrap();
            let mut config = std::fs::OpenOptions::new().append(true).open(node.folder.join("steward.toml")).unwrap();
            writeln!(config, "[[webhook]]\nname = \"siem\"\nurl = {:?}\nsecret_file = \"secret\"", receiver.url).unwrap();
            if number < running {
                node.started().await;
            }
            nodes.push(node);
        }
        let lane = Lane::new(0);
        lane.offer(&mut nodes[0].wire()).await;
        Self { nodes, receiver, lane, round: 0, revision: "0".to_owned(), _cluster: cluster }
    }

    /// Delegates and ends it again: two events.
    async fn go_round(&mut self, node: usize) {
        let mut wire = self.nodes[node].wire();
        let assigning = self.lane.assigning(self.round).header("x-steward-min-revision", &self.revision);
        assert_eq!(wire.ask(assigning).await.unwrap().status, 201);
        let removal = self.lane.remove(self.round, &mut wire).await;
        self.revision = removal.answer.header("x-steward-state-revision").to_owned();
        self.round += 1;
    }

    /// Everything came, in order; and how often something came again.
    async fn repeated(&self) -> usize {
        let count = usize::try_from(self.round).unwrap() * 2;
        let all = self.receiver.until(|all| names(all).len() >= count).await;
        let names = names(&all);
        assert_eq!(names.len(), count);
        let kinds: Vec<&str> = names.iter().map(|(_, what)| what.as_str()).collect();
        assert_eq!(kinds, ["registered", "unregistered"].repeat(count / 2));
        all.len() - count
    }
}

/// Name and kind of each event, the first time that it was taken.
fn names(all: &[crate::receiver::Delivery]) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    for delivery in all.iter().filter(|one| one.taken) {
        let name = delivery.header("x-steward-delivery");
        if names.iter().all(|(known, _)| known != name) {
            names.push((name.to_owned(), delivery.what().0.to_owned()));
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gateway_delivers_and_the_next_one_goes_on_when_it_ends() {
    let _alone = alone().await;
    let mut told = Told::start("webhooks", NODES).await;
    for round in 0..9 {
        told.go_round(round % NODES).await;
    }
    assert_eq!(told.repeated().await, 0, "each once");
    for node in 0..NODES - 1 {
        told.nodes[node].terminated().await;
        told.go_round(NODES - 1).await;
    }
    assert_eq!(told.repeated().await, 0, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_gateway_did_not_deliver_another_one_does() {
    let _alone = alone().await;
    let mut told = Told::start("webhooks-dead", 1).await;
    told.receiver.status.send_replace(0);
    told.go_round(0).await;
    told.receiver.until(|all| !all.is_empty()).await;
    told.nodes[NODES - 1].started().await;
    told.nodes[0].kill();
    told.receiver.status.send_replace(200);
    told.go_round(NODES - 1).await;
    let failed = told.receiver.deliveries.borrow().iter().filter(|one| !one.taken).count();
    assert_eq!(told.repeated().await, failed, "what was taken comes once");
}
