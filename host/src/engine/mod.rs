//! The engine: runs one dataflow of plugins in this process.
//!
//! `plan` says what runs, `wiring` who reaches whom, `state` decides, `dataflow` acts, `worker` calls nodes, `mailbox` and
//! `route` carry messages, `timers` tick. Invariant: control never touches a message, and tokio is not on a message's
//! way. Absent: files, sockets, the command line.

mod clock;
mod code;
mod crash;
mod dataflow;
mod driven;
mod inline;
mod mailbox;
mod outside;
mod plan;
mod progress;
mod remote;
mod report;
mod route;
mod seat;
mod start;
mod state;
mod timers;
mod wiring;
mod worker;

pub use clock::Clock;
pub use crash::{Crash, LastMessage};
pub use dataflow::Dataflow;
pub use driven::{Drive, Driven};
pub use mailbox::{Door, InputCount, OnTaken, Passed, Taken};
pub use outside::{Body, Outside, OutsideCounts, OutsideEnd, OutsideEvent, Upstream};
pub use plan::{
    Chosen, ChosenCode, NodeIndex, OwnInputs, Plan, PlanError, PlannedCode, RemoteInputs,
};
pub use progress::{NodeProgress, Progress, Watcher};
pub use remote::{Outlet, OutletPushed, RemoteInput};
pub use report::{NodeReport, Report, TimerReport};
pub use route::Tapped;
pub use state::{Ending, START_GRACE};
pub use wiring::{LogInput, LogOutput};

use crate::ids::{NodeId, PortName};
use crate::sys::scene::Callback;
use plugin_abi::hosting::LogLine;
use plugin_abi::message::Message;
use seat::SeatShared;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Number of a node on its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatId(usize);

/// Where the lines of a dataflow go. Any thread; never waits for long.
pub trait EngineLog: Send + Sync {
    /// A line of a node.
    fn node(&self, node: &NodeId, line: &LogLine<'_>);
    /// A line of the engine (1 error to 5 trace), about a node or about the whole dataflow.
    fn engine(&self, level: u32, node: Option<&NodeId>, text: &str);
    /// The most verbose level wanted of a node, which may change at any time.
    fn level(&self, node: &NodeId) -> Arc<AtomicU32>;
    /// The instances of a node will be called in this process. Its inputs are in the order of their indices; `code` says
    /// what it is made from, in lines.
    fn hosts(&self, _node: &NodeId, _inputs: &[String], _code: &str) {}
    /// A node has crashed. Where there is more about it to read than can be said in a line, if anywhere.
    fn crashed(&self, _node: &NodeId, _crash: Crash) -> Option<String> {
        None
    }
    /// Who is told what a plugin's instance is called for, if anybody is: what is known when the process crashes.
    fn calls(&self, _node: &NodeId) -> Option<Arc<dyn Calls>> {
        None
    }
}

/// Told of each call of an instance, on the node's thread. Costs each call what it costs.
pub trait Calls: Send + Sync {
    /// The instance is to be called, with a message if that is an input's.
    fn begin(&self, callback: Callback, message: Option<&Message>);
    /// The call has returned.
    fn returned(&self);
    /// The call begins to wait for a reader with `backpressure`, or goes on: in turn.
    fn held_up(&self) {}
}

/// What a thread tells the engine.
#[derive(Debug)]
enum Told {
    Created {
        node: NodeIndex,
    },
    Ended {
        node: NodeIndex,
        ending: Ending,
        inputs_closed: bool,
    },
    /// The node's thread is gone.
    Lost {
        node: NodeIndex,
    },
}

/// What a running dataflow can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Let the nodes of a plan that is [`held`](Plan::held) go, at once or when all have been made.
    Go,
    /// Ask every node to stop.
    Stop {
        /// How long they have.
        grace: Duration,
    },
    /// End at once, whatever the nodes do.
    Abandon,
}

/// Why a dataflow could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gives no thread.
    #[error("cannot start the thread `{name}`: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
}
/// Taps and counters of a running dataflow, for whoever looks on. Any thread.
#[derive(Clone)]
pub struct Probe(Arc<[Arc<SeatShared>]>);

impl Probe {
    /// Looks on at an output, with room for `capacity` messages; `None` when there is no such output.
    pub fn tap(&self, node: &str, output: &str, capacity: usize) -> Option<Tapped> {
        let seat = self.0.iter().find(|seat| seat.id.as_str() == node)?;
        let output = seat.outputs.iter().find(|port| port.name == output)?;
        Some(output.route.tap(capacity))
    }

    /// As [`Dataflow::attach`], while it runs.
    pub fn attach(
        &self,
        node: &NodeId,
        output: &PortName,
        readers: Arc<str>,
        outlet: Arc<dyn Outlet>,
    ) -> bool {
        let of_node = self.0.iter().find(|seat| seat.id == *node);
        let outputs = of_node.map(|seat| seat.outputs.as_slice());
        let mut outputs = outputs.unwrap_or_default().iter();
        match outputs.find(|of| of.name == output.as_str()) {
            Some(output) => output.route.attach(route::Exit { outlet, readers }),
            None => return false,
        }
        true
    }
}
