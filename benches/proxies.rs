//! What a request costs through Steward with every check on, against a bare proxy that checks nothing and against other gateways that verify tokens.
//!
//! Run it with `cargo bench --bench proxies`; `benches/README.md` says what is measured and how to pick a part.
//! This one program is also the origin, the bare proxies and the client: it starts itself in these roles.
#![expect(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods, unreachable_pub, reason = "a program for developers")]

#[path = "proxies/bare.rs"]
mod bare;
#[path = "proxies/chart.rs"]
mod chart;
#[path = "proxies/client.rs"]
mod client;
#[path = "proxies/contenders.rs"]
mod contenders;
#[path = "proxies/figures.rs"]
mod figures;
#[path = "proxies/instructions.rs"]
mod instructions;
#[path = "proxies/judge.rs"]
mod judge;
#[path = "proxies/listener.rs"]
mod listener;
#[path = "proxies/load.rs"]
mod load;
#[path = "proxies/machine.rs"]
mod machine;
#[path = "proxies/origin.rs"]
mod origin;
#[path = "proxies/peers.rs"]
mod peers;
#[path = "proxies/process.rs"]
mod process;
#[path = "proxies/report.rs"]
mod report;
#[path = "proxies/rounds.rs"]
mod rounds;
#[path = "proxies/run.rs"]
mod run;
#[path = "proxies/scenario.rs"]
mod scenario;
#[path = "proxies/stage.rs"]
mod stage;
#[path = "proxies/steward.rs"]
mod steward;
#[path = "proxies/token.rs"]
mod token;
#[path = "proxies/turns.rs"]
mod turns;
#[path = "proxies/world.rs"]
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Whatever goes wrong ends the measurement it belongs to, with these words.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    run: Run,
}

/// What is measured and how often.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Run {
    /// Only the scenarios whose names contain one of these. The soak is measured only when one of them names it.
    filters: Vec<String>,
    /// Only these contenders; `bare` is always among them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<contenders::Kind>,
    /// Rounds of each scenario, in each of which every contender has its turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Length of a turn.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Length of the soak.
    #[arg(long, default_value_t = 600)]
    soak_seconds: u64,
    /// Names the scenarios and measures nothing.
    #[arg(long)]
    list: bool,
    /// Fails when a ratio is not what it has to be.
    #[arg(long)]
    check: bool,
    /// Fails when Steward takes 5 % more instructions than `benches/instructions.json` says. Measures nothing else.
    #[arg(long, conflicts_with = "check")]
    guard: bool,
    /// Writes what was counted into `benches/instructions.json`.
    #[arg(long, requires = "guard")]
    bless: bool,
    /// Writes figures into `docs/performance.md` and `docs/performance/`, where those of scenarios that were not measured stay.
    #[arg(long)]
    write: bool,
    /// Installs nothing that is missing.
    #[arg(long)]
    no_install: bool,
    /// What cargo gives to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the program is when it starts itself.
#[derive(Subcommand)]
enum Role {
    #[command(hide = true)]
    Origin { listen: SocketAddr },
    #[command(hide = true)]
    Bare(BareArguments),
}

/// How a bare proxy is set up.
#[derive(Args)]
struct BareArguments {
    listen: SocketAddr,
    origin: SocketAddr,
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// Certificate and key, PEM. Without them it serves clear text.
    #[arg(long, num_args = 2)]
    tls: Option<Vec<PathBuf>>,
    /// The public key that tokens must be signed with, DER.
    #[arg(long)]
    verify: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { role, run } = Arguments::parse();
    let outcome = match role {
        Some(Role::Origin { listen }) => origin::run(listen),
        Some(Role::Bare(arguments)) => bare::run(arguments),
        None => run::run(&run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxies: {error}");
            ExitCode::FAILURE
        }
    }
}
