//! Client assertions: a service principal signs in with its certificate. Source: RFC 7523 §2.2.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;

use super::accounts::ServicePrincipal;
use super::certificate::{Algorithm, Thumbprint};
use super::refusal::Refusal;

/// How far the client's clock may be off, in seconds. MSAL for JavaScript rounds `nbf` up into the future.
const LEEWAY_S: f64 = 300.0;

#[derive(Deserialize)]
struct Header {
    alg: String,
    x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    aud: String,
    /// Azure CLI sends dates with fractions of a second.
    exp: f64,
    nbf: Option<f64>,
}

const fn refused(why: &'static str) -> Refusal {
    Refusal::AssertionRefused { why }
}

/// Checks that this service principal signed this assertion for one of these token endpoints, and for now.
pub(super) fn check(assertion: &str, principal: &ServicePrincipal, endpoints: &[String], now: Timestamp) -> Result<(), Refusal> {
    let certificate = principal.certificate.as_ref().ok_or(refused("no certificate is registered for the application"))?;
    let (message, signature) = assertion.rsplit_once('.').ok_or(refused("it is not a signed JWT"))?;
    let (header, payload) = message.split_once('.').ok_or(refused("it is not a signed JWT"))?;
    let header: Header = decoded(header).ok_or(refused("its header cannot be read"))?;
    let algorithm = match header.alg.as_str() {
        "RS256" => Algorithm::Rs256,
        "PS256" => Algorithm::Ps256,
        _ => return Err(refused("its algorithm is not allowed; allowed: RS256, PS256")),
    };
    let thumbprint = header.x5t_s256.map(Thumbprint::Sha256).or_else(|| header.x5t.map(Thumbprint::Sha1));
    let thumbprint = thumbprint.ok_or(refused("its header names no certificate; it needs `x5t#S256` or `x5t`"))?;
    if !certificate.is(&thumbprint) {
        return Err(refused("the certificate it names is not registered for the application"));
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok().ok_or(refused("its signature cannot be read"))?;
    if !certificate.has_signed(algorithm, message.as_bytes(), &signature) {
        return Err(refused("its signature is wrong"));
    }
    let payload: Payload = decoded(payload).ok_or(refused("its claims cannot be read"))?;
    check_payload(&payload, principal, endpoints, now)
}

fn check_payload(payload: &Payload, principal: &ServicePrincipal, endpoints: &[String], now: Timestamp) -> Result<(), Refusal> {
    let client = principal.client.to_string();
    if ![&payload.iss, &payload.sub].into_iter().all(|claim| claim.eq_ignore_ascii_case(&client)) {
        return Err(refused("its `iss` and `sub` are not both the client id"));
    }
    if !endpoints.contains(&payload.aud) {
        return Err(refused("its `aud` is not this token endpoint"));
    }
    let now_s = now.as_duration().as_secs_f64();
    let begun = payload.nbf.is_none_or(|nbf| nbf <= now_s + LEEWAY_S);
    let ended = payload.exp <= now_s - LEEWAY_S;
    if begun && !ended { Ok(()) } else { Err(Refusal::AssertionUntimely { now }) }
}

fn decoded<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
