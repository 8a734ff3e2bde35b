//! Whoever sends refused requests as fast as they can pushes out nobody's records: they are counted, and the count is in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use steward::clock::Clock;
use steward::ids::RequestId;
use steward::pipeline::CheckName;
use steward::record::audit::{Linked, Log};
use steward::record::{Filter, Found, Journal, Record, RecordConfig, Verdict};

use crate::requests::{Requests, Target};
use crate::world::{config, empty_folder, lines, open, verify};

/// A record without a proven caller: of usual texts, and of the longest that are escaped the most.
const STRANGER_BYTES: usize = 1_024;
const STRANGER_BYTES_MAX: usize = 4_096;
/// Any record.
const BYTES_MAX: usize = 16_384;
const AT_ONCE: u64 = 1_000;
const A_MINUTE: Duration = Duration::from_secs(61);

fn records(config: &RecordConfig) -> Vec<(Vec<Log>, Record)> {
    let read = |line: Vec<u8>| {
        let logs = Linked::parse(&line).unwrap().links.iter().map(|link| link.tenant).collect();
        (logs, Record::read(&line).unwrap())
    };
    lines(&config.folder).into_iter().map(read).collect()
}

/// Requests that these records tell of, those that have none of their own included.
fn told_of<'a>(records: impl Iterator<Item = &'a Record>) -> u64 {
    records.map(|record| record.counted.as_ref().map_or(1, |counted| counted.requests)).sum()
}

fn is_kept(journal: &mut Journal, id: RequestId) -> bool {
    matches!(journal.find(&id.to_string()), Found::One(_))
}

#[test]
fn strangers_push_out_no_record_of_a_proven_caller() {
    let requests = Requests::new();
    let config = RecordConfig { bytes_max: 1 << 20, ..config(&empty_folder("strangers")) };
    let path = format!("/{}", "l".repeat(7_000));
    let denial = requests.refused(Target::Known);
    let mut journal = open(&config);
    journal.record(&denial);
    for _run in 0..2 {
        for _ in 0..3_000 {
            journal.record(&requests.stranger(&path));
        }
        journal.close();
        journal = open(&config);
    }
    assert!(is_kept(&mut journal, denial.trail.id));
    journal.close();
    assert_eq!(verify(&config.folder).faults, []);
    let records = records(&config);
    let strangers = || records.iter().filter(|(_, record)| record.principal.is_none());
    assert_eq!(told_of(strangers().map(|(_, record)| record)), 6_000, "none is dropped without a word");
    assert!(strangers().all(|(logs, _)| *logs == [Log::Operator]));
    let summaries: Vec<_> = strangers().filter_map(|(_, record)| record.counted.clone()).collect();
    assert_eq!(summaries.len(), 2, "one for each run");
    for summary in summaries {
        assert_eq!(summary.reasons, BTreeMap::from([("token.missing".to_owned(), summary.requests)]));
    }
    let bytes: usize = lines(&config.folder).iter().filter(|line| Record::read(line).unwrap().principal.is_none()).map(Vec::len).sum();
    assert!(bytes < (1 << 18) + 4 * STRANGER_BYTES, "a quarter is theirs: {bytes} bytes");
}

