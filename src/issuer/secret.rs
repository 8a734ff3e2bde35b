//! Secrets that cannot be printed by accident, and random texts.

use std::fmt;
use std::hint::black_box;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serializer};
use uuid::Uuid;

/// A client secret or a password. It has no `Display`, and `Debug` prints `<secret>`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// This text as a secret.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// A new random secret of 43 characters that need no quoting in a shell, a URL or a form.
    #[must_use]
    pub fn random() -> Self {
        Self(random_text())
    }

    /// The text itself, for the file that keeps it and the client that presents it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is this secret. How long it takes tells nothing about where they differ.
    #[must_use]
    pub fn is(&self, candidate: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), candidate.as_bytes()).is_ok()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // Without a reader the compiler may leave the writing out.
        black_box(&bytes);
    }
}

/// Writes a secret into the accounts file, the one place that keeps it. Not `Serialize`, or any JSON could hold it.
#[expect(clippy::ref_option, reason = "serde calls it with a reference")]
pub(super) fn expose<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => serializer.serialize_str(secret.expose()),
        None => serializer.serialize_none(),
    }
}

/// 64 hexadecimal digits, of 244 random bits. A text that began with `-` would pass for an option of a command line.
pub(super) fn random_text() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed_and_matches_only_itself() {
        let secret = Secret::new("open sesame".to_owned());
        assert_eq!(format!("{secret:?}"), "<secret>");
        assert!(secret.is("open sesame"));
        assert!(!secret.is("open sesam"));
        assert!(!secret.is("open sesame "));
        assert!(!Secret::random().is(Secret::random().expose()));
    }

    #[test]
    fn a_random_secret_needs_no_quoting() {
        let secret = Secret::random();
        assert_eq!(secret.expose().len(), 64);
        assert!(secret.expose().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
