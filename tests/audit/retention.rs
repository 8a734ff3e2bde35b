//! The oldest records go; what is left verifies from the first one kept.

use steward::record::audit::{Fault, Finder, InclusionProof, Log, Prover, Report};
use steward::record::{Journal, RecordConfig, Told};

use crate::world::{Random, append, config, empty_folder, lines, logs, open, record, tenant, verify};

const BYTES_MAX: u64 = 400_000;

/// A tenant that hardly anything happens in.
const QUIET: u8 = 77;

fn small(name: &str) -> RecordConfig {
    RecordConfig { bytes_max: BYTES_MAX, ..config(&empty_folder(name)) }
}

fn append_quiet(journal: &mut Journal) {
    let (mut quiet, _) = record(&mut Random(1));
    quiet.customer = None;
    quiet.principal.as_mut().unwrap().tenant = tenant(QUIET);
    journal.append(&quiet, Told::Everything);
}

fn quiet(report: &Report) -> (u64, u64, u64) {
    let log = report.logs.iter().find(|log| log.tenant == Log::Tenant(tenant(QUIET))).unwrap();
    (log.first, log.last, log.records)
}

#[test]
fn what_is_kept_verifies_from_its_first_record() {
    let config = small("kept");
    let mut random = Random(5);
    let mut journal = open(&config);
    for _ in 0..3 {
        append_quiet(&mut journal);
    }
    journal.close();
    assert_eq!(quiet(&verify(&config.folder)), (1, 3, 3));
    for run in 0..6 {
        let mut journal = open(&config);
        append(&mut journal, &mut random, 900);
        journal.close();
        let report = verify(&config.folder);
        assert_eq!(report.faults, [], "run {run}");
        let bytes: u64 = std::fs::read_dir(&config.folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes < BYTES_MAX + BYTES_MAX / 8, "{bytes}");
        assert_eq!(quiet(&report), (4, 3, 0), "all of it is gone and its end is known, run {run}");
        for log in logs() {
            let log = report.logs.iter().find(|report| report.tenant == log).unwrap();
            assert!(log.first > 1 && log.last - log.first + 1 == log.records && log.sealed == log.last, "{log:?}");
        }
    }
    let mut journal = open(&config);
    append_quiet(&mut journal);
    journal.close();
    let report = verify(&config.folder);
    assert_eq!((report.faults.as_slice(), quiet(&report)), (&[][..], (4, 4, 1)));
}

#[test]
fn a_segment_removed_by_anybody_else_is_missed() {
    let config = small("removed");
    let mut journal = open(&config);
    append(&mut journal, &mut Random(6), 1500);
    journal.close();
    let mut segments: Vec<_> = std::fs::read_dir(&config.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| !path.to_str().unwrap().contains("heads"));
    segments.sort();
    for victim in [segments.first().unwrap(), &segments[segments.len() / 2], segments.last().unwrap()] {
        let text = std::fs::read(victim).unwrap();
        std::fs::remove_file(victim).unwrap();
        let faults = verify(&config.folder).faults;
        assert!(!faults.is_empty() && faults.iter().all(|fault| matches!(fault, Fault::Missing { .. })), "{faults:?}");
        std::fs::write(victim, text).unwrap();
        assert_eq!(verify(&config.folder).faults, []);
    }
}

fn prove(config: &RecordConfig, id: &str, log: Option<Log>) -> InclusionProof {
    let mut finder = Finder::new(id.to_owned());
    steward::record::archive::read_folder(&config.folder, |spot| finder.line(spot.text)).unwrap();
    let mut prover = Prover::new(finder.finish(log).unwrap());
    steward::record::archive::read_folder(&config.folder, |spot| prover.line(spot.text)).unwrap();
    prover.finish().unwrap()
}

#[test]
fn every_kept_record_is_proven_in_each_of_its_logs() {
    let config = RecordConfig { bytes_max: 100_000, ..small("proven") };
    let mut journal = open(&config);
    append(&mut journal, &mut Random(8), 400);
    journal.close();
    let kept = lines(&config.folder);
    assert!((20..200).contains(&kept.len()), "{}", kept.len());
    for line in &kept {
        let linked = steward::record::audit::Linked::parse(line).unwrap();
        for link in &linked.links {
            let proof = prove(&config, &linked.id().unwrap().to_string(), Some(link.tenant));
            let proven = proof.verify(&[]).unwrap();
            assert_eq!((proven.tenant, proven.seq), (link.tenant, link.seq));
            assert_eq!(proof.record.as_bytes(), linked.line_of(link));
            let mut other = proof.clone();
            other.record = proof.record.replacen("\"GET\"", "\"PUT\"", 1);
            assert!(other.verify(&[]).is_err());
            let mut elsewhere = proof;
            elsewhere.path.0.reverse();
            assert!(elsewhere.path.0.len() < 2 || elsewhere.verify(&[]).is_err());
        }
    }
}
