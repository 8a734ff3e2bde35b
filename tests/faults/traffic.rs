//! What goes on while something fails: load, requests that are permitted, requests that must be refused, writes.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use steward::clock::Clock;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::client::{Answer, Call, Client, PATIENCE, call, get};
use crate::gateway::{FORMER_READER, Gateway, OTHER_READER, OWNER, READER, foreign, principal};
use crate::keys::{FIRST, FORGED, Key, UNKNOWN};
use crate::node::{CUSTOMER, PROVIDER, guid, offer, subscription};
use crate::oha::oha;
use crate::scripted::NEVER;

const GROUPS: &str = "api-version=2024-07-01";
const MS: &str = "api-version=2022-10-01";
const ROLES: &str = "api-version=2022-04-01";
const READER_ROLE: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";

/// Requests a second of `oha`, over so many connections.
const LOAD_RATE: &str = "100";
const LOAD_CONNECTIONS: &str = "16";
/// From one permitted request to the next, from one that must be refused to the next, from one write to the next.
const PERMITTED_EVERY: Duration = Duration::from_millis(20);
const REFUSED_EVERY: Duration = Duration::from_millis(25);
const WRITE_EVERY: Duration = Duration::from_millis(50);
/// The same for writers that do nothing else: a subscription has room for 500 definitions.
const BUSY_WRITE_EVERY: Duration = Duration::from_millis(10);
/// Longer than this no client of these tests waits for an answer.
const CLIENT_TIME_MAX: Duration = Duration::from_secs(5);
/// So many permitted requests in a row have to be served before the gateway counts as recovered.
const IN_A_ROW: u64 = 10;

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub number: u64,
    pub sent: Instant,
    pub ended: Instant,
    /// Status and codes of the answer, or what came instead of one.
    pub told: String,
    /// Whether it was served, with the answer to it and to no other.
    pub is_good: bool,
    /// Whether there was something in the answer that belongs to another request.
    pub is_mixed_up: bool,
}

/// What a write acknowledged.
#[derive(Debug, Clone)]
pub struct Written {
    pub acknowledged: Instant,
    target: String,
    property: &'static str,
    value: String,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct Book {
    pub permitted: Vec<Seen>,
    pub refused: Vec<Seen>,
    pub written: Vec<Written>,
    /// What became of writes that were not acknowledged.
    pub unwritten: Vec<String>,
}

impl Book {
    /// When the first of [`IN_A_ROW`] permitted requests was answered, of those that were sent after `end`.
    fn recovered(&self, end: Instant) -> Option<Instant> {
        let later: BTreeMap<u64, &Seen> = self.permitted.iter().filter(|seen| seen.sent >= end).map(|seen| (seen.number, seen)).collect();
        let is_run = |first: u64| (first..first + IN_A_ROW).all(|number| later.get(&number).is_some_and(|seen| seen.is_good));
        later.iter().find(|(number, _)| is_run(**number)).map(|(_, seen)| seen.ended)
    }

    /// Requests that were allowed and should not have been, as told.
    pub fn wrong(&self) -> Vec<String> {
        let refused = self.refused.iter().filter(|seen| seen.is_good).map(|seen| seen.told.clone());
        let mixed_up = self.permitted.iter().filter(|seen| seen.is_mixed_up).map(|seen| format!("mixed up: {}", seen.told));
        refused.chain(mixed_up).collect()
    }
}

/// Which key the callers' tokens are signed with.
pub type Keys = watch::Sender<Key>;

/// Traffic under way.
pub struct Traffic {
    pub book: Arc<watch::Sender<Book>>,
    pub keys: Keys,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    oha: Oha,
}

impl Traffic {
    /// Starts all of it; so many writers do nothing but write.
    pub fn start(gateway: &Gateway, busy_writers: u16) -> Self {
        let (book, keys, stop) = (Arc::new(watch::Sender::new(Book::default())), watch::Sender::new(FIRST), watch::Sender::new(false));
        let mut tasks = JoinSet::new();
        let crew = Crew { client: gateway.client.clone(), book: Arc::clone(&book), keys: keys.subscribe(), stopped: stop.subscribe() };
        tasks.spawn(crew.clone().ask_what_is_permitted());
        tasks.spawn(crew.clone().ask_what_is_refused());
        for number in 0..=busy_writers {
            let pause = if number == 0 { WRITE_EVERY } else { BUSY_WRITE_EVERY };
            tasks.spawn(crew.clone().write(number, pause));
        }
        let oha = Oha::start(gateway, &["-q", LOAD_RATE, "-c", LOAD_CONNECTIONS], &permitted("rg-load").bearer(&token(FIRST, READER)));
        Self { book, keys, stop, tasks, oha }
    }

