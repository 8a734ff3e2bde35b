//! A whole run: which scenarios, what became of them, and how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::contenders::Kind;
use crate::figures::{Figure, Row, rows};
use crate::machine::Machine;
use crate::report::Results;
use crate::scenario::{Measure, SCENARIOS, Scenario};
use crate::stage::{Stage, kept, root};
use crate::{Outcome, Run, judge, rounds};

/// More instructions than this share above the baseline fail the guard.
const GUARD: f64 = 0.05;
/// Counts of the bare proxy that differ by less are of machines that are alike.
const SAME_MACHINE: f64 = 0.02;
/// What differs by more is no matter of the machine.
const OTHER_MACHINE_MAX: f64 = 0.15;

pub fn run(run: &Run) -> Outcome<()> {
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| is_wanted(run, scenario)).collect();
    if run.list {
        scenarios.iter().for_each(|scenario| println!("{}", scenario.name));
        return Ok(());
    }
    if !run.no_install {
        // What it could not install is missed by whoever needs it, and named there: it ends well in any case.
        let _installed = Command::new(root().join("benches/install")).status()?;
    }
    let stage = Stage::set()?;
    let mut results = Results { machine: Machine::here(), rounds: run.rounds, seconds: run.seconds, errors: Vec::new(), rows: Vec::new() };
    for scenario in scenarios {
        match rounds::measure(run, &stage, scenario) {
            Ok(measured) => {
                let rows = rows(scenario, &measured.turns);
                rows.iter().for_each(show);
                results.replace(rows);
                measured.errors.iter().for_each(|error| println!("NOT MEASURED: {error}"));
                results.errors.extend(measured.errors);
            }
            Err(error) => results.errors.push(format!("{}: {error}", scenario.name)),
        }
    }
    fs::write(kept().join("results.json"), serde_json::to_string_pretty(&results)?)?;
    if run.guard {
        return guard(run, &results);
    }
    let failures = if run.check { judge::failures(&results.rows) } else { Vec::new() };
    let errors = results.errors.clone();
    if run.write {
        write(results)?;
    }
    let missing = errors.into_iter().map(|error| format!("not measured: {error}"));
    end(&missing.chain(failures).collect::<Vec<_>>())
}

fn is_wanted(run: &Run, scenario: &Scenario) -> bool {
    let is_named = run.filters.iter().any(|filter| scenario.name.contains(filter.as_str()));
    let is_counted = scenario.measure == Measure::Instructions;
    (run.filters.is_empty() && (scenario.measure != Measure::Soak || run.check) || is_named) && (is_counted || !run.guard)
}

fn show(row: &Row) {
    let figure = Figure::ALL.into_iter().find(|figure| figure.name() == row.figure);
    let shown = |value| figure.map_or_else(String::new, |figure| figure.shown(value));
    let ratio = row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    println!(
        "{:26} {:28} {:8} {:>12} {ratio:>6}  {} – {}",
        row.scenario,
        row.figure,
        row.contender,
        shown(row.median),
        shown(row.lowest),
        shown(row.highest)
    );
}

fn write(results: Results) -> Outcome<()> {
    let folder = root().join("docs/performance");
    match Results::read(&folder.join("results.json")) {
        None => results.write(&folder),
        Some(mut earlier) => {
            earlier.replace(results.rows);
            (earlier.machine, earlier.rounds, earlier.seconds, earlier.errors) =
                (results.machine, results.rounds, results.seconds, results.errors);
            earlier.write(&folder)
        }
    }
}

/// Instructions of a request.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Counted {
    steward: f64,
    bare: f64,
}

type Counts = BTreeMap<String, Counted>;

/// Compares what requests through Steward were counted at with the baseline.
fn guard(run: &Run, results: &Results) -> Outcome<()> {
    let file = root().join("benches/instructions.json");
    let counts = counts(results);
    let mut baseline: Counts = if file.exists() { serde_json::from_slice(&fs::read(&file)?)? } else { Counts::new() };
    if run.bless {
        baseline.extend(counts);
        fs::write(&file, serde_json::to_string_pretty(&baseline)? + "\n")?;
        return end(&results.errors);
    }
    let mut failures = results.errors.clone();
    for (scenario, baseline) in baseline.iter().filter(|(scenario, _)| run.filters.is_empty() || counts.contains_key(*scenario)) {
        let Some(counted) = counts.get(scenario) else {
            failures.push(format!("{scenario}: not counted"));
            continue;
        };
        let allowed = baseline.steward * (1.0 + GUARD) * machine(counted, baseline);
        if counted.steward > allowed {
            let Counted { steward, bare } = counted;
            failures.push(format!("{scenario}: {steward:.0} instructions a request, allowed {allowed:.0}; the bare proxy takes {bare:.0}"));
        }
    }
    end(&failures)
}

fn counts(results: &Results) -> Counts {
    let median = |scenario: &str, kind: Kind| {
        let is_it = |row: &&Row| row.scenario == scenario && row.contender == kind.name() && row.figure == Figure::Instructions.name();
        results.rows.iter().find(is_it).map(|row| row.median.round())
    };
    let names: BTreeSet<&String> = results.rows.iter().map(|row| &row.scenario).collect();
    let counted = |name: &str| Some(Counted { steward: median(name, Kind::Steward)?, bare: median(name, Kind::Bare)? });
    names.into_iter().filter_map(|name| Some((name.clone(), counted(name)?))).collect()
}

/// How much more or less is counted here for the same work: libraries choose their instructions by the processor. Nothing, where the bare proxy
/// takes what it took for the baseline.
fn machine(counted: &Counted, baseline: &Counted) -> f64 {
    let factor = counted.bare / baseline.bare;
    if (factor - 1.0).abs() <= SAME_MACHINE { 1.0 } else { factor.clamp(1.0 - OTHER_MACHINE_MAX, 1.0 + OTHER_MACHINE_MAX) }
}

fn end(failures: &[String]) -> Outcome<()> {
    if failures.is_empty() { Ok(()) } else { Err(format!("failed:\n  {}", failures.join("\n  ")).into()) }
}
