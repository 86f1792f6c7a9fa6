//! What a coordinator must remember over its own end: which dataflows run, are to end, or are over.
//!
//! Invariant: a dataflow enters before anybody is told that it runs, and its end before the first order to stop it is
//! sent; whatever a daemon says to run of one that is to be over is told to stop. Bounded: the oldest go first. Pure; it is a value that whoever drives the coordinator
//! writes and reads.

use crate::control::{Ended, NodeEnd, ShareEnd, ShareStatus, Stage};
use crate::ids::{DataflowId, MachineId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most dataflows that are remembered.
pub const MAX_RECORDS: usize = 256;

/// How a dataflow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It has been started and nobody has asked for its end.
    Runs,
    /// It is being ended.
    Ending,
    /// It is over.
    Over,
}

/// A dataflow that was started, or failed to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What is known of its end; for one that runs, what will be if nobody hears of it again.
    pub ended: Ended,
    /// How it stands.
    pub standing: Standing,
    /// The user has asked to forget it, but something of it may still run on a machine that was lost.
    pub hidden: bool,
}

/// All that is remembered, by id and thus by the time of the start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    records: BTreeMap<DataflowId, Record>,
}

impl Ledger {
    /// The record of a dataflow.
    pub fn get(&self, dataflow: DataflowId) -> Option<&Record> {
        self.records.get(&dataflow)
    }

    /// All records that the user has not asked to forget, the oldest first.
    pub fn shown(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.values().filter(|record| !record.hidden)
    }

    /// Whether it can have been written by a coordinator: what comes from a disk may be anything.
    pub(super) fn is_sound(&self) -> bool {
        let under_its_id = |(id, record): (&DataflowId, &Record)| *id == record.ended.dataflow;
        self.records.iter().all(under_its_id)
    }

    /// Enters or replaces a record.
    pub(super) fn enter(&mut self, ended: Ended, standing: Standing) {
        let record = Record {
            ended,
            standing,
            hidden: false,
        };
        self.records.insert(record.ended.dataflow, record);
        while self.records.len() > MAX_RECORDS {
            let over = self.records.iter().filter(|(_, record)| record.is_over());
            let first = over.min_by_key(|(id, record)| (record.may_run(), **id));
            match first.map(|(id, _)| *id) {
                Some(id) => self.records.remove(&id),
                // Every one is being ended, of which there are never so many.
                None => return,
            };
        }
    }

    /// No daemon has told of those that stood so when a coordinator before this one ended: they are over. Whether there
    /// were any.
    pub(super) fn close(
        &mut self,
        standing: Standing,
        is_live: impl Fn(DataflowId) -> bool,
    ) -> bool {
        let mut changed = false;
        for (id, record) in &mut self.records {
            if record.standing == standing && !is_live(*id) {
                record.standing = Standing::Over;
                changed = true;
            }
        }
        changed
    }

    /// Somebody asks for the end of one that nobody has told of since a coordinator before this one ended.
    pub(super) fn end(&mut self, dataflow: DataflowId) {
        if let Some(record) = self.records.get_mut(&dataflow) {
            record.standing = Standing::Over;
            record.ended.stopped = true;
        }
    }

    /// A machine that was not reached says how its share ended after all. Whether that is news.
    pub(super) fn learn(&mut self, machine: &MachineId, status: &ShareStatus) -> bool {
        let Some(record) = self.records.get_mut(&status.dataflow) else {
            return false;
        };
        if !status.stage.is_ended() {
            return false;
        }
        let before = record.ended.unreachable.len();
        record.ended.unreachable.retain(|lost| lost != machine);
        let mut changed = record.ended.unreachable.len() != before;
        if let Stage::Ended(ShareEnd::Over { rows, .. }) = &status.stage {
            for row in rows {
                let known = record.ended.rows.iter_mut().find(|it| it.node == row.node);
                if let Some(known) = known.filter(|it| matches!(it.end, NodeEnd::Lost { .. })) {
                    known.clone_from(row);
                    changed = true;
                }
            }
        }
        changed
    }

    /// Forgets what is over; how many those were.
    pub(super) fn clean(&mut self) -> usize {
        let mut cleaned = 0;
        self.records.retain(|_, record| {
            if record.is_over() && !record.hidden {
                cleaned += 1;
                record.hidden = true;
            }
            !record.hidden || record.may_run()
        });
        cleaned
    }
}

impl Record {
    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.standing == Standing::Over
    }

    fn may_run(&self) -> bool {
        !self.ended.unreachable.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::NodeRow;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn ended(dataflow: DataflowId, unreachable: &[&str]) -> Ended {
        let machine = |name: &&str| name.parse().unwrap();
        let lost = |name: &&str| {
            let end = NodeEnd::Lost {
                machine: machine(name),
                why: None,
            };
            NodeRow::bare("n".parse().unwrap(), machine(name), end)
        };
        Ended {
            dataflow,
            name: None,
            started: true,
            stopped: true,
            error: None,
            rows: unreachable.iter().map(lost).collect(),
            took: Duration::ZERO,
            machines: unreachable.iter().map(machine).collect(),
            unreachable: unreachable.iter().map(machine).collect(),
        }
    }

    #[test]
    fn it_is_bounded_and_keeps_longest_what_still_matters() {
        let mut ledger = Ledger::default();
        let (under_way, unreached) = (DataflowId::new(), DataflowId::new());
        ledger.enter(ended(under_way, &[]), Standing::Ending);
        ledger.enter(ended(unreached, &["B"]), Standing::Over);
        for _ in 0..2 * MAX_RECORDS {
            ledger.enter(ended(DataflowId::new(), &[]), Standing::Over);
        }
        assert_eq!(ledger.shown().count(), MAX_RECORDS);
        assert!(ledger.get(under_way).is_some() && ledger.get(unreached).is_some());
    }

    #[test]
    fn what_may_still_run_somewhere_is_hidden_by_clean_not_forgotten() {
        let mut ledger = Ledger::default();
        let (over, unreached, under_way) =
            (DataflowId::new(), DataflowId::new(), DataflowId::new());
        ledger.enter(ended(over, &[]), Standing::Over);
        ledger.enter(ended(unreached, &["B"]), Standing::Over);
        ledger.enter(ended(under_way, &[]), Standing::Ending);
        assert_eq!((ledger.clean(), ledger.clean()), (2, 0));
        assert_eq!(ledger.shown().count(), 1);
        assert!(ledger.get(over).is_none() && ledger.get(unreached).is_some());
    }

    #[test]
    fn a_machine_that_comes_back_completes_the_rows() {
        let mut ledger = Ledger::default();
        let id = DataflowId::new();
        ledger.enter(ended(id, &["B"]), Standing::Over);
        let b: MachineId = "B".parse().unwrap();
        let row = NodeRow::bare("n".parse().unwrap(), b.clone(), NodeEnd::Stopped);
        let status = ShareStatus {
            dataflow: id,
            version: 7,
            stage: Stage::Ended(ShareEnd::Over {
                rows: vec![row],
                took: Duration::ZERO,
            }),
            went: true,
            nodes: BTreeMap::new(),
            ended_senders: BTreeSet::new(),
            lives: BTreeMap::new(),
        };
        assert!(ledger.learn(&b, &status));
        assert!(!ledger.learn(&b, &status));
        let known = &ledger.get(id).unwrap().ended;
        assert_eq!(known.rows[0].end, NodeEnd::Stopped);
        assert!(known.unreachable.is_empty());
    }
}
