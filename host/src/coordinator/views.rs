//! What the coordinator shows: lists of dataflows, nodes, outputs, daemons. Changes nothing.

use super::dataflow::Dataflow;
use super::ledger::{Record, Standing};
use super::share::Share;
use super::state::State;
use crate::control::{
    DaemonSummary, DataflowSummary, Located, NodeState, NodeSummary, Phase, Reach, Stage, Status,
    Target, TargetError, TopicReader, TopicSummary, declared_outputs,
};
use crate::descriptor::Source;
use crate::ids::{DataflowId, MachineId, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;

impl State {
    /// All dataflows by the time of their start.
    pub(super) fn list(&self) -> Vec<DataflowSummary> {
        let over = self.ledger.shown();
        let over = over.filter(|record| !self.live.contains_key(&record.ended.dataflow));
        let live = self.live.values().map(|dataflow| self.summary(dataflow));
        let mut list: Vec<DataflowSummary> = over
            .map(|record| self.summary_of_record(record))
            .chain(live)
            .collect();
        list.sort_by_key(|summary| summary.dataflow);
        list
    }

    fn summary(&self, dataflow: &Dataflow) -> DataflowSummary {
        let states: Vec<NodeState> = self
            .node_states(dataflow)
            .map(|(.., state, _)| state)
            .collect();
        // A daemon that has not had the time to say what it runs has not failed.
        let recovers = dataflow.phase == Phase::Recovering;
        let failed = |state: &&NodeState| match state {
            NodeState::Unreachable => !recovers,
            NodeState::Ended(end) => end.is_failure(),
            _ => false,
        };
        let running = states.iter().filter(|it| **it == NodeState::Running);
        let shares = dataflow.shares.iter();
        DataflowSummary {
            dataflow: dataflow.id(),
            name: dataflow.prepare.name.clone(),
            phase: dataflow.phase,
            machines: shares
                .map(|(machine, share)| (machine.clone(), self.reach(machine, share)))
                .collect(),
            nodes: states.len(),
            running: running.count(),
            failed: states.iter().filter(failed).count(),
            ended: None,
        }
    }

    fn reach(&self, machine: &MachineId, share: &Share) -> Reach {
        match self.machines.get(machine) {
            Some(known) if known.epoch == share.epoch => known.reach(),
            // What has ended there is known, and nothing is lost with the machine.
            _ if share.stage().is_some_and(Stage::is_ended) => Reach::Connected,
            Some(_) => Reach::Lost,
            None => self.unheard_of(),
        }
    }

    /// What is to be thought of a machine whose daemon has not registered: at first it may be about to.
    fn unheard_of(&self) -> Reach {
        match self.is_recovering() {
            true => Reach::Suspect,
            false => Reach::Lost,
        }
    }

    fn summary_of_record(&self, record: &Record) -> DataflowSummary {
        let ended = &record.ended;
        let reach = |machine: &MachineId| match ended.unreachable.contains(machine) {
            true if record.is_over() => Reach::Lost,
            true => self.unheard_of(),
            false => Reach::Connected,
        };
        let awaited = !record.is_over() && self.is_recovering();
        let failed = ended.rows.iter().filter(|row| row.end.is_failure());
        DataflowSummary {
            dataflow: ended.dataflow,
            name: ended.name.clone(),
            phase: match record.standing {
                Standing::Runs => Phase::Recovering,
                Standing::Ending => Phase::Stopping,
                Standing::Over => Phase::Ended,
            },
            machines: ended
                .machines
                .iter()
                .map(|machine| (machine.clone(), reach(machine)))
                .collect(),
            nodes: ended.rows.len(),
            running: 0,
            failed: match awaited {
                true => 0,
                false => failed.count(),
            },
            ended: record.is_over().then(|| ended.clone()),
        }
    }

    /// Every node of a dataflow with its machine, its state and the number of its restarts.
    fn node_states<'a>(
        &'a self,
        dataflow: &'a Dataflow,
    ) -> impl Iterator<Item = (&'a NodeId, &'a MachineId, NodeState, u32)> {
        let nodes = dataflow.prepare.descriptor.nodes.iter();
        nodes.filter_map(|node| {
            let machine = dataflow.prepare.placement.of(&node.id)?;
            let share = dataflow.shares.get(machine)?;
            let told = share.status.as_ref().and_then(|it| it.nodes.get(&node.id));
            let restarts = share.restarts(&node.id);
            let ended = matches!(told.map(|told| &told.state), Some(NodeState::Ended(_)));
            let reach = self.reach(machine, share);
            let state = match told {
                _ if share.gone && !ended => {
                    NodeState::Ended(share.lost_end(dataflow.id(), &node.id, machine))
                }
                _ if reach == Reach::Lost && !ended => NodeState::Unreachable,
                Some(told) => told.state.clone(),
                None if share.again.is_some() => match share.node_end(&node.id) {
                    Some(end) => NodeState::Ended(end),
                    None => NodeState::Restarting,
                },
                // Its daemon has not said what it runs.
                None if dataflow.phase == Phase::Recovering => NodeState::Unreachable,
                None => NodeState::Starting,
            };
            Some((&node.id, machine, state, restarts))
        })
    }

    /// The nodes of dataflows that run.
    pub(super) fn nodes(&self, targets: &[DataflowId]) -> Vec<NodeSummary> {
        let dataflows = targets.iter().filter_map(|id| self.live.get(id));
        let of = |dataflow| {
            let nodes = self.node_states(dataflow);
            nodes.map(|(node, machine, state, restarts)| NodeSummary {
                dataflow: dataflow.id(),
                name: dataflow.prepare.name.clone(),
                node: node.clone(),
                machine: machine.clone(),
                state,
                restarts,
            })
        };
        dataflows.flat_map(of).collect()
    }

    /// The coordinator and its daemons.
    pub(super) fn status(&self, now: Duration) -> Status {
        let runs = |machine: &MachineId| {
            let nodes = self.live.values().flat_map(|it| self.node_states(it));
            nodes
                .filter(|(_, on, state, _)| *on == machine && *state == NodeState::Running)
                .count()
        };
        let daemons = self.machines.iter().map(|(machine, known)| DaemonSummary {
            machine: machine.clone(),
            epoch: known.epoch,
            info: known.info.clone(),
            reach: known.reach(),
            silent: now.saturating_sub(known.heard),
            nodes: runs(machine),
        });
        Status {
            coordinator: self.epoch,
            uptime: now,
            daemons: daemons.collect(),
            dataflows: self.live.len(),
        }
    }

    /// Which daemons can be asked about a dataflow, also one that is over.
    pub(super) fn locate(&self, target: &Target) -> Result<Located, TargetError> {
        let id = match self.target(target) {
            Err(TargetError::Over { dataflow, .. }) => dataflow,
            other => other?,
        };
        let mut located = Located {
            dataflow: id,
            name: None,
            machines: BTreeMap::new(),
            unreachable: Vec::new(),
        };
        let mut places: BTreeMap<MachineId, Vec<NodeId>> = BTreeMap::new();
        if let Some(dataflow) = self.live.get(&id) {
            located.name.clone_from(&dataflow.prepare.name);
            for (machine, share) in &dataflow.shares {
                places.insert(machine.clone(), share.nodes.clone());
            }
        } else if let Some(record) = self.ledger.get(id) {
            located.name.clone_from(&record.ended.name);
            for machine in &record.ended.machines {
                let rows = record.ended.rows.iter();
                let nodes = rows.filter(|row| row.machine == *machine);
                places.insert(machine.clone(), nodes.map(|row| row.node.clone()).collect());
            }
        }
        for (machine, nodes) in places {
            // Log lines are on the machine's disk, whichever life of the daemon wrote them.
            match self.machines.get(&machine).filter(|known| !known.lost) {
                Some(known) => {
                    located.machines.insert(machine, (known.epoch, nodes));
                }
                None => located.unreachable.push(machine),
            }
        }
        Ok(located)
    }

    /// The outputs of dataflows that run.
    pub(super) fn topics(&self, targets: &[DataflowId]) -> Vec<TopicSummary> {
        let dataflows = targets.iter().filter_map(|id| self.live.get(id));
        dataflows.flat_map(topics_of).collect()
    }
}

