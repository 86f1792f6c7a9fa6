//! One dataflow on all its machines: from the check to the end. Pure.
//!
//! Invariant: it starts whole or not at all; once it is to end nothing of it is begun any more. What the shares are
//! wanted to do follows from the phase alone, so an order that was lost, or a daemon that was away, changes nothing.

use crate::control::{
    Ended, NodeEnd, NodeRow, NodeState, Order, Phase, Prepare, RemoteEdges, SendId, ShareEnd,
    ShareStatus, Stage, Start, StartError, Step, Timing, check_together,
};
use crate::descriptor::{Problems, Source};
use crate::ids::{DataflowId, MachineId, NodeId};
use crate::plugin::info::KindInfo;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug, Clone)]
pub(super) struct Dataflow {
    pub prepare: Box<Prepare>,
    pub phase: Phase,
    /// When the phase must be over.
    pub until: Duration,
    pub shares: BTreeMap<MachineId, Share>,
    pub kinds: BTreeMap<NodeId, KindInfo>,
    pub warnings: Problems,
    /// Whether all nodes have been let go.
    pub started: bool,
    pub stop: Option<Stop>,
    /// Why it is undone.
    pub error: Option<StartError>,
    /// What is started when it has ended.
    pub then: Option<Box<Start>>,
    /// Whether the ledger says that it is to end.
    pub recorded: bool,
    began: Duration,
}

/// It is to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    /// Rises whenever the stop becomes stricter.
    pub serial: u32,
    pub grace: Duration,
    pub force: bool,
    /// Whether a user asked for it.
    pub asked: bool,
    /// When it should have ended.
    pub until: Duration,
}

/// What one machine does of it.
#[derive(Debug, Clone)]
pub(super) struct Share {
    pub epoch: crate::control::Epoch,
    pub nodes: Vec<NodeId>,
    /// Nodes elsewhere that its nodes read.
    reads: BTreeSet<NodeId>,
    pub status: Option<ShareStatus>,
    /// The daemon that ran it has ended.
    pub gone: bool,
    /// Since when the daemon is not heard of.
    pub lost: Option<Duration>,
    pub out: Outgoing,
}

/// The order that is under way to a share.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outgoing {
    pub send: Option<SendId>,
    pub wish: Option<Wish>,
    /// Not again before.
    pub next: Duration,
}

/// What a share is wanted to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Prepare,
    Spawn,
    Go,
    Stop(u32),
    /// So many senders elsewhere have ended.
    Senders(usize),
}

impl Outgoing {
    /// When a wish may be sent: a new one at once.
    pub fn due(&self, wish: Wish) -> Option<Duration> {
        if self.wish != Some(wish) {
            return Some(Duration::ZERO);
        }
        self.send.is_none().then_some(self.next)
    }

    pub fn ended(&mut self, send: SendId, next: Duration) {
        if self.send == Some(send) {
            self.send = None;
            self.next = next;
        }
    }
}

impl Share {
    pub fn is_ended(&self) -> bool {
        self.gone || self.stage().is_some_and(Stage::is_ended)
    }

    fn stage(&self) -> Option<&Stage> {
        self.status.as_ref().map(|status| &status.stage)
    }

    fn went(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.went)
    }

    /// Takes a newer status.
    pub fn hear(&mut self, status: &ShareStatus) {
        let known = self.status.as_ref().map_or(0, |known| known.version);
        if status.version > known {
            self.status = Some(status.clone());
        }
        // Whoever speaks of it lives, whatever another life of the daemon made believe.
        self.gone = false;
    }

    fn rank(&self) -> Option<u8> {
        self.stage().map(Stage::rank)
    }

    /// How a node of it ended, if it has.
    fn node_end(&self, node: &NodeId) -> Option<NodeEnd> {
        let status = self.status.as_ref()?;
        match status.nodes.get(node).map(|node| &node.state) {
            Some(NodeState::Ended(end)) => Some(end.clone()),
            _ => None,
        }
    }
}

