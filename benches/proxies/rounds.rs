//! Interleaved rounds: in each one every contender has its turn, so that whatever else the machine does concerns them alike.

use crate::contenders::{Contender, Kind, Setup};
use crate::figures::{Figure, Turn, Turns};
use crate::scenario::{Measure, Scenario, Tokens};
use crate::stage::Stage;
use crate::{Outcome, Run, instructions, turns};

/// Before anything is measured, each contender has a turn of so many seconds.
const WARM_UP_SECONDS: u64 = 1;

/// What became of a scenario: figures of those that took part, and why others did not.
pub struct Measured {
    pub turns: Vec<(Kind, Turns)>,
    pub errors: Vec<String>,
}

struct Entrant {
    contender: Contender,
    turns: Turns,
}

pub fn measure(run: &Run, stage: &Stage, scenario: &Scenario) -> Outcome<Measured> {
    let is_wanted = |kind: &Kind| run.only.is_empty() || *kind == Kind::Bare || run.only.contains(kind);
    let kinds = scenario.contenders.iter().copied().filter(is_wanted);
    let mut errors = Vec::new();
    if scenario.measure == Measure::Instructions {
        let mut turns = Vec::new();
        for kind in kinds {
            match instructions::count(stage, &scenario.asked_of(kind), kind) {
                Ok(turn) => turns.push((kind, added(turn))),
                Err(error) => errors.push(format!("{}: {}: {error}", scenario.name, kind.name())),
            }
        }
        return Ok(Measured { turns, errors });
    }
    let setup = Setup { tls: scenario.tls, http: scenario.http, workers: std::thread::available_parallelism()?.get() };
    let mut entrants = Vec::new();
    for kind in kinds {
        match Contender::start(kind, stage, setup) {
            Ok(contender) => entrants.push(Entrant { contender, turns: Turns::default() }),
            Err(error) => errors.push(format!("{}: {error}", scenario.name)),
        }
    }
    let plan = Plan { run, stage, scenario, setup, rate: quarter(stage, scenario, &entrants)? };
    for round in 0..if scenario.measure == Measure::Soak { 1 } else { run.rounds } {
        entrants.retain_mut(|entrant| match plan.turn(entrant, round) {
            Ok(turn) => {
                entrant.turns.add(turn);
                true
            }
            Err(error) => {
                errors.push(format!("{}: {}: {error}", scenario.name, entrant.contender.kind.name()));
                false
            }
        });
    }
    let turns = entrants.into_iter().map(|entrant| (entrant.contender.kind, entrant.turns)).collect();
    Ok(Measured { turns, errors })
}

fn added(turn: Turn) -> Turns {
    let mut turns = Turns::default();
    turns.add(turn);
    turns
}

/// What all turns of a scenario have in common.
struct Plan<'a> {
    run: &'a Run,
    stage: &'a Stage,
    scenario: &'a Scenario,
    setup: Setup,
    /// Requests per second, where they come at a fixed rate.
    rate: f64,
}

impl Plan<'_> {
    fn turn(&self, entrant: &mut Entrant, round: usize) -> Outcome<Turn> {
        let Plan { run, stage, scenario, .. } = *self;
        let asked = scenario.asked_of(entrant.contender.kind);
        // A token that was seen in the round before is not a fresh one any more; memory that is left from it is not idle.
        let is_renewed = scenario.tokens == Tokens::Fresh || scenario.measure == Measure::Idle;
        if is_renewed && round > 0 {
            entrant.contender = Contender::start(entrant.contender.kind, stage, self.setup)?;
        }
        let contender = &entrant.contender;
        match scenario.measure {
            Measure::Cpu => {
                if !is_renewed && round == 0 {
                    turns::cpu(stage, &asked, contender, WARM_UP_SECONDS)?;
                }
                turns::cpu(stage, &asked, contender, run.seconds)
            }
            Measure::Latency => turns::latency(stage, &asked, contender, run.seconds, self.rate),
            Measure::Bulk => turns::bulk(stage, &asked, contender, run.seconds),
            Measure::Idle => turns::idle(stage, &asked, contender),
            Measure::Handshakes(are_resumed) => turns::handshakes(stage, &asked, contender, run.seconds, are_resumed),
            Measure::Soak => turns::bulk(stage, &asked, contender, run.soak_seconds),
            Measure::Instructions => Ok(Turn::new()),
        }
    }
}

/// A quarter of the bare proxy's requests per second.
fn quarter(stage: &Stage, scenario: &Scenario, entrants: &[Entrant]) -> Outcome<f64> {
    let Some(bare) = entrants.iter().find(|entrant| entrant.contender.kind == Kind::Bare) else {
        return Err("there is no bare proxy".into());
    };
    if scenario.measure != Measure::Latency {
        return Ok(0.0);
    }
    let turn = turns::cpu(stage, scenario, &bare.contender, 2 * WARM_UP_SECONDS)?;
    let per_second = turn.iter().find(|(figure, _)| *figure == Figure::PerSecond).map_or(0.0, |(_, value)| *value);
    Ok(per_second / 4.0)
}
