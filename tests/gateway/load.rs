//! More than may be: of one caller, of one tenant, from one address, and of everybody together.

use std::time::Duration;

use serde_json::json;
use steward::clock::Clock;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::backend::{Act, Arrived, Backend, Front, json_answer};
use crate::common::client::{PATIENCE, call, get};
use crate::common::installation::{SHARED, empty_folder};

const V: &str = "api-version=2024-07-01";
/// Nothing happens within it.
const SILENCE: Duration = Duration::from_millis(300);
/// A bucket that does not fill while the test runs.
const FEW: &str = "[throttling]\nreads_at_once = 3\nreads_per_s = 1\nwrites_at_once = 1\nwrites_per_s = 1\n";

fn thing() -> String {
    format!("{}/resourceGroups/rg-web-prod?{V}", SHARED.subscription("alder-prod"))
}

fn ok(_: &Arrived, _: usize) -> Act {
    Act::Answer(json_answer("200 OK", "{}"))
}

async fn front(name: &str, backend: &Backend, more: &str, gateway: &str) -> Front {
    Front::start_in(&empty_folder(name), &format!("http://{}", backend.address), more, gateway).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_used_up_its_reads_waits_and_then_succeeds_and_others_do_not_wait() {
    let backend = Backend::start(ok).await;
    let front = front("rate", &backend, FEW, "").await;
    let mut left = Vec::new();
    let refused = loop {
        let answer = front.ask("reader", get(thing())).await;
        if answer.status != 200 {
            break answer;
        }
        left.push(answer.header("x-ms-ratelimit-remaining-subscription-reads").to_owned());
    };
    assert_eq!(left.get(..3), Some(["2", "1", "0"].map(str::to_owned).as_slice()));
    assert_eq!((refused.told().as_str(), refused.header("retry-after")), ("429 TooManyRequests limit.rate", "1"));
    assert_eq!(refused.header("x-ms-ratelimit-remaining-subscription-reads"), "");
    assert_eq!(backend.log().arrived.len(), left.len(), "what is refused is not sent");
    // Another kind, another caller, another subscription.
    let write = front.ask("operator", call("PUT", thing()).json(&json!({ "location": "westeurope" }))).await;
    assert_eq!((write.status.as_u16(), write.header("x-ms-ratelimit-remaining-subscription-writes")), (200, "0"), "{:?}", write.body);
    assert_eq!(front.ask("operator", get(thing())).await.header("x-ms-ratelimit-remaining-subscription-reads"), "2");
    let list = front.ask("reader", get(format!("/subscriptions?{V}"))).await;
    assert_eq!((list.status.as_u16(), list.header("x-ms-ratelimit-remaining-tenant-reads")), (200, "2"));
    let began = Clock::instant();
    while front.ask("reader", get(thing())).await.status != 200 {
        assert!(began.elapsed() < PATIENCE, "there is one more each second");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_another_reason_tells_no_stranger_how_much_is_left() {
    let backend = Backend::start(ok).await;
    let front = front("stranger", &backend, FEW, "").await;
    let unknown = "/subscriptions/00000000-0000-4000-8000-00000000beef/resourceGroups/rg-web-prod";
    for (identity, target) in [("rival", thing()), ("reader", format!("{unknown}?{V}"))] {
        for _ in 0..5 {
            let answer = front.ask(identity, get(&target)).await;
            assert_eq!(answer.status, 404, "{identity} {:?}", answer.body);
            assert!(answer.headers.keys().all(|name| !name.as_str().contains("ratelimit")));
        }
    }
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lesser_of_what_the_backend_and_the_gateway_have_left_is_told() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nx-ms-ratelimit-remaining-subscription-reads: 1\r\n\r\n{}";
    let backend = Backend::start(|_, _| Act::Answer(answer.as_bytes().to_vec())).await;
    let front = front("lesser", &backend, FEW, "").await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let answer = front.ask("reader", get(thing())).await;
        told.push(answer.header("x-ms-ratelimit-remaining-subscription-reads").to_owned());
    }
    assert_eq!(told, ["1", "1", "0"]);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_requests_hang_leaves_connections_to_others() {
    // Only what the provider's reader asks for hangs.
    let backend = Backend::start(|request, _| if request.head.starts_with("GET ") { Act::Hang } else { ok(request, 0) }).await;
    let front = front("share", &backend, "connections_max = 2\nfirst_byte_time_ms_max = 5000\n", "").await;
    let token = SHARED.token("reader").await;
    let held = tokio::spawn({
        let (client, token) = (front.client.clone(), token.clone());
        async move { client.send(get(thing()).bearer(&token)).await }
    });
    backend.log_with(|log| log.arrived.len() == 1).await;
    let answer = front.client.send(get(thing()).bearer(&token)).await;
    assert_eq!((answer.told().as_str(), answer.header("retry-after")), ("429 TooManyRequests limit.share", "1"));
    let customer = front.ask("alder-owner", call("PUT", thing()).json(&json!({ "location": "westeurope" }))).await;
    assert_eq!(customer.status, 200, "{:?}", customer.body);
    assert_eq!(held.await.unwrap().status, 504);
    // Its share is free again.
    let operator = front.ask("operator", call("PUT", thing()).json(&json!({ "location": "westeurope" }))).await;
    assert_eq!(operator.status, 200, "{:?}", operator.body);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_a_worker_handles_are_turned_away_before_their_tokens_are_looked_at() {
    let backend = Backend::start(|_, _| Act::Hang).await;
    let front = front("many", &backend, "first_byte_time_ms_max = 5000\n", "requests_max = 1\n").await;
    let token = SHARED.token("reader").await;
    let held = tokio::spawn({
        let (client, token) = (front.client.clone(), token);
        async move { client.send(get(thing()).bearer(&token)).await }
    });
    backend.log_with(|log| log.arrived.len() == 1).await;
    let answer = front.client.send(get(thing()).bearer("no token at all")).await;
    assert_eq!((answer.told().as_str(), answer.header("retry-after")), ("503 ServerBusy limit.overload", "1"));
    let record = front.admin(get(format!("/api/records/{}", answer.request_id()))).await.json();
    assert_eq!((&record["reason"], &record["checks"][1]["outcome"]), (&json!("limit.overload"), &json!("not_reached")));
    assert_eq!(held.await.unwrap().status, 504);
    assert_eq!(front.ask("reader", get(format!("/subscriptions?{V}"))).await.status, 200);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_over_all_workers() {
    const IN_ALL: usize = 3;
    let backend = Backend::start(ok).await;
    let limits = format!("[limits]\nconnections_max = {IN_ALL}\nconnections_per_address_max = 100\nkeep_alive_time_ms_max = 600000\n");
    let front = front("in-all", &backend, &limits, "workers = 2\n").await;
    // What is beyond waits in the kernel's queue, and its handshake with it.
    let mut coming: JoinSet<_> = (0..IN_ALL + 4)
        .map(|_| {
            let client = front.client.clone();
            async move { client.connect("localhost", b"http/1.1").await.unwrap() }
        })
        .collect();
    let mut open = Vec::new();
    for _ in 0..IN_ALL {
        open.push(timeout(PATIENCE, coming.join_next()).await.expect("room for it").unwrap().unwrap());
    }
    assert!(timeout(SILENCE, coming.join_next()).await.is_err(), "there is no room for a further one");
    // One goes and one comes.
    for _ in 0..4 {
        drop(open.remove(0));
        open.push(timeout(PATIENCE, coming.join_next()).await.expect("room for it").unwrap().unwrap());
    }
    assert!(coming.is_empty());
    drop(open);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_has_as_many_connections_as_it_may_gets_no_further_one() {
    let backend = Backend::start(ok).await;
    let front = front("peers", &backend, "[limits]\nconnections_per_address_max = 2\n", "workers = 2\n").await;
    let held =
        [front.client.connect("localhost", b"http/1.1").await.unwrap(), front.client.connect("localhost", b"http/1.1").await.unwrap()];
    for _ in 0..8 {
        assert!(front.client.connect("localhost", b"http/1.1").await.is_err(), "a further one is closed, whichever worker takes it");
    }
    for mut stream in held {
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        assert!(timeout(PATIENCE, stream.read(&mut [0; 16])).await.is_ok(), "the server ends it as well");
    }
    let began = Clock::instant();
    while front.client.connect("localhost", b"http/1.1").await.is_err() {
        assert!(began.elapsed() < PATIENCE, "what was closed counts no more");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    front.drain().await;
}

/// A list that is read as a whole, for its links.
const LIST_BYTES: usize = 6 << 20;
/// Of these wait for one address.
const LISTS_MAX: usize = (64 << 20) / LIST_BYTES;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_the_backend_that_nobody_reads_are_held_up_to_a_bound() {
    let long = json!({ "value": ["x".repeat(LIST_BYTES)] }).to_string();
    // Leaves less than a page of what lists leave.
    let rest = json!({ "value": ["x".repeat((64 << 20) - LISTS_MAX * LIST_BYTES - (512 << 10))] }).to_string();
    let backend = Backend::start(move |arrived, _| {
        Act::Answer(match arrived.head.split(' ').next() {
            Some("PUT") => json_answer("202 Accepted\r\nAzure-AsyncOperation: /subscriptions/operations", &long),
            Some("POST") => json_answer("200 OK", &long),
            _ if arrived.head.contains("virtualMachines") => json_answer("200 OK", &long),
            _ if arrived.head.contains("disks") => json_answer("200 OK", &rest),
            _ => json_answer("200 OK", "{}"),
        })
    })
    .await;
    let front = front("unread-lists", &backend, "", "").await;
    let list = format!("{}/providers/Microsoft.Compute/virtualMachines?{V}", SHARED.subscription("alder-prod"));
    let (host, token) = (front.client.authority(), SHARED.token("reader").await);
    // The status of an answer of which nothing more is read.
    let begin = async |list: &str| {
        let mut stream = front.client.connect("localhost", b"http/1.1").await.unwrap();
        let head = format!("GET {list} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("an answer in time").unwrap();
        (answer, stream)
    };
    let mut unread = Vec::new();
    let restart = || call("POST", list.replace('?', "/vm/restart?"));
    let refused = loop {
        assert!(unread.len() <= LISTS_MAX, "more was given");
        if unread.len() == LISTS_MAX {
            // There is room for a page, and so it is asked for; then it is no page.
            let answer = front.ask("operator", restart()).await;
            assert_eq!(answer.told(), "502 BadGateway upstream.answer_too_large", "a client would repeat what answers 503");
            assert!(answer.header("retry-after").is_empty() && backend.log().arrived.last().unwrap().head.starts_with("POST "));
        }
        let (answer, stream) = begin(&list).await;
        if &answer != b"HTTP/1.1 200" {
            break answer;
        }
        unread.push(stream);
    };
    assert_eq!((&refused, unread.len()), (b"HTTP/1.1 503", LISTS_MAX));
    let answer = front.ask("reader", get(list.clone())).await;
    assert_eq!((answer.told().as_str(), answer.header("retry-after")), ("503 ServerBusy limit.overload", "1"));
    let record = front.admin(get(format!("/api/records/{}", answer.request_id()))).await.json();
    assert_eq!(record["reason"], "limit.overload");
    assert_eq!(front.ask("reader", get(thing())).await.status, 200, "what is passed on as it comes goes on");
    let begun = front.ask("operator", call("PUT", thing()).json(&json!({}))).await;
    let leads = begun.header("azure-asyncoperation").starts_with("https://");
    assert_eq!((begun.status.as_u16(), begun.body.len(), leads), (202, 0, true), "its client learns that it began");
    let record = front.admin(get(format!("/api/records/{}", begun.request_id()))).await.json();
    assert!(record["outcome"] == "allow" && record["notes"].to_string().contains("for want of room"), "{record}");
    let (answer, stream) = begin(&list.replace("virtualMachines", "disks")).await;
    assert_eq!(&answer, b"HTTP/1.1 200");
    unread.push(stream);
    let arrived = backend.log().arrived.len();
    for sent in [get(list.clone()), restart()] {
        assert_eq!(front.ask("operator", sent).await.told(), "503 ServerBusy limit.overload");
    }
    assert_eq!(backend.log().arrived.len(), arrived, "without room for a page nothing is asked for");
    drop(unread);
    let answered = async { while front.ask("reader", get(list.clone())).await.status != 200 {} };
    timeout(PATIENCE, answered).await.expect("what nobody can read any more is not held");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_counts_as_it_comes_and_who_leaves_makes_room() {
    // All of a list but its end: the gateway waits for that, and holds the rest.
    let mut endless = json_answer("200 OK", &json!({ "value": ["x".repeat(LIST_BYTES)] }).to_string());
    endless.pop();
    let backend = Backend::start(move |arrived, _| match arrived.head.contains("virtualMachines") {
        true => Act::Answer(endless.clone()),
        false => ok(arrived, 0),
    })
    .await;
    let front = front("endless-lists", &backend, "connections_max = 64\n", "").await;
    let list = |kind: &str| format!("{}/providers/Microsoft.Compute/{kind}?{V}", SHARED.subscription("alder-prod"));
    let (token, mut waiting) = (SHARED.token("reader").await, JoinSet::new());
    for _ in 0..2 * LISTS_MAX {
        let (client, sent) = (front.client.clone(), get(list("virtualMachines")).bearer(&token));
        waiting.spawn(async move { client.send(sent).await.status.as_u16() });
    }
    for _ in 0..LISTS_MAX {
        let refused = timeout(PATIENCE, waiting.join_next()).await.expect("there is no more room than for the others").unwrap();
        assert_eq!(refused.unwrap(), 503);
    }
    waiting.shutdown().await;
    let answered = async { while front.ask("reader", get(list("disks"))).await.status != 200 {} };
    timeout(PATIENCE, answered).await.expect("who left counts no more");
    front.drain().await;
}

/// Batches under way for one address, each of which counts as a page.
const BATCHES_MAX: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_count_while_they_wait_for_the_backend() {
    let backend = Backend::start(|request, _| if request.head.starts_with("GET ") { Act::Hang } else { ok(request, 0) }).await;
    let front = front("batches", &backend, "first_byte_time_ms_max = 60000\n", "").await;
    let token = SHARED.token("reader").await;
    let batch = || call("POST", format!("/batch?{V}")).json(&json!({ "requests": [{ "httpMethod": "GET", "url": thing() }] }));
    let mut waiting = JoinSet::new();
    for _ in 0..BATCHES_MAX {
        let (client, sent) = (front.client.clone(), batch().bearer(&token));
        waiting.spawn(async move { client.send(sent).await.status });
    }
    backend.log_with(|log| log.arrived.len() == BATCHES_MAX).await;
    assert_eq!(front.ask("reader", batch()).await.told(), "503 ServerBusy limit.overload");
    assert_eq!(backend.log().arrived.len(), BATCHES_MAX, "nothing of it was done");
    let write = front.ask("operator", call("PUT", thing()).json(&json!({ "location": "westeurope" }))).await;
    assert_eq!(write.status, 200, "what is passed on goes on: {:?}", write.body);
    waiting.shutdown().await;
    let list = format!("/subscriptions?{V}");
    let answered = async { while front.ask("reader", get(list.clone())).await.status != 200 {} };
    timeout(PATIENCE, answered).await.expect("who left counts no more");
    front.drain().await;
}
