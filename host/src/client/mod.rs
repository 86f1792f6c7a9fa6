//! What the `dora` command asks a coordinator and its daemons, as a library.
//!
//! Invariant: whatever the others do, an answer or an error comes: a query that is not answered is repeated for a few
//! seconds and then given up, one that takes long tells its progress. What is repeated keeps its id, so it happens once.
//! Absent: the terminal; sentences are made of the errors' values.

mod ask;
mod error;
mod logs;
mod overlap;
mod queue;
mod tap;

pub use error::{AskError, DaemonError, LogsError, TapFailure};
pub use logs::{LogEvent, LogStream, Logs, LogsWanted};
pub use tap::{Tap, TapEvent};

use crate::control::{
    ClientReply, DataflowSummary, DestroyError, Ended, Hello, Located, NodeSummary, PROTOCOL,
    Progress, Role, Start, StartError, Started, Status, StopError, Target, TopicSummary, Verb,
};
use crate::descriptor::Descriptor;
use crate::ids::DataflowId;
use crate::link::{Address, Link, MeetError};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long [`Client::connect`] should look for a coordinator. With it, the error comes in less than 5 s.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// What a connection may need beyond its deadline to find out why it failed.
const CONNECT_SLACK: Duration = Duration::from_millis(1_500);

/// A connection to a coordinator. Clones are the same connection. To be used within a tokio runtime.
#[derive(Debug, Clone)]
pub struct Client {
    link: Link,
    address: Address,
    coordinator: Hello,
}

/// What to start.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRequest {
    /// The graph, checked on this machine.
    pub descriptor: Descriptor,
    /// The absolute folder of its file, as this machine writes it.
    pub folder: String,
    /// A name, unique among the dataflows that run.
    pub name: Option<String>,
    /// Variables for all nodes.
    pub env: BTreeMap<String, String>,
}

impl Client {
    /// Connects to a coordinator and learns who it is. The error comes at most 1.5 s after the deadline.
    ///
    /// # Errors
    /// Nobody is there, or what is there does not answer, is no coordinator, or is of a version that does not fit.
    pub async fn connect(coordinator: &Address, deadline: Duration) -> Result<Self, MeetError> {
        let me = Hello {
            role: Role::Client,
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            machine: None,
            epoch: None,
        };
        // The resolver of names keeps no deadline.
        let meeting = Link::client(coordinator, me, deadline);
        let met = tokio::time::timeout(deadline + CONNECT_SLACK, meeting).await;
        let silent = |_| MeetError::Silent {
            address: coordinator.clone(),
            after: deadline,
        };
        let (link, hello) = met.map_err(silent)??;
        Ok(Self {
            link,
            address: coordinator.clone(),
            coordinator: hello,
        })
    }

    /// Who the coordinator said it is when it was met.
    pub fn coordinator(&self) -> &Hello {
        &self.coordinator
    }

    /// Where the coordinator is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Starts a dataflow; returns when all its nodes run, or when the start has been undone. When this future is dropped,
    /// the start goes on.
    ///
    /// # Errors
    /// The coordinator does not answer (outside); the dataflow was not started, and nothing of it runs (inside).
    pub async fn start(
        &self,
        request: StartRequest,
        progress: impl FnMut(&Progress),
    ) -> Result<Result<Started, StartError>, AskError> {
        let start = self.start_of(DataflowId::new(), request)?;
        self.start_as(start, progress).await
    }

    /// What [`Client::start_as`] takes: a start under an id that the caller knows before there is an answer, to stop it
    /// meanwhile.
    ///
    /// # Errors
    /// The coordinator has not said which life of it answers.
    pub fn start_of(&self, dataflow: DataflowId, request: StartRequest) -> Result<Start, AskError> {
        let coordinator = self.coordinator.epoch;
        Ok(Start {
            dataflow,
            coordinator: coordinator.ok_or_else(|| AskError::unexpected("greeting"))?,
            descriptor: request.descriptor,
            folder: request.folder,
            name: request.name,
            env: request.env,
        })
    }

    /// As [`Client::start`], under an id that the caller has chosen.
    ///
    /// # Errors
    /// As [`Client::start`].
    pub async fn start_as(
        &self,
        start: Start,
        progress: impl FnMut(&Progress),
    ) -> Result<Result<Started, StartError>, AskError> {
        match self.ask(Verb::Start(Box::new(start)), progress).await? {
            ClientReply::Start(started) => Ok(started),
            _ => Err(AskError::unexpected("start")),
        }
    }

