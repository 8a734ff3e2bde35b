//! Large bodies: judged like small ones, one of each tenant at a time, and held within bounds.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::common::client::{Call, PATIENCE, call};
use crate::common::installation::SHARED;
use crate::linked::front;

const V: &str = "api-version=2024-07-01";
const MIB: usize = 1 << 20;

fn thing(name: &str) -> String {
    format!("{}/resourceGroups/rg-web-prod/providers/Microsoft.Network/networkInterfaces/{name}?{V}", SHARED.subscription("alder-prod"))
}

/// A document of some 700 KB with as many names and values as may be.
fn large(last: &Value) -> Value {
    let mut names: serde_json::Map<String, Value> = (0..49_000).map(|number| (format!("name-{number}"), json!(number))).collect();
    names.insert("last".to_owned(), last.clone());
    Value::Object(names)
}

fn put(name: &str, body: &Value) -> Call {
    call("PUT", thing(name)).json(body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_is_judged_as_a_small_one_is() {
    let (backend, front) = front("bodies-judged").await;
    let malformed = "400 InvalidRequestContent request.malformed";
    let foreign = format!("{}/resourceGroups/g", SHARED.subscription("ivy-main"));
    let denied = front.ask("operator", put("nic", &large(&json!({ "id": foreign })))).await;
    assert_eq!(denied.told(), "403 LinkedAuthorizationFailed scope.linked");
    let cut = Call { body: large(&json!(1)).to_string().trim_end_matches('}').to_owned().into(), ..put("nic", &json!({})) };
    assert_eq!(front.ask("operator", cut).await.told(), malformed);
    assert_eq!(front.ask("operator", put("nic", &json!(vec![1; 100_000]))).await.told(), malformed);
    let batch = call("POST", format!("/batch?{V}")).json(&json!({ "requests": vec![1; 100_000] }));
    let refused = front.ask("rival", batch).await;
    assert_eq!(refused.told(), malformed);
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("100000 names and values"), "{:?}", refused.body);
    assert!(backend.log().arrived.is_empty(), "nothing of it left");
    let sent = put("nic", &large(&json!("the end")));
    let length = sent.body.len() as u64;
    assert_eq!(front.ask("operator", sent).await.status, 200);
    assert_eq!(backend.log().arrived.iter().map(|arrived| (arrived.length, arrived.whole)).collect::<Vec<_>>(), [(length, true)]);
    let content = large(&json!({ "id": foreign }));
    let url = thing("nic");
    let carried = json!({ "requests": [{ "httpMethod": "PUT", "url": url, "content": content }] });
    let answer = front.ask("operator", call("POST", format!("/batch?{V}")).json(&carried)).await;
    assert_eq!(answer.json()["responses"][0]["content"]["error"]["code"], "LinkedAuthorizationFailed", "{:?}", answer.told());
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_with_many_large_bodies_lets_others_go_first() {
    const MANY: usize = 10;
    let (backend, front) = front("bodies-turns").await;
    let tokens = [SHARED.token("operator").await, SHARED.token("alder-owner").await];
    let body = large(&json!(1));
    let mut many = tokio::task::JoinSet::new();
    for number in 0..MANY {
        let (client, sent) = (front.client.clone(), put(&format!("many-{number}"), &body).bearer(&tokens[0]));
        many.spawn(async move { client.send(sent).await.status });
    }
    backend.log_with(|log| !log.arrived.is_empty()).await;
    // On the one worker that has all of them.
    for one in [put("small", &json!({})), put("large", &body)] {
        assert_eq!(front.client.send(one.bearer(&tokens[1])).await.status, 200);
    }
    let before = backend.log().arrived.iter().filter(|arrived| arrived.head.contains("many-")).count();
    assert!(before < MANY, "{before} of {MANY} went before those of another tenant");
    assert!(many.join_all().await.iter().all(|status| *status == 200));
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tenant_begins_and_does_not_end_leaves_room_for_others() {
    let (backend, front) = front("bodies-held").await;
    let (host, token) = (front.client.authority().to_owned(), SHARED.token("operator").await);
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        thing("held"),
        4 * MIB
    );
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut held = tokio::task::JoinSet::new();
    for _ in 0..9 {
        let stream = front.client.connect("localhost", b"http/1.1").await.unwrap();
        let (head, answers) = (head.clone(), answers.clone());
        held.spawn(async move {
            let (mut reading, mut writing) = tokio::io::split(stream);
            let begun = async {
                // All but the last byte; who is refused has its connection closed before.
                let _refused = writing.write_all(&[head.as_bytes(), &vec![b' '; 4 * MIB - 1]].concat()).await.is_err();
                let _refused = writing.flush().await.is_err();
                std::future::pending::<()>().await;
            };
            let mut answer = vec![0; 1024];
            let read = tokio::select! {
                read = reading.read(&mut answer) => read.unwrap_or_default(),
                () = begun => 0,
            };
            answer.truncate(read);
            answers.send(String::from_utf8(answer).unwrap()).unwrap();
        });
    }
    let refused = timeout(PATIENCE, answered.recv()).await.expect("one is too much").unwrap();
    assert!(refused.starts_with("HTTP/1.1 429") && refused.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{refused}");
    assert_eq!(answered.len(), 0, "the others are held");
    let body = large(&json!(1));
    assert_eq!(front.ask("alder-owner", put("large", &body)).await.status, 200, "another tenant has its half");
    assert_eq!(front.ask("operator", put("small", &json!({}))).await.status, 200, "what is small needs no room");
    let mut pieces = front.client.connect("localhost", b"http/1.1").await.unwrap();
    let head =
        format!("PUT {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n", thing("pieces"));
    let small = format!("7f00\r\n{{{}\r\n1\r\n}}\r\n0\r\n\r\n", " ".repeat(0x7eff));
    pieces.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n{small}").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(PATIENCE, pieces.read_exact(&mut answer)).await.expect("an answer in time").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200", "nor when it comes in pieces");
    assert_eq!(front.ask("operator", put("large", &body)).await.told(), "429 TooManyRequests limit.share");
    held.shutdown().await;
    let again = async { while front.ask("operator", put("again", &body)).await.status != 200 {} };
    timeout(PATIENCE, again).await.expect("the room is given back");
    assert!(backend.log().arrived.iter().all(|arrived| !arrived.head.contains("/held")), "nothing unfinished left");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_uploaded_and_documents_in_disguise_are_not() {
    let (backend, front) = front("bodies-opaque").await;
    let upload =
        |body: Vec<u8>| Call { body: body.into(), ..call("PUT", thing("upload")).header("content-type", "application/octet-stream") };
    let text = format!(r#"{{"id":"{}/resourceGroups/g"}}"#, SHARED.subscription("ivy-main"));
    let wide = |blank: &str, bytes: fn(u16) -> [u8; 2]| format!("{blank}{text}").encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for blank in
        ["\u{b}", "\u{c}", "\u{1c}", "\u{1f}", "\0", "\u{85}", "\u{1680}", "\u{2000}", "\u{2028}", "\u{3000}", "\u{feff}", "\u{200b}"]
    {
        for body in [format!("{blank}{text}").into_bytes(), wide(blank, u16::to_le_bytes), wide(blank, u16::to_be_bytes)] {
            let answer = front.ask("operator", upload(body)).await;
            assert_eq!(answer.told(), "415 UnsupportedMediaType request.media_type", "{blank:?}");
        }
    }
    assert!(backend.log().arrived.iter().all(|arrived| !arrived.whole), "none of it came to its end");
    for body in [
        &b"PK\x03\x04\x14\0\0\0\x08\0{}"[..],
        b"\x1f\x8b\x08\0{{{{\0\x03",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        &[0; 512],
        "\u{e9}t\u{e9}".as_bytes(),
    ] {
        assert_eq!(front.ask("operator", upload(body.to_vec())).await.status, 200, "{body:02x?}");
    }
    front.drain().await;
}
