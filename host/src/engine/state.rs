//! What happens to a dataflow's nodes: pure `(event, now) -> actions`.
//!
//! Invariant: every node that was made ends exactly once for good; its outputs are closed and its inputs shut then; the
//! dataflow is over when all nodes have ended, or when the grace period after a stop has. No I/O, no clock of its own:
//! `now` is the time since the start. Absent: how an action is carried out.

mod ending;

pub use ending::Ending;

use super::plan::NodeIndex;
use crate::descriptor::{Restart, RestartPolicy};
use std::time::Duration;

/// What the state machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An instance has been made.
    Created(NodeIndex),
    /// An instance has ended. The flag says whether all its inputs were closed: then it is not made again.
    Ended(NodeIndex, Ending, bool),
    /// The thread of a node is gone, whatever the node was doing: it is not made again.
    Lost(NodeIndex, Ending),
    /// A dataflow that is held may go.
    Go,
    /// Somebody asks for the dataflow's end.
    Stop {
        /// How long the nodes have.
        grace: Duration,
    },
    /// The dataflow is to end at once.
    Abandon,
    /// Time has passed.
    Time,
}

/// What the state machine asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make an instance.
    Create {
        /// Of this node.
        node: NodeIndex,
        /// How often it has been made before.
        restart_count: u32,
    },
    /// Every node has been made for the first time. Before the first node is let go.
    Made,
    /// Let a node take messages.
    Go(NodeIndex),
    /// Every node has been made and let go: timers begin.
    Started,
    /// Tell a node to stop, also one that is still being made: that comes first.
    Stop(NodeIndex),
    /// A node has failed and is made again after a wait.
    WillRestart {
        /// The node.
        node: NodeIndex,
        /// Why.
        ending: Ending,
        /// How long until then.
        after: Duration,
    },
    /// A node has ended for good: close its outputs, shut its inputs.
    Retire(NodeIndex, Ending),
    /// No more log lines come for a node: close its inputs.
    Silence(NodeIndex),
    /// The dataflow is over.
    Over,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Creating,
    Ready,
    Running,
    Waiting { until: Duration },
    Ended,
}

#[derive(Debug, Clone)]
struct Node {
    phase: Phase,
    policy: Restart,
    /// Reads another node: counts for `exit_when_nodes_finish`.
    reads: bool,
    /// The dataflow does not go on for it alone.
    optional: bool,
    /// Reads log lines only.
    listens: bool,
    restarts: u32,
    /// Restarts within the window, and when it began.
    in_window: u32,
    window_began: Duration,
}

/// What a node is to the state machine.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// When it is made again.
    pub restart: Restart,
    /// Whether it reads the output of another node.
    pub reads: bool,
    /// Whether the dataflow ends when only such nodes are left.
    pub optional: bool,
    /// Whether all that it reads are log lines, of which there are no more when all other nodes have ended.
    pub listens: bool,
}

/// The state machine of one dataflow.
#[derive(Debug, Clone)]
pub struct State {
    nodes: Vec<Node>,
    exit_when_nodes_finish: bool,
    /// What nodes have for their end when the state machine itself stops them.
    grace: Duration,
    /// Nobody is let go before somebody says so.
    held: bool,
    /// Every node has been made once.
    made: bool,
    started: bool,
    /// Set once a stop was asked for: when the grace period ends.
    stopping: Option<Duration>,
    over: bool,
}

impl State {
    /// A dataflow that has not begun. `grace` is what nodes have for their end when nobody says how long: after a
    /// failed start and with `exit_when_nodes_finish`.
    pub fn new(nodes: Vec<NodeSpec>, exit_when_nodes_finish: bool, grace: Duration) -> Self {
        let nodes = nodes.into_iter().map(|spec| Node {
            phase: Phase::Creating,
            policy: spec.restart,
            reads: spec.reads,
            optional: spec.optional,
            listens: spec.listens,
            restarts: 0,
            in_window: 0,
            window_began: Duration::ZERO,
        });
        Self {
            nodes: nodes.collect(),
            exit_when_nodes_finish,
            grace,
            held: false,
            made: false,
            started: false,
            stopping: None,
            over: false,
        }
    }

    /// Whether nodes that have been made wait for [`Event::Go`]. Before the first event.
    pub fn held(mut self, held: bool) -> Self {
        self.held = held;
        self
    }

