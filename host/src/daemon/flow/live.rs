//! The life of a dataflow: set up, looked for, let go, ended.

use super::inputs::Inputs;
use super::log_lines::LogLines;
use super::outputs::Outputs;
use super::{Context, FlowError, FlowNews, FlowOrder, FlowSpec, Teller, not_made};
use crate::control::{Again, Epoch, NodeEnd, NodeRow, NodeState, NodeStatus, RemoteEdges};
use crate::daemon::event::Local;
use crate::daemon::inbox::In;
use crate::daemon::latest::Latest;
use crate::daemon::report::{node_end, node_row};
use crate::descriptor::Node;
use crate::engine::{Command, Dataflow, NodeProgress, Probe, Progress};
use crate::ids::{MachineId, NodeId};
use crate::link::renewal;
use crate::local::{DataflowLog, Feeds};
use crate::logs::Level;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// Commands to the engine that wait.
const COMMANDS: usize = 16;
/// News of missing readers that wait.
const ROUNDS: usize = 4;
/// How long the last messages may take to leave the machine, and to arrive where their sender waits, when somebody wants
/// the end.
const SEND: Duration = Duration::from_secs(1);
/// The same when the nodes have ended by themselves: longer than it takes to find another way.
const SEND_ALL: Duration = Duration::from_secs(5);
/// How long the last log lines may.
const LINES: Duration = Duration::from_millis(1_500);

/// Runs a dataflow to its end, on its thread.
pub(super) fn run(spec: FlowSpec, orders: mpsc::Receiver<FlowOrder>, teller: &Teller) {
    let nodes = || spec.checked.nodes.iter().map(|node| node.id.clone());
    let (nodes, machine) = (nodes().collect(), spec.machine.clone());
    let runtime = tokio::runtime::Builder::new_current_thread();
    let over = match { runtime }.enable_time().build() {
        Ok(runtime) => {
            let over = runtime.block_on(async {
                match Live::set_up(spec, teller).await {
                    Ok(live) => live.run(orders, teller).await,
                    Err(error) => not_made(nodes, &machine, &error),
                }
            });
            // Nothing of it is waited for: what a plugin holds up is its own.
            runtime.shutdown_background();
            over
        }
        Err(error) => not_made(nodes, &machine, &FlowError::Thread(error)),
    };
    // As in `Teller::tell`.
    let _ = teller
        .inbox
        .blocking_send(In::Flow(teller.id, FlowNews::Local(over)));
}

/// The parts of a dataflow.
struct Live {
    context: Context,
    probe: Probe,
    search: Duration,
    dataflow: Dataflow,
    inputs: Inputs,
    outputs: Outputs,
    lines: LogLines,
    feeds: Feeds,
    log: DataflowLog,
    progress: Arc<Told>,
    /// Connections that came back.
    again: watch::Receiver<u64>,
}

/// What the engine has told.
struct Told {
    nodes: Latest<NodeId, NodeStatus>,
    made: Notify,
}

impl Live {
    async fn set_up(spec: FlowSpec, teller: &Teller) -> Result<Self, FlowError> {
        let nodes = &spec.checked.nodes;
        let log = DataflowLog::new(&spec.hub, spec.id, Some(spec.machine.clone()), nodes);
        let context = Context {
            id: spec.id,
            machine: spec.machine,
            life: spec.life,
            link: spec.link,
            hub: spec.hub,
            log: log.clone(),
        };
        if let Some(again) = &spec.checked.again {
            say_again(&log, &context.machine, again, nodes);
        }
        let mut dataflow = Dataflow::start(spec.id, &spec.checked.plan, log.for_engine())?;
        let progress = Arc::new(Told {
            nodes: Latest::new(nodes.len()),
            made: Notify::new(),
        });
        let told = progress.clone();
        dataflow.watch(Box::new(move |progress| told.take(progress)));
        let again = context.link.reconnections();
        let inputs = Inputs::read(&context, &spec.edges, dataflow.remote_inputs())?;
        let outputs = Outputs::attach(&context, &spec.edges, &dataflow)?;
        let lines = LogLines::start(&context, &spec.edges, &dataflow, outputs.sender())?;
        let feeds = log.feed(&dataflow);
        let probe = dataflow.probe();
        teller.tell(FlowNews::Probe(probe.clone())).await;
        Ok(Self {
            context,
            probe,
            search: spec.search,
            dataflow,
            inputs,
            outputs,
            lines,
            feeds,
            log,
            progress,
            again,
        })
    }

    async fn run(self, mut orders: mpsc::Receiver<FlowOrder>, teller: &Teller) -> Local {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let report = {
            let ways = Ways {
                context: &self.context,
                probe: &self.probe,
                inputs: &self.inputs,
                outputs: &self.outputs,
                lines: &self.lines,
            };
            let around = async {
                tokio::join!(
                    link(&self.outputs, self.search, teller),
                    tell_progress(&self.progress, teller),
                    tell_made(&self.progress, teller),
                    obey(&mut orders, &commands, &ways),
                    renew(self.again, &self.inputs, &self.lines),
                )
            };
            tokio::select! {
                report = self.dataflow.run(receiver) => report,
                (never, ..) = around => match never {},
            }
        };
        for (node, status) in self.progress.nodes.take() {
            teller.local(Local::Node { node, status }).await;
        }
        drop(self.feeds);
        self.inputs.end();
        let rows = report.nodes.iter();
        let rows = rows.map(|node| node_row(node, &self.context.machine));
        let rows: Vec<NodeRow> = rows.collect();
        let send = match rows.iter().all(|row| row.end == NodeEnd::Finished) {
            true => SEND_ALL,
            false => SEND,
        };
        tokio::join!(self.outputs.end(send), self.lines.end(LINES));
        self.log.ended();
        Local::Over {
            rows,
            took: report.took,
        }
    }
}

