//! Drives the daemon: waits for what happens, asks the state machine, carries its actions out.
//!
//! Invariant: decides nothing, and waits for nothing but what may happen: whatever takes time is a task or a thread of
//! its own, and says when it is done. Absent: what is decided (`state`), and the command line.

use super::check::{Checked, Checker, Outcome};
use super::event::{Action, Event, Exit, Local, Note};
use super::flow::{Flow, FlowNews, FlowOrder, FlowSpec};
use super::following::{self, Following};
use super::inbox::In;
use super::latest::Latest;
use super::local_port::LocalPort;
use super::news::{News, RunError};
use super::options::{OpenError, Options};
use super::state::State;
use super::tapping::{self, Tapping};
use crate::control::{
    CallId, CoordinatorRequest, DaemonReply, DaemonRequest, Epoch, LogsRequest, RemoteEdges,
    SendId, TapRequest,
};
use crate::engine::Probe;
use crate::ids::{DataflowId, MachineId};
use crate::link::{
    Address, Call, Change, Key, Link, LinkError, MeetError, Member, Sender, Served, Token, Watch,
};
use crate::logs::LogHub;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Processes whose coming and going waits to be handled.
pub(super) const MEMBERS: usize = 4_096;
/// A coordinator that is waited for is looked for so long at a time.
const LOOK: Duration = Duration::from_secs(1);
/// Readers on other machines are looked for so long.
const SEARCH: Duration = Duration::from_secs(10);
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
    pub(super) local: LocalPort,
    /// To be told at first.
    pub(super) news: Vec<News>,
    pub(super) born: Instant,
    pub(super) parts: Parts,
}

/// What there is while the daemon lives.
pub(super) struct Parts {
    calls: BTreeMap<CallId, Call>,
    next_call: u64,
    pending: VecDeque<Event>,
    checks: BTreeMap<DataflowId, Check>,
    flows: BTreeMap<DataflowId, Running>,
    tapping: Tapping,
    following: Following,
    served: Option<(Served, Token)>,
    watch: Option<Watch>,
    /// The coordinator that it was told to be connected with.
    connected: Option<Epoch>,
    checked_id: bool,
    stopping: bool,
}

/// A check of nodes.
struct Check {
    name: Option<String>,
    /// `None` while it is under way.
    checked: Option<Box<Checked>>,
}

/// A dataflow that lives here.
struct Running {
    flow: Flow,
    name: Option<String>,
    nodes: usize,
    probe: Option<Probe>,
}

impl Parts {
    pub fn new() -> Self {
        Self {
            calls: BTreeMap::new(),
            next_call: 0,
            pending: VecDeque::new(),
            checks: BTreeMap::new(),
            flows: BTreeMap::new(),
            tapping: Tapping::default(),
            following: Following::new(),
            served: None,
            watch: None,
            connected: None,
            checked_id: false,
            stopping: false,
        }
    }
}

