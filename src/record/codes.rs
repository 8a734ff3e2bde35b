//! The pages of `docs/codes/`, inside the binary.

/// The page of a reason code.
#[must_use]
pub fn page(code: &str) -> Option<&'static str> {
    let _ = code;
    None
}

/// All reason codes.
pub fn all() -> impl Iterator<Item = &'static str> {
    std::iter::empty()
}
