//! Load, by `oha`; and by `wrk` where requests have to differ in their tokens, which `oha` cannot.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Outcome;
use crate::scenario::{Ask, Http, Measure, Scenario, Tokens};
use crate::stage::{Stage, named, root};
use crate::token::{CALLERS, FRESH, OPERATORS, READERS, Wanted, with_bad_signature};

/// Threads of `wrk`.
const WRK_THREADS: usize = 2;

/// What a turn of load came to.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub requests: f64,
    pub seconds: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Whether a turn goes as fast as it can, or at a fixed rate (requests per second) with latencies corrected for what had to wait.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    Fastest,
    Fixed(f64),
}

/// Loads `address` for so long; fails when any answer was not the expected one.
pub fn run(stage: &Stage, scenario: &Scenario, address: SocketAddr, seconds: u64, pace: Pace) -> Outcome<Load> {
    match scenario.tokens {
        Tokens::One => oha(stage, scenario, address, seconds, pace),
        Tokens::Thousand => wrk(stage, scenario, address, &stage.signer.file(CALLERS)?, seconds),
        Tokens::Fresh => wrk(stage, scenario, address, &stage.signer.file(FRESH)?, seconds),
    }
}

/// The token of scenarios that have one only.
pub fn token(stage: &Stage, scenario: &Scenario) -> Outcome<String> {
    let wanted = |group| Wanted { caller: 0, number: 0, group, is_expired: false };
    match scenario.ask {
        Ask::DeniedRole => stage.signer.token(wanted(READERS)),
        Ask::BadToken => Ok(with_bad_signature(&stage.signer.token(wanted(OPERATORS))?)),
        Ask::Get | Ask::Put | Ask::Download | Ask::Upload | Ask::DeniedDataPlane => stage.signer.operator(),
    }
}

pub fn oha_program() -> PathBuf {
    let installed = root().join("target/tools/bin/oha");
    if installed.exists() { installed } else { "oha".into() }
}

fn oha(stage: &Stage, scenario: &Scenario, address: SocketAddr, seconds: u64, pace: Pace) -> Outcome<Load> {
    let expected = scenario.ask.status();
    let mut command = Command::new(oha_program());
    command.args([
        "--no-tui",
        "--output-format",
        "json",
        "--insecure",
        "--ipv4",
        "-w",
        "-z",
        &format!("{seconds}s"),
        "-m",
        scenario.ask.method().as_str(),
    ]);
    command.args(["-c", &scenario.connections.to_string(), "-H", &format!("Authorization: Bearer {}", token(stage, scenario)?)]);
    if let Http::Two(streams) = scenario.http {
        command.args(["--http2", "-p", &streams.to_string()]);
    }
    if let Some(host) = scenario.ask.host() {
        command.args(["--host", host]);
    }
    if scenario.ask.body_bytes() > 0 {
        let body = stage.folder.join(format!("{}.body", scenario.ask.body_bytes()));
        if !body.exists() {
            fs::write(&body, scenario.ask.body())?;
        }
        command.arg("-D").arg(body);
    }
    if let Some(kind) = scenario.ask.content_type() {
        command.args(["-T", kind]);
    }
    if let Pace::Fixed(rate) = pace {
        command.args(["-q", &format!("{rate:.0}"), "--latency-correction"]);
    }
    let output = command.arg(url(scenario, address)).output().map_err(|error| format!("oha: {error}"))?;
    let report: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("oha: {error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    understood(&report, expected).ok_or_else(|| {
        let part = |name| report.get(name).map(Value::to_string).unwrap_or_default();
        format!("not every answer was {expected}: {}, {}", part("statusCodeDistribution"), part("errorDistribution")).into()
    })
}

fn understood(report: &Value, expected: u16) -> Option<Load> {
    let statuses = report.get("statusCodeDistribution")?.as_object()?;
    let is_clean = statuses.len() == 1 && report.get("errorDistribution")?.as_object()?.is_empty();
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64);
    let requests = statuses.get(&expected.to_string())?.as_f64()?;
    let load = Load {
        requests,
        seconds: number("/summary/total")?,
        p50_ms: number("/latencyPercentiles/p50")? * 1e3,
        p99_ms: number("/latencyPercentiles/p99")? * 1e3,
    };
    is_clean.then_some(load)
}

fn wrk(stage: &Stage, scenario: &Scenario, address: SocketAddr, tokens: &Path, seconds: u64) -> Outcome<Load> {
    let script = stage.folder.join("tokens.lua");
    fs::write(&script, SCRIPT)?;
    let mut command = Command::new("wrk");
    command
        .args(["-t", &WRK_THREADS.to_string(), "-c", &scenario.connections.to_string(), "-d", &format!("{seconds}s"), "-s"])
        .arg(&script);
    // A soak goes round: there are more tokens in the file than Steward remembers.
    let goes_on = if scenario.tokens == Tokens::Fresh && scenario.measure != Measure::Soak { "stop" } else { "again" };
    command.arg(url(scenario, address)).arg("--").arg(tokens).args([&WRK_THREADS.to_string(), goes_on]);
    let output = command.output().map_err(|error| format!("wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let report = text.lines().find_map(|line| line.strip_prefix("RESULT ")).ok_or_else(|| format!("wrk: {text}"))?;
    let numbers: Vec<f64> = report.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    match numbers[..] {
        [requests, seconds, p50_ms, p99_ms, 0.0] => Ok(Load { requests, seconds, p50_ms, p99_ms }),
        _ => Err(format!("not every answer was 200: {text}").into()),
    }
}

fn url(scenario: &Scenario, address: SocketAddr) -> String {
    format!("{}://{}{}", if scenario.tls { "https" } else { "http" }, named(address), scenario.ask.target())
}

/// Each thread has its own part of the file. With `stop` it ends when the part is used up, so that no token is sent twice.
const SCRIPT: &str = r#"
local threads = 0
function setup(thread)
    thread:set("id", threads)
    threads = threads + 1
end
function init(arguments)
    local of, number = tonumber(arguments[2]), 0
    once, tokens, used = arguments[3] == "stop", {}, 0
    for line in io.lines(arguments[1]) do
        if number % of == id then tokens[#tokens + 1] = line end
        number = number + 1
    end
    local mark = "0token0"
    wrk.headers["Authorization"] = "Bearer " .. mark
    local text = wrk.format("GET")
    local at = text:find(mark, 1, true)
    before, after = text:sub(1, at - 1), text:sub(at + #mark)
end
function request()
    if used == #tokens then
        if once then wrk.thread:stop() end
        used = 0
    end
    used = used + 1
    return before .. tokens[used] .. after
end
function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("RESULT %d %f %f %f %d\n", summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))
end
"#;
