//! Outputs that nodes of other machines read.
//!
//! Invariant: an output is published once, however many read it. One that makes its sender wait has a thread of its
//! own, so that nothing else waits with it.

use super::exit::Exit;
use super::losses::Losses;
use super::{Context, FlowError};
use crate::control::{Epoch, MissingPeer, RemoteEdges, RemoteOutput};
use crate::descriptor::QueuePolicy;
use crate::engine::{Dataflow, Probe};
use crate::ids::MachineId;
use crate::link::{OutputSpec, Sender};
use crate::local::DataflowLog;
use crate::logs::Level;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often those that are missing are told.
const ROUND: Duration = Duration::from_millis(500);
/// How long nodes that begin again may take to be made.
const JOINING: Duration = Duration::from_secs(60);

/// The outputs and the threads that publish them.
pub(super) struct Outputs {
    all: RefCell<Vec<(RemoteOutput, Arc<Exit>)>>,
    senders: RefCell<Vec<Sender>>,
    /// The thread for what need not wait.
    shared: Sender,
}

impl Outputs {
    /// Attaches the outputs to the dataflow, which must not have begun.
    pub fn attach(
        context: &Context,
        edges: &RemoteEdges,
        dataflow: &Dataflow,
    ) -> Result<Self, FlowError> {
        let outputs = Self {
            all: RefCell::default(),
            senders: RefCell::default(),
            shared: Sender::new("dora-out").map_err(FlowError::Thread)?,
        };
        for edge in &edges.outputs {
            let exit = outputs.exit(context, edge, context.life)?;
            if !dataflow.attach(&edge.node, &edge.output, readers(edge), exit.clone()) {
                return Err(FlowError::NoOutput {
                    node: edge.node.clone(),
                    output: edge.output.clone(),
                });
            }
        }
        Ok(outputs)
    }

    /// The nodes of a machine have begun again in this life of its daemon: outputs for those that read there, which are to
    /// be attached when these are found.
    pub fn again(
        &self,
        context: &Context,
        machine: &MachineId,
        edges: &RemoteEdges,
        life: Epoch,
    ) -> Result<Vec<Joining>, FlowError> {
        for (edge, exit) in &*self.all.borrow() {
            let mut elsewhere = edge.readers.iter().filter(|it| it.machine != *machine);
            exit.forget(machine);
            if elsewhere.next().is_none() {
                exit.silence();
            }
        }
        let joining = |edge: &RemoteOutput| -> Result<Joining, FlowError> {
            let exit = self.exit(context, edge, Some(life))?;
            Ok(Joining(edge.clone(), exit))
        };
        edges.outputs.iter().map(joining).collect()
    }

    /// The way of an output, which is ended with the others.
    fn exit(
        &self,
        context: &Context,
        edge: &RemoteOutput,
        life: Option<Epoch>,
    ) -> Result<Arc<Exit>, FlowError> {
        let exit = match edge.readers.iter().any(|reader| waits(reader.policy)) {
            true => {
                let sender = Sender::new("dora-out-wait").map_err(FlowError::Thread)?;
                let exit = exit(context, &sender, edge, life)?;
                self.senders.borrow_mut().push(sender);
                exit
            }
            false => exit(context, &self.shared, edge, life)?,
        };
        let exit = Arc::new(exit);
        self.all.borrow_mut().push((edge.clone(), exit.clone()));
        Ok(exit)
    }

    /// The thread for what need not wait.
    pub fn sender(&self) -> &Sender {
        &self.shared
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
        let (found, mut rounds) = mpsc::channel(self.all.borrow().len().max(1));
        for (index, (_, exit)) in self.all.borrow().iter().enumerate() {
            looks.spawn(look(index, exit.clone(), until, found.clone()));
        }
        drop(found);
        let unknown = |(index, (edge, _)): (usize, &(RemoteOutput, Arc<Exit>))| {
            let machines = edge.readers.iter().map(|reader| reader.machine.clone());
            (index, machines.collect::<Vec<_>>())
        };
        let mut missing: BTreeMap<usize, Vec<MachineId>> =
            self.all.borrow().iter().enumerate().map(unknown).collect();
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
        let all = self.all.borrow();
        let of_output = |(index, machines): (&usize, &Vec<MachineId>)| {
            let edge = all.get(*index).map(|(edge, _)| edge)?;
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
        for (edge, exit) in &*self.all.borrow() {
            if edge.readers.iter().any(|reader| reader.machine == *machine) {
                exit.forget(machine);
            }
        }
    }

    /// Publishes what waits, and the end, as far as that takes no longer than the deadline.
    pub async fn end(self, deadline: Duration) {
        let until = Instant::now() + deadline;
        for (_, exit) in &*self.all.borrow() {
            exit.end();
        }
        // They hear what the readers have got until all is over.
        let _all = self.all;
        for sender in self.senders.into_inner().into_iter().chain([self.shared]) {
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

/// An output whose readers have begun again, until they are found.
pub(super) struct Joining(RemoteOutput, Arc<Exit>);

impl Joining {
    /// Looks for the readers, and lets them have what is sent from then on.
    pub async fn join(self, probe: Probe, log: DataflowLog) {
        let Self(edge, exit) = self;
        if exit.missing(JOINING).await.is_empty() {
            // An output that has ended meanwhile is closed for them by that.
            probe.attach(&edge.node, &edge.output, readers(&edge), exit);
            return;
        }
        let outlived = exit.is_silent();
        exit.end();
        if outlived {
            // They have begun once more, and are looked for by that name.
            return;
        }
        let text = format!(
            "output `{}`: {} does not answer in its new life, and gets nothing",
            edge.output,
            readers(&edge)
        );
        log.say(Level::Warn, Some(&edge.node), text);
    }
}

fn waits(policy: QueuePolicy) -> bool {
    policy == QueuePolicy::Backpressure
}

fn exit(
    context: &Context,
    sender: &Sender,
    edge: &RemoteOutput,
    life: Option<Epoch>,
) -> Result<Exit, FlowError> {
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
            key: context.key(&context.machine, &edge.node, &edge.output, life),
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
