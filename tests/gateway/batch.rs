//! Requests in the body of one: each is judged as if it had come by itself.

use serde_json::{Value, json};

use crate::common::backend::{Act, Arrived, Backend, Front, json_answer};
use crate::common::client::{Answer, call, get};
use crate::common::installation::SHARED;
use crate::common::signer;

const V: &str = "api-version=2024-07-01";
const CORRELATION: &str = "0c0ffee0-0000-4000-8000-000000000001";

fn ok(request: &Arrived, _: usize) -> Act {
    match request.head.starts_with("GET") && request.head.contains("large") {
        true => Act::Answer(json_answer("200 OK", &format!("{{\"id\":\"{}\"}}", "x".repeat(3 << 20)))),
        false => Act::Answer(json_answer("200 OK", "{\"id\":\"it\"}")),
    }
}

async fn front(name: &str) -> (Backend, Front) {
    let backend = Backend::start(ok).await;
    let front = Front::start(name, &format!("http://{}", backend.address), "").await;
    (backend, front)
}

fn group() -> String {
    format!("{}/resourceGroups/rg-web-prod", SHARED.subscription("alder-prod"))
}

async fn batch(front: &Front, identity: &str, requests: &Value) -> Answer {
    let sent =
        call("POST", format!("/batch?{V}")).header("x-ms-correlation-request-id", CORRELATION).json(&json!({ "requests": requests }));
    front.ask(identity, sent).await
}

