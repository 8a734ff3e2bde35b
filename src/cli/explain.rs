//! `steward explain`: the ten checks of one request, as they were recorded.

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::admin_call::{ask, server};
use super::serve::in_runtime;
use super::{Console, Exit, ExplainArgs, Global, Output};
use crate::pipeline::Outcome;
use crate::record::{CheckEntry, Counted, GrantEntry, Record, Verdict};
use crate::shown::{shown_json, shown_within};

/// Stands for the newest denial.
const LAST: &str = "last";
/// What is printed of one line of a record, which may be of an earlier version that cut and escaped less.
const LINE_BYTES_MAX: usize = 4_096;

pub(super) fn run(args: &ExplainArgs, global: &Global, console: &mut Console) -> Exit {
    match (&args.id, &args.code) {
        (_, Some(code)) => explain_code(code, console),
        (Some(id), None) => {
            let server = server(global);
            in_runtime(console, async |console| match find(&server, id, global, console).await {
                Ok(record) => show(&record, global.output, console),
                Err(exit) => exit,
            })
        }
        (None, None) => {
            console.error("name a request: `steward explain ID`; `steward explain last` takes the newest denial");
            Exit::Usage
        }
    }
}

fn explain_code(code: &str, console: &mut Console) -> Exit {
    match crate::record::codes::page(code) {
        Some(page) => {
            console.bytes(page.as_bytes());
            Exit::Done
        }
        None => {
            console.error(format!(
                "`{code}` is not a reason code; the codes are {}",
                crate::record::codes::all().collect::<Vec<_>>().join(", ")
            ));
            Exit::Usage
        }
    }
}

async fn find(server: &str, id: &str, global: &Global, console: &mut Console) -> Result<Value, Exit> {
    let (status, document) = if id == LAST {
        let (status, list) = ask(Method::GET, &format!("{server}/api/records?outcome=deny&limit=1"), global, console).await?;
        (status, list.pointer("/value/0").cloned().unwrap_or_default())
    } else {
        ask(Method::GET, &format!("{server}/api/records/{}", id.trim()), global, console).await?
    };
    if document.is_null() {
        console.error("no request has been denied yet");
        return Err(Exit::No);
    }
    if status == StatusCode::OK {
        return Ok(document);
    }
    console.error(shown_within(LINE_BYTES_MAX, message(&document).unwrap_or("the record could not be read")));
    Err(Exit::No)
}

fn message(document: &Value) -> Option<&str> {
    document.pointer("/error/message")?.as_str()
}

fn show(document: &Value, output: Output, console: &mut Console) -> Exit {
    if output == Output::Json {
        let mut document = document.clone();
        if let Some(schema) = document.get_mut("schema") {
            *schema = "steward.explain/1".into();
        }
        console.line(shown_json(&serde_json::to_string_pretty(&document).unwrap_or_default()));
        return Exit::Done;
    }
    match serde_json::from_value::<Record>(document.clone()) {
        Ok(record) => {
            for line in printed(&record) {
                console.line(line);
            }
            Exit::Done
        }
        Err(cause) => {
            console.error(shown_within(LINE_BYTES_MAX, &format!("the record is of a form this program does not know: {cause}")));
            Exit::No
        }
    }
}

/// The lines as a terminal may show them, whatever is in the record.
fn printed(record: &Record) -> Vec<String> {
    lines(record).iter().map(|line| shown_within(LINE_BYTES_MAX, line).into_owned()).collect()
}

fn lines(record: &Record) -> Vec<String> {
    let verdict = match record.outcome {
        Verdict::Allow => "Allowed",
        Verdict::Deny => "Denied",
    };
    let reason = record.reason.as_deref().unwrap_or_default();
    let mut lines = vec![
        format!("{verdict}  {reason}   {}   policy #{}   status {}", record.time, record.policy.version, record.status),
        String::new(),
    ];
    let failed = record.checks.iter().find(|check| check.outcome == Outcome::Fail).and_then(|check| check.seen.clone());
    lines.extend(failed.map(|text| format!("  {text}")));
    lines.extend(record.hint.as_ref().map(|hint| format!("  {hint}")));
    lines.push(String::new());
    if let Some(who) = &record.principal {
        lines.push(format!("  who      {} ({}), {}", who.name, who.id, who.tenant_name.as_deref().unwrap_or("an unknown tenant")));
    }
    lines.push(format!("  asked    {} {}", record.method, record.path));
    lines.extend(record.actions.iter().map(|action| format!("  wants    {action}")));
    lines.extend(record.exposes.iter().map(|class| format!("  gives    {}", class.name())));
    if let Some(scope) = &record.scope {
        let owner =
            record.customer.as_ref().and_then(|customer| customer.name.as_deref()).map(|name| format!(", {name}")).unwrap_or_default();
        lines.push(format!("  on       {scope}{owner}"));
    }
    lines.push(String::new());
    for check in &record.checks {
        lines.push(check_line(check));
        lines.extend(grant_lines(&check.grants));
    }
    lines.extend(record.notes.iter().map(|note| format!("  ! {note}")));
    lines.extend(record.counted.iter().map(counted_line));
    lines
}

