//! One file per command. Each returns the exit status, or the error that ends it.

pub mod build;
mod new;
mod plugin;

use crate::args::{Command, DescribeArgs};
use host::plugin::describe;
use host::plugin::preflight::Isolation;
use std::process::ExitCode;

/// Runs a command to its end.
pub fn run(command: Command) -> eyre::Result<ExitCode> {
    match command {
        Command::Build(args) => build::run(&args),
        Command::New(args) => new::run(&args),
        Command::Plugin(command) => plugin::run(command),
        Command::Describe(args) => be_helper(&args),
    }
}

fn be_helper(args: &DescribeArgs) -> eyre::Result<ExitCode> {
    let isolation = if args.own {
        Isolation::Own
    } else {
        Isolation::Shared
    };
    describe::answer(&args.file, isolation)?;
    Ok(ExitCode::SUCCESS)
}