/// `200` or `403 AuthorizationFailed` of each.
async fn told(front: &Front, identity: &str, requests: Value) -> Vec<String> {
    let answer = batch(front, identity, &requests).await;
    assert_eq!(answer.status, 200, "{}", answer.told());
    let responses = answer.json()["responses"].as_array().unwrap().clone();
    assert_eq!(responses.len(), requests.as_array().unwrap().len());
    let told = |one: &Value| {
        format!("{} {}", one["httpStatusCode"], one["content"]["error"]["code"].as_str().unwrap_or_default()).trim().to_owned()
    };
    responses.iter().map(told).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_of_a_batch_is_judged_and_recorded_by_itself() {
    let (backend, front) = front("batch").await;
    let (own, ivy) = (group(), SHARED.subscription("ivy-main"));
    let base = format!("https://{}", front.client.authority());
    let requests = json!([
        { "httpMethod": "GET", "name": "first", "url": format!("{own}?{V}"), "content": {} },
        { "httpMethod": "GET", "name": "absolute", "url": format!("{base}{own}?{V}") },
        { "httpMethod": "PUT", "relativeUrl": format!("{own}?{V}"), "url": "", "content": { "location": "west" },
          "requestHeaderDetails": { "commandName": "az group create" }, "headers": { "x-ms-client-request-id": "of-the-part" } },
        { "httpMethod": "GET", "url": format!("https://acct.blob.core.windows.net/c?{V}") },
        { "httpMethod": "GET", "url": format!("https://elsewhere.example{own}?{V}") },
        { "httpMethod": "GET", "url": format!("{ivy}/resourceGroups/g?{V}") },
        { "httpMethod": "DELETE", "url": format!("{}/resourceGroups/g?{V}", SHARED.subscription("alder-dev")) },
        { "httpMethod": "GET", "url": own },
    ]);
    let answer = batch(&front, "operator", &requests).await;
    let responses = answer.json()["responses"].as_array().unwrap().clone();
    let statuses: Vec<u64> = responses.iter().map(|one| one["httpStatusCode"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 200, 403, 421, 404, 403, 400], "{responses:?}");
    assert_eq!(responses[0]["name"], "first");
    assert_eq!(responses[0]["content"], json!({ "id": "it" }));
    assert!(responses[2].get("name").is_none());
    assert_eq!(responses[3]["content"]["error"]["code"], "DataPlaneNotSupported");
    let log = backend.log();
    assert_eq!(log.arrived.len(), 3, "what is refused does not leave");
    assert_eq!(log.arrived[2].length, json!({ "location": "west" }).to_string().len() as u64);
    for (response, outcome) in responses.iter().zip(["allow", "allow", "allow", "deny", "deny", "deny", "deny", "deny"]) {
        let id = response["headers"]["x-ms-request-id"].as_str().unwrap();
        let record = front.admin(get(format!("/api/records/{id}"))).await.json();
        assert_eq!((record["outcome"].as_str(), record["correlation_id"].as_str()), (Some(outcome), Some(CORRELATION)), "{record}");
    }
    let third = responses[2]["headers"]["x-ms-request-id"].as_str().unwrap();
    let record = front.admin(get(format!("/api/records/{third}"))).await.json();
    assert_eq!((record["command"].as_str(), record["client_request_id"].as_str()), (Some("az group create"), Some("of-the-part")));
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_carried_request_says_of_itself_changes_nobody_s_rights() {
    let (backend, front) = front("batch-says").await;
    let own = group();
    let owner = format!("Bearer {}", SHARED.token("alder-owner").await);
    let with = |name: &str, value: Value| json!({ "httpMethod": "DELETE", "url": format!("{own}?{V}"), "headers": { name: value } });
    let requests = json!([
        with("Authorization", owner.clone().into()),
        with("authorization", owner.into()),
        with("x-ms-authorization-auxiliary", "Bearer a".into()),
        with("x-ms-client-principal-id", "17110000-3000-4000-8000-000000000001".into()),
        with("Host", "management.azure.com".into()),
        with("commandName", "a\r\nX-Ms-Client-Object-Id: b".into()),
        with("commandName", 1.into()),
        { "httpMethod": "DELETE", "url": format!("{own}?{V}") },
        { "httpMethod": "POST", "url": format!("/batch?{V}"), "content": { "requests": [{ "httpMethod": "GET", "url": format!("{own}?{V}") }] } },
        { "httpMethod": "POST", "url": format!("//Batch/?{V}"), "content": { "requests": [] } },
        { "httpMethod": "POST", "url": format!("/%62atch?{V}"), "content": { "requests": [] } },
        { "httpMethod": "get", "url": format!("{own}?{V}") },
        { "httpMethod": "CONNECT", "url": format!("{own}?{V}") },
    ]);
    let malformed = "400 BadRequest";
    let expected = [
        malformed,
        malformed,
        malformed,
        malformed,
        malformed,
        malformed,
        malformed,
        "403 AuthorizationFailed",
        malformed,
        malformed,
        malformed,
        "405 HttpMethodNotAllowed",
        "405 HttpMethodNotAllowed",
    ];
    assert_eq!(told(&front, "reader", requests).await, expected);
    assert_eq!(backend.log().arrived.len(), 0);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_with_two_readings_is_carried_nowhere() {
    let (backend, front) = front("batch-url").await;
    let own = group();
    let authority = front.client.authority().to_owned();
    let get_record = |id: &str| get(format!("/api/records/{id}"));
    let get = |url: String| json!({ "httpMethod": "GET", "url": url });
    let requests = json!([
        get(format!("{own}?{V}#x")),
        get(format!("{own}/../rg-other?{V}")),
        get(format!("{own}%2f..?{V}")),
        get(format!("{}?{V}", own.trim_start_matches('/'))),
        get(format!("https://{authority}@evil.example{own}?{V}")),
        get(format!("https://evil@{authority}{own}?{V}")),
        get(format!("ftp://{authority}{own}?{V}")),
        get(format!("{own}?{V}\r\nX: y")),
        get(format!("{own}?{V}&{}", "a".repeat(9000))),
        json!({ "httpMethod": "GET", "url": format!("{own}?{V}"), "relativeUrl": format!("{own}?{V}") }),
        json!({ "httpMethod": "GET" }),
    ]);
    for response in batch(&front, "operator", &requests).await.json()["responses"].as_array().unwrap() {
        let id = response["headers"]["x-ms-request-id"].as_str().unwrap_or_else(|| panic!("{response}"));
        assert_eq!(front.admin(get_record(id)).await.json()["outcome"], "deny", "{response}");
    }
    let answers = told(&front, "operator", requests).await;
    let expected = ["400", "400", "400", "400", "421", "421", "400", "400", "414", "400", "400"];
    for (number, (answer, expected)) in answers.iter().zip(expected).enumerate() {
        assert!(answer.starts_with(expected), "{number}: {answer}");
    }
    assert_eq!(backend.log().arrived.len(), 0);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_bounded() {
    let (backend, front) = front("batch-bounds").await;
    let one = json!({ "httpMethod": "GET", "url": format!("{}?{V}", group()) });
    for requests in [
        json!([]),
        Value::from(vec![one.clone(); 21]),
        json!({}),
        json!([{ "method": "GET" }]),
        json!([{ "httpMethod": "GET", "url": "/", "urls": [] }]),
    ] {
        assert_eq!(batch(&front, "operator", &requests).await.told(), "400 InvalidRequestContent request.malformed");
    }
    let mut twice = call("POST", format!("/batch?{V}")).header("content-type", "application/json");
    twice.body = r#"{"requests":[],"requests":[]}"#.into();
    assert_eq!(front.ask("operator", twice).await.told(), "400 InvalidRequestContent request.malformed");
    assert_eq!(backend.log().arrived.len(), 0);
    assert_eq!(told(&front, "operator", Value::from(vec![one.clone(); 20])).await, ["200"; 20]);
    let large = json!({ "httpMethod": "GET", "url": format!("{}/providers/A.B/c/large?{V}", group()) });
    assert_eq!(told(&front, "operator", json!([large, large, one])).await, ["200", "502 ResponseTooLarge", "200"], "4 MiB together");
    let anonymous = front.client.send(call("POST", format!("/batch?{V}")).json(&json!({ "requests": [one] }))).await;
    assert_eq!(anonymous.told(), "401 AuthenticationFailed token.missing");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auxiliary_tokens_of_the_whole_count_for_what_it_carries() {
    let (backend, front) = front("batch-auxiliary").await;
    let subnet =
        "/subscriptions/17110000-5000-4000-8000-000000000001/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/s";
    let nic = json!({ "httpMethod": "PUT", "url": format!("{}/providers/Microsoft.Network/networkInterfaces/nic?{V}", group()),
        "content": { "properties": { "subnet": { "id": subnet } } } });
    assert_eq!(told(&front, "operator", json!([nic])).await, ["403 LinkedAuthorizationFailed"]);
    let sent = call("POST", format!("/batch?{V}"))
        .header("x-ms-authorization-auxiliary", &format!("Bearer {}", signer::signed(&signer::claims())));
    let answer = front.ask("operator", sent.json(&json!({ "requests": [nic] }))).await;
    assert_eq!(answer.json()["responses"][0]["httpStatusCode"], 200, "{:?}", answer.body);
    assert_eq!(backend.log().arrived.len(), 1);
    front.drain().await;
}
