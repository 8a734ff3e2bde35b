//! What a proven caller may do: rights that end, verbs that are more than they look, scopes that are named beside the target, lists.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use steward::clock::Clock;

use crate::common::backend::{Act, Arrived, Backend, Front, json_answer};
use crate::common::client::{Answer, Call, call, get};
use crate::common::installation::{SHARED, empty_folder, policies};
use crate::common::signer::{self, LYNX, MARTEN};
use crate::gate::{Gate, Kept};
use crate::mint::{claiming, claims_of, headed};
use crate::node::eventually;
use crate::table::{Forms, threats};

threats! {
    t09_auxiliary_tokens_lend_no_right_on_the_target = auxiliary,
        "tokens of other tenants beside the caller's own: good ones for the target, bad, doubled, foreign and too many ones",
        "the target is judged by the caller's own token; a bad auxiliary token is no good one; none is passed on";
    t10_no_decision_outlives_its_reason = staleness,
        "tokens that were proven and ran out, grants, keys, issuers, tenants and delegations taken away, on connections that stay open",
        "the next request is judged by what is true then";
    t12_no_verb_is_more_than_its_role = verbs,
        "writes and actions of a reader, keys by `POST`, odd methods and spellings, headers and queries that override the method",
        "a short list of methods; `POST` needs the very action; what would override the method does not arrive";
    t23_a_body_or_query_reaches_nothing_that_its_sender_may_not = linked,
        "ids of others in values, names of members, tags and queries, hidden by case, escapes, codings, doubled members and other documents",
        "whatever can be read as an id needs a grant; what has two readings is refused";
    t24_a_batch_does_nothing_that_its_parts_may_not = batches,
        "foreign, absolute, nested, disagreeing and header-carrying parts, in several places and forms",
        "each part passes every check with the outer caller, or there is no batch";
    t25_lists_and_operations_show_a_caller_his_own = lists,
        "lists above the grant, compressed, paged, of other tenants; graph queries; operations of others",
        "items, pages and operations of others are left out or refused";
}

const V: &str = "api-version=2024-07-01";
const NOT_FOUND: &str = "404 SubscriptionNotFound";
const MISSING_ROLE: &str = "403 AuthorizationFailed role.action_missing";
const METHOD: &str = "405 HttpMethodNotAllowed plane.method";

fn at(subscription: &str, tail: &str) -> String {
    format!("{}{tail}?{V}", SHARED.subscription(subscription))
}

/// Where the signer's own application owns everything.
fn own() -> Call {
    get(at("lynx-main", "/resourceGroups/rg"))
}

async fn auxiliary() -> Forms {
    let (gate, mut forms) = (Gate::start("t09").await, Forms::default());
    let sound = signer::signed(&signer::claims());
    let owner = SHARED.token("alder-owner").await;
    let field = "x-ms-authorization-auxiliary";
    let with = |sent: Call, value: &str| sent.header(field, value);
    let target = || get(at("alder-prod", "/resourceGroups/rg-web-prod"));
    gate.refused(&mut forms, "a stranger with the target owner's token", with(target().bearer(&sound), &format!("Bearer {owner}")), "404")
        .await;
    let rival = SHARED.token("rival").await;
    let operator = SHARED.token("operator").await;
    gate.refused(&mut forms, "a rival with the provider's token", with(target().bearer(&rival), &format!("Bearer {operator}")), "404")
        .await;
    let reader = SHARED.token("reader").await;
    let writing = call("PUT", at("alder-prod", "/resourceGroups/rg-web-prod")).json(&json!({}));
    gate.refused(
        &mut forms,
        "a reader who writes, with the owner's token",
        with(writing.bearer(&reader), &format!("Bearer {owner}")),
        "403",
    )
    .await;
    gate.refused(
        &mut forms,
        "nothing but an auxiliary token",
        with(target(), &format!("Bearer {owner}")),
        "401 AuthenticationFailed token.missing",
    )
    .await;
    gate.refused(
        &mut forms,
        "a forged token with a sound auxiliary one",
        with(target().bearer("a.b.c"), &format!("Bearer {owner}")),
        "401",
    )
    .await;
    let marten = claiming(&json!({ "iss": format!("https://own.example/{MARTEN}/"), "tid": MARTEN }));
    let others = format!("Bearer {owner}, Bearer {rival}, Bearer {operator}");
    for (form, value) in [
        ("a sound one", format!("Bearer {marten}")),
        ("no token", "Bearer ".to_owned()),
        ("no JSON", "Bearer a.b.c".to_owned()),
        ("another scheme", "Basic YTpi".to_owned()),
        ("unsigned", format!("Bearer {}", headed(&json!({ "alg": "none" })))),
        ("signed by nobody", format!("Bearer {}", headed(&json!({ "kid": "other" })))),
        ("run out", format!("Bearer {}", claiming(&json!({ "exp": 1 })))),
        ("for somebody else", format!("Bearer {}", claiming(&json!({ "aud": "https://vault.azure.net" })))),
        ("of an unknown issuer", format!("Bearer {}", claiming(&json!({ "iss": "https://evil.example/" })))),
        ("of the same tenant", format!("Bearer {sound}")),
        ("the same twice", format!("Bearer {marten}, Bearer {marten}")),
        ("three", others.clone()),
        ("four", format!("{others}, Bearer {marten}")),
        ("a hundred", vec!["Bearer a.b.c"; 100].join(", ")),
        ("two, one of them bad", format!("Bearer {marten}, Bearer a.b.c")),
        ("with semicolons", format!("Bearer {marten}; Bearer {owner}")),
    ] {
        harmless(&gate, &mut forms, &format!("beside the caller's own right: {form}"), with(own().bearer(&sound), &value)).await;
    }
    let doubled = with(with(own().bearer(&sound), &format!("Bearer {marten}")), &format!("Bearer {owner}"));
    harmless(&gate, &mut forms, "beside the caller's own right: the field twice", doubled).await;
    let body = |name: &str| json!({ "properties": { "subnet": { "id": format!("{}/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s", SHARED.subscription(name)) } } });
    let nic = |name: &str| {
        call("PUT", at("alder-prod", "/resourceGroups/rg-web-prod/providers/Microsoft.Network/networkInterfaces/n"))
            .json(&body(name))
            .bearer(&operator)
    };
    harmless(&gate, &mut forms, "a linked scope with its owner's token", with(nic("lynx-main"), &format!("Bearer {sound}"))).await;
    for (form, name, token) in [
        ("a linked scope with a token of a tenant that has nothing there", "lynx-main", marten),
        ("a linked scope with the owner's token of another place", "bramble-lab", owner),
        ("a linked scope with its owner's token that ran out", "lynx-main", claiming(&json!({ "exp": 1 }))),
        ("a linked scope with its owner's token, unsigned", "lynx-main", headed(&json!({ "alg": "none" }))),
    ] {
        gate.refused(&mut forms, form, with(nic(name), &format!("Bearer {token}")), "4xx").await;
    }
    gate.front.drain().await;
    forms
}

