//! Submitted forms: each field once, and read as everybody reads it.

use steward::form::{FIELDS_MAX, Form};

use super::unescaped_bytes;

pub(super) fn run(data: &[u8]) {
    let Ok(mut form) = Form::parse(data) else { return };
    let read = |half: &[u8]| {
        let spaced: Vec<u8> = half.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        String::from_utf8(unescaped_bytes(&spaced)).expect("text, for it was accepted")
    };
    let mut fields: Vec<(String, String)> = Vec::new();
    for pair in data.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        fields.push((read(name), read(value.strip_prefix(b"=").unwrap_or_default())));
    }
    assert!(fields.len() <= FIELDS_MAX);
    for (name, value) in &fields {
        assert_eq!(fields.iter().filter(|(other, _)| other == name).count(), 1, "{name} stands twice");
        assert_eq!(form.get(name), Some(&**value).filter(|value| !value.is_empty()), "{name}");
    }
    form.set_default("a field of ours", "x".to_owned());
    assert!(form.get("a field of ours").is_some());
}
