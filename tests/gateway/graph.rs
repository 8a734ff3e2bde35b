//! Queries of the resource graph, and lists above subscriptions: what a backend that trusts the gateway would answer too much.

use serde_json::{Value, json};
use steward::clock::Clock;

use crate::common::backend::{Act, Arrived, Backend, Front, json_answer};
use crate::common::client::{Answer, call, get};
use crate::common::installation::{SHARED, empty_folder, policies};

const V: &str = "api-version=2024-04-01";
const DENIED: &str = "403 LinkedAuthorizationFailed scope.linked";
const MALFORMED: &str = "400 InvalidRequestContent request.malformed";

async fn front(name: &str) -> (Backend, Front) {
    let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", r#"{"count":0,"data":[]}"#))).await;
    let front = Front::start(name, &format!("http://{}", backend.address), "").await;
    (backend, front)
}

fn id(name: &str) -> String {
    SHARED.subscription(name).trim_start_matches("/subscriptions/").to_owned()
}

fn query(names: &[&str]) -> Value {
    json!({ "subscriptions": names.iter().map(|name| id(name)).collect::<Vec<_>>(), "query": "Resources | limit 1" })
}

async fn asked(front: &Front, identity: &str, body: &Value) -> Answer {
    front.ask(identity, call("POST", format!("/providers/Microsoft.ResourceGraph/resources?{V}")).json(body)).await
}

