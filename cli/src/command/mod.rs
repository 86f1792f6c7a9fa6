//! One file per command. Each returns the exit status, or the error that ends it.

mod build;
mod client;
mod completion;
mod coordinator;
mod daemon;
mod down;
mod graph;
mod hub;
mod lines;
mod lists;
mod logs;
mod machine;
mod new;
mod plugin;
mod restart;
mod run;
mod schema;
mod signals;
mod start;
mod stop;
mod summary;
mod topic;
mod up;
mod validate;

use crate::args::{Command, DescribeArgs, NodeCommand, ProcessArgs, SystemCommand};
use crate::failure;
use crate::terminal::say;
use eyre::WrapErr;
use host::descriptor::{Descriptor, Problems};
use host::guard::{self, Rules};
use host::hosted;
use host::plugin::describe;
use host::plugin::preflight::Isolation;
use host::process::LaunchOptions;
use host::process::dora::sniff::Versions;
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
        Command::Coordinator(args) => coordinator::run(&args),
        Command::Daemon(args) => daemon::run(&args),
        Command::Up(args) => up::run(&args),
        Command::Down(args) => down::run(&args),
        Command::Status(args) | Command::System(SystemCommand::Status(args)) => {
            lists::status(&args)
        }
        Command::Start(args) => start::run(&args),
        Command::Stop(args) => stop::run(&args),
        Command::Restart(args) => restart::run(&args),
        Command::List(args) => lists::dataflows(&args),
        Command::Ps(args) | Command::Node(NodeCommand::List(args)) => lists::nodes(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Clean(args) => lists::clean(&args),
        Command::Topic(command) => topic::run(&command),
        Command::Completion(args) => completion::run(&args),
        Command::Describe(args) => be_helper(&args),
        Command::Host { alone } => be_host_process(alone),
    }
}

/// Splits this process if the command starts others: see [`guard`]. Returns in the worker.
pub fn guarded(command: &Command) -> Option<guard::Worker> {
    let rules = match command {
        Command::Build(_) => Rules {
            again: false,
            keep: true,
        },
        Command::Run(_) => Rules {
            again: false,
            keep: false,
        },
        Command::Daemon(_) => Rules {
            again: true,
            keep: false,
        },
        _ => return None,
    };
    match guard::enter(rules, &failure::tell_death) {
        Ok(worker) => Some(worker),
        Err(error) => {
            say!(
                "warning: there is no guard, and what is started here may outlive this process: {error}"
            );
            None
        }
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

fn be_host_process(alone: bool) -> eyre::Result<ExitCode> {
    let good = match alone {
        true => hosted::run_alone()?,
        false => hosted::run().map(|()| true)?,
    };
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What nodes outside this process are run with.
fn launch_options(args: &ProcessArgs) -> eyre::Result<LaunchOptions> {
    Ok(LaunchOptions {
        program: describe::this_program().wrap_err("where this program is")?,
        usual_place: args.default_process.clone(),
        start_timeout: args.start_timeout,
        uv: args.uv,
        versions: match args.strict_versions {
            true => Versions::Strict,
            false => Versions::All,
        },
    })
}

fn print_warnings(warnings: &Problems) {
    for problem in warnings.iter() {
        say!("{}", warnings.line(problem));
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
        say!("note: `dora run` runs every node on this machine; `machine` ({list}) is ignored");
    }
}