/// Refused, or served without a token of the client's on its way.
async fn harmless(gate: &Gate, forms: &mut Forms, form: &str, sent: Call) {
    let values: Vec<String> = sent.headers.iter().filter(|(name, _)| name.contains("auth")).map(|(_, value)| value.clone()).collect();
    let tokens: Vec<&str> = values.iter().flat_map(|value| value.split([' ', ',', ';'])).filter(|word| word.contains('.')).collect();
    let before = gate.arrived();
    let answer = gate.client().send(sent).await;
    let log = gate.backend.log();
    let arrived = &log.arrived[before..];
    forms.saw(form, &answer.told(), &answer.status.as_u16().to_string());
    forms.holds(form, answer.status == 200 || answer.status.is_client_error(), "it is served or refused");
    forms.holds(form, arrived.len() == usize::from(answer.status == 200), "the backend receives what is served");
    let stays = arrived.iter().all(|request| !tokens.iter().any(|token| request.head.contains(token)));
    forms.holds(form, stays, "the tokens do not reach the backend");
}

async fn staleness() -> Forms {
    let mut forms = Forms::default();
    let (clock, folder) = (Clock::system(), empty_folder("t10"));
    let declared = policies(&folder.join("policies"));
    let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
    let front = Front::start_with(&folder, &format!("http://{}", backend.address), "", "", clock.clone(), &declared).await;
    let mut kept = Kept::open(&front.client).await;
    for identity in ["operator", "reader", "member", "alder-owner"] {
        let sent =
            get(if identity == "member" { at("bramble-core", "/resourceGroups/rg") } else { at("alder-prod", "/resourceGroups/rg") });
        let told = kept.told(sent.bearer(&SHARED.token(identity).await)).await;
        forms.saw(&format!("before: {identity}"), &told, "200");
    }
    changed_policies(&front, &mut kept, &mut forms, &declared).await;
    taken_back(&front, &mut kept, &mut forms).await;
    // The token is proven, kept and found again before it runs out.
    let token = claiming(&json!({ "exp": clock.now().as_second() + 120 }));
    for _ in 0..3 {
        let told = kept.told(own().bearer(&token)).await;
        forms.saw("a token that was proven before", &told, "200");
    }
    let [head, body, signature] = crate::mint::parts(&token);
    let bent = format!("{head}.{}A.{signature}", &body[..body.len() - 1]);
    forms.saw("a token that was proven before, one letter changed", &kept.told(own().bearer(&bent)).await, "401");
    clock.advance(Duration::from_secs(121));
    forms.saw("a token that was proven before, after its time", &kept.told(own().bearer(&token)).await, "401 ExpiredAuthenticationToken");
    replaced_keys(&front, &mut kept, &mut forms, &declared, &clock).await;
    front.drain().await;
    forms
}

/// An issuer that goes by another name is another one at once; a key that was replaced in its file counts until the file is read again.
async fn replaced_keys(front: &Front, kept: &mut Kept, forms: &mut Forms, declared: &Path, clock: &Clock) {
    let now = clock.now().as_second();
    let token = claiming(&json!({ "iat": now, "nbf": now, "exp": now + 7200 }));
    for _ in 0..3 {
        forms.saw("a token by a key that stands", &kept.told(own().bearer(&token)).await, "200");
    }
    let file = declared.join("more.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("https://own.example/{tenant}/", "https://renamed.example/{tenant}/")).unwrap();
    reload(front).await;
    forms.saw("an issuer that goes by another name", &kept.told(own().bearer(&token)).await, "401 InvalidAuthenticationToken token.issuer");
    std::fs::write(&file, text).unwrap();
    reload(front).await;
    forms.saw("an issuer that goes by another name, and back", &kept.told(own().bearer(&token)).await, "200");
    let other = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "own", "x": OTHER_KEY }] });
    std::fs::write(declared.join("own-keys.json"), other.to_string()).unwrap();
    clock.advance(Duration::from_mins(10));
    let told = eventually("the key file is read again", async || {
        let told = kept.told(own().bearer(&token)).await;
        (told.starts_with("401") && !told.contains("HTTP")).then_some(told)
    });
    forms.saw("a key that was replaced, after the next load", &told.await, "401 InvalidAuthenticationToken token.signature");
}

/// A public key whose other half nobody here has. Source: RFC 8037, appendix A.2.
const OTHER_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

async fn reload(front: &Front) {
    let answer = front.admin(call("POST", "/api/policies/reload")).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
}

