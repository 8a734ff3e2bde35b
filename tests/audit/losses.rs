//! A disk that takes nothing for a while, and a writer that panics: what is lost is counted, and the logs go on whole.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use steward::clock::{Clock, Timestamp};
use steward::ids::RequestId;
use steward::panics;
use steward::record::{ActivityQuery, Finished, Found, Loss, RecordConfig, Recorder, Unanswered, Writer};
use steward::telemetry::Condition;

use crate::requests::Requests;
use crate::world::{config, empty_folder, lines, verify};

const PATIENCE: Duration = Duration::from_secs(60);

fn start(config: &RecordConfig) -> (Recorder, Writer) {
    Recorder::open(config, Clock::system()).unwrap()
}

/// A request that changed something, so that it is among the activities of its subscription.
fn change(requests: &Requests) -> Finished {
    let mut finished = requests.permitted(RequestId::random());
    finished.trail.actions = vec!["Microsoft.Compute/virtualMachines/write".parse().unwrap()];
    finished
}

fn lost(recorder: &Recorder, of: Loss) -> u64 {
    recorder.health().lost().into_iter().find(|(loss, _)| *loss == of).unwrap().1
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let seen = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_late| panic!("not seen: {what}"));
}

fn records(folder: &Path) -> u64 {
    let report = verify(folder);
    assert_eq!(report.faults, []);
    report.logs.iter().map(|log| log.records).sum()
}

#[tokio::test]
async fn a_writer_that_panics_is_begun_again_and_loses_no_record() {
    panics::note(panics::Text::Shown);
    let requests = Requests::new();
    let config = config(&empty_folder("panicked"));
    let (recorder, writer) = start(&config);
    let first = change(&requests);
    let id = first.trail.id.to_string();
    recorder.record(first).await;
    let query = |wanted: fn() -> bool| ActivityQuery {
        subscription: requests.subscription().id,
        from: Timestamp::MIN,
        until: Timestamp::MAX,
        skip: 0,
        wanted: Box::new(move |_| wanted()),
    };
    for round in 1..=2 {
        let broken = recorder.activities(query(|| panic!("of the test"))).await;
        assert_eq!(broken.unwrap_err(), Unanswered);
        // It waits for the next writer.
        recorder.record(change(&requests)).await;
        until("the writer is there again", || recorder.health().has_writer()).await;
        let found = recorder.activities(query(|| true)).await.unwrap();
        assert_eq!(found.records.len(), 1 + round);
    }
    assert!(matches!(recorder.find(&id).await, Ok(Found::One(_))));
    assert_eq!(recorder.health().condition(), (Condition::Sound, "records are written; 0 records lost since the start".to_owned()));
    drop(recorder);
    writer.join();
    assert_eq!(records(&config.folder) % 3, 0, "each is in the logs of its tenants");
    assert!(records(&config.folder) >= 3);
}

/// Lets the records of this folder go into a pipe from the second segment on: a disk that is as slow as its reader.
fn pipe(config: &RecordConfig) -> std::fs::File {
    let path = config.folder.join("00000002.ndjson");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Open for both, so that nobody waits for the other end.
    std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
}

