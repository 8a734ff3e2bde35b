//! A whole run: which scenarios, what became of them, and how it ends.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::contenders::Kind;
use crate::figures::{Figure, Row, rows};
use crate::machine::Machine;
use crate::report::Results;
use crate::scenario::{Measure, SCENARIOS, Scenario};
use crate::stage::{Stage, kept, root};
use crate::{Outcome, Run, judge, rounds};

/// More instructions than this share above the baseline fail the guard.
const GUARD: f64 = 0.05;

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

/// Compares what Steward's requests were counted at with the baseline, in instructions.
fn guard(run: &Run, results: &Results) -> Outcome<()> {
    let file = root().join("benches/instructions.json");
    let own = results.rows.iter().filter(|row| row.contender == Kind::Steward.name() && row.figure == Figure::Instructions.name());
    let counted: BTreeMap<String, f64> = own.map(|row| (row.scenario.clone(), row.median.round())).collect();
    let mut baseline: BTreeMap<String, f64> = if file.exists() { serde_json::from_slice(&fs::read(&file)?)? } else { BTreeMap::new() };
    if run.bless {
        baseline.extend(counted);
        fs::write(&file, serde_json::to_string_pretty(&baseline)? + "\n")?;
        return end(&results.errors);
    }
    let mut failures = results.errors.clone();
    for (scenario, allowed) in baseline.iter().filter(|(scenario, _)| run.filters.is_empty() || counted.contains_key(*scenario)) {
        match counted.get(scenario) {
            Some(counted) if *counted <= allowed * (1.0 + GUARD) => {}
            Some(counted) => failures.push(format!("{scenario}: {counted:.0} instructions a request, baseline {allowed:.0}")),
            None => failures.push(format!("{scenario}: not counted")),
        }
    }
    end(&failures)
}

fn end(failures: &[String]) -> Outcome<()> {
    if failures.is_empty() { Ok(()) } else { Err(format!("failed:\n  {}", failures.join("\n  ")).into()) }
}
