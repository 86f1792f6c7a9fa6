//! The engine: runs one dataflow of plugins in this process.
//!
//! `plan` says what runs, `state` decides, `worker` calls nodes, `mailbox` and `route` carry messages, `timers` tick;
//! this file starts the threads and carries the state machine's actions out. Invariant: control never touches a message,
//! and tokio is not on a message's way. Absent: files, sockets, the command line.

mod clock;
mod inline;
mod mailbox;
mod plan;
mod report;
mod route;
mod seat;
mod state;
mod timers;
mod wiring;
mod worker;

pub use clock::Clock;
pub use mailbox::InputCount;
pub use plan::{Chosen, NodeIndex, Plan, PlanError};
pub use report::{NodeReport, Report, TimerReport};
pub use route::Tapped;
pub use state::{Ending, START_GRACE};
pub use wiring::{LogInput, LogOutput};

use crate::ids::{DataflowId, NodeId};
use crate::sys::affinity;
use mailbox::{Mailbox, Order, Slot};
use plan::PlannedNode;
use plugin_abi::hosting::{LogLine, NodeFailure};
use route::Route;
use seat::{Output, SeatShared};
use state::{Action, Event, State};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use timers::{Timer, Timers};
use tokio::sync::mpsc::{self, Receiver, Sender};
use wiring::Wiring;
use worker::SeatSpec;

/// Number of a node on its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatId(usize);

/// Events that threads may have told before the engine takes them; they wait for room.
const TOLD: usize = 1_024;

/// Where the lines of a dataflow go. Any thread; never waits for long.
pub trait EngineLog: Send + Sync {
    /// A line of a node.
    fn node(&self, node: &NodeId, line: &LogLine<'_>);
    /// A line of the engine (1 error to 5 trace), about a node or about the whole dataflow.
    fn engine(&self, level: u32, node: Option<&NodeId>, text: &str);
    /// The most verbose level wanted of a node, which may change at any time.
    fn level(&self, node: &NodeId) -> Arc<AtomicU32>;
}

/// What a thread tells the engine.
#[derive(Debug)]
enum Told {
    Created {
        node: NodeIndex,
    },
    Ended {
        node: NodeIndex,
        ending: Ending,
        inputs_closed: bool,
    },
    /// The node's thread is gone.
    Lost {
        node: NodeIndex,
    },
}

/// What a running dataflow can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Ask every node to stop.
    Stop {
        /// How long they have.
        grace: Duration,
    },
    /// End at once, whatever the nodes do.
    Abandon,
}

/// Why a dataflow could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gives no thread.
    #[error("cannot start the thread `{name}`: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// A dataflow and its threads.
pub struct Dataflow {
    id: DataflowId,
    state: State,
    nodes: Vec<Running>,
    workers: Vec<Worker>,
    timer_routes: Vec<Timer>,
    log_inputs: Vec<LogInput>,
    log_outputs: Vec<LogOutput>,
    timers: Option<Timers>,
    told: Receiver<Told>,
    clock: Arc<Clock>,
    log: Arc<dyn EngineLog>,
    patience: Duration,
    began: Instant,
}

/// A node's parts that the engine keeps.
struct Running {
    shared: Arc<SeatShared>,
    worker: usize,
    seat: SeatId,
    inputs: Vec<RunningInput>,
    ending: Option<Ending>,
}

struct RunningInput {
    name: String,
    slot: Slot,
    /// Period of the timer that it reads.
    timer: Option<Duration>,
}

