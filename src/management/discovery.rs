//! `/metadata/endpoints`: from this one document a client learns where to sign in and which audience to ask a token for.

use serde_json::{Value, json};

use crate::arm::query::ApiVersion;

/// What the document says.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// Name of the cloud.
    pub name: String,
    /// `https://login.example`: the tenant becomes the first segment of its path.
    pub login_endpoint: String,
    /// The audience that clients ask tokens for.
    pub audience: String,
    /// Locations of the cloud, for clients that cache them.
    pub locations: Vec<String>,
}

/// The document in the shape of the version asked for: an object since 2022, a list before, flat before that.
///
/// Source: measured with Azure CLI 2.91 and Terraform 1.11; neither tolerates a trailing slash at the two endpoints.
#[must_use]
pub fn document(discovery: &Discovery, authority: &str, version: &ApiVersion) -> Value {
    match version.as_str() {
        date if date >= "2021" => cloud(discovery, authority),
        date if date >= "2019" => json!([cloud(discovery, authority)]),
        date if date >= "2018" => {
            let mut document = flat(discovery, authority);
            if let Some(members) = document.as_object_mut() {
                let endpoint = json!({ &discovery.name: { "endpoint": authority, "locations": discovery.locations } });
                members.insert("graphAudience".to_owned(), format!("https://{authority}/graph/").into());
                members.insert("cloudEndpoint".to_owned(), endpoint);
            }
            document
        }
        _ => flat(discovery, authority),
    }
}

fn flat(discovery: &Discovery, authority: &str) -> Value {
    json!({
        "galleryEndpoint": format!("https://{authority}/gallery/"),
        "graphEndpoint": format!("https://{authority}/graph/"),
        "portalEndpoint": format!("https://{authority}/portal/"),
        "authentication": { "loginEndpoint": discovery.login_endpoint, "audiences": [discovery.audience] },
    })
}

fn cloud(discovery: &Discovery, authority: &str) -> Value {
    let own = |path: &str| format!("https://{authority}/{path}");
    json!({
        "name": discovery.name,
        "portal": own("portal/"),
        "resourceManager": format!("https://{authority}"),
        "microsoftGraphResourceId": own("msgraph/"),
        "graph": own("graph/"),
        "graphAudience": own("graph/"),
        "gallery": own("gallery/"),
        "batch": own("batch/"),
        "media": own("media/"),
        "sqlManagement": own("sql/"),
        "authentication": {
            "loginEndpoint": discovery.login_endpoint,
            "audiences": [discovery.audience],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        // Data-plane hosts are the cloud's own and are never served here.
        "suffixes": {
            "acrLoginServer": "azurecr.io",
            "keyVaultDns": "vault.azure.net",
            "mhsmDns": "managedhsm.azure.net",
            "sqlServerHostname": "database.windows.net",
            "storage": "core.windows.net",
        },
        "appInsightsResourceId": "https://api.applicationinsights.io",
        "appInsightsTelemetryChannelResourceId": "https://dc.applicationinsights.azure.com/v2/track",
        "attestationResourceId": "https://attest.azure.net",
        "logAnalyticsResourceId": "https://api.loganalytics.io",
        "ossrDbmsResourceId": "https://ossrdbms-aad.database.windows.net",
        "synapseAnalyticsResourceId": "https://dev.azuresynapse.net",
    })
}
