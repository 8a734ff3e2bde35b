//! What counts as the management plane: hosts, paths, and which of the client's headers cross over.

use serde_json::Value;

use crate::common::client::{Answer, Call, call, get};
use crate::common::installation::{SHARED, headers_of};

const V: &str = "api-version=2024-07-01";
const BLOB: &str = "acct.blob.core.windows.net";
const DATA: &str = "403 DataPlaneNotSupported plane.data";
const FOREIGN: &str = "421 InvalidHost plane.foreign";
const MALFORMED: &str = "400 BadRequest request.malformed";
const AMBIGUOUS: &str = "400 BadRequest path.ambiguous";

fn groups() -> String {
    format!("{}/resourceGroups?{V}", SHARED.subscription("alder-prod"))
}

/// A refused answer, of which nothing reached the backend.
async fn check_refused(answer: Answer, expected: &str, what: &str) {
    assert_eq!(answer.told(), expected, "{what}");
    assert_eq!(SHARED.forwarded(&answer).await, None, "{what}");
}

async fn reader(call: Call) -> Call {
    call.bearer(&SHARED.token("reader").await)
}

#[tokio::test]
async fn every_place_that_can_name_a_host_must_name_ours() {
    let ours = SHARED.client.authority();
    let port = ours.rsplit(':').next().unwrap();
    for (host, expected) in [
        (BLOB.to_owned(), DATA),
        (format!("{BLOB}:443"), DATA),
        ("ACCT.Vault.Azure.NET".to_owned(), DATA),
        ("graph.microsoft.com".to_owned(), DATA),
        ("management.azure.com".to_owned(), FOREIGN),
        (format!("{ours}.evil.example"), FOREIGN),
        ("localhost".to_owned(), FOREIGN),
        ("localhost:1".to_owned(), FOREIGN),
        (format!("localhost.:{port}"), FOREIGN),
        (format!("xlocalhost:{port}"), FOREIGN),
        (format!("a,{ours}"), MALFORMED),
        (format!("{ours}/x"), MALFORMED),
        (format!("x@{ours}"), MALFORMED),
    ] {
        let sent = reader(get(groups()).header("host", &host)).await;
        check_refused(SHARED.client.send(sent).await, expected, &format!("Host: {host}")).await;
    }
    for (authority, expected) in [(BLOB, DATA), ("management.azure.com.evil.example", FOREIGN)] {
        let target = format!("https://{authority}{}", groups());
        let sent = reader(get(target.as_str()).header("host", ours)).await;
        check_refused(SHARED.client.send(sent.clone()).await, expected, &format!("target {target}")).await;
        check_refused(SHARED.client.send_h2(sent).await, expected, &format!(":authority {authority}")).await;
    }
    for (name, expected) in [(BLOB, DATA), ("other.example", FOREIGN)] {
        let sent = reader(get(groups())).await;
        check_refused(SHARED.client.send_named(name, sent).await, expected, &format!("server name {name}")).await;
    }
}

#[tokio::test]
async fn target_and_host_must_agree_in_every_version() {
    let ours = SHARED.client.authority();
    let absolute = format!("https://{ours}{}", groups());
    let agreeing = SHARED.client.send(reader(get(absolute.as_str()).header("host", ours)).await).await;
    assert_eq!(agreeing.status, 200);
    let shouted = SHARED.client.send(reader(get(groups()).header("host", &ours.to_uppercase())).await).await;
    assert_eq!(shouted.status, 200, "hosts are compared without case");
    let plain = format!("http://{ours}{}", groups());
    check_refused(SHARED.client.send(reader(get(plain)).await).await, MALFORMED, "http over TLS").await;
    let sent = reader(get(groups()).header("host", BLOB)).await;
    check_refused(SHARED.client.send_h2(sent).await, DATA, "HTTP/2 with another Host").await;
    let sent = reader(get(groups()).header("host", "127.0.0.1:1")).await;
    check_refused(SHARED.client.send_h2(sent).await, FOREIGN, "HTTP/2 with a foreign Host").await;
    let agreeing = SHARED.client.send_h2(reader(get(groups()).header("host", ours)).await).await;
    assert_eq!(agreeing.status, 200);
}