struct Worker {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

/// Taps and counters of a running dataflow, for whoever looks on. Any thread.
#[derive(Clone)]
pub struct Probe(Arc<[Arc<SeatShared>]>);

impl Probe {
    /// Looks on at an output, with room for `capacity` messages; `None` when there is no such output.
    pub fn tap(&self, node: &str, output: &str, capacity: usize) -> Option<Tapped> {
        let seat = self.0.iter().find(|seat| seat.id.as_str() == node)?;
        let output = seat.outputs.iter().find(|port| port.name == output)?;
        Some(output.route.tap(capacity))
    }
}

impl Dataflow {
    /// Starts a dataflow's threads; nodes are made when [`Dataflow::run`] is called.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(id: DataflowId, plan: &Plan, log: Arc<dyn EngineLog>) -> Result<Self, StartError> {
        let clock = Arc::new(Clock::default());
        let (tell, told) = mpsc::channel(TOLD);
        let Wiring {
            mailboxes,
            workers,
            routes,
            timers,
            log_inputs,
            log_outputs,
        } = Wiring::new(plan, &clock);
        let mut dataflow = Self {
            id,
            state: State::new(
                wiring::node_specs(plan),
                plan.exit_when_nodes_finish,
                plan.grace,
            ),
            nodes: Vec::new(),
            workers: Vec::new(),
            timer_routes: timers,
            log_inputs,
            log_outputs,
            timers: None,
            told,
            clock,
            log,
            patience: plan.patience,
            began: Instant::now(),
        };
        let mut seats: Vec<Vec<SeatSpec>> = plan.workers.iter().map(|_| Vec::new()).collect();
        for (index, (planned, routes)) in plan.nodes.iter().zip(routes).enumerate() {
            let (Some(specs), Some(mailbox)) =
                (seats.get_mut(planned.worker), mailboxes.get(planned.worker))
            else {
                continue;
            };
            let (running, spec) =
                dataflow.node(index, planned, routes, SeatId(specs.len()), mailbox);
            dataflow.nodes.push(running);
            specs.push(spec);
        }
        for (((planned, specs), mailbox), worker) in
            plan.workers.iter().zip(seats).zip(mailboxes).zip(workers)
        {
            let thread = dataflow.spawn(planned, specs, &mailbox, worker, tell.clone());
            dataflow.workers.push(Worker {
                mailbox,
                thread: None,
            });
            let thread = thread.map_err(|source| StartError::Thread {
                name: planned.name.clone(),
                source,
            });
            if let Some(last) = dataflow.workers.last_mut() {
                // On an error the drop below ends the threads that have been started.
                last.thread = Some(thread?);
            }
        }
        Ok(dataflow)
    }

    fn node(
        &self,
        index: NodeIndex,
        planned: &PlannedNode,
        routes: Vec<Arc<Route>>,
        seat: SeatId,
        mailbox: &Arc<Mailbox>,
    ) -> (Running, SeatSpec) {
        let outputs = planned.outputs.iter().zip(routes);
        let outputs = outputs
            .map(|(port, route)| Output::new(port.name.clone(), port.data_type.clone(), route));
        let shared = SeatShared::new(
            planned.id.clone(),
            outputs.collect(),
            (seat, mailbox.clone()),
            self.clock.clone(),
            self.log.clone(),
            self.patience,
        );
        let inputs = planned.inputs.iter();
        let spec = SeatSpec {
            node: index,
            shared: shared.clone(),
            kind: planned.kind,
            library: planned.plugin.library(),
            level: self.log.level(&planned.id),
            dataflow: self.id.to_string(),
            config: planned.config.clone(),
            inputs: inputs
                .clone()
                .map(|input| (input.name.clone(), Slot(input.slot), input.timeout))
                .collect(),
        };
        let inputs = inputs.map(|input| RunningInput {
            name: input.name.clone(),
            slot: Slot(input.slot),
            timer: match input.from {
                plan::From::Timer(period) => Some(period),
                _ => None,
            },
        });
        (
            Running {
                shared,
                worker: planned.worker,
                seat,
                inputs: inputs.collect(),
                ending: None,
            },
            spec,
        )
    }

