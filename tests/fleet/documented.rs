//! `docs/fleet.md`, carried out: its statements, its configuration and its commands, with the hosts and paths of a test.

use tokio::task::block_in_place;

use crate::node::Node;
use crate::postgres::Cluster;
use crate::several::{Lane, SUBSCRIPTIONS, alone, backend, decided, is_allowed};

const PAGE: &str = include_str!("../../docs/fleet.md");
/// As the page names them.
const HOST: &str = "db.internal.example";
const PASSWORD: &str = "replace-this-password";
const PASSWORD_FILE: &str = "/etc/steward/store.password";
const BACKUPS: &str = "/var/backups";

/// The only block of a kind.
fn block(kind: &str) -> &'static str {
    let begin = format!("```{kind}\n");
    let mut found = PAGE.split(&begin).skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let block = found.next().unwrap();
    assert_eq!(found.next(), None, "one block of {kind}");
    block
}

/// Replaces what has to be there.
fn with(text: &str, found: &str, put: &str) -> String {
    assert!(text.contains(found), "{text}: {found}");
    text.replace(found, put)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_fleet_works() {
    let _alone = alone().await;
    let cluster = block_in_place(|| Cluster::start(&[]));
    block_in_place(|| cluster.sql("postgres", block("sql")));
    let (_, store) = block("toml").split_once("[store]").unwrap();
    let store = with(&with(store, HOST, &cluster.address().to_string()), "sslmode=require", "sslmode=disable");
    let backend = format!("http://{}", backend().await);
    let mut nodes = Vec::new();
    for number in 0..2 {
        let mut node = Node::new(&format!("documented-{number}"), SUBSCRIPTIONS, &backend, "replaced below");
        let password_file = node.folder.join("store.password");
        std::fs::write(&password_file, PASSWORD).unwrap();
        let store = with(&store, PASSWORD_FILE, &password_file.display().to_string());
        let file = node.folder.join("steward.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{}[store]{store}", config.split("[store]").next().unwrap())).unwrap();
        node.started().await;
        nodes.push(node);
    }
    let [here, there] = &nodes[..] else { panic!("two gateways") };
    let (mut wire, mut other) = (here.wire(), there.wire());
    let lane = Lane::new(0);
    lane.offer(&mut wire).await;
    lane.assign(0, &mut wire).await;
    lane.is_permitted(&mut other).await;

    let backups = here.folder.display().to_string();
    let mut commands = block("sh").lines().map(|line| with(line, BACKUPS, &backups));
    run(here, &commands.next().unwrap());
    lane.remove(0, &mut wire).await.succeeded(&mut other).await;
    assert!(!is_allowed(&decided(&mut other, &lane.look()).await));
    run(here, &commands.next().unwrap());
    assert_eq!(commands.next(), None);
    for wire in [&mut wire, &mut other] {
        lane.is_permitted(wire).await;
    }
    // Changes go on from what was restored.
    lane.remove(0, &mut other).await.succeeded(&mut wire).await;
    for wire in [&mut wire, &mut other] {
        assert!(!is_allowed(&decided(wire, &lane.look()).await));
    }
}

fn run(node: &Node, command: &str) {
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("steward"));
    let done = node.run(&words.collect::<Vec<_>>());
    assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
}
