//! What becomes of a share whose daemon has died: its nodes begin again in the next life of the daemon, if they may, and the
//! shares of other machines, which go on, are told to connect with it anew. Pure.
//!
//! Invariant: a share whose nodes have not run since its last beginning does not begin again, so that a daemon cannot die of
//! it for ever; a node that has crashed a daemon gets a process of its own; a share begins again only when all others can be
//! told of it. Absent: how the share is ordered then (`orders`).

use super::dataflow::Dataflow;
use super::share::{Outgoing, Share};
use crate::control::{Again, Begun, Epoch, Fallen, Phase, Stage};
use crate::descriptor::{Node, RestartPolicy};
use crate::ids::{MachineId, NodeId};
use std::collections::BTreeMap;

impl Dataflow {
    /// That life of a daemon has died: notes how, and begins its share again in the next one, if one of its nodes may be
    /// made again. `None` when it was another life, or is known.
    pub fn fell(&mut self, machine: &MachineId, next: Epoch, fallen: &Fallen) -> Option<bool> {
        let share = self.shares.get_mut(machine)?;
        if share.epoch != fallen.epoch || share.fallen.as_ref() == Some(fallen) {
            return None;
        }
        share.fallen = Some(fallen.clone());
        let runs = self.phase == Phase::Running && self.stop.is_none() && self.others_run(machine);
        let again = self.again(machine).filter(|_| runs);
        let (Some(again), Some(share)) = (again, self.shares.get_mut(machine)) else {
            return Some(false);
        };
        share.begin_again(next, again);
        let lives = &mut self.prepare.placement.machines;
        lives.insert(machine.clone(), next);
        Some(true)
    }

    /// Whether each share of another machine runs, and is heard of, or has ended.
    fn others_run(&self, machine: &MachineId) -> bool {
        let runs = |share: &Share| share.lost.is_none() && share.stage() == Some(&Stage::Running);
        let mut others = self.shares.iter().filter(|(other, _)| *other != machine);
        others.all(|(_, share)| share.is_ended() || runs(share))
    }

    /// The first life of a daemon in which a share has begun again that this one, which runs, is not connected with.
    pub fn begun_elsewhere(&self, share: &Share) -> Option<Epoch> {
        let known = &share.status.as_ref()?.lives;
        let new = |(machine, other): &(&MachineId, &Share)| {
            let life = known.get(*machine);
            let begun = other.again.is_some() && !other.is_ended();
            begun && life.is_some_and(|life| *life != other.epoch)
        };
        let new = self.shares.iter().find(new);
        new.map(|(_, other)| other.epoch)
    }

    /// All shares that have begun again.
    pub fn begun(&self) -> BTreeMap<MachineId, Begun> {
        let begun = |(machine, share): (&MachineId, &Share)| {
            let again = share.again.as_ref()?;
            let over = &again.over;
            let nodes = share.nodes.iter().filter(|node| over.contains_key(*node));
            let begun = Begun {
                life: share.epoch,
                times: again.times,
                over: nodes.cloned().collect(),
            };
            Some((machine.clone(), begun))
        };
        self.shares.iter().filter_map(begun).collect()
    }

    /// What is different about its share the next time; `None` when nobody may be made again.
    fn again(&self, machine: &MachineId) -> Option<Again> {
        let share = self.shares.get(machine).filter(|share| share.went())?;
        let before = share.again.as_ref();
        let mut again = Again {
            times: before.map_or(0, |before| before.times).saturating_add(1),
            ..Again::default()
        };
        for (other, share) in self.shares.iter().filter(|(other, _)| *other != machine) {
            let lost = |id: &NodeId| {
                share
                    .is_ended()
                    .then(|| share.lost_end(self.id(), id, other))
            };
            let end = |id: &NodeId| Some((id.clone(), share.node_end(id).or_else(|| lost(id))?));
            again.over.extend(share.nodes.iter().filter_map(end));
        }
        for id in &share.nodes {
            let restarts = share.restarts(id);
            let node = self.prepare.descriptor.node(id.as_str());
            let end = match share.node_end(id) {
                Some(end) => end,
                None if node.is_some_and(|node| may_begin_again(node, restarts)) => {
                    again
                        .restarts
                        .insert(id.clone(), restarts.saturating_add(1));
                    continue;
                }
                None => share.lost_end(self.id(), id, machine),
            };
            again.over.insert(id.clone(), end);
        }
        let culprit = share.fallen.as_ref().and_then(|it| it.culprit.as_ref());
        let culprit = culprit.filter(|culprit| culprit.dataflow == self.id());
        let before = share.again.iter().flat_map(|before| &before.own);
        let own = culprit
            .map(|culprit| &culprit.node)
            .into_iter()
            .chain(before);
        let made = own.filter(|node| again.restarts.contains_key(*node));
        again.own = made.cloned().collect();
        (!again.restarts.is_empty()).then_some(again)
    }

    /// A daemon holds a share that has begun again before this coordinator.
    pub fn has_begun_again(&mut self, machine: &MachineId, epoch: Epoch, again: Again) {
        let Some(share) = self.shares.get_mut(machine) else {
            return;
        };
        if share.epoch == epoch && share.again.is_some() {
            return;
        }
        share.begin_again(epoch, again);
        let lives = &mut self.prepare.placement.machines;
        lives.insert(machine.clone(), epoch);
    }
}

impl Share {
    fn begin_again(&mut self, epoch: Epoch, again: Again) {
        self.epoch = epoch;
        self.again = Some(Box::new(again));
        self.status = None;
        self.gone = false;
        self.lost = None;
        self.out = Outgoing::default();
    }

    /// How often a node was made again so far.
    pub fn restarts(&self, node: &NodeId) -> u32 {
        let told = self.status.as_ref().and_then(|it| it.nodes.get(node));
        let before = self.again.as_ref().and_then(|it| it.restarts.get(node));
        let told = told.map(|told| told.restarts);
        told.or(before.copied()).unwrap_or_default()
    }
}

/// As the engine decides about a failure; time windows are the engine's.
fn may_begin_again(node: &Node, restarts: u32) -> bool {
    let restart = &node.restart;
    let left = restart.max.is_none_or(|max| restarts < max.get());
    restart.policy != RestartPolicy::Never && left
}
