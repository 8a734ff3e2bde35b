//! What is asked for, of whom, and in whose name: odd requests, foreign authorities, headers that pass for the gateway's.

use crate::common::backend::Arrived;
use crate::common::client::{Answer, Call, call, get};
use crate::common::installation::SHARED;
use crate::gate::Gate;
use crate::table::{Forms, threats};

threats! {
    t13_a_request_of_an_odd_shape_goes_nowhere = shapes,
        "targets that are no path, unknown methods, `api-version` absent, doubled or bent, ids that are none",
        "refused before a scope is looked for";
    t15_a_stranger_cannot_tell_what_exists_from_what_does_not = existence,
        "the same question about a scope that is not delegated and about one that does not exist",
        "status, headers and text are the same but for the id that was asked for";
    t16_only_the_gateways_own_authority_is_served = authorities,
        "hosts of data planes, look-alikes, ports, users, lists, absolute targets, server names, `Host` doubled or absent",
        "one `Host`, which is one of a closed list and agrees with target and server name";
    t17_no_header_of_a_client_passes_for_one_of_the_gateway = identity_headers,
        "headers that name a caller, in every spelling, doubled, folded, as trailers, removed through `Connection`",
        "what the backend is told about the caller is what the gateway says, once; anything else of the kind does not arrive";
}

const V: &str = "api-version=2024-07-01";

fn target() -> String {
    format!("{}/resourceGroups/rg-web-prod?{V}", SHARED.subscription("alder-prod"))
}

async fn reader(sent: Call) -> Call {
    sent.bearer(&SHARED.token("reader").await)
}

/// A head with these lines, the reader's token and the end of the connection.
async fn head(gate: &Gate, request_line: &str, lines: &str) -> String {
    let token = SHARED.token("operator").await;
    format!("{request_line}\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{lines}\r\n", gate.client().authority())
}

async fn shapes() -> Forms {
    let (gate, mut forms) = (Gate::start("t13").await, Forms::default());
    gate.served(&mut forms, "a sound request", reader(get(target())).await).await;
    let path = target();
    for (form, line, expected) in [
        ("OPTIONS *", "OPTIONS * HTTP/1.1".to_owned(), "405 HttpMethodNotAllowed"),
        ("GET *", "GET * HTTP/1.1".to_owned(), "400"),
        ("CONNECT of a host", "CONNECT acct.blob.core.windows.net:443 HTTP/1.1".to_owned(), "405 HttpMethodNotAllowed"),
        ("CONNECT of ourselves", format!("CONNECT {} HTTP/1.1", gate.client().authority()), "405 HttpMethodNotAllowed"),
        ("CONNECT of a path", format!("CONNECT {path} HTTP/1.1"), "405"),
        ("a target without a slash", format!("GET {} HTTP/1.1", &path[1..]), "400"),
        ("a target with a blank", "GET /subscriptions /x HTTP/1.1".to_owned(), "400"),
        ("no target", "GET  HTTP/1.1".to_owned(), "400"),
        ("no version", format!("GET {path}"), "400"),
        ("HTTP/0.9", format!("GET {path} HTTP/0.9"), "400"),
        ("HTTP/3.0", format!("GET {path} HTTP/3.0"), "400"),
        ("another scheme", format!("GET ftp://{}{path} HTTP/1.1", gate.client().authority()), "400"),
    ] {
        let text = head(&gate, &line, "").await;
        gate.refused_raw(&mut forms, form, text.as_bytes(), expected).await;
    }
    for method in [
        "TRACE",
        "TRACK",
        "DEBUG",
        "OPTIONS",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "MERGE",
        "SEARCH",
        "LINK",
        "UNLINK",
        "PURGE",
        "QUERY",
        "REPORT",
        "ACL",
        "BIND",
        "PRI",
        "get",
        "Put",
        "GETX",
        "G",
        "X-GET",
    ] {
        let text = head(&gate, &format!("{method} {path} HTTP/1.1"), "").await;
        gate.refused_raw(&mut forms, &format!("method {method}"), text.as_bytes(), "405 HttpMethodNotAllowed").await;
    }
    for (form, method) in [
        ("a blank before the method", " GET"),
        ("a method in brackets", "(GET)"),
        ("a method with a NUL", "GE\0T"),
        ("a method of 5,000 letters", ""),
    ] {
        let method = if method.is_empty() { "A".repeat(5_000) } else { method.to_owned() };
        let text = head(&gate, &format!("{method} {path} HTTP/1.1"), "").await;
        gate.refused_raw(&mut forms, form, text.as_bytes(), "4xx").await;
    }
    queries(&gate, &mut forms).await;
    gate.front.drain().await;
    forms
}

