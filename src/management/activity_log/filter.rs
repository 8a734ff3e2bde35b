//! The `$filter` of the activity log. Source: Azure Monitor, Activity Logs, List, 2015-04-01, and what its clients send.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::Timestamp;

/// Which events are asked for. All clauses have to hold; words are compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// The first moment.
    pub(super) from: Option<Timestamp>,
    /// The last moment.
    pub(super) until: Option<Timestamp>,
    clauses: Vec<(Field, String)>,
}

/// What a clause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Caller,
    Channels,
    CorrelationId,
    ResourceGroup,
    ResourceId,
    ResourceProvider,
    Status,
}

/// What clauses are compared with.
#[derive(Debug)]
pub(super) struct Facts<'e> {
    /// Every name of who did it.
    pub(super) caller: [&'e str; 2],
    pub(super) correlation_id: &'e str,
    pub(super) resource_group: Option<&'e str>,
    pub(super) resource_id: &'e str,
    pub(super) resource_provider: &'e str,
    pub(super) status: &'e str,
}

/// A filter that cannot be read: the clause at fault, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FilterError {
    /// The clause is of no known form.
    #[error("has the clause `{0}`, which is not known; known are eventTimestamp `ge` and `le`, and `eq` for {KNOWN}")]
    Clause(String),
    /// The moment is none.
    #[error("has `{0}` where a date and time is expected, such as `2026-11-20T12:00:00Z`")]
    Moment(String),
}

const KNOWN: &str = "caller, correlationId, eventChannels, resourceGroupName, resourceId, resourceProvider, resourceUri and status";

/// Characters of a clause that an error shows.
const SHOWN_MAX: usize = 128;

/// The channels that our events are in.
const CHANNELS: [&str; 2] = ["admin", "operation"];

impl Filter {
    /// Reads a decoded filter. Quotes around values are optional; a moment without an offset is in UTC.
    ///
    /// # Errors
    /// At the first clause that is not known.
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for clause in clauses(text) {
            filter.take(clause.trim())?;
        }
        Ok(filter)
    }

    fn take(&mut self, clause: &str) -> Result<(), FilterError> {
        let unknown = || FilterError::Clause(clause.chars().take(SHOWN_MAX).collect());
        let (name, rest) = clause.split_once(' ').ok_or_else(unknown)?;
        let (operator, value) = rest.trim_start().split_once(' ').ok_or_else(unknown)?;
        let value = unquoted(value.trim()).filter(|value| !value.contains('\'')).ok_or_else(unknown)?;
        match (name.to_ascii_lowercase().as_str(), operator.to_ascii_lowercase().as_str()) {
            ("eventtimestamp", "ge") => self.from = Some(moment(value)?),
            ("eventtimestamp", "le") => self.until = Some(moment(value)?),
            (name, "eq") => self.clauses.push((field(name).ok_or_else(unknown)?, value.to_lowercase())),
            _ => return Err(unknown()),
        }
        Ok(())
    }

    pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
        self.clauses.iter().all(|(field, wanted)| field.matches(wanted, facts))
    }
}

impl Field {
    /// `wanted` is in lower case.
    fn matches(self, wanted: &str, facts: &Facts<'_>) -> bool {
        let is = |value: &str| value.to_lowercase() == *wanted;
        match self {
            Self::Caller => facts.caller.into_iter().any(is),
            Self::Channels => wanted.split(',').any(|channel| CHANNELS.contains(&channel.trim())),
            Self::CorrelationId => is(facts.correlation_id),
            Self::ResourceGroup => facts.resource_group.is_some_and(is),
            Self::ResourceId => is(facts.resource_id),
            Self::ResourceProvider => is(facts.resource_provider),
            Self::Status => is(facts.status),
        }
    }
}

fn field(name: &str) -> Option<Field> {
    match name {
        "caller" => Some(Field::Caller),
        "correlationid" => Some(Field::CorrelationId),
        "eventchannels" => Some(Field::Channels),
        "resourcegroupname" => Some(Field::ResourceGroup),
        "resourceid" | "resourceuri" => Some(Field::ResourceId),
        "resourceprovider" => Some(Field::ResourceProvider),
        "status" => Some(Field::Status),
        _ => None,
    }
}

