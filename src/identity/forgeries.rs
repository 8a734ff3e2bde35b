//! Everything that must not get through, and what must.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::testing::*;
use super::{CacheLimits, CallerKind, GroupSource};
use crate::directory::SignatureAlgorithm;
use crate::ids::{ObjectId, PrincipalId, TenantId};

const OPERATOR_IS_IN: &str = "ServicePrincipal 07070707-0707-0707-0707-070707070707";

#[track_caller]
fn check(what: &str, verdict: &str, expected: &str) {
    assert!(verdict.starts_with(expected), "{what}\n  expected {expected}\n  got      {verdict}");
}

#[tokio::test]
async fn a_token_is_refused_for_every_header_that_could_change_how_it_is_read() {
    let world = World::start().await;
    let payload = claims(HOME, &world.clock).to_string();
    let cases = [
        (r#"{"typ":"JWT","alg":"RS256","kid":"home"}"#, OPERATOR_IS_IN),
        (r#"{"alg":"RS256","kid":"home","x5t":"aa","x5t#S256":"bb"}"#, OPERATOR_IS_IN),
        (r#"{"typ":"at+jwt","alg":"RS256","kid":"home"}"#, OPERATOR_IS_IN),
        (r#"{"typ":"dpop+jwt","alg":"RS256","kid":"home"}"#, "token.malformed: the token is malformed: its type is `dpop+jwt`"),
        (r#"{"typ":"logout+jwt","alg":"RS256","kid":"home"}"#, "token.malformed: the token is malformed: its type is"),
        (r#"{"typ":1,"alg":"RS256","kid":"home"}"#, "token.malformed: the token is malformed: its header needs `typ`"),
        (r#"{"alg":"none","kid":"home"}"#, "token.signature: the token is signed with `none`"),
        (r#"{"alg":"NONE","kid":"home"}"#, "token.signature: the token is signed with `NONE`"),
        (r#"{"alg":"","kid":"home"}"#, "token.signature: the token is signed with ``"),
        (r#"{"alg":"rs256","kid":"home"}"#, "token.signature: the token is signed with `rs256`"),
        (r#"{"alg":"RS512","kid":"home"}"#, "token.signature: the token is signed with `RS512`"),
        (r#"{"alg":"PS256","kid":"home"}"#, "token.signature: the token is signed with `PS256`"),
        (r#"{"alg":"ES256","kid":"home"}"#, "token.signature: the token is signed with `ES256`"),
        (r#"{"alg":["RS256"],"kid":"home"}"#, "token.malformed: the token is malformed: its header needs `alg`"),
        (r#"{"kid":"home"}"#, "token.malformed: the token is malformed: its header needs `alg`"),
        (r#"{"alg":"RS256"}"#, "token.malformed: the token is malformed: its header needs `kid`"),
        (r#"{"alg":"RS256","kid":""}"#, "token.malformed: the token is malformed: its header needs `kid`"),
        (r#"{"alg":"RS256","kid":7}"#, "token.malformed: the token is malformed: its header needs `kid`"),
        (r#"{"alg":"RS256","kid":"../../../../dev/null"}"#, "token.signature: the issuer has no key `../../../../dev/null`"),
        (r#"{"alg":"RS256","kid":"x' OR 1=1"}"#, "token.signature: the issuer has no key `x'?OR?1=1`"),
        (r#"{"alg":"RS256","kid":"HOME"}"#, "token.signature: the issuer has no key `HOME`"),
        (r#"{"alg":"RS256","kid":"rival"}"#, "token.signature: the issuer has no key `rival`"),
        (r#"{"alg":"RS256","kid":"home","crit":["exp"]}"#, "token.malformed: the token is malformed: its header has `crit`"),
        (r#"{"alg":"RS256","kid":"home","b64":false}"#, "token.malformed: the token is malformed: its header has `b64`"),
        (r#"{"alg":"RS256","kid":"home","zip":"DEF"}"#, "token.malformed: the token is malformed: its header has `zip`"),
        (r#"{"alg":"RS256","kid":"home","cty":"JWT"}"#, "token.malformed: the token is malformed: its header has `cty`"),
        (r#"{"alg":"RS256","kid":"home","jku":"http://127.0.0.1/"}"#, "token.malformed: the token is malformed: its header has `jku`"),
        (r#"{"alg":"RS256","kid":"home","x5u":"http://127.0.0.1/"}"#, "token.malformed: the token is malformed: its header has `x5u`"),
        (r#"{"alg":"RS256","kid":"home","x5c":[]}"#, "token.malformed: the token is malformed: its header has `x5c`"),
        (r#"{"alg":"RS256","alg":"RS256","kid":"home"}"#, "token.malformed: the token is malformed: its header is not one JSON object"),
        (r#"{"alg":"none","\u0061lg":"RS256","kid":"home"}"#, "token.malformed: the token is malformed: its header is not one JSON object"),
        (r#"["RS256"]"#, "token.malformed: the token is malformed: its header is not one JSON object"),
    ];
    for (header, expected) in cases {
        check(header, &world.verdict(&HOME_KEY.token(header, &payload)).await, expected);
    }
    let own_key = json!({"alg": "RS256", "kid": "home", "jwk": RIVAL_KEY.jwk("home")}).to_string();
    check(
        "embedded key",
        &world.verdict(&RIVAL_KEY.token(&own_key, &payload)).await,
        "token.malformed: the token is malformed: its header has `jwk`",
    );
}

#[tokio::test]
async fn a_signature_counts_only_if_the_issuers_own_key_made_it_over_these_bytes() {
    let world = World::start().await;
    let good = world.token();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let payload = claims(HOME, &world.clock).to_string();
    let wrong = "token.signature: the signature of the token is wrong";
    check("untouched", &world.verdict(&good).await, OPERATOR_IS_IN);
    check("another key under this name", &world.verdict(&RIVAL_KEY.token(&header("home"), &payload)).await, wrong);
    check("zeros", &world.verdict(&format!("{signed}.{}", base64url([0; 256]))).await, wrong);
    check("short", &world.verdict(&format!("{signed}.{}", base64url([1]))).await, wrong);
    let mut flipped: Vec<u8> = signature.bytes().collect();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    check("one bit", &world.verdict(&format!("{signed}.{}", String::from_utf8(flipped).unwrap())).await, wrong);
    let other = base64url(with(claims(HOME, &world.clock), json!({"oid": ObjectId::from_bytes([8; 16])})).to_string());
    check("other claims", &world.verdict(&format!("{}.{other}.{signature}", base64url(header("home")))).await, wrong);
    // The classic confusion: a symmetric signature keyed with the public key.
    let symmetric = format!("{}.{}", base64url(r#"{"alg":"HS256","kid":"home"}"#), base64url(&payload));
    let public = HOME_KEY.jwk("home")["n"].as_str().unwrap().to_owned();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes()), symmetric.as_bytes());
    check("HS256", &world.verdict(&format!("{symmetric}.{}", base64url(tag))).await, "token.signature: the token is signed with `HS256`");
    check(
        "no signature",
        &world.verdict(&format!("{signed}.")).await,
        "token.malformed: the token is malformed: it does not have the three",
    );
    check("two parts", &world.verdict(signed).await, "token.malformed: the token is malformed: ");
    check("four parts", &world.verdict(&format!("{good}.x")).await, "token.malformed: the token is malformed: it does not have the three");
    check("five parts", &world.verdict("a.b.c.d.e").await, "token.malformed: the token is malformed: it does not have the three");
    check("padding", &world.verdict(&format!("{good}=")).await, "token.malformed: the token is malformed: its signature is not unpadded");
    check("other alphabet", &world.verdict(&format!("{signed}.{}+/", signature)).await, "token.malformed: ");
    check("opaque", &world.verdict("0123456789").await, "token.malformed: the token is malformed: it does not have the three");
    let json_form = format!("{{\"payload\":\"{payload}\"}}");
    check("JSON form", &world.verdict(&base64url(json_form)).await, "token.malformed: ");
}

#[tokio::test]
async fn a_claim_of_the_wrong_type_is_never_a_claim_left_out() {
    let world = World::start().await;
    let now = world.clock.now().as_second();
    let malformed = |text: &str| format!("token.malformed: the token is malformed: {text}");
    for claim in ["exp", "iat", "nbf"] {
        for value in [json!("1"), json!([1]), json!({}), json!(null), json!(true), json!(-1), json!(1e300), json!(99_999_999_999_999_i64)] {
            let token = world.token_of(&with(claims(HOME, &world.clock), json!({ claim: value })));
            check(&format!("{claim}: {value}"), &world.verdict(&token).await, &malformed(&format!("its claim `{claim}` must be a date")));
        }
    }
    let cases = [
        (json!({"aud": [AUDIENCE]}), "its claim `aud` must be a string"),
        (json!({"aud": null}), "its claim `aud` must be a string"),
        (json!({"iss": [issuer_name(HOME)]}), "its claim `iss` must be a string"),
        (json!({"tid": "home"}), "its claim `tid` must be a GUID"),
        (json!({"tid": [HOME]}), "its claim `tid` must be a string"),
        (json!({"oid": 7}), "its claim `oid` must be a string"),
        (json!({"oid": "{07070707-0707-0707-0707-070707070707}"}), "its claim `oid` must be a GUID"),
        (json!({"groups": OPERATOR}), "its claim `groups` must be a list of strings"),
        (json!({"groups": [1]}), "its claim `groups` must be a list of strings"),
        (json!({"groups": ["admins"]}), "its claim `groups` must be a list of GUIDs"),
        (json!({"groups": {}}), "its claim `groups` must be a list of strings"),
        (json!({"hasgroups": 1}), "its claim `hasgroups` must be a truth value"),
        (json!({"groups": [], "hasgroups": true}), "its claims `groups` and `hasgroups` contradict"),
        (json!({"_claim_names": []}), "its claim `_claim_names` must be an object"),
        (json!({"acct": "1"}), "its claim `acct` must be 0 or 1"),
        (json!({"idtyp": ["app"]}), "its claim `idtyp` must be a string"),
        (json!({"scp": ["user_impersonation"], "idtyp": "user"}), "its claim `scp` must be a string"),
        (json!({"scp": "user_impersonation"}), "its claims `idtyp` and `scp` contradict"),
        (json!({"azp": OPERATOR}), "its claims `appid` and `azp` contradict"),
        (json!({"ver": "3.0"}), "its claim `ver` must be"),
        (json!({"appidacr": "9"}), "its claim `appidacr` must be"),
        (json!({"exp": now + 49 * 3600}), "its claim `exp` is more than 48 hours ahead"),
    ];
    for (members, expected) in cases {
        let token = world.token_of(&with(claims(HOME, &world.clock), members.clone()));
        check(&members.to_string(), &world.verdict(&token).await, &malformed(expected));
    }
    for claim in ["aud", "iss", "tid", "oid", "exp", "iat"] {
        let token = world.token_of(&without(claims(HOME, &world.clock), claim));
        check(claim, &world.verdict(&token).await, &malformed(&format!("its claim `{claim}` must be")));
    }
    let twice = claims(HOME, &world.clock).to_string().replacen('{', &format!("{{\"oid\":\"{RIVAL}\","), 1);
    check(&twice, &world.verdict(&HOME_KEY.token(&header("home"), &twice)).await, &malformed("its payload is not one JSON object"));
    check("text", &world.verdict(&HOME_KEY.token(&header("home"), "hello")).await, &malformed("its payload is not one JSON object"));
}

#[tokio::test]
async fn a_token_must_be_for_this_gateway_and_of_the_right_kind() {
    let world = World::start().await;
    let user = || without(with(claims(HOME, &world.clock), json!({"scp": "user_impersonation", "sub": "pairwise"})), "idtyp");
    let cases = [
        (claims(HOME, &world.clock), OPERATOR_IS_IN),
        (without(claims(HOME, &world.clock), "idtyp"), OPERATOR_IS_IN),
        (user(), "User 07070707"),
        (with(user(), json!({"scp": "email user_impersonation"})), "User 07070707"),
        (with(user(), json!({"idtyp": "user"})), "User 07070707"),
        (with(user(), json!({"scp": "openid profile"})), "token.malformed: the token's `scp` lacks `user_impersonation`"),
        (with(user(), json!({"scp": "xuser_impersonation"})), "token.malformed: the token's `scp` lacks"),
        (without(user(), "scp"), "token.malformed: the token has neither `scp` nor the mark of an application"),
        (with(without(user(), "scp"), json!({"idtyp": "user"})), "token.malformed: the token has neither"),
        (with(user(), json!({"idtyp": "device"})), "token.malformed: the token's `idtyp` is neither"),
        (with(user(), json!({"nonce": "n"})), "token.malformed: the token is an identity token"),
        (with(user(), json!({"at_hash": "h"})), "token.malformed: the token is an identity token"),
        (with(user(), json!({"events": {}})), "token.malformed: the token is a security event"),
        (with(user(), json!({"cnf": {"jkt": "x"}})), "token.malformed: the token is bound to a key"),
        (
            with(user(), json!({"aud": "https://management.azure.com"})),
            "token.audience: the token is for `https://management.azure.com`; ask",
        ),
        (with(user(), json!({"aud": "https://management.azure.com/x"})), "token.audience: "),
        (with(user(), json!({"aud": "https://management.azure.com.evil.example/"})), "token.audience: "),
        (with(user(), json!({"aud": "https://vault.azure.net"})), "token.audience: the token is for `https://vault.azure.net`; ask"),
        (with(user(), json!({"aud": ""})), "token.audience: "),
    ];
    for (claims, expected) in cases {
        check(&claims.to_string(), &world.verdict(&world.token_of(&claims)).await, expected);
    }
}

#[tokio::test]
async fn an_issuer_speaks_for_its_own_tenant_with_its_own_keys() {
    let world = World::start().await;
    let own = claims(HOME, &world.clock);
    let stranger = TenantId::from_bytes([3; 16]);
    let personal = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let cases = [
        (with(own.clone(), json!({"iss": format!("https://login.microsoftonline.com/{HOME}/v2.0"), "ver": "2.0"})), OPERATOR_IS_IN),
        (with(own.clone(), json!({"tid": RIVAL})), "token.issuer: the issuer of the token does not speak for the tenant `02020202"),
        (
            with(own.clone(), json!({"iss": issuer_name(RIVAL)})),
            "token.issuer: the issuer of the token does not speak for the tenant `01010101",
        ),
        (with(own.clone(), json!({"tid": RIVAL, "iss": issuer_name(RIVAL)})), "token.signature: the issuer has no key `home`"),
        (with(own.clone(), json!({"iss": issuer_name(HOME).trim_end_matches('/')})), "token.issuer: `https://sts.windows.net/01010101"),
        (with(own.clone(), json!({"iss": format!("{}x", issuer_name(HOME))})), "token.issuer: "),
        (with(own.clone(), json!({"iss": issuer_name(HOME).to_uppercase()})), "token.issuer: "),
        (with(own.clone(), json!({"tid": stranger, "iss": issuer_name(stranger)})), "tenant.unknown: the tenant `03030303"),
        (
            with(own.clone(), json!({"tid": personal, "iss": format!("https://sts.windows.net/{personal}/")})),
            "token.issuer: tokens of personal",
        ),
        (with(own, json!({"tid": personal})), "token.issuer: tokens of personal accounts"),
    ];
    for (claims, expected) in cases {
        check(&claims.to_string(), &world.verdict(&world.token_of(&claims)).await, expected);
    }
}

#[tokio::test]
async fn a_token_of_an_unknown_issuer_causes_no_request_at_all() {
    let world = World::start().await;
    let before = (world.server.connections.load(Ordering::SeqCst), world.rival.connections.load(Ordering::SeqCst));
    let stranger = TenantId::from_bytes([3; 16]);
    let pointing_here = json!({"tid": stranger, "iss": world.server.base, "jku": world.server.base, "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": world.server.base}}});
    world.clock.advance(Duration::from_secs(60));
    for kid in ["home", "rival", "new"] {
        let token = HOME_KEY.token(&header(kid), &with(claims(HOME, &world.clock), pointing_here.clone()).to_string());
        check(kid, &world.verdict(&token).await, "tenant.unknown: ");
    }
    let after = (world.server.connections.load(Ordering::SeqCst), world.rival.connections.load(Ordering::SeqCst));
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_token_counts_from_its_first_to_its_last_second_also_when_cached() {
    let world = World::start().await;
    let now = world.clock.now().as_second();
    let lived = |nbf: Value, exp: Value| world.token_of(&with(claims(HOME, &world.clock), json!({"nbf": nbf, "exp": exp})));
    check("fraction", &world.verdict(&lived(json!(now as f64 + 0.5), json!(now as f64 + 60.75))).await, OPERATOR_IS_IN);
    check("not yet", &world.verdict(&lived(json!(now + 60), json!(now + 120))).await, "token.expired: the token is valid from");
    check("over", &world.verdict(&lived(json!(now - 120), json!(now - 60))).await, "token.expired: the token expired at");
    let later = world.token_of(&with(claims(HOME, &world.clock), json!({"iat": now + 60, "exp": now + 120})));
    check("issued later", &world.verdict(&later).await, "token.expired: the token is valid from");
    let token = lived(json!(now), json!(now + 300));
    check("fresh", &world.verdict(&token).await, OPERATOR_IS_IN);
    check("kept", &world.verdict(&token).await, OPERATOR_IS_IN);
    world.clock.advance(Duration::from_secs(302));
    check("within the leeway", &world.verdict(&token).await, OPERATOR_IS_IN);
    world.clock.advance(Duration::from_secs(4));
    check("beyond the leeway", &world.verdict(&token).await, "token.expired: the token expired at");
}

#[tokio::test]
async fn a_clock_that_is_set_back_treats_a_kept_token_as_any_other() {
    let world = World::start().await;
    let now = world.clock.now().as_second();
    let lived = |sub: &str| world.token_of(&with(claims(HOME, &world.clock), json!({"sub": sub, "nbf": now, "exp": now + 300})));
    let (kept, other) = (lived("kept"), lived("other"));
    for _ in 0..3 {
        check("kept", &world.verdict(&kept).await, OPERATOR_IS_IN);
    }
    assert_eq!(world.verifier.cached_tokens(), 1);
    // The clock is all that tells what has expired: by it the token counts again, kept or not, and its key is still good.
    for (step_s, expected) in
        [(400, "token.expired: the token expired at"), (-200, OPERATOR_IS_IN), (-300, "token.expired: the token is valid from")]
    {
        world.clock.step(crate::clock::SignedDuration::from_secs(step_s));
        check("kept", &world.verdict(&kept).await, expected);
        check("other", &world.verdict(&other).await, expected);
    }
}

#[tokio::test]
async fn a_valid_token_that_comes_again_is_kept_and_then_found() {
    let world = World::start().await;
    let token = world.token();
    let first = world.verify(&token).await.unwrap();
    assert_eq!(world.verifier.cached_tokens(), 0);
    let second = world.verify(&token).await.unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &second));
    assert!(std::sync::Arc::ptr_eq(&second, &world.verify(&token).await.unwrap()));
    assert_eq!(world.verifier.cached_tokens(), 1);
    check("refused", &world.verdict(&format!("{token}A")).await, "token.");
    assert_eq!(world.verifier.cached_tokens(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_by_one_load_and_a_removed_one_ends_its_cached_tokens() {
    let mut world = World::start().await;
    let (old, new_key) = (world.token(), TestKey::rsa(aws_lc_rs::rsa::KeySize::Rsa2048));
    check("old key", &world.verdict(&old).await, OPERATOR_IS_IN);
    let kept = world.verify(&old).await.unwrap();
    world.server.keys.send_replace(key_set(&[HOME_KEY.jwk("home"), new_key.jwk("new")]));
    let new = new_key.token(&header("new"), &claims(HOME, &world.clock).to_string());
    check("within the floor", &world.verdict(&new).await, "token.signature: the issuer has no key `new`");
    assert_eq!(*world.server.asked.borrow(), 1);
    world.clock.advance(Duration::from_secs(11));
    check("after the floor", &world.verdict(&new).await, OPERATOR_IS_IN);
    assert_eq!(*world.server.asked.borrow(), 2);
    assert!(std::sync::Arc::ptr_eq(&kept, &world.verify(&old).await.unwrap()), "a key that stays keeps its tokens cached");

    world.server.keys.send_replace(key_set(&[new_key.jwk("new")]));
    check("still unknown to the gateway", &world.verdict(&old).await, OPERATOR_IS_IN);
    world.clock.advance(Duration::from_mins(10));
    world.server.asked_times(3).await;
    let gone = "token.signature: the issuer has no key `home`";
    let until_gone = async {
        while !world.verdict(&old).await.starts_with(gone) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), until_gone).await.unwrap();
    check("new key", &world.verdict(&new).await, OPERATOR_IS_IN);
}

#[tokio::test]
async fn a_key_of_the_same_name_and_other_material_ends_cached_tokens() {
    let world = World::start().await;
    let token = world.token();
    check("before", &world.verdict(&token).await, OPERATOR_IS_IN);
    check("kept", &world.verdict(&token).await, OPERATOR_IS_IN);
    world.server.keys.send_replace(key_set(&[RIVAL_KEY.jwk("home")]));
    world.clock.advance(Duration::from_secs(11));
    let unknown = HOME_KEY.token(&header("any"), &claims(HOME, &world.clock).to_string());
    check("load", &world.verdict(&unknown).await, "token.signature: the issuer has no key `any`");
    check("after", &world.verdict(&token).await, "token.signature: the signature of the token is wrong");
}

#[tokio::test]
async fn many_requests_with_an_unknown_key_cause_one_load() {
    let world = World::start().await;
    world.clock.advance(Duration::from_secs(11));
    let tokens: Vec<_> = (0..50).map(|n| HOME_KEY.token(&header(&format!("k{n}")), &claims(HOME, &world.clock).to_string())).collect();
    let verdicts = tokens.iter().map(|token| world.verdict(token));
    for verdict in join_all(verdicts).await {
        check("unknown", &verdict, "token.signature: the issuer has no key");
    }
    assert_eq!(*world.server.asked.borrow(), 2);
}

async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(move |context| {
        for (future, output) in pending.iter_mut().filter(|(_future, output)| output.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        match pending.iter().all(|(_future, output)| output.is_some()) {
            true => std::task::Poll::Ready(pending.iter_mut().filter_map(|(_future, output)| output.take()).collect()),
            false => std::task::Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn keys_outlive_their_issuers_outage_for_a_day() {
    let world = World::start().await;
    world.server.keys.send_replace("not a key set".to_owned());
    world.clock.advance(Duration::from_hours(23));
    check("an outage", &world.verdict(&world.token()).await, OPERATOR_IS_IN);
    let token = world.token();
    check("seen", &world.verdict(&token).await, OPERATOR_IS_IN);
    check("kept", &world.verdict(&token).await, OPERATOR_IS_IN);
    world.clock.advance(Duration::from_mins(61));
    let fresh = world.token();
    check("a day of it", &world.verdict(&fresh).await, "token.signature: the keys of the issuer of tenant `01010101");
    world.server.keys.send_replace(key_set(&[HOME_KEY.jwk("home")]));
    world.clock.advance(Duration::from_secs(31));
    check("its end", &world.verdict(&fresh).await, OPERATOR_IS_IN);
}

#[tokio::test]
async fn a_changed_issuer_or_a_suspended_tenant_ends_cached_tokens_at_once() {
    let world = World::start().await;
    let token = world.token();
    check("before", &world.verdict(&token).await, OPERATOR_IS_IN);
    check("kept", &world.verdict(&token).await, OPERATOR_IS_IN);
    world.publish(|tenant| tenant.suspended = tenant.id == HOME);
    check("suspended", &world.verdict(&token).await, "tenant.suspended: the tenant `01010101");
    world.publish(|tenant| tenant.suspended = false);
    check("resumed", &world.verdict(&token).await, OPERATOR_IS_IN);
    world.publish(|tenant| {
        if let Some(issuer) = tenant.issuers.first_mut() {
            issuer.names.retain(|name| name.starts_with("https://login."));
        }
    });
    check("renamed", &world.verdict(&token).await, "token.issuer: `https://sts.windows.net/01010101");
    world.publish(|tenant| {
        if let (HOME, Some(issuer)) = (tenant.id, tenant.issuers.first_mut()) {
            issuer.names = vec![issuer_name(HOME)];
            issuer.keys = crate::directory::KeySource::KeySetUrl(format!("{}/keys", world.rival.base));
        }
    });
    check("other keys", &world.verdict(&token).await, "token.signature: the issuer has no key `home`");
    world.publish(|tenant| tenant.issuers.clear());
    check("no issuer", &world.verdict(&token).await, "token.issuer: ");
}

#[tokio::test]
async fn an_issuer_that_comes_back_does_not_bring_its_old_keys_along() {
    let world = World::start().await;
    let token = world.token();
    check("before", &world.verdict(&token).await, OPERATOR_IS_IN);
    check("kept", &world.verdict(&token).await, OPERATOR_IS_IN);
    let keys_at = |base: &str| {
        let source = crate::directory::KeySource::KeySetUrl(format!("{base}/keys"));
        world.publish(|tenant| {
            if let (HOME, Some(issuer)) = (tenant.id, tenant.issuers.first_mut()) {
                issuer.keys = source.clone();
            }
        });
    };
    keys_at(&world.rival.base);
    check("away", &world.verdict(&token).await, "token.signature: the issuer has no key `home`");
    world.server.keys.send_replace(key_set(&[RIVAL_KEY.jwk("home")]));
    keys_at(&world.server.base);
    check("back with another key", &world.verdict(&token).await, "token.signature: the signature of the token is wrong");
}

#[tokio::test]
async fn an_issuer_that_two_tenants_claim_speaks_for_neither() {
    let world = World::start().await;
    world.publish(|tenant| {
        if let Some(issuer) = tenant.issuers.first_mut() {
            issuer.names = vec![issuer_name(HOME)];
        }
    });
    check("shared", &world.verdict(&world.token()).await, "token.issuer: `https://sts.windows.net/01010101");
}

#[tokio::test]
async fn other_algorithms_count_where_the_issuer_uses_them() {
    let world = World::start().await;
    let (p256, ed25519, rsa) = (TestKey::p256(), TestKey::ed25519(), with(HOME_KEY.jwk("pss"), json!({"alg": "PS256"})));
    world.server.keys.send_replace(key_set(&[p256.jwk("p256"), ed25519.jwk("ed"), rsa, RIVAL_KEY.jwk("rsa")]));
    world.publish(|tenant| {
        if let (HOME, Some(issuer)) = (tenant.id, tenant.issuers.first_mut()) {
            use SignatureAlgorithm::{EdDsa, Es256, Ps256, Rs256};
            issuer.algorithms = vec![Rs256, Ps256, Es256, EdDsa];
        }
    });
    let payload = claims(HOME, &world.clock).to_string();
    let header = |algorithm: &str, kid: &str| json!({"alg": algorithm, "kid": kid}).to_string();
    check("ES256", &world.verdict(&p256.token(&header("ES256", "p256"), &payload)).await, OPERATOR_IS_IN);
    check("EdDSA", &world.verdict(&ed25519.token(&header("EdDSA", "ed"), &payload)).await, OPERATOR_IS_IN);
    check("PS256", &world.verdict(&HOME_KEY.token(&header("PS256", "pss"), &payload)).await, OPERATOR_IS_IN);
    check("RS256", &world.verdict(&RIVAL_KEY.token(&header("RS256", "rsa"), &payload)).await, OPERATOR_IS_IN);
    let pinned = "token.signature: the token is signed with `RS256`, which its issuer or its key does not use";
    check("RS256 by a PS256 key", &world.verdict(&HOME_KEY.token(&header("RS256", "pss"), &payload)).await, pinned);
    let signed = format!("{}.{}", base64url(header("ES256", "p256")), base64url(&payload));
    check(
        "psychic",
        &world.verdict(&format!("{signed}.{}", base64url([0; 64]))).await,
        "token.signature: the signature of the token is wrong",
    );
}

#[tokio::test]
async fn groups_come_from_the_token_or_where_there_are_too_many_from_the_directory() {
    let world = World::start().await;
    let group = |n| ObjectId::from_bytes([n; 16]);
    let caller = async |members: Value| world.verify(&world.token_of(&with(claims(HOME, &world.clock), members))).await.unwrap();
    let (listed, none) = (caller(json!({"groups": [group(9), group(3), group(3)]})).await, caller(json!({"uti": "t-2"})).await);
    let overage = caller(json!({"_claim_names": {"groups": "s"}, "_claim_sources": {"s": {"endpoint": world.server.base}}})).await;
    let mut directory = directory(1, Vec::new());
    let ids = |caller: &super::Caller, directory: &crate::directory::Directory| {
        let principals = caller.principals(directory);
        let ids: Vec<_> = principals.ids().iter().map(|id| (id.tenant, id.object.as_bytes()[0])).collect();
        (principals.source, ids)
    };
    assert_eq!(ids(&listed, &directory), (GroupSource::Token(2), vec![(HOME, 3), (HOME, 7), (HOME, 9)]));
    assert_eq!(ids(&none, &directory), (GroupSource::Token(0), vec![(HOME, 7)]));
    assert_eq!(ids(&overage, &directory), (GroupSource::Unresolved, vec![(HOME, 7)]));
    know(&mut directory, PrincipalId { tenant: RIVAL, object: OPERATOR }, vec![group(4)]);
    assert_eq!(ids(&overage, &directory), (GroupSource::Unresolved, vec![(HOME, 7)]));
    know(&mut directory, PrincipalId { tenant: HOME, object: OPERATOR }, vec![group(8), group(2)]);
    assert_eq!(ids(&overage, &directory), (GroupSource::Directory(2), vec![(HOME, 2), (HOME, 7), (HOME, 8)]));
    assert_eq!(ids(&listed, &directory), (GroupSource::Token(2), vec![(HOME, 3), (HOME, 7), (HOME, 9)]));
}

#[tokio::test]
async fn the_same_object_id_in_another_tenant_is_somebody_else() {
    let world = World::start().await;
    let home = world.verify(&world.token()).await.unwrap();
    let rival = RIVAL_KEY.token(&header("rival"), &claims(RIVAL, &world.clock).to_string());
    let rival = world.verify(&rival).await.unwrap();
    assert_eq!(home.principal.object, rival.principal.object);
    assert_ne!(home.principal, rival.principal);
    assert_eq!(rival.tenant(), RIVAL);
}

#[tokio::test]
async fn a_caller_carries_what_records_and_the_backend_are_told() {
    let world = World::start().await;
    let user = json!({"scp": "user_impersonation", "idtyp": "user", "upn": "ann@home.example", "name": "Ann", "acct": 1, "amr": ["pwd", "mfa"],
        "wids": ["62e90394-69f5-4237-9190-012177145e10"], "xms_cc": ["CP1"], "idp": "https://idp.example/", "ver": "2.0",
        "act": {"sub": "somebody"}, "actor": "a.b.c"});
    let caller = world.verify(&world.token_of(&with(claims(HOME, &world.clock), user))).await.unwrap();
    assert_eq!((caller.kind, &*caller.name), (CallerKind::User, "ann@home.example"));
    assert_eq!((caller.guest, caller.mfa, caller.claims_challenge), (true, true, true));
    assert_eq!(caller.client.unwrap().to_string(), "09090909-0909-0909-0909-090909090909");
    assert_eq!(caller.app_id_acr.unwrap().digit(), "1");
    assert_eq!((&*caller.issuer, &*caller.audience), (&*issuer_name(HOME), AUDIENCE));
    assert_eq!((caller.token_id.as_deref(), caller.identity_provider.as_deref()), (Some("t-1"), Some("https://idp.example/")));
    assert_eq!(caller.expires_at.as_second() - caller.issued_at.as_second(), 3600);
    assert_eq!((caller.wids.len(), caller.amr.len(), caller.version), (1, 2, super::TokenVersion::V2));
}

#[tokio::test]
async fn the_cache_never_holds_more_than_it_may() {
    let world = World::with_limits(CacheLimits { tokens_max: 8, bytes_max: 1024 * 1024 }).await;
    for n in 0..30 {
        let token = world.token_of(&with(claims(HOME, &world.clock), json!({ "uti": format!("t{n}") })));
        check("valid", &world.verdict(&token).await, OPERATOR_IS_IN);
        check("again", &world.verdict(&token).await, OPERATOR_IS_IN);
        assert!(world.verifier.cached_tokens() <= 8);
    }
    assert!(world.verifier.cached_tokens() >= 7);
    let tight = World::with_limits(CacheLimits { tokens_max: 8, bytes_max: 5000 }).await;
    for n in 0..5 {
        let token = tight.token_of(&with(claims(HOME, &tight.clock), json!({ "uti": format!("t{n}") })));
        check("valid", &tight.verdict(&token).await, OPERATOR_IS_IN);
        check("again", &tight.verdict(&token).await, OPERATOR_IS_IN);
        assert!(tight.verifier.cached_tokens() <= 2);
    }
}

#[tokio::test]
async fn the_upkeep_ends_on_stop() {
    let world = World::start().await;
    assert_eq!(world.store.status().iter().map(|status| status.usable_keys).collect::<Vec<_>>(), [1, 1]);
    world.stop.send_replace(true);
    tokio::time::timeout(Duration::from_secs(10), world.upkeep).await.unwrap().unwrap();
}