    fn spawn(
        &self,
        planned: &plan::PlannedWorker,
        specs: Vec<SeatSpec>,
        mailbox: &Arc<Mailbox>,
        worker: u64,
        tell: Sender<Told>,
    ) -> std::io::Result<JoinHandle<()>> {
        let (mailbox, log, cores) = (
            mailbox.clone(),
            self.log.clone(),
            planned.cpu_affinity.clone(),
        );
        let nodes: Vec<NodeIndex> = specs.iter().map(|spec| spec.node).collect();
        let first = specs.first().map(|spec| spec.shared.id.clone());
        let run = move || {
            if !cores.is_empty()
                && let Err(error) = affinity::pin_this_thread(&cores)
            {
                log.engine(
                    2,
                    first.as_ref(),
                    &format!("cpu_affinity has no effect: {error}"),
                );
            }
            // Nodes' panics never come this far; this is for a fault of the engine itself, which must not hang.
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                worker::run(worker, &mailbox, specs, tell.clone())
            }));
            if outcome.is_err() {
                for node in nodes {
                    let _ = tell.blocking_send(Told::Lost { node });
                }
            }
        };
        // Linux cuts names of threads at 15 bytes itself.
        std::thread::Builder::new()
            .name(planned.name.clone())
            .spawn(run)
    }

    /// The dataflow's id.
    pub fn id(&self) -> DataflowId {
        self.id
    }

    /// For whoever looks on.
    pub fn probe(&self) -> Probe {
        Probe(self.nodes.iter().map(|node| node.shared.clone()).collect())
    }

    /// The inputs that read log lines, which the engine does not make.
    pub fn log_inputs(&self) -> Vec<LogInput> {
        self.log_inputs.clone()
    }

    /// The outputs that send log lines, which the engine does not make either.
    pub fn log_outputs(&self) -> Vec<LogOutput> {
        self.log_outputs.clone()
    }

    /// Runs the dataflow to its end and says what became of it. Commands come from the receiver; without a sender left
    /// none come.
    pub async fn run(mut self, mut commands: Receiver<Command>) -> Report {
        self.perform(self.state.begin());
        loop {
            let deadline = self.state.next_deadline().map(|at| self.began + at);
            let event = tokio::select! {
                told = self.told.recv() => match told {
                    Some(told) => event_of(told),
                    None => Event::Abandon,
                },
                Some(command) = commands.recv() => match command {
                    Command::Stop { grace } => Event::Stop { grace },
                    Command::Abandon => Event::Abandon,
                },
                () = until(deadline) => Event::Time,
            };
            let actions = self.state.handle(event, self.began.elapsed());
            if self.perform(actions) {
                return self.finish();
            }
        }
    }

    /// Carries actions out; `true` when the dataflow is over.
    fn perform(&mut self, actions: Vec<Action>) -> bool {
        let mut over = false;
        for action in actions {
            match action {
                Action::Create {
                    node,
                    restart_count,
                } => self.create(node, restart_count),
                Action::Go(node) => self.order(node, Order::Go),
                Action::Started => self.start_timers(),
                Action::Stop(node) => self.stop(node),
                Action::WillRestart {
                    node,
                    ending,
                    after,
                } => self.will_restart(node, &ending, after),
                Action::Retire(node, ending) => self.retire(node, ending),
                Action::Over => over = true,
            }
        }
        over
    }

    fn order(&self, node: NodeIndex, order: Order) {
        let Some(running) = self.nodes.get(node) else {
            return;
        };
        if let Some(worker) = self.workers.get(running.worker) {
            worker.mailbox.order(running.seat, order);
        }
    }

    fn create(&self, node: NodeIndex, restart_count: u32) {
        if let Some(running) = self.nodes.get(node) {
            // Here and not on the node's thread, so that a stop that follows is not undone.
            running.shared.let_send(restart_count);
        }
        self.order(node, Order::Create { restart_count });
    }

    fn stop(&self, node: NodeIndex) {
        if let Some(running) = self.nodes.get(node) {
            // Before the order, so that a callback that waits for a reader ends and takes it.
            running.shared.stop_sending();
        }
        self.order(node, Order::Stop);
    }

    fn start_timers(&mut self) {
        match Timers::start(std::mem::take(&mut self.timer_routes), self.clock.clone()) {
            Ok(timers) => self.timers = Some(timers),
            Err(error) => self
                .log
                .engine(1, None, &format!("timers do not tick: {error}")),
        }
    }

    fn will_restart(&self, node: NodeIndex, ending: &Ending, after: Duration) {
        let Some(running) = self.nodes.get(node) else {
            return;
        };
        let wait = if after.is_zero() {
            "now".to_owned()
        } else {
            format!("in {after:?}")
        };
        let count = self.state.restarts(node) + 1;
        let text = format!("{}; restarting {wait} (restart {count})", ending);
        self.log.engine(
            if ending.is_failure() { 1 } else { 3 },
            Some(&running.shared.id),
            &text,
        );
    }

    fn retire(&mut self, node: NodeIndex, ending: Ending) {
        let Some(running) = self.nodes.get_mut(node) else {
            return;
        };
        running.shared.stop_sending();
        let level = if ending.is_failure() { 1 } else { 4 };
        self.log
            .engine(level, Some(&running.shared.id), &ending.to_string());
        running.ending = Some(ending);
        for output in &running.shared.outputs {
            output.route.close();
        }
        if let Some(worker) = self.workers.get(running.worker) {
            for input in &running.inputs {
                worker.mailbox.shut(input.slot);
            }
        }
    }

    fn finish(mut self) -> Report {
        let timers = self.timers.as_mut().map_or_else(Vec::new, |timers| {
            timers.stop();
            timers.reports()
        });
        let report = Report::new(
            self.id,
            self.began.elapsed(),
            self.nodes.iter().enumerate().map(|(index, node)| {
                let mailbox = self
                    .workers
                    .get(node.worker)
                    .map(|worker| worker.mailbox.clone());
                node.report(self.state.restarts(index), mailbox.as_deref(), &timers)
            }),
            timers.clone(),
        );
        let stuck: Vec<usize> = self
            .nodes
            .iter()
            .filter(|node| node.ending == Some(Ending::Stuck))
            .map(|node| node.worker)
            .collect();
        for (index, worker) in self.workers.iter_mut().enumerate() {
            worker.mailbox.end();
            // A thread that is stuck in a callback cannot be ended; it goes with the process.
            if let Some(thread) = worker.thread.take().filter(|_| !stuck.contains(&index)) {
                // Its panic was caught and reported.
                let _ = thread.join();
            }
        }
        report
    }
}

