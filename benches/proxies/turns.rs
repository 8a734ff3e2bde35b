//! One turn of one contender: load on it, and what it came to.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::client::{Call, Connection, runtime, trusting, without_resumption};
use crate::contenders::Contender;
use crate::figures::{Figure, Turn};
use crate::load::{self, Load, Pace};
use crate::process::memory;
use crate::scenario::Scenario;
use crate::stage::Stage;

/// Connections that are held idle: below the usual limit of 1,024 descriptors.
const IDLE_CONNECTIONS: usize = 500;
/// Bytes of a large body.
const LARGE_MIB: f64 = 64.0;
/// How often memory is looked at under load.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub fn cpu(stage: &Stage, scenario: &Scenario, contender: &Contender, seconds: u64) -> Outcome<Turn> {
    let (load, cpu_us) = timed(contender, || load::run(stage, scenario, contender.address, seconds, Pace::Fastest))?;
    Ok(vec![
        (Figure::CpuUs, cpu_us / load.requests),
        (Figure::PerSecond, load.requests / load.seconds),
        (Figure::MemoryLoaded, memory(contender.process.id())?),
    ])
}

pub fn latency(stage: &Stage, scenario: &Scenario, contender: &Contender, seconds: u64, rate: f64) -> Outcome<Turn> {
    let load = load::run(stage, scenario, contender.address, seconds, Pace::Fixed(rate))?;
    Ok(vec![(Figure::P50Ms, load.p50_ms), (Figure::P99Ms, load.p99_ms)])
}

/// Also for soaks: what memory grows by is the difference between the end of the first quarter and the most that was seen after it.
pub fn bulk(stage: &Stage, scenario: &Scenario, contender: &Contender, seconds: u64) -> Outcome<Turn> {
    let id = contender.process.id();
    let ((load, seen), cpu_us) = timed(contender, || {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| load::run(stage, scenario, contender.address, seconds, Pace::Fastest));
            let mut seen = Vec::new();
            while !load.is_finished() {
                seen.push(memory(id)?);
                std::thread::sleep(LOOK_EVERY);
            }
            Ok((load.join().map_err(|_panic| "the load failed")??, seen))
        })
    })?;
    let (before, after) = seen.split_at(seen.len() / 4 + 1);
    let most = |seen: &[f64]| seen.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        (Figure::CpuUs, cpu_us / load.requests),
        (Figure::MibPerSecond, load.requests * LARGE_MIB / load.seconds),
        (Figure::MemoryLoaded, most(&seen)),
        (Figure::MemoryGrowth, (most(after) - most(before)).max(0.0)),
    ])
}

pub fn idle(stage: &Stage, scenario: &Scenario, contender: &Contender) -> Outcome<Turn> {
    let call = Call { ask: scenario.ask, token: Some(load::token(stage, scenario)?) };
    let tls = if scenario.tls { Some(trusting(scenario.http)?) } else { None };
    let id = contender.process.id();
    runtime()?.block_on(async {
        // What is made on first use belongs to no connection.
        drop(Connection::open(contender.address, scenario.http, tls.clone()).await?.send(&call).await?);
        let before = memory(id)?;
        let mut held = Vec::with_capacity(IDLE_CONNECTIONS);
        for _ in 0..IDLE_CONNECTIONS {
            let mut connection = Connection::open(contender.address, scenario.http, tls.clone()).await?;
            drop(connection.send(&call).await?);
            held.push(connection);
        }
        let after = memory(id)?;
        drop(held);
        #[expect(clippy::cast_precision_loss, reason = "500")]
        let each = (after - before) / IDLE_CONNECTIONS as f64;
        Ok(vec![(Figure::MemoryIdle, before), (Figure::MemoryPerConnection, each)])
    })
}

/// New connections one after the other, each with one request.
pub fn handshakes(stage: &Stage, scenario: &Scenario, contender: &Contender, seconds: u64, are_resumed: bool) -> Outcome<Turn> {
    let call = Call { ask: scenario.ask, token: Some(load::token(stage, scenario)?) };
    let tls = if are_resumed { trusting(scenario.http)? } else { without_resumption(scenario.http)? };
    let (load, cpu_us) = timed(contender, || {
        runtime()?.block_on(async {
            // The first one brings the ticket.
            drop(Connection::open(contender.address, scenario.http, Some(tls.clone())).await?.send(&call).await?);
            let began = Instant::now();
            let mut requests = 0.0;
            while began.elapsed() < Duration::from_secs(seconds) {
                let mut connection = Connection::open(contender.address, scenario.http, Some(tls.clone())).await?;
                if connection.is_resumed != are_resumed {
                    return Err(format!("resumed: {}, wanted: {are_resumed}", connection.is_resumed).into());
                }
                drop(connection.send(&call).await?);
                requests += 1.0;
            }
            Ok(Load { requests, seconds: began.elapsed().as_secs_f64(), p50_ms: 0.0, p99_ms: 0.0 })
        })
    })?;
    Ok(vec![(Figure::CpuUs, cpu_us / load.requests), (Figure::PerSecond, load.requests / load.seconds)])
}

/// What something came to, and the CPU time that the contender spent on it, in microseconds.
fn timed<T>(contender: &Contender, work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let before = contender.process.cpu()?;
    let done = work()?;
    Ok((done, (contender.process.cpu()? - before).as_secs_f64() * 1e6))
}
