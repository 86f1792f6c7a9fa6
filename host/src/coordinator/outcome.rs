//! What became of a dataflow: why it was not started, how its nodes ended. Pure.

use super::dataflow::Dataflow;
use super::share::Share;
use crate::control::{Ended, NodeEnd, NodeRow, ShareEnd, Stage, StartError};
use crate::descriptor::Problems;
use crate::ids::{DataflowId, MachineId, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;

impl Dataflow {
    /// What makes the start fail. Refusals of all machines are told together.
    pub fn fault(&self) -> Option<StartError> {
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

    /// What is to be believed of it if nobody hears of it again.
    pub fn unheard(&self) -> Ended {
        let lost = |(node, machine): (&NodeId, &MachineId)| {
            let end = NodeEnd::Lost {
                machine: machine.clone(),
                why: None,
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
            rows.extend(
                share.and_then(|(machine, share)| row(self.id(), &node.id, machine, share)),
            );
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

fn row(dataflow: DataflowId, node: &NodeId, machine: &MachineId, share: &Share) -> Option<NodeRow> {
    if let Some(Stage::Ended(ShareEnd::Over { rows, .. })) = share.stage() {
        return rows.iter().find(|row| row.node == *node).cloned();
    }
    let bare = |end| Some(NodeRow::bare(node.clone(), machine.clone(), end));
    if let Some(end) = share.node_end(node) {
        return bare(end);
    }
    let lost = share.gone || (share.lost.is_some() && !share.is_ended());
    let lost = lost && (share.went() || share.status.is_none());
    // It could not begin again.
    let lost = lost || (share.again.is_some() && share.is_ended());
    match lost {
        true => bare(share.lost_end(dataflow, node, machine)),
        false => None,
    }
}
