//! Three gateways, their database and their backend.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::json;
use steward::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, MutexGuard};

use crate::client::{Answer, Call, PATIENCE, call, get};
use crate::node::{Node, PROVIDER, READER, Wire, eventually, guid, offer, owner, path_of, subscription, token};
use crate::postgres::Cluster;
use crate::relay::Relay;

const MS: &str = "api-version=2022-10-01";
pub const NODES: usize = 3;
pub const SUBSCRIPTIONS: u16 = 4;

/// The default of `store.lease_time_ms`. After a removal was acknowledged, and after a gateway lost its store, nothing that is sent
/// later than this is allowed by what was before. That holds on a machine of any speed.
pub const LEASE: Duration = Duration::from_millis(2_000);
/// What the fence adds: docs/limits.md.
const MARGIN: Duration = Duration::from_millis(500);
/// The stated bound of docs/fleet.md for a removal to succeed while a gateway is away: twice lease and margin.
pub const SUCCESS_TIME_MAX: Duration = LEASE.saturating_add(MARGIN).saturating_mul(2);

/// Between two looks at an operation.
const POLL_EVERY: Duration = Duration::from_millis(15);

/// These tests measure, and run one after the other.
pub async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
    ALONE.lock().await
}

/// Gateways on one database; the last one reaches it through a relay.
pub struct Fleet {
    pub nodes: Vec<Node>,
    pub relay: Relay,
    pub cluster: Cluster,
}

impl Fleet {
    pub async fn start(name: &str) -> Self {
        let cluster = tokio::task::block_in_place(|| Cluster::start(&[]));
        let url = tokio::task::block_in_place(|| cluster.database());
        let relay = Relay::start(cluster.address()).await;
        let through = url.replace(&format!(":{}/", cluster.address().port()), &format!(":{}/", relay.address.port()));
        assert_ne!(url, through);
        let backend = format!("http://{}", backend().await);
        let mut nodes = Vec::new();
        for number in 0..NODES {
            let store = if number + 1 == NODES { &through } else { &url };
            let mut node = Node::new(&format!("{name}-{number}"), SUBSCRIPTIONS, &backend, store);
            node.started().await;
            nodes.push(node);
        }
        Self { nodes, relay, cluster }
    }

    pub fn last(&self) -> &Node {
        &self.nodes[NODES - 1]
    }
}

/// Answers everything with an empty document.
pub async fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut head, mut buffer) = (Vec::new(), [0; 8192]);
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    head.extend_from_slice(&buffer[..read]);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        let Ok(()) = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await else { return };
                    }
                }
            });
        }
    });
    address
}

/// A resource group that is delegated to one principal, again and again.
#[derive(Debug, Clone)]
pub struct Lane {
    number: u16,
    /// A token of the principal.
    token: String,
    owner: String,
}

impl Lane {
    pub fn new(number: u16) -> Self {
        Self { number, token: token(PROVIDER, &guid(3, number, 0)), owner: owner() }
    }

    fn subscription(&self) -> String {
        subscription(self.number % SUBSCRIPTIONS)
    }

    fn group(&self) -> String {
        format!("{}/resourceGroups/rg-{}", self.subscription(), self.number)
    }

    fn definition(&self) -> String {
        format!("{}/providers/Microsoft.ManagedServices/registrationDefinitions/{}", self.subscription(), guid(6, self.number, 0))
    }

    fn assignment(&self, round: u32) -> String {
        format!("{}/providers/Microsoft.ManagedServices/registrationAssignments/{}?{MS}", self.group(), guid(5, self.number, round))
    }

    /// A request that only the delegation permits, and that goes to the backend.
    pub fn look(&self) -> Call {
        get(format!("{}?api-version=2024-07-01", self.group())).bearer(&self.token)
    }

    /// Makes the offer; nothing is delegated by it.
    pub async fn offer(&self, wire: &mut Wire) {
        let principal = json!([{ "principalId": guid(3, self.number, 0), "roleDefinitionId": READER }]);
        let body = offer(&format!("Lane {}", self.number), "", &principal, &json!([]));
        let made = decided(wire, &call("PUT", format!("{}?{MS}", self.definition())).json(&body).bearer(&self.owner)).await;
        assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    }

    pub fn assigning(&self, round: u32) -> Call {
        let body = json!({ "properties": { "registrationDefinitionId": self.definition() } });
        call("PUT", self.assignment(round)).json(&body).bearer(&self.owner)
    }

    pub async fn assign(&self, round: u32, wire: &mut Wire) -> Answer {
        let made = decided(wire, &self.assigning(round)).await;
        assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
        made
    }

    /// Starts the removal.
    pub async fn remove(&self, round: u32, wire: &mut Wire) -> Removal {
        let asked = Clock::instant();
        let removed = decided(wire, &call("DELETE", self.assignment(round)).bearer(&self.owner)).await;
        let acknowledged = Clock::instant();
        assert_eq!(removed.status, 202, "{}", String::from_utf8_lossy(&removed.body));
        let status = get(path_of(removed.header("azure-asyncoperation"))).bearer(&self.owner);
        Removal { answer: removed, asked, acknowledged, status }
    }

    /// Waits until a gateway permits the look.
    pub async fn is_permitted(&self, wire: &mut Wire) {
        eventually("the delegation is in force", async || is_allowed(&wire.ask(self.look()).await.unwrap()).then_some(())).await;
    }
}

/// A removal under way.
pub struct Removal {
    pub answer: Answer,
    /// Before the removal was committed.
    pub asked: Instant,
    /// After it was.
    pub acknowledged: Instant,
    status: Call,
}

impl Removal {
    /// Asks until the operation has succeeded, and says when that was known.
    pub async fn succeeded(&self, wire: &mut Wire) -> Instant {
        loop {
            let answer = decided(wire, &self.status).await;
            let known = Clock::instant();
            assert_eq!(answer.status, 200, "{}", answer.told());
            if answer.json()["status"] == "Succeeded" {
                return known;
            }
            assert!(self.acknowledged.elapsed() < PATIENCE, "the removal succeeds");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}

/// `false` for a refusal; anything else fails the test.
pub fn is_allowed(answer: &Answer) -> bool {
    match answer.told().as_str() {
        "200" => true,
        // The last thing that was delegated to the tenant is gone, or only what was delegated to this principal.
        "404 SubscriptionNotFound" | "403 AuthorizationFailed role.principal" => false,
        "403 AuthorizationFailed delegation.none" | "403 AuthorizationFailed role.action_missing" => false,
        "503 ServerBusy state.stale" => false,
        other => panic!("{other}"),
    }
}

/// Asks until the gateway knows enough to decide: a busy machine may hold one up for longer than its lease, and clients try again.
pub async fn decided(wire: &mut Wire, call: &Call) -> Answer {
    let started = Clock::instant();
    loop {
        let answer = wire.ask(call.clone()).await.unwrap();
        if !is_stale(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "the gateway decides");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Whether a gateway said that it does not know enough to decide.
pub fn is_stale(answer: &Answer) -> bool {
    answer.told() == "503 ServerBusy state.stale"
}

/// The value below which this share of all lies.
pub fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}