async fn queries(gate: &Gate, forms: &mut Forms) {
    let path = target().split('?').next().unwrap().to_owned();
    for query in [
        "",
        "?",
        "?api-version",
        "?api-version=",
        "?api-version=latest",
        "?api-version=2024-07-01x",
        "?api-version=2024-13-01",
        "?api-version=20240701",
        "?api-version=2024-07-01,2015-01-01",
        "?api-version=2024-07-01%00",
        "?api-version=%202024-07-01",
        "?api-version=2024-07-01&api-version=2024-07-01",
        "?api-version=2024-07-01&api-version=2015-01-01",
        "?api-version=2024-07-01&API-VERSION=2015-01-01",
        "?api-version=2024-07-01&api%2Dversion=2015-01-01",
        "?api%2Dversion=2024-07-01&%61pi-version=2015-01-01",
        "?x=api-version=2024-07-01",
        "?apiversion=2024-07-01",
        "?api-version[]=2024-07-01",
        "?;api-version=2024-07-01",
    ] {
        let sent = reader(get(format!("{path}{query}"))).await;
        gate.refused(forms, &format!("query {query:?}"), sent, "400").await;
    }
    let id = path.split('/').nth(2).unwrap();
    for (form, subscription) in [
        ("its name", "alder-prod".to_owned()),
        ("a wildcard", "*".to_owned()),
        ("in braces", format!("%7B{id}%7D")),
        ("without dashes", id.replace('-', "")),
        ("one letter less", id[1..].to_owned()),
        ("one letter more", format!("{id}0")),
        ("another letter", format!("g{}", &id[1..])),
        ("as an address", format!("urn:uuid:{id}")),
        ("two with a comma", format!("{id},{id}")),
        ("a number", "1".to_owned()),
        ("null", "null".to_owned()),
        ("4,000 letters", "a".repeat(4_000)),
    ] {
        let sent = reader(get(format!("/subscriptions/{subscription}/resourceGroups?{V}"))).await;
        gate.refused(forms, &format!("subscription id: {form}"), sent, "400").await;
    }
    for (form, tail) in [
        ("no name of a group", "/resourceGroups/%20"),
        ("a group of 91 letters", &format!("/resourceGroups/{}", "g".repeat(91))),
        ("a provider that is none", "/providers/x%20y/z"),
    ] {
        let sent = reader(get(format!("/subscriptions/{id}{tail}?{V}"))).await;
        gate.refused(forms, form, sent, "4xx").await;
    }
}

/// An answer without what differs between any two answers.
fn comparable(answer: &Answer, id: &str) -> (u16, String, Vec<(String, String)>) {
    let varying = ["x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id", "date", "content-length"];
    let fields = answer.headers.iter().filter(|(name, _)| !varying.contains(&name.as_str()));
    let mut fields: Vec<_> = fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().replace(id, "ID"))).collect();
    fields.sort();
    (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).replace(id, "ID").replace(answer.request_id(), "REQUEST"), fields)
}

const UNKNOWN: &str = "99999999-9999-4999-8999-999999999999";