fn topics_of(dataflow: &Dataflow) -> Vec<TopicSummary> {
    let prepare = &dataflow.prepare;
    let mut topics = Vec::new();
    for node in &prepare.descriptor.nodes {
        let machine = prepare.placement.of(&node.id);
        let Some((machine, share)) = machine.and_then(|it| Some((it, dataflow.shares.get(it)?)))
        else {
            continue;
        };
        let over = share
            .status
            .as_ref()
            .map(|it| &it.stage)
            .is_some_and(Stage::is_ended);
        if over || share.gone {
            continue;
        }
        for output in declared_outputs(node, dataflow.kinds.get(&node.id)) {
            topics.push(TopicSummary {
                dataflow: dataflow.id(),
                name: prepare.name.clone(),
                machine: machine.clone(),
                epoch: share.epoch,
                node: node.id.clone(),
                readers: readers(dataflow, &node.id, &output.name),
                output: output.name,
                data_type: output.data_type,
            });
        }
    }
    topics
}

fn readers(dataflow: &Dataflow, sender: &NodeId, output: &str) -> Vec<TopicReader> {
    let prepare = &dataflow.prepare;
    let mut readers = Vec::new();
    for node in &prepare.descriptor.nodes {
        for (input, spec) in &node.inputs {
            let reads = matches!(&spec.source, Source::Output { node, output: name }
                if node == sender && name.as_str() == output);
            let machine = prepare.placement.of(&node.id);
            if let Some(machine) = machine.filter(|_| reads) {
                readers.push(TopicReader {
                    node: node.id.clone(),
                    input: input.to_string(),
                    machine: machine.clone(),
                });
            }
        }
    }
    readers
}
