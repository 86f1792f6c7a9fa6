//! A dataflow that runs: waits for what threads tell and for commands, asks the state machine, carries its actions out.
//!
//! Invariant: decides nothing itself and touches no message. Absent: how threads are started (`start`).

use super::clock::Clock;
use super::mailbox::{Mailbox, Order, Slot};
use super::outside::{Outside, Upstream};
use super::plan::NodeIndex;
use super::progress::{NodeProgress, Progress, Watcher};
use super::remote::{Outlet, RemoteInput};
use super::report::{NodeReport, Report, TimerReport};
use super::seat::SeatShared;
use super::state::{Action, Ending, Event, State};
use super::timers::{Timer, Timers};
use super::{Command, EngineLog, LogInput, LogOutput, Probe, SeatId, Told};
use crate::ids::{DataflowId, NodeId, PortName};
use plugin_abi::hosting::NodeFailure;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

/// A dataflow and its threads.
pub struct Dataflow {
    pub(super) id: DataflowId,
    pub(super) state: State,
    pub(super) nodes: Vec<Running>,
    pub(super) workers: Vec<Worker>,
    pub(super) timer_routes: Vec<Timer>,
    pub(super) log_inputs: Vec<LogInput>,
    pub(super) log_outputs: Vec<LogOutput>,
    pub(super) remote_inputs: Vec<RemoteInput>,
    pub(super) watcher: Option<Watcher>,
    pub(super) timers: Option<Timers>,
    pub(super) told: Receiver<Told>,
    pub(super) clock: Arc<Clock>,
    pub(super) log: Arc<dyn EngineLog>,
    pub(super) patience: Duration,
    pub(super) began: Instant,
}

/// A node's parts that the engine keeps.
pub(super) struct Running {
    pub(super) shared: Arc<SeatShared>,
    pub(super) worker: usize,
    pub(super) seat: SeatId,
    pub(super) inputs: Vec<RunningInput>,
    /// Who runs it, if that is not this process.
    pub(super) outside: Option<Arc<dyn Outside>>,
    pub(super) ending: Option<Ending>,
}

pub(super) struct RunningInput {
    pub(super) name: String,
    pub(super) slot: Slot,
    /// Period of the timer that it reads.
    pub(super) timer: Option<Duration>,
    /// The node here that it reads.
    pub(super) reads: Option<NodeIndex>,
}

pub(super) struct Worker {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) thread: Option<JoinHandle<()>>,
}

impl Dataflow {
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

    /// The inputs that are fed from outside this process: those that the plan was told of.
    pub fn remote_inputs(&self) -> Vec<RemoteInput> {
        self.remote_inputs.clone()
    }

    /// Adds readers outside this process to an output. `readers` says who they are, for messages: "input `a/b` on machine
    /// `c`". The outlet is closed when the node has ended; in a plan that is [`held`](super::Plan::held), it gets nothing
    /// before the node goes. `false` when there is no such output.
    pub fn attach(
        &self,
        node: &NodeId,
        output: &PortName,
        readers: Arc<str>,
        outlet: Arc<dyn Outlet>,
    ) -> bool {
        self.probe().attach(node, output, readers, outlet)
    }

