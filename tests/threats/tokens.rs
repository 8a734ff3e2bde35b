//! Who calls: tokens that are forged, bent, of another kind, for another audience, or carried in another place.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::common::backend::Arrived;
use crate::common::client::{Call, call, get};
use crate::common::installation::SHARED;
use crate::common::signer::{self, LYNX, MARTEN};
use crate::gate::Gate;
use crate::mint::{
    base64url, claiming, claims_of, foreign_jwk, hashed, headed, header, issuer_key, parts, rsa_signed, said, with, written,
};
use crate::table::{Forms, threats};

threats! {
    t01_no_key_speaks_for_an_issuer_and_no_issuer_for_a_tenant_that_is_not_its_own = keys,
        "keys that are valid somewhere, unknown keys, keys brought along, issuers by prefix",
        "the key is found by the whole name of the issuer, in that issuer's set, by its whole name; the issuer is the tenant's";
    t02_no_odd_form_of_a_signature_is_taken = signatures,
        "`none`, hashes keyed with public bytes, empty, foreign and bent signatures, encrypted and nested tokens, extensions, doubled members",
        "one algorithm for each key, a short list of header members, no member twice, strict base64url, three parts";
    t03_nothing_in_a_token_is_run_opened_or_fetched = injections,
        "key names as paths, queries, addresses and control bytes; addresses in headers and claims",
        "a key name is looked up and nothing else; no address of a token is ever called";
    t04_a_token_counts_in_its_time_only = times,
        "expired, not yet valid, without time, times of wrong types, infinite, negative, overflowing",
        "`exp` and `iat` are there, all three are numbers in range, `exp` itself is too late";
    t05_a_token_for_somebody_else_is_not_taken = audiences,
        "tokens for other services, without audience, with a list, a prefix, a longer text, the audience of the request's own `Host`",
        "`aud` is one text and equals one that is configured";
    t06_a_token_speaks_for_its_own_tenant_and_principal_only = strangers,
        "other tenants' ids, names, groups and roles in claims; actors and tokens inside of tokens; the same object id in another tenant",
        "only `tid` and `oid` say who calls, and groups only within that tenant; a stranger is told what he would be told of nothing";
    t07_a_token_of_another_kind_is_not_taken = kinds,
        "identity, logout, refresh and key-bound tokens, tokens without the scope",
        "the type is absent, `JWT` or `at+jwt`; the scope or the mark of an application is there; bound tokens are refused";
    t08_a_token_counts_in_one_place_only = places,
        "doubled fields, lists, other schemes; tokens in queries, cookies, bodies, headers of proxies",
        "one `Authorization` with one bearer token; a token anywhere else is nothing and is not passed on";
}

const V: &str = "api-version=2024-07-01";
const INVALID: &str = "401 InvalidAuthenticationToken";
const MALFORMED: &str = "401 InvalidAuthenticationToken token.malformed";
const SIGNATURE: &str = "401 InvalidAuthenticationToken token.signature";
const ISSUER: &str = "401 InvalidAuthenticationToken token.issuer";
const TENANT: &str = "401 InvalidAuthenticationTokenTenant token.issuer";
const TIME: &str = "401 ExpiredAuthenticationToken token.expired";
const AUDIENCE: &str = "401 InvalidAuthenticationToken token.audience";
const NOT_FOUND: &str = "404 SubscriptionNotFound";
const UNREAD: &str = "401 AuthenticationFailed token.malformed";
const MISSING: &str = "401 AuthenticationFailed token.missing";

/// Where the signer's own application owns everything: what keeps its tokens out is the token.
fn own() -> Call {
    get(format!("{}/resourceGroups/rg?{V}", SHARED.subscription("lynx-main")))
}

/// What the signer's tenant has no relation to.
fn victim() -> Call {
    get(format!("{}/resourceGroups/rg-web-prod?{V}", SHARED.subscription("alder-prod")))
}

/// Sends each token where a sound one is served; the gate is opened with a sound one first, so that it is the token that is refused.
async fn all_refused(name: &str, tokens: Vec<(String, String, &str)>) -> (Gate, Forms) {
    let (gate, mut forms) = (Gate::start(name).await, Forms::default());
    gate.served(&mut forms, "a sound token", own().bearer(&signer::signed(&signer::claims()))).await;
    for (form, token, expected) in tokens {
        gate.refused(&mut forms, &form, own().bearer(&token), expected).await;
    }
    (gate, forms)
}

