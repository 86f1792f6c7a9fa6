//! `dora run`: a dataflow on this machine until it ends or somebody stops it.

use super::client::runtime;
use super::{build, hub, launch_options, note_machines, print_warnings, summary};
use crate::args::RunArgs;
use crate::terminal::say;
use eyre::{Result, WrapErr};
use host::descriptor::Descriptor;
use host::descriptor::resolve::Places;
use host::engine::{Command, Report};
use host::ids::DataflowId;
use host::launch::{self, Prepared, Runtime};
use host::local;
use host::logs::LogHub;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc::{self, Sender};

/// How long the log may take to write what waits.
const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// Runs the command.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let descriptor = Descriptor::read(&args.descriptor)?;
    if args.build {
        build::build(&descriptor, NonZeroUsize::MIN, false)?;
    }
    let hub = hub::start(&args.logs)?;
    let outcome = run_logged(args, &descriptor, &hub);
    hub::finish(&hub, LOG_DEADLINE);
    let report = outcome?;
    summary::print(&report);
    Ok(if report.failures().next().is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn run_logged(args: &RunArgs, descriptor: &Descriptor, hub: &LogHub) -> Result<Report> {
    let loader = local::loader(hub);
    let launcher = local::launcher(launch_options(&args.processes)?, hub);
    let places = Places::of_this_process(&[descriptor.folder()]);
    let runtime_of_nodes = Runtime {
        loader: &loader,
        launcher: Some(&launcher),
    };
    let Prepared { plan, warnings, .. } = launch::prepare(descriptor, runtime_of_nodes, &places)?;
    print_warnings(&warnings);
    note_machines(descriptor);
    runtime()?.block_on(async {
        let (tell, commands) = mpsc::channel(4);
        let signals = tokio::spawn(stop_on_signals(tell.clone(), args.grace));
        let timer = args
            .stop_after
            .map(|after| tokio::spawn(stop_after(tell, after, args.grace)));
        let report = local::run(DataflowId::new(), descriptor, &plan, hub, commands).await;
        signals.abort();
        if let Some(timer) = timer {
            timer.abort();
        }
        report.wrap_err("cannot start the dataflow")
    })
}

/// The first Ctrl-C asks the nodes to stop, the second ends the dataflow at once.
async fn stop_on_signals(tell: Sender<Command>, grace: Duration) {
    let mut signals = match super::signals::Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            say!("warning: Ctrl-C ends this process at once: {error}");
            return;
        }
    };
    signals.next().await;
    // Who cannot be told any more, as at the other end of a pipe that has gone, is to have the stop all the same.
    say!("stopping; nodes have {grace:?} to end, once more ends them at once");
    // A dataflow that is over takes no commands, which is as well.
    let _ = tell.send(Command::Stop { grace }).await;
    signals.next().await;
    let _ = tell.send(Command::Abandon).await;
}

async fn stop_after(tell: Sender<Command>, after: Duration, grace: Duration) {
    tokio::time::sleep(after).await;
    // As above.
    let _ = tell.send(Command::Stop { grace }).await;
}
