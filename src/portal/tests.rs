//! The portal as a browser sees it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::testing::{ALDER, Browser, Canned, Got, HOST, JUNIPER};
use super::{CONTENT_SECURITY_POLICY, IDLE_MAX, Portal};

/// Markup, an override of the direction of writing, quotes, and 400 characters without a place to break.
const HOSTILE: &str = "<script>alert('1')\u{202e}\"&amp;{{x}}\u{7}";

fn hostile() -> String {
    format!("{HOSTILE}{}", "x".repeat(400))
}

fn tenant(tail: &str) -> String {
    format!("/tenants/{JUNIPER}{tail}")
}

fn machine_of(name: &str, tail: &str) -> String {
    let name = super::text::segment(name);
    tenant(&format!("/machines/{name}/{name}{tail}"))
}

#[track_caller]
fn check_is_harmless(got: &Got, place: &str) {
    assert!(got.text.starts_with("<!doctype html>"), "{place}: {}", got.text);
    let body = got.text.split("</head>").nth(1).unwrap();
    assert!(!body.contains("<script"), "{place}: {body}");
    for forbidden in ['\u{202e}', '\u{7}'] {
        let outside = got
            .text
            .split("value=\"")
            .skip(1)
            .filter_map(|rest| rest.split_once('"'))
            .fold(got.text.clone(), |text, (value, _)| text.replace(value, ""));
        assert!(!outside.contains(forbidden), "{place} shows {forbidden:?}: {outside}");
    }
    for attribute in [" style=", " onclick=", " onload=", "javascript:"] {
        assert!(!got.text.contains(attribute), "{place} has{attribute}");
    }
    assert_eq!(got.headers["content-security-policy"], CONTENT_SECURITY_POLICY, "{place}");
    assert_eq!(got.headers["cache-control"], "no-store", "{place}");
    assert_eq!(got.headers["x-content-type-options"], "nosniff", "{place}");
}

fn tenant_pages(name: &str) -> Vec<String> {
    let jobs = |id: &str| tenant(&format!("/jobs/{0}/{0}/{id}", super::text::segment(name)));
    let lists = ["", "/machines", "/machines/new", "/networks", "/checkpoints", "/usage?days=7", "/ownership"].map(tenant);
    let one = [machine_of(name, ""), machine_of(name, "/move"), jobs("job-1"), jobs("job-2")];
    [vec!["/".to_owned(), "/sign-in?next=%22%3E%3Cscript%3E".to_owned(), "/sign-up".to_owned()], lists.into(), one.into()].concat()
}

#[tokio::test]
async fn every_page_takes_hostile_names() {
    let mut browser = Browser::signed_in(Canned::named(&hostile())).await;
    for page in tenant_pages(&hostile()) {
        let got = browser.get(&page).await;
        assert_eq!(got.status, StatusCode::OK, "{page}: {}", got.text);
        check_is_harmless(&got, &page);
    }
    let mut stranger = Browser::at(Canned::named(&hostile()));
    for page in ["/", "/sign-in", "/sign-up", "/nothing"] {
        check_is_harmless(&stranger.get(page).await, page);
    }
}

#[tokio::test]
async fn a_denial_is_told_in_the_products_words() {
    let refusals = [("", "/default"), ("/machines", "/virtualMachineInstances"), ("/networks", "/virtualNetworks"), ("/usage", "/usage")];
    for (page, refused) in refusals {
        let page = if page.is_empty() { machine_of(&hostile(), "") } else { tenant(page) };
        let canned = Canned { refuses: Some(refused), ..Canned::named(&hostile()) };
        let got = Browser::signed_in(canned).await.get(&page).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{page}");
        check_is_harmless(&got, &page);
        for said in ["may not do this", "role.missing", "AuthorizationFailed", "7fa39c2d-51d0-4a7e-8000-000000000000"] {
            assert!(got.text.contains(said), "{page} does not say {said}");
        }
    }
}

