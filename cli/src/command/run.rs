//! `dora run`: a dataflow on this machine until it ends or somebody stops it.

use super::logs::LogArgs;
use super::summary;
use clap::Args;
use eyre::{Result, WrapErr};
use host::descriptor::Descriptor;
use host::descriptor::resolve::Places;
use host::engine::{Command, Report};
use host::ids::DataflowId;
use host::launch::{self, Prepared};
use host::local;
use host::logs::LogHub;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc::{self, Sender};

/// How long the log may take to write what waits.
const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// What `dora run` takes.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The descriptor.
    file: PathBuf,
    /// Run the nodes' build commands first.
    #[arg(long)]
    build: bool,
    /// Stop the dataflow after this time, as Ctrl-C does: 10s, 500ms, 2m.
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    stop_after: Option<Duration>,
    /// How long nodes have to stop before they are given up.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::time)]
    grace: Duration,
    #[command(flatten)]
    logs: LogArgs,
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let descriptor = super::read(&args.file)?;
    if args.build {
        eyre::bail!("later");
    }
    let hub = args.logs.start()?;
    let outcome = run_logged(args, &descriptor, &hub);
    args.logs.finish(&hub, LOG_DEADLINE);
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
    let places = Places::of_this_process(&[descriptor.folder()]);
    let Prepared { plan, warnings } =
        launch::prepare(descriptor, &loader, &places).map_err(super::refused)?;
    super::print_warnings(&warnings);
    super::note_machines(descriptor);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.wrap_err("cannot start the runtime")?;
    runtime.block_on(async {
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
            eprintln!("warning: Ctrl-C ends this process at once: {error}");
            return;
        }
    };
    signals.next().await;
    eprintln!("stopping; nodes have {grace:?} to end, once more ends them at once");
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
