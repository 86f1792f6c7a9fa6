//! What stands for the nodes of one daemon: makes, runs and ends them by the daemon's orders, sometimes badly, and fails
//! the test when an order makes no sense.

use crate::random::Random;
use host::control::{MissingPeer, NodeEnd, NodeRow, NodeState, NodeStatus, Prepare};
use host::daemon::{Action, Local};
use host::descriptor::{Problem, Problems, Severity};
use host::ids::{DataflowId, MachineId, NodeId};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How often, in a thousand, something goes wrong with nodes.
#[derive(Clone, Copy)]
pub struct Faults(pub u64);

#[derive(Default)]
pub struct Engine {
    pub runs: BTreeMap<DataflowId, Run>,
}

pub struct Run {
    pub nodes: Vec<NodeId>,
    pub spawned: bool,
    pub went: bool,
    pub over: bool,
    stopped: bool,
}

impl Run {
    /// Whether nodes are there.
    pub fn lives(&self) -> bool {
        self.spawned && !self.over
    }
}

/// What the engine tells its daemon, and after how long.
pub type Later = Vec<(Duration, DataflowId, Local)>;

impl Engine {
    pub fn perform(
        &mut self,
        action: &Action,
        machine: &MachineId,
        random: &mut Random,
        faults: Faults,
    ) -> Later {
        let bad = |random: &mut Random, part: u64| random.permille(faults.0 * part / 10);
        match action {
            Action::Prepare(prepare) => self.prepare(prepare, machine, random, faults),
            Action::Discard(id) => {
                if let Some(run) = self.runs.remove(id) {
                    assert!(!run.spawned, "nodes that were made are discarded");
                }
                Vec::new()
            }
            Action::Spawn { dataflow, .. } => {
                let run = self.runs.get_mut(dataflow).expect("prepared before");
                assert!(!run.spawned, "nodes are made twice");
                run.spawned = true;
                let rows = rows(run, machine, NodeEnd::NotMade { text: "no".into() });
                let (made, linked) = (random.ms(1, 200), random.ms(1, 400));
                match () {
                    () if bad(random, 4) => vec![(made, *dataflow, over(rows))],
                    () if bad(random, 2) => vec![(made, *dataflow, Local::Made)],
                    () if bad(random, 2) => vec![
                        (made, *dataflow, Local::Made),
                        (linked, *dataflow, Local::NotLinked(missing(run))),
                    ],
                    () => vec![
                        (made, *dataflow, Local::Made),
                        (linked / 2, *dataflow, Local::Missing(missing(run))),
                        (linked, *dataflow, Local::Linked),
                    ],
                }
            }
            Action::Go(id) => {
                let run = self.runs.get_mut(id).expect("made before");
                assert!(
                    run.spawned && !run.went,
                    "nodes are let go twice, or before they are made"
                );
                run.went = true;
                let mut later = Vec::new();
                if bad(random, 20)
                    && let Some(node) = run.nodes.first()
                {
                    let state = NodeState::Ended(NodeEnd::Finished);
                    let status = NodeStatus { state, restarts: 0 };
                    let node = node.clone();
                    later.push((random.ms(10, 3000), *id, Local::Node { node, status }));
                }
                if bad(random, 20) {
                    let rows = rows(run, machine, NodeEnd::Finished);
                    later.push((random.ms(1000, 6000), *id, over(rows)));
                }
                later
            }
            Action::Stop { dataflow, grace } => {
                let run = self.runs.get_mut(dataflow).expect("made before");
                assert!(run.spawned, "what was not made is stopped");
                if std::mem::replace(&mut run.stopped, true) {
                    return Vec::new();
                }
                let most = u64::try_from(grace.as_millis()).expect("short") + 1;
                let took = match bad(random, 5) {
                    true => *grace,
                    false => random.ms(0, most.min(300)),
                };
                vec![(took, *dataflow, over(rows(run, machine, NodeEnd::Stopped)))]
            }
            Action::Abandon(id) => {
                let run = self.runs.get_mut(id).expect("made before");
                assert!(run.spawned, "what was not made is abandoned");
                if bad(random, 5) {
                    // Stuck for good; the daemon says so, and nobody counts it as running.
                    run.over = true;
                    return Vec::new();
                }
                vec![(
                    random.ms(0, 20),
                    *id,
                    over(rows(run, machine, NodeEnd::Stuck)),
                )]
            }
            _ => Vec::new(),
        }
    }

    fn prepare(
        &mut self,
        prepare: &Prepare,
        machine: &MachineId,
        random: &mut Random,
        faults: Faults,
    ) -> Later {
        let id = prepare.dataflow;
        let run = Run {
            nodes: prepare.placement.on(machine).cloned().collect(),
            spawned: false,
            went: false,
            over: false,
            stopped: false,
        };
        assert!(!run.nodes.is_empty(), "nothing is placed here");
        assert!(
            self.runs.insert(id, run).is_none(),
            "prepared twice by one daemon"
        );
        let after = random.ms(1, 300);
        let local = match () {
            () if random.permille(faults.0 * 5 / 10) => Local::Refused(refusal()),
            () if random.permille(faults.0 * 2 / 10) => return Vec::new(),
            () => Local::Prepared {
                kinds: BTreeMap::new(),
                warnings: Problems::default(),
            },
        };
        vec![(after, id, local)]
    }

    /// Whether the daemon is to hear of it: nodes end once.
    pub fn tell(&mut self, id: DataflowId, local: &Local) -> bool {
        let run = self.runs.get_mut(&id);
        match (run, local) {
            (Some(run), Local::Over { .. }) => !std::mem::replace(&mut run.over, true),
            (Some(run), Local::Node { .. }) => !run.over,
            _ => true,
        }
    }
}

fn refusal() -> Problems {
    let mut problems = Problems::new(Path::new("d.yml"));
    problems.push(Problem {
        severity: Severity::Error,
        at: None,
        node: None,
        text: "it does not fit".into(),
    });
    problems
}

fn rows(run: &Run, machine: &MachineId, end: NodeEnd) -> Vec<NodeRow> {
    let row = |node: &NodeId| NodeRow::bare(node.clone(), machine.clone(), end.clone());
    run.nodes.iter().map(row).collect()
}

fn over(rows: Vec<NodeRow>) -> Local {
    Local::Over {
        rows,
        took: Duration::from_secs(1),
    }
}

fn missing(run: &Run) -> Vec<MissingPeer> {
    let peer = |node: &NodeId| MissingPeer {
        node: node.clone(),
        output: "out".parse().expect("a port"),
        machine: "Z".parse().expect("a machine"),
        reader: "reader".parse().expect("a node"),
        input: "in".parse().expect("a port"),
    };
    run.nodes.iter().take(1).map(peer).collect()
}
