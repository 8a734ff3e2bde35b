//! From a bearer token to a caller.
//!
//! One `Authorization` field holds one JSON Web Token. Its issuer is looked up by name, exactly; an issuer speaks for one
//! tenant and signs with its own keys, which are loaded from where the policy says or, for an account, are part of the snapshot; everything a token says is believed only after its signature was verified with one of
//! them. What a valid token proved is kept and found again by the bytes of the token, for as long as the token, the very key
//! that verified it, and its tenant's issuer all stand.
//!
//! This module never calls an address that a token names, never tries a key of another issuer, never decides by a display
//! name, and never writes a token anywhere. The signature itself is verified by `jsonwebtoken`; every other rule is here,
//! because that crate leaves `crit`, `typ`, duplicate members and the binding of keys to issuers to its user.

mod auxiliary;
mod bearer;
mod cache;
mod caller;
mod claims;
mod compact;
mod error;
mod fetch;
mod issuer_keys;
mod issuers;
mod key_load;
mod key_set;
mod key_store;
mod strict;
mod trusted;
mod verifier;

#[cfg(test)]
mod forgeries;
#[cfg(test)]
pub(crate) mod testing;

pub use auxiliary::{AuxiliaryError, Signed};
pub use cache::CacheLimits;
pub use caller::{Caller, CallerKind, ClientProof, GroupSource, Groups, Owner, Principals, SIGNED_UP, Standing, TokenVersion};
pub use error::{Flaw, Part, Quoted, TokenError};
pub use fetch::{FetchError, Fetcher};
pub use issuer_keys::KeyTimes;
pub use key_load::KeyLoadError;
pub use key_set::{KeySetError, RsaProblem};
pub use key_store::{KeyStatus, KeyStore, KeyUpkeep};
pub use trusted::{ISSUER_NAME_BYTES_MAX, NotATrustedIssuer, TRUSTED_KEYS_BYTES_MAX, check_trusted_issuer};
pub use verifier::Verifier;