    /// Waits until all of it goes well.
    pub async fn flows(&self, since: Instant) {
        self.recovered(since).await;
        self.once("a write is acknowledged", |book| book.written.iter().any(|written| written.acknowledged >= since)).await;
    }

    /// When the gateway served again.
    pub async fn recovered(&self, end: Instant) -> Instant {
        self.once("permitted requests are served", |book| book.recovered(end).is_some()).await;
        let recovered = self.book.borrow().recovered(end);
        recovered.unwrap()
    }

    async fn once(&self, what: &str, holds: impl Fn(&Book) -> bool) {
        let mut book = self.book.subscribe();
        let seen = timeout(PATIENCE, book.wait_for(|book| holds(book))).await.map(|seen| seen.is_ok());
        assert_eq!(seen, Ok(true), "{what}: not within {} s; {:?}", PATIENCE.as_secs(), self.book.borrow().permitted.last());
    }

    /// Ends it. Everything that was seen, and what `oha` was answered.
    pub async fn end(mut self) -> (Book, BTreeMap<String, u64>) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        (self.book.send_replace(Book::default()), self.oha.end())
    }
}

/// A token of one of the provider's principals, or of the customer's owner.
pub fn token(key: Key, number: u16) -> String {
    key.token(if number == OWNER { CUSTOMER } else { PROVIDER }, &principal(number))
}

/// What the reader may ask.
pub fn permitted(group: &str) -> Call {
    get(format!("{}/resourceGroups/{group}?{GROUPS}", subscription(0)))
}

/// What the other reader may ask as long as it is told so.
pub fn other(group: &str) -> Call {
    get(format!("{}/resourceGroups/{group}?{GROUPS}", subscription(1)))
}

/// Requests that must be refused, and how a gateway to which nothing happens refuses them.
pub fn refusals() -> Vec<(Call, &'static str)> {
    let group = |subscription: &str| format!("{subscription}/resourceGroups/{NEVER}?{GROUPS}");
    let own = || get(group(&subscription(0)));
    let reader = principal(READER);
    vec![
        (get(group(&foreign())).bearer(&token(FIRST, READER)), "404 SubscriptionNotFound"),
        (get(group(&subscription(1))).bearer(&token(FIRST, READER)), "403 AuthorizationFailed role.principal"),
        (call("DELETE", group(&subscription(0))).bearer(&token(FIRST, READER)), "403 AuthorizationFailed role.action_missing"),
        (own().bearer(&token(FORGED, READER)), "401 InvalidAuthenticationToken token.signature"),
        (own().bearer(&token(UNKNOWN, READER)), "401 InvalidAuthenticationToken token.signature"),
        (own().bearer(&FIRST.expired(PROVIDER, &reader)), "401 ExpiredAuthenticationToken token.expired"),
        (own().bearer("e30.e30.e30"), "401 InvalidAuthenticationToken token.malformed"),
        (own(), "401 AuthenticationFailed token.missing"),
        (get(group(&subscription(1))).bearer(&token(FIRST, FORMER_READER)), "403 AuthorizationFailed role.principal"),
    ]
}