async fn keys() -> Forms {
    let stranger = "77777777-7777-4777-8777-777777777777";
    let operator = claims_of("operator");
    let ostra = operator["tid"].clone();
    let demo_kid = issuer_key().await["kid"].clone();
    let algorithm = |members: &Value| with(json!({ "typ": "JWT", "alg": "RS256", "kid": "own" }), members);
    let mut tokens = vec![
        ("another tenant's issuer and tenant, our key", signer::token(&header(), &operator), SIGNATURE),
        ("the same under the name of that issuer's key", signer::token(&with(header(), &json!({ "kid": demo_kid })), &operator), SIGNATURE),
        ("another tenant's issuer and tenant, a key of nobody", rsa_signed(&algorithm(&json!({ "kid": demo_kid })), &operator), SIGNATURE),
        ("our issuer, another tenant", claiming(&json!({ "tid": ostra })), TENANT),
        ("another tenant's issuer, our tenant", claiming(&json!({ "iss": operator["iss"] })), TENANT),
        ("our other tenant's issuer, our tenant", claiming(&json!({ "iss": format!("https://own.example/{MARTEN}/") })), TENANT),
        ("our issuer, our other tenant", claiming(&json!({ "tid": MARTEN })), TENANT),
        ("personal accounts", claiming(&json!({ "tid": "9188040d-6c67-4c5b-b112-36a304b66dad" })), TENANT),
        ("an unknown tenant", claiming(&json!({ "iss": format!("https://own.example/{stranger}/"), "tid": stranger })), INVALID),
        ("a key of nobody under our key's name", rsa_signed(&algorithm(&json!({})), &signer::claims()), SIGNATURE),
        ("jwk: a key brought along", rsa_signed(&algorithm(&json!({ "jwk": foreign_jwk("own") })), &signer::claims()), MALFORMED),
        (
            "jwk: brought along, without a name",
            rsa_signed(&algorithm(&json!({ "jwk": foreign_jwk(""), "kid": null })), &signer::claims()),
            MALFORMED,
        ),
        ("x5c: a chain brought along", rsa_signed(&algorithm(&json!({ "x5c": [base64url("chain")] })), &signer::claims()), MALFORMED),
        ("jku: our own key set", headed(&json!({ "jku": "https://own.example/keys" })), MALFORMED),
        ("x5u: our own chain", headed(&json!({ "x5u": "https://own.example/chain" })), MALFORMED),
        ("kid: absent", headed(&json!({ "kid": null })), MALFORMED),
        ("kid: empty", headed(&json!({ "kid": "" })), MALFORMED),
        ("kid: in capitals", headed(&json!({ "kid": "OWN" })), SIGNATURE),
        ("kid: with a blank", headed(&json!({ "kid": "own " })), SIGNATURE),
        ("kid: longer", headed(&json!({ "kid": "own2" })), SIGNATURE),
        ("kid: shorter", headed(&json!({ "kid": "ow" })), SIGNATURE),
        ("kid: of another issuer", headed(&json!({ "kid": demo_kid })), SIGNATURE),
        ("kid: absent, x5t instead", headed(&json!({ "kid": null, "x5t": "own" })), MALFORMED),
    ];
    let issuers = [
        ("iss: without the last slash", format!("https://own.example/{LYNX}")),
        ("iss: with one slash more", format!("https://own.example/{LYNX}//")),
        ("iss: longer", format!("https://own.example/{LYNX}/x")),
        ("iss: longer, and back", format!("https://own.example/{LYNX}/../{LYNX}/")),
        ("iss: by prefix of the host", format!("https://own.example.evil.example/{LYNX}/")),
        ("iss: with a user", format!("https://x@own.example/{LYNX}/")),
        ("iss: with a port", format!("https://own.example:443/{LYNX}/")),
        ("iss: in capitals", format!("HTTPS://OWN.EXAMPLE/{LYNX}/")),
        ("iss: without TLS", format!("http://own.example/{LYNX}/")),
        ("iss: with a query", format!("https://own.example/{LYNX}/?x")),
        ("iss: with a fragment", format!("https://own.example/{LYNX}/#x")),
        ("iss: with a blank", format!("https://own.example/{LYNX}/ ")),
        ("iss: with NUL", format!("https://own.example/{LYNX}/\0")),
        ("iss: encoded", format!("https://own.example/%31{}/", &LYNX[1..])),
        ("iss: the template", "https://own.example/{tenant}/".to_owned()),
        ("iss: common", "https://own.example/common/".to_owned()),
        ("iss: empty", String::new()),
    ];
    tokens.extend(issuers.iter().map(|(form, issuer)| (*form, claiming(&json!({ "iss": issuer })), ISSUER)));
    tokens.push(("iss: a list", claiming(&json!({ "iss": [signer::claims()["iss"]] })), MALFORMED));
    tokens.push(("iss: an object", claiming(&json!({ "iss": { "0": signer::claims()["iss"] } })), MALFORMED));
    tokens.push(("iss: absent", claiming(&json!({ "iss": null })), MALFORMED));
    let (gate, forms) = all_refused("t01", named(tokens)).await;
    gate.front.drain().await;
    forms
}

fn named<'e>(tokens: Vec<(&str, String, &'e str)>) -> Vec<(String, String, &'e str)> {
    tokens.into_iter().map(|(form, token, expected)| (form.to_owned(), token, expected)).collect()
}

