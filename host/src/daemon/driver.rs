//! Drives the daemon: waits for what happens, asks the state machine, has its actions carried out.
//!
//! Invariant: decides nothing, and waits for nothing but what may happen. Absent: what is decided (`state`), how it is
//! carried out (`act`), and the command line.

use super::act::Parts;
use super::check::{Checker, Outcome};
use super::event::{Event, Exit, Local};
use super::flow::FlowNews;
use super::inbox::In;
use super::latest::Latest;
use super::news::{News, RunError};
use super::options::{OpenError, Options};
use super::state::State;
use super::tapping;
use crate::control::{CallId, DaemonRequest, Epoch, Fallen};
use crate::engine::Probe;
use crate::ids::{DataflowId, MachineId};
use crate::link::{Address, Call, Change, Link, LinkError, MeetError, Member, Sender, renewal};
use crate::logs::LogHub;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Processes whose coming and going waits to be handled.
pub(super) const MEMBERS: usize = 4_096;
/// A coordinator that is waited for is looked for so long at a time.
const LOOK: Duration = Duration::from_secs(1);
/// How long the network may take to close.
const CLOSE: Duration = Duration::from_secs(2);

/// A daemon. Lives on one task, which may be on a runtime of one thread.
pub struct Daemon {
    pub(super) machine: MachineId,
    pub(super) epoch: Epoch,
    pub(super) coordinator: Address,
    pub(super) query: Duration,
    pub(super) search: Duration,
    pub(super) out: Arc<Path>,
    pub(super) hub: LogHub,
    pub(super) link: Link,
    pub(super) state: State,
    pub(super) checker: Checker,
    /// Publishes for those who look on.
    pub(super) sender: Sender,
    pub(super) inbox: (mpsc::Sender<In>, mpsc::Receiver<In>),
    pub(super) members: Arc<Latest<Member, bool>>,
    pub(super) local: SocketAddr,
    /// To be told at first.
    pub(super) news: Vec<News>,
    pub(super) born: Instant,
    pub(super) parts: Parts,
}

