//! `steward explain`: the ten checks of one request, as they were recorded.

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::admin_call::{ask, server};
use super::serve::in_runtime;
use super::{Console, Exit, ExplainArgs, Global, Output};
use crate::pipeline::Outcome;
use crate::record::{CheckEntry, GrantEntry, Record, Verdict};

/// Stands for the newest denial.
const LAST: &str = "last";

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
    console.error(message(&document).unwrap_or("the record could not be read"));
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
        console.line(serde_json::to_string_pretty(&document).unwrap_or_default());
        return Exit::Done;
    }
    match serde_json::from_value::<Record>(document.clone()) {
        Ok(record) => {
            for line in lines(&record) {
                console.line(line);
            }
            Exit::Done
        }
        Err(cause) => {
            console.error(format!("the record is of a form this program does not know: {cause}"));
            Exit::No
        }
    }
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
    lines
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
