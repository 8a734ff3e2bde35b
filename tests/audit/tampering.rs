//! Every record of a copy, deleted, changed and moved.

use steward::record::audit::{Export, ExportLine, Fault, Link, Linked, Log};

use crate::world::{Random, lines, logs, verify, verify_lines, written};

/// All lines of a folder, records and heads.
fn all_lines(folder: &std::path::Path) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    steward::record::archive::read_folder(folder, |spot| lines.push(spot.text.to_vec())).unwrap();
    lines
}

fn links(line: &[u8]) -> Vec<Link> {
    Linked::parse(line).map(|line| line.links).unwrap_or_default()
}

/// Whether a fault names this record: its log, its number and, where it is still there, its line.
fn names(fault: &Fault, log: Log, seq: u64, line: Option<u64>) -> bool {
    match fault {
        Fault::Changed(record) => (record.tenant, record.seq) == (log, seq) && line.is_none_or(|line| record.at.line == line),
        Fault::Missing { tenant, from, to, .. } => (*tenant, *from, *to) == (log, seq, seq),
        Fault::Reordered { record, behind } => {
            [record, behind].iter().any(|one| (one.tenant, one.seq) == (log, seq) && line.is_none_or(|line| one.at.line == line))
        }
        Fault::Contradicted { .. } | Fault::Head { .. } | Fault::Unlinked { .. } => false,
    }
}

#[test]
fn what_was_written_verifies() {
    let folder = written("sound", 400);
    let report = verify(&folder);
    assert_eq!(report.faults, []);
    assert_eq!(report.logs.len(), logs().count());
    let records: u64 = report.logs.iter().map(|log| log.records).sum();
    assert_eq!(records, lines(&folder).iter().map(|line| links(line).len() as u64).sum::<u64>());
    for log in &report.logs {
        assert_eq!((log.first, log.last, log.sealed), (1, log.records, log.records), "{}", log.tenant);
    }
}

#[test]
fn every_deleted_record_is_named() {
    let lines = all_lines(&written("deleted", 150));
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !links(line).is_empty()) {
        let left = lines.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, line)| line.as_slice());
        let faults = verify_lines(left).faults;
        let links = links(line);
        assert_eq!(faults.len(), links.len(), "{at}: {faults:?}");
        for link in links {
            assert!(faults.iter().any(|fault| names(fault, link.tenant, link.seq, None)), "{at}: {faults:?}");
        }
    }
}

#[test]
fn every_record_of_every_export_is_named_when_it_is_deleted_changed_or_moved() {
    let folder = written("in-exports", 150);
    let mut random = Random(11);
    for log in logs() {
        let (mut export, header) = Export::begin(log, "2027-03-01T10:00:00.000Z".to_owned());
        let own = all_lines(&folder).into_iter().filter_map(|line| match export.line(&line) {
            ExportLine::Own(line) => Some(line),
            ExportLine::Foreign => None,
        });
        let lines: Vec<Vec<u8>> = [header].into_iter().chain(own).collect();
        assert_eq!(verify_lines(lines.iter().map(Vec::as_slice)).faults, []);
        for (at, line) in lines.iter().enumerate() {
            let Some(link) = links(line).first().copied() else { continue };
            let named = |copy: &[Vec<u8>], line: Option<u64>| {
                let faults = verify_lines(copy.iter().map(Vec::as_slice)).faults;
                assert!(matches!(&faults[..], [fault] if names(fault, log, link.seq, line)), "{link:?}: {faults:?}");
            };
            let mut deleted = lines.clone();
            deleted.remove(at);
            named(&deleted, None);
            let mut changed = lines.clone();
            let byte = random.below(line.len());
            changed[at][byte] ^= 1;
            named(&changed, Some(at as u64 + 1));
            if at + 1 < lines.len() {
                let mut swapped = lines.clone();
                swapped.swap(at, at + 1);
                named(&swapped, Some(at as u64 + 2));
            }
        }
    }
}

#[test]
fn no_lines_make_the_verifier_fail() {
    let lines = all_lines(&written("any-lines", 40));
    let mut random = Random(13);
    for _ in 0..3_000 {
        let mut copy = lines.clone();
        for _ in 0..=random.below(4) {
            let (at, other) = (random.below(copy.len()), random.below(copy.len()));
            match random.below(6) {
                0 => drop(copy.remove(at)),
                1 => copy.swap(at, other),
                2 => copy[at].truncate(random.below(200)),
                3 => copy.insert(at, lines[random.below(lines.len())].clone()),
                4 => {
                    let text = String::from_utf8_lossy(&copy[at]).into_owned();
                    copy[at] =
                        text.replace("\"seq\":1", ["\"seq\":9007199254740991", "\"seq\":0", "\"seq\":99"][random.below(3)]).into_bytes();
                }
                _ => {
                    if let Some(byte) = copy[at].get_mut(random.below(600)) {
                        *byte = random.next().to_be_bytes()[0];
                    }
                }
            }
        }
        let is_same_for_a_reader = copy == lines;
        let faults = verify_lines(copy.iter().map(Vec::as_slice)).faults;
        assert!(!is_same_for_a_reader || faults.is_empty());
        assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
    }
}

