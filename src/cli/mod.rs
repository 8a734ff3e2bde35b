//! The command line: one file per command, thin. Results go to standard output, everything else to standard error.

pub mod check;
pub mod schema;

mod admin_call;
mod audit;
mod demo;
mod env;
mod explain;
mod http;
mod onboard;
mod serve;
mod signals;
mod state;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::clock::Clock;
use crate::demo::ports::Ports;
use crate::ids::{SubscriptionId, TenantId};
use crate::policy::diagnostics::Style;
use crate::telemetry::LogFormat;

/// How a command ended. Source: `ux/CLI.md`, exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The answer is yes, nothing is wrong.
    Done = 0,
    /// The answer is no.
    No = 1,
    /// Wrong use.
    Usage = 2,
    /// Policies or configuration are invalid.
    Invalid = 3,
    /// The gateway or issuer cannot be reached, or must not be asked.
    Unreachable = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Manage other tenants on their behalf, within what they delegated, and show why.
#[derive(Debug, Parser)]
#[command(name = "steward", version, after_help = "Without a command and without a steward.toml: the demo.\nStart here: steward demo")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    global: Global,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Configuration file
    #[arg(short, long, global = true, env = "STEWARD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Admin address of a running gateway [default: the demo's, else 127.0.0.1:8480]
    #[arg(short, long, global = true, env = "STEWARD_SERVER", value_name = "URL")]
    server: Option<String>,
    /// File with the token of an admin listener that wants one
    #[arg(long, global = true, env = "STEWARD_ADMIN_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate that the admin listener's certificate chains to [default: those of the system]
    #[arg(long, global = true, env = "STEWARD_ADMIN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Form of the result
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Output,
    /// When to use colours; `NO_COLOR` is honoured
    #[arg(long, global = true, value_enum, default_value_t)]
    color: Color,
    /// Form of the log
    #[arg(long, global = true, value_enum, default_value_t, env = "STEWARD_LOG_FORMAT")]
    log_format: LogFormat,
    /// What to log, such as `info` or `steward=debug`
    #[arg(long, global = true, default_value = "warn", env = "STEWARD_LOG")]
    log: String,
}

/// Form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// For programs
    Json,
    /// For people
    #[default]
    Table,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// Always
    Always,
    /// On a terminal
    #[default]
    Auto,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Gateway, issuer and mock resource manager on this machine
    Demo(DemoArgs),
    /// The gateway, from a configuration file
    Serve,
    /// Load the policies of a running gateway again
    Reload,
    /// What runs and which policy is in force
    Status,
    /// Why was this request allowed or denied
    Explain(ExplainArgs),
    /// Verify, search and export the audit log
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Find every mistake in policy files, with file, line and column
    Check {
        /// Folders, each a set of its own
        #[arg(default_value = "policies")]
        folders: Vec<PathBuf>,
    },
    /// Write the state to a file, beside a running gateway or without one
    Backup {
        /// The file, replaced as a whole
        file: PathBuf,
    },
    /// Put the state of a backup into a store, and begin a new epoch
    Restore(RestoreArgs),
    /// What an onboarding template would delegate, and whether the rules allow it
    Onboard(OnboardArgs),
    /// Print the JSON Schema of policy files or of the configuration
    Schema {
        /// Which
        #[arg(value_enum, default_value_t)]
        of: SchemaOf,
    },
    /// Print client settings for a shell
    Env(EnvArgs),
    /// Print a token of the demo issuer
    Token(EnvArgs),
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum SchemaOf {
    /// The configuration file
    Config,
    /// Policy files
    #[default]
    Policy,
}

/// Arguments of the demo.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DemoArgs {
    /// Fixed ports, or any that are free
    #[arg(long, value_enum, default_value_t)]
    ports: Ports,
    /// Write a description of the demo world here once everything is ready; it holds secrets
    #[arg(long, value_name = "FILE")]
    describe: Option<PathBuf>,
    /// Forget accounts, state and records of earlier runs
    #[arg(long)]
    fresh: bool,
    /// Count no requests of callers: for load tests. A gateway counts as Azure does, 250 reads at once and 25 more each second
    #[arg(long)]
    unthrottled: bool,
    /// Folder for accounts, state and records [default: .steward/demo]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Folder for the certificates [default: certs]
    #[arg(long, value_name = "DIR")]
    certs: Option<PathBuf>,
    /// Policy files [default: policies, if there is such a folder, else those inside the binary]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
}

/// Arguments of `restore`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RestoreArgs {
    /// What `steward backup` wrote
    file: PathBuf,
    /// Lose what the store holds
    #[arg(long)]
    replace: bool,
}

/// Arguments of `onboard`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OnboardArgs {
    /// Deployment template
    #[arg(long, value_name = "FILE")]
    template: PathBuf,
    /// Its parameters
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// The customer's subscription
    #[arg(long, value_name = "ID", default_value_t = onboard::ANY_SUBSCRIPTION)]
    subscription: SubscriptionId,
    /// The resource group to deploy in, for a template that is made for one
    #[arg(long, value_name = "NAME")]
    resource_group: Option<String>,
    /// The customer's tenant
    #[arg(long, value_name = "ID", default_value_t = onboard::ANY_TENANT)]
    tenant: TenantId,
    /// Where the deployment would be kept
    #[arg(long, default_value = "westeurope")]
    location: String,
    /// Print entries for a policy file
    #[arg(long)]
    toml: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainArgs {
    /// Request id, or its first six or more characters
    id: Option<String>,
    /// Explain a reason code instead
    #[arg(long, value_name = "REASON", conflicts_with = "id")]
    code: Option<String>,
}

