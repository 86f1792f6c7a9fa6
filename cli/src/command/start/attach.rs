//! An attached `dora start`: the lines of all machines until the dataflow ends.

use super::super::client::{runtime, tell_progress};
use super::super::lines::{Lines, Split};
use super::super::signals::Signals;
use super::tell;
use crate::args::StartArgs;
use crate::terminal;
use crate::terminal::say;
use crate::view;
use eyre::{Result, WrapErr, eyre};
use host::client::{AskError, CONNECT_DEADLINE, Client, LogStream, LogsWanted, StartRequest};
use host::control::{Ended, StartError, Started, StopError, Target};
use host::ids::DataflowId;
use host::logs::Times;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// After the dataflow's end its last lines have so long to arrive.
const LAST_LINES: Duration = Duration::from_secs(3);

/// Starts the dataflow and stays until it ends.
pub fn run(args: &StartArgs, request: StartRequest) -> Result<ExitCode> {
    let times = Times::Since(SystemTime::now());
    let lines = Lines::new(&args.show, args.show.log_format, times, Split::AsPrinted)?;
    let ended = runtime()?.block_on(async {
        // From here on, so that a start that is interrupted is undone.
        let signals = Signals::new().wrap_err("cannot watch for Ctrl-C")?;
        let client = Client::connect(&args.coordinator.address(), CONNECT_DEADLINE).await?;
        let mut attached = Attached {
            client: &client,
            dataflow: DataflowId::new(),
            grace: args.grace,
            signals,
            lines,
        };
        let ended = attached.run(request).await;
        client.close().await;
        ended
    })?;
    terminal::tell(format_args!("{}", view::ended::text(&ended)));
    Ok(match ended.is_failure() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

struct Attached<'a> {
    client: &'a Client,
    dataflow: DataflowId,
    grace: Duration,
    signals: Signals,
    lines: Lines,
}

impl Attached<'_> {
    async fn run(&mut self, request: StartRequest) -> Result<Ended> {
        let started = self.start(request).await??;
        tell(&started);
        let stream = self.follow().await;
        self.watch(stream).await
    }

    /// Starts it; Ctrl-C meanwhile stops it, and the start says so.
    async fn start(&mut self, request: StartRequest) -> Result<Result<Started, StartError>> {
        let start = self.client.start_of(self.dataflow, request)?;
        let mut starting = std::pin::pin!(self.client.start_as(start, tell_progress()));
        tokio::select! {
            started = &mut starting => Ok(started?),
            () = self.signals.next() => {
                say!("stopping the start");
                let target = Target::Id(self.dataflow);
                let (started, stopped) =
                    tokio::join!(starting, self.client.stop(target, self.grace, true, |_| ()));
                stopped??;
                Ok(started?)
            }
        }
    }

    /// The lines from the first one on. Without them the dataflow runs all the same.
    async fn follow(&mut self) -> Option<LogStream> {
        let wanted = LogsWanted {
            follow: true,
            ..LogsWanted::default()
        };
        let logs = async {
            let located = self.client.locate(Target::Id(self.dataflow)).await;
            let located = located.map_err(|error| error.to_string())?;
            let logs = self.client.logs(&located, &wanted).await;
            logs.map_err(|error| error.to_string())
        };
        let logs = match logs.await {
            Ok(logs) => logs,
            Err(error) => {
                say!("warning: no log lines: {error}");
                return None;
            }
        };
        for (machine, error) in &logs.failed {
            say!("warning: no log lines from machine `{machine}`: {error}");
        }
        for record in &logs.history {
            // Whoever closes the streams of this command wants no lines.
            let _ = self.lines.show(record);
        }
        logs.stream
    }

    /// Shows lines until the end; Ctrl-C stops the dataflow, the second time without waiting for its nodes.
    async fn watch(&mut self, mut stream: Option<LogStream>) -> Result<Ended> {
        let (client, target) = (self.client, Target::Id(self.dataflow));
        let mut over = std::pin::pin!(client.wait(self.dataflow, |_| ()));
        let stop = async |force: bool| client.stop(target.clone(), self.grace, force, |_| ()).await;
        let mut stopping = std::pin::pin!(None);
        let mut asked = 0_u32;
        let ended = loop {
            tokio::select! {
                ended = &mut over => break ended?,
                Some(event) = next(&mut stream) => {
                    // As above.
                    let _ = self.lines.take(event);
                }
                Some(stopped) = poll(&mut stopping) => {
                    stopping.set(None);
                    // Its end is told by the wait.
                    check(stopped)?;
                }
                () = self.signals.next() => {
                    asked += 1;
                    match asked {
                        1 => say!(
                            "stopping; nodes have {:?} to end, once more does not wait for them",
                            self.grace
                        ),
                        2 => say!("stopping without waiting for the nodes"),
                        _ => return Err(eyre!(
                            "left before dataflow {} had ended; `dora list` tells what became of it", self.dataflow
                        )),
                    }
                    stopping.set(Some(stop(asked > 1)));
                }
            }
        };
        let last = async {
            while let Some(event) = next(&mut stream).await {
                // As above.
                let _ = self.lines.take(event);
            }
        };
        // Lines that do not come by then are in the files.
        let _ = tokio::time::timeout(LAST_LINES, last).await;
        Ok(ended)
    }
}

/// The next event; `None` at the end and without a stream.
async fn next(stream: &mut Option<LogStream>) -> Option<host::client::LogEvent> {
    let event = stream.as_mut()?.next().await;
    if event.is_none() {
        *stream = None;
    }
    event
}

/// What a future that may be there gives.
async fn poll<F: Future>(future: &mut std::pin::Pin<&mut Option<F>>) -> Option<F::Output> {
    match future.as_mut().as_pin_mut() {
        Some(future) => Some(future.await),
        None => None,
    }
}

fn check(stopped: Result<Result<Ended, StopError>, AskError>) -> Result<()> {
    match stopped {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(late)) => {
            say!("warning: {late}");
            Ok(())
        }
        // It has ended by itself meanwhile.
        Err(AskError::Target(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