#[test]
fn every_changed_byte_is_found_and_its_record_named() {
    let lines = all_lines(&written("changed", 60));
    let mut random = Random(7);
    for (at, line) in lines.iter().enumerate() {
        let links = links(line);
        // Every byte of a few records, some of each of the others.
        let bytes: Vec<usize> = if at % 40 == 12 { (0..line.len()).collect() } else { (0..12).map(|_| random.below(line.len())).collect() };
        for byte in bytes {
            let mut copy = lines.clone();
            copy[at][byte] ^= 1 << random.below(7);
            if links.is_empty() || copy[at] == lines[at] {
                continue;
            }
            let faults = verify_lines(copy.iter().map(Vec::as_slice)).faults;
            let number = Some(at as u64 + 1);
            // The link of one log is no part of the line in another.
            let is_in_record = memchr::memmem::rfind(&lines[at], b",\"chain\":[").is_some_and(|links| byte < links);
            let named = links.iter().filter(|link| faults.iter().any(|fault| names(fault, link.tenant, link.seq, number))).count();
            let shown = String::from_utf8_lossy(&copy[at]);
            assert!(if is_in_record { named == links.len() } else { named > 0 }, "byte {byte} of {shown}: {faults:#?}");
            assert!(faults.len() <= links.len(), "no other record is blamed: byte {byte}, {faults:#?}");
        }
    }
}

#[test]
fn every_swap_within_a_log_is_named() {
    let lines = all_lines(&written("swapped", 150));
    for log in logs() {
        let of_log: Vec<(usize, Link)> = lines
            .iter()
            .enumerate()
            .flat_map(|(at, line)| links(line).into_iter().filter(|link| link.tenant == log).map(move |link| (at, link)))
            .collect();
        assert!(of_log.len() > 10, "{log}");
        for pair in of_log.windows(2) {
            let [(first, link), (second, next)] = pair else { continue };
            let mut copy = lines.clone();
            copy.swap(*first, *second);
            let faults = verify_lines(copy.iter().map(Vec::as_slice)).faults;
            assert!(!faults.is_empty() && faults.iter().all(|fault| matches!(fault, Fault::Reordered { .. })), "{faults:?}");
            for (seq, line) in [(link.seq, *second), (next.seq, *first)] {
                assert!(faults.iter().any(|fault| names(fault, log, seq, Some(line as u64 + 1))), "{faults:?}");
            }
        }
    }
}

#[test]
fn a_cut_off_end_is_noticed_by_the_heads() {
    let folder = written("cut-off", 100);
    let lines = all_lines(&folder);
    let first_record = lines.iter().position(|line| !links(line).is_empty()).unwrap();
    for end in first_record..lines.len() {
        let faults = verify_lines(lines[..end].iter().map(Vec::as_slice)).faults;
        for log in logs() {
            let lost = lines[end..].iter().flat_map(|line| links(line)).filter(|link| link.tenant == log).map(|link| link.seq);
            let (lost_first, lost_last) = (lost.clone().min(), lost.max());
            let told = faults.iter().find_map(|fault| {
                let Fault::Missing { tenant, from, to, before: None, .. } = fault else { return None };
                (*tenant == log).then_some((*from, *to))
            });
            assert_eq!(told, lost_first.zip(lost_last), "{log} cut at {end}: {faults:?}");
        }
    }
}

#[test]
fn a_record_added_or_a_head_forged_is_named() {
    let lines = all_lines(&written("added", 50));
    let first_record = lines.iter().position(|line| !links(line).is_empty()).unwrap();
    for added in [lines[first_record].clone(), b"{\"schema\":\"steward.record/1\"}".to_vec(), b"\0\0\0".to_vec()] {
        let mut copy = lines.clone();
        copy.insert(first_record + 7, added);
        let faults = verify_lines(copy.iter().map(Vec::as_slice)).faults;
        let line = first_record as u64 + 8;
        assert!(matches!(&faults[..], [Fault::Unlinked { at, .. }] if at.line == line), "{faults:?}");
    }
    for at in 0..first_record {
        let text = String::from_utf8(lines[at].clone()).unwrap();
        if !text.contains("steward.head/1") {
            continue;
        }
        let mut copy = lines.clone();
        copy[at] = text.replacen("\"seq\":", "\"seq\":1", 1).into_bytes();
        let faults = verify_lines(copy.iter().map(Vec::as_slice)).faults;
        assert!(matches!(&faults[..], [Fault::Head { at: place, .. }] if place.line == at as u64 + 1), "{faults:?}");
    }
}

#[test]
fn a_whole_log_or_a_head_taken_out_is_noticed() {
    let folder = written("taken-out", 80);
    let lines = all_lines(&folder);
    let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
    let is_head = |line: &[u8]| text(line).starts_with("{\"schema\":\"steward.head/1\"");
    for log in logs() {
        let is_own = |line: &[u8]| {
            (is_head(line) && text(line).contains(&format!("\"tenant\":\"{log}\""))) || links(line).iter().any(|link| link.tenant == log)
        };
        let left: Vec<&[u8]> = lines.iter().map(Vec::as_slice).filter(|line| !is_own(line)).collect();
        let faults = verify_lines(left).faults;
        assert!(faults.iter().any(|fault| matches!(fault, Fault::Head { .. })), "{log}: {faults:?}");
    }
    let heads: Vec<usize> = (0..lines.len()).filter(|at| is_head(&lines[*at])).collect();
    for pair in heads[1..].windows(2) {
        let [at, next] = pair else { continue };
        let mut copy = lines.clone();
        copy.remove(*at);
        let faults = verify_lines(copy.iter().map(Vec::as_slice)).faults;
        assert!(matches!(&faults[..], [Fault::Head { at: place, .. }] if place.line == *next as u64), "{faults:?}");
    }
}
