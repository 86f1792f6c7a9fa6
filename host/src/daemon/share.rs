//! One share: from an order to its end. Pure.
//!
//! Invariant: stages only advance; each change raises the version; nodes are made at most once, let go at most once,
//! and what was made ends with exactly one `Over`.

use super::event::{Action, Local, Note};
use crate::control::{
    Begun, MissingPeer, NodeEnd, NodeRow, NodeState, NodeStatus, Order, Prepare, RemoteEdges,
    ShareEnd, ShareStatus, Stage, Timing,
};
use crate::descriptor::{QueuePolicy, RestartPolicy};
use crate::ids::{DataflowId, MachineId, NodeId, PortName};
use crate::plugin::info::KindInfo;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Beyond the nodes' grace period, until the nodes are abandoned; and again until they count as stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// Nodes that do end when they are told so need no more, and are not called stuck by a forced stop.
const MOMENT: Duration = Duration::from_millis(200);

/// What every decision needs.
pub(super) struct Turn<'a> {
    pub now: Duration,
    pub timing: &'a Timing,
    pub machine: &'a MachineId,
    pub out: &'a mut Vec<Action>,
}

#[derive(Debug, Clone)]
pub(super) struct Share {
    /// `None` once the end has been heard of, or when there never was one.
    pub prepare: Option<Box<Prepare>>,
    pub kinds: BTreeMap<NodeId, KindInfo>,
    pub edges: RemoteEdges,
    pub status: ShareStatus,
    /// The version that the coordinator has heard of.
    pub heard: u64,
    made: bool,
    linked: bool,
    /// When it ends unless an order comes.
    lease: Option<Duration>,
    /// Why it was stopped, if not by an order.
    cause: Option<ShareEnd>,
    stopping: Option<Stopping>,
    /// Senders elsewhere whose readers are to be closed, and when.
    closing: BTreeMap<NodeId, Duration>,
    closed: BTreeSet<NodeId>,
    /// How often shares elsewhere have begun again since this one began, as far as it knows.
    begun: BTreeMap<MachineId, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Stopping {
    /// When the nodes are abandoned, then when they count as stuck.
    until: Duration,
    abandoned: bool,
}

impl Share {
    fn new(dataflow: DataflowId, prepare: Option<Box<Prepare>>, stage: Stage) -> Self {
        Self {
            prepare,
            kinds: BTreeMap::new(),
            edges: RemoteEdges::default(),
            status: ShareStatus {
                dataflow,
                version: 1,
                stage,
                went: false,
                nodes: BTreeMap::new(),
                ended_senders: BTreeSet::new(),
                lives: BTreeMap::new(),
            },
            heard: 0,
            made: false,
            linked: false,
            lease: None,
            cause: None,
            stopping: None,
            closing: BTreeMap::new(),
            closed: BTreeSet::new(),
            begun: BTreeMap::new(),
        }
    }

    /// A share that is ended before it began, so that a late order to prepare it finds it ended.
    pub fn never(dataflow: DataflowId, end: ShareEnd) -> Self {
        Self::new(dataflow, None, Stage::Ended(end))
    }

    /// Begins with the check of its nodes.
    pub fn begin(prepare: Box<Prepare>, turn: &mut Turn<'_>) -> Self {
        turn.out.push(Action::Prepare(prepare.clone()));
        let edges = prepare.edges(turn.machine);
        let mut lives = prepare.placement.machines.clone();
        lives.remove(turn.machine);
        let mut share = Self::new(prepare.dataflow, Some(prepare), Stage::Preparing);
        share.edges = edges;
        share.status.lives = lives;
        share.renew(turn);
        let over: Vec<NodeId> = share.over_before().map(|(node, _)| node.clone()).collect();
        for node in over {
            share.close_later(node, turn.now);
        }
        share
    }

    /// Nodes that were over before it began, and how they ended.
    fn over_before(&self) -> impl Iterator<Item = (&NodeId, &NodeEnd)> {
        let again = self.prepare.as_ref().and_then(|it| it.again.as_ref());
        again.into_iter().flat_map(|again| &again.over)
    }

    fn renew(&mut self, turn: &Turn<'_>) {
        self.lease = Some(turn.now + turn.timing.lease);
    }

    fn id(&self) -> DataflowId {
        self.status.dataflow
    }

