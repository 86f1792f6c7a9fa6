//! The beginning of a dataflow: its name, its machines. Pure.

use super::dataflow::Dataflow;
use super::event::{Action, Note};
use super::placement::{Candidate, place};
use super::state::{MAX_LIVE, State};
use crate::control::{Epoch, Placement, Prepare, Start, StartError, check_dataflow_name};
use crate::ids::{DataflowId, MachineId};
use std::collections::BTreeMap;
use std::time::Duration;

impl State {
    /// Begins a dataflow, or remembers why not.
    pub(super) fn begin(&mut self, start: Start, now: Duration, out: &mut Vec<Action>) {
        let id = start.dataflow;
        match self.prepare(start) {
            Ok(prepare) => {
                self.live
                    .insert(id, Dataflow::new(prepare, now, &self.timing));
                out.push(Action::Note(Note::Starting(id)));
            }
            Err(error) => {
                out.push(Action::Note(Note::NotStarted(id, error.clone())));
                self.clients.refuse(id, error);
            }
        }
    }

    fn prepare(&self, start: Start) -> Result<Box<Prepare>, StartError> {
        if self.ending.is_some() {
            return Err(StartError::CoordinatorEnds);
        }
        if let Some(name) = &start.name {
            check_dataflow_name(name).map_err(StartError::InvalidName)?;
            if let Some(by) = self.named(name).next() {
                return Err(StartError::NameTaken {
                    name: name.clone(),
                    by,
                });
            }
        }
        if self.live.len() >= MAX_LIVE {
            return Err(StartError::TooMany { limit: MAX_LIVE });
        }
        Ok(Box::new(Prepare {
            dataflow: start.dataflow,
            name: start.name,
            placement: self.placement(&start.descriptor)?,
            descriptor: start.descriptor,
            folder: start.folder,
            env: start.env,
            again: None,
        }))
    }

    /// Running dataflows of this name: one, unless a coordinator before this one has started another.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = DataflowId> {
        let has = move |it: &&Dataflow| it.prepare.name.as_deref() == Some(name);
        self.live.values().filter(has).map(Dataflow::id)
    }

    fn placement(
        &self,
        descriptor: &crate::descriptor::Descriptor,
    ) -> Result<Placement, StartError> {
        let there = self.machines.iter();
        let there = there.filter(|(_, known)| !known.lost && !known.ends);
        let candidates: Vec<Candidate<'_>> = there
            .map(|(machine, known)| Candidate {
                machine,
                labels: &known.info.labels,
            })
            .collect();
        let nodes = place(descriptor, &candidates).map_err(|errors| StartError::NotPlaced {
            file: descriptor.file.clone(),
            errors,
        })?;
        let machines: BTreeMap<MachineId, Epoch> = nodes
            .values()
            .filter_map(|machine| Some((machine.clone(), self.machines.get(machine)?.epoch)))
            .collect();
        Ok(Placement { nodes, machines })
    }
}
