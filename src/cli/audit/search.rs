//! `steward audit search`: records by time, caller, action, verdict, reason and text.

use std::collections::VecDeque;

use super::{SearchArgs, VerdictArg, gather};
use crate::cli::{Console, Exit, Global, Output};
use crate::clock::Timestamp;
use crate::ids::RequestId;
use crate::record::archive::Spot;
use crate::record::audit::Linked;
use crate::record::{Filter, Record, Verdict};
use crate::shown::{shown_json, shown_within};

/// Records shown at once.
const LIMIT_MAX: usize = 100_000;
/// What is printed of one record, which may be of an earlier version that cut and escaped less.
const ROW_BYTES_MAX: usize = 4_096;

pub(super) fn run(args: &SearchArgs, global: &Global, console: &mut Console) -> Result<Exit, Exit> {
    let folder = args.source.folder(global, console)?;
    let query = Query::of(args);
    let found = gather(&folder, console, Found::default, |found, spot| query.take(found, spot))?.lines;
    match global.output {
        Output::Json => found.iter().for_each(|line| console.line(shown_json(&line.text))),
        Output::Table => found.iter().for_each(|line| console.line(shown_within(ROW_BYTES_MAX, &row(&line.record)))),
    }
    Ok(if found.is_empty() { Exit::No } else { Exit::Done })
}

struct Query<'a> {
    args: &'a SearchArgs,
    filter: Filter,
    text: Option<String>,
    limit: usize,
}

#[derive(Default)]
struct Found {
    lines: VecDeque<FoundLine>,
    /// Of the line read last, found or not.
    last: Option<RequestId>,
}

struct FoundLine {
    /// In its long form.
    text: String,
    record: Record,
}

impl<'a> Query<'a> {
    fn of(args: &'a SearchArgs) -> Self {
        let verdict = args.verdict.map(|verdict| match verdict {
            VerdictArg::Allow => Verdict::Allow,
            VerdictArg::Deny => Verdict::Deny,
        });
        let filter = Filter { verdict, reason: args.reason.clone(), limit: args.limit };
        Self { args, filter, text: args.text.as_ref().map(|text| text.to_lowercase()), limit: args.limit.min(LIMIT_MAX) }
    }

    /// Of the two lines of a request that was hidden from its caller's tenant, the first is the whole one; the other is for the
    /// log of that tenant.
    fn take(&self, found: &mut Found, spot: Spot<'_>) {
        let id = Linked::parse(spot.text).ok().and_then(|linked| linked.id());
        let is_second = id.is_some() && id == std::mem::replace(&mut found.last, id);
        if is_second && self.args.tenant.is_none() {
            return;
        }
        let Some(line) = self.read(spot.text) else { return };
        if found.lines.len() == self.limit {
            found.lines.pop_front();
        }
        if self.limit > 0 {
            found.lines.push_back(line);
        }
    }

    fn read(&self, line: &[u8]) -> Option<FoundLine> {
        let mut record = Record::read(line).ok()?;
        if !self.admits(&record) {
            return None;
        }
        if let Some(log) = self.args.tenant {
            record.chain.retain(|link| link.tenant == log);
            record.chain.first()?;
        }
        let text = crate::json::text(&record);
        let has_text = self.text.as_ref().is_none_or(|wanted| text.to_lowercase().contains(wanted.as_str()));
        has_text.then_some(FoundLine { text, record })
    }

    fn admits(&self, record: &Record) -> bool {
        let args = self.args;
        let time: Option<Timestamp> = record.time.parse().ok();
        let in_time = args.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && args.until.is_none_or(|until| time.is_some_and(|time| time < until));
        let is_caller = args.principal.as_ref().is_none_or(|wanted| {
            record.principal.as_ref().is_some_and(|principal| {
                principal.id.to_string().eq_ignore_ascii_case(wanted) || principal.name.to_lowercase().contains(&wanted.to_lowercase())
            })
        });
        let is_action = args
            .action
            .as_ref()
            .is_none_or(|wanted| record.actions.iter().any(|action| fits(&wanted.to_lowercase(), &action.to_lowercase())));
        in_time && is_caller && is_action && self.filter.admits(record)
    }
}

/// Whether a text fits a pattern in which `*` stands for any characters, also none.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn row(record: &Record) -> String {
    let verdict = match record.outcome {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    };
    let principal = record.principal.as_ref().map_or("-", |principal| principal.name.as_str());
    let action = record.actions.first().map_or(record.method.as_str(), String::as_str);
    let exposes = record.exposes.iter().fold(String::new(), |all, class| all + " [" + class.name() + "]");
    let reason = record.reason.as_deref().unwrap_or_default();
    let id = record.id.to_string();
    let counted = record.counted.as_ref().map(|counted| format!("  × {}", counted.requests)).unwrap_or_default();
    let target = record.scope.as_deref().unwrap_or(&record.path);
    let id = id.get(..8).unwrap_or_default();
    format!("{}  {verdict:<5}  {principal}  {action}{exposes}  {target}  {reason}  {id}{counted}", record.time)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("a/b/read", "a/b/read", true),
            ("a/b/read", "a/b/readx", false),
            ("a/*/read", "a/b/c/read", true),
            ("*/read", "a/read", true),
            ("a/*", "a/", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-c", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