/// Each change is followed by one request over each connection that was open before.
async fn changed_policies(front: &Front, kept: &mut Kept, forms: &mut Forms, declared: &Path) {
    let contributor = "[[delegation.authorization]]\nwho = \"operator\"\nrole = \"Contributor\"\n";
    let put = || call("PUT", at("alder-prod", "/resourceGroups/rg")).json(&json!({}));
    let read = || get(at("alder-prod", "/resourceGroups/rg"));
    let changes: [(&str, &str, &str, &str, &str, Call, &str); 6] = [
        (
            "a role that became smaller",
            "customers/alder.toml",
            contributor,
            "[[delegation.authorization]]\nwho = \"operator\"\nrole = \"Reader\"\n",
            "operator",
            put(),
            MISSING_ROLE,
        ),
        (
            "a role that was taken away",
            "customers/alder.toml",
            contributor,
            "",
            "operator",
            read(),
            "403 AuthorizationFailed role.principal",
        ),
        (
            "a role that ran out",
            "customers/alder.toml",
            contributor,
            "[[delegation.authorization]]\nwho = \"operator\"\nrole = \"Contributor\"\nuntil = 2025-01-01\n",
            "operator",
            read(),
            "403 AuthorizationFailed delegation.expired",
        ),
        (
            "a delegation that was suspended",
            "customers/alder.toml",
            "managing_tenant = \"ostra\"\n",
            "managing_tenant = \"ostra\"\nsuspended = true\n",
            "operator",
            read(),
            "403 AuthorizationFailed delegation.suspended",
        ),
        (
            "a group that lost a member whose token still names it",
            "providers/ostra.toml",
            "members = [\"sp:member\"]",
            "members = []",
            "member",
            get(at("bramble-core", "/resourceGroups/rg")),
            // What the token says of groups is the issuer's word, for as long as the token counts.
            "200",
        ),
        (
            "a caller's tenant that was suspended",
            "providers/ostra.toml",
            "domains = [\"ostra.example\"]\n",
            "domains = [\"ostra.example\"]\nsuspended = true\n",
            "operator",
            read(),
            "403 AuthorizationFailed tenant.suspended",
        ),
    ];
    for (form, file, before, after, identity, sent, expected) in changes {
        let path = declared.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = text.replacen(before, after, 1);
        assert_ne!(text, changed, "{form}");
        std::fs::write(&path, changed).unwrap();
        reload(front).await;
        let told = kept.told(sent.clone().bearer(&SHARED.token(identity).await)).await;
        forms.saw(form, &told, expected);
        std::fs::write(&path, text).unwrap();
        reload(front).await;
        let told = kept.told(sent.bearer(&SHARED.token(identity).await)).await;
        forms.saw(&format!("{form}, and given back"), &told, "200");
    }
}

/// A delegation that its customer made through the gateway, and removes.
async fn taken_back(front: &Front, kept: &mut Kept, forms: &mut Forms) {
    let id = "00000010-0000-4000-8000-000000000000";
    let path =
        |kind: &str| format!("{}/providers/Microsoft.ManagedServices/{kind}/{id}?api-version=2022-10-01", SHARED.subscription("alder-dev"));
    let world = &SHARED.demo.world;
    let roles =
        json!([{ "principalId": world.identities["operator"].object_id, "roleDefinitionId": "acdd72a7-3385-48ef-bd42-f606fba81ae7" }]);
    let offer = json!({ "properties": { "registrationDefinitionName": "x", "managedByTenantId": world.tenants["ostra"].id, "authorizations": roles } });
    let definition = path("registrationDefinitions");
    let bound = json!({ "properties": { "registrationDefinitionId": definition.split('?').next().unwrap() } });
    let owner = SHARED.token("alder-owner").await;
    let operator = SHARED.token("operator").await;
    let read = || get(at("alder-dev", "/resourceGroups/rg")).bearer(&operator);
    forms.saw("a subscription that is not delegated", &kept.told(read()).await, "403 AuthorizationFailed");
    for (target, body) in [(definition.clone(), &offer), (path("registrationAssignments"), &bound)] {
        let answer = front.client.send(call("PUT", target).json(body).bearer(&owner)).await;
        assert!(answer.status.is_success(), "{}", answer.told());
    }
    forms.saw("its customer delegates it", &kept.told(read()).await, "200");
    let answer = front.client.send(call("DELETE", path("registrationAssignments")).bearer(&owner)).await;
    assert!(answer.status.is_success(), "{}", answer.told());
    forms.saw("its customer takes it back", &kept.told(read()).await, "403 AuthorizationFailed");
}

async fn verbs() -> Forms {
    let (gate, mut forms) = (Gate::start("t12").await, Forms::default());
    let token = SHARED.token("reader").await;
    let group = "/resourceGroups/rg-web-prod";
    let account = format!("{group}/providers/Microsoft.Storage/storageAccounts/a");
    let machine = format!("{group}/providers/Microsoft.Compute/virtualMachines/web-02");
    for (method, tail) in [
        ("PUT", group.to_owned()),
        ("PATCH", group.to_owned()),
        ("DELETE", group.to_owned()),
        ("PUT", account.clone()),
        ("PATCH", account.clone()),
        ("DELETE", account.clone()),
        ("POST", account.clone()),
        ("POST", format!("{account}/listKeys")),
        ("POST", format!("{account}/LISTKEYS")),
        ("POST", format!("{account}/listkeys/")),
        ("POST", format!("{account}//listKeys")),
        ("POST", format!("{account}/list%4beys")),
        ("POST", format!("{account}/regenerateKey")),
        ("POST", format!("{account}/listAccountSas")),
        ("POST", format!("{machine}/start")),
        ("POST", format!("{machine}/runCommand")),
        ("POST", format!("{group}/providers/Microsoft.KeyVault/vaults/v/secrets/s")),
        ("POST", format!("{group}/providers/Microsoft.ContainerService/managedClusters/c/listClusterAdminCredential")),
        ("PUT", format!("{group}/providers/Microsoft.Authorization/locks/l")),
        ("DELETE", format!("{group}/providers/Microsoft.Authorization/locks/l")),
        ("PUT", format!("{account}/providers/Microsoft.Authorization/locks/l")),
        ("PUT", format!("{account}/providers/Microsoft.Insights/diagnosticSettings/d")),
        ("POST", "/providers/Microsoft.Compute/register".to_owned()),
        ("POST", format!("{group}/exportTemplate")),
    ] {
        let sent = call(method, at("alder-prod", &tail)).json(&json!({})).bearer(&token);
        gate.refused(&mut forms, &format!("a reader: {method} {tail}"), sent, "403 AuthorizationFailed").await;
    }
    let operator = SHARED.token("operator").await;
    let role = "/providers/Microsoft.Authorization/roleAssignments/99999999-9999-4999-8999-999999999999";
    let grant = json!({ "properties": { "principalId": claims_of("operator")["oid"], "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635" } });
    for (form, sent) in [
        ("a contributor makes himself an owner", call("PUT", at("alder-prod", role)).json(&grant)),
        ("a contributor removes an assignment", call("DELETE", at("alder-prod", role))),
        (
            "a contributor writes a role",
            call("PUT", at("alder-prod", "/providers/Microsoft.Authorization/roleDefinitions/99999999-9999-4999-8999-999999999999"))
                .json(&json!({})),
        ),
        (
            "a contributor writes a deny assignment",
            call("PUT", at("alder-prod", "/providers/Microsoft.Authorization/denyAssignments/99999999-9999-4999-8999-999999999999"))
                .json(&json!({})),
        ),
        ("a contributor writes a lock", call("PUT", at("alder-prod", "/providers/Microsoft.Authorization/locks/l")).json(&json!({}))),
        (
            "a contributor delegates on",
            call(
                "PUT",
                at("alder-prod", "/providers/Microsoft.ManagedServices/registrationAssignments/99999999-9999-4999-8999-999999999999"),
            )
            .json(&json!({})),
        ),
        ("a contributor raises himself", call("POST", format!("/providers/Microsoft.Authorization/elevateAccess?{V}"))),
    ] {
        gate.refused(&mut forms, form, sent.bearer(&operator), "4xx").await;
    }
    for method in [
        "MERGE", "MOVE", "COPY", "LOCK", "UNLOCK", "PROPFIND", "SEARCH", "LINK", "PURGE", "QUERY", "TRACE", "OPTIONS", "HACK", "get",
        "post", "pAtCh", "GETPUT",
    ] {
        let text = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {operator}\r\nConnection: close\r\n\r\n",
            at("alder-prod", group),
            gate.client().authority()
        );
        gate.refused_raw(&mut forms, &format!("a contributor: method {method}"), text.as_bytes(), METHOD).await;
    }
    overrides(&gate, &mut forms, &token, &at("alder-prod", group)).await;
    gate.front.drain().await;
    forms
}