/// Arguments of `env` and `token`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EnvArgs {
    /// Whose settings
    #[arg(long = "as", default_value = "reader", value_name = "NAME")]
    identity: String,
    /// For which shell
    #[arg(long, value_enum, default_value_t)]
    shell: Shell,
    /// Description of the demo world [default: .steward/demo/world.json]
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Shell {
    /// bash, zsh, sh
    #[default]
    Bash,
    /// fish
    Fish,
    /// PowerShell
    Pwsh,
}

/// Runs the program with these arguments, the first being its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            let exit = if usage.use_stderr() { Exit::Usage } else { Exit::Done };
            // Where help cannot be printed, nothing can.
            return if usage.print().is_ok() { exit.into() } else { Exit::Usage.into() };
        }
    };
    crate::telemetry::start_logs(cli.global.log_format, &cli.global.log);
    let mut console = Console::new(cli.global.color);
    let exit = dispatch(cli, &mut console);
    exit.into()
}

fn dispatch(cli: Cli, console: &mut Console) -> Exit {
    let global = cli.global;
    match cli.command {
        None => bare(&global, console),
        Some(Command::Demo(args)) => demo::run(&args, &global, console),
        Some(Command::Serve) => serve::run(&global, console),
        Some(Command::Reload) => admin_call::reload(&global, console),
        Some(Command::Status) => admin_call::status(&global, console),
        Some(Command::Explain(args)) => explain::run(&args, &global, console),
        Some(Command::Audit { command }) => audit::run(&command, &global, console),
        Some(Command::Check { folders }) => run_check(&folders, &global, console),
        Some(Command::Backup { file }) => state::backup(&file, &global, console),
        Some(Command::Restore(args)) => state::restore(&args, &global, console),
        Some(Command::Onboard(args)) => onboard::run(&args, &global, console),
        Some(Command::Schema { of }) => {
            let mut out = Vec::new();
            let written = match of {
                SchemaOf::Policy => schema::run(&mut out),
                SchemaOf::Config => schema::config(&mut out),
            };
            console.bytes(&out);
            if written.is_ok() { Exit::Done } else { Exit::No }
        }
        Some(Command::Env(args)) => env::run(&args, console),
        Some(Command::Token(args)) => env::token(&args, console),
    }
}

/// The bare command is the demo: a first run must need no reading. With a configuration at hand, it is not clear what is meant.
fn bare(global: &Global, console: &mut Console) -> Exit {
    if global.config.is_some() || PathBuf::from(serve::CONFIG_FILE).exists() {
        console.error("there is a configuration: say `steward serve` to run it, or `steward demo` for the demo");
        return Exit::Usage;
    }
    demo::run(&DemoArgs::default(), global, console)
}

fn run_check(folders: &[PathBuf], global: &Global, console: &mut Console) -> Exit {
    let format = match global.output {
        Output::Json => check::Format::Json,
        Output::Table => check::Format::Text(console.style()),
    };
    let mut out = Vec::new();
    let code = check::run(folders, format, Clock::system().now(), &mut out);
    console.bytes(&out);
    match code {
        Ok(check::EXIT_VALID) => Exit::Done,
        Ok(_invalid) => Exit::Invalid,
        Err(_unwritable) => Exit::No,
    }
}

/// Standard output and standard error. Nothing else in the program prints.
#[derive(Debug)]
pub(crate) struct Console {
    out: anstream::Stdout,
    err: anstream::Stderr,
    color: bool,
}

impl Console {
    fn new(color: Color) -> Self {
        use std::io::IsTerminal;
        let choice = match color {
            Color::Always => anstream::ColorChoice::Always,
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Never => anstream::ColorChoice::Never,
        };
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        Self { out: anstream::AutoStream::new(std::io::stdout(), choice), err: anstream::AutoStream::new(std::io::stderr(), choice), color }
    }

    fn style(&self) -> Style {
        Style { color: self.color, ascii: false }
    }

    /// One line of the result. A reader that is gone ends nothing: the exit code still tells.
    fn line(&mut self, line: impl std::fmt::Display) {
        if writeln!(self.out, "{line}").and_then(|()| self.out.flush()).is_err() {
            tracing::debug!("standard output is closed");
        }
    }

    /// A result as it is.
    fn bytes(&mut self, bytes: &[u8]) {
        if self.out.write_all(bytes).and_then(|()| self.out.flush()).is_err() {
            tracing::debug!("standard output is closed");
        }
    }

    /// What went wrong, in one line.
    fn error(&mut self, message: impl std::fmt::Display) {
        if writeln!(self.err, "Error: {message}").is_err() {
            tracing::debug!("standard error is closed");
        }
    }
}
