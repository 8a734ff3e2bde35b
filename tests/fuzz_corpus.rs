//! The kept corpus of every fuzz target, run through the same functions without a fuzzer: `docs/fuzzing.md`.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "targets panic when a promise does not hold, and are shared with programs that use all of them"
)]

#[path = "fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::{Path, PathBuf};

/// What is kept, so that it stays small enough to be read and run in every build.
const FILES_MAX: usize = 300;
const FILE_BYTES_MAX: u64 = 4096;
const CORPUS_BYTES_MAX: u64 = 2 * 1024 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

/// The files of a target, in order.
fn files(target: &str) -> Vec<PathBuf> {
    let folder = corpus().join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|cause| panic!("{}: {cause}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_kept_input_keeps_its_promise() {
    for (target, run) in fuzz::TARGETS {
        for file in files(target) {
            let data = fs::read(&file).unwrap();
            let outcome = std::panic::catch_unwind(|| run(&data));
            assert!(outcome.is_ok(), "{}", file.display());
        }
    }
}

#[test]
fn the_kept_corpus_is_small_and_every_target_has_one() {
    let mut bytes = 0;
    for (target, _) in fuzz::TARGETS {
        let sizes: Vec<u64> = files(target).iter().map(|file| fs::metadata(file).unwrap().len()).collect();
        assert!((1..=FILES_MAX).contains(&sizes.len()), "{target} has {} files", sizes.len());
        assert!(sizes.iter().all(|size| *size <= FILE_BYTES_MAX), "{target} has a large file");
        bytes += sizes.iter().sum::<u64>();
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes");
    let folders = fs::read_dir(corpus()).unwrap().count();
    assert_eq!(folders, fuzz::TARGETS.len(), "a folder without a target");
}

/// A target without its program is replayed and never fuzzed.
#[test]
fn every_target_is_a_program() {
    let manifest = include_str!("fuzz/Cargo.toml");
    for (target, _) in fuzz::TARGETS {
        let program = format!("tests/fuzz/fuzz_targets/{target}.rs");
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&program)).unwrap();
        assert!(text.contains(&format!("run(\"{target}\", data)")), "{program}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{program}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), fuzz::TARGETS.len());
}