impl Drop for Dataflow {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.shared.stop_sending();
        }
        for worker in &self.workers {
            worker.mailbox.end();
        }
    }
}

impl std::fmt::Debug for Dataflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataflow")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Running {
    fn report(
        &self,
        restarts: u32,
        mailbox: Option<&Mailbox>,
        timers: &[TimerReport],
    ) -> NodeReport {
        let counts = self.inputs.iter().map(|input| {
            let mut count = mailbox
                .map(|mailbox| mailbox.count(input.slot))
                .unwrap_or_default();
            let timer = timers
                .iter()
                .find(|timer| Some(timer.period) == input.timer);
            count.missed += timer.map_or(0, |timer| timer.missed);
            (input.name.clone(), count)
        });
        let inputs: BTreeMap<_, _> = counts.collect();
        let sent = self
            .shared
            .outputs
            .iter()
            .map(|output| (output.name.clone(), output.route.sent()));
        NodeReport {
            id: self.shared.id.clone(),
            ending: self.ending.clone().unwrap_or(Ending::Stuck),
            received: inputs.values().map(|count| count.taken).sum(),
            inputs,
            outputs: sent.collect(),
            restarts,
        }
    }
}

fn engine_fault() -> NodeFailure {
    let text = "the engine's own thread panicked; please report this".to_owned();
    NodeFailure {
        panicked: true,
        text,
        causes: Vec::new(),
        place: None,
    }
}

fn event_of(told: Told) -> Event {
    match told {
        Told::Created { node } => Event::Created(node),
        Told::Ended {
            node,
            ending,
            inputs_closed,
        } => Event::Ended(node, ending, inputs_closed),
        Told::Lost { node } => {
            let failure = engine_fault();
            let ending = Ending::Failed {
                failure,
                last_input: None,
            };
            Event::Lost(node, ending)
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