/// The parts between `and`s that stand outside of quotes.
fn clauses(text: &str) -> Vec<&str> {
    let mut clauses = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, character) in text.char_indices() {
        quoted ^= character == '\'';
        let is_and = |rest: &str| rest.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(" and "));
        if !quoted && at >= start && text.get(at..).is_some_and(is_and) {
            clauses.extend(text.get(start..at));
            start = at + 4;
        }
    }
    clauses.extend(text.get(start..));
    clauses
}

fn unquoted(text: &str) -> Option<&str> {
    match text.strip_prefix('\'') {
        Some(rest) => rest.strip_suffix('\''),
        None => Some(text),
    }
}

fn moment(text: &str) -> Result<Timestamp, FilterError> {
    let malformed = || FilterError::Moment(text.chars().take(SHOWN_MAX).collect());
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let local: DateTime = text.parse().map_err(|_cause| malformed())?;
    local.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_cause| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const FACTS: Facts<'_> = Facts {
        caller: ["Deniz Aydin", "deniz@ostra.example"],
        correlation_id: "6f1a0000-0000-4000-8000-000000000000",
        resource_group: Some("rg and more"),
        resource_id: "/subscriptions/s/resourceGroups/rg and more",
        resource_provider: "Microsoft.Compute",
        status: "Succeeded",
    };

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(Filter::parse(text).unwrap().matches(&FACTS), expected, "{text}");
    }

    #[test]
    fn clauses_hold_together_and_without_case() {
        check("resourceGroupName eq 'RG and more' and status eq succeeded", true);
        check("resourceGroupName eq 'rg' AND status eq 'Succeeded'", false);
        check("resourceUri eq '/SUBSCRIPTIONS/s/resourcegroups/rg and more'", true);
        check("resourceId eq /subscriptions/s", false);
        check("resourceProvider  eq 'microsoft.compute'", true);
        check("caller eq 'deniz@ostra.example'", true);
        check("caller eq 'Deniz Aydin'", true);
        check("eventChannels eq 'Admin, Operation'", true);
        check("eventChannels eq 'Debug'", false);
        check("correlationId eq '6F1A0000-0000-4000-8000-000000000000'", true);
    }

    #[test]
    fn moments_are_read_with_and_without_quotes_and_offsets() {
        let expected = (Some(at("2026-11-20T06:00:00.123456Z")), Some(at("2026-11-20T12:00:00Z")));
        for text in [
            "eventTimestamp ge 2026-11-20T06:00:00.123456 and eventTimestamp le 2026-11-20T12:00:00",
            "eventTimestamp ge '2026-11-20T06:00:00.1234560Z' and eventTimestamp le '2026-11-20T13:00:00+01:00'",
            "EVENTTIMESTAMP GE '2026-11-20T06:00:00.123456' and status eq 'x' and eventTimestamp LE 2026-11-20T12:00:00Z",
        ] {
            let filter = Filter::parse(text).unwrap();
            assert_eq!((filter.from, filter.until), expected, "{text}");
        }
        assert_eq!(Filter::parse("eventTimestamp ge 2018-07-01").unwrap().from, Some(at("2018-07-01T00:00:00Z")));
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (text, named) in [
            ("", ""),
            ("color eq 'blue'", "color eq 'blue'"),
            ("status eq 'x' and status ne 'y'", "status ne 'y'"),
            ("eventTimestamp eq 2026-11-20", "eventTimestamp eq 2026-11-20"),
            ("status eq 'x' or caller eq 'y'", "status eq 'x' or caller eq 'y'"),
            ("status eq 'x", "status eq 'x"),
            ("status eq 'x' and what", "what"),
            ("eventTimestamp ge yesterday", "yesterday"),
        ] {
            let error = Filter::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{named}`")), "{text}: {error}");
        }
    }
}
