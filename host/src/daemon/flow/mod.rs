//! A dataflow's nodes on this machine, with their connections to other machines, on a thread of their own.
//!
//! Invariant: once begun it ends with exactly one [`Local::Over`], and whatever it does holds up neither the daemon nor
//! another dataflow. Orders are obeyed in their order. Absent: what is decided (`share`).

mod exit;
mod inputs;
mod live;
mod log_lines;
mod losses;
mod outputs;

use super::check::Checked;
use super::event::Local;
use super::inbox::In;
use crate::control::{Epoch, NodeEnd, NodeRow, RemoteEdges};
use crate::engine::{Probe, StartError};
use crate::ids::{DataflowId, MachineId, NodeId, PortName};
use crate::link::{DataKey, Link, LinkError};
use crate::local::DataflowLog;
use crate::logs::LogHub;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// Orders that wait.
const ORDERS: usize = 64;

/// What a dataflow is told.
#[derive(Debug)]
pub(super) enum FlowOrder {
    Go,
    Stop {
        grace: Duration,
    },
    Abandon,
    /// These inputs' senders are gone.
    CloseInputs(Vec<(NodeId, PortName)>),
    /// This machine is not heard of any more.
    PeerLost(MachineId),
    /// The share of this machine has begun again, in this life of its daemon: these connections are made anew.
    Again {
        machine: MachineId,
        life: Epoch,
        edges: RemoteEdges,
    },
}

/// What a dataflow tells.
pub(super) enum FlowNews {
    /// Its outputs can be looked at.
    Probe(Probe),
    /// For the state machine.
    Local(Local),
}

/// Everything that a dataflow needs to live.
pub(super) struct FlowSpec {
    pub id: DataflowId,
    /// The life of this daemon, when the nodes here begin again in it.
    pub life: Option<Epoch>,
    pub machine: MachineId,
    pub checked: Box<Checked>,
    pub edges: RemoteEdges,
    pub link: Link,
    pub hub: LogHub,
    /// How long readers elsewhere are looked for.
    pub search: Duration,
}

/// A dataflow that runs. Dropping it ends the dataflow at once.
#[derive(Debug)]
pub(super) struct Flow {
    orders: mpsc::Sender<FlowOrder>,
}

impl Flow {
    /// Begins: makes the nodes and their connections, lets nothing go.
    ///
    /// # Errors
    /// The system gives no thread: the dataflow is over.
    pub fn begin(spec: FlowSpec, inbox: mpsc::Sender<In>) -> Result<Self, Local> {
        let (orders, receiver) = mpsc::channel(ORDERS);
        let nodes: Vec<NodeId> = spec
            .checked
            .nodes
            .iter()
            .map(|node| node.id.clone())
            .collect();
        let machine = spec.machine.clone();
        let teller = Teller { id: spec.id, inbox };
        let thread = std::thread::Builder::new().name("dora-flow".into());
        match thread.spawn(move || live::run(spec, receiver, &teller)) {
            Ok(_) => Ok(Self { orders }),
            Err(error) => Err(not_made(nodes, &machine, &FlowError::Thread(error))),
        }
    }

    /// Gives an order. Within a runtime; does not wait.
    pub fn order(&self, order: FlowOrder) {
        if let Err(mpsc::error::TrySendError::Full(order)) = self.orders.try_send(order) {
            let orders = self.orders.clone();
            // A dataflow that is over takes no orders, which is as well.
            tokio::spawn(async move { orders.send(order).await });
        }
    }
}

/// How a dataflow tells.
struct Teller {
    id: DataflowId,
    inbox: mpsc::Sender<In>,
}

impl Teller {
    async fn tell(&self, news: FlowNews) {
        // A daemon that has ended wants to hear nothing more.
        let _ = self.inbox.send(In::Flow(self.id, news)).await;
    }

    async fn local(&self, local: Local) {
        self.tell(FlowNews::Local(local)).await;
    }
}

/// What every part of a dataflow needs.
struct Context {
    id: DataflowId,
    machine: MachineId,
    /// The life that the connections are named after which are made first.
    life: Option<Epoch>,
    link: Link,
    hub: LogHub,
    log: DataflowLog,
}

impl Context {
    /// An output of a node on a machine, as of this life of a daemon whose nodes have begun again.
    fn key(
        &self,
        machine: &MachineId,
        node: &NodeId,
        output: &PortName,
        life: Option<Epoch>,
    ) -> DataKey {
        let key = DataKey::output(machine, self.id, node, output);
        match life {
            Some(life) => key.again(life),
            None => key,
        }
    }
}

/// Why a dataflow's nodes cannot be made at all.
#[derive(Debug, thiserror::Error)]
enum FlowError {
    #[error("the daemon has no thread for the dataflow: {0}")]
    Thread(io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(
        "the plugin of node `{node}` has no output `{output}`, which is read on another machine"
    )]
    NoOutput { node: NodeId, output: PortName },
}

/// Ends a dataflow that has not begun.
fn not_made(nodes: Vec<NodeId>, machine: &MachineId, reason: &FlowError) -> Local {
    let row = |node| {
        let text = reason.to_string();
        NodeRow::bare(node, machine.clone(), NodeEnd::NotMade { text })
    };
    Local::Over {
        rows: nodes.into_iter().map(row).collect(),
        took: Duration::ZERO,
    }
}