    pub fn is_ended(&self) -> bool {
        self.status.stage.is_ended()
    }

    fn enter(&mut self, stage: Stage) {
        if self.status.stage.rank() <= stage.rank() {
            self.status.stage = stage;
            self.status.version += 1;
        }
    }

    fn end(&mut self, end: ShareEnd) {
        self.enter(Stage::Ended(end));
        self.lease = None;
        self.stopping = None;
        self.closing.clear();
    }

    /// An order about a share that exists.
    pub fn order(&mut self, order: Order, turn: &mut Turn<'_>) {
        match order {
            Order::Prepare(_) => {}
            Order::Spawn(_) => self.spawn(turn),
            Order::Go(_) => self.go(turn),
            Order::Stop {
                serial,
                grace,
                force,
                ..
            } => {
                let grace = match force {
                    true => self.forced(serial),
                    false => Some(grace),
                };
                self.stop(serial, grace, turn);
            }
            Order::Senders { ended, .. } => self.senders(ended, turn),
            Order::Begun { begun, .. } => self.begun(begun, turn),
        }
    }

    /// What a forced stop leaves the nodes: nothing if they have been told to stop before.
    fn forced(&self, serial: u32) -> Option<Duration> {
        let again =
            |stage: &Stage| matches!(stage, Stage::Stopping { serial: known } if *known == serial);
        match self.stopping.is_none() || again(&self.status.stage) {
            true => Some(MOMENT),
            false => None,
        }
    }

    fn spawn(&mut self, turn: &mut Turn<'_>) {
        if !matches!(self.status.stage, Stage::Prepared { .. }) {
            return;
        }
        let nodes = match &self.prepare {
            Some(prepare) => prepare.placement.on(turn.machine).cloned().collect(),
            None => Vec::new(),
        };
        let again = self.prepare.as_ref().and_then(|it| it.again.as_ref());
        let of = |id: NodeId| {
            let over = again.and_then(|again| again.over.get(&id)).cloned();
            let status = NodeStatus {
                state: over.map_or(NodeState::Starting, NodeState::Ended),
                restarts: again
                    .and_then(|again| again.restarts.get(&id).copied())
                    .unwrap_or_default(),
            };
            (id, status)
        };
        self.status.nodes = nodes.into_iter().map(of).collect();
        self.renew(turn);
        self.enter(Stage::Spawning {
            missing: Vec::new(),
        });
        turn.out.push(Action::Spawn {
            dataflow: self.id(),
            edges: self.edges.clone(),
        });
    }

    fn go(&mut self, turn: &mut Turn<'_>) {
        if self.status.stage != Stage::Ready {
            return;
        }
        self.lease = None;
        self.status.went = true;
        for node in self.status.nodes.values_mut() {
            if node.state == NodeState::Starting {
                node.state = NodeState::Running;
            }
        }
        self.enter(Stage::Running);
        turn.out.push(Action::Go(self.id()));
    }

    /// Stops it within the grace period; at once without one.
    pub fn stop(&mut self, serial: u32, grace: Option<Duration>, turn: &mut Turn<'_>) {
        match self.status.stage {
            Stage::Ended(_) => return,
            Stage::Preparing | Stage::Prepared { .. } => {
                turn.out.push(Action::Discard(self.id()));
                let cause = self.cause.take();
                self.end(cause.unwrap_or(ShareEnd::Dropped));
                return;
            }
            Stage::Spawning { .. } | Stage::Ready | Stage::Running | Stage::Stopping { .. } => {}
        }
        let before = match self.status.stage {
            Stage::Stopping { serial } => Some(serial),
            _ => None,
        };
        let until = turn.now + grace.unwrap_or_default() + PATIENCE;
        let earlier = self.stopping.map(|stopping| stopping.until);
        let abandoned = self.stopping.is_some_and(|stopping| stopping.abandoned);
        if before.is_none_or(|before| serial > before) {
            self.enter(Stage::Stopping { serial });
        }
        if abandoned {
            return;
        }
        match grace {
            None => turn.out.push(Action::Abandon(self.id())),
            Some(_) if earlier.is_some_and(|earlier| earlier <= until) => return,
            Some(grace) => turn.out.push(Action::Stop {
                dataflow: self.id(),
                grace,
            }),
        }
        self.lease = None;
        self.stopping = Some(Stopping {
            until,
            abandoned: grace.is_none(),
        });
    }