impl Daemon {
    /// Opens the daemon's place in the network. It does nothing until it is run.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: Options, hub: LogHub) -> Result<Self, OpenError> {
        super::opening::open(options, hub).await
    }

    /// The same after lives that have died.
    pub(super) fn after(mut self, fallen: Vec<Fallen>) -> Self {
        self.state = self.state.after(fallen);
        self
    }

    /// The loopback port for process nodes.
    pub fn local_port(&self) -> u16 {
        self.local.port()
    }

    /// Runs until it is told to end: registers, obeys, reports. The first message of `shutdown` says how long nodes have
    /// for their end; the second ends them at once. What happens is told to `news`, on this task.
    ///
    /// # Errors
    /// The coordinator will not have it: see [`RunError`]. Nothing runs any more.
    pub async fn run(
        mut self,
        mut shutdown: mpsc::Receiver<Duration>,
        mut news: impl FnMut(News),
    ) -> Result<(), RunError> {
        std::mem::take(&mut self.news)
            .into_iter()
            .for_each(&mut news);
        let met = tokio::select! {
            met = self.meet(&mut news) => met.map(|()| true),
            _ = told(&mut shutdown) => Ok(false),
        };
        let outcome = match met {
            Ok(true) => self.drive(&mut shutdown, &mut news).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        self.parts = Parts::new();
        // Whoever does not hear of the end notices it.
        let _ = tokio::time::timeout(CLOSE, self.link.close()).await;
        outcome
    }

    /// Waits for a coordinator.
    async fn meet(&self, news: &mut impl FnMut(News)) -> Result<(), RunError> {
        let mut said = false;
        loop {
            match self.link.meet(LOOK).await {
                Ok(_) => return Ok(()),
                Err(MeetError::Incompatible(error)) => return Err(RunError::Incompatible(error)),
                Err(error) => {
                    if !std::mem::replace(&mut said, true) {
                        news(News::Waiting(error));
                    }
                }
            }
        }
    }

    async fn drive(
        &mut self,
        shutdown: &mut mpsc::Receiver<Duration>,
        news: &mut impl FnMut(News),
    ) -> Result<(), RunError> {
        let (mut again, inbox) = (self.link.reconnections(), self.inbox.0.clone());
        self.parts.tasks.spawn(async move {
            loop {
                renewal(&mut again).await;
                // A daemon that has ended wants to hear nothing more.
                let _ = inbox.send(In::Renewal).await;
            }
        });
        self.watch().map_err(RunError::Link)?;
        let mut event = Event::Time;
        loop {
            for action in self.state.handle(event, self.born.elapsed()) {
                match self.act(action, news).map_err(RunError::Link)? {
                    Some(Exit::Stopped) => return Ok(()),
                    Some(Exit::Incompatible(why)) => return Err(RunError::Incompatible(why)),
                    Some(Exit::MachineIdTaken(by)) => {
                        return Err(RunError::MachineIdTaken {
                            machine: self.machine.clone(),
                            by: Box::new(by),
                        });
                    }
                    None => {}
                }
            }
            event = self.next(shutdown, news).await;
        }
    }

    /// Watches who comes and goes; again, after a connection was lost and has come back, because then what was declared
    /// before may not be known at the other end.
    fn watch(&mut self) -> Result<(), LinkError> {
        // The old goes first, or nothing would be declared.
        self.parts.watch = None;
        let (members, me) = (self.members.clone(), self.me());
        let watch = self.link.watch(move |change| match change {
            Change::Appeared(member) | Change::Gone(member) if member == me => {}
            Change::Appeared(member) => members.put(member, true),
            Change::Gone(member) => members.put(member, false),
        })?;
        self.parts.watch = Some(watch);
        Ok(())
    }

    /// Its token.
    pub(super) fn me(&self) -> Member {
        Member::Daemon(self.machine.clone(), self.epoch)
    }

    /// Waits for the next event.
    async fn next(
        &mut self,
        shutdown: &mut mpsc::Receiver<Duration>,
        news: &mut impl FnMut(News),
    ) -> Event {
        loop {
            if let Some(event) = self.parts.pending.pop_front() {
                return event;
            }
            let deadline = self.state.next_deadline().map(|at| self.born + at);
            tokio::select! {
                Some(inward) = self.inbox.1.recv() => {
                    if let Some(event) = self.take(inward, news) {
                        return event;
                    }
                }
                members = self.members.next() => {
                    let events = members.into_iter().filter_map(event_of);
                    self.parts.pending.extend(events);
                }
                grace = told(shutdown) => return self.shut_down(grace, news),
                () = until(deadline) => return Event::Time,
            }
        }
    }

    fn shut_down(&mut self, grace: Duration, news: &mut impl FnMut(News)) -> Event {
        let dataflows = self.parts.flows.len();
        if !std::mem::replace(&mut self.parts.stopping, true) && dataflows > 0 {
            news(News::Stopping { grace, dataflows });
        }
        Event::Shutdown { grace }
    }

    /// What the parts tell, as the state machine is told.
    fn take(&mut self, inward: In, news: &mut impl FnMut(News)) -> Option<Event> {
        match inward {
            In::Asked(request, call) => Some(self.asked(*request, call)),
            In::Answered(send, Some(reply)) => Some(Event::Answered {
                send,
                reply: *reply,
            }),
            In::Answered(send, None) => Some(Event::Unanswered { send }),
            In::Checked(dataflow, outcome) => self.checked(dataflow, outcome),
            In::Renewal => {
                // Where the network is closed, the next query says so.
                let _ = self.watch();
                if self.parts.served.is_some() {
                    let _ = self.declare();
                }
                None
            }
            In::Flow(dataflow, FlowNews::Probe(probe)) => {
                self.probe(dataflow, probe);
                None
            }
            In::Flow(dataflow, FlowNews::Local(local)) => {
                self.heard(dataflow, &local, news);
                Some(Event::Local { dataflow, local })
            }
        }
    }

    fn asked(&mut self, request: DaemonRequest, call: Call) -> Event {
        let id = CallId(self.parts.next_call);
        self.parts.next_call += 1;
        self.parts.calls.insert(id, call);
        Event::Query { call: id, request }
    }

    fn checked(&mut self, dataflow: DataflowId, outcome: Outcome) -> Option<Event> {
        // One that was discarded is not waited for.
        let check = self.parts.checks.get_mut(&dataflow)?;
        check.checked = outcome.checked;
        let local = outcome.told;
        Some(Event::Local { dataflow, local })
    }

    fn probe(&mut self, dataflow: DataflowId, probe: Probe) {
        let Some(running) = self.parts.flows.get_mut(&dataflow) else {
            return;
        };
        let means = tapping::Means {
            machine: &self.machine,
            link: &self.link,
            sender: &self.sender,
            nodes: self.checker.launcher.nodes(),
        };
        self.parts.tapping.probe(dataflow, &probe, &means);
        running.probe = Some(probe);
    }

    /// What a dataflow tells, as the user is told.
    fn heard(&mut self, dataflow: DataflowId, local: &Local, news: &mut impl FnMut(News)) {
        let Local::Over { rows, .. } = local else {
            return;
        };
        self.parts.following.dataflow_ended(dataflow);
        if let Some(running) = self.parts.flows.remove(&dataflow) {
            news(News::Ended {
                dataflow,
                name: running.name,
                failed: rows.iter().filter(|row| row.end.is_failure()).count(),
            });
        }
        self.parts.passed.count(rows.len());
    }
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Daemon").field(&self.machine).finish()
    }
}

fn event_of((member, there): (Member, bool)) -> Option<Event> {
    match (member, there) {
        (Member::Coordinator(_), true) => Some(Event::CoordinatorSeen),
        // Its silence tells.
        (Member::Coordinator(_), false) => None,
        (Member::Daemon(machine, epoch), true) => Some(Event::PeerSeen { machine, epoch }),
        (Member::Daemon(machine, epoch), false) => Some(Event::PeerGone { machine, epoch }),
    }
}

/// The next message; never when nobody is left to send one.
async fn told(shutdown: &mut mpsc::Receiver<Duration>) -> Duration {
    match shutdown.recv().await {
        Some(grace) => grace,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
