//! Loading the keys of one issuer from where the policy says they are.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::fetch::{DOCUMENT_BYTES_MAX, FetchError, Fetcher};
use super::key_set::{KeySet, KeySetError};
use super::strict;
use crate::directory::{KeySource, TokenIssuer};

/// Loads the keys that `issuer` signs with at present.
///
/// # Errors
/// When they cannot be reached, are no key set, or the discovery document is another issuer's.
pub(super) async fn load(fetcher: &Fetcher, issuer: &TokenIssuer) -> Result<KeySet, KeyLoadError> {
    let json = match &issuer.keys {
        KeySource::Discovery(url) => {
            let document = fetcher.get(url).await?;
            fetcher.get(&keys_address(url, &document, issuer)?).await?.into()
        }
        KeySource::KeySetUrl(url) => fetcher.get(url).await?.into(),
        KeySource::File(path) => read(path).await?,
        KeySource::Inline(text) => text.as_bytes().to_vec(),
    };
    Ok(KeySet::parse(&json, &issuer.algorithms)?)
}

/// The `jwks_uri` of a discovery document. Source: `OpenID` Connect Discovery 1.0 §4.3 for the check of `issuer`.
fn keys_address(url: &str, document: &[u8], issuer: &TokenIssuer) -> Result<String, KeyLoadError> {
    let document = strict::object(document).map_err(|cause| KeyLoadError::NotJson { url: url.to_owned(), cause })?;
    let text = |name: &'static str| {
        let found = document.get(name).and_then(Value::as_str);
        found.ok_or_else(|| KeyLoadError::Member { url: url.to_owned(), name })
    };
    let named = text("issuer")?;
    if !issuer.names.iter().any(|name| name == named) {
        return Err(KeyLoadError::AnotherIssuer { url: url.to_owned(), named: named.to_owned() });
    }
    text("jwks_uri").map(str::to_owned)
}

async fn read(path: &Path) -> Result<Vec<u8>, KeyLoadError> {
    let unreadable = |cause| KeyLoadError::File { path: path.to_owned(), cause };
    let mut json = Vec::new();
    let bytes_max = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX);
    // A longer file is cut here and is then no JSON.
    File::open(path).await.map_err(unreadable)?.take(bytes_max).read_to_end(&mut json).await.map_err(unreadable)?;
    Ok(json)
}

/// Why the keys of an issuer were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyLoadError {
    /// The loading was given up before its end.
    #[error("loading was given up")]
    Abandoned,
    /// The discovery document is another issuer's.
    #[error("`{url}` is the document of issuer `{named}`, which the tenant's policy does not name")]
    AnotherIssuer {
        /// The address.
        url: String,
        /// Its `issuer`.
        named: String,
    },
    /// An address could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file could not be read.
    #[error("the key file `{}` cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        cause: std::io::Error,
    },
    /// The discovery document lacks something.
    #[error("the document of `{url}` has no text `{name}`")]
    Member {
        /// The address.
        url: String,
        /// What is absent.
        name: &'static str,
    },
    /// The discovery document is no JSON object.
    #[error("the answer of `{url}` is not one JSON object in which every name is unique")]
    NotJson {
        /// The address.
        url: String,
        /// What the reader says.
        #[source]
        cause: serde_json::Error,
    },
    /// What was loaded is no usable key set.
    #[error(transparent)]
    Set(#[from] KeySetError),
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::RootCertStore;

    use super::super::testing::{HOME, HOME_KEY, KeyServer, RIVAL, issuer, key_set};
    use super::*;
    use crate::ids::{RequestId, TenantId};

    async fn keys_of(tenant: TenantId, source: KeySource) -> Result<usize, String> {
        let fetcher = Fetcher::new(RootCertStore::empty()).unwrap();
        load(&fetcher, &issuer(tenant, source)).await.map(|set| set.len()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn keys_are_discovered_only_through_a_document_of_the_tenants_own_issuer() {
        let server = KeyServer::start(key_set(&[HOME_KEY.jwk("a")]), None).await;
        let source = || KeySource::Discovery(format!("{}/discovery", server.base));
        assert_eq!(keys_of(HOME, source()).await, Ok(1));
        assert_eq!(*server.asked.borrow(), 2);
        let refused = keys_of(RIVAL, source()).await.unwrap_err();
        assert!(refused.ends_with("which the tenant's policy does not name"), "{refused}");
        assert_eq!(*server.asked.borrow(), 3);
        let no_document = keys_of(HOME, KeySource::Discovery(format!("{}/keys", server.base))).await;
        assert_eq!(no_document, Err(format!("the document of `{}/keys` has no text `issuer`", server.base)));
    }

    #[tokio::test]
    async fn keys_are_read_from_a_file() {
        let path = std::env::temp_dir().join(format!("steward-keys-{}.json", RequestId::random()));
        let absent = keys_of(HOME, KeySource::File(path.clone())).await;
        assert_eq!(absent, Err(format!("the key file `{}` cannot be read", path.display())));
        std::fs::write(&path, key_set(&[HOME_KEY.jwk("a")])).unwrap();
        assert_eq!(keys_of(HOME, KeySource::File(path.clone())).await, Ok(1));
        std::fs::remove_file(&path).unwrap();
    }
}