#[tokio::test]
async fn the_navigation_holds_only_what_the_plan_holds() {
    let mut browser = Browser::signed_in(Canned { services: &["virtual_machines", "usage"], ..Canned::named("Juniper") }).await;
    let page = browser.get(&tenant("")).await;
    for (area, is_there) in [("machines", true), ("usage", true), ("networks", false), ("checkpoints", false), ("ownership", false)] {
        assert_eq!(page.text.contains(&format!("href=\"{}\"", tenant(&format!("/{area}")))), is_there, "{area}");
        let expected = if is_there { StatusCode::OK } else { StatusCode::NOT_FOUND };
        assert_eq!(browser.get(&tenant(&format!("/{area}"))).await.status, expected, "{area}");
    }
    assert!(!browser.get(&machine_of("Juniper", "")).await.text.contains("Make checkpoint"));
    assert!(!browser.get(&tenant("/machines/new")).await.text.contains("name=\"network\""));
}

#[tokio::test]
async fn who_is_not_signed_in_is_sent_to_sign_in_and_back() {
    let mut browser = Browser::at(Canned::named("Juniper"));
    let got = browser.get(&tenant("/machines")).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    let sign_in = got.location().to_owned();
    let refused = browser.submit(&sign_in, "/sign-in", &[("token", "bad"), ("next", &tenant("/machines"))]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.text.contains("This token has expired.") && refused.text.contains(&format!("value=\"{}\"", tenant("/machines"))));
    let entered = browser.submit(&sign_in, "/sign-in", &[("token", " Bearer good\n"), ("next", &tenant("/machines"))]).await;
    assert_eq!((entered.status, entered.location()), (StatusCode::SEE_OTHER, tenant("/machines").as_str()));
    assert!(entered.headers["set-cookie"].to_str().unwrap().starts_with("steward="));
    assert_eq!(browser.get(&tenant("/machines")).await.status, StatusCode::OK);
    let stolen = browser.submit("/", "/sign-in", &[("token", "good"), ("next", "//evil.example")]).await;
    assert_eq!(stolen.location(), "/");
}

