//! Refresh tokens that carry their own content, sealed: nothing to store, and they survive a restart.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::keys::KeyError;
use super::refusal::Refusal;
use crate::files::{self, Readers};
use crate::ids::ClientId;

/// A refresh token not used for this long is worth nothing. Source: identity platform, refresh token lifetime, 90 days.
pub(super) const REFRESH_LIFETIME_S: i64 = 90 * 86_400;

const KEY_BYTES: usize = 32;

/// What a refresh token stands for: a user, in whichever of her tenants it is presented, and the client that got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) username: String,
    pub(super) client: ClientId,
    pub(super) audience: String,
    /// Unix time in seconds.
    pub(super) expires_at: i64,
}

/// Seals and opens refresh tokens with a key of this issuer's own.
#[derive(Debug)]
pub(super) struct Sealer {
    key: RandomizedNonceKey,
    file: PathBuf,
}

impl Sealer {
    /// With the key in this file, made if there is none.
    pub(super) fn open_or_make(file: &Path) -> Result<Self, KeyError> {
        let key = match fs::read(file) {
            Ok(key) => key,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => make(file)?,
            Err(cause) => return Err(KeyError::Folder { folder: file.to_owned(), cause }),
        };
        let unusable = |_unspecified: Unspecified| KeyError::Sealing { file: file.to_owned() };
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(unusable)?;
        Ok(Self { key, file: file.to_owned() })
    }

    pub(super) fn seal(&self, remembered: &Remembered) -> Result<String, KeyError> {
        let mut sealed = json!(remembered).to_string().into_bytes();
        let nonce = self.key.seal_in_place_append_tag(Aad::empty(), &mut sealed);
        let nonce = nonce.map_err(|_unspecified: Unspecified| KeyError::Sealing { file: self.file.clone() })?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    /// What the token stands for.
    ///
    /// # Errors
    /// When this issuer did not seal it, it is another client's, or it has expired.
    pub(super) fn open(&self, token: &str, client: ClientId, now_s: i64) -> Result<Remembered, Refusal> {
        let remembered = self.unsealed(token).filter(|remembered| remembered.client == client);
        let remembered = remembered.ok_or(Refusal::RefreshMalformed)?;
        if remembered.expires_at <= now_s { Err(Refusal::RefreshExpired) } else { Ok(remembered) }
    }

    fn unsealed(&self, token: &str) -> Option<Remembered> {
        let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.key.open_in_place(nonce, Aad::empty(), sealed).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

fn make(file: &Path) -> Result<Vec<u8>, KeyError> {
    let mut key = vec![0; KEY_BYTES];
    rand::fill(&mut key).map_err(|_unspecified: Unspecified| KeyError::Sealing { file: file.to_owned() })?;
    files::replace(file, &key, Readers::Owner)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_is_opened_only_for_its_client_and_in_time() {
        let folder = std::env::temp_dir().join(format!("steward-refresh-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let sealer = || Sealer::open_or_make(&folder.join("refresh.key")).unwrap();
        let (client, audience) = (ClientId::random(), "https://x".to_owned());
        let remembered = Remembered { username: "mara@ostra.example".to_owned(), client, audience, expires_at: 100 };
        let token = sealer().seal(&remembered).unwrap();

        let reopened = sealer();
        assert_eq!(reopened.open(&token, client, 99).unwrap(), remembered, "the key survives a restart");
        assert!(matches!(reopened.open(&token, client, 100), Err(Refusal::RefreshExpired)));
        assert!(matches!(reopened.open(&token, ClientId::random(), 99), Err(Refusal::RefreshMalformed)));
        let forged = format!("{}{}", if token.starts_with('A') { 'B' } else { 'A' }, token.chars().skip(1).collect::<String>());
        assert!(matches!(reopened.open(&forged, client, 99), Err(Refusal::RefreshMalformed)));
        assert!(matches!(reopened.open("", client, 99), Err(Refusal::RefreshMalformed)));
        fs::remove_dir_all(folder).unwrap();
    }
}
