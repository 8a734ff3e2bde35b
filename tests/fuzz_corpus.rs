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

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What is kept, so that it stays small enough to be run in every build.
const INPUTS_MAX: usize = 300;
const INPUT_BYTES_MAX: usize = 4096;
const CORPUS_BYTES_MAX: usize = 2 * 1024 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

/// The inputs of a target: a line for each, in base64.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let file = corpus().join(format!("{target}.txt"));
    let text = fs::read_to_string(&file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
    text.lines().map(|line| STANDARD.decode(line).unwrap_or_else(|cause| panic!("{}: {cause}: {line}", file.display()))).collect()
}

#[test]
fn every_kept_input_keeps_its_promise() {
    for (target, run) in fuzz::TARGETS {
        for (number, data) in inputs(target).iter().enumerate() {
            let outcome = std::panic::catch_unwind(|| run(data));
            assert!(outcome.is_ok(), "{target}, line {}", number + 1);
        }
    }
}

#[test]
fn the_kept_corpus_is_small_and_every_target_has_one() {
    let mut bytes = 0;
    for (target, _) in fuzz::TARGETS {
        let sizes: Vec<usize> = inputs(target).iter().map(Vec::len).collect();
        assert!((1..=INPUTS_MAX).contains(&sizes.len()), "{target} has {} inputs", sizes.len());
        assert!(sizes.iter().all(|size| *size <= INPUT_BYTES_MAX), "{target} has a large input");
        bytes += sizes.iter().sum::<usize>();
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes");
    let files = fs::read_dir(corpus()).unwrap().count();
    assert_eq!(files, fuzz::TARGETS.len(), "a file without a target");
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