async fn existence() -> Forms {
    let (gate, mut forms) = (Gate::start("t15").await, Forms::default());
    let tails = [
        ("GET", "", ""),
        ("GET", "/resourceGroups", ""),
        ("HEAD", "/resourceGroups/rg-web-prod", ""),
        ("PUT", "/resourceGroups/rg-web-prod", "{}"),
        ("DELETE", "/resourceGroups/rg-web-prod", ""),
        ("GET", "/resourceGroups/rg-web-prod/providers/Microsoft.Compute/virtualMachines/web-01", ""),
        ("POST", "/resourceGroups/rg-web-prod/providers/Microsoft.Compute/virtualMachines/web-01/start", ""),
        ("GET", "/providers/Microsoft.Compute/virtualMachines", ""),
        ("GET", "/providers/Microsoft.Compute/locations/westeurope/operations/1", ""),
        ("GET", "/providers/Microsoft.Authorization/permissions", ""),
        ("GET", "/providers/Microsoft.Authorization/roleAssignments", ""),
        ("PUT", "/providers/Microsoft.Authorization/roleAssignments/99999999-9999-4999-8999-999999999998", r#"{"properties":{}}"#),
        ("GET", "/providers/Microsoft.ManagedServices/registrationAssignments", ""),
        ("PUT", "/providers/Microsoft.ManagedServices/registrationDefinitions/99999999-9999-4999-8999-999999999998", "{}"),
        ("GET", "/providers/Microsoft.Insights/eventtypes/management/values", ""),
        ("PUT", "/providers/Microsoft.Resources/deployments/d", "{}"),
        ("POST", "/resourceGroups/rg-web-prod/moveResources", "{}"),
        ("POST", "/batch", "{}"),
        ("GET", "/resourceGroups/no name", ""),
        ("GET", "/providers/Microsoft.Fabric/clouds", ""),
    ];
    for (whom, identity, name) in [
        ("a rival provider", "rival", "alder-prod"),
        ("another customer's owner", "alder-owner", "bramble-core"),
        ("a provider, of a suspended customer", "operator", "ivy-main"),
        ("a provider, of a customer it does not work for", "operator", "lynx-main"),
    ] {
        let existing = SHARED.demo.world.subscriptions[name].id.to_string();
        let token = SHARED.token(identity).await;
        for (method, tail, body) in tails {
            let before = gate.arrived();
            let ask = async |id: &str| {
                let mut sent = call(method, format!("/subscriptions/{id}{}?{V}", tail.replace(' ', "%20"))).bearer(&token);
                if !body.is_empty() {
                    sent = Call { body: body.into(), ..sent }.header("content-type", "application/json");
                }
                gate.client().send(sent).await
            };
            let (there, missing) = (ask(&existing).await, ask(UNKNOWN).await);
            let form = format!("{whom}: {method} {{subscription}}{tail}");
            forms.saw(&form, &format!("{}; the same as for one that does not exist", there.told()), "4xx");
            forms.holds(&form, comparable(&there, &existing) == comparable(&missing, UNKNOWN), "the answers are the same");
            forms.holds(&form, gate.arrived() == before, "the backend receives nothing");
        }
    }
    gate.front.drain().await;
    forms
}

#[expect(clippy::too_many_lines, clippy::cognitive_complexity, reason = "tables of forms, one after another")]
async fn authorities() -> Forms {
    let (gate, mut forms) = (Gate::start("t16").await, Forms::default());
    let ours = gate.client().authority().to_owned();
    let port = ours.rsplit(':').next().unwrap().to_owned();
    let (data, foreign, malformed) =
        ("403 DataPlaneNotSupported plane.data", "421 InvalidHost plane.foreign", "400 BadRequest request.malformed");
    let own_port = |form: &str| form.replace("{port}", &port);
    for (host, expected) in [
        ("acct.blob.core.windows.net", data),
        ("acct.blob.core.windows.net:443", data),
        ("acct.blob.core.windows.net:{port}", data),
        ("ACCT.Vault.Azure.NET", data),
        ("acct.vault.azure.net.", data),
        ("graph.microsoft.com", data),
        ("db.documents.azure.com", data),
        ("management.azure.com", foreign),
        ("management.azure.com:443", foreign),
        ("localhost", foreign),
        ("localhost:", foreign),
        ("localhost:1", foreign),
        ("localhost:0{port}", foreign),
        ("localhost:{port}0", foreign),
        ("localhost.:{port}", foreign),
        ("xlocalhost:{port}", foreign),
        ("localhost:{port}.evil.example", foreign),
        ("localhost.evil.example:{port}", foreign),
        ("127.0.0.1:{port}", foreign),
        ("[::1]:{port}", foreign),
        ("0.0.0.0:{port}", foreign),
        ("2130706433:{port}", foreign),
        ("localhost:{port}:{port}", foreign),
        ("localhost%00:{port}", foreign),
        ("a,localhost:{port}", malformed),
        ("localhost:{port},a", malformed),
        ("localhost:{port} a", malformed),
        ("localhost:{port}/x", malformed),
        ("localhost:{port}?x", malformed),
        ("localhost:{port}#x", malformed),
        ("x@localhost:{port}", malformed),
        ("localhost:{port}@evil.example", malformed),
        ("https://localhost:{port}", malformed),
    ] {
        let sent = reader(get(target()).header("host", &own_port(host))).await;
        gate.refused(&mut forms, &format!("Host: {host}"), sent, expected).await;
    }
    for (authority, expected) in [("acct.blob.core.windows.net", data), ("management.azure.com", foreign), ("localhost:1", foreign)] {
        let sent = reader(get(format!("https://{authority}{}", target())).header("host", &ours)).await;
        gate.refused(&mut forms, &format!("absolute target https://{authority}, our Host"), sent.clone(), expected).await;
        let before = gate.arrived();
        let answer = gate.client().send_h2(sent).await;
        forms.saw(&format!("HTTP/2: :authority {authority}, our Host"), &answer.told(), expected);
        forms.holds(authority, gate.arrived() == before, "the backend receives nothing");
        let sent = reader(get(format!("https://{ours}{}", target())).header("host", authority)).await;
        gate.refused(&mut forms, &format!("absolute target of ours, Host: {authority}"), sent.clone(), expected).await;
        let answer = gate.client().send_h2(sent).await;
        forms.saw(&format!("HTTP/2: our :authority, Host: {authority}"), &answer.told(), expected);
        forms.holds(authority, gate.arrived() == before, "the backend receives nothing");
    }
    let plain = reader(get(format!("http://{ours}{}", target()))).await;
    gate.refused(&mut forms, "absolute target of ours without TLS", plain, malformed).await;
    for (name, expected) in [("acct.blob.core.windows.net", data), ("other.example", foreign)] {
        let before = gate.arrived();
        let answer = gate.client().send_named(name, reader(get(target())).await).await;
        forms.saw(&format!("server name {name}"), &answer.told(), expected);
        forms.holds(name, gate.arrived() == before, "the backend receives nothing");
    }
    raw_hosts(&gate, &mut forms, &ours).await;
    for name in [
        "x-forwarded-host",
        "x-host",
        "x-original-host",
        "forwarded",
        "x-forwarded-server",
        "x-original-url",
        "x-rewrite-url",
        "x-http-host-override",
    ] {
        let value = if name == "forwarded" { "host=evil.example" } else { "evil.example" };
        let so = ("it does not reach the backend", |request: &Arrived| !request.head.contains("evil.example"));
        gate.served_so(&mut forms, &format!("header {name}"), reader(get(target()).header(name, value)).await, so).await;
    }
    gate.front.drain().await;
    forms
}

async fn raw_hosts(gate: &Gate, forms: &mut Forms, ours: &str) {
    let token = SHARED.token("reader").await;
    let path = target();
    for (form, lines) in [
        ("no Host", String::new()),
        ("an empty Host", "Host:\r\n".to_owned()),
        ("Host twice, the same", format!("Host: {ours}\r\nHost: {ours}\r\n")),
        ("Host twice, a foreign one first", format!("Host: evil.example\r\nHost: {ours}\r\n")),
        ("Host twice, a foreign one last", format!("Host: {ours}\r\nhost: evil.example\r\n")),
        ("Host folded", format!("Host:\r\n {ours}\r\n")),
        ("a blank before the colon", format!("Host : {ours}\r\n")),
        ("Host with a list", format!("Host: {ours}, evil.example\r\n")),
        ("Host with bytes that are no ASCII", format!("Host: \u{e4}{ours}\r\n")),
        ("Host with NUL", "Host: localhost\0\r\n".to_owned()),
    ] {
        let text = format!("GET {path} HTTP/1.1\r\n{lines}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n");
        gate.refused_raw(forms, form, text.as_bytes(), "400").await;
    }
    let text = format!("GET {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
    gate.refused_raw(forms, "HTTP/1.0 without Host", text.as_bytes(), "400").await;
}

const RESERVED: [&str; 59] = [
    "x-ms-client-tenant-id",
    "x-ms-home-tenant-id",
    "x-ms-client-object-id",
    "x-ms-client-principal-id",
    "x-ms-client-principal-name",
    "x-ms-client-principal-type",
    "x-ms-client-principal-group-membership-source",
    "x-ms-client-app-id",
    "x-ms-client-app-id-acr",
    "x-ms-client-audience",
    "x-ms-client-issuer",
    "x-ms-client-authorization-source",
    "x-ms-client-identity-provider",
    "x-ms-client-wids",
    "x-ms-client-authentication-methods",
    "x-ms-client-ip-address",
    "x-ms-client-location",
    "x-ms-client-scope",
    "x-ms-client-alt-sec-id",
    "x-ms-client-puid",
    "x-ms-client-anything",
    "x-ms-management-group-ancestors",
    "x-ms-arm-request-tracking-id",
    "x-ms-arm-service-request-id",
    "x-ms-arm-signed-user-token",
    "x-ms-arm-resource-system-data",
    "x-ms-correlation-id",
    "referer",
    "x-ms-on-behalf-of",
    "x-ms-client-principal",
    "x-ms-token-aad-id-token",
    "x-ms-identity-principal-id",
    "x-ms-identity-url",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-client-cert",
    "x-forwarded-tls-client-cert",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "via",
    "x-original-url",
    "x-rewrite-url",
    "x-remote-user",
    "x-remote-group",
    "x-remote-extra-scopes",
    "remote-user",
    "impersonate-user",
    "impersonate-group",
    "x-auth-request-user",
    "x-webauth-user",
    "x-authenticated-user",
    "x-envoy-internal",
    "x-http-method-override",
    "proxy-authorization",
];

/// Whether the backend was told what the gateway says, once each, and nothing that was made up.
fn is_genuine(Arrived { head, .. }: &Arrived) -> bool {
    let values = |name: &str| -> Vec<&str> {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    };
    let told = SHARED.said_of_the_reader().iter().all(|(name, value)| values(name) == [value.as_str()]);
    told && !head.contains("spoofed") && values("authorization").len() == 1 && values("referer").len() == 1
}

async fn identity_headers() -> Forms {
    let (gate, mut forms) = (Gate::start("t17").await, Forms::default());
    let what = "the backend is told what the gateway says and nothing else";
    let mut all = get(target());
    for name in RESERVED {
        let spellings = [
            name.to_owned(),
            name.replace('-', "_"),
            name.replace('-', "."),
            format!("{name}-"),
            format!("_{name}"),
            format!("http-{name}"),
        ];
        let sent = spellings.iter().fold(get(target()), |sent, spelling| sent.header(spelling, "spoofed-1").header(spelling, "spoofed-2"));
        gate.served_so(&mut forms, &format!("{name}, in six spellings, twice each"), reader(sent).await, (what, is_genuine)).await;
        all = all.header(name, "spoofed");
    }
    let before = gate.arrived();
    let answer = gate.client().send_h2(reader(all.clone()).await).await;
    forms.saw("all of them over HTTP/2", &format!("{}; {what}", answer.told()), "200");
    forms.holds("all of them over HTTP/2", gate.backend.log().arrived.get(before).is_some_and(is_genuine), what);
    let token = SHARED.token("reader").await;
    let named = RESERVED.join(", ");
    let shouted: String = RESERVED.iter().map(|name| format!("{}: spoofed\r\n", name.to_uppercase())).collect();
    let path = target();
    for (form, lines) in [
        ("all of them in capitals", format!("Connection: close\r\n{shouted}")),
        ("all of them named by Connection", format!("Connection: close, authorization, host, {named}\r\n")),
        ("all of them named by Connection and sent", format!("Connection: close, authorization, {named}\r\n{shouted}")),
        ("all of them named by Proxy-Connection", format!("Connection: close\r\nProxy-Connection: {named}\r\n")),
        (
            "as a trailer that is not announced",
            "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-ms-client-object-id: spoofed\r\n".to_owned(),
        ),
    ] {
        let before = gate.arrived();
        let text = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n{lines}\r\n", gate.client().authority());
        let told = crate::gate::told(&gate.client().raw(text.as_bytes()).await);
        forms.saw(form, &format!("{told}; {what}"), "200");
        forms.holds(form, gate.backend.log().arrived.get(before).is_some_and(is_genuine), what);
    }
    for (form, lines) in [
        ("a folded value", "X-Ms-Client-Object-Id: a\r\n spoofed\r\n"),
        ("folded into another", "Accept: a\r\n x-ms-client-object-id: spoofed\r\n"),
        ("a blank before the colon", "x-ms-client-object-id : spoofed\r\n"),
        ("a blank before the name", " x-ms-client-object-id: spoofed\r\n"),
        ("a name with a blank", "x-ms-client object-id: spoofed\r\n"),
        ("a carriage return in a value", "Accept: a\rx-ms-client-object-id: spoofed\r\n"),
        ("a line feed in a value", "Accept: a\nx-ms-client-object-id: spoofed\r\n"),
        ("NUL in a value", "Accept: a\0x-ms-client-object-id: spoofed\r\n"),
        ("NUL in a name", "x-ms-client-object\0-id: spoofed\r\n"),
        ("no colon", "x-ms-client-object-id\r\n"),
        (
            "an announced trailer",
            "Trailer: x-ms-client-object-id\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-ms-client-object-id: spoofed\r\n",
        ),
    ] {
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{lines}\r\n",
            gate.client().authority()
        );
        gate.refused_raw(&mut forms, form, text.as_bytes(), "400").await;
    }
    gate.front.drain().await;
    forms
}