    /// The restarts that the nodes begin with, in their order, after a state machine before this one: 0 is the first
    /// time. Those that are to wait before that are made later. Before the first event.
    pub fn after(mut self, restarts: &[u32]) -> Self {
        for (node, restarts) in self.nodes.iter_mut().zip(restarts) {
            node.restarts = *restarts;
            node.in_window = *restarts;
            let wait = node.policy.wait_before(*restarts);
            if *restarts > 0 && !wait.is_zero() {
                // Counted when it is made.
                node.restarts -= 1;
                node.phase = Phase::Waiting { until: wait };
            }
        }
        self
    }

    /// The first actions: make every node that has not to wait.
    pub fn begin(&mut self) -> Vec<Action> {
        let nodes = self.nodes.iter().enumerate();
        let first = nodes.filter(|(_, node)| node.phase == Phase::Creating);
        let first = first.map(|(index, node)| Action::Create {
            node: index,
            restart_count: node.restarts,
        });
        let mut actions = first.collect();
        if self.waiting().next().is_some() {
            // If all do, nobody waits for them.
            self.start_if_ready(&mut actions);
        }
        actions
    }

    /// Nodes that are made again after a wait.
    pub fn waiting(&self) -> impl Iterator<Item = NodeIndex> {
        let nodes = self.nodes.iter().enumerate();
        let waiting = nodes.filter(|(_, node)| matches!(node.phase, Phase::Waiting { .. }));
        waiting.map(|(index, _)| index)
    }