/// The claims of the assertion that arrived.
fn assertion(request: &Arrived) -> Value {
    use base64::Engine as _;
    let line = request.head.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization:")).unwrap();
    let claims = line.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_asks_what_its_caller_may_read_as_a_whole_in_one_tenant() {
    let (backend, front) = front("graph").await;
    let one = asked(&front, "reader", &query(&["alder-prod"])).await;
    assert_eq!(one.status, 200, "{}", one.told());
    let both = asked(&front, "alder-owner", &query(&["alder-prod", "alder-dev"])).await;
    assert_eq!(both.status, 200, "{}", both.told());
    let log = backend.log();
    let alder = &SHARED.demo.world.tenants["alder"].id.to_string();
    let claims: Vec<Value> = log.arrived.iter().map(assertion).collect();
    assert_eq!(
        (&claims[0]["tid"], &claims[0]["scp"]),
        (&json!(alder), &json!(SHARED.subscription("alder-prod"))),
        "the customer, and not the caller's tenant"
    );
    assert_eq!((&claims[1]["tid"], &claims[1]["scp"]), (&json!(alder), &json!("/")));
    let record = front.admin(get(format!("/api/records/{}", one.request_id()))).await.json();
    assert_eq!(record["customer"]["tenant"], json!(alder), "{record}");
    for names in [&["alder-prod", "alder-dev"][..], &["ivy-main"], &["granite-main"], &["lynx-main"]] {
        assert_eq!(asked(&front, "reader", &query(names)).await.told(), DENIED, "{names:?}");
    }
    assert_eq!(asked(&front, "nobody", &query(&["alder-prod"])).await.told(), DENIED);
    let several = asked(&front, "reader", &query(&["alder-prod", "bramble-core"])).await;
    assert_eq!(several.told(), MALFORMED, "the assertion names one customer");
    assert!(several.json()["error"]["message"].as_str().unwrap().contains("several tenants"));
    let mut named = query(&["alder-prod"]);
    named["query"] = format!("Resources | where id startswith '/subscriptions/{}'", id("alder-dev")).into();
    assert_eq!(asked(&front, "reader", &named).await.told(), DENIED, "also what its text names");
    assert_eq!(backend.log().arrived.len(), 2, "nothing of it left");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_does_not_say_what_it_asks_does_not_leave() {
    let (backend, front) = front("graph-open").await;
    let mut groups = query(&["alder-prod"]);
    groups["managementGroups"] = json!(["holly-root"]);
    let mut twofold = query(&["alder-prod"]);
    twofold["Subscriptions"] = json!([id("ivy-main")]);
    let mut above = query(&["alder-prod"]);
    above["options"] = json!({ "authorizationScopeFilter": "AtScopeAboveAndBelow" });
    for body in [json!({ "query": "Resources" }), query(&[]), groups, twofold, above, json!([])] {
        assert_eq!(asked(&front, "reader", &body).await.told(), MALFORMED, "{body}");
    }
    let frozen = asked(&front, "operator", &query(&["holly-frozen"])).await;
    assert_eq!(frozen.status, 200, "what is denied there takes reading out again: {}", frozen.told());
    let history = call("POST", format!("/providers/Microsoft.ResourceGraph/resourcesHistory?{V}")).json(&query(&["alder-prod"]));
    assert_eq!(front.ask("reader", history).await.told(), "403 AuthorizationFailed scope.in_body");
    assert_eq!(backend.log().arrived.len(), 1);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_above_subscriptions_holds_nothing_of_other_tenants() {
    let (own, foreign) = (SHARED.subscription("holly-frozen"), SHARED.subscription("alder-prod"));
    let thing = |scope: &str, name: &str| json!({ "id": format!("{scope}/providers/A.B/things/{name}"), "name": name });
    let list = json!({
        "count": 6,
        "value": [
            thing(&own, "ours"),
            thing(&foreign, "theirs"),
            thing("", "of-the-root"),
            thing("/providers/Microsoft.Management/managementGroups/unknown", "of-a-group"),
            { "name": "nested", "properties": { "subscriptionId": foreign.trim_start_matches("/subscriptions/") } },
            { "name": "plain" },
        ],
    });
    let text = list.to_string();
    let backend = Backend::start(move |request, _| {
        let body = if request.head.contains("bare") { "[{\"name\":\"bare\"}]" } else { text.as_str() };
        Act::Answer(json_answer("200 OK", body))
    })
    .await;
    let folder = empty_folder("above");
    let rules = policies(&folder.join("policies"));
    let more = std::fs::read_to_string(rules.join("more.toml")).unwrap();
    std::fs::write(
        rules.join("more.toml"),
        format!("{more}\n[[role_assignment]]\nwho = \"holly-owner\"\nrole = \"Reader\"\nscope = \"/\"\ntenant = \"holly\"\n"),
    )
    .unwrap();
    let url = format!("http://{}", backend.address);
    let front = Front::start_with(&folder, &url, "", "", Clock::system(), &rules).await;
    let root = "/providers/Microsoft.Management/managementGroups/holly-root";
    for above in ["", root] {
        let answer = front.ask("holly-owner", get(format!("{above}/providers/A.B/things?{V}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.told());
        let answer = answer.json();
        let names: Vec<&str> = answer["value"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["ours", "of-the-root", "plain"], "{above}");
        assert_eq!(answer.get("count"), None);
    }
    let bare = front.ask("holly-owner", get(format!("/providers/A.B/bare?{V}"))).await;
    assert_eq!(bare.told(), "502 BadGateway upstream.invalid", "what cannot be cut down is nobody's");
    assert_eq!(front.ask("operator", get(format!("/providers/A.B/things?{V}"))).await.told(), "403 AuthorizationFailed delegation.none");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_of_what_a_post_does_takes_the_same_right_and_its_record_says_what_it_gives() {
    let (backend, front) = front("exposes").await;
    let account = format!("{}/resourceGroups/rg-web-prod/providers/Microsoft.Storage/storageAccounts/a", SHARED.subscription("alder-prod"));
    for method in ["GET", "HEAD", "POST"] {
        let answer = front.ask("reader", call(method, format!("{account}/listKeys?{V}"))).await;
        assert_eq!(answer.status, 403, "{method}");
        let record = front.admin(get(format!("/api/records/{}", answer.request_id()))).await.json();
        assert_eq!((&record["reason"], &record["exposes"]), (&json!("role.action_missing"), &json!(["keys"])), "{record}");
    }
    for method in ["GET", "POST"] {
        let answer = front.ask("operator", call(method, format!("{account}/listKeys?{V}"))).await;
        assert_eq!(answer.status, 200, "{method}");
    }
    let plain = front.ask("reader", get(format!("{account}?{V}"))).await;
    let record = front.admin(get(format!("/api/records/{}", plain.request_id()))).await.json();
    assert_eq!((plain.status.as_u16(), record.get("exposes")), (200, None));
    assert_eq!(backend.log().arrived.len(), 3);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_of_a_list_that_is_cut_down_tells_nothing_of_the_rest() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4711\r\nETag: \"all\"\r\n\
                Last-Modified: Sat, 21 Nov 2026 07:00:00 GMT\r\nContent-MD5: x\r\nX-Total-Count: 7\r\n\r\n";
    let backend = Backend::start(move |_, _| Act::Close(head.as_bytes().to_vec())).await;
    let front = Front::start("graph-head", &format!("http://{}", backend.address), "").await;
    let groups = format!("{}/resourceGroups?api-version=2024-07-01", SHARED.subscription("granite-main"));
    let answer = front.ask("reader", call("HEAD", groups).header("if-none-match", "\"all\"")).await;
    assert_eq!(answer.status, 200, "{}", answer.told());
    for name in ["content-length", "etag", "last-modified", "content-md5", "x-total-count"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    let arrived = backend.log().arrived;
    assert!(arrived.len() == 1 && !arrived[0].head.to_ascii_lowercase().contains("if-none-match"), "{arrived:?}");
    front.drain().await;
}