impl Dataflow {
    /// One that is to be started: begins with the check.
    pub fn new(prepare: Box<Prepare>, now: Duration, timing: &Timing) -> Self {
        let placement = &prepare.placement;
        let share = |(machine, epoch): (&MachineId, &crate::control::Epoch)| {
            let edges = RemoteEdges::of(&prepare.descriptor, placement, machine);
            let share = Share {
                epoch: *epoch,
                nodes: placement.on(machine).cloned().collect(),
                reads: edges.inputs.into_iter().map(|it| it.sender).collect(),
                status: None,
                gone: false,
                lost: None,
                out: Outgoing::default(),
            };
            (machine.clone(), share)
        };
        let shares = placement.machines.iter().map(share).collect();
        Self {
            phase: Phase::Preparing,
            until: now + timing.prepare,
            shares,
            kinds: BTreeMap::new(),
            warnings: prepare.descriptor.warnings.clone(),
            started: false,
            stop: None,
            error: None,
            then: None,
            recorded: false,
            began: now,
            prepare,
        }
    }

    pub fn id(&self) -> DataflowId {
        self.prepare.dataflow
    }

    /// Asks for its end. A later wish counts only if it is stricter.
    pub fn ask_stop(&mut self, grace: Duration, force: bool, now: Duration, timing: &Timing) {
        if !self.started && self.error.is_none() {
            self.error = Some(StartError::Stopped);
        }
        self.stop(grace, force, true, now, timing);
    }

    fn stop(&mut self, grace: Duration, force: bool, asked: bool, now: Duration, timing: &Timing) {
        let until = now + if force { Duration::ZERO } else { grace } + timing.stop;
        let seen = self.shares.values().filter_map(|share| share.stage());
        let seen = seen.filter_map(|stage| match stage {
            Stage::Stopping { serial } => Some(*serial),
            _ => None,
        });
        let highest = seen.max().unwrap_or(0);
        self.phase = Phase::Stopping;
        match &mut self.stop {
            None => {
                self.stop = Some(Stop {
                    serial: highest + 1,
                    grace,
                    force,
                    asked,
                    until,
                });
            }
            Some(stop) => {
                stop.asked |= asked;
                if (force && !stop.force) || until < stop.until {
                    stop.serial = stop.serial.max(highest) + 1;
                    stop.grace = grace;
                    stop.force |= force;
                    stop.until = until;
                }
            }
        }
    }

    /// Undoes the start.
    pub fn fail(&mut self, error: StartError, now: Duration, timing: &Timing) {
        self.error.get_or_insert(error);
        self.stop(timing.undo, false, false, now, timing);
    }

    /// Ends what a coordinator before this one was ending.
    pub fn resume_stop(&mut self, record: &Ended, now: Duration, timing: &Timing) {
        self.error.clone_from(&record.error);
        self.recorded = true;
        self.stop(timing.grace, false, record.stopped, now, timing);
    }

    /// Finds out, after a coordinator before this one, whether it runs.
    pub fn recover(&mut self, now: Duration, timing: &Timing) {
        self.phase = Phase::Recovering;
        self.until = now + timing.recovery;
    }

    /// Goes as far as it can; whether it is over.
    pub fn advance(&mut self, now: Duration, timing: &Timing) -> bool {
        loop {
            let before = self.phase;
            match self.phase {
                Phase::Preparing => self.preparing(now, timing),
                Phase::Spawning => self.spawning(now, timing),
                Phase::Starting => self.starting(now, timing),
                Phase::Recovering => self.recovering(now, timing),
                Phase::Running => self.running(now, timing),
                Phase::Stopping | Phase::Ended => {}
            }
            if self.phase == before {
                break;
            }
        }
        matches!(self.phase, Phase::Running | Phase::Stopping)
            && self
                .shares
                .values()
                .all(|share| self.is_over(share, now, timing))
    }

    fn is_over(&self, share: &Share, now: Duration, timing: &Timing) -> bool {
        let given_up = |since| self.stop.is_some() || now >= since + timing.give_up;
        share.is_ended() || share.lost.is_some_and(given_up)
    }

    fn all(&self, rank: u8) -> bool {
        self.shares.values().all(|share| share.rank() >= Some(rank))
    }