#[tokio::test]
async fn signing_out_and_idleness_end_the_session() {
    let mut browser = Browser::signed_in(Canned::named("Juniper")).await;
    let out = browser.submit("/", "/sign-out", &[]).await;
    assert_eq!(out.location(), "/");
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert!(browser.get("/").await.text.contains("Sign up"));

    let mut browser = Browser::signed_in(Canned::named("Juniper")).await;
    browser.clock.advance(IDLE_MAX + Duration::from_secs(1));
    assert_eq!(browser.get(&tenant("")).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn who_is_not_trusted_any_more_has_to_sign_in_again() {
    let mut browser = Browser::signed_in(Canned::named("Juniper")).await;
    let form = browser.get(&tenant("/machines/new")).await.form_token().to_owned();
    browser.product.trusts.store(false, Ordering::SeqCst);
    let asked = browser.product.asked.lock().await.len();
    let posted = browser.post(&machine_of("web-01", "/start"), &[("form", &form)]).await;
    assert_eq!((posted.status, posted.location()), (StatusCode::SEE_OTHER, "/sign-in"));
    for page in tenant_pages("Juniper").into_iter().filter(|page| page.starts_with("/tenants/")) {
        let got = browser.get(&page).await;
        assert!(got.status == StatusCode::SEE_OTHER && got.location().starts_with("/sign-in?next="), "{page}: {}", got.text);
    }
    assert!(!browser.get("/").await.text.contains("Signed in as"));
    assert_eq!(browser.product.asked.lock().await.len(), asked, "nobody was asked for anything");
    browser.product.trusts.store(true, Ordering::SeqCst);
    assert_eq!(browser.get(&tenant("")).await.status, StatusCode::SEE_OTHER, "the session is over for good");
}

#[tokio::test]
async fn a_form_without_the_sessions_token_does_nothing() {
    let mut browser = Browser::signed_in(Canned::named("Juniper")).await;
    let mut other = Browser::signed_in(Canned::named("Juniper")).await;
    let foreign = other.get("/").await.form_token().to_owned();
    for fields in [&[][..], &[("form", "")], &[("form", "AAAA")], &[("form", foreign.as_str())]] {
        let got = browser.post(&machine_of("Juniper", "/delete"), fields).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{fields:?}");
        check_is_harmless(&got, "a stale form");
    }
    let token = browser.get("/").await.form_token().to_owned();
    for (origin, site) in [("https://evil.example", "cross-site"), ("null", "same-origin"), ("http://127.0.0.1:1", "same-site")] {
        let request = Request::post(machine_of("Juniper", "/delete")).header("origin", origin).header("sec-fetch-site", site);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(browser.send(request, format!("form={token}")).await.status, StatusCode::FORBIDDEN, "{origin}");
    }
    assert!(browser.product.asked.lock().await.iter().all(|(_, method, ..)| method == "GET"));
}

#[tokio::test]
async fn bodies_that_are_no_forms_are_refused() {
    let mut browser = Browser::signed_in(Canned::named("Juniper")).await;
    let cases = [
        ("application/json", "{}".to_owned(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/x-www-form-urlencoded", "a=%zz".to_owned(), StatusCode::BAD_REQUEST),
        ("application/x-www-form-urlencoded", "form=1&form=2".to_owned(), StatusCode::BAD_REQUEST),
        ("application/x-www-form-urlencoded", format!("a={}", "x".repeat(64 * 1024)), StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (kind, body, expected) in cases {
        let own = Request::post("/sign-out").header("origin", format!("http://{HOST}")).header("sec-fetch-site", "same-origin");
        let got = browser.send(own.header("content-type", kind), body.clone()).await;
        assert_eq!(got.status, expected, "{kind} {}", body.chars().take(20).collect::<String>());
    }
    let got = browser
        .send(
            Request::builder()
                .method(Method::PUT)
                .uri("/")
                .header("origin", format!("http://{HOST}"))
                .header("sec-fetch-site", "same-origin"),
            String::new(),
        )
        .await;
    assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_foreign_host_learns_nothing() {
    let portal = Browser::at(Canned::named("Juniper")).portal;
    let request = Request::get("/").header("host", "rebound.example:8480").body(http_body_util::Full::<bytes::Bytes>::from("")).unwrap();
    let answer = portal.answer_any(request).await;
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(!answer.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_the_name_of_their_content() {
    let mut browser = Browser::at(Canned::named("Juniper"));
    let page = browser.get("/").await.text;
    let paths: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(paths.len() >= 3, "{paths:?}");
    for path in paths {
        assert!(Portal::serves(path));
        let got = browser.get(path).await;
        assert_eq!((got.status, &got.headers["cache-control"]), (StatusCode::OK, &"public, max-age=31536000, immutable".parse().unwrap()));
        assert!(!got.headers.contains_key("set-cookie"));
    }
    assert_eq!(browser.get("/assets/steward.css").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_sign_up_keeps_what_was_typed_until_it_works() {
    let mut browser = Browser::at(Canned::named("Gold"));
    let typed =
        [("organisation", "Taken"), ("person", "Anna"), ("identity", "anna@juniper.example"), ("plan", "gold"), ("issuer_key", "\nKEY\"<")];
    let refused = browser.submit("/sign-up", "/sign-up", &typed).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for kept in [
        "Taken is signed up already",
        "value=\"Taken\"",
        "value=\"Anna\"",
        "value=\"anna@juniper.example\"",
        "value=\"gold\" checked",
        "KEY&#34;&#60;",
    ] {
        assert!(refused.text.contains(kept), "{kept}: {}", refused.text);
    }
    let opened =
        browser.submit("/sign-up", "/sign-up", &[("organisation", "Juniper"), ("invitation_code", "JUNIPER"), ("show", "plans")]).await;
    assert_eq!(opened.status, StatusCode::OK);
    assert!(opened.text.contains("value=\"partner\"") && opened.text.contains("value=\"Juniper\""));
    let wrong = browser.submit("/sign-up", "/sign-up", &[("invitation_code", "OTHER"), ("show", "plans")]).await;
    assert!(wrong.text.contains("This code opens no plan."));
    let unsaid = browser.submit("/sign-up", "/sign-up", &[("organisation", "Juniper"), ("person", "Anna"), ("identity", "a@b")]).await;
    assert!(unsaid.text.contains("Choose a plan."));

    let done = browser
        .submit("/sign-up", "/sign-up", &[("organisation", "Juniper"), ("person", "Anna"), ("identity", "a@b"), ("plan", "gold")])
        .await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, tenant("").as_str()));
    assert!(browser.get(&tenant("")).await.text.contains("Juniper is signed up. You are its administrator."));
    assert!(!browser.get(&tenant("")).await.text.contains("is signed up"), "a sentence is shown once");
}

#[tokio::test]
async fn buttons_ask_the_product_as_the_person() {
    let mut browser = Browser::signed_in(Canned::named("web 01")).await;
    let page = machine_of("web 01", "");
    let verbs = [
        ("start", "POST", "/start", None),
        ("stop", "POST", "/stop", None),
        ("restart", "POST", "/restart", None),
        ("delete", "DELETE", "", None),
    ];
    let checkpoints = [
        ("checkpoint", "POST", "/createCheckpoint", Some(json!({ "name": "before", "description": "" }))),
        ("restore", "POST", "/restoreCheckpoint", Some(json!({ "id": "cp" }))),
        ("forget", "POST", "/deleteCheckpoint", Some(json!({ "id": "cp" }))),
    ];
    for (verb, method, action, body) in verbs.into_iter().chain(checkpoints) {
        let got = browser.submit(&page, &format!("{page}/{verb}"), &[("name", "before"), ("checkpoint", "cp")]).await;
        assert_eq!(got.location(), tenant("/jobs/web%2001/web%2001/job-1"), "{verb}");
        let path = format!(
            "/subscriptions/{JUNIPER}/resourceGroups/web%2001/providers/Microsoft.HybridCompute/machines/web%2001/providers/Microsoft.ScVmm/virtualMachineInstances/default{action}?api-version=2023-10-07"
        );
        let expected = ("web 01".to_owned(), method.to_owned(), path, body);
        assert!(browser.product.asked.lock().await.contains(&expected), "{verb}");
    }
}

#[tokio::test]
async fn a_new_machine_is_asked_for_and_a_refusal_keeps_the_form() {
    let mut browser = Browser::signed_in(Canned::named("east")).await;
    let template = format!("/subscriptions/{JUNIPER}/providers/Microsoft.ScVmm/virtualMachineTemplates/east");
    let network = format!("/subscriptions/{JUNIPER}/providers/Microsoft.ScVmm/virtualNetworks/east");
    let cloud = format!("/subscriptions/{JUNIPER}/providers/Microsoft.ScVmm/clouds/east");
    let fields = [("name", "web-01"), ("cloud", "east"), ("template", template.as_str()), ("network", network.as_str())];
    let got = browser.submit(&tenant("/machines/new"), &tenant("/machines/new"), &fields).await;
    assert_eq!(got.location(), tenant("/jobs/east/web-01/job-1"));
    let asked = browser.product.asked.lock().await;
    let (.., body) = asked.iter().find(|(_, method, ..)| method == "PUT").unwrap();
    let expected = json!({
        "extendedLocation": { "type": "customLocation", "name": cloud },
        "properties": {
            "infrastructureProfile": { "cloudId": cloud, "templateId": template, "vmName": "web-01" },
            "networkProfile": { "networkInterfaces": [{ "virtualNetworkId": network }] },
        },
    });
    assert_eq!(body.as_ref(), Some(&expected));

    let canned = Canned { refuses: Some("/default"), ..Canned::named("east") };
    let mut browser = Browser::signed_in(canned).await;
    let got = browser.submit(&tenant("/machines/new"), &tenant("/machines/new"), &fields).await;
    assert_eq!(got.status, StatusCode::FORBIDDEN);
    assert!(got.text.contains("value=\"web-01\"") && got.text.contains("east may not do this"));
    assert!(got.text.contains(&format!("value=\"{template}\" selected")));
    let got =
        browser.submit(&tenant("/machines/new"), &tenant("/machines/new"), &[("name", ".."), ("cloud", "east"), ("template", "x")]).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_job_is_told_to_people_and_to_the_script() {
    let mut browser = Browser::signed_in(Canned::named("web-01")).await;
    let page = tenant("/jobs/web-01/web-01/job-1");
    assert!(browser.get(&page).await.text.contains(&format!("data-job=\"{page}\"")));
    let figures = browser.send(Request::get(&page).header("accept", "application/json"), String::new()).await;
    let figures: Value = serde_json::from_str(&figures.text).unwrap();
    assert_eq!(
        (&figures["runs"], &figures["progress"], &figures["steps"][1]["state"]["word"]),
        (&json!(true), &json!(40), &json!("under way"))
    );

    let failed = Browser::signed_in(Canned::named("HostNotResponding")).await.get(&tenant("/jobs/web-01/web-01/job-2")).await;
    assert!(failed.text.contains("What to do:") && failed.text.contains("data-job=\"\""));
}

#[tokio::test]
async fn a_move_is_shown_before_it_is_done() {
    let mut browser = Browser::signed_in(Canned::named("web-01")).await;
    let page = machine_of("web-01", "/move");
    let wrong = browser.submit(&page, &format!("{page}/preview"), &[("tenant_id", "alder"), ("cloud", "west")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("value=\"alder\"") && wrong.text.contains("This is no id of a tenant"));

    let shown = browser.submit(&page, &format!("{page}/preview"), &[("tenant", ALDER), ("cloud", "west")]).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(shown.text.contains("Nothing has happened yet.") && shown.text.contains("Move it") && shown.text.contains("Alder Foods"));
    let done = browser.post(&page, &[("tenant", ALDER), ("cloud", "west"), ("form", shown.form_token())]).await;
    assert!(done.text.contains("was moved") && done.text.contains(&format!("/tenants/{ALDER}/machines/west/web-01")));
    let group = format!("/subscriptions/{ALDER}/resourceGroups/west");
    let asked = browser.product.asked.lock().await;
    let moves: Vec<_> = asked.iter().filter_map(|(.., body)| body.as_ref()).collect();
    assert_eq!(
        moves,
        [&json!({ "targetResourceGroupId": group, "preview": true }), &json!({ "targetResourceGroupId": group, "preview": false })]
    );
}

#[tokio::test]
async fn what_stands_against_a_move_is_shown_and_there_is_nothing_to_confirm() {
    let mut browser = Browser::signed_in(Canned { obstacle: true, ..Canned::named(&hostile()) }).await;
    let page = machine_of(&hostile(), "/move");
    let preview = format!("{page}/preview");
    let shown = browser.submit(&page, &preview, &[("tenant", ALDER), ("cloud", "west")]).await;
    check_is_harmless(&shown, &preview);
    assert!(shown.text.contains("What to do:") && !shown.text.contains("Move it"));
    let mut browser = Browser::signed_in(Canned::named(&hostile())).await;
    check_is_harmless(&browser.submit(&page, &page, &[("tenant", ALDER), ("cloud", "west")]).await, "a move");
    let canned = Canned { refuses: Some("/transfer"), ..Canned::named(&hostile()) };
    let refused = Browser::signed_in(canned).await.submit(&page, &page, &[("tenant", ALDER), ("cloud", "west")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    check_is_harmless(&refused, "a refused move");
}