#[tokio::test]
async fn forwarded_hosts_change_nothing() {
    let spoofed = get(groups()).header("x-forwarded-host", BLOB).header("x-original-url", "/tenants").header("forwarded", "host=evil");
    let answer = SHARED.client.send(reader(spoofed).await).await;
    assert_eq!(answer.status, 200);
    let request = SHARED.forwarded(&answer).await.unwrap();
    for name in ["x-forwarded-host", "x-original-url", "forwarded", "x-forwarded-for"] {
        assert_eq!(headers_of(&request, name), [""; 0], "{name}");
    }
}

/// What reaches the backend when this path is sent.
async fn forwarded_path(path: &str) -> String {
    let answer = SHARED.client.send(reader(get(format!("{path}?{V}"))).await).await;
    let request = SHARED.forwarded(&answer).await.unwrap_or_else(|| panic!("{path}: {}", answer.told()));
    request["path"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_path_that_is_judged_is_the_path_that_is_forwarded() {
    let alder = SHARED.subscription("alder-prod");
    for (sent, forwarded) in [
        ("/resourceGroups", "/resourceGroups"),
        ("//resourceGroups/", "/resourceGroups"),
        ("/resourcegroups/RG-WEB-PROD", "/resourcegroups/RG-WEB-PROD"),
        ("/resource%47roups/rg%2Dweb-prod", "/resourceGroups/rg-web-prod"),
        (
            "/resourceGroups/rg-web-prod/providers/Microsoft.Compute//virtualMachines",
            "/resourceGroups/rg-web-prod/providers/Microsoft.Compute/virtualMachines",
        ),
        ("/resourceGroups/a%28b%29_.-c", "/resourceGroups/a(b)_.-c"),
    ] {
        assert_eq!(forwarded_path(&format!("{alder}{sent}")).await, format!("{alder}{forwarded}"), "{sent}");
    }
    assert_eq!(
        forwarded_path(&format!("{}/resourceGroups", alder.to_uppercase())).await,
        format!("{}/resourceGroups", alder.to_uppercase())
    );
}

#[tokio::test]
async fn a_path_with_two_readings_goes_nowhere() {
    let granted = format!("{}/resourceGroups/rg-backup", SHARED.subscription("granite-main"));
    for tail in [
        "/../rg-private",
        "/./x",
        "/%2e%2e/rg-private",
        "/.%2e/rg-private",
        "/%252e%252e/rg-private",
        "/..%2frg-private",
        "%2f..%2frg-private",
        "/..;/rg-private",
        ";x=1/../rg-private",
        "/%5c..%5crg-private",
        "/x%00",
        "/x%0d%0a",
        "/%c0%ae%c0%ae/rg-private",
        "/%e3%80%82",
        "/%",
        "/%zz",
        "/x%3fapi-version=1",
        "/x%23",
        "/x.",
        "/x%20",
    ] {
        let answer = SHARED.client.send(reader(get(format!("{granted}{tail}?{V}"))).await).await;
        check_refused(answer, AMBIGUOUS, tail).await;
    }
    // Neighbours by prefix are other scopes.
    for neighbour in [format!("{granted}2"), format!("{granted}%2d2"), granted.replace("rg-backup", "rg-back")] {
        let answer = SHARED.client.send(reader(get(format!("{neighbour}?{V}"))).await).await;
        check_refused(answer, "403 AuthorizationFailed delegation.none", &neighbour).await;
    }
}

#[tokio::test]
async fn the_query_is_forwarded_byte_for_byte() {
    let query = format!("{V}&$filter=a%20eq+'b'&X=1&x=2&x=2&&empty=&%41=%2F/?;:@!*()");
    let target = format!("{}/resourceGroups?{query}", SHARED.subscription("alder-prod"));
    let answer = SHARED.client.send(reader(get(target)).await).await;
    assert_eq!(SHARED.forwarded(&answer).await.unwrap()["query"], query.as_str());
}

/// Headers that only the gateway may set, and what it sets for the reader.
fn text<'a>(request: &'a Value, member: &str) -> &'a str {
    request[member].as_str().unwrap()
}