    fn preparing(&mut self, now: Duration, timing: &Timing) {
        let checked = |share: &Share| share.rank() >= Some(1) || share.gone || share.lost.is_some();
        let late = now >= self.until;
        // All refusals are worth waiting for: the user can then mend everything at once.
        if !late && !self.shares.values().all(checked) {
            return;
        }
        if let Some(error) = self.fault() {
            return self.fail(error, now, timing);
        }
        if !self.all(1) {
            return self.time_out(1, Step::Check, timing.prepare, now, timing);
        }
        for share in self.shares.values() {
            if let Some(Stage::Prepared { kinds, warnings }) = share.stage() {
                self.kinds.extend(kinds.clone());
                self.warnings.append(warnings.clone());
            }
        }
        let problems = check_together(&self.prepare.descriptor, &self.kinds);
        if problems.errors() > 0 {
            return self.fail(StartError::DoNotFit(problems), now, timing);
        }
        self.phase = Phase::Spawning;
        self.until = now + timing.spawn;
    }

    fn spawning(&mut self, now: Duration, timing: &Timing) {
        if let Some(error) = self.fault() {
            return self.fail(error, now, timing);
        }
        let ready = |share: &Share| share.went() || share.stage() == Some(&Stage::Ready);
        if self.shares.values().all(ready) {
            self.phase = Phase::Starting;
            self.until = now + timing.go;
        } else if now >= self.until {
            let unlinked = self.shares.iter().find_map(|(machine, share)| {
                let Some(Stage::Spawning { missing }) = share.stage() else {
                    return None;
                };
                let missing = (!missing.is_empty()).then(|| missing.clone())?;
                let machine = machine.clone();
                Some(StartError::NotLinked { machine, missing })
            });
            match unlinked {
                Some(error) => self.fail(error, now, timing),
                None => self.time_out(3, Step::Make, timing.spawn, now, timing),
            }
        }
    }

    fn starting(&mut self, now: Duration, timing: &Timing) {
        if let Some(error) = self.fault() {
            self.fail(error, now, timing);
        } else if self.shares.values().all(Share::went) {
            self.started = true;
            self.phase = Phase::Running;
        } else if now >= self.until {
            self.time_out(4, Step::Go, timing.go, now, timing);
        }
    }

    fn recovering(&mut self, now: Duration, timing: &Timing) {
        let ordered = |share: &Share| matches!(share.stage(), Some(Stage::Stopping { serial }) if *serial > 0);
        if self.shares.values().any(ordered) {
            self.stop(timing.grace, false, true, now, timing);
        } else if self.shares.values().any(Share::went) {
            // Nodes are let go only when all machines are ready, so the rest can follow.
            self.phase = Phase::Running;
            self.until = now + timing.recovery;
        } else if now >= self.until || self.shares.values().all(Share::is_ended) {
            self.fail(StartError::CoordinatorRestarted, now, timing);
        }
    }

    fn running(&mut self, now: Duration, timing: &Timing) {
        self.started |= self.shares.values().all(Share::went);
        let unborn = |share: &Share| {
            let stage = share.stage();
            let forgotten = stage == Some(&Stage::Ended(ShareEnd::Forgotten));
            stage.is_some_and(Stage::is_ended) && !share.went() && !forgotten
        };
        if !self.started && self.shares.values().any(unborn) {
            let error = self.fault().unwrap_or(StartError::CoordinatorRestarted);
            return self.fail(error, now, timing);
        }
        // After a restart of the coordinator, a machine that was lost meanwhile need not hold up the rest.
        self.started |= now >= self.until;
        if self.prepare.descriptor.exit_when_nodes_finish && self.readers_have_ended() {
            self.stop(timing.grace, false, false, now, timing);
        }
    }

    fn readers_have_ended(&self) -> bool {
        let ended = self.ended_nodes();
        let nodes = self.prepare.descriptor.nodes.iter();
        let mut readers = nodes
            .filter(|node| {
                let mut inputs = node.inputs.values();
                inputs.any(|input| matches!(input.source, Source::Output { .. }))
            })
            .peekable();
        readers.peek().is_some() && readers.all(|node| ended.contains(&node.id))
    }

