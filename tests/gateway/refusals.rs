//! Every refusal that a request can be given, over HTTP: one request for each row.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::backend::Front;
use crate::common::client::{Answer, Call, call, get};
use crate::common::installation::{SHARED, empty_folder};
use crate::common::signer::{self, MARTEN};

const V: &str = "api-version=2024-07-01";

/// Sends and compares `status code reason`, and the shape that every refusal has.
async fn check(call: Call, expected: &str) -> Answer {
    let answer = SHARED.client.send(call.clone()).await;
    assert_eq!(answer.told(), expected, "{} {} {}", call.method, call.target, String::from_utf8_lossy(&answer.body));
    check_shape(&answer);
    answer
}

#[track_caller]
fn check_shape(answer: &Answer) {
    let error = &answer.json()["error"];
    assert!(error["code"].is_string() && error["message"].as_str().is_some_and(|text| text.len() > 10), "{error}");
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.header("x-ms-failure-cause"), "gateway");
    assert_eq!(answer.headers.contains_key("www-authenticate"), answer.status == 401, "{error}");
    check_headers(answer);
}

#[tokio::test]
async fn only_a_proven_caller_is_told_the_revision_of_the_state() {
    let path = groups("alder-prod");
    let revision = "x-steward-state-revision";
    let stranger = check(get(path.as_str()), "401 AuthenticationFailed token.missing").await;
    let forged = check(get(path.as_str()).bearer("not-a-token"), "401 InvalidAuthenticationToken token.malformed").await;
    let discovery = SHARED.client.send(get("/metadata/endpoints?api-version=2022-09-01")).await;
    assert_eq!(discovery.status, 200);
    for answer in [stranger, forged, discovery] {
        assert!(!answer.headers.contains_key(revision), "{:?}", answer.headers);
    }
    assert!(SHARED.ask("reader", get(path.as_str())).await.header(revision).parse::<u64>().is_ok());
}

/// What every answer carries, whoever gave it.
#[track_caller]
fn check_headers(answer: &Answer) {
    let id = answer.request_id();
    assert_eq!(id.len(), 36, "{:?}", answer.headers);
    assert!(!answer.header("x-ms-correlation-request-id").is_empty());
    assert!(answer.header("x-ms-routing-request-id").ends_with(id));
    assert!(answer.header("x-steward-revision").parse::<u64>().is_ok());
    for name in answer.headers.keys() {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name} stands once: {:?}", answer.headers);
    }
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("strict-transport-security").starts_with("max-age="));
    assert!(!answer.headers.contains_key("server"), "{:?}", answer.headers);
}

fn groups(subscription: &str) -> String {
    format!("{}/resourceGroups?{V}", SHARED.subscription(subscription))
}

fn network(subscription: &str) -> String {
    format!("{}/resourceGroups/rg-x/providers/Microsoft.Network/virtualNetworks/v?{V}", SHARED.subscription(subscription))
}

/// The same claims but for one.
fn with(member: &str, value: Value) -> String {
    let mut claims = signer::claims();
    claims[member] = value;
    signer::signed(&claims)
}

#[tokio::test]
async fn a_request_that_is_not_for_the_management_plane_is_refused() {
    check(get("/subscriptions").header("host", "acct.blob.core.windows.net"), "403 DataPlaneNotSupported plane.data").await;
    check(get("/subscriptions").header("host", "management.azure.com.evil.example"), "421 InvalidHost plane.foreign").await;
    check(get("/subscriptions").header("host", "user@localhost"), "400 BadRequest request.malformed").await;
    check(get("/subscriptions").header("upgrade", "websocket"), "400 BadRequest plane.tunnel").await;
    check(get("/subscriptions").header("expect", "200-ok"), "417 ExpectationFailed request.malformed").await;
    check(get("/subscriptions").header("trailer", "x-a"), "400 BadRequest request.malformed").await;
    check(call("OPTIONS", "/subscriptions"), "405 HttpMethodNotAllowed plane.method").await;
    check(get("/subscriptions/../tenants"), "400 BadRequest path.ambiguous").await;
    check(get(format!("/{}", "a".repeat(9_000))), "414 RequestUriTooLong request.too_large").await;
}

