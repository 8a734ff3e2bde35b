//! Instructions that a request costs a contender in user space, counted by valgrind: the same from run to run to about a hundredth, whatever else the machine
//! does. Valgrind shows no SHA extensions to programs, so hashing counts for more than it costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::{Call, Connection, runtime, trusting};
use crate::contenders::{Contender, Kind, Setup};
use crate::figures::{Figure, Turn};
use crate::scenario::{Scenario, Tokens};
use crate::stage::Stage;
use crate::token::{CALLERS, FRESH};
use crate::{Outcome, load};

/// Requests before those that are counted: caches, pools and lazily made tables are there then.
const WARM_UP: usize = 200;
/// Requests that are counted.
const COUNTED: usize = 1000;

pub fn count(stage: &Stage, scenario: &Scenario, kind: Kind) -> Outcome<Turn> {
    let out = stage.folder.join(format!("{}-{}.callgrind", scenario.name, kind.name()));
    let file = format!("--callgrind-out-file={}", out.display());
    let setup = Setup { tls: scenario.tls, http: scenario.http, workers: 1 };
    let contender = Contender::start_below(kind, stage, setup, &["valgrind", "--tool=callgrind", &file])?;
    let mut tokens = tokens(stage, scenario)?;
    let runtime = runtime()?;
    let counted: Outcome<()> = runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in 0..scenario.connections {
            let tls = if scenario.tls { Some(trusting(scenario.http)?) } else { None };
            connections.push(Connection::open(contender.address, scenario.http, tls).await?);
        }
        drive(scenario, &mut connections, &mut tokens, WARM_UP).await?;
        control(&contender, "--zero")?;
        drive(scenario, &mut connections, &mut tokens, COUNTED).await?;
        control(&contender, "--dump")
    });
    counted?;
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    let per_request = total(&out.with_extension("callgrind.1"))? / COUNTED as f64;
    Ok(vec![(Figure::Instructions, per_request)])
}

/// So many requests, on all connections in turn.
async fn drive(
    scenario: &Scenario,
    connections: &mut [Connection],
    tokens: &mut impl Iterator<Item = String>,
    requests: usize,
) -> Outcome<()> {
    for _ in 0..requests / connections.len() {
        for connection in &mut *connections {
            let call = Call { ask: scenario.ask, token: Some(tokens.next().ok_or("no tokens are left")?) };
            let (status, _body) = connection.send(&call).await?;
            if status != scenario.ask.status() {
                return Err(format!("answered with {status}, expected {}", scenario.ask.status()).into());
            }
        }
    }
    Ok(())
}

fn tokens(stage: &Stage, scenario: &Scenario) -> Outcome<Box<dyn Iterator<Item = String>>> {
    if scenario.tokens == Tokens::One {
        return Ok(Box::new(std::iter::repeat(load::token(stage, scenario)?)));
    }
    let text = fs::read_to_string(stage.signer.file(FRESH)?)?;
    // Of callers that are known after the warm-up: it is tokens that are new.
    let of_few = text.lines().enumerate().filter(|(number, _)| number % CALLERS < WARM_UP).map(|(_, token)| token.to_owned());
    let needed: Vec<_> = of_few.take(WARM_UP + COUNTED).collect();
    Ok(Box::new(needed.into_iter()))
}

fn control(contender: &Contender, what: &str) -> Outcome<()> {
    let output = Command::new("callgrind_control").args([what, &contender.process.id().to_string()]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("OK") { Ok(()) } else { Err(format!("callgrind_control {what}: {text}").into()) }
}

/// Source: Valgrind manual, "Callgrind format specification", `summary`.
fn total(dump: &Path) -> Outcome<f64> {
    let text = fs::read_to_string(dump)?;
    let summary = text
        .lines()
        .find_map(|line| line.strip_prefix("summary: "))
        .ok_or_else(|| format!("{} has no summary", PathBuf::from(dump).display()))?;
    Ok(summary.trim().parse()?)
}