    /// Nodes that have ended for good, as far as known.
    fn ended_nodes(&self) -> BTreeSet<NodeId> {
        let of = |share: &Share| -> Vec<NodeId> {
            let ended = |node: &&NodeId| share.is_ended() || share.node_end(node).is_some();
            share.nodes.iter().filter(ended).cloned().collect()
        };
        self.shares.values().flat_map(of).collect()
    }

    /// What makes the start fail. Refusals of all machines are told together.
    fn fault(&self) -> Option<StartError> {
        let refusals: BTreeMap<MachineId, Problems> = self
            .shares
            .iter()
            .filter_map(|(machine, share)| match share.stage() {
                Some(Stage::Ended(ShareEnd::Refused(problems))) => {
                    Some((machine.clone(), problems.clone()))
                }
                _ => None,
            })
            .collect();
        if !refusals.is_empty() {
            return Some(StartError::Refused(refusals));
        }
        let mut shares = self.shares.iter();
        shares.find_map(|(machine, share)| fault_of(machine, share))
    }

    fn time_out(&mut self, rank: u8, step: Step, limit: Duration, now: Duration, timing: &Timing) {
        let machines = self
            .shares
            .iter()
            .filter(|(_, share)| share.rank() < Some(rank))
            .map(|(machine, _)| machine.clone())
            .collect();
        let error = StartError::TimedOut {
            machines,
            step,
            limit,
        };
        self.fail(error, now, timing);
    }

    /// What a share is wanted to do and has not done.
    pub fn wish(&self, share: &Share) -> Option<Wish> {
        if share.is_ended() {
            return None;
        }
        match (self.phase, share.stage()) {
            (Phase::Preparing, None) => Some(Wish::Prepare),
            (Phase::Spawning, Some(Stage::Prepared { .. })) => Some(Wish::Spawn),
            (Phase::Starting | Phase::Running, None | Some(Stage::Ready)) => Some(Wish::Go),
            (Phase::Stopping, stage) => {
                let serial = self.stop.map_or(1, |stop| stop.serial);
                let done = matches!(stage, Some(Stage::Stopping { serial: s }) if *s >= serial);
                (!done).then_some(Wish::Stop(serial))
            }
            (Phase::Running, Some(_)) => {
                let told = self.ended_for(share);
                let status = share.status.as_ref()?;
                let news = !told.is_subset(&status.ended_senders);
                news.then_some(Wish::Senders(told.len()))
            }
            _ => None,
        }
    }

    fn ended_for(&self, share: &Share) -> BTreeSet<NodeId> {
        if share.reads.is_empty() {
            return BTreeSet::new();
        }
        let mut ended = self.ended_nodes();
        ended.retain(|node| share.reads.contains(node));
        ended
    }

    /// The order for a wish.
    pub fn order(&self, share: &Share, wish: Wish) -> Order {
        match wish {
            Wish::Prepare => Order::Prepare(self.prepare.clone()),
            Wish::Spawn => Order::Spawn(self.id()),
            Wish::Go => Order::Go(self.id()),
            Wish::Stop(serial) => Order::Stop {
                dataflow: self.id(),
                serial,
                grace: self.stop.map_or(Duration::ZERO, |stop| stop.grace),
                force: self.stop.is_some_and(|stop| stop.force),
            },
            Wish::Senders(_) => Order::Senders {
                dataflow: self.id(),
                ended: self.ended_for(share),
            },
        }
    }

    /// When [`Dataflow::advance`] has something to do although nothing has happened.
    pub fn next_deadline(&self, timing: &Timing) -> Option<Duration> {
        match self.phase {
            Phase::Preparing | Phase::Spawning | Phase::Starting | Phase::Recovering => {
                Some(self.until)
            }
            Phase::Running if !self.started => Some(self.until),
            Phase::Running | Phase::Stopping | Phase::Ended => {
                let lost = self.shares.values().filter(|share| !share.is_ended());
                let lost = lost.filter_map(|share| share.lost);
                lost.map(|since| since + timing.give_up).min()
            }
        }
    }

