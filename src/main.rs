//! The `steward` binary: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    steward::cli::run(std::env::args_os())
}