#[test]
fn visitors_push_out_no_record_of_others_that_is_younger_than_a_day() {
    let requests = Requests::new();
    let config = RecordConfig { bytes_max: 1 << 20, ..config(&empty_folder("visitors")) };
    let denial = requests.refused(Target::Known);
    let mut journal = open(&config);
    journal.record(&denial);
    for _run in 0..2 {
        for number in 0..3_000 {
            journal.record(&requests.visited(u8::try_from(number % 20).unwrap(), true));
        }
        journal.close();
        journal = open(&config);
    }
    assert!(is_kept(&mut journal, denial.trail.id));
    let others = requests.visited(0, false);
    journal.record(&others);
    assert!(is_kept(&mut journal, others.trail.id), "what a configured tenant permits is its own to know");
    let mut late = requests.visited(0, true);
    late.trail.received += Duration::from_hours(24);
    journal.record(&late);
    assert!(!is_kept(&mut journal, late.trail.id), "not yet");
    late.trail.received += Duration::from_secs(1);
    journal.record(&late);
    assert!(is_kept(&mut journal, late.trail.id), "the oldest are no longer kept from them");
    journal.close();
    assert_eq!(verify(&config.folder).faults, []);
    let records = records(&config);
    let is_visitors = |record: &Record| record.principal.as_ref().is_some_and(|caller| caller.visitor);
    let visitors = records.iter().filter(|(_, record)| is_visitors(record));
    assert_eq!(told_of(visitors.map(|(_, record)| record)), 6_003, "none is dropped without a word");
    let bytes: usize = lines(&config.folder).iter().filter(|line| is_visitors(&Record::read(line).unwrap())).map(Vec::len).sum();
    assert!(((1 << 19)..(1 << 19) + 60 * 4_096).contains(&bytes), "half is theirs: {bytes} bytes");
}

#[test]
fn a_visitor_has_a_pace_for_what_visitors_permit() {
    let requests = Requests::new();
    let mut journal = open(&config(&empty_folder("visitor")));
    for _ in 0..AT_ONCE + 500 {
        journal.record(&requests.visited(1, true));
    }
    let [own, others, known] = [requests.visited(1, true), requests.visited(1, false), requests.permitted(RequestId::random())];
    [&own, &others, &known].into_iter().for_each(|finished| journal.record(finished));
    let kept = [&own, &others, &known].map(|finished| is_kept(&mut journal, finished.trail.id));
    assert_eq!(kept, [false, true, true]);
    journal.close();
}

#[test]
fn a_sign_up_keeps_its_record_in_a_flood() {
    let requests = Requests::new();
    let mut journal = open(&config(&empty_folder("sign-up-in-a-flood")));
    for _ in 0..AT_ONCE + 10 {
        journal.record(&requests.stranger("/"));
    }
    let asked = requests.sign_up(StatusCode::OK);
    journal.record(&asked);
    assert!(!is_kept(&mut journal, asked.trail.id), "an answer alone is counted");
    for status in [StatusCode::CREATED, StatusCode::ACCEPTED] {
        let made = requests.sign_up(status);
        journal.record(&made);
        assert!(is_kept(&mut journal, made.trail.id), "{status}");
    }
}

#[test]
fn a_flood_has_a_summary_every_minute_while_it_lasts() {
    let requests = Requests::new();
    let config = config(&empty_folder("minutes"));
    let mut journal = open(&config);
    for minute in 1..=3 {
        for _ in 0..AT_ONCE + 500 {
            journal.record(&requests.stranger("/"));
        }
        journal.keep_up(Clock::instant());
        journal.flush();
        assert_eq!(records(&config).iter().filter(|(_, record)| record.counted.is_some()).count(), minute - 1);
        assert!(journal.due().is_some_and(|due| due <= Clock::instant() + A_MINUTE));
        journal.keep_up(Clock::instant() + A_MINUTE);
        journal.flush();
        assert_eq!(told_of(records(&config).iter().map(|(_, record)| record)), (AT_ONCE + 500) * minute as u64);
    }
    journal.close();
}

