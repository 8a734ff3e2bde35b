//! Programs that are run on bytes made by chance, and what has to hold whatever the bytes are: `docs/fuzzing.md`.
//!
//! This is compiled twice. `fuzz_targets` hands each function to libFuzzer; `tests/fuzz_corpus.rs` of the product includes this file and runs the
//! same functions over the files in `corpus`, without libFuzzer, in every `cargo test`. A function panics when what it promises does not hold.

mod action;
mod body;
mod config;
mod decision;
mod diagnosed;
mod form;
mod framing;
mod odata;
mod path;
mod policy;
mod template;
mod token;
#[path = "../../common/twin.rs"]
mod twin;

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// Every target: its name, which is that of its folder in `corpus`, and what it does.
pub const TARGETS: [(&str, Target); 11] = [
    ("action", action::run),
    ("body", body::run),
    ("config", config::run),
    ("decision", decision::run),
    ("form", form::run),
    ("framing", framing::run),
    ("odata", odata::run),
    ("path", path::run),
    ("policy", policy::run),
    ("template", template::run),
    ("token", token::run),
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none, or when what it promises does not hold.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name");
    target(data);
}

/// The text with its percent-escapes undone once, as a careless reader does it: what is no escape stays.
fn unescaped(text: &str) -> String {
    String::from_utf8_lossy(&unescaped_bytes(text.as_bytes())).into_owned()
}

fn unescaped_bytes(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|digits| *byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        out.push(value.unwrap_or(*byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}
