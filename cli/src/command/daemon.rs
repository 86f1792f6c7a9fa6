//! `dora daemon`: runs this machine's share of dataflows until it is told to end.

use super::client::runtime;
use super::signals::Signals;
use super::{hub, launch_options, machine};
use crate::args::DaemonArgs;
use eyre::{Result, WrapErr};
use host::control::Timing;
use host::daemon::{Daemon, News, Options, listening};
use host::ids::MachineId;
use host::logs::{Level, Record};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the log may take to write what waits.
const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// Runs the command.
pub fn run(args: &DaemonArgs) -> Result<ExitCode> {
    let options = options(args)?;
    let log = hub::of_daemon(&args.logs, args.quiet, &options.machine)?;
    let options = Options {
        out: log.out.clone().unwrap_or(options.out),
        ..options
    };
    let done = runtime()?.block_on(serve(args, options, &log));
    hub::finish(&log.hub, LOG_DEADLINE);
    done?;
    log.say("stopped");
    Ok(ExitCode::SUCCESS)
}

fn options(args: &DaemonArgs) -> Result<Options> {
    let coordinator = args.coordinator.address();
    let listen = listening(&coordinator, args.listen).address;
    let option = match args.listen {
        Some(_) => "--listen",
        None => "a coordinator on another machine: listening on",
    };
    machine::guard(option, listen.ip(), args.insecure)?;
    let folder = std::env::current_dir().wrap_err("the current folder is not to be had")?;
    Ok(Options {
        machine: machine::id(args.machine_id.as_ref()),
        coordinator,
        listen: args.listen,
        local_port: args.local_listen_port,
        labels: args.labels.iter().cloned().collect(),
        wait: !args.no_wait,
        timing: Timing::default(),
        out: folder.join("out"),
        folder,
        launch: launch_options(&args.processes)?,
    })
}

async fn serve(args: &DaemonArgs, options: Options, log: &hub::DaemonLog) -> Result<()> {
    let mut signals = Signals::new().wrap_err("cannot watch for Ctrl-C")?;
    let machine = options.machine.clone();
    let daemon = Daemon::open(options, log.hub.clone()).await?;
    let (tell, shutdown) = mpsc::channel(4);
    let (grace, saying) = (args.grace, log.clone());
    let watching = tokio::spawn(async move {
        loop {
            signals.next().await;
            saying.say("received ctrlc signal");
            if tell.send(grace).await.is_err() {
                return;
            }
        }
    });
    let ended = daemon
        .run(shutdown, |news| tell_news(log, &machine, &news))
        .await;
    watching.abort();
    Ok(ended?)
}

/// That it is connected is what scripts wait for; the rest is for people.
fn tell_news(log: &hub::DaemonLog, machine: &MachineId, news: &News) {
    let level = match news {
        News::Connected(_) => return log.say(&news.to_string()),
        News::Listening(_)
        | News::LocalPort { .. }
        | News::CoordinatorBack(_)
        | News::Started { .. }
        | News::Stopping { .. }
        | News::Ended { failed: 0, .. } => Level::Info,
        _ => Level::Warn,
    };
    let mut record = Record::new(level, "dora", news.to_string());
    record.machine = Some(machine.to_string());
    log.hub.submit(record);
}
