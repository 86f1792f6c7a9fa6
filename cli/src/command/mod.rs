//! One file per command. Each returns the exit status, or the error that ends it.

mod build;
mod graph;
mod logs;
mod new;
mod plugin;
mod run;
mod schema;
mod signals;
mod summary;
mod validate;

use crate::args::{Command, DescribeArgs};
use host::descriptor::{Descriptor, Problems};
use host::plugin::describe;
use host::plugin::preflight::Isolation;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Runs a command to its end.
pub fn run(command: Command) -> eyre::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Schema => schema::run(),
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

fn print_warnings(warnings: &Problems) {
    for problem in warnings.iter() {
        eprintln!("{}", warnings.line(problem));
    }
}

/// On one machine every node runs here, whatever the descriptor says.
fn note_machines(descriptor: &Descriptor) {
    let placed = descriptor
        .nodes
        .iter()
        .filter_map(|node| node.deploy.machine.as_ref());
    let machines: BTreeSet<String> = placed.map(|machine| machine.value.to_string()).collect();
    if !machines.is_empty() {
        let list = machines.into_iter().collect::<Vec<_>>().join(", ");
        eprintln!(
            "note: `dora run` runs every node on this machine; `machine` ({list}) is ignored"
        );
    }
}
