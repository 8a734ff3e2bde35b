//! What a client reads before it signs in.

use serde_json::{Value, json};

use super::accounts::Version;
use super::claims;
use super::routes::Authority;

/// The `OpenID` Connect discovery document of one authority.
///
/// Endpoints begin with the authority as the client wrote it, so that the client finds its own spelling again. Clients want
/// `authorization_endpoint` and `response_types_supported` to be there; nobody signs in by browser redirect here.
pub(super) fn document(base_url: &str, authority: &Authority, version: Version) -> Value {
    let at = |path: &str| format!("{base_url}/{}/{path}", authority.segment());
    let v2 = |v1: &str, v2: &str| at(if version == Version::V1 { v1 } else { v2 });
    let issuer = match authority.tenant() {
        Some(tenant) => claims::issuer(base_url, tenant, version),
        // The identity platform's own placeholder: the tenant is known only when somebody has signed in.
        None => format!("{base_url}/{{tenantid}}/{}", if version == Version::V1 { "" } else { "v2.0" }),
    };
    json!({
        "issuer": issuer,
        "authorization_endpoint": v2("oauth2/authorize", "oauth2/v2.0/authorize"),
        "token_endpoint": v2("oauth2/token", "oauth2/v2.0/token"),
        "device_authorization_endpoint": at("oauth2/v2.0/devicecode"),
        "jwks_uri": v2("discovery/keys", "discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"],
        "grant_types_supported": [
            "client_credentials", "password", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": [
            "aud", "exp", "iat", "iss", "name", "nbf", "oid", "preferred_username", "sub", "tid", "ver",
        ],
    })
}

/// What MSAL asks before it sends a password: whether the user's password is known here.
pub(super) fn user_realm(username: &str) -> Value {
    let domain = username.rsplit_once('@').map_or("", |(_, domain)| domain);
    json!({ "ver": "1.0", "account_type": "Managed", "domain_name": domain, "cloud_instance_name": "steward" })
}