/// Delegates the second subscription to the former reader, which is allowed to look, and takes it back.
pub async fn revoke(gateway: &Gateway) {
    let owner = token(FIRST, OWNER);
    let definition = format!("{}/providers/Microsoft.ManagedServices/registrationDefinitions/{}", subscription(1), guid(6, 9, 0));
    let assignment = format!("{}/providers/Microsoft.ManagedServices/registrationAssignments/{}?{MS}", subscription(1), guid(5, 9, 0));
    let body = offer("Former", "", &json!([{ "principalId": principal(FORMER_READER), "roleDefinitionId": READER_ROLE }]), &json!([]));
    let expect = async |call: Call, status: u16| {
        let answer = decided(&gateway.client, &call).await;
        assert_eq!(answer.status.as_u16(), status, "{} {}: {}", call.method, call.target, answer.told());
    };
    expect(call("PUT", format!("{definition}?{MS}")).json(&body).bearer(&owner), 201).await;
    let bound = json!({ "properties": { "registrationDefinitionId": definition } });
    expect(call("PUT", &assignment).json(&bound).bearer(&owner), 201).await;
    expect(other("rg-once").bearer(&token(FIRST, FORMER_READER)), 200).await;
    expect(call("DELETE", &assignment).bearer(&owner), 202).await;
}