    fn stop_because(&mut self, cause: ShareEnd, turn: &mut Turn<'_>) {
        self.cause.get_or_insert(cause);
        self.stop(0, Some(turn.timing.undo), turn);
    }

    fn senders(&mut self, ended: BTreeSet<NodeId>, turn: &mut Turn<'_>) {
        let new: Vec<NodeId> = ended
            .into_iter()
            .filter(|node| !self.status.ended_senders.contains(node))
            .collect();
        if new.is_empty() || self.is_ended() {
            return;
        }
        self.status.version += 1;
        for node in new {
            self.status.ended_senders.insert(node.clone());
            let settle = match self.waits_for_us(&node) {
                true => turn.timing.settle_waited,
                false => turn.timing.settle,
            };
            self.close_later(node, turn.now + settle);
        }
    }

    /// Shares elsewhere have begun again: what their nodes send comes anew.
    fn begun(&mut self, begun: BTreeMap<MachineId, Begun>, turn: &mut Turn<'_>) {
        if self.status.stage != Stage::Running {
            return;
        }
        for (machine, Begun { life, times, over }) in begun {
            let heard = self.begun.get(&machine).copied().unwrap_or_default();
            let known = self.status.lives.get_mut(&machine);
            let Some(known) = known.filter(|known| **known != life && times > heard) else {
                continue;
            };
            *known = life;
            self.begun.insert(machine.clone(), times);
            self.status.version += 1;
            if let Some(prepare) = &mut self.prepare {
                // The life before is not missed any more.
                prepare.placement.machines.insert(machine.clone(), life);
                let placement = &prepare.placement;
                let is_back =
                    |node: &NodeId| placement.of(node) == Some(&machine) && !over.contains(node);
                self.closing.retain(|sender, _| !is_back(sender));
            }
            turn.out.push(Action::Again {
                dataflow: self.id(),
                edges: self.edges.with(&machine, &over),
                machine,
                life,
            });
        }
    }

    /// Whether an input here makes this node wait.
    fn waits_for_us(&self, sender: &NodeId) -> bool {
        let mut inputs = self.edges.inputs.iter();
        inputs.any(|input| input.sender == *sender && input.policy == QueuePolicy::Backpressure)
    }

    fn close_later(&mut self, sender: NodeId, at: Duration) {
        let reads = self.edges.inputs.iter().any(|input| input.sender == sender);
        if reads && !self.closed.contains(&sender) {
            self.closing.entry(sender).or_insert(at);
        }
    }

    /// Whether there are nodes.
    pub fn is_made(&self) -> bool {
        self.status.stage.rank() >= 2 && !self.is_ended()
    }

    /// A machine is not heard of any more: its nodes that will not be made again are not waited for.
    pub fn peer_lost(&mut self, machine: &MachineId, now: Duration) {
        let Some(prepare) = &self.prepare else {
            return;
        };
        let never = |sender: &&NodeId| {
            let node = prepare.descriptor.node(sender.as_str());
            node.is_none_or(|node| node.restart.policy == RestartPolicy::Never)
        };
        let inputs = self.edges.inputs.iter();
        let senders: BTreeSet<NodeId> = inputs
            .filter(|input| input.machine == *machine)
            .map(|input| &input.sender)
            .filter(never)
            .cloned()
            .collect();
        for sender in senders {
            self.close_later(sender, now);
        }
    }

    /// What became of an action.
    pub fn local(&mut self, local: Local, turn: &mut Turn<'_>) {
        match local {
            Local::Prepared { kinds, warnings } => {
                if self.status.stage == Stage::Preparing {
                    self.kinds.clone_from(&kinds);
                    self.renew(turn);
                    self.enter(Stage::Prepared { kinds, warnings });
                }
            }
            Local::Refused(problems) => {
                if self.status.stage == Stage::Preparing {
                    turn.out.push(Action::Discard(self.id()));
                    self.end(ShareEnd::Refused(problems));
                }
            }
            Local::Made => {
                self.made = true;
                self.ready(turn);
            }
            Local::Linked => {
                self.linked = true;
                self.ready(turn);
            }
            Local::Missing(missing) => self.missing(missing),
            Local::NotLinked(missing) => {
                if matches!(self.status.stage, Stage::Spawning { .. }) {
                    self.stop_because(ShareEnd::NotLinked(missing), turn);
                }
            }
            Local::Node { node, status } => self.node(node, status),
            Local::Over { rows, took } => self.over(rows, took, turn.machine),
        }
    }

