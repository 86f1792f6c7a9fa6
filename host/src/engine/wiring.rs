//! From a plan to mailboxes and routes: who can reach whom.
//!
//! Invariant: the numbers of seats and slots are those that the plan's order gives, here and where seats are made.
//! Absent: threads.

use super::clock::Clock;
use super::inline;
use super::mailbox::{Mailbox, Slot};
use super::plan::{From, Plan, PlannedCode, PlannedInput, PlannedNode};
use super::remote::RemoteInput;
use super::route::{Reader, Route, Target};
use super::state::NodeSpec;
use super::timers::Timer;
use crate::descriptor::Source;
use crate::ids::{NodeId, PortName};
use plugin_abi::message::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Everything that messages of one dataflow go through.
pub(super) struct Wiring {
    /// One per thread.
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
    /// The threads' numbers, unique in the process.
    pub(super) workers: Vec<u64>,
    /// Per node and output.
    pub(super) routes: Vec<Vec<Arc<Route>>>,
    /// One per period.
    pub(super) timers: Vec<Timer>,
    /// Inputs that read log lines.
    pub(super) log_inputs: Vec<LogInput>,
    /// Outputs that send them.
    pub(super) log_outputs: Vec<LogOutput>,
    /// Inputs that are fed from outside the process.
    pub(super) remote_inputs: Vec<RemoteInput>,
}

/// An output on which a node's log lines are sent, which the engine does not make.
#[derive(Debug, Clone)]
pub struct LogOutput {
    /// The node whose lines they are.
    pub node: NodeId,
    route: Arc<Route>,
    clock: Arc<Clock>,
}

impl LogOutput {
    /// Sends a line as text. The log waits for nobody: a full input drops by its policy, or misses the line.
    pub fn send(&self, line: &str) {
        // Without memory for a line there is nothing better to do than to leave it out.
        if let Ok(message) = Message::from_text(self.clock.now(), line, &[]) {
            self.route.send_unawaited(&message);
        }
    }
}

/// The log outputs of a plan whose routes are known.
fn log_outputs(plan: &Plan, routes: &[Vec<Arc<Route>>], clock: &Arc<Clock>) -> Vec<LogOutput> {
    let of_node = |(node, routes): (&PlannedNode, &Vec<Arc<Route>>)| {
        let name = node.log_output.as_ref()?;
        let index = node
            .outputs
            .iter()
            .position(|output| output.name == *name)?;
        let route = routes.get(index)?.clone();
        Some(LogOutput {
            node: node.id.clone(),
            route,
            clock: clock.clone(),
        })
    };
    plan.nodes.iter().zip(routes).filter_map(of_node).collect()
}

/// An input that reads log lines, which the engine does not make.
#[derive(Debug, Clone)]
pub struct LogInput {
    /// The reading node.
    pub node: NodeId,
    /// Its input.
    pub input: PortName,
    /// Which lines it reads.
    pub source: Source,
    target: Target,
    clock: Arc<Clock>,
}

impl LogInput {
    /// Hands over a line as text. A full queue drops by its policy; one with the policy `backpressure` drops the line,
    /// because the log waits for nobody.
    pub fn push(&self, line: &str) {
        // Without memory for a line there is nothing better to do than to leave it out.
        if let Ok(message) = Message::from_text(self.clock.now(), line, &[]) {
            self.target.mailbox.push_or_miss(self.target.slot, message);
        }
    }
}

/// Readers of every source, as they are found.
#[derive(Default)]
struct Readers {
    outputs: Vec<Vec<Vec<Reader>>>,
    timers: BTreeMap<Duration, Vec<Reader>>,
    logs: Vec<LogInput>,
    remote: Vec<RemoteInput>,
}

