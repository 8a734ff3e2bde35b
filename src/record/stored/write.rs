//! A line, from the evidence of a request.

use super::super::audit::LineHasher;
use super::super::entry;
use super::evidence::Evidence;
use super::frame::Frame;
use super::text::{Times, push_guid, push_json, push_number, push_peer, push_scope, push_text};
use crate::pipeline::{CheckName, Outcome};

/// Writes lines up to their links.
#[derive(Debug, Default)]
pub(in crate::record) struct Scribe {
    times: Times,
    scope: Vec<u8>,
}

impl Scribe {
    /// Appends a record to `line`, without its closing brace, and gives the hash so far.
    pub(in crate::record) fn write(&mut self, line: &mut Vec<u8>, evidence: &Evidence<'_>, frame: &Frame) -> LineHasher {
        line.extend_from_slice(&frame.text);
        let start = line.len();
        self.identity(line, evidence);
        self.request(line, evidence);
        answer(line, evidence);
        checks(line, evidence);
        let mut hasher = frame.hasher.clone();
        hasher.update(line.get(start..).unwrap_or_default());
        hasher
    }

    fn identity(&mut self, line: &mut Vec<u8>, evidence: &Evidence<'_>) {
        let trail = evidence.trail();
        line.extend_from_slice(br#","id":""#);
        let from = line.len();
        push_guid(line, trail.id.as_bytes());
        let is_own_correlation = line.get(from..) == Some(trail.correlation_id.as_bytes());
        line.extend_from_slice(br#"","time":"#);
        self.times.push(line, trail.received);
        if !is_own_correlation {
            member(line, br#","correlation_id":"#, &trail.correlation_id);
        }
        if let Some(id) = &trail.client_request_id {
            member(line, br#","client_request_id":"#, id);
        }
    }

    fn request(&mut self, line: &mut Vec<u8>, evidence: &Evidence<'_>) {
        let trail = evidence.trail();
        member(line, br#","method":"#, &trail.method);
        member(line, br#","path":"#, &trail.path);
        if let Some(scope) = &trail.scope {
            self.scope.clear();
            push_scope(&mut self.scope, scope);
            line.extend_from_slice(br#","scope":"#);
            match std::str::from_utf8(&self.scope) {
                Ok(scope) if trail.path.starts_with(scope) => push_number(line, scope.len() as u64),
                Ok(scope) => push_text(line, scope),
                Err(_cut) => push_json(line, &scope.to_string()),
            }
        }
        list(line, br#","actions":"#, trail.actions.iter().map(crate::arm::action::Action::as_str));
        if let Some(command) = &trail.command {
            member(line, br#","command":"#, command);
        }
        line.extend_from_slice(br#","client":"#);
        push_peer(line, trail.peer);
        member(line, br#","transport":"#, &trail.transport);
    }
}

fn answer(line: &mut Vec<u8>, evidence: &Evidence<'_>) {
    line.extend_from_slice(br#","status":"#);
    push_number(line, evidence.status().into());
    line.extend_from_slice(br#","took_us":"#);
    push_number(line, evidence.took_us());
    if let Some(reason) = evidence.reason() {
        member(line, br#","reason":"#, reason);
    }
    if let Some(hint) = evidence.hint() {
        member(line, br#","hint":"#, hint);
    }
    list(line, br#","notes":"#, evidence.notes().iter().copied());
    if evidence.only_grant().is_none() && !evidence.grants().is_empty() {
        line.extend_from_slice(br#","grants":"#);
        push_json(line, &entry::grants(evidence.grants(), &evidence.trail().directory));
    }
}

/// How the checks ended, unless all passed; how long those took that were reached; why those failed that did.
fn checks(line: &mut Vec<u8>, evidence: &Evidence<'_>) {
    let outcomes = CheckName::ALL.map(|check| evidence.outcome(check));
    if outcomes != [Outcome::Pass; CheckName::ALL.len()] {
        line.extend_from_slice(br#","checks":""#);
        line.extend(outcomes.map(letter));
        line.push(b'"');
    }
    line.extend_from_slice(br#","took_ns":["#);
    let mut separator = None;
    for (check, _) in CheckName::ALL.into_iter().zip(outcomes).filter(|(_, outcome)| *outcome != Outcome::NotReached) {
        line.extend(separator.replace(b','));
        match evidence.took_ns(check) {
            Some(took) => push_number(line, took),
            None => line.extend_from_slice(b"null"),
        }
    }
    line.push(b']');
    if outcomes.contains(&Outcome::Fail) {
        let failed = CheckName::ALL.into_iter().zip(outcomes).filter(|(_, outcome)| *outcome == Outcome::Fail);
        let failures: Vec<_> = failed.map(|(check, _)| evidence.failure(check)).collect();
        line.extend_from_slice(br#","failed":"#);
        push_json(line, &failures);
    }
}

/// The letter of an outcome in `checks`.
pub(super) const fn letter(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Fail => b'f',
        Outcome::NotReached => b'n',
        Outcome::Pass => b'p',
    }
}

fn member(line: &mut Vec<u8>, name: &[u8], text: &str) {
    line.extend_from_slice(name);
    push_text(line, text);
}

/// Nothing when there are none.
fn list<'a>(line: &mut Vec<u8>, name: &[u8], texts: impl Iterator<Item = &'a str>) {
    let mut before: &[u8] = name;
    let mut bracket: &[u8] = b"[";
    let mut end: &[u8] = b"";
    for text in texts {
        line.extend_from_slice(before);
        line.extend_from_slice(bracket);
        push_text(line, text);
        (before, bracket, end) = (b",", b"", b"]");
    }
    line.extend_from_slice(end);
}
