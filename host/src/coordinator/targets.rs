//! Which dataflow a user means. Changes nothing.

use super::dataflow::Dataflow;
use super::ledger::Standing;
use super::state::State;
use crate::control::{Target, TargetError};
use crate::ids::DataflowId;

impl State {
    /// Whether anything is known of a dataflow.
    pub(super) fn knows(&self, id: DataflowId) -> bool {
        let follows = |it: &Dataflow| {
            let then = it.then.as_ref();
            then.is_some_and(|then| then.dataflow == id)
        };
        self.live.contains_key(&id)
            || self.ledger.get(id).is_some()
            || self.clients.has_refused(id)
            || self.live.values().any(follows)
    }

    /// The dataflow that a target names: one that runs, or is being ended.
    pub(super) fn target(&self, target: &Target) -> Result<DataflowId, TargetError> {
        let several = |ids: &[DataflowId]| TargetError::Several {
            among: ids.iter().map(|id| self.label(*id)).collect(),
        };
        match target {
            Target::Only => match self.live.keys().copied().collect::<Vec<_>>().as_slice() {
                [] => Err(TargetError::NoneRuns),
                [only] => Ok(*only),
                ids => Err(several(ids)),
            },
            Target::Id(id) if self.live.contains_key(id) => Ok(*id),
            Target::Id(id) => match self.ledger.get(*id) {
                Some(record) if !record.is_over() => Ok(*id),
                Some(_) => Err(self.over(target, *id)),
                None => Err(self.unknown(id.to_string())),
            },
            Target::Name(name) => match self.named(name).collect::<Vec<_>>().as_slice() {
                [only] => Ok(*only),
                [] => {
                    let mut records = self.ledger.shown().rev();
                    let found = records.find(|it| it.ended.name.as_ref() == Some(name));
                    match found.map(|record| (record.ended.dataflow, record.is_over())) {
                        Some((id, true)) => Err(self.over(target, id)),
                        Some((id, false)) => Ok(id),
                        None => Err(self.unknown(name.clone())),
                    }
                }
                ids => Err(TargetError::Several {
                    among: ids.iter().map(DataflowId::to_string).collect(),
                }),
            },
        }
    }

    /// The dataflow of a target, or all that run.
    pub(super) fn targets(&self, target: Option<&Target>) -> Result<Vec<DataflowId>, TargetError> {
        match target {
            Some(target) => Ok(vec![self.target(target)?]),
            None => Ok(self.live.keys().copied().collect()),
        }
    }

    /// Whether it ran under a coordinator before this one, and nobody has told of it since.
    pub(super) fn is_missing(&self, id: DataflowId) -> bool {
        let record = self.ledger.get(id);
        let runs = record.is_some_and(|record| record.standing == Standing::Runs);
        runs && !self.live.contains_key(&id)
    }

    /// The name of a dataflow that runs or has run.
    pub(super) fn name_of(&self, id: DataflowId) -> Option<String> {
        if let Some(dataflow) = self.live.get(&id) {
            return dataflow.prepare.name.clone();
        }
        self.ledger.get(id)?.ended.name.clone()
    }

    /// How many nodes it has or had.
    pub(super) fn nodes_of(&self, id: DataflowId) -> usize {
        match (self.live.get(&id), self.ledger.get(id)) {
            (Some(dataflow), _) => dataflow.prepare.descriptor.nodes.len(),
            (None, Some(record)) => record.ended.rows.len(),
            (None, None) => 0,
        }
    }

    fn label(&self, id: DataflowId) -> String {
        let name = self.live.get(&id).and_then(|it| it.prepare.name.clone());
        name.unwrap_or_else(|| id.to_string())
    }

    pub(super) fn unknown(&self, target: String) -> TargetError {
        TargetError::Unknown {
            target,
            running: self.live.keys().map(|id| self.label(*id)).collect(),
        }
    }

    pub(super) fn over(&self, target: &Target, dataflow: DataflowId) -> TargetError {
        let target = match target {
            Target::Name(name) => name.clone(),
            Target::Only | Target::Id(_) => dataflow.to_string(),
        };
        TargetError::Over { target, dataflow }
    }
}
