//! `dora coordinator`: joins the daemons until it is told to end.

use super::client::runtime;
use super::signals::Signals;
use super::{hub, machine};
use crate::args::CoordinatorArgs;
use eyre::{Report, Result, WrapErr, eyre};
use host::control::Timing;
use host::coordinator::{Coordinator, News, Options};
use host::link::OpenError;
use host::logs::{Level, LogHub, Record};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the log may take to write what waits.
const LOG_DEADLINE: Duration = Duration::from_secs(2);

/// Runs the command.
pub fn run(args: &CoordinatorArgs) -> Result<ExitCode> {
    machine::guard("--interface", args.interface, args.insecure)?;
    let hub = hub::console_only(args.log_level, args.log_format, args.quiet)?;
    let done = runtime()?.block_on(serve(args, &hub));
    hub::finish(&hub, LOG_DEADLINE);
    done?;
    hub::say("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: &CoordinatorArgs, hub: &LogHub) -> Result<()> {
    let mut signals = Signals::new().wrap_err("cannot watch for Ctrl-C")?;
    let coordinator = Coordinator::open(Options {
        interface: args.interface,
        port: args.port,
        state: machine::state_folder(args.state_dir.as_deref()),
        timing: Timing::default(),
    });
    let coordinator = coordinator.await.map_err(told)?;
    hub::say(&format!(
        "Listening for incoming daemon connection on {}",
        coordinator.port()
    ));
    let (tell, shutdown) = mpsc::channel(4);
    let stop_dataflows = args.stop_dataflows;
    let watching = tokio::spawn(async move {
        loop {
            signals.next().await;
            hub::say("received ctrlc signal");
            if tell.send(stop_dataflows).await.is_err() {
                return;
            }
        }
    });
    coordinator.run(shutdown, |news| log(hub, &news)).await;
    watching.abort();
    Ok(())
}

/// With the way to another port.
fn told(error: OpenError) -> Report {
    match error {
        OpenError::PortTaken { .. } => {
            eyre!("{error}: `--port N` chooses one, `--port 0` takes any that is free")
        }
        other => other.into(),
    }
}

fn log(log: &LogHub, news: &News) {
    let level = match news.is_warning() {
        true => Level::Warn,
        false => Level::Info,
    };
    log.submit(Record::new(level, "dora", news.to_string()));
}