async fn overrides(gate: &Gate, forms: &mut Forms, token: &str, target: &str) {
    let headers = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-method",
        "method",
        "_method",
        "x-original-method",
        "x-forwarded-method",
        "x-rewrite-method",
        "x-ms-method",
        "x-ms-request-method",
        "http-method-override",
    ];
    for name in headers {
        for method in ["DELETE", "PUT"] {
            let so = ("the backend receives a GET without it", |request: &Arrived| {
                request.head.starts_with("GET ") && !request.head.to_lowercase().contains(&format!("\n{name}:"))
            });
            let sent = get(target).header(name, method).bearer(token);
            gate.served_so(forms, &format!("a reader: GET with {name}: {method}"), sent, so).await;
        }
        let sent = call("POST", target).header(name, "GET").bearer(token);
        gate.refused(forms, &format!("a reader: POST with {name}: GET"), sent, "403").await;
    }
    for query in
        ["_method=DELETE", "$method=DELETE", "x-http-method-override=PUT", "x-http-method=PUT", "httpMethod=DELETE", "method=DELETE"]
    {
        let before = gate.arrived();
        let answer = gate.client().send(get(format!("{target}&{query}")).bearer(token)).await;
        let log = gate.backend.log();
        let is_read = log.arrived[before..].iter().all(|request| request.head.starts_with("GET "));
        forms.saw(&format!("a reader: GET with the query {query}"), &answer.told(), &answer.status.as_u16().to_string());
        forms.holds(query, is_read, "the backend receives a GET or nothing");
    }
    let body = get(target).json(&json!({ "location": "x" })).bearer(token);
    let so = ("the body does not reach the backend", |request: &Arrived| request.length == 0);
    gate.served_so(forms, "a reader: GET with a body", body, so).await;
}

const LINKED: &str = "403 LinkedAuthorizationFailed scope.linked";