#[test]
fn refusals_of_a_tenant_are_counted_in_every_log_they_belong_to_and_what_was_permitted_is_not() {
    let requests = Requests::new();
    let config = config(&empty_folder("tenant"));
    let mut journal = open(&config);
    let home = requests.refused(Target::Known).trail.caller.unwrap().principal.tenant;
    let customer = requests.subscription().tenant;
    for _ in 0..AT_ONCE + 1_000 {
        journal.record(&requests.refused(Target::Known));
        journal.record(&requests.permitted(RequestId::random()));
    }
    // What was sent and came to nothing may have been carried out.
    let mut sent = requests.refused(Target::Known);
    sent.trail.pass(CheckName::Forward);
    journal.record(&sent);
    // Strangers have a pace of their own.
    let stranger = requests.stranger("/");
    journal.record(&stranger);
    for id in [sent.trail.id, stranger.trail.id] {
        assert!(is_kept(&mut journal, id));
    }
    journal.close();
    assert_eq!(verify(&config.folder).faults, []);
    let records = records(&config);
    let permitted = records.iter().filter(|(_, record)| record.reason.is_none()).count() as u64;
    assert_eq!(permitted, AT_ONCE + 1_000);
    for log in [home, customer].map(Log::Tenant) {
        let refused = records.iter().filter(|(logs, record)| logs.contains(&log) && record.reason.is_some());
        let (summaries, single): (Vec<_>, Vec<_>) = refused.partition(|(_, record)| record.counted.is_some());
        assert_eq!(summaries.len(), 1, "{log:?}");
        assert!((AT_ONCE..AT_ONCE + 500).contains(&(single.len() as u64)), "the first are kept one by one: {}", single.len());
        assert_eq!(told_of(summaries.into_iter().chain(single).map(|(_, record)| record)), AT_ONCE + 1_000 + 1);
    }
}

#[test]
fn a_summary_does_not_tell_a_tenant_what_exists() {
    let requests = Requests::new();
    let counted = |target: Target| {
        let config = config(&empty_folder(&format!("hidden-{target:?}")));
        let mut journal = open(&config);
        let mut asked = Vec::new();
        for _ in 0..AT_ONCE + 1_000 {
            let finished = requests.refused(target);
            asked.push(finished.trail.id);
            journal.record(&finished);
        }
        journal.close();
        let records = records(&config);
        let is_asked = |record: &Record| record.counted.is_some() && asked.contains(&record.id);
        assert!(!records.iter().any(|(_, record)| is_asked(record)), "no summary is found by the id of a request");
        let home = requests.refused(target).trail.caller.unwrap().principal.tenant;
        let of_home = records.iter().filter(|(logs, record)| logs.contains(&Log::Tenant(home)) && record.counted.is_some());
        let told: Vec<_> = of_home
            .map(|(logs, record)| {
                let reasons: Vec<_> = record.counted.as_ref().unwrap().reasons.keys().cloned().collect();
                (logs.clone(), record.reason.clone(), record.customer.clone(), record.checks[5].seen.clone(), reasons)
            })
            .collect();
        let others = records.iter().filter(|(logs, record)| !logs.contains(&Log::Tenant(home)) && record.counted.is_some()).count();
        (told, others)
    };
    let (hidden, of_owner) = counted(Target::Hidden);
    let (missing, of_nobody) = counted(Target::Missing);
    assert_eq!(hidden, missing);
    assert_eq!((hidden.len(), of_owner, of_nobody), (1, 1, 0));
}

#[test]
fn a_line_is_short_whatever_a_peer_says() {
    let requests = Requests::new();
    let config = config(&empty_folder("lines"));
    let mut journal = open(&config);
    let plain = requests.stranger(&format!("/{}", "l".repeat(8_000)));
    let mut worst = requests.stranger(&"\\\"".repeat(4_000));
    let mut proven = requests.refused(Target::Known);
    for trail in [&mut worst.trail, &mut proven.trail] {
        let text = || "\\\"".repeat(4_000);
        trail.method = text();
        trail.command = Some(text());
        trail.client_request_id = Some(text());
        trail.correlation_id = text();
    }
    proven.trail.path = "\\\"".repeat(4_000);
    proven.trail.actions = vec![format!("A.B/{}/read", "c".repeat(8_000)).parse().unwrap(); 3];
    proven.trail.notes = vec!["\\\"".repeat(4_000).into(); 4];
    requests.rename(&mut proven, &"\\\"".repeat(4_000));
    let finished = [(plain, STRANGER_BYTES), (worst, STRANGER_BYTES_MAX), (proven, BYTES_MAX)];
    finished.iter().for_each(|(finished, _)| journal.record(finished));
    journal.close();
    let lines = lines(&config.folder);
    assert_eq!(lines.len(), 3);
    for (line, (_, most)) in lines.iter().zip(&finished) {
        assert!(line.len() <= *most, "{} bytes of {most}: {}", line.len(), String::from_utf8_lossy(line));
    }
    let path = Record::read(&lines[0]).unwrap().path;
    assert!(path.len() == 256 && path.contains("...[8001 bytes, sha256 "), "{path}");
}