fn counted_line(counted: &Counted) -> String {
    let reasons: Vec<_> = counted.reasons.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
    let Counted { until, requests, .. } = counted;
    format!("  ! the first of {requests} requests until {until} that are counted and have no records of their own: {}", reasons.join(", "))
}

fn check_line(check: &CheckEntry) -> String {
    let (mark, text) = match check.outcome {
        Outcome::Pass => ('✓', check.seen.as_deref().unwrap_or_default()),
        Outcome::Fail => ('✗', check.seen.as_deref().unwrap_or_default()),
        Outcome::NotReached => ('·', "not reached"),
    };
    format!("  {mark} {:<18}{text}", check.name.title()).trim_end().to_owned()
}

fn grant_lines(grants: &[GrantEntry]) -> Vec<String> {
    if grants.is_empty() {
        return Vec::new();
    }
    let width = grants.iter().map(|grant| label(grant).chars().count()).max().unwrap_or_default();
    let head = format!("      {:<width$}  person  scope  action  in force", "");
    let tick = |fits: bool| if fits { '✓' } else { '✗' };
    let row = |grant: &GrantEntry| {
        let at = &grant.defined_at;
        format!(
            "      {:<width$}  {}       {}      {}       {}         {}:{}",
            label(grant),
            tick(grant.principal),
            tick(grant.scope),
            tick(grant.action),
            tick(grant.in_force),
            at.file,
            at.line
        )
    };
    std::iter::once(head).chain(grants.iter().map(row)).collect()
}

fn label(grant: &GrantEntry) -> String {
    format!("{}, {}, to {}", grant.role, grant.kind.replace('_', " "), grant.granted_to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, path: &str) -> Record {
        let id = "00000000-0000-4000-8000-000000000001";
        serde_json::from_value(serde_json::json!({
            "schema": "steward.record/1", "id": id, "correlation_id": id, "time": "2026-11-20T12:00:00.000Z", "outcome": "deny", "status": 403,
            "took_us": 1, "policy": { "version": 1, "digest": "" }, "method": "GET", "path": path, "client": "", "reason": "role.none",
            "principal": { "id": id, "name": name, "tenant": id, "kind": "user" },
            "checks": [{ "name": "role", "outcome": "fail", "seen": name }],
            "counted": { "until": "2026-11-20T12:01:00.000Z", "requests": 7, "reasons": { "role.none": 5, "scope.unknown": 1 } },
        }))
        .unwrap()
    }

    #[test]
    fn no_text_of_a_record_forges_a_line_or_a_colour() {
        let lines = printed(&record("x\r\nX-Evil: 1\u{1b}[31m\u{202e}\u{7}", "/a\u{9b}b"));
        let text = lines.concat();
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text}");
        assert!(lines.iter().any(|line| line.contains(r"who      x\u{d}\u{a}X-Evil: 1\u{1b}[31m\u{202e}\u{7} (")), "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with(r"GET /a\u{9b}b")), "{lines:?}");
        let long = printed(&record("x", &"l".repeat(9_000)));
        assert!(long.iter().all(|line| line.len() <= LINE_BYTES_MAX), "{long:?}");
    }

    #[test]
    fn a_summary_says_what_it_stands_for() {
        let lines = printed(&record("x", "/"));
        let expected = "  ! the first of 7 requests until 2026-11-20T12:01:00.000Z that are counted and have no records of their own: \
                        5 × role.none, 1 × scope.unknown";
        assert_eq!(lines.last().map(String::as_str), Some(expected));
    }
}