#[tokio::test]
async fn a_disk_that_hangs_holds_a_request_up_for_a_second_and_the_next_not_at_all() {
    let requests = Requests::new();
    let config = config(&empty_folder("hung"));
    let (recorder, writer) = start(&config);
    let mut pipe = pipe(&config);
    let mut sent = 0;
    let started = Clock::instant();
    // Until nothing is taken any more.
    loop {
        for _ in 0..1_000 {
            recorder.record(change(&requests)).await;
            sent += 1;
        }
        if recorder.flush().await == Err(Unanswered) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{sent} records were taken");
    }
    assert_eq!(recorder.health().condition().0, Condition::Degraded);
    // Who finds room does not wait; the first who finds none leaves.
    while tokio::time::timeout(Duration::from_millis(20), recorder.record(change(&requests))).await.is_ok() {
        sent += 1;
        assert!(started.elapsed() < PATIENCE, "{sent} records were taken");
    }
    assert_eq!((lost(&recorder, Loss::ClientGone), lost(&recorder, Loss::Slow)), (1, 0));
    let hung = Clock::instant();
    recorder.record(change(&requests)).await;
    assert!(hung.elapsed() >= Duration::from_secs(1), "{:?}", hung.elapsed());
    assert_eq!(recorder.health().condition().0, Condition::Failed);
    let hung = Clock::instant();
    for _ in 0..100 {
        recorder.record(change(&requests)).await;
    }
    assert!(hung.elapsed() < Duration::from_secs(1), "{:?}", hung.elapsed());
    assert_eq!(lost(&recorder, Loss::Slow), 101);
    recorder.record_now(change(&requests));
    assert_eq!(lost(&recorder, Loss::ClientGone), 2);

    let end = pipe.try_clone().unwrap();
    let reader = std::thread::spawn(move || lines_up_to_the_end(&mut pipe));
    until("the records are taken", || recorder.health().condition().0 < Condition::Failed).await;
    while recorder.flush().await.is_err() {
        assert!(started.elapsed() < PATIENCE);
    }
    recorder.record(change(&requests)).await;
    assert_eq!((lost(&recorder, Loss::Slow), lost(&recorder, Loss::ClientGone)), (101, 2), "no more than before");
    drop(recorder);
    writer.join();
    (&end).write_all(&[END]).unwrap();
    let in_files: usize = [1, 3].into_iter().map(|number| lines_of(&config.folder.join(format!("{number:08}.ndjson")))).sum();
    assert_eq!(in_files + reader.join().unwrap(), sent + 1, "what found room, and one that came after");
}

/// Stands in no record.
const END: u8 = 0;

fn lines_up_to_the_end(pipe: &mut std::fs::File) -> usize {
    let (mut lines, mut piece) = (0, vec![0; 1 << 16]);
    loop {
        let length = pipe.read(&mut piece).unwrap();
        lines += piece[..length].iter().filter(|byte| **byte == b'\n').count();
        if piece[..length].ends_with(&[END]) {
            return lines;
        }
    }
}

fn lines_of(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

const FOLDER: &str = "STEWARD_TEST_FOLDER";
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Of Linux: a file may not grow any more. Its default is to end the process.
const SIGXFSZ: i32 = 25;

/// No file of this process may grow beyond this.
fn bound_files(bytes_max: Option<u64>) {
    let before = rustix::process::getrlimit(rustix::process::Resource::Fsize);
    let bound = rustix::process::Rlimit { current: bytes_max.or(before.maximum), ..before };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, bound).unwrap();
}

#[tokio::test]
#[ignore = "the process of `a_full_disk_costs_what_does_not_fit_and_nothing_after_it`"]
async fn writes_to_a_full_disk() {
    let folder = std::env::vars_os().find(|(known, _)| known == FOLDER).unwrap().1;
    let config = config(Path::new(&folder));
    let requests = Requests::new();
    let _noted = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ)).unwrap();
    bound_files(Some(FILE_BYTES_MAX));
    let (recorder, writer) = start(&config);
    let (mut sent, mut conditions) = (0, Vec::new());
    while lost(&recorder, Loss::Disk) < 1_000 {
        for _ in 0..100 {
            recorder.record(change(&requests)).await;
            sent += 1;
        }
        recorder.flush().await.unwrap();
        let condition = recorder.health().condition().0;
        assert!(condition == Condition::Failed || lost(&recorder, Loss::Disk) == 0, "{condition:?}");
        conditions.push(condition);
        assert!(sent < 100_000);
    }
    conditions.dedup();
    assert_eq!(conditions, [Condition::Sound, Condition::Degraded, Condition::Failed]);
    assert!(recorder.health().has_writer());

    bound_files(None);
    // Nobody sends anything: it goes on by itself.
    until("the disk takes records", || recorder.health().condition().0 == Condition::Sound).await;
    let last = change(&requests);
    let id = last.trail.id.to_string();
    recorder.record(last).await;
    assert!(matches!(recorder.find(&id).await, Ok(Found::One(_))));
    let lost = lost(&recorder, Loss::Disk);
    drop(recorder);
    writer.join();
    assert_eq!(verify(&config.folder).faults, []);
    assert_eq!(lines(&config.folder).len() as u64, sent + 1 - lost);
}

#[test]
fn a_full_disk_costs_what_does_not_fit_and_nothing_after_it() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "losses::writes_to_a_full_disk", "--ignored"]).env(FOLDER, empty_folder("full"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
