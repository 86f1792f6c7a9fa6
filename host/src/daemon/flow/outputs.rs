//! Outputs that nodes of other machines read.
//!
//! Invariant: an output is published once, however many read it. One that makes its sender wait has a thread of its
//! own, so that nothing else waits with it.

use super::exit::Exit;
use super::losses::Losses;
use super::{Context, FlowError};
use crate::control::{MissingPeer, RemoteEdges, RemoteOutput};
use crate::descriptor::QueuePolicy;
use crate::engine::Dataflow;
use crate::ids::MachineId;
use crate::link::{DataKey, OutputSpec, Sender};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often those that are missing are told.
const ROUND: Duration = Duration::from_millis(500);

/// The outputs and the threads that publish them.
pub(super) struct Outputs {
    all: Vec<(RemoteOutput, Arc<Exit>)>,
    senders: Vec<Sender>,
}

impl Outputs {
    /// Attaches the outputs to the dataflow, which must not have begun.
    pub fn attach(
        context: &Context,
        edges: &RemoteEdges,
        dataflow: &Dataflow,
    ) -> Result<Self, FlowError> {
        let mut outputs = Self {
            all: Vec::new(),
            senders: Vec::new(),
        };
        let shared = Sender::new("dora-out").map_err(FlowError::Thread)?;
        for edge in &edges.outputs {
            let exit = match edge.readers.iter().any(|reader| waits(reader.policy)) {
                true => {
                    let sender = Sender::new("dora-out-wait").map_err(FlowError::Thread)?;
                    let exit = exit(context, &sender, edge)?;
                    outputs.senders.push(sender);
                    exit
                }
                false => exit(context, &shared, edge)?,
            };
            let exit = Arc::new(exit);
            if !dataflow.attach(&edge.node, &edge.output, readers(edge), exit.clone()) {
                return Err(FlowError::NoOutput {
                    node: edge.node.clone(),
                    output: edge.output.clone(),
                });
            }
            outputs.all.push((edge.clone(), exit));
        }
        outputs.senders.push(shared);
        Ok(outputs)
    }

    /// The thread for what need not wait.
    pub fn sender(&self) -> Option<&Sender> {
        self.senders.last()
    }

    /// Looks for all readers until they have answered or the deadline is over, tells in between which are missing, and
    /// says which still are.
    pub async fn find_readers(
        &self,
        deadline: Duration,
        tell: mpsc::Sender<Vec<MissingPeer>>,
    ) -> Vec<MissingPeer> {
        let until = Instant::now() + deadline;
        let mut looks = JoinSet::new();
        // One round of news of every output has room.
        let (found, mut rounds) = mpsc::channel(self.all.len().max(1));
        for (index, (_, exit)) in self.all.iter().enumerate() {
            looks.spawn(look(index, exit.clone(), until, found.clone()));
        }
        drop(found);
        let unknown = |(index, (edge, _)): (usize, &(RemoteOutput, Arc<Exit>))| {
            let machines = edge.readers.iter().map(|reader| reader.machine.clone());
            (index, machines.collect::<Vec<_>>())
        };
        let mut missing: BTreeMap<usize, Vec<MachineId>> =
            self.all.iter().enumerate().map(unknown).collect();
        while let Some((index, machines)) = rounds.recv().await {
            match machines.is_empty() {
                true => missing.remove(&index),
                false => missing.insert(index, machines),
            };
            if missing.is_empty() {
                break;
            }
            // Whoever is slow to hear of it hears of the next round.
            let _ = tell.try_send(self.peers(&missing));
        }
        self.peers(&missing)
    }

    fn peers(&self, missing: &BTreeMap<usize, Vec<MachineId>>) -> Vec<MissingPeer> {
        let of_output = |(index, machines): (&usize, &Vec<MachineId>)| {
            let edge = self.all.get(*index).map(|(edge, _)| edge)?;
            let readers = edge.readers.iter();
            let missing = readers.filter(|reader| machines.contains(&reader.machine));
            let peer = |reader: &crate::control::RemoteReader| MissingPeer {
                node: edge.node.clone(),
                output: edge.output.clone(),
                machine: reader.machine.clone(),
                reader: reader.node.clone(),
                input: reader.input.clone(),
            };
            Some(missing.map(peer).collect::<Vec<_>>())
        };
        missing.iter().filter_map(of_output).flatten().collect()
    }

    /// A machine is gone: senders do not wait for it any more.
    pub fn forget(&self, machine: &MachineId) {
        for (edge, exit) in &self.all {
            if edge.readers.iter().any(|reader| reader.machine == *machine) {
                exit.forget(machine);
            }
        }
    }

    /// Publishes what waits, and the end, as far as that takes no longer than the deadline.
    pub async fn end(self, deadline: Duration) {
        let until = Instant::now() + deadline;
        for (_, exit) in &self.all {
            exit.end();
        }
        drop(self.all);
        for sender in self.senders {
            // What is not sent by then goes out as long as the process lives.
            let left = until.saturating_duration_since(Instant::now());
            sender.finish(left).await;
        }
    }
}

/// Looks for the readers of one output, round by round.
async fn look(
    index: usize,
    exit: Arc<Exit>,
    until: Instant,
    found: mpsc::Sender<(usize, Vec<MachineId>)>,
) {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let missing = exit.missing(left.min(ROUND)).await;
        let done = missing.is_empty() || left.is_zero();
        if found.send((index, missing)).await.is_err() || done {
            return;
        }
    }
}

fn waits(policy: QueuePolicy) -> bool {
    policy == QueuePolicy::Backpressure
}

fn exit(context: &Context, sender: &Sender, edge: &RemoteOutput) -> Result<Exit, FlowError> {
    let losses = Arc::new(Losses::new(context.log.clone(), edge.node.clone()));
    let mut machines: BTreeMap<MachineId, bool> = BTreeMap::new();
    for reader in &edge.readers {
        *machines.entry(reader.machine.clone()).or_default() |= waits(reader.policy);
    }
    let largest = edge.readers.iter().map(|reader| reader.queue_size).max();
    let (failed, name) = (losses.clone(), edge.output.clone());
    let output = context.link.output(
        sender,
        OutputSpec {
            key: DataKey::output(&context.machine, context.id, &edge.node, &edge.output),
            readers: machines,
            capacity: largest.unwrap_or(1),
            failed: Box::new(move |reason| {
                failed.count(1, &format!("of output `{name}` not sent: {reason}"))
            }),
        },
    )?;
    Ok(Exit::new(output, &edge.output, losses))
}

/// Who reads, for messages.
fn readers(edge: &RemoteOutput) -> Arc<str> {
    let one = |reader: &crate::control::RemoteReader| {
        format!(
            "input `{}/{}` on machine `{}`",
            reader.node, reader.input, reader.machine
        )
    };
    let waited: Vec<_> = edge
        .readers
        .iter()
        .filter(|reader| waits(reader.policy))
        .collect();
    match waited.as_slice() {
        [] => edge.readers.first().map(one).unwrap_or_default().into(),
        [only] => one(only).into(),
        [first, others @ ..] => format!("{} or {} others", one(first), others.len()).into(),
    }
}