    /// Tells of what happens to the nodes from now on, instead of whom it told before. Called where [`Dataflow::run`]
    /// runs; must not wait.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// Runs the dataflow to its end and says what became of it. Commands come from the receiver; without a sender left
    /// none come.
    pub async fn run(mut self, mut commands: Receiver<Command>) -> Report {
        let begin = self.state.begin();
        for node in self.state.waiting() {
            self.tell_of(node, NodeProgress::Restarting);
        }
        self.perform(begin);
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
                    Command::Go => Event::Go,
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
                Action::Made => self.tell(Progress::Made),
                Action::Go(node) => self.go(node),
                Action::Started => self.start_timers(),
                Action::Stop(node) => self.stop(node),
                Action::WillRestart {
                    node,
                    ending,
                    after,
                } => self.will_restart(node, &ending, after),
                Action::Retire(node, ending) => self.retire(node, ending),
                Action::Silence(node) => self.silence(node),
                Action::Over => over = true,
            }
        }
        over
    }

    fn tell(&self, progress: Progress) {
        if let Some(watcher) = &self.watcher {
            watcher(progress);
        }
    }

    fn tell_of(&self, node: NodeIndex, state: NodeProgress) {
        if let (Some(watcher), Some(running)) = (&self.watcher, self.nodes.get(node)) {
            watcher(Progress::Node {
                node: running.shared.id.clone(),
                state,
                restarts: self.state.restarts(node),
            });
        }
    }

    fn go(&self, node: NodeIndex) {
        self.tell_of(node, NodeProgress::Running);
        self.order(node, Order::Go);
    }

    pub(super) fn order(&self, node: NodeIndex, order: Order) {
        let Some(running) = self.nodes.get(node) else {
            return;
        };
        if let Some(worker) = self.workers.get(running.worker) {
            worker.mailbox.order(running.seat, order);
        }
    }

    pub(super) fn create(&self, node: NodeIndex, restart_count: u32) {
        if let Some(running) = self.nodes.get(node) {
            // Here and not on the node's thread, so that a stop that follows is not undone.
            running.shared.let_send(restart_count);
        }
        self.order(node, Order::Create { restart_count });
    }

    pub(super) fn stop(&self, node: NodeIndex) {
        if let Some(running) = self.nodes.get(node) {
            // Before the order, so that a callback that waits for a reader ends and takes it.
            running.shared.stop_sending();
            if let Some(outside) = &running.outside {
                outside.stop();
            }
        }
        self.order(node, Order::Stop);
    }

    pub(super) fn start_timers(&mut self) {
        match Timers::start(std::mem::take(&mut self.timer_routes), self.clock.clone()) {
            Ok(timers) => self.timers = Some(timers),
            Err(error) => self
                .log
                .engine(1, None, &format!("timers do not tick: {error}")),
        }
    }

    /// No more log lines come for the node: what waits in its inputs is the last.
    fn silence(&self, node: NodeIndex) {
        let Some(running) = self.nodes.get(node) else {
            return;
        };
        if let Some(worker) = self.workers.get(running.worker) {
            for input in &running.inputs {
                worker.mailbox.close(input.slot);
            }
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
        self.tell_of(node, NodeProgress::Restarting);
        self.tell_readers(node, None);
    }

    /// Tells those outside that read a node what has become of it: the error with which it has failed, or that it is made
    /// again.
    fn tell_readers(&self, node: NodeIndex, error: Option<&str>) {
        let Some(of) = self.nodes.get(node) else {
            return;
        };
        let id = &of.shared.id;
        for reader in &self.nodes {
            let Some(outside) = &reader.outside else {
                continue;
            };
            let inputs = reader
                .inputs
                .iter()
                .filter(|input| input.reads == Some(node));
            let inputs: Vec<&str> = inputs.map(|input| input.name.as_str()).collect();
            if !inputs.is_empty() {
                outside.upstream(match error {
                    Some(error) => Upstream::Failed {
                        node: id,
                        inputs: &inputs,
                        error,
                    },
                    None => Upstream::Restarts { node: id },
                });
            }
        }
    }

    fn retire(&mut self, node: NodeIndex, ending: Ending) {
        let Some(running) = self.nodes.get_mut(node) else {
            return;
        };
        let level = if ending.is_failure() { 1 } else { 4 };
        self.log
            .engine(level, Some(&running.shared.id), &ending.to_string());
        if ending.is_failure() {
            self.tell_readers(node, Some(&ending.to_string()));
        }
        self.retire_quietly(node, ending.clone());
        self.tell_of(node, NodeProgress::Ended(ending));
    }

    /// Without a word in the log.
    pub(super) fn retire_quietly(&mut self, node: NodeIndex, ending: Ending) {
        let Some(running) = self.nodes.get_mut(node) else {
            return;
        };
        running.shared.stop_sending();
        running.cut_off(&self.workers);
        if let Some(outside) = &running.outside {
            outside.stop();
            outside.retire(&ending);
        }
        running.ending = Some(ending);
    }

    pub(super) fn finish(mut self) -> Report {
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
            node.cut_off(&self.workers);
            if let (Some(outside), None) = (&node.outside, &node.ending) {
                outside.stop();
                outside.retire(&Ending::Stuck);
            }
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
    /// Closes its outputs and shuts its inputs, for good.
    fn cut_off(&self, workers: &[Worker]) {
        for output in &self.shared.outputs {
            output.route.close();
        }
        if let Some(worker) = workers.get(self.worker) {
            for input in &self.inputs {
                worker.mailbox.shut(input.slot);
            }
        }
    }

    fn report(
        &self,
        restarts: u32,
        mailbox: Option<&Mailbox>,
        timers: &[TimerReport],
    ) -> NodeReport {
        let outside = self.outside.as_ref().map(|outside| outside.counts());
        let outside = outside.unwrap_or_default();
        let counts = self.inputs.iter().map(|input| {
            let mut count = mailbox
                .map(|mailbox| mailbox.count(input.slot))
                .unwrap_or_default();
            let timer = timers
                .iter()
                .find(|timer| Some(timer.period) == input.timer);
            count.missed += timer.map_or(0, |timer| timer.missed);
            count.taken += outside.taken.get(&input.name).unwrap_or(&0);
            count.dropped += outside.dropped.get(&input.name).unwrap_or(&0);
            (input.name.clone(), count)
        });
        let inputs: BTreeMap<_, _> = counts.collect();
        let outputs = || self.shared.outputs.iter();
        let sent = outputs().map(|output| {
            let unseen = outside.sent.get(&output.name).unwrap_or(&0);
            (output.name.clone(), output.route.sent() + unseen)
        });
        let unsent = outputs().map(|output| (output.name.clone(), output.route.unsent()));
        NodeReport {
            id: self.shared.id.clone(),
            ending: self.ending.clone().unwrap_or(Ending::Stuck),
            received: inputs.values().map(|count| count.taken).sum(),
            inputs,
            outputs: sent.collect(),
            unsent: unsent.collect(),
            restarts,
        }
    }
}
pub(super) fn event_of(told: Told) -> Event {
    match told {
        Told::Created { node } => Event::Created(node),
        Told::Ended {
            node,
            ending,
            inputs_closed,
        } => Event::Ended(node, ending, inputs_closed),
        Told::Lost { node } => {
            let ending = Ending::Failed {
                failure: Box::new(engine_fault()),
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

fn engine_fault() -> NodeFailure {
    NodeFailure {
        panicked: true,
        ..NodeFailure::new("the engine's own thread panicked; please report this")
    }
}
