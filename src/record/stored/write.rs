//! A line, from the evidence of a request.

use super::super::audit::LineHasher;
use super::super::entry;
use super::evidence::Evidence;
use super::frame::Frame;
use super::text::{Times, push_guid, push_list, push_number, push_peer, push_scope};
use crate::json::{push_member, push_text};
use crate::pipeline::{CheckName, Outcome};
use crate::shown::{shown, shown_within};

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
        if let Some(until) = trail.caller.as_ref().and_then(|caller| u64::try_from(caller.expires_at.as_second()).ok()) {
            line.extend_from_slice(br#","until":"#);
            push_number(line, until);
        }
        if !is_own_correlation {
            push_member(line, br#","correlation_id":"#, &shown(&trail.correlation_id));
        }
        if let Some(id) = &trail.client_request_id {
            push_member(line, br#","client_request_id":"#, &shown(id));
        }
    }

    fn request(&mut self, line: &mut Vec<u8>, evidence: &Evidence<'_>) {
        let trail = evidence.trail();
        let path = entry::path(trail);
        push_member(line, br#","path":"#, &path);
        if let Some(scope) = &trail.scope {
            self.scope.clear();
            push_scope(&mut self.scope, scope);
            line.extend_from_slice(br#","scope":"#);
            let scope = String::from_utf8_lossy(&self.scope);
            let scope = shown_within(entry::place_bytes_max(trail), &scope);
            if path.starts_with(&*scope) {
                push_number(line, scope.len() as u64);
            } else {
                push_text(line, &scope);
            }
        }
        if let Some(command) = &trail.command {
            push_member(line, br#","command":"#, &shown(command));
        }
        line.extend_from_slice(br#","client":"#);
        push_peer(line, trail.peer);
    }
}

fn answer(line: &mut Vec<u8>, evidence: &Evidence<'_>) {
    line.extend_from_slice(br#","took_us":"#);
    push_number(line, evidence.took_us());
    if let Some(reason) = evidence.reason() {
        push_member(line, br#","reason":"#, reason);
    }
    if let Some(hint) = evidence.hint() {
        push_member(line, br#","hint":"#, hint);
    }
    push_list(line, br#","notes":"#, evidence.notes().iter().map(|note| shown(note)));
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
    let mut before: &[u8] = br#","failed":["#;
    let mut end: &[u8] = b"";
    for (check, _) in CheckName::ALL.into_iter().zip(outcomes).filter(|(_, outcome)| *outcome == Outcome::Fail) {
        line.extend_from_slice(before);
        match evidence.failure(check) {
            Some(failure) => push_text(line, &failure),
            None => line.extend_from_slice(b"null"),
        }
        (before, end) = (b",", b"]");
    }
    line.extend_from_slice(end);
}

/// The letter of an outcome in `checks`.
pub(super) const fn letter(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Fail => b'f',
        Outcome::NotReached => b'n',
        Outcome::Pass => b'p',
    }
}