impl Wiring {
    /// Wires a plan up.
    pub(super) fn new(plan: &Plan, clock: &Arc<Clock>) -> Self {
        let mailboxes: Vec<_> = (0..plan.workers.len())
            .map(|worker| Arc::new(mailbox(plan, worker)))
            .collect();
        let workers = worker_numbers(plan.workers.len());
        let mut readers = Readers {
            outputs: plan
                .nodes
                .iter()
                .map(|node| vec![Vec::new(); node.outputs.len()])
                .collect(),
            ..Readers::default()
        };
        let mut seats = vec![0_usize; plan.workers.len()];
        for node in &plan.nodes {
            let (Some(mailbox), Some(worker), Some(seat)) = (
                mailboxes.get(node.worker),
                workers.get(node.worker),
                seats.get_mut(node.worker),
            ) else {
                continue;
            };
            for (index, input) in node.inputs.iter().enumerate() {
                let place = inline::Seat {
                    worker: *worker,
                    seat: *seat,
                    input: index as u32,
                };
                readers.add(node, input, mailbox, place, clock);
            }
            *seat += 1;
        }
        let timers = readers.timers.into_iter();
        let outputs = readers.outputs.into_iter();
        let routes: Vec<Vec<_>> = outputs
            .map(|node| node.into_iter().map(|readers| route(readers, plan.held)))
            .map(Iterator::collect)
            .collect();
        Self {
            mailboxes,
            workers,
            log_outputs: log_outputs(plan, &routes, clock),
            routes,
            timers: timers
                .map(|(period, readers)| Timer {
                    period,
                    route: route(readers, false),
                })
                .collect(),
            log_inputs: readers.logs,
            remote_inputs: readers.remote,
        }
    }
}

impl Readers {
    fn add(
        &mut self,
        node: &PlannedNode,
        input: &PlannedInput,
        mailbox: &Arc<Mailbox>,
        place: inline::Seat,
        clock: &Arc<Clock>,
    ) {
        let name = format!("{}/{}", node.id, input.name).into();
        let target = Target {
            mailbox: mailbox.clone(),
            slot: Slot(input.slot),
            name,
            outside: match &node.code {
                PlannedCode::Outside(outside) => Some(outside.clone()),
                PlannedCode::Plugin { .. } => None,
            },
        };
        let reader = |target| {
            if node.inline {
                Reader::Inline(target, place)
            } else {
                Reader::Queue(target)
            }
        };
        match &input.from {
            From::Output { node, output } => {
                if let Some(list) = self
                    .outputs
                    .get_mut(*node)
                    .and_then(|node| node.get_mut(*output))
                {
                    list.push(reader(target));
                }
            }
            From::Remote { .. } => self.remote.extend(RemoteInput::new(node, input, target)),
            From::Own(_) => {}
            From::Timer(period) => self.timers.entry(*period).or_default().push(reader(target)),
            From::Logs(source) => {
                let (node, source, clock) = (node.id.clone(), source.clone(), clock.clone());
                self.logs.push(LogInput {
                    node,
                    input: input.name.clone(),
                    source,
                    target,
                    clock,
                });
            }
        }
    }
}

fn route(readers: Vec<Reader>, held: bool) -> Arc<Route> {
    Arc::new(Route::new(readers, held))
}

fn worker_numbers(count: usize) -> Vec<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    (0..count)
        .map(|_| NEXT.fetch_add(1, Ordering::Relaxed))
        .collect()
}

/// What the state machine needs to know of every node.
pub(super) fn node_specs(plan: &Plan) -> Vec<NodeSpec> {
    let reads = |node: &PlannedNode| {
        let mut inputs = node.inputs.iter();
        inputs.any(|input| {
            matches!(
                input.from,
                From::Output { .. } | From::Remote { .. } | From::Own(true)
            )
        })
    };
    let listens = |node: &PlannedNode| {
        let is_log = |input: &PlannedInput| matches!(input.from, From::Logs(_));
        !node.inputs.is_empty() && node.inputs.iter().all(is_log)
    };
    plan.nodes
        .iter()
        .map(|node| NodeSpec {
            restart: node.restart.clone(),
            reads: reads(node),
            listens: listens(node),
            optional: match &node.code {
                PlannedCode::Outside(outside) => outside.is_optional(),
                PlannedCode::Plugin { .. } => false,
            },
        })
        .collect()
}

fn mailbox(plan: &Plan, worker: usize) -> Mailbox {
    let mine = plan.nodes.iter().filter(|node| node.worker == worker);
    let mut inputs: Vec<_> = mine.flat_map(|node| &node.inputs).collect();
    inputs.sort_by_key(|input| input.slot);
    Mailbox::new(
        inputs
            .into_iter()
            .map(|input| (input.capacity, input.policy)),
    )
}
