//! What is stored of a request says all that its record says, and old folders go on.

use steward::clock::Timestamp;
use steward::ids::RequestId;
use steward::pipeline::{ScopeError, WrongTenant};
use steward::record::audit::{Linked, Log};
use steward::record::{ActivityQuery, Finished, Found, GrantKey, Journal, Record, Told};
use steward::rejection::Rejection;

use crate::requests::{Requests, passed_all};
use crate::world::{Random, append, config, empty_folder, lines, open, verify};

const REQUESTS: usize = 2_000;

/// The records that a request leaves, in their order, without their links.
fn records_of(finished: Finished) -> Vec<Record> {
    let told = finished.rejection.as_ref().is_some_and(Rejection::hides_target);
    let record = Record::from(finished);
    let home = record.principal.as_ref().map(|principal| principal.tenant);
    let owner = record.customer.as_ref().map(|customer| customer.tenant);
    let is_hidden = told && home.is_some() && owner.is_some() && home != owner;
    let hidden = is_hidden.then(|| record.without_target());
    [record].into_iter().chain(hidden).collect()
}

fn unlinked(record: Record) -> Record {
    Record { chain: Vec::new(), ..record }
}

/// What the journal answers about many records at once.
fn summary(journal: &mut Journal, requests: &Requests) -> (Vec<Option<Timestamp>>, Vec<RequestId>) {
    let directory = &requests.directories[0];
    let grants = directory.subscriptions().flat_map(|subscription| &subscription.grants);
    let keys: Vec<GrantKey> = grants.map(|grant| GrantKey::of(grant, directory.roles())).collect();
    let done = directory.subscriptions().flat_map(|subscription| {
        let (from, until) = (Timestamp::MIN, Timestamp::MAX);
        let query = ActivityQuery { subscription: subscription.id, from, until, skip: 0, wanted: Box::new(|_| true) };
        journal.activities(&query).records.into_iter().map(|(_, record)| record.id)
    });
    let done: Vec<RequestId> = done.collect();
    (journal.uses(&keys).last, done)
}

#[test]
fn a_stored_record_reads_as_the_one_that_was_made() {
    let requests = Requests::new();
    let config = config(&empty_folder("short"));
    let mut journal = open(&config);
    let mut random = Random(7);
    let (mut expected, mut hidden, mut usual) = (Vec::new(), 0, 0);
    for _ in 0..REQUESTS {
        let finished = requests.any(&mut random);
        usual += usize::from(passed_all(&finished));
        journal.record(&finished);
        let records = records_of(finished);
        hidden += records.len() - 1;
        let Found::One(found) = journal.find(&records[0].id.to_string()) else { panic!("{:?} is not found", records[0]) };
        assert_eq!(unlinked(*found), records[0]);
        expected.extend(records);
    }
    assert!(hidden > REQUESTS / 100 && usual > REQUESTS / 10, "{hidden} {usual}");
    let before = summary(&mut journal, &requests);
    assert!(before.0.iter().any(Option::is_some) && !before.1.is_empty());
    journal.close();

    let read: Vec<Record> = lines(&config.folder).iter().map(|line| unlinked(Record::read(line).unwrap())).collect();
    assert_eq!(read.len(), expected.len());
    read.iter().zip(&expected).for_each(|(read, expected)| assert_eq!(read, expected));
    assert_eq!(verify(&config.folder).faults, []);
    let mut again = open(&config);
    assert_eq!(summary(&mut again, &requests), before);
    again.close();
}

#[test]
fn a_target_that_is_hidden_leaves_the_same_bytes_whether_it_exists_or_not() {
    let requests = Requests::new();
    let config = config(&empty_folder("hidden"));
    let mut journal = open(&config);
    let id = RequestId::from_bytes([8; 16]);
    for exists in [true, false] {
        let mut finished = requests.usual(id, 5);
        let subscription = requests.subscription();
        let error = ScopeError::Subscription { id: subscription.id, owner: exists.then_some(subscription.tenant) };
        let rejection = Rejection::Scope { error, wrong_tenant: WrongTenant::Hide, authority: None };
        if !exists {
            finished.trail.customer = None;
            finished.trail.grants.clear();
        }
        finished.trail.fail(&rejection);
        journal.record(&Finished { rejection: Some(rejection), ..finished });
    }
    journal.close();
    let home = Log::Tenant(requests.permitted(id).trail.caller.unwrap().principal.tenant);
    let all = lines(&config.folder);
    let told = all.iter().filter(|line| Linked::parse(line).unwrap().links[0].tenant == home);
    // Times differ, and so do the links; everything else is spelled the same.
    let spelled = told.map(|line| {
        let text = String::from_utf8(line.clone()).unwrap();
        let (before, after) = text.split_once("\"took_ns\":").unwrap();
        let (_times, failed) = after.split_once(']').unwrap();
        (before.to_owned(), failed.split_once("\"chain\":").unwrap().0.to_owned())
    });
    let [one, other] = spelled.collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(one, other);
    assert!(all.len() == 3 && one.1.contains("could not be found"), "{one:?}");
}

#[test]
fn a_folder_of_the_long_form_is_read_and_goes_on() {
    let requests = Requests::new();
    let config = config(&empty_folder("old"));
    let mut journal = open(&config);
    append(&mut journal, &mut Random(3), 300);
    journal.close();
    let old = lines(&config.folder);
    assert!(old.iter().all(|line| line.starts_with(br#"{"schema":"steward.record/1","#)));

    let mut journal = open(&config);
    let first = Record::read(&old[0]).unwrap();
    assert!(matches!(journal.find(&first.id.to_string()), Found::One(found) if *found == first));
    let (id, mut random) = (RequestId::from_bytes([5; 16]), Random(4));
    journal.record(&requests.permitted(id));
    append(&mut journal, &mut random, 10);
    journal.close();
    let all = lines(&config.folder);
    assert!(all.starts_with(&old) && all.len() > old.len() + 10);
    assert!(all[old.len()].starts_with(br#"{"schema":"steward.record/2","#));
    let report = verify(&config.folder);
    assert_eq!(report.faults, []);
    assert_eq!(report.logs.iter().map(|log| log.records).sum::<u64>(), report.logs.iter().map(|log| log.sealed).sum::<u64>());
}

#[test]
fn a_line_that_contradicts_itself_is_no_record() {
    let requests = Requests::new();
    let config = config(&empty_folder("contradiction"));
    let mut journal = open(&config);
    let finished = requests.permitted(RequestId::from_bytes([5; 16]));
    journal.record(&finished);
    assert_eq!(records_of(finished).len(), 1);
    journal.append(&Record::from(requests.permitted(RequestId::from_bytes([6; 16]))), Told::Everything);
    journal.close();
    let line = String::from_utf8(lines(&config.folder)[0].clone()).unwrap();
    assert!(Record::read(line.as_bytes()).is_ok(), "{line}");
    for (from, to) in [
        ("\"took_ns\":[", "\"took_ns\":[1,"),
        ("\"took_ns\":[", "\"failed\":[null],\"took_ns\":["),
        ("\"took_ns\":[", "\"checks\":\"ppp\",\"took_ns\":["),
        ("\"took_ns\":[", "\"checks\":\"pppppppppx\",\"took_ns\":["),
        ("\"scope\":", "\"scope\":9"),
        ("record/2", "record/3"),
    ] {
        let changed = line.replacen(from, to, 1);
        assert_ne!(changed, line, "{from}");
        assert!(Record::read(changed.as_bytes()).is_err(), "{changed}");
    }
}
