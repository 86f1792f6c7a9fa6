//! One dataflow on all its machines: from the check to the end. Pure.
//!
//! Invariant: it starts whole or not at all; once it is to end nothing of it is begun any more. What the shares are
//! wanted to do follows from the phase alone, so an order that was lost, or a daemon that was away, changes nothing.

use super::share::{Outgoing, Share, Wish};
use crate::control::{
    Ended, Epoch, Order, Phase, Prepare, RemoteEdges, ShareEnd, Stage, Start, StartError, Step,
    Timing, check_together,
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
    pub began: Duration,
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

impl Dataflow {
    /// One that is to be started: begins with the check.
    pub fn new(prepare: Box<Prepare>, now: Duration, timing: &Timing) -> Self {
        let placement = &prepare.placement;
        let share = |(machine, epoch): (&MachineId, &Epoch)| {
            let edges = RemoteEdges::of(&prepare.descriptor, placement, machine);
            let share = Share {
                epoch: *epoch,
                nodes: placement.on(machine).cloned().collect(),
                reads: edges.inputs.into_iter().map(|it| it.sender).collect(),
                status: None,
                gone: false,
                fallen: None,
                again: None,
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
        for share in self.shares.values_mut() {
            // Whoever waits for its nodes has waited long enough. Should the machine come back, it is heard again.
            share.gone |= share
                .lost
                .is_some_and(|since| now >= since + timing.give_up);
        }
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
            && self.shares.values().all(|share| self.is_over(share))
    }

    /// A machine that is not heard of does not hold up a stop: what it runs is stopped when it comes back.
    fn is_over(&self, share: &Share) -> bool {
        share.is_ended() || (self.stop.is_some() && share.lost.is_some())
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
            (Phase::Running, None) if share.again.is_some() => Some(Wish::Prepare),
            (Phase::Running, Some(Stage::Prepared { .. })) if share.again.is_some() => {
                Some(Wish::Spawn)
            }
            (Phase::Spawning, Some(Stage::Prepared { .. })) => Some(Wish::Spawn),
            (Phase::Starting | Phase::Running, None | Some(Stage::Ready)) => Some(Wish::Go),
            (Phase::Stopping, stage) => {
                let serial = self.stop.map_or(1, |stop| stop.serial);
                let done = matches!(stage, Some(Stage::Stopping { serial: s }) if *s >= serial);
                (!done).then_some(Wish::Stop(serial))
            }
            (Phase::Running, Some(stage)) => {
                let begun = self.begun_elsewhere(share);
                if let Some(life) = begun.filter(|_| *stage == Stage::Running) {
                    return Some(Wish::Begun(life));
                }
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
            Wish::Prepare => {
                let mut prepare = self.prepare.clone();
                prepare.again.clone_from(&share.again);
                Order::Prepare(prepare)
            }
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
            Wish::Begun(_) => Order::Begun {
                dataflow: self.id(),
                begun: self.begun(),
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
}