#[expect(clippy::too_many_lines, reason = "a table of forms")]
async fn linked() -> Forms {
    let (gate, mut forms) = (Gate::start("t23").await, Forms::default());
    let operator = SHARED.token("operator").await;
    let nic = || call("PUT", at("alder-prod", "/resourceGroups/rg-web-prod/providers/Microsoft.Network/networkInterfaces/n"));
    let own =
        format!("{}/resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks/v/subnets/s", SHARED.subscription("alder-prod"));
    let sound = json!({ "properties": { "ipConfigurations": [{ "properties": { "subnet": { "id": own } } }] } });
    gate.served(&mut forms, "an id where the caller may join", nic().json(&sound).bearer(&operator)).await;
    let unknown = "/subscriptions/99999999-9999-4999-8999-999999999999".to_owned();
    for (whose, elsewhere) in [
        ("of another provider's customer", SHARED.subscription("lynx-main")),
        ("of a customer's subscription that is not delegated", SHARED.subscription("alder-dev")),
        ("of a customer where the caller only reads one group", SHARED.subscription("granite-main")),
        ("that does not exist", unknown),
    ] {
        let body = json!({ "properties": { "subnet": { "id": own.replace(&SHARED.subscription("alder-prod"), &elsewhere) } } });
        for method in ["PUT", "PATCH", "POST"] {
            let sent = Call { method: method.parse().unwrap(), ..nic() };
            let sent = if method == "POST" {
                Call { target: sent.target.replace("networkInterfaces/n", "networkInterfaces/n/x"), ..sent }
            } else {
                sent
            };
            gate.refused(&mut forms, &format!("{method} with an id {whose}"), sent.json(&body).bearer(&operator), LINKED).await;
        }
    }
    let foreign = SHARED.subscription("lynx-main");
    for (form, path) in [
        ("with dots", format!("/subscriptions/./{}/x/..", foreign.trim_start_matches("/subscriptions/"))),
        ("behind an own one with dots", format!("{}/../..{foreign}", SHARED.subscription("alder-prod"))),
    ] {
        let sent = nic().json(&json!({ "id": path })).bearer(&operator);
        gate.refused(&mut forms, form, sent, "400 InvalidRequestContent").await;
    }
    for (form, body) in disguises(&foreign) {
        gate.refused(&mut forms, &form, nic().json(&body).bearer(&operator), LINKED).await;
    }
    let id = foreign.trim_start_matches("/subscriptions/").to_owned();
    for (form, text, kind, expected) in [
        ("letters as escapes", format!(r#"{{"id":"\u002fsubscr\u0069ptions/{id}"}}"#), "application/json", LINKED),
        ("a slash as escape", format!(r#"{{"id":"\/subscriptions\/{id}"}}"#), "application/json", LINKED),
        ("a member twice, the foreign one first", format!(r#"{{"id":"{foreign}","id":"{own}"}}"#), "application/json", "4xx"),
        ("a member twice, the foreign one last", format!(r#"{{"id":"{own}","id":"{foreign}"}}"#), "application/json", "4xx"),
        ("a member twice, once in escapes", format!(r#"{{"id":"{own}","\u0069d":"{foreign}"}}"#), "application/json", "4xx"),
        ("a member twice, in another case", format!(r#"{{"id":"{own}","ID":"{foreign}"}}"#), "application/json", "4xx"),
        ("in a pair, the value first", format!(r#"[{{"value":"{id}","name":"subscriptionId"}}]"#), "application/json", LINKED),
        ("two documents", format!(r#"{{}}{{"id":"{foreign}"}}"#), "application/json", "400 InvalidRequestContent"),
        ("a comment", format!(r#"{{/*"{own}"*/"id":"{foreign}"}}"#), "application/json", "400 InvalidRequestContent"),
        ("a byte order mark", format!("\u{feff}{{\"id\":\"{foreign}\"}}"), "application/json", "400 InvalidRequestContent"),
        ("a list that does not end", format!(r#"["{foreign}""#), "application/json", "400 InvalidRequestContent"),
        (
            "70 objects inside each other",
            format!("{}\"{foreign}\"{}", r#"{"a":"#.repeat(70), "}".repeat(70)),
            "application/json",
            "400 InvalidRequestContent",
        ),
        ("another charset by name", format!(r#"{{"id":"{foreign}"}}"#), "application/json; charset=utf-16", "415 UnsupportedMediaType"),
        ("two charsets", format!(r#"{{"id":"{foreign}"}}"#), "application/json; charset=utf-8; charset=utf-7", "415 UnsupportedMediaType"),
        ("text", format!(r#"{{"id":"{foreign}"}}"#), "text/plain", "415 UnsupportedMediaType"),
        ("XML", format!("<id>{foreign}</id>"), "application/xml", "415 UnsupportedMediaType"),
        ("a form", format!("id={foreign}"), "application/x-www-form-urlencoded", "415 UnsupportedMediaType"),
        ("several parts", format!("--x\r\n\r\n{foreign}\r\n--x--"), "multipart/mixed; boundary=x", "415 UnsupportedMediaType"),
        ("YAML", format!("id: {foreign}"), "application/yaml", "415 UnsupportedMediaType"),
        ("JSON said to be bytes", format!(r#"{{"id":"{foreign}"}}"#), "application/octet-stream", "415 UnsupportedMediaType"),
        (
            "JSON said to be bytes, behind blanks",
            format!("  \t\n{{\"id\":\"{foreign}\"}}"),
            "application/octet-stream",
            "415 UnsupportedMediaType",
        ),
        ("a media type that is none", format!(r#"{{"id":"{foreign}"}}"#), "json", "415 UnsupportedMediaType"),
        ("an empty media type", format!(r#"{{"id":"{foreign}"}}"#), "", "4xx"),
        ("merge patch", format!(r#"{{"id":"{foreign}"}}"#), "application/merge-patch+json", LINKED),
    ] {
        let sent = Call { body: text.into(), ..nic() }.header("content-type", kind).bearer(&operator);
        unfinished(&gate, &mut forms, form, sent, expected).await;
    }
    for coding in ["gzip", "deflate", "br", "identity, gzip", "x-unknown"] {
        let sent = nic().json(&json!({ "id": foreign })).header("content-encoding", coding).bearer(&operator);
        gate.refused(&mut forms, &format!("coded as {coding}"), sent, "415 UnsupportedMediaType").await;
    }
    let utf16: Vec<u8> = format!(r#"{{"id":"{foreign}"}}"#).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let sent = Call { body: utf16.into(), ..nic() }.header("content-type", "application/json").bearer(&operator);
    gate.refused(&mut forms, "UTF-16", sent, "400 InvalidRequestContent").await;
    queries(&gate, &mut forms, &operator, &foreign).await;
    gate.front.drain().await;
    forms
}

/// A body that is found out on its way: the backend may have seen its beginning, and never has all of it.
async fn unfinished(gate: &Gate, forms: &mut Forms, form: &str, sent: Call, expected: &str) {
    let before = gate.arrived();
    let answer = gate.client().send(sent).await;
    let status = answer.status.as_u16().to_string();
    forms.saw(form, &answer.told(), if expected == "4xx" { &status } else { expected });
    forms.holds(form, answer.status.is_client_error(), "it is refused");
    forms.holds(form, gate.backend.log().arrived[before..].iter().all(|request| !request.whole), "the backend never has all of it");
}

fn disguises(foreign: &str) -> Vec<(String, Value)> {
    let id = foreign.trim_start_matches("/subscriptions/");
    let group = format!("{foreign}/resourceGroups/g");
    let identity = format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i");
    [
        (
            "an identity as the name of a member",
            json!({ "identity": { "type": "UserAssigned", "userAssignedIdentities": { identity: {} } } }),
        ),
        ("in capitals", json!({ "id": group.to_uppercase() })),
        ("in small letters", json!({ "id": group.to_lowercase() })),
        ("in an address", json!({ "id": format!("https://management.azure.com{group}?x=1") })),
        ("in an address of elsewhere", json!({ "id": format!("https://evil.example/x{group}") })),
        ("encoded", json!({ "id": format!("%2Fsubscriptions%2F{id}") })),
        ("encoded twice", json!({ "id": format!("%252Fsubscriptions%252F{id}") })),
        ("encoded letters", json!({ "id": format!("/%73ubscriptions/{id}") })),
        ("with doubled slashes", json!({ "id": format!("//subscriptions//{id}") })),
        ("with backslashes", json!({ "id": format!("\\subscriptions\\{id}") })),
        ("with character references", json!({ "id": format!("&#47;subscriptions&sol;{id}") })),
        ("with a dot behind the word", json!({ "id": format!("/subscriptions./{id}") })),
        ("with a blank behind the word", json!({ "id": format!("/subscriptions%20/{id}") })),
        ("with a variation selector", json!({ "id": format!("/subscr\u{fe0f}iptions/{id}") })),
        ("with a tag in the id", json!({ "id": format!("/subscriptions/{}\u{e0061}{}", &id[..9], &id[9..]) })),
        ("with a mathematical letter", json!({ "id": format!("/\u{1d42c}ubscriptions/{id}") })),
        ("without the first slash", json!({ "id": format!("subscriptions/{id}/resourceGroups/g") })),
        ("with blanks around", json!({ "id": format!("  {group}  ") })),
        ("within a sentence", json!({ "tags": { "note": format!("copied from {group}, see there") } })),
        ("the second of two in a text", json!({ "x": format!("{} {group}", SHARED.subscription("alder-prod")) })),
        ("as subscriptionId", json!({ "properties": { "subscriptionId": id } })),
        ("as subscription", json!({ "properties": { "linkedSubscription": id } })),
        ("in a list of lists", json!({ "a": [[[[group]]]] })),
        ("63 levels deep", (0..60).fold(json!(group), |inner, _| json!({ "a": inner }))),
        ("as the default of subscriptionId", json!({ "subscriptionId": { "type": "string", "defaultValue": id } })),
        ("below subscription", json!({ "subscription": { "properties": { "id": id } } })),
        ("as a guid of subscription", json!({ "subscription": { "guid": id } })),
        ("as a uuid of subscriptions", json!({ "subscriptions": [{ "uuid": id }] })),
        ("in a pair of name and value", json!([{ "name": "subscriptionId", "value": id }])),
        ("in a pair of key and value", json!([{ "key": "AZURE_SUBSCRIPTION_ID", "value": id }])),
        ("in a connection string", json!({ "a": format!("SubscriptionId={id};ResourceGroup=rg") })),
        ("in a filter", json!({ "a": format!("subscriptionId eq '{id}'") })),
        ("as subscriptionId in a text that is JSON", json!({ "a": json!({ "subscriptionId": id }).to_string() })),
        ("in a pair in a text that is JSON", json!({ "a": json!({ "key": "subscriptionId", "value": id }).to_string() })),
        ("as the key of an entity", json!({ "id": format!("/subscriptions('{id}')/resourceGroups('g')") })),
        ("as the key of an entity, without quotes", json!({ "id": format!("/subscriptions({id})/resourceGroups/g") })),
        ("in a text that is JSON", json!({ "content": json!({ "id": group }).to_string() })),
        ("in a template's expression", json!({ "template": format!("[concat('{foreign}', '/resourceGroups/g')]") })),
        ("as the scope of an action group", json!({ "properties": { "scopes": [group] } })),
        (
            "as workspace of diagnostics",
            json!({ "properties": { "workspaceId": format!("{group}/providers/Microsoft.OperationalInsights/workspaces/w") } }),
        ),
        (
            "as storage of diagnostics",
            json!({ "properties": { "storageAccountId": format!("{group}/providers/Microsoft.Storage/storageAccounts/s") } }),
        ),
        (
            "as source of a copy",
            json!({ "properties": { "creationData": { "sourceResourceId": format!("{group}/providers/Microsoft.Compute/disks/d") } } }),
        ),
        ("as managedBy", json!({ "managedBy": group })),
        ("a management group", json!({ "group": "/providers/Microsoft.Management/managementGroups/theirs" })),
    ]
    .map(|(form, body)| (form.to_owned(), body))
    .to_vec()
}

async fn queries(gate: &Gate, forms: &mut Forms, operator: &str, foreign: &str) {
    let id = foreign.trim_start_matches("/subscriptions/");
    for (form, query) in [
        ("in a filter", format!("$filter=resourceId%20eq%20'{foreign}'")),
        ("in a filter, encoded", format!("$filter=resourceId%20eq%20'{}'", foreign.replace('/', "%2F"))),
        ("in a filter, encoded twice", format!("$filter=resourceId%20eq%20'{}'", foreign.replace('/', "%252f"))),
        ("as the name of a parameter", format!("{foreign}=1")),
        ("as scope", format!("scope={foreign}/resourceGroups/g")),
        ("as subscriptionId", format!("subscriptionId={id}")),
        ("as subscriptions", format!("subscriptions={id},{id}")),
        ("in capitals", format!("x={}", foreign.to_uppercase())),
        ("behind a plus", format!("x=a+{foreign}")),
    ] {
        let sent = get(format!("{}&{query}", at("alder-prod", "/resourceGroups/rg-web-prod"))).bearer(operator);
        gate.refused(forms, &format!("query: {form}"), sent, "4xx").await;
    }
}

async fn batches() -> Forms {
    let (gate, mut forms) = (Gate::start("t24").await, Forms::default());
    let operator = SHARED.token("operator").await;
    let foreign = at("lynx-main", "/resourceGroups/rg");
    let own = at("alder-prod", "/resourceGroups/rg-web-prod");
    let part = |method: &str, url: &str| json!({ "httpMethod": method, "name": "1", "url": url });
    let with_headers =
        |headers: Value| json!({ "httpMethod": "GET", "name": "1", "url": foreign, "headers": headers, "requestHeaderDetails": headers });
    let sound = signer::signed(&signer::claims());
    let host = gate.client().authority().to_owned();
    let bodies = [
        ("a foreign part", vec![part("GET", &foreign)]),
        ("a foreign part behind an own one", vec![part("GET", &own), part("GET", &foreign)]),
        ("a foreign part with its own address", vec![part("GET", &format!("https://{host}{foreign}"))]),
        ("a part at a third host", vec![part("GET", "https://evil.example/x")]),
        ("a part at a data plane", vec![part("GET", "https://acct.blob.core.windows.net/c/b")]),
        ("a part on the metadata service", vec![part("GET", "http://169.254.169.254/metadata/identity/oauth2/token")]),
        ("a part without a path", vec![part("GET", "")]),
        ("a part of dots", vec![part("GET", &own.replace("/resourceGroups", "/../../subscriptions/x/resourceGroups"))]),
        ("a batch in a batch", vec![part("POST", &format!("/batch?{V}"))]),
        ("a part with its own token", vec![with_headers(json!({ "Authorization": format!("Bearer {sound}") }))]),
        ("a part with its own caller", vec![with_headers(json!({ "x-ms-client-object-id": claims_of("alder-owner")["oid"] }))]),
        ("a part with its own host", vec![with_headers(json!({ "Host": "evil.example" }))]),
        ("a part with another method", vec![with_headers(json!({ "x-http-method-override": "DELETE" }))]),
        ("a part with an unknown method", vec![part("TRACE", &foreign)]),
        (
            "a part that makes an owner",
            vec![part("PUT", &at("alder-prod", "/providers/Microsoft.Authorization/roleAssignments/99999999-9999-4999-8999-999999999999"))],
        ),
        ("a part on an undelegated subscription", vec![part("DELETE", &at("alder-dev", "/resourceGroups/rg"))]),
        ("500 foreign parts", vec![part("GET", &foreign); 500]),
    ];
    for (form, parts) in bodies {
        let body = json!({ "requests": parts });
        let owns = form == "a foreign part behind an own one";
        batch(&gate, &mut forms, form, call("POST", format!("/batch?{V}")).json(&body).bearer(&operator), owns).await;
    }
    let body = json!({ "requests": [part("GET", &foreign)] });
    for path in [
        "/Batch",
        "/BATCH/",
        "//batch",
        "/%62atch",
        "/$batch",
        "/%24batch",
        "/batch/x",
        "/subscriptions/ID/batch",
        "/subscriptions/ID/resourceGroups/rg-web-prod/batch",
        "/providers/Microsoft.Resources/batch",
        "/providers/Microsoft.ResourceGraph/resources",
        "/subscriptions/ID/providers/Microsoft.Resources/batch",
    ] {
        let path = path.replace("/subscriptions/ID", &SHARED.subscription("alder-prod"));
        let form = path.replace(&SHARED.subscription("alder-prod"), "{own}");
        batch(&gate, &mut forms, &format!("at {form}"), call("POST", format!("{path}?{V}")).json(&body).bearer(&operator), false).await;
    }
    for (form, text, kind) in [
        (
            "several parts of HTTP",
            format!("--b\r\nContent-Type: application/http\r\n\r\nGET {foreign} HTTP/1.1\r\n\r\n\r\n--b--\r\n"),
            "multipart/mixed; boundary=b",
        ),
        ("requests twice", format!(r#"{{"requests":[],"requests":[{{"httpMethod":"GET","url":"{foreign}"}}]}}"#), "application/json"),
        ("no list", format!(r#"{{"requests":{{"httpMethod":"GET","url":"{foreign}"}}}}"#), "application/json"),
        ("no JSON", foreign.clone(), "application/json"),
    ] {
        let sent = Call { body: text.into(), ..call("POST", format!("/batch?{V}")) }.header("content-type", kind);
        batch(&gate, &mut forms, form, sent.bearer(&operator), false).await;
    }
    gate.front.drain().await;
    forms
}

/// Refused as a whole, or by parts; of what arrives nothing is another's.
async fn batch(gate: &Gate, forms: &mut Forms, form: &str, sent: Call, has_own_part: bool) {
    let before = gate.arrived();
    let answer = gate.client().send(sent).await;
    let log = gate.backend.log();
    let arrived = &log.arrived[before..];
    forms.saw(form, &by_parts(&answer), &answer.status.as_u16().to_string());
    let own = SHARED.subscription("alder-prod");
    forms.holds(form, arrived.len() <= usize::from(has_own_part), "no part of another's arrives");
    forms.holds(form, arrived.iter().all(|request| request.head.contains(&own)), "what arrives is the caller's own");
    forms.holds(form, answer.status.is_client_error() || answer.json()["responses"].is_array(), "it is refused, as a whole or by parts");
}

/// What was told, and what of each part.
fn by_parts(answer: &Answer) -> String {
    let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    let Some(parts) = body["responses"].as_array() else { return answer.told() };
    let mut told: Vec<String> = parts
        .iter()
        .map(|part| format!("{} {}", part["httpStatusCode"], part["content"]["error"]["code"].as_str().unwrap_or_default()))
        .collect();
    told.dedup();
    format!("{}; parts: {}", answer.told(), told.join(", "))
}

async fn lists() -> Forms {
    let (gate, mut forms) = (Gate::start("t25").await, Forms::default());
    // What the gateway answers itself.
    let lynx = signer::signed(&signer::claims());
    let hidden = ["alder", "bramble", "granite", "cedar", "ostra", "a1de4000", "94a41700"];
    for target in ["/subscriptions", "/tenants", "/subscriptions/", "//subscriptions", "/Subscriptions"] {
        let answer = gate.client().send(get(format!("{target}?{V}")).bearer(&lynx)).await;
        let text = String::from_utf8_lossy(&answer.body).to_lowercase();
        forms.saw(&format!("a stranger's {target}"), &format!("{}; his own only", answer.told()), "200");
        forms.holds(
            target,
            text.contains(&LYNX[..8]) && !hidden.iter().any(|word| text.contains(word)),
            "nothing of another tenant is in it",
        );
    }
    let query = format!("/subscriptions?{V}&$filter=tenantId%20eq%20'x'&$top=1000&$expand=all&$skiptoken=1");
    let answer = gate.client().send(get(query).bearer(&lynx)).await;
    let text = String::from_utf8_lossy(&answer.body).to_lowercase();
    forms.saw("a stranger's /subscriptions with filters", &answer.told(), &answer.status.as_u16().to_string());
    forms.holds("filters", !hidden.iter().any(|word| text.contains(word)), "nothing of another tenant is in it");
    cut_lists(&gate, &mut forms).await;
    for (form, target) in [
        ("a graph query without subscriptions", format!("/providers/Microsoft.ResourceGraph/resources?{V}")),
        ("a graph query in other letters", format!("/PROVIDERS/microsoft.resourcegraph/RESOURCES?{V}")),
        ("a change query", format!("/providers/Microsoft.ResourceGraph/resourceChanges?{V}")),
        ("resources of all subscriptions", format!("/resources?{V}")),
        ("entities", format!("/providers/Microsoft.Management/getEntities?{V}")),
        ("costs of another's", at("lynx-main", "/providers/Microsoft.CostManagement/query")),
    ] {
        let sent = call("POST", target).json(&json!({ "query": "resources", "subscriptions": [] })).bearer(&SHARED.token("reader").await);
        gate.refused(&mut forms, form, sent, "4xx").await;
    }
    for (form, target) in [
        ("management groups", format!("/providers/Microsoft.Management/managementGroups?{V}")),
        ("a management group of another tenant", format!("/providers/Microsoft.Management/managementGroups/holly-root?{V}")),
        ("its descendants", format!("/providers/Microsoft.Management/managementGroups/holly-root/descendants?{V}")),
        ("operations of all", format!("/providers/Microsoft.Compute/operations/1?{V}")),
        ("deployments of the tenant", format!("/providers/Microsoft.Resources/deployments?{V}")),
    ] {
        gate.refused(&mut forms, form, get(target).bearer(&SHARED.token("reader").await), "4xx").await;
    }
    operations(&gate, &mut forms).await;
    gate.front.drain().await;
    forms
}

/// The backend answers with things of a neighbour's: who may see one group sees none of them.
async fn cut_lists(gate: &Gate, forms: &mut Forms) {
    let granite = SHARED.subscription("granite-main");
    let item = |path: &str| json!({ "id": format!("{granite}{path}"), "name": path });
    let odd = |id: Value| json!({ "id": id, "name": "secret" });
    let value = json!([
        item("/resourceGroups/rg-backup"),
        item("/resourceGroups/secret"),
        item("/resourceGroups/rg-backup-secret"),
        item("/resourceGroups/rg-backup/../secret"),
        item("/resourceGroups/rg-backup%2f..%2fsecret"),
        odd(json!(null)),
        odd(json!(1)),
        odd(json!("")),
        json!({ "name": "secret" }),
        json!("secret"),
        json!(["secret"]),
        odd(json!(at("lynx-main", ""))),
    ]);
    let body =
        json!({ "value": value, "count": 12, "facets": ["secret"], "nextLink": "https://evil.example/secret", "@odata.nextLink": null });
    let token = SHARED.token("reader").await;
    let sent =
        || get(at("granite-main", "/resourceGroups")).header("accept-encoding", "gzip, br").header("accept", "text/csv").bearer(&token);
    let plain = |kind: &str, status: &str, body: &str| {
        Act::Answer(format!("HTTP/1.1 {status}\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    };
    let json_kind = "Content-Type: application/json\r\n";
    for (form, act, expected) in [
        ("a list with things of neighbours", plain(json_kind, "200 OK", &body.to_string()), "200"),
        ("a list as text", plain("Content-Type: text/plain\r\n", "200 OK", &body.to_string()), "502 BadGateway upstream.invalid"),
        ("a list of no type", plain("", "200 OK", &body.to_string()), "200"),
        (
            "a list said to be compressed",
            plain(&format!("{json_kind}Content-Encoding: gzip\r\n"), "200 OK", &body.to_string()),
            "502 BadGateway upstream.invalid",
        ),
        ("a bare list", plain(json_kind, "200 OK", "[\"secret\"]"), "502 BadGateway upstream.invalid"),
        ("a list in another member", plain(json_kind, "200 OK", r#"{"items":["secret"]}"#), "502 BadGateway upstream.invalid"),
        ("a value that is no list", plain(json_kind, "200 OK", r#"{"value":{"secret":1}}"#), "502 BadGateway upstream.invalid"),
        ("half a list", plain(json_kind, "200 OK", r#"{"value":["secret""#), "502 BadGateway upstream.invalid"),
        ("a list twice", plain(json_kind, "200 OK", r#"{"value":["secret"],"value":[]}"#), "502 BadGateway upstream.invalid"),
        ("an empty answer", plain(json_kind, "200 OK", ""), "200"),
        ("a list with status 203", plain(json_kind, "203 X", &body.to_string()), "502 BadGateway upstream.invalid"),
        ("a list with status 206", plain(json_kind, "206 X", &body.to_string()), "502 BadGateway upstream.invalid"),
    ] {
        gate.next.send_replace(act);
        let answer = gate.client().send(sent()).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        forms.saw(&format!("one group of a subscription: {form}"), &answer.told(), expected);
        forms.holds(form, !text.contains("secret") && !text.contains("count"), "nothing of a neighbour is in it");
    }
    let log = gate.backend.log();
    let asked = log.arrived.iter().all(|request| request.head.contains("accept-encoding: identity\r\n"));
    forms.holds("all of these", asked, "the backend is asked for plain text");
    gate.next.send_replace(Act::Answer(json_answer("200 OK", "{}")));
}

/// An operation that the operator began, asked for by others.
async fn operations(gate: &Gate, forms: &mut Forms) {
    let path = format!("{}/providers/Microsoft.Compute/locations/westeurope/operations/77", SHARED.subscription("alder-prod"));
    let link = format!("http://{}{path}?{V}", gate.backend.address);
    gate.next.send_replace(Act::Answer(
        format!("HTTP/1.1 202 Accepted\r\nAzure-AsyncOperation: {link}\r\nContent-Length: 0\r\n\r\n").into_bytes(),
    ));
    let begun = call("PUT", at("alder-prod", "/resourceGroups/rg-web-prod/providers/Microsoft.Compute/disks/d")).json(&json!({}));
    let answer = gate.front.ask("operator", begun).await;
    forms.saw("an operation begins", &answer.told(), "202");
    gate.next.send_replace(Act::Answer(json_answer("200 OK", "{}")));
    for (form, identity, expected) in [
        ("the customer's owner asks for it", "alder-owner", "404 ResourceNotFound"),
        ("a rival asks for it", "rival", NOT_FOUND),
        ("a colleague without a role asks for it", "nobody", "403 AuthorizationFailed role.principal"),
    ] {
        for method in ["GET", "HEAD"] {
            let before = gate.arrived();
            let answer = gate.front.ask(identity, call(method, format!("{path}?{V}"))).await;
            let expected = if method == "HEAD" { &expected[..3] } else { expected };
            forms.saw(&format!("{form}: {method}"), &answer.told(), expected);
            forms.holds(form, gate.arrived() == before, "the backend receives nothing");
        }
    }
    let spelled = path.to_uppercase().replace("WESTEUROPE", "westeurope");
    gate.refused(
        forms,
        "the customer's owner asks for it in capitals",
        get(format!("{spelled}?{V}")).bearer(&SHARED.token("alder-owner").await),
        "404",
    )
    .await;
    let answer = gate.front.ask("operator", get(format!("{path}?{V}"))).await;
    forms.saw("its starter asks for it", &answer.told(), "200");
}