impl Told {
    fn take(&self, progress: Progress) {
        match progress {
            Progress::Made => self.made.notify_one(),
            Progress::Node {
                node,
                state,
                restarts,
            } => {
                let state = match state {
                    NodeProgress::Running => NodeState::Running,
                    NodeProgress::Restarting => NodeState::Restarting,
                    NodeProgress::Ended(ending) => NodeState::Ended(node_end(&ending)),
                };
                self.nodes.put(node, NodeStatus { state, restarts });
            }
        }
    }
}

/// Says of the nodes that are made again that they are, and which are kept apart.
fn say_again(log: &DataflowLog, machine: &MachineId, again: &Again, nodes: &[Node]) {
    for (node, restarts) in &again.restarts {
        let of = nodes.iter().find(|of| of.id == *node);
        let wait = of.map(|of| of.restart.wait_before(*restarts));
        let wait = match wait.unwrap_or_default() {
            Duration::ZERO => String::new(),
            wait => format!(" in {wait:?}"),
        };
        let mut text = format!(
            "starts again{wait} after the death of the daemon of machine `{machine}` (restart {restarts})"
        );
        if again.own.contains(node) {
            text.push_str(
                "; it has crashed the daemon, and gets a process of its own now, as with `process: own`",
            );
        }
        log.say(Level::Warn, Some(node), text);
    }
}

// None of these ends before the dataflow does.

/// Looks for the readers elsewhere.
async fn link(outputs: &Outputs, search: Duration, teller: &Teller) -> Infallible {
    let (tell, mut rounds) = mpsc::channel(ROUNDS);
    let telling = async {
        while let Some(missing) = rounds.recv().await {
            teller.local(Local::Missing(missing)).await;
        }
    };
    let (missing, ()) = tokio::join!(outputs.find_readers(search, tell), telling);
    teller
        .local(match missing.is_empty() {
            true => Local::Linked,
            false => Local::NotLinked(missing),
        })
        .await;
    pending().await
}

async fn tell_made(told: &Told, teller: &Teller) -> Infallible {
    told.made.notified().await;
    teller.local(Local::Made).await;
    pending().await
}

async fn tell_progress(told: &Told, teller: &Teller) -> Infallible {
    loop {
        for (node, status) in told.nodes.next().await {
            teller.local(Local::Node { node, status }).await;
        }
    }
}

/// Makes readers known again when a connection has come back.
async fn renew(mut again: watch::Receiver<u64>, inputs: &Inputs, lines: &LogLines) -> Infallible {
    loop {
        renewal(&mut again).await;
        inputs.renew();
        lines.renew();
    }
}

/// What the connections with other machines are made of.
struct Ways<'a> {
    context: &'a Context,
    probe: &'a Probe,
    inputs: &'a Inputs,
    outputs: &'a Outputs,
    lines: &'a LogLines,
}

impl Ways<'_> {
    /// The nodes of a machine have begun again in this life of its daemon.
    fn again(
        &self,
        machine: &MachineId,
        life: Epoch,
        edges: &RemoteEdges,
        joining: &mut JoinSet<()>,
    ) -> Result<(), FlowError> {
        let context = self.context;
        self.inputs.again(context, machine, edges, life)?;
        self.lines.again(context, machine, edges)?;
        for output in self.outputs.again(context, machine, edges, life)? {
            joining.spawn(output.join(self.probe.clone(), context.log.clone()));
        }
        Ok(())
    }
}

async fn obey(
    orders: &mut mpsc::Receiver<FlowOrder>,
    commands: &mpsc::Sender<Command>,
    ways: &Ways<'_>,
) -> Infallible {
    let mut joining = JoinSet::new();
    let log = &ways.context.log;
    while let Some(order) = orders.recv().await {
        let command = match order {
            FlowOrder::Go => Command::Go,
            FlowOrder::Stop { grace } => Command::Stop { grace },
            FlowOrder::Abandon => Command::Abandon,
            FlowOrder::CloseInputs(closed) => {
                for (node, input) in closed {
                    ways.inputs.close(node, input);
                }
                continue;
            }
            FlowOrder::PeerLost(machine) => {
                ways.outputs.forget(&machine);
                let text = format!(
                    "machine `{machine}` is not heard of any more; nothing is waited for there, and inputs that read \
                     it are closed unless their senders may be started again"
                );
                log.say(Level::Warn, None, text);
                continue;
            }
            FlowOrder::Again {
                machine,
                life,
                edges,
            } => {
                // Those that have found their readers.
                while joining.try_join_next().is_some() {}
                let made = ways.again(&machine, life, &edges, &mut joining);
                let (level, text) = match made {
                    Ok(()) => (
                        Level::Warn,
                        "the connections with them are made anew".to_owned(),
                    ),
                    Err(error) => (
                        Level::Error,
                        format!("they are not connected with: {error}"),
                    ),
                };
                let begun = format!("the nodes on machine `{machine}` begin again");
                log.say(level, None, format!("{begun}; {text}"));
                continue;
            }
        };
        // An engine that has ended takes no commands, which is as well.
        let _ = commands.send(command).await;
    }
    // Nobody is left to give orders.
    let _ = commands.send(Command::Abandon).await;
    pending().await
}