async fn signatures() -> Forms {
    let mut tokens = algorithms(&issuer_key().await);
    tokens.extend(bent_signatures());
    tokens.extend(forms_of_tokens());
    tokens.extend(headers_that_change_the_rules());
    tokens.extend(documents_with_two_readings());
    let (gate, mut forms) = all_refused("t02", tokens).await;
    // What an issuer really signed, bent afterwards.
    let token = SHARED.token("operator").await;
    gate.served(&mut forms, "a token of the issuer", victim().bearer(&token)).await;
    let [head, body, signature] = parts(&token);
    let raised = base64url(with(said(&body), &json!({ "oid": claims_of("alder-owner")["oid"] })).to_string());
    for (form, token, expected) in [
        ("a token of the issuer with another payload", format!("{head}.{raised}.{signature}"), SIGNATURE),
        ("a token of the issuer with another algorithm", token.replacen(&head, &base64url(r#"{"alg":"none"}"#), 1), SIGNATURE),
        (
            "a token of the issuer with the signature of another",
            format!("{head}.{body}.{}", parts(&SHARED.token("reader").await)[2]),
            SIGNATURE,
        ),
        ("a token of the issuer without the end of its signature", token[..token.len() - 2].to_owned(), SIGNATURE),
        ("a token of the issuer with zeros before its signature", format!("{head}.{body}.AAAA{signature}"), INVALID),
        ("a token of the issuer with zeros as signature", format!("{head}.{body}.{}", base64url([0; 256])), SIGNATURE),
        (
            "a token of the issuer with one as signature",
            format!("{head}.{body}.{}", base64url([[0; 255].as_slice(), &[1]].concat())),
            SIGNATURE,
        ),
    ] {
        gate.refused(&mut forms, form, victim().bearer(&token), expected).await;
    }
    gate.front.drain().await;
    forms
}

fn algorithms(rsa: &Value) -> Vec<(String, String, &'static str)> {
    let mut tokens = Vec::new();
    for algorithm in
        ["none", "None", "NONE", "nOnE", "none ", "", "eddsa", "EDDSA", "Ed25519", "RS256", "ES256", "PS256", "RS512", "HS256", "dir"]
    {
        tokens.push((format!("alg: {algorithm:?}"), headed(&json!({ "alg": algorithm })), SIGNATURE));
        let [head, body, _signature] = parts(&headed(&json!({ "alg": algorithm })));
        tokens.push((format!("alg: {algorithm:?}, no signature"), format!("{head}.{body}."), MALFORMED));
    }
    for (form, value) in [("a list", json!(["EdDSA"])), ("an object", json!({})), ("a number", json!(1)), ("true", json!(true))] {
        tokens.push((format!("alg: {form}"), headed(&json!({ "alg": value })), MALFORMED));
    }
    tokens.push(("alg: absent".to_owned(), headed(&json!({ "alg": null })), MALFORMED));
    let own = signer::key_set()["keys"][0].clone();
    let bytes =
        |member: &Value| base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, member.as_str().unwrap()).unwrap();
    let keys = [
        ("our public key's bytes", "own", signer::claims(), bytes(&own["x"])),
        ("our public key's text", "own", signer::claims(), own["x"].as_str().unwrap().into()),
        ("our public key as JSON", "own", signer::claims(), own.to_string().into_bytes()),
        ("nothing", "own", signer::claims(), Vec::new()),
        ("the key's name", "own", signer::claims(), b"own".to_vec()),
        ("the issuer's modulus", rsa["kid"].as_str().unwrap(), claims_of("operator"), bytes(&rsa["n"])),
        ("the issuer's modulus as text", rsa["kid"].as_str().unwrap(), claims_of("operator"), rsa["n"].as_str().unwrap().into()),
        ("the issuer's key as JSON", rsa["kid"].as_str().unwrap(), claims_of("operator"), rsa.to_string().into_bytes()),
    ];
    for (form, kid, claims, key) in keys {
        for algorithm in ["HS256", "HS384", "HS512"] {
            tokens.push((format!("{algorithm} keyed with {form}"), hashed(algorithm, kid, &claims, &key), SIGNATURE));
        }
    }
    tokens
}

/// The order of the group of Ed25519, least significant byte first. Source: RFC 8032 §5.1.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0x10,
];

/// A second signature for the same text, which a careless verifier takes: its number is larger by the order of the group.
fn second_signature(signature: &[u8]) -> Vec<u8> {
    let (point, number) = signature.split_at(32);
    let mut carry = 0;
    let number = number.iter().zip(ORDER).map(|(byte, more)| {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    });
    point.iter().copied().chain(number).collect()
}

fn bent_signatures() -> Vec<(String, String, &'static str)> {
    let sound = signer::signed(&signer::claims());
    let [head, body, _signature] = parts(&sound);
    let signed = format!("{head}.{body}");
    let signature = signer::sign(signed.as_bytes());
    let flipped = |at: usize| signature.iter().enumerate().map(|(n, byte)| if n == at { byte ^ 1 } else { *byte }).collect::<Vec<u8>>();
    let reversed: Vec<u8> = signature.iter().rev().copied().collect();
    let signatures = [
        ("64 zeros", vec![0; 64]),
        ("64 times 255", vec![255; 64]),
        ("the neutral point and zero", [[1].as_slice(), &[0; 63]].concat()),
        ("one zero", vec![0]),
        ("256 zeros", vec![0; 256]),
        ("the first bit turned", flipped(0)),
        ("the last bit turned", flipped(63)),
        ("the number's first bit turned", flipped(32)),
        ("reversed", reversed),
        ("shorter by one", signature[..63].to_vec()),
        ("longer by one", [signature.as_slice(), &[0]].concat()),
        ("twice", [signature.as_slice(), &signature].concat()),
        ("larger by the order of the group", second_signature(&signature)),
        ("of the payload alone", signer::sign(body.as_bytes())),
        ("of the decoded payload", signer::sign(signer::claims().to_string().as_bytes())),
        ("of another text", signer::sign(b"another")),
    ];
    let bent = |(form, signature): (&str, Vec<u8>)| (format!("signature: {form}"), format!("{signed}.{}", base64url(signature)), SIGNATURE);
    signatures.into_iter().map(bent).collect()
}

fn forms_of_tokens() -> Vec<(String, String, &'static str)> {
    let sound = signer::signed(&signer::claims());
    let [head, body, signature] = parts(&sound);
    let last = |more: &str| format!("{head}.{body}.{}{more}", &signature[..signature.len() - 1]);
    // The last letter of 64 bytes has four bits that nobody needs.
    let stray = ["A", "Q", "g", "w"].map(|letter| signature.ends_with(letter)).iter().position(|found| *found).unwrap_or_default();
    let stray = ["B", "R", "h", "x"][stray];
    named(vec![
        ("one part", head.clone(), MALFORMED),
        ("two parts", format!("{head}.{body}"), MALFORMED),
        ("no signature", format!("{head}.{body}."), MALFORMED),
        ("no payload", format!("{head}..{signature}"), MALFORMED),
        ("no header", format!(".{body}.{signature}"), MALFORMED),
        ("two dots", "..".to_owned(), MALFORMED),
        ("four parts", format!("{sound}.x"), MALFORMED),
        ("five parts, as an encrypted token has", format!("{head}.{body}.{signature}.x.y"), MALFORMED),
        ("encrypted: dir", format!("{}.a.b.c.d", base64url(r#"{"alg":"dir","enc":"A256GCM"}"#)), MALFORMED),
        ("two tokens in one", format!("{sound}.{sound}"), MALFORMED),
        ("as JSON", json!({ "protected": head, "payload": body, "signature": signature }).to_string(), UNREAD),
        ("as JSON, encoded", base64url(json!({ "protected": head, "payload": body, "signature": signature }).to_string()), MALFORMED),
        ("as JSON with several signatures, encoded", base64url(json!({ "payload": body, "signatures": [] }).to_string()), MALFORMED),
        ("padding behind the signature", format!("{sound}=="), MALFORMED),
        ("padding behind the payload", format!("{head}.{body}=.{signature}"), MALFORMED),
        ("the other alphabet", last("+"), MALFORMED),
        ("a letter of no alphabet", last("~"), MALFORMED),
        ("stray bits in the last letter", last(stray), MALFORMED),
        ("one letter more", format!("{sound}A"), INVALID),
        ("longer than 16 KiB", format!("{head}.{body}.{}", "A".repeat(16 * 1024)), UNREAD),
        ("longer than 16 KiB by its claims", claiming(&json!({ "filler": "x".repeat(13_000) })), UNREAD),
        ("opaque", "0123456789abcdef".to_owned(), MALFORMED),
    ])
}

fn headers_that_change_the_rules() -> Vec<(String, String, &'static str)> {
    let members = [
        ("crit: exp", json!({ "crit": ["exp"], "exp": 1 })),
        ("crit: empty", json!({ "crit": [] })),
        ("crit: b64", json!({ "crit": ["b64"], "b64": false })),
        ("crit: no list", json!({ "crit": "exp" })),
        ("b64: false", json!({ "b64": false })),
        ("b64: true", json!({ "b64": true })),
        ("zip", json!({ "zip": "DEF" })),
        ("cty: a token inside", json!({ "cty": "JWT" })),
        ("enc", json!({ "enc": "A256GCM" })),
        ("epk", json!({ "epk": {} })),
        ("p2c: a slow key", json!({ "p2c": 2_147_483_647_u32 })),
        ("iss in the header", json!({ "iss": "https://own.example/" })),
        ("x5t: no text", json!({ "x5t": 1 })),
        ("an unknown member", json!({ "future": true })),
        ("ALG beside alg", json!({ "ALG": "none" })),
    ];
    members.into_iter().map(|(form, members)| (format!("header: {form}"), headed(&members), MALFORMED)).collect()
}

fn documents_with_two_readings() -> Vec<(String, String, &'static str)> {
    let (head, claims) = (header().to_string(), signer::claims().to_string());
    let before = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let behind = |text: &str, member: &str| format!("{},{member}}}", text.strip_suffix('}').unwrap());
    let heads = [
        ("alg twice", before(&head, r#""alg":"none""#)),
        ("alg twice, once in escapes", before(&head, r#""\u0061lg":"none""#)),
        ("kid twice", behind(&head, r#""kid":"other""#)),
        ("a list", format!("[{head}]")),
        ("two documents", format!("{head}{head}")),
        ("a comma too much", head.replace('}', ",}")),
        ("a comment", head.replacen('{', "{/**/", 1)),
        ("a byte order mark", format!("\u{feff}{head}")),
        ("a text", "\"header\"".to_owned()),
    ];
    let payloads = [
        ("oid twice", before(&claims, r#""oid":"05712a00-3000-4000-8000-000000000001""#).into_bytes()),
        ("exp twice", behind(&claims, r#""exp":1"#).into_bytes()),
        ("tid twice, once in escapes", behind(&claims, r#""\u0074id":"x""#).into_bytes()),
        ("a member twice further inside", behind(&claims, r#""x":{"y":1,"y":2}"#).into_bytes()),
        ("a list", format!("[{claims}]").into_bytes()),
        ("two documents", format!("{claims}{claims}").into_bytes()),
        ("a token", signer::signed(&signer::claims()).into_bytes()),
        ("a token as text", json!(signer::signed(&signer::claims())).to_string().into_bytes()),
        ("no JSON", b"user=operator".to_vec()),
        ("nothing but blanks", b"  ".to_vec()),
        ("a byte order mark", format!("\u{feff}{claims}").into_bytes()),
        ("bytes that are no UTF-8", [claims.strip_suffix('}').unwrap().as_bytes(), b",\"x\":\"\xff\"}"].concat()),
        ("half a surrogate", behind(&claims, r#""x":"\ud800""#).into_bytes()),
        ("not a number", behind(&claims, r#""x":NaN"#).into_bytes()),
        ("an endless number", behind(&claims, r#""x":1e999"#).into_bytes()),
        ("200 lists inside each other", behind(&claims, &format!(r#""x":{}{}"#, "[".repeat(200), "]".repeat(200))).into_bytes()),
        ("a control byte in a text", behind(&claims, "\"x\":\"\u{1}\"").into_bytes()),
    ];
    let header_forms =
        heads.into_iter().map(|(form, head)| (format!("header: {form}"), written(head.as_bytes(), claims.as_bytes()), MALFORMED));
    let payload_forms =
        payloads.into_iter().map(|(form, payload)| (format!("payload: {form}"), written(head.as_bytes(), &payload), MALFORMED));
    header_forms.chain(payload_forms).collect()
}

async fn injections() -> Forms {
    // Whoever is called by something in a token would come here.
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", trap.local_addr().unwrap());
    let text = |form: &str, kid: &str| (format!("kid: {form}"), headed(&json!({ "kid": kid })), SIGNATURE);
    let mut tokens = vec![
        text("a path", "../../../../dev/null"),
        text("an absolute path", "/proc/self/environ"),
        text("a path with NUL", "own\0.pem"),
        text("a file address", "file:///dev/null"),
        text("an address", &url),
        text("SQL", "own' OR '1'='1"),
        text("SQL that makes a key", "x' UNION SELECT 'AAAA'-- "),
        text("a command", "own;sleep 10"),
        text("a command in backticks", "`id`|$(id)"),
        text("a look-up", &format!("${{jndi:{url}}}")),
        text("a template", "{{7*7}}{tenant}%s%n"),
        text("line ends", "own\r\nX-Injected: 1"),
        text("escape bytes", "\u{1b}[2J\u{202e}own"),
        text("NUL before", "\0own"),
        text("another normal form", "\u{ff4f}wn"),
        text("8,000 letters", &"k".repeat(8_000)),
    ];
    for (form, kid) in [("a list", json!(["own"])), ("an object", json!({ "own": 1 })), ("a number", json!(0)), ("true", json!(true))] {
        tokens.push((format!("kid: {form}"), headed(&json!({ "kid": kid })), MALFORMED));
    }
    for member in ["jku", "x5u", "jwk", "x5c"] {
        tokens.push((format!("{member}: the trap"), headed(&json!({ member: url })), MALFORMED));
        tokens.push((format!("{member}: the trap, an unknown key"), headed(&json!({ member: url, "kid": "trap" })), MALFORMED));
    }
    tokens.push(("iss: the trap".to_owned(), claiming(&json!({ "iss": url })), ISSUER));
    tokens.push(("iss: the trap before the tenant".to_owned(), claiming(&json!({ "iss": format!("{url}/{LYNX}/") })), ISSUER));
    tokens.push(("iss: a file".to_owned(), claiming(&json!({ "iss": "file:///etc/passwd" })), ISSUER));
    tokens.push(("tid: a path".to_owned(), claiming(&json!({ "tid": format!("{LYNX}/../{MARTEN}") })), MALFORMED));
    tokens.push(("aud: the trap".to_owned(), claiming(&json!({ "aud": url })), AUDIENCE));
    let (gate, mut forms) = all_refused("t03", tokens).await;
    for (form, members) in [
        (
            "groups to be fetched from the trap",
            json!({ "_claim_names": { "groups": "s" }, "_claim_sources": { "s": { "endpoint": url } } }),
        ),
        ("an identity provider at the trap", json!({ "idp": url })),
        ("a profile at the trap", json!({ "profile": url, "jwks_uri": url, "sub_jwk": url, "picture": url })),
    ] {
        gate.served(&mut forms, form, own().bearer(&claiming(&members))).await;
        gate.refused(&mut forms, &format!("{form}, at another tenant's"), victim().bearer(&claiming(&members)), NOT_FOUND).await;
    }
    gate.front.drain().await;
    let called = tokio::time::timeout(std::time::Duration::ZERO, trap.accept()).await.is_ok();
    forms.holds("all of these", !called, "nobody calls the trap");
    forms
}

async fn times() -> Forms {
    let now = signer::claims()["iat"].as_i64().unwrap();
    let mut tokens = vec![
        ("exp: now".to_owned(), claiming(&json!({ "exp": now })), TIME),
        ("exp: a second ago".to_owned(), claiming(&json!({ "exp": now - 1 })), TIME),
        ("exp: half a second ago".to_owned(), claiming(&json!({ "exp": f64::from(u32::try_from(now).unwrap()) - 0.5 })), TIME),
        (
            "exp: a year ago".to_owned(),
            claiming(&json!({ "exp": now - 31_536_000, "iat": now - 31_540_000, "nbf": now - 31_540_000 })),
            TIME,
        ),
        ("exp: 0".to_owned(), claiming(&json!({ "exp": 0 })), TIME),
        ("exp: before iat".to_owned(), claiming(&json!({ "exp": now - 10, "iat": now, "nbf": now })), TIME),
        ("exp: in 49 hours".to_owned(), claiming(&json!({ "exp": now + 49 * 3600 })), MALFORMED),
        ("exp: in a hundred years".to_owned(), claiming(&json!({ "exp": now + 3_153_600_000_i64 })), MALFORMED),
        ("exp: in milliseconds".to_owned(), claiming(&json!({ "exp": (now + 600) * 1000 })), MALFORMED),
        ("nbf: in five minutes".to_owned(), claiming(&json!({ "nbf": now + 300 })), "401 InvalidAuthenticationToken token.expired"),
        ("iat: in five minutes".to_owned(), claiming(&json!({ "iat": now + 300 })), "401 InvalidAuthenticationToken token.expired"),
        ("exp: absent".to_owned(), claiming(&json!({ "exp": null })), MALFORMED),
        ("iat: absent".to_owned(), claiming(&json!({ "iat": null })), MALFORMED),
    ];
    for claim in ["exp", "nbf", "iat"] {
        let claims = signer::claims();
        let number = claims[claim].to_string();
        let values = [
            ("a text", format!("\"{number}\"")),
            ("a date as text", "\"2099-01-01T00:00:00Z\"".to_owned()),
            ("a list", format!("[{number}]")),
            ("an object", "{}".to_owned()),
            ("null", "null".to_owned()),
            ("true", "true".to_owned()),
            ("negative", "-1".to_owned()),
            ("1e300", "1e300".to_owned()),
            ("endless", "1e999".to_owned()),
            ("the largest of 64 bits", i64::MAX.to_string()),
            ("more than 64 bits", "18446744073709551616".to_owned()),
            ("not a number", "NaN".to_owned()),
            ("Infinity", "Infinity".to_owned()),
            ("hexadecimal", "0x7fffffff".to_owned()),
            ("with a leading zero", format!("0{number}")),
        ];
        for (form, value) in values {
            let text = claims.to_string().replace(&format!("\"{claim}\":{number}"), &format!("\"{claim}\":{value}"));
            tokens.push((format!("{claim}: {form}"), written(header().to_string().as_bytes(), text.as_bytes()), MALFORMED));
        }
    }
    let (gate, mut forms) = all_refused("t04", tokens).await;
    let half = f64::from(u32::try_from(now).unwrap()) + 600.5;
    gate.served(&mut forms, "exp: with half a second, ten minutes ahead", own().bearer(&claiming(&json!({ "exp": half })))).await;
    gate.served(&mut forms, "nbf: absent", own().bearer(&claiming(&json!({ "nbf": null })))).await;
    let old = SHARED.mint("operator", "https://management.azure.com/", None, std::time::Duration::from_hours(48)).await;
    gate.refused(&mut forms, "a token of the issuer, two days old", victim().bearer(&old), TIME).await;
    gate.front.drain().await;
    forms
}

async fn audiences() -> Forms {
    let aud = "https://management.azure.com";
    let texts = [
        "https://graph.microsoft.com/",
        "https://vault.azure.net",
        "https://storage.azure.com/",
        "00000003-0000-0000-c000-000000000000",
        "https://management.azure.co",
        "https://management.azure.com.evil.example",
        "https://management.azure.com/x",
        "https://management.azure.com//",
        "https://management.azure.com ",
        " https://management.azure.com",
        "https://management.azure.com\0",
        "https://management.azure.com,https://vault.azure.net",
        "https://MANAGEMENT.azure.com",
        "http://management.azure.com",
        "management.azure.com",
        "https://management.azure.com:443",
        "https://management.azure.com@evil.example",
        "*",
        "https://*.azure.com",
        "",
    ];
    let mut tokens: Vec<_> = texts.iter().map(|text| (format!("aud: {text:?}"), claiming(&json!({ "aud": text })), AUDIENCE)).collect();
    for (form, value) in [
        ("a list of ours", json!([aud])),
        ("a list of ours and another", json!([aud, "https://vault.azure.net"])),
        ("an empty list", json!([])),
        ("a number", json!(1)),
        ("true", json!(true)),
        ("an object", json!({ aud: true })),
    ] {
        tokens.push((format!("aud: {form}"), claiming(&json!({ "aud": value })), MALFORMED));
    }
    tokens.push(("aud: absent".to_owned(), claiming(&json!({ "aud": null })), MALFORMED));
    tokens.push(("aud: absent, resource instead".to_owned(), claiming(&json!({ "aud": null, "resource": aud })), MALFORMED));
    tokens.push((
        "aud: foreign, ours as azp".to_owned(),
        claiming(&json!({ "aud": "https://vault.azure.net", "resource": aud })),
        AUDIENCE,
    ));
    let (gate, mut forms) = all_refused("t05", tokens).await;
    for (form, host, expected) in [
        ("the audience of a foreign Host", "vault.azure.net", "403 DataPlaneNotSupported plane.data"),
        ("the audience of an unknown Host", "evil.example", "421 InvalidHost plane.foreign"),
    ] {
        let sent = own().header("host", host).bearer(&claiming(&json!({ "aud": format!("https://{host}") })));
        gate.refused(&mut forms, form, sent, expected).await;
    }
    for host in ["x-forwarded-host", "x-original-host"] {
        let sent = own().header(host, "evil.example").bearer(&claiming(&json!({ "aud": "https://evil.example" })));
        gate.refused(&mut forms, &format!("the audience of {host}"), sent, AUDIENCE).await;
    }
    gate.served(&mut forms, "the audience with its last slash", own().bearer(&claiming(&json!({ "aud": format!("{aud}/") })))).await;
    gate.front.drain().await;
    forms
}

async fn strangers() -> Forms {
    let operator = claims_of("operator");
    let [ostra, oid] = [operator["tid"].clone(), operator["oid"].clone()];
    let unsigned = format!("{}.{}.", base64url(r#"{"typ":"JWT","alg":"none"}"#), base64url(operator.to_string()));
    let engineers = "05712a00-4000-4000-8000-000000000001";
    let strange = [
        ("nothing added", json!({})),
        ("the operator's object id", json!({ "oid": oid, "sub": oid })),
        ("the operator's object id as subject", json!({ "sub": oid })),
        ("the provider's group", json!({ "groups": [engineers] })),
        ("groups to be fetched", json!({ "hasgroups": true })),
        (
            "the operator's names",
            json!({ "upn": "deniz@ostra.example", "unique_name": "deniz@ostra.example", "email": "deniz@ostra.example" }),
        ),
        ("the operator as application", json!({ "appid": oid, "azp": oid })),
        ("roles", json!({ "roles": ["Owner", "Contributor"], "wids": ["62e90394-69f5-4237-9190-012177145e10"] })),
        ("act", json!({ "act": { "sub": oid, "tid": ostra, "oid": oid } })),
        ("may_act", json!({ "may_act": { "sub": oid } })),
        ("actor", json!({ "actor": { "oid": oid, "tid": ostra } })),
        ("actortoken, unsigned", json!({ "actortoken": unsigned, "trustedfordelegation": "true" })),
        ("an unsigned token inside", json!({ "assertion": unsigned, "token": unsigned })),
        ("on behalf of", json!({ "obo": oid, "on_behalf_of": oid, "xms_obo": oid })),
        (
            "the tenant in other claims",
            json!({ "tenant": ostra, "tenantId": ostra, "home_tid": ostra, "xms_tenant": ostra, "TID": ostra, "utid": ostra }),
        ),
        ("the principal in other claims", json!({ "OID": oid, "objectid": oid, "altsecid": oid, "puid": oid, "nameid": oid })),
        (
            "the schema's long names",
            json!({ "http://schemas.microsoft.com/identity/claims/tenantid": ostra, "http://schemas.microsoft.com/identity/claims/objectidentifier": oid }),
        ),
        ("a guest of the tenant", json!({ "acct": 1, "idp": operator["iss"] })),
        ("our other tenant", json!({ "iss": format!("https://own.example/{MARTEN}/"), "tid": MARTEN })),
    ];
    let (gate, mut forms) = (Gate::start("t06").await, Forms::default());
    for (form, members) in &strange {
        gate.refused(&mut forms, form, victim().bearer(&claiming(members)), NOT_FOUND).await;
    }
    for (form, members, expected) in [
        ("tid: another tenant's", json!({ "tid": ostra }), TENANT),
        ("tid: absent", json!({ "tid": null }), MALFORMED),
        ("tid: empty", json!({ "tid": "" }), MALFORMED),
        ("tid: a list", json!({ "tid": [LYNX, ostra] }), MALFORMED),
        ("tid: an object", json!({ "tid": { "id": LYNX } }), MALFORMED),
        ("tid: in braces", json!({ "tid": format!("{{{LYNX}}}") }), MALFORMED),
        ("tid: without dashes", json!({ "tid": LYNX.replace('-', "") }), MALFORMED),
        ("tid: a domain", json!({ "tid": "ostra.example" }), MALFORMED),
        ("oid: absent", json!({ "oid": null }), MALFORMED),
        ("oid: a list", json!({ "oid": [oid] }), MALFORMED),
        ("oid: a number", json!({ "oid": 1 }), MALFORMED),
        ("oid: in braces", json!({ "oid": format!("{{{}}}", oid.as_str().unwrap()) }), MALFORMED),
        ("groups: a text", json!({ "groups": engineers }), MALFORMED),
        ("groups: an object", json!({ "groups": { "0": engineers } }), MALFORMED),
        ("groups: names", json!({ "groups": ["Platform engineers"] }), MALFORMED),
        ("groups: a list in a list", json!({ "groups": [[engineers]] }), MALFORMED),
        ("groups: listed and elsewhere", json!({ "groups": [engineers], "hasgroups": true }), MALFORMED),
        ("appid and azp that disagree", json!({ "azp": oid }), MALFORMED),
    ] {
        gate.refused(&mut forms, form, victim().bearer(&claiming(&members)), expected).await;
    }
    gate.refused(&mut forms, "a rival provider", victim().bearer(&SHARED.token("rival").await), NOT_FOUND).await;
    gate.front.drain().await;
    forms
}

async fn kinds() -> Forms {
    let typed =
        ["logout+jwt", "dpop+jwt", "secevent+jwt", "id+jwt", "oauth-authz-req+jwt", "JOSE", "application/json", "pop", "rt+jwt", ""];
    let mut tokens: Vec<_> = typed.iter().map(|kind| (format!("typ: {kind:?}"), headed(&json!({ "typ": kind })), MALFORMED)).collect();
    tokens.push(("typ: a number".to_owned(), headed(&json!({ "typ": 1 })), MALFORMED));
    tokens.push(("typ: a list".to_owned(), headed(&json!({ "typ": ["JWT"] })), MALFORMED));
    let user = json!({ "idtyp": "user", "scp": "user_impersonation", "sub": "pairwise" });
    for (form, members) in [
        ("cnf: bound to a certificate", json!({ "cnf": { "x5t#S256": "x" } })),
        ("cnf: bound to a key", json!({ "cnf": { "jkt": "x" } })),
        ("cnf: of no type", json!({ "cnf": 1 })),
        ("an identity token: nonce", json!({ "nonce": "n" })),
        ("an identity token: at_hash", json!({ "at_hash": "h" })),
        ("an identity token: c_hash", json!({ "c_hash": "h" })),
        ("a security event", json!({ "events": {} })),
        ("a user without scope", with(user.clone(), &json!({ "scp": "openid profile" }))),
        ("a user with a longer scope", with(user.clone(), &json!({ "scp": "user_impersonation2 xuser_impersonation" }))),
        ("a user with the scope in capitals", with(user.clone(), &json!({ "scp": "USER_IMPERSONATION" }))),
        ("a user with scopes in a list", with(user.clone(), &json!({ "scp": ["user_impersonation"] }))),
        ("a user with an empty scope", with(user, &json!({ "scp": "" }))),
        ("a user with roles in place of a scope", json!({ "idtyp": "user", "roles": ["user_impersonation"] })),
        ("an application with a scope", json!({ "scp": "user_impersonation" })),
        ("a device", json!({ "idtyp": "device" })),
        ("idtyp: a list", json!({ "idtyp": ["app"] })),
        ("idtyp: in capitals", json!({ "idtyp": "APP" })),
        ("an unknown version", json!({ "ver": "3.0" })),
        ("version as a number", json!({ "ver": 1 })),
    ] {
        tokens.push((form.to_owned(), claiming(&members), MALFORMED));
    }
    // Neither scope nor the mark of an application.
    tokens.push((
        "a user without any mark".to_owned(),
        signer::signed(&with(signer::claims(), &json!({ "idtyp": null, "sub": "pairwise" }))),
        MALFORMED,
    ));
    let (gate, mut forms) = all_refused("t07", tokens).await;
    for (form, members) in
        [("typ: at+jwt", json!({ "typ": "at+jwt" })), ("typ: absent", json!({ "typ": null })), ("typ: jwt", json!({ "typ": "jwt" }))]
    {
        gate.served(&mut forms, form, own().bearer(&headed(&members))).await;
    }
    gate.front.drain().await;
    forms
}

async fn places() -> Forms {
    let (gate, mut forms) = (Gate::start("t08").await, Forms::default());
    let token = signer::signed(&signer::claims());
    let other = claiming(&json!({ "iss": format!("https://own.example/{MARTEN}/"), "tid": MARTEN }));
    let field = |value: &str| own().header("authorization", value);
    for (form, value) in [("bearer in small letters", "bearer"), ("BEARER in capitals", "BEARER"), ("two spaces", "Bearer ")] {
        gate.served(&mut forms, form, field(&format!("{value} {token}"))).await;
    }
    for (form, sent) in [
        ("the field twice, the same token", own().bearer(&token).bearer(&token)),
        ("the field twice, another token first", own().bearer(&other).bearer(&token)),
        ("the field twice, another scheme first", field("Basic YTpi").bearer(&token)),
        ("the field twice, an empty one first", field("").bearer(&token)),
        ("two tokens with a comma", field(&format!("Bearer {token}, Bearer {other}"))),
        ("two tokens with a blank", field(&format!("Bearer {token} {other}"))),
        ("two schemes", field(&format!("Basic YTpi, Bearer {token}"))),
        ("a tab", field(&format!("Bearer\t{token}"))),
        ("no blank", field(&format!("Bearer{token}"))),
        ("no scheme", field(&token)),
        ("no token", field("Bearer ")),
        ("no token and no blank", field("Bearer")),
        ("in quotes", field(&format!("Bearer \"{token}\""))),
        ("as a parameter", field(&format!("Bearer token={token}"))),
        ("Basic", field("Basic YTpi")),
        ("Basic with the token", field(&format!("Basic {}", base64url(format!("x:{token}"))))),
        ("DPoP", field(&format!("DPoP {token}"))),
        ("PoP", field(&format!("PoP {token}"))),
        ("Negotiate", field("Negotiate YII")),
        ("SharedKey", field("SharedKey account:signature")),
        ("Token", field(&format!("Token {token}"))),
        ("JWT", field(&format!("JWT {token}"))),
        ("Digest", field("Digest username=\"operator\"")),
    ] {
        // A text of the letters of a token is read as one.
        let expected = if form == "as a parameter" { MALFORMED } else { UNREAD };
        gate.refused(&mut forms, form, sent, expected).await;
    }
    elsewhere(&gate, &mut forms, &token).await;
    for (form, lines) in [
        ("a folded field", format!("Authorization: Bearer\r\n {token}\r\n")),
        ("a blank before the colon", format!("Authorization : Bearer {token}\r\n")),
        ("a line feed alone behind the field", format!("Authorization: Bearer {token}\nX: y\r\n")),
        ("an underscore for a name", format!("Authorization_: Bearer {token}\r\n")),
        ("in a trailer", format!("Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\nAuthorization: Bearer {token}\r\n")),
    ] {
        let target = own().target;
        let text = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}\r\n", gate.client().authority());
        let expected = if form.starts_with("an underscore") { "401" } else { "400" };
        gate.refused_raw(&mut forms, form, text.as_bytes(), expected).await;
    }
    gate.front.drain().await;
    forms
}

/// Places that other systems read a token from: alone they are none, and beside a real one they change nothing and stay here.
async fn elsewhere(gate: &Gate, forms: &mut Forms, token: &str) {
    let bearer = format!("Bearer {token}");
    let query = |name: &str| Call { target: format!("{}&{name}={token}", own().target), ..own() };
    let mut places: Vec<(String, Call)> = ["access_token", "token", "bearer_token", "authorization", "id_token"]
        .iter()
        .map(|name| (format!("query: {name}"), query(name)))
        .collect();
    for name in [
        "proxy-authorization",
        "x-authorization",
        "x-forwarded-authorization",
        "x-forwarded-access-token",
        "x-auth-request-access-token",
        "x-access-token",
        "x-auth-token",
        "x-ms-token-aad-access-token",
        "x-original-authorization",
        "authentication",
        "x-api-key",
        "sec-websocket-protocol",
    ] {
        places.push((format!("header: {name}"), own().header(name, &bearer)));
    }
    for name in ["access_token", "Authorization", ".AspNetCore.Cookies", "session"] {
        places.push((format!("cookie: {name}"), own().header("cookie", &format!("{name}={token}"))));
    }
    let form = Call { body: format!("access_token={token}").into(), ..call("POST", own().target) };
    places.push(("body: a form".to_owned(), form.header("content-type", "application/x-www-form-urlencoded")));
    let json = call("PUT", own().target).json(&json!({ "access_token": token, "Authorization": bearer }));
    places.push(("body: JSON".to_owned(), json));
    for (form, sent) in places {
        gate.refused(forms, &form, sent.clone(), MISSING).await;
        if form.starts_with("header") || form.starts_with("cookie") {
            let so = ("it does not reach the backend", |request: &Arrived| !request.head.contains(token));
            gate.served_so(forms, &format!("{form}, beside a real one"), sent.bearer(token), so).await;
        }
    }
}
