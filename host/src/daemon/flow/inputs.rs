//! Inputs that read nodes of other machines.
//!
//! Invariant: an output of another machine is read once, however many inputs here read it; what is lost on the way is
//! counted at each of them. Absent: queues (`engine`) and the way (`link`).

use super::losses::Losses;
use super::{Context, FlowError};
use crate::control::{Epoch, RemoteEdges, RemoteInput as Edge};
use crate::descriptor::QueuePolicy;
use crate::engine::{RemoteInput, Taken};
use crate::ids::{MachineId, NodeId, PortName};
use crate::link::{Arrived, DataKey, Reader, ReaderSpec};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The inputs, which are read while this lives.
#[derive(Default)]
pub(super) struct Inputs {
    all: BTreeMap<(NodeId, PortName), RemoteInput>,
    /// With the machines that send.
    readers: RefCell<Vec<(MachineId, Reader)>>,
    losses: RefCell<Vec<Arc<Losses>>>,
}

impl Inputs {
    /// Subscribes to all outputs that are read.
    pub fn read(
        context: &Context,
        edges: &RemoteEdges,
        inputs: Vec<RemoteInput>,
    ) -> Result<Self, FlowError> {
        let named = inputs.into_iter();
        let read = Self {
            all: named
                .map(|input| ((input.node.clone(), input.input.clone()), input))
                .collect(),
            ..Self::default()
        };
        read.add_all(context, edges, context.life)?;
        Ok(read)
    }

    /// The nodes of a machine have begun again in this life of its daemon: reads those there anew.
    pub fn again(
        &self,
        context: &Context,
        machine: &MachineId,
        edges: &RemoteEdges,
        life: Epoch,
    ) -> Result<(), FlowError> {
        self.readers.borrow_mut().retain(|(of, _)| of != machine);
        self.add_all(context, edges, Some(life))
    }

    fn add_all(
        &self,
        context: &Context,
        edges: &RemoteEdges,
        life: Option<Epoch>,
    ) -> Result<(), FlowError> {
        let mut sources: BTreeMap<_, Vec<&Edge>> = BTreeMap::new();
        for edge in &edges.inputs {
            let source = (&edge.machine, &edge.sender, &edge.output);
            sources.entry(source).or_default().push(edge);
        }
        for ((machine, sender, output), edges) in sources {
            let key = context.key(machine, sender, output, life);
            self.add(context, key, (machine, sender, output), &edges)?;
        }
        Ok(())
    }

    fn add(
        &self,
        context: &Context,
        key: DataKey,
        (machine, sender, output): (&MachineId, &NodeId, &PortName),
        edges: &[&Edge],
    ) -> Result<(), FlowError> {
        let of = |edge: &&Edge| {
            let input = self.all.get(&(edge.node.clone(), edge.input.clone()));
            Some((input?.clone(), edge.policy, edge.queue_size))
        };
        let inputs: Vec<_> = edges.iter().filter_map(of).collect();
        let waited = |(_, policy, _): &&(RemoteInput, QueuePolicy, usize)| {
            *policy == QueuePolicy::Backpressure
        };
        let spec = ReaderSpec {
            key,
            machine: context.machine.clone(),
            from_start: true,
            credits: inputs.iter().filter(waited).map(|it| it.2).collect(),
        };
        let mut feeds = Vec::new();
        for (input, ..) in &inputs {
            let losses = Arc::new(Losses::new(context.log.clone(), input.node.clone()));
            self.losses.borrow_mut().push(losses.clone());
            feeds.push(Feed {
                from: format!("of `{sender}/{output}` on machine `{machine}`"),
                input: input.clone(),
                losses,
            });
        }
        let reader = context
            .link
            .read(&spec, move |arrived| hand_on(&feeds, arrived))?;
        if let Some(credits) = reader.credits() {
            for (number, (input, ..)) in inputs.iter().filter(waited).enumerate() {
                let credits = credits.clone();
                // Before the first message is taken: nodes have not been let go, or there is nobody who sends.
                input.on_taken(Arc::new(move |taken| match taken {
                    Taken::Messages(messages) => credits.taken(number, messages),
                    Taken::Closed => credits.closed(number),
                }));
            }
        }
        let reader = (machine.clone(), reader);
        self.readers.borrow_mut().push(reader);
        Ok(())
    }

    /// Makes the readers known again.
    pub fn renew(&self) {
        for (_, reader) in &*self.readers.borrow() {
            // Where the network is closed nothing comes anyway.
            let _ = reader.renew();
        }
    }

    /// The sender is gone: closes an input after what is in it.
    pub fn close(&self, node: NodeId, input: PortName) {
        if let Some(input) = self.all.get(&(node, input)) {
            input.close();
        }
    }

    /// Reads no more, and says what was lost.
    pub fn end(self) {
        drop(self.readers);
        self.losses
            .borrow()
            .iter()
            .for_each(|losses| losses.flush());
    }
}

/// One of the inputs that read an output.
struct Feed {
    input: RemoteInput,
    /// `of a/out on machine A`
    from: String,
    losses: Arc<Losses>,
}

/// On the link's threads.
fn hand_on(feeds: &[Feed], arrived: Arrived) {
    match arrived {
        Arrived::Message(message) => {
            let Some((last, others)) = feeds.split_last() else {
                return;
            };
            for feed in others {
                feed.input.push(message.clone());
            }
            last.input.push(message);
        }
        Arrived::Lost(messages) => feeds.iter().for_each(|feed| {
            let text = format!(
                "{} lost on the way to input `{}`",
                feed.from, feed.input.input
            );
            feed.lose(messages, &text);
        }),
        Arrived::Broken(reason) => feeds.iter().for_each(|feed| {
            let text = format!("{} not readable: {reason}", feed.from);
            feed.lose(1, &text);
        }),
        Arrived::Ended => feeds.iter().for_each(|feed| feed.input.close()),
    }
}

impl Feed {
    fn lose(&self, messages: u64, text: &str) {
        self.input.lost(messages);
        self.losses.count(messages, text);
    }
}