impl Daemon {
    /// Opens the daemon's place in the network. It does nothing until it is run.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: Options, hub: LogHub) -> Result<Self, OpenError> {
        super::opening::open(options, hub).await
    }

    /// The loopback port for process nodes.
    pub fn local_port(&self) -> u16 {
        self.local.address.port()
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

    fn watch(&mut self) -> Result<(), LinkError> {
        let (members, me) = (self.members.clone(), self.me());
        let watch = self.link.watch(move |change| match change {
            Change::Appeared(member) | Change::Gone(member) if member == me => {}
            Change::Appeared(member) => members.put(member, true),
            Change::Gone(member) => members.put(member, false),
        })?;
        self.parts.watch = Some(watch);
        Ok(())
    }

    fn me(&self) -> Member {
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
    }

    fn act(
        &mut self,
        action: Action,
        news: &mut impl FnMut(News),
    ) -> Result<Option<Exit>, LinkError> {
        match action {
            Action::Reply { call, reply } => self.reply(call, &reply),
            Action::Logs { call, request } => self.logs(call, request)?,
            Action::Send { send, request } => self.send(send, request),
            Action::Serve { coordinator } => self.serve(coordinator, news)?,
            Action::Prepare(prepare) => self.prepare(prepare),
            Action::Discard(dataflow) => drop(self.parts.checks.remove(&dataflow)),
            Action::Spawn { dataflow, edges } => self.spawn(dataflow, edges),
            Action::Go(dataflow) => self.go(dataflow, news),
            Action::Stop { dataflow, grace } => self.order(dataflow, FlowOrder::Stop { grace }),
            Action::Abandon(dataflow) => self.order(dataflow, FlowOrder::Abandon),
            Action::CloseInputs { dataflow, inputs } => {
                self.order(dataflow, FlowOrder::CloseInputs(inputs));
            }
            Action::ForgetReaders { dataflow, machine } => {
                self.order(dataflow, FlowOrder::Forget(machine));
            }
            Action::Tap(request) => self.tap(request),
            Action::Untap(tap) => self.parts.tapping.remove(tap),
            Action::Note(note) => self.note(note, news),
            Action::Exit(exit) => return Ok(Some(exit)),
        }
        Ok(None)
    }

    fn reply(&mut self, call: CallId, reply: &DaemonReply) {
        if let Some(call) = self.parts.calls.remove(&call) {
            call.reply("reply", reply);
        }
    }

    fn logs(&mut self, call: CallId, request: LogsRequest) -> Result<(), LinkError> {
        let Some(call) = self.parts.calls.remove(&call) else {
            return Ok(());
        };
        let mut shares = self.state.shares();
        let is_live =
            shares.any(|share| share.dataflow == request.dataflow && !share.stage.is_ended());
        let means = following::Means {
            machine: &self.machine,
            link: &self.link,
            sender: &self.sender,
            hub: &self.hub,
            out: &self.out,
        };
        self.parts.following.ask(request, is_live, call, &means)
    }

    fn send(&self, send: SendId, request: Box<CoordinatorRequest>) {
        let (link, inbox, query) = (self.link.clone(), self.inbox.0.clone(), self.query);
        tokio::spawn(async move {
            let key = Key::for_daemons();
            let reply = link.call("the coordinator", &key, &*request, query).await;
            // A daemon that has ended wants to hear nothing more.
            let _ = inbox
                .send(In::Answered(send, reply.ok().map(Box::new)))
                .await;
        });
    }

    fn serve(&mut self, coordinator: Epoch, news: &mut impl FnMut(News)) -> Result<(), LinkError> {
        // Anew each time: after a connection was lost and has come back, what was declared before may not be known at the
        // other end. The old goes first, or nothing would be declared.
        self.parts.served = None;
        let key = Key::at_daemon(&self.machine, self.epoch);
        let inbox = self.inbox.0.clone();
        let served = self
            .link
            .serve(&key, "request", move |request, call| match request {
                Ok(request) => {
                    // Without room the call is dropped, which its asker is told.
                    let _ = inbox.try_send(In::Asked(Box::new(request), call));
                }
                Err(fault) => call.reply("reply", &DaemonReply::NotUnderstood(fault)),
            })?;
        let token = self.link.show(&self.me())?;
        self.parts.served = Some((served, token));
        if self.parts.connected.replace(coordinator) != Some(coordinator) {
            news(News::Connected(self.coordinator.clone()));
        }
        Ok(())
    }

    fn prepare(&mut self, prepare: Box<crate::control::Prepare>) {
        let (dataflow, inbox) = (prepare.dataflow, self.inbox.0.clone());
        let name = prepare.name.clone();
        let checked = None;
        self.parts.checks.insert(dataflow, Check { name, checked });
        let done = move |outcome| {
            // As above.
            let _ = inbox.blocking_send(In::Checked(dataflow, outcome));
        };
        if let Err(problems) = self.checker.start(prepare, done) {
            let local = Local::Refused(problems);
            self.parts
                .pending
                .push_back(Event::Local { dataflow, local });
        }
    }

    fn spawn(&mut self, dataflow: DataflowId, edges: RemoteEdges) {
        let Some(Check {
            name,
            checked: Some(checked),
        }) = self.parts.checks.remove(&dataflow)
        else {
            return;
        };
        let nodes = checked.nodes.len();
        let spec = FlowSpec {
            id: dataflow,
            machine: self.machine.clone(),
            checked,
            edges,
            link: self.link.clone(),
            hub: self.hub.clone(),
            search: self.search.min(SEARCH),
        };
        match Flow::begin(spec, self.inbox.0.clone()) {
            Ok(flow) => {
                let running = Running {
                    flow,
                    name,
                    nodes,
                    probe: None,
                };
                self.parts.flows.insert(dataflow, running);
            }
            Err(local) => self
                .parts
                .pending
                .push_back(Event::Local { dataflow, local }),
        }
    }

    fn go(&mut self, dataflow: DataflowId, news: &mut impl FnMut(News)) {
        if let Some(running) = self.parts.flows.get(&dataflow) {
            running.flow.order(FlowOrder::Go);
            news(News::Started {
                dataflow,
                name: running.name.clone(),
                nodes: running.nodes,
            });
        }
    }

    fn order(&self, dataflow: DataflowId, order: FlowOrder) {
        if let Some(running) = self.parts.flows.get(&dataflow) {
            running.flow.order(order);
        }
    }

    fn tap(&mut self, request: TapRequest) {
        let running = self.parts.flows.get(&request.dataflow);
        let means = tapping::Means {
            machine: &self.machine,
            link: &self.link,
            sender: &self.sender,
        };
        let probe = running.and_then(|running| running.probe.as_ref());
        self.parts.tapping.add(request, probe, &means);
    }

    fn note(&mut self, note: Note, news: &mut impl FnMut(News)) {
        let coordinator = || self.coordinator.clone();
        news(match note {
            // Told when it is served.
            Note::Registered => return,
            Note::CoordinatorLost => News::CoordinatorLost(coordinator()),
            Note::CoordinatorBack => News::CoordinatorBack(coordinator()),
            Note::MachineIdChecked => {
                if std::mem::replace(&mut self.parts.checked_id, true) {
                    return;
                }
                News::MachineIdChecked(self.machine.clone())
            }
            Note::Expired(dataflow) => News::Expired(dataflow),
            Note::Stuck(dataflow) => News::Stuck(dataflow),
            Note::PeerLost(machine) => News::PeerLost(machine),
            Note::Unheard(dataflow) => News::Unheard(dataflow),
        });
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