    fn ready(&mut self, turn: &Turn<'_>) {
        if self.made && self.linked && matches!(self.status.stage, Stage::Spawning { .. }) {
            self.renew(turn);
            self.enter(Stage::Ready);
        }
    }

    fn missing(&mut self, missing: Vec<MissingPeer>) {
        let new = Stage::Spawning { missing };
        if matches!(self.status.stage, Stage::Spawning { .. }) && self.status.stage != new {
            self.enter(new);
        }
    }

    fn node(&mut self, node: NodeId, status: NodeStatus) {
        let known = self.status.nodes.get_mut(&node);
        if let Some(known) = known.filter(|known| **known != status) {
            *known = status;
            self.status.version += 1;
        }
    }

    fn over(&mut self, mut rows: Vec<NodeRow>, took: Duration, machine: &MachineId) {
        if self.status.stage.rank() < 2 || self.is_ended() {
            return;
        }
        let placement = self.prepare.as_ref().map(|prepare| &prepare.placement);
        let is_here = |node: &NodeId| placement.and_then(|it| it.of(node)) == Some(machine);
        let before = self.over_before().filter(|(node, _)| is_here(node));
        let bare = |(node, end): (&NodeId, &NodeEnd)| {
            NodeRow::bare(node.clone(), machine.clone(), end.clone())
        };
        let before: Vec<NodeRow> = before.map(bare).collect();
        rows.retain(|row| before.iter().all(|over| over.node != row.node));
        rows.extend(before);
        for row in &rows {
            if let Some(node) = self.status.nodes.get_mut(&row.node) {
                node.state = NodeState::Ended(row.end.clone());
                node.restarts = row.restarts;
            }
        }
        let over = ShareEnd::Over { rows, took };
        let cause = self.cause.take();
        self.end(cause.unwrap_or(over));
    }

    /// Does what is due.
    pub fn time(&mut self, turn: &mut Turn<'_>) {
        if self.lease.is_some_and(|lease| turn.now >= lease) {
            turn.out.push(Action::Note(Note::Expired(self.id())));
            self.stop_because(ShareEnd::Expired, turn);
        }
        self.close_due(turn);
        let Some(stopping) = self.stopping.filter(|stopping| turn.now >= stopping.until) else {
            return;
        };
        if !stopping.abandoned {
            turn.out.push(Action::Abandon(self.id()));
            self.stopping = Some(Stopping {
                until: turn.now + PATIENCE,
                abandoned: true,
            });
            return;
        }
        turn.out.push(Action::Note(Note::Stuck(self.id())));
        let nodes: Vec<NodeId> = self.status.nodes.keys().cloned().collect();
        let stuck = |node| NodeRow::bare(node, turn.machine.clone(), NodeEnd::Stuck);
        let rows = nodes.into_iter().map(stuck).collect();
        self.over(rows, Duration::ZERO, turn.machine);
    }

    fn close_due(&mut self, turn: &mut Turn<'_>) {
        // Before the nodes are made there is nothing to close; they are told when they are.
        if self.status.stage.rank() < 2 || self.closing.is_empty() {
            return;
        }
        let now = turn.now;
        let due: Vec<NodeId> = self
            .closing
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(sender, _)| sender.clone())
            .collect();
        if due.is_empty() {
            return;
        }
        let inputs: Vec<(NodeId, PortName)> = self
            .edges
            .inputs
            .iter()
            .filter(|input| due.contains(&input.sender))
            .map(|input| (input.node.clone(), input.input.clone()))
            .collect();
        for sender in due {
            self.closing.remove(&sender);
            self.closed.insert(sender);
        }
        turn.out.push(Action::CloseInputs {
            dataflow: self.id(),
            inputs,
        });
    }

    /// When [`Share::time`] has something to do.
    pub fn next_deadline(&self) -> Option<Duration> {
        let closing = match self.status.stage.rank() {
            0 | 1 => None,
            _ => self.closing.values().min().copied(),
        };
        let stopping = self.stopping.map(|stopping| stopping.until);
        [self.lease, stopping, closing].into_iter().flatten().min()
    }
}