#[tokio::test]
async fn a_token_that_proves_nobody_is_refused_with_a_challenge() {
    let path = groups("alder-prod");
    let check_token = async |token: &str, expected: &str| {
        check(get(path.as_str()).bearer(token), expected).await;
    };
    let absent = check(get(path.as_str()), "401 AuthenticationFailed token.missing").await;
    let challenge = format!(r#"Bearer authorization_uri="{}/organizations", error="invalid_token""#, SHARED.demo.world.authority);
    assert!(absent.header("www-authenticate").starts_with(&challenge), "{}", absent.header("www-authenticate"));

    check(get(path.as_str()).header("authorization", "Basic YTpi"), "401 AuthenticationFailed token.malformed").await;
    let token = SHARED.token("reader").await;
    check(get(path.as_str()).bearer(&token).bearer(&token), "401 AuthenticationFailed token.malformed").await;
    check_token("not-a-token", "401 InvalidAuthenticationToken token.malformed").await;
    check_token(&format!("{token}x"), "401 InvalidAuthenticationToken token.malformed").await;
    let tampered = token.get(..token.len() - 8).map(|rest| format!("{rest}AAAAAAAA")).unwrap();
    check_token(&tampered, "401 InvalidAuthenticationToken token.signature").await;
    let expired = SHARED.mint("reader", "https://management.azure.com/", None, Duration::from_hours(48)).await;
    check_token(&expired, "401 ExpiredAuthenticationToken token.expired").await;
    let for_graph = SHARED.mint("reader", "https://graph.microsoft.com/", None, Duration::ZERO).await;
    check_token(&for_graph, "401 InvalidAuthenticationToken token.audience").await;
    check_token(&SHARED.token("ivy-owner").await, "403 AuthorizationFailed tenant.suspended").await;

    let claims = signer::claims();
    check_token(&signer::signed(&claims), "404 SubscriptionNotFound").await;
    let header = |alg: &str, kid: &str| json!({ "typ": "JWT", "alg": alg, "kid": kid });
    check_token(&signer::token(&header("EdDSA", "other"), &claims), "401 InvalidAuthenticationToken token.signature").await;
    check_token(&signer::token(&header("HS256", "own"), &claims), "401 InvalidAuthenticationToken token.signature").await;
    check_token(&signer::token(&header("none", "own"), &claims), "401 InvalidAuthenticationToken token.signature").await;
    let soon = claims["iat"].as_i64().unwrap() + 300;
    check_token(&with("nbf", soon.into()), "401 InvalidAuthenticationToken token.expired").await;
    check_token(&with("tid", MARTEN.into()), "401 InvalidAuthenticationTokenTenant token.issuer").await;
    check_token(&with("iss", "https://evil.example/".into()), "401 InvalidAuthenticationToken token.issuer").await;
    let mut unknown = claims.clone();
    unknown["iss"] = "https://own.example/77777777-7777-4777-8777-777777777777/".into();
    unknown["tid"] = "77777777-7777-4777-8777-777777777777".into();
    check_token(&signer::signed(&unknown), "401 InvalidAuthenticationToken tenant.unknown").await;
    check_token(&with("tid", "9188040d-6c67-4c5b-b112-36a304b66dad".into()), "401 InvalidAuthenticationTokenTenant token.issuer").await;
    check_token(&with("exp", "soon".into()), "401 InvalidAuthenticationToken token.malformed").await;
    check_token(&with("cnf", json!({ "kid": "bound" })), "401 InvalidAuthenticationToken token.malformed").await;

    let kelp = json!({
        "iss": "https://unreachable.example/4e190000-1000-4000-8000-000000000001/", "tid": "4e190000-1000-4000-8000-000000000001",
        "aud": "https://management.azure.com", "exp": soon, "iat": soon - 300,
    });
    let unavailable = check(get(path.as_str()).bearer(&signer::signed(&kelp)), "503 ServerBusy token.signature").await;
    assert_eq!(unavailable.header("retry-after"), "5");
}

#[tokio::test]
async fn a_target_that_cannot_be_resolved_is_refused() {
    let token = SHARED.token("operator").await;
    let alder = SHARED.subscription("alder-prod");
    for (method, target, expected) in [
        ("GET", format!("{alder}/resourceGroups"), "400 MissingApiVersionParameter request.api_version"),
        ("GET", format!("{alder}/resourceGroups?{V}&{V}"), "400 InvalidApiVersionParameter request.api_version"),
        ("GET", format!("{alder}/resourceGroups?api-version=latest"), "400 InvalidApiVersionParameter request.api_version"),
        ("GET", format!("/subscriptions/alder-prod/resourceGroups?{V}"), "400 InvalidSubscriptionId scope.malformed"),
        ("PUT", format!("{alder}/resourceGroups/{}?{V}", "g".repeat(91)), "400 InvalidResourceName scope.name"),
        ("GET", format!("{alder}/resourceGroups/g/providers/A.B/c/d/providers/e?{V}"), "403 AuthorizationFailed scope.unreadable"),
        (
            "PUT",
            format!("{alder}/resourceGroups/rg-web-prod/providers/Microsoft.Resources/deploymentStacks/d?{V}"),
            "403 AuthorizationFailed scope.in_body",
        ),
        ("POST", format!("{alder}/batch?{V}"), "403 AuthorizationFailed scope.in_body"),
        ("POST", format!("{alder}/moveResources?{V}"), "403 AuthorizationFailed scope.in_body"),
        ("POST", format!("/providers/Microsoft.Resources/batch?{V}"), "403 AuthorizationFailed scope.in_body"),
        ("POST", format!("/providers/Microsoft.ResourceGraph/resourceChanges?{V}"), "403 AuthorizationFailed scope.in_body"),
        ("GET", format!("/providers/Microsoft.Compute/operations/1?{V}"), "403 AuthorizationFailed delegation.none"),
        ("GET", format!("/providers/Microsoft.Compute/locations/westeurope/operations?{V}"), "403 AuthorizationFailed delegation.none"),
        (
            "GET",
            format!("/providers/Microsoft.Management/managementGroups/holly-root?{V}"),
            "403 AuthorizationFailed delegation.management_group",
        ),
        ("GET", format!("/subscriptions/99999999-9999-4999-8999-999999999999/resourceGroups?{V}"), "404 SubscriptionNotFound"),
        ("GET", groups("ivy-main"), "404 SubscriptionNotFound"),
    ] {
        check(call(method, target).bearer(&token), expected).await;
    }
}

#[tokio::test]
async fn a_request_that_nothing_permits_is_denied_with_its_reason() {
    for (identity, method, target, expected) in [
        ("nobody", "GET", groups("alder-prod"), "403 AuthorizationFailed role.principal"),
        ("reader", "PUT", network("alder-prod"), "403 AuthorizationFailed role.action_missing"),
        ("deniz", "POST", machine("deallocate"), "403 AuthorizationFailed role.not_active"),
        ("reader", "GET", format!("{}/resourceGroups/rg-private?{V}", SHARED.subscription("granite-main")), GRANITE),
        ("operator", "GET", groups("alder-dev"), "403 AuthorizationFailed delegation.none"),
        ("operator", "GET", groups("holly-paused"), "403 AuthorizationFailed delegation.suspended"),
        ("member", "GET", groups("holly-mixed"), "403 AuthorizationFailed delegation.suspended"),
        ("operator", "GET", groups("holly-ended"), "403 AuthorizationFailed delegation.expired"),
        ("operator", "GET", groups("holly-mixed"), "403 AuthorizationFailed delegation.expired"),
        ("operator", "GET", groups("holly-later"), "403 AuthorizationFailed role.not_active"),
        ("operator", "PUT", network("holly-frozen"), "403 DenyAssignmentAuthorizationFailed role.deny_assignment"),
        ("operator", "PUT", network("holly-disabled"), "409 ReadOnlyDisabledSubscription rule.subscription_state"),
        ("alder-owner", "PUT", own_grant(), "403 RequestDisallowedByPolicy rule.grants_in_files"),
        ("nobody", "GET", format!("{}?{V}", SHARED.subscription("alder-prod")), "403 AuthorizationFailed role.principal"),
    ] {
        let token = SHARED.token(identity).await;
        check(call(method, target).bearer(&token), expected).await;
    }
}

const GRANITE: &str = "403 AuthorizationFailed delegation.none";

fn own_grant() -> String {
    let id = "99999999-9999-4999-8999-999999999999";
    format!("{}/providers/Microsoft.Authorization/denyAssignments/{id}?{V}", SHARED.subscription("alder-prod"))
}

fn machine(action: &str) -> String {
    let alder = SHARED.subscription("alder-prod");
    format!("{alder}/resourceGroups/rg-web-prod/providers/Microsoft.Compute/virtualMachines/web-02/{action}?{V}")
}

#[tokio::test]
async fn a_denial_names_client_action_and_scope_as_tools_expect() {
    let answer = SHARED.ask("reader", call("POST", machine("deallocate"))).await;
    let world = &SHARED.demo.world;
    let scope = machine("").split('?').next().unwrap().trim_end_matches('/').to_owned();
    let expected = format!(
        "The client 'Reporting automation' with object id '{}' does not have authorization to perform action \
         'Microsoft.Compute/virtualMachines/deallocate/action' over scope '{scope}'",
        world.identities["reader"].object_id,
    );
    let error = &answer.json()["error"];
    assert!(error["message"].as_str().unwrap().starts_with(&expected), "{error}");
    let info = &error["additionalInfo"][0];
    assert_eq!(info["type"], "StewardDecision");
    assert_eq!(info["info"]["check"], "role");
    assert_eq!(info["info"]["id"], answer.request_id());
    assert!(info["info"]["hint"].as_str().unwrap().starts_with("The smallest roles with this action are "), "{info}");
}

#[tokio::test]
async fn the_gateways_own_answers_need_a_version_and_carry_the_same_headers() {
    check(get("/metadata/endpoints"), "400 MissingApiVersionParameter request.api_version").await;
    check(get("/metadata/endpoints?api-version=x"), "400 InvalidApiVersionParameter request.api_version").await;
    for target in ["/metadata/endpoints?api-version=2022-09-01", "//metadata/endpoints?api-version=2015-01-01"] {
        let answer = SHARED.client.send(get(target)).await;
        assert_eq!(answer.status, 200);
        check_headers(&answer);
    }
    for target in [format!("/subscriptions?{V}"), format!("/tenants?{V}"), groups("alder-prod")] {
        let answer = SHARED.ask("reader", get(target)).await;
        assert_eq!(answer.status, 200);
        check_headers(&answer);
    }
}

/// The answer without what differs between any two answers.
fn comparable(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let varying = ["x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id", "date"];
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !varying.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap(), headers)
}

