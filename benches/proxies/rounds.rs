//! Interleaved rounds: in each one every contender has its turn, so that whatever else the machine does concerns them alike.

use std::time::Duration;

use crate::contenders::{Contender, Kind, Setup};
use crate::load::{self, Pace};
use crate::scenario::{SCENARIOS, Scenario, Tokens};
use crate::stage::Stage;
use crate::{Outcome, Run};

/// What a contender came to in one turn.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    pub cpu_us: f64,
    pub per_second: f64,
}

pub fn run(run: &Run) -> Outcome<()> {
    let scenarios = SCENARIOS
        .iter()
        .filter(|scenario| run.filters.is_empty() || run.filters.iter().any(|filter| scenario.name.contains(filter.as_str())));
    if run.list {
        scenarios.for_each(|scenario| println!("{}", scenario.name));
        return Ok(());
    }
    let stage = Stage::set()?;
    for scenario in scenarios {
        if let Err(error) = measure(run, &stage, scenario) {
            println!("{}: {error}", scenario.name);
        }
    }
    Ok(())
}

fn measure(run: &Run, stage: &Stage, scenario: &Scenario) -> Outcome<()> {
    let setup = Setup { tls: scenario.tls, workers: std::thread::available_parallelism()?.get() };
    let kinds = scenario.contenders.iter().filter(|kind| run.only.is_empty() || **kind == Kind::Bare || run.only.contains(kind));
    let mut contenders = kinds.map(|kind| Contender::start(*kind, stage, setup)).collect::<Outcome<Vec<_>>>()?;
    let mut turns = vec![Vec::new(); contenders.len()];
    for round in 0..=run.rounds {
        for (contender, turns) in contenders.iter_mut().zip(&mut turns) {
            if scenario.tokens == Tokens::Fresh && round > 0 {
                *contender = Contender::start(contender.kind, stage, setup)?;
            }
            let turn = turn(stage, scenario, contender, if round == 0 { 1 } else { run.seconds })?;
            if round > 0 {
                turns.push(turn);
            }
        }
    }
    let mut yardstick = None;
    for (contender, turns) in contenders.iter().zip(&mut turns) {
        turns.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
        let Some(middle) = turns.get(turns.len() / 2) else { continue };
        let yardstick = *yardstick.get_or_insert(middle.cpu_us);
        println!(
            "{:28} {:8} {:7.2} us {:8.0}/s {:6.2}",
            scenario.name,
            contender.kind.name(),
            middle.cpu_us,
            middle.per_second,
            middle.cpu_us / yardstick
        );
    }
    Ok(())
}

fn turn(stage: &Stage, scenario: &Scenario, contender: &Contender, seconds: u64) -> Outcome<Turn> {
    let expected = if contender.kind == Kind::Bare { 200 } else { scenario.ask.status() };
    let before = contender.process.cpu()?;
    let load = load::run(stage, scenario, contender.address, expected, seconds, Pace::Fastest)
        .map_err(|error| format!("{}: {error}", contender.kind.name()))?;
    let cpu: Duration = contender.process.cpu()? - before;
    Ok(Turn { cpu_us: cpu.as_secs_f64() * 1e6 / load.requests, per_second: load.requests / load.seconds })
}