#[track_caller]
fn check_own_headers(request: &Value, what: &str) {
    let url = format!("{}{}?{}", SHARED.demo.world.gateway, text(request, "path"), text(request, "query"));
    assert_eq!(headers_of(request, "referer"), [url]);
    for (name, value) in SHARED.said_of_the_reader() {
        assert_eq!(headers_of(request, name), [value], "{what}: {name}");
    }
    for pair in request["headers"].as_array().unwrap() {
        let spoofed = pair[1].as_str().unwrap().contains("spoofed");
        assert!(!spoofed, "{what}: {pair}");
    }
}

const RESERVED: [&str; 18] = [
    "x-ms-client-tenant-id",
    "x-ms-home-tenant-id",
    "x-ms-client-object-id",
    "x-ms-client-principal-id",
    "x-ms-client-principal-name",
    "x-ms-client-principal-type",
    "x-ms-client-app-id",
    "x-ms-client-app-id-acr",
    "x-ms-client-audience",
    "x-ms-client-issuer",
    "x-ms-client-authorization-source",
    "x-ms-client-identity-provider",
    "x-ms-client-wids",
    "x-ms-client-authentication-methods",
    "x-ms-client-ip-address",
    "x-ms-management-group-ancestors",
    "x-ms-arm-request-tracking-id",
    "referer",
];

#[tokio::test]
async fn identity_headers_of_the_client_never_cross_over() {
    let mut call = get(groups());
    for name in RESERVED {
        call = call.header(name, "spoofed-1").header(name, "spoofed-2").header(&name.replace('-', "_"), "spoofed-3");
    }
    let more = ["x-ms-client-anything", "x-forwarded-user", "x-remote-user", "impersonate-user", "x-http-method-override", "cookie"];
    let call = reader(more.into_iter().fold(call, |call, name| call.header(name, "spoofed-4"))).await;
    for (answer, what) in [(SHARED.client.send(call.clone()).await, "HTTP/1.1"), (SHARED.client.send_h2(call).await, "HTTP/2")] {
        assert_eq!(answer.status, 200, "{what} {}", answer.told());
        check_own_headers(&SHARED.forwarded(&answer).await.unwrap(), what);
    }
}

#[tokio::test]
async fn neither_odd_casing_nor_connection_nor_trailers_get_a_header_across() {
    let token = SHARED.token("reader").await;
    let shouted: String = RESERVED.iter().map(|name| format!("{}: spoofed\r\n", name.to_uppercase())).collect();
    let named = RESERVED.join(", ");
    let lines = [
        shouted,
        format!("Connection: close, authorization, {named}\r\n"),
        "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-ms-client-object-id: spoofed\r\n".to_owned(),
    ];
    for lines in lines {
        let close = if lines.contains("close") { "" } else { "Connection: close\r\n" };
        let host = SHARED.client.authority();
        let bytes = format!("GET {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{close}{lines}\r\n", groups());
        let answer = SHARED.client.raw(bytes.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{lines} → {answer}");
        let id = answer.split("x-ms-request-id: ").nth(1).unwrap().get(..36).unwrap();
        let journal = SHARED.admin(get("/mock/requests")).await.json();
        let is_it = |request: &&Value| headers_of(request, "x-ms-arm-request-tracking-id") == [id];
        check_own_headers(journal["requests"].as_array().unwrap().iter().find(is_it).unwrap(), &lines);
    }
}

#[tokio::test]
async fn a_name_that_is_a_keyword_does_not_lead_past_the_gateways_own_services() {
    let alder = SHARED.subscription("alder-prod");
    for (kind, name) in [
        ("Microsoft.Authorization/roleAssignments", "providers"),
        ("Microsoft.Authorization/roleAssignmentScheduleRequests", "providers"),
        ("Microsoft.ManagedServices/registrationAssignments", "providers"),
        ("Microsoft.ManagedServices/registrationDefinitions", "PROVIDERS"),
        ("Microsoft.Resources/deployments", "providers"),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let target = format!("{alder}/providers/{kind}/{name}?{V}");
            let answer = SHARED.ask("alder-owner", call(method, target).json(&serde_json::json!({ "properties": {} }))).await;
            assert!(method == "DELETE" || answer.status.is_client_error(), "{method} {kind}: {}", answer.told());
            assert_eq!(SHARED.forwarded(&answer).await, None, "{method} {kind}: {}", answer.told());
        }
    }
}
