//! `kill -9` and torn lines: the logs go on where the files end.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use steward::clock::Clock;
use steward::record::audit::Report;

use crate::world::{Random, append, config, empty_folder, open, verify};

const FOLDER: &str = "STEWARD_TEST_FOLDER";
const SEED: &str = "STEWARD_TEST_SEED";
const KILLS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);

fn variable(name: &str) -> OsString {
    std::env::vars_os().find(|(known, _)| known == name).unwrap().1
}

#[test]
#[ignore = "the process that `a_killed_writer_breaks_no_log` kills"]
fn writes_until_it_is_killed() {
    let config = config(Path::new(&variable(FOLDER)));
    let mut random = Random(variable(SEED).to_str().unwrap().parse().unwrap());
    let mut journal = open(&config);
    loop {
        append(&mut journal, &mut random, 20);
        match random.below(40) {
            0 => journal.seal(),
            1..10 => assert!(journal.flush()),
            _ => {}
        }
    }
}

fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn records(report: &Report) -> u64 {
    report.logs.iter().map(|log| log.records).sum()
}

#[test]
fn a_killed_writer_breaks_no_log() {
    let folder = empty_folder("killed");
    let records_folder = config(&folder).folder;
    let mut random = Random(99);
    let mut last = 0;
    for kill in 0..KILLS {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "crash::writes_until_it_is_killed", "--ignored"]).env(FOLDER, &folder).env(SEED, kill.to_string());
        let mut writer = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let enough = bytes(&records_folder) + 1 + random.next() % 300_000;
        let started = Clock::instant();
        while bytes(&records_folder) < enough {
            assert!(started.elapsed() < PATIENCE && writer.try_wait().unwrap().is_none(), "the writer writes");
            std::thread::yield_now();
        }
        writer.kill().unwrap();
        assert!(!writer.wait().unwrap().success());
        let report = verify(&records_folder);
        assert_eq!(report.faults, [], "after kill {kill}");
        assert!(records(&report) > last, "kill {kill}: {} records after {last}", records(&report));
        last = records(&report);
    }
    open(&config(&folder)).close();
    let report = verify(&records_folder);
    assert_eq!((report.faults.as_slice(), records(&report)), (&[][..], last));
    assert!(report.logs.iter().all(|log| log.sealed == log.last), "the next start signs for what had no head");
}

#[test]
fn a_torn_line_is_set_aside_with_a_note() {
    let folder = empty_folder("torn");
    let config = config(&folder);
    let segment = config.folder.join("00000001.ndjson");
    let heads = config.folder.join("00000001.heads.ndjson");
    let mut random = Random(3);
    let mut journal = open(&config);
    append(&mut journal, &mut random, 30);
    journal.close();
    let mut torn = 0;
    for cut in [1, 2, 60, 400] {
        // Written and not signed for, then gone without an end.
        let mut journal = open(&config);
        append(&mut journal, &mut random, 5);
        assert!(journal.flush());
        drop(journal);
        let before = records(&verify(&config.folder));
        let text = std::fs::read(&segment).unwrap();
        std::fs::write(&segment, &text[..text.len() - cut]).unwrap();
        std::fs::OpenOptions::new().append(true).open(&heads).unwrap().write_all(b"{\"schema\":\"steward.head/1\",\"ki").unwrap();
        let report = verify(&config.folder);
        assert_eq!(report.faults, [], "{cut}");
        open(&config).close();
        let report = verify(&config.folder);
        // Without its line feed alone, a line is whole.
        let is_lost = u64::from(cut > 1);
        torn += 1 + is_lost;
        assert_eq!((report.faults.as_slice(), report.torn), (&[][..], torn), "{cut}");
        assert!((before - 2 * is_lost..=before - is_lost).contains(&records(&report)), "{cut}");
    }
    // The note holds for the torn bytes only.
    let text = String::from_utf8_lossy(&std::fs::read(&segment).unwrap()).into_owned();
    let noted = text.lines().position(|line| line.contains("steward.torn/1")).unwrap();
    let changed: Vec<String> =
        text.lines().enumerate().map(|(at, line)| if at + 1 == noted { format!("{line}x") } else { line.to_owned() }).collect();
    std::fs::write(&segment, changed.join("\n") + "\n").unwrap();
    let faults = verify(&config.folder).faults;
    assert!(faults.len() == 1 && faults[0].to_string().contains(&format!("00000001.ndjson:{noted}")), "{faults:?}");
}