/// Asks until the gateway knows enough to decide.
pub async fn decided(client: &Client, call: &Call) -> Answer {
    let started = Clock::instant();
    loop {
        match client.try_send("localhost", call.clone()).await {
            Ok(answer) if answer.status != 503 => return answer,
            other => assert!(started.elapsed() < PATIENCE, "{} {}: {other:?}", call.method, call.target),
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Reads back what was acknowledged. What is not there as it was written.
pub async fn lost(client: &Client, key: Key, written: &[Written]) -> Vec<String> {
    let owner = token(key, OWNER);
    let mut lost = Vec::new();
    for Written { target, property, value, .. } in written {
        let answer = decided(client, &get(target.as_str()).bearer(&owner)).await;
        let found = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()["properties"][property].clone();
        if answer.status != 200 || found.as_str() != Some(value) {
            lost.push(format!("{target}: {} {found}, expected {value}", answer.told()));
        }
    }
    lost
}

/// What the tasks share.
#[derive(Clone)]
struct Crew {
    client: Client,
    book: Arc<watch::Sender<Book>>,
    keys: watch::Receiver<Key>,
    stopped: watch::Receiver<bool>,
}

impl Crew {
    /// At a steady pace, whether or not the ones before were answered.
    async fn ask_what_is_permitted(self) {
        self.pace(PERMITTED_EVERY, |number, crew| async move {
            let group = format!("rg-{number}");
            let call = permitted(&group).bearer(&token(*crew.keys.borrow(), READER));
            let seen = crew.ask(number, call, Some(&group)).await;
            crew.book.send_modify(|book| book.permitted.push(seen));
        })
        .await;
    }

    async fn ask_what_is_refused(self) {
        let refusals: Arc<Vec<_>> = Arc::new(refusals());
        self.pace(REFUSED_EVERY, |number, crew| {
            let refusals = Arc::clone(&refusals);
            async move {
                let turn = usize::try_from(number).unwrap() % refusals.len();
                let (call, _refusal) = &refusals[turn];
                let seen = crew.ask(number, call.clone(), None).await;
                crew.book.send_modify(|book| book.refused.push(seen));
            }
        })
        .await;
    }

    async fn pace<F: Future<Output = ()> + Send + 'static>(&self, every: Duration, mut ask: impl FnMut(u64, Self) -> F) {
        let (mut tick, mut tasks) = (interval(every), JoinSet::new());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0;
        while !*self.stopped.borrow() {
            tick.tick().await;
            number += 1;
            tasks.spawn(ask(number, self.clone()));
            while let Some(ended) = tasks.try_join_next() {
                ended.unwrap();
            }
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }

    /// `group` is what has to be in the answer; without it any answer but a refusal is good.
    async fn ask(&self, number: u64, call: Call, group: Option<&str>) -> Seen {
        let sent = Clock::instant();
        let answered = timeout(CLIENT_TIME_MAX, self.client.try_send("localhost", call)).await;
        let ended = Clock::instant();
        let seen = |told: String, is_good: bool, is_mixed_up: bool| Seen { number, sent, ended, told, is_good, is_mixed_up };
        let Ok(answered) = answered else { return seen("late".to_owned(), false, false) };
        match answered {
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                let own = group.map(|group| format!("\"{group}\""));
                let is_own = own.as_ref().is_none_or(|own| body.contains(own));
                let is_mixed_up = own.is_some_and(|own| body.replace(&own, "").contains("\"rg-"));
                let is_good = !answer.status.is_client_error() && !answer.status.is_server_error() && is_own;
                let told = if answer.status.is_success() && !is_own { "200 cut".to_owned() } else { answer.told() };
                seen(told, is_good, is_mixed_up)
            }
            Err(why) => seen(if why.starts_with("connect: ") { "not connected" } else { "lost" }.to_owned(), false, false),
        }
    }

    async fn write(self, writer: u16, pause: Duration) {
        let mut number = 0;
        while !*self.stopped.borrow() {
            number += 1;
            let (call, mut written) = write(*self.keys.borrow(), writer, number);
            let answered = timeout(CLIENT_TIME_MAX * 2, self.client.try_send("localhost", call)).await;
            written.acknowledged = Clock::instant();
            let unwritten = match answered {
                Ok(Ok(answer)) if answer.status.is_success() => {
                    self.book.send_modify(|book| book.written.push(written));
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Ok(Ok(answer)) => answer.told(),
                Ok(Err(why)) => if why.starts_with("connect: ") { "not connected" } else { "lost" }.to_owned(),
                Err(_late) => "late".to_owned(),
            };
            self.book.send_modify(|book| book.unwritten.push(unwritten));
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }
}

/// A definition or a role assignment, by turns, and what is there once it was acknowledged.
fn write(key: Key, writer: u16, number: u32) -> (Call, Written) {
    let (value, owner) = (guid(8, writer, number), token(key, OWNER));
    let (path, version, property, body) = if number.is_multiple_of(2) {
        let body = json!({ "properties": { "roleDefinitionId": READER_ROLE, "principalId": value, "principalType": "User" } });
        ("Microsoft.Authorization/roleAssignments", ROLES, "principalId", body)
    } else {
        let principals = json!([{ "principalId": principal(OTHER_READER), "roleDefinitionId": READER_ROLE }]);
        ("Microsoft.ManagedServices/registrationDefinitions", MS, "description", offer("Written", &value, &principals, &json!([])))
    };
    let target = format!("{}/providers/{path}/{}?{version}", subscription(writer % 2), guid(7, writer, number));
    let written = Written { acknowledged: Clock::instant(), target: target.clone(), property, value };
    (call("PUT", target).json(&body).bearer(&owner), written)
}

/// `oha`, until it is ended.
pub struct Oha(Option<Child>);

impl Oha {
    pub fn start(gateway: &Gateway, arguments: &[&str], call: &Call) -> Self {
        let mut command = Command::new(oha());
        command.args(["--no-tui", "--output-format", "json", "-z", "1h", "-t", "5s", "--insecure"]).args(arguments);
        for (name, value) in &call.headers {
            command.arg("-H").arg(format!("{name}: {value}"));
        }
        command.arg(format!("https://localhost:{}{}", gateway.address.port(), call.target));
        Self(Some(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()))
    }

    /// How often it was answered with which status, or not at all.
    pub fn end(&mut self) -> BTreeMap<String, u64> {
        let child = self.0.take().expect("it runs");
        rustix::process::kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
        let output = tokio::task::block_in_place(|| child.wait_with_output()).unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let counts = |name: &str| report[name].as_object().unwrap().clone();
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for (status, count) in counts("statusCodeDistribution") {
            *all.entry(status).or_default() += count.as_u64().unwrap();
        }
        for (_error, count) in counts("errorDistribution") {
            *all.entry("no answer".to_owned()).or_default() += count.as_u64().unwrap();
        }
        all
    }
}

impl Drop for Oha {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ended = child.kill().and_then(|()| child.wait()).is_ok();
        }
    }
}

/// `200 × 140, late × 3`
pub fn counted<'a>(told: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for told in told {
        *counts.entry(told).or_default() += 1;
    }
    let parts: BTreeSet<String> = counts.iter().map(|(told, count)| format!("{told} × {count}")).collect();
    parts.into_iter().collect::<Vec<_>>().join(", ")
}
