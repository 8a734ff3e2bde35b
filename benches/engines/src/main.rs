//! What a decision costs by how many grants there are, in Steward and in three policy engines that are fed the same world; and what it costs to load
//! a million grants, to keep them and to change one.
//!
//! `cargo run --release --manifest-path benches/engines/Cargo.toml -- --help`; benches/README.md says more.

mod figures;
mod heap;
mod peers;
mod sizes;
mod tables;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "usage: engines [--rounds N] [--small] [--alone] [--write]
  --rounds N  turns of each contender and loads of each kind; 7 when absent
  --small     1,000 and 10,000 grants only
  --alone     without the other engines
  --write     put the figures into docs/performance.md and docs/performance/engines.json";

struct Arguments {
    rounds: usize,
    is_small: bool,
    is_alone: bool,
    writes: bool,
}

fn arguments() -> Option<Arguments> {
    let mut known = Arguments { rounds: 7, is_small: false, is_alone: false, writes: false };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--rounds" => known.rounds = given.next()?.parse().ok().filter(|rounds| *rounds > 0)?,
            "--small" => known.is_small = true,
            "--alone" => known.is_alone = true,
            "--write" => known.writes = true,
            _ => return None,
        }
    }
    Some(known)
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        println!("{HELP}");
        return ExitCode::FAILURE;
    };
    let sizes: &[usize] = if arguments.is_small { &[1_000, 10_000] } else { &[1_000, 10_000, 100_000, 1_000_000] };
    let results = sizes::measure(sizes, arguments.rounds, if arguments.is_alone { 0 } else { sizes::PEER_GRANTS_MAX });
    println!("{}", tables::page(&results));
    if arguments.writes {
        tables::write(&results, &root().join("docs"));
    }
    ExitCode::SUCCESS
}