#[test]
fn names_that_forge_lines_or_colours_are_escaped_in_records() {
    let requests = Requests::new();
    let config = config(&empty_folder("names"));
    let mut journal = open(&config);
    let mut finished = requests.permitted(RequestId::random());
    requests.rename(&mut finished, "x\r\nX-Evil: 1\u{1b}[31m\u{202e}\u{7}");
    journal.record(&finished);
    let Found::One(record) = journal.find(&finished.trail.id.to_string()) else { panic!("it is recorded") };
    assert_eq!(record.principal.unwrap().name, r"x\u{d}\u{a}X-Evil: 1\u{1b}[31m\u{202e}\u{7}");
    journal.close();
}

#[test]
fn refusals_at_more_customers_than_have_summaries_are_counted_for_the_operator() {
    const CUSTOMERS: u16 = 1_024;
    const MORE: u16 = 3_000;
    let requests = Requests::new();
    let config = config(&empty_folder("customers"));
    let mut journal = open(&config);
    for _ in 0..AT_ONCE {
        journal.record(&requests.refused(Target::Known));
    }
    let single = |journal: &mut Journal, number: u16| {
        let mut finished = requests.refused(Target::Known);
        let [a, b] = number.to_be_bytes();
        finished.trail.customer = Some(steward::ids::TenantId::from_bytes([a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]));
        journal.record(&finished);
    };
    (0..CUSTOMERS + MORE).for_each(|number| single(&mut journal, number));
    journal.close();
    assert_eq!(verify(&config.folder).faults, []);
    let home = Log::Tenant(requests.refused(Target::Known).trail.caller.unwrap().principal.tenant);
    let records = records(&config);
    let counted = |wanted: &dyn Fn(&Log) -> bool| {
        let of_log = records.iter().filter(|(logs, record)| record.counted.is_some() && logs.iter().all(wanted));
        (of_log.clone().count(), told_of(of_log.map(|(_, record)| record)))
    };
    let (summaries, at_home) = counted(&|log| *log == home);
    let (customers, theirs) = counted(&|log| *log != home && *log != Log::Operator);
    let (operators, rest) = counted(&|log| *log == Log::Operator);
    assert_eq!((summaries, customers, operators), (1, usize::from(CUSTOMERS), 1));
    assert_eq!(theirs + rest, at_home, "all of them are counted");
}

#[test]
fn a_summary_is_found_by_each_of_its_reasons() {
    let requests = Requests::new();
    let config = config(&empty_folder("reasons"));
    let mut journal = open(&config);
    for _ in 0..AT_ONCE + 500 {
        journal.record(&requests.refused(Target::Known));
    }
    for _ in 0..500 {
        journal.record(&requests.refused(Target::Missing));
    }
    journal.keep_up(Clock::instant() + A_MINUTE);
    let mut found = |reason: &str| {
        let filter = Filter { verdict: Some(Verdict::Deny), reason: Some(reason.to_owned()), limit: 1_000 };
        journal.recent(&filter).records.iter().filter(|record| record.counted.is_some()).count()
    };
    assert_eq!(["state.stale", "scope.unknown", "scope.*", "role.none"].map(|reason| found(reason) > 0), [true, true, true, false]);
    journal.close();
}