    /// Handles an event.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.over {
            return actions;
        }
        match event {
            Event::Created(node) => self.created(node, &mut actions),
            Event::Ended(node, ending, inputs_closed) => {
                self.ended(node, ending, inputs_closed, now, &mut actions);
            }
            Event::Lost(node, ending) => self.lost(node, ending, now, &mut actions),
            Event::Go => self.go(&mut actions),
            Event::Stop { grace } => self.stop(now.saturating_add(grace), &mut actions),
            Event::Abandon => self.abandon(&mut actions),
            Event::Time => self.time(now, &mut actions),
        }
        if !self.over && self.nodes.iter().all(|node| node.phase == Phase::Ended) {
            self.over = true;
            actions.push(Action::Over);
        }
        actions
    }

    /// When [`Event::Time`] is due next.
    pub fn next_deadline(&self) -> Option<Duration> {
        let restarts = self.nodes.iter().filter_map(|node| match node.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        });
        restarts.chain(self.stopping).min()
    }

    /// Whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// How often a node was made again.
    pub fn restarts(&self, node: NodeIndex) -> u32 {
        self.nodes.get(node).map_or(0, |node| node.restarts)
    }

    fn created(&mut self, index: NodeIndex, actions: &mut Vec<Action>) {
        let (started, stopping) = (self.started, self.is_stopping());
        let Some(node) = self
            .nodes
            .get_mut(index)
            .filter(|node| node.phase == Phase::Creating)
        else {
            return;
        };
        if stopping {
            // It has been told already.
            node.phase = Phase::Running;
            return;
        }
        if started {
            node.phase = Phase::Running;
            actions.push(Action::Go(index));
            return;
        }
        node.phase = Phase::Ready;
        self.start_if_ready(actions);
    }

    fn go(&mut self, actions: &mut Vec<Action>) {
        self.held = false;
        self.start_if_ready(actions);
    }

    /// All nodes begin together, so that no message is sent before its readers can take it.
    fn start_if_ready(&mut self, actions: &mut Vec<Action>) {
        if self.started || self.is_stopping() {
            return;
        }
        if !self.made {
            if self.nodes.iter().any(|node| node.phase == Phase::Creating) {
                return;
            }
            self.made = true;
            actions.push(Action::Made);
        }
        if self.held {
            return;
        }
        self.started = true;
        for (index, node) in self
            .nodes
            .iter_mut()
            .enumerate()
            .filter(|(_, node)| node.phase == Phase::Ready)
        {
            node.phase = Phase::Running;
            actions.push(Action::Go(index));
        }
        actions.push(Action::Started);
    }

    fn ended(
        &mut self,
        index: NodeIndex,
        ending: Ending,
        inputs_closed: bool,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let (made, stopping) = (self.made, self.is_stopping());
        let Some(node) = self.nodes.get_mut(index).filter(|node| node.is_made()) else {
            return;
        };
        // A node that could not be made at the start keeps the whole dataflow from starting.
        let made = made || !matches!(ending, Ending::NotCreated(_));
        if made
            && !stopping
            && !inputs_closed
            && let Some(after) = node.restart_after(&ending, now)
        {
            node.phase = Phase::Waiting {
                until: now.saturating_add(after),
            };
            actions.push(Action::WillRestart {
                node: index,
                ending,
                after,
            });
            self.start_if_ready(actions);
            return;
        }
        self.retire(index, ending, now, actions);
    }

    fn lost(&mut self, index: NodeIndex, ending: Ending, now: Duration, actions: &mut Vec<Action>) {
        if self
            .nodes
            .get(index)
            .is_some_and(|node| node.phase != Phase::Ended)
        {
            self.retire(index, ending, now, actions);
        }
    }

    fn retire(
        &mut self,
        index: NodeIndex,
        ending: Ending,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        let unborn = !self.made && node.phase == Phase::Creating && ending.is_failure();
        node.phase = Phase::Ended;
        actions.push(Action::Retire(index, ending));
        let readers_gone = self.exit_when_nodes_finish && self.readers_have_ended();
        let over = readers_gone || self.only_optional_are_left();
        if unborn || (over && !self.is_stopping()) {
            // A dataflow starts whole or not at all.
            self.stop(now.saturating_add(self.grace), actions);
        } else if !self.is_stopping() && self.only_listeners_are_left() {
            let nodes = self.nodes.iter().enumerate();
            let left = nodes.filter(|(_, node)| node.listens && node.phase != Phase::Ended);
            actions.extend(left.map(|(index, _)| Action::Silence(index)));
        } else {
            self.start_if_ready(actions);
        }
    }

    fn readers_have_ended(&self) -> bool {
        let mut readers = self.nodes.iter().filter(|node| node.reads).peekable();
        readers.peek().is_some() && readers.all(|node| node.phase == Phase::Ended)
    }

    /// All nodes that say anything of their own have ended.
    fn only_listeners_are_left(&self) -> bool {
        let speaks = |node: &&Node| !node.listens && !node.optional;
        let mut speakers = self.nodes.iter().filter(speaks).peekable();
        speakers.peek().is_some() && speakers.all(|node| node.phase == Phase::Ended)
    }

    /// All others have ended. A share of optional nodes alone goes on, for others elsewhere.
    fn only_optional_are_left(&self) -> bool {
        let mut others = self.nodes.iter().filter(|node| !node.optional).peekable();
        others.peek().is_some() && others.all(|node| node.phase == Phase::Ended)
    }

    fn stop(&mut self, deadline: Duration, actions: &mut Vec<Action>) {
        let first = !self.is_stopping();
        self.stopping = Some(
            self.stopping
                .map_or(deadline, |earlier| earlier.min(deadline)),
        );
        if !first {
            return;
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            match node.phase {
                Phase::Ready | Phase::Running => {
                    node.phase = Phase::Running;
                    actions.push(Action::Stop(index));
                }
                Phase::Creating => actions.push(Action::Stop(index)),
                Phase::Waiting { .. } => {
                    node.phase = Phase::Ended;
                    actions.push(Action::Retire(index, Ending::Stopped));
                }
                Phase::Ended => {}
            }
        }
    }

    fn abandon(&mut self, actions: &mut Vec<Action>) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if node.phase != Phase::Ended {
                node.phase = Phase::Ended;
                actions.push(Action::Retire(index, Ending::Stuck));
            }
        }
    }

    fn time(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.stopping.is_some_and(|deadline| now >= deadline) {
            self.abandon(actions);
            return;
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if matches!(node.phase, Phase::Waiting { until } if now >= until) {
                node.phase = Phase::Creating;
                node.restarts += 1;
                actions.push(Action::Create {
                    node: index,
                    restart_count: node.restarts,
                });
            }
        }
    }
}

/// What nodes have for their end when nobody said how long.
pub const START_GRACE: Duration = Duration::from_secs(10);

impl Node {
    /// There is an instance, or one is being made.
    fn is_made(&self) -> bool {
        matches!(self.phase, Phase::Creating | Phase::Ready | Phase::Running)
    }

    /// Whether and after how long the node is made again.
    fn restart_after(&mut self, ending: &Ending, now: Duration) -> Option<Duration> {
        let wanted = match self.policy.policy {
            RestartPolicy::Never => false,
            RestartPolicy::OnFailure => ending.is_failure(),
            RestartPolicy::Always => *ending != Ending::Stopped,
        };
        if !wanted {
            return None;
        }
        if self
            .policy
            .window
            .is_some_and(|window| now.saturating_sub(self.window_began) > window)
        {
            self.in_window = 0;
        }
        if self.in_window == 0 {
            self.window_began = now;
        }
        if self
            .policy
            .max
            .is_some_and(|max| self.in_window >= max.get())
        {
            return None;
        }
        self.in_window += 1;
        Some(self.policy.wait_before(self.in_window))
    }
}

#[cfg(test)]
mod tests;