    /// Stops a dataflow; returns when its nodes have ended, or have not in time. `grace`: how long they have. `force`: do
    /// not wait for them.
    ///
    /// # Errors
    /// The coordinator does not answer or knows no such dataflow (outside); machines have not said that their nodes have
    /// ended (inside).
    pub async fn stop(
        &self,
        target: Target,
        grace: Duration,
        force: bool,
        progress: impl FnMut(&Progress),
    ) -> Result<Result<Ended, StopError>, AskError> {
        let verb = Verb::Stop {
            target,
            grace,
            force,
        };
        match self.ask(verb, progress).await? {
            ClientReply::Stop(stopped) => Ok(stopped),
            _ => Err(AskError::unexpected("stop")),
        }
    }

    /// Stops a dataflow and starts its descriptor, as it was then, anew under the same name and a new id.
    ///
    /// # Errors
    /// As [`Client::stop`] and [`Client::start`].
    pub async fn restart(
        &self,
        target: Target,
        grace: Duration,
        force: bool,
        progress: impl FnMut(&Progress),
    ) -> Result<Result<Started, StartError>, AskError> {
        let verb = Verb::Restart {
            target,
            dataflow: DataflowId::new(),
            grace,
            force,
        };
        match self.ask(verb, progress).await? {
            ClientReply::Start(started) => Ok(started),
            _ => Err(AskError::unexpected("restart")),
        }
    }

    /// Waits until a dataflow is over, however long that takes.
    ///
    /// # Errors
    /// The coordinator does not answer, or knows no such dataflow.
    pub async fn wait(
        &self,
        dataflow: DataflowId,
        progress: impl FnMut(&Progress),
    ) -> Result<Ended, AskError> {
        match self.ask(Verb::Wait(dataflow), progress).await? {
            ClientReply::Ended(ended) => Ok(*ended),
            _ => Err(AskError::unexpected("wait")),
        }
    }

    /// All dataflows, also those that are over, by the time of their start.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn list(&self) -> Result<Vec<DataflowSummary>, AskError> {
        match self.ask(Verb::List, |_| ()).await? {
            ClientReply::List(list) => Ok(list),
            _ => Err(AskError::unexpected("list")),
        }
    }

    /// The nodes of a dataflow, or of all that run.
    ///
    /// # Errors
    /// The coordinator does not answer, or knows no such dataflow.
    pub async fn nodes(&self, target: Option<Target>) -> Result<Vec<NodeSummary>, AskError> {
        match self.ask(Verb::Nodes(target), |_| ()).await? {
            ClientReply::Nodes(nodes) => Ok(nodes),
            _ => Err(AskError::unexpected("list of nodes")),
        }
    }

    /// The coordinator and its daemons.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn status(&self) -> Result<Status, AskError> {
        match self.ask(Verb::Status, |_| ()).await? {
            ClientReply::Status(status) => Ok(status),
            _ => Err(AskError::unexpected("status")),
        }
    }

    /// Where a dataflow runs or has run, for [`Client::logs`].
    ///
    /// # Errors
    /// The coordinator does not answer, or knows no such dataflow.
    pub async fn locate(&self, target: Target) -> Result<Located, AskError> {
        match self.ask(Verb::Locate(target), |_| ()).await? {
            ClientReply::Located(located) => Ok(located),
            _ => Err(AskError::unexpected("place")),
        }
    }

    /// The outputs of a dataflow, or of all that run, for [`Client::tap`].
    ///
    /// # Errors
    /// The coordinator does not answer, or knows no such dataflow.
    pub async fn topics(&self, target: Option<Target>) -> Result<Vec<TopicSummary>, AskError> {
        match self.ask(Verb::Topics(target), |_| ()).await? {
            ClientReply::Topics(topics) => Ok(topics),
            _ => Err(AskError::unexpected("list of outputs")),
        }
    }

    /// Makes the coordinator forget the dataflows that are over; how many those were.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn clean(&self) -> Result<usize, AskError> {
        match self.ask(Verb::Clean, |_| ()).await? {
            ClientReply::Cleaned(forgotten) => Ok(forgotten),
            _ => Err(AskError::unexpected("clean")),
        }
    }

    /// Stops all dataflows, ends all daemons and the coordinator.
    ///
    /// # Errors
    /// The coordinator does not answer (outside); daemons have not said that they end (inside).
    pub async fn destroy(
        &self,
        progress: impl FnMut(&Progress),
    ) -> Result<Result<(), DestroyError>, AskError> {
        match self.ask(Verb::Destroy, progress).await? {
            ClientReply::Destroyed(destroyed) => Ok(destroyed),
            _ => Err(AskError::unexpected("destroy")),
        }
    }

    /// Ends the connection, also that of all clones.
    pub async fn close(&self) {
        self.link.close().await;
    }
}