#[tokio::test]
async fn strangers_cannot_tell_an_undelegated_subscription_from_one_that_does_not_exist() {
    const UNKNOWN: &str = "99999999-9999-4999-8999-999999999999";
    for (identity, name) in [("rival", "alder-prod"), ("alder-owner", "bramble-core"), ("operator", "ivy-main")] {
        let existing = SHARED.demo.world.subscriptions[name].id.to_string();
        for tail in
            ["", "/resourceGroups", "/providers/Microsoft.Compute/virtualMachines", "/providers/Microsoft.Authorization/permissions"]
        {
            let token = SHARED.token(identity).await;
            let ask = async |id: &str| {
                let target = format!("/subscriptions/{id}{tail}?{V}");
                comparable(&SHARED.client.send(get(target).bearer(&token)).await)
            };
            let (status, body, headers) = ask(&existing).await;
            let missing = ask(UNKNOWN).await;
            assert_eq!((status, body.replace(&existing, UNKNOWN), headers), missing, "{identity} {name} {tail}");
            assert_eq!(status, 404, "{body}");
        }
    }
}

#[tokio::test]
async fn ids_of_the_client_are_kept_and_returned_when_it_wants_them() {
    const CORRELATION: &str = "3f3f3f3f-0000-4000-8000-000000000001";
    let ask = get(groups("alder-prod")).header("x-ms-correlation-request-id", CORRELATION).header("x-ms-client-request-id", "my-id");
    let answer = SHARED.ask("reader", ask.clone()).await;
    assert_eq!(answer.header("x-ms-correlation-request-id"), CORRELATION);
    assert!(!answer.headers.contains_key("x-ms-client-request-id"));
    let answer = SHARED.ask("reader", ask.header("x-ms-return-client-request-id", "true")).await;
    assert_eq!(answer.header("x-ms-client-request-id"), "my-id");
    let answer = SHARED.ask("reader", get(groups("alder-prod")).header("x-ms-correlation-request-id", "no guid")).await;
    assert_eq!(answer.header("x-ms-correlation-request-id"), answer.request_id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_sent_to_the_right_place_where_the_operator_wants_that() {
    let folder = empty_folder("challenge");
    let front = Front::start_in(&folder, "http://127.0.0.1:9", "", "wrong_tenant = \"challenge\"").await;
    let world = &SHARED.demo.world;
    let alder = format!("{}/{}", world.authority, world.tenants["alder"].id);
    let answer = front.ask("rival", get(groups("alder-prod"))).await;
    assert_eq!(answer.told(), "401 InvalidAuthenticationTokenTenant delegation.none");
    assert!(answer.header("www-authenticate").contains(&format!("authorization_uri=\"{alder}\"")), "{:?}", answer.headers);
    let anonymous = front.client.send(get(groups("alder-prod"))).await;
    assert!(anonymous.header("www-authenticate").contains(&alder), "{:?}", anonymous.headers);
    front.drain().await;
}