    /// Machines that are waited for.
    pub fn awaited(&self) -> Vec<MachineId> {
        let rank = match self.phase {
            Phase::Preparing => 1,
            Phase::Spawning => 3,
            Phase::Starting | Phase::Recovering => 4,
            Phase::Running | Phase::Stopping | Phase::Ended => 6,
        };
        let waits = |share: &Share| share.rank() < Some(rank) && !share.gone;
        let waits = self.shares.iter().filter(|(_, share)| waits(share));
        waits.map(|(machine, _)| machine.clone()).collect()
    }

    /// What is to be believed of it if nobody hears of it again.
    pub fn unheard(&self) -> Ended {
        let lost = |(node, machine): (&NodeId, &MachineId)| {
            let end = NodeEnd::Lost {
                machine: machine.clone(),
            };
            NodeRow::bare(node.clone(), machine.clone(), end)
        };
        let machines: Vec<MachineId> = self.shares.keys().cloned().collect();
        Ended {
            dataflow: self.id(),
            name: self.prepare.name.clone(),
            started: true,
            stopped: false,
            error: None,
            rows: self.prepare.placement.nodes.iter().map(lost).collect(),
            took: Duration::ZERO,
            unreachable: machines.clone(),
            machines,
        }
    }

    /// What became of it, as far as known.
    pub fn ended(&self, now: Duration) -> Ended {
        let mut took = now.saturating_sub(self.began);
        let mut rows = Vec::new();
        for node in &self.prepare.descriptor.nodes {
            let machine = self.prepare.placement.of(&node.id);
            let share = machine.and_then(|machine| Some((machine, self.shares.get(machine)?)));
            rows.extend(share.and_then(|(machine, share)| row(&node.id, machine, share)));
        }
        for share in self.shares.values() {
            if let Some(Stage::Ended(ShareEnd::Over { took: ran, .. })) = share.stage() {
                took = took.max(*ran);
            }
        }
        let unreachable = self.shares.iter().filter(|(_, share)| !share.is_ended());
        Ended {
            dataflow: self.id(),
            name: self.prepare.name.clone(),
            started: self.started,
            stopped: self.stop.is_some_and(|stop| stop.asked),
            error: self.error.clone(),
            rows,
            took,
            machines: self.shares.keys().cloned().collect(),
            unreachable: unreachable.map(|(machine, _)| machine.clone()).collect(),
        }
    }
}

fn fault_of(machine: &MachineId, share: &Share) -> Option<StartError> {
    let machine = machine.clone();
    if share.went() {
        return None;
    }
    if let Some(Stage::Ended(end)) = share.stage() {
        return Some(match end {
            ShareEnd::Refused(problems) => {
                StartError::Refused([(machine, problems.clone())].into())
            }
            ShareEnd::NotLinked(missing) => StartError::NotLinked {
                machine,
                missing: missing.clone(),
            },
            ShareEnd::Over { rows, .. } => {
                let unmade = |row: &&NodeRow| matches!(row.end, NodeEnd::NotMade { .. });
                let unmade: Vec<NodeRow> = rows.iter().filter(unmade).cloned().collect();
                let rows = if unmade.is_empty() {
                    rows.clone()
                } else {
                    unmade
                };
                StartError::NotMade { machine, rows }
            }
            ShareEnd::DaemonEnds => StartError::MachineEnds(machine),
            ShareEnd::Dropped | ShareEnd::Expired | ShareEnd::Forgotten => {
                StartError::MachineRestarted(machine)
            }
        });
    }
    if share.gone {
        return Some(StartError::MachineRestarted(machine));
    }
    share.lost.map(|_| StartError::MachineLost(machine))
}

fn row(node: &NodeId, machine: &MachineId, share: &Share) -> Option<NodeRow> {
    if let Some(Stage::Ended(ShareEnd::Over { rows, .. })) = share.stage() {
        return rows.iter().find(|row| row.node == *node).cloned();
    }
    let bare = |end| Some(NodeRow::bare(node.clone(), machine.clone(), end));
    if let Some(end) = share.node_end(node) {
        return bare(end);
    }
    let lost = share.gone || (share.lost.is_some() && !share.is_ended());
    let lost = lost && (share.went() || share.status.is_none());
    match lost {
        true => bare(NodeEnd::Lost {
            machine: machine.clone(),
        }),
        false => None,
    }
}
