//! What the daemon does about an action, and what it holds for that.
//!
//! Invariant: nothing here waits: whatever takes time is begun, and tells the inbox when it is done. Absent: what is
//! decided (`state`).

use super::check::Checked;
use super::driver::Daemon;
use super::event::{Action, Event, Exit, Local, Note};
use super::flow::{Flow, FlowOrder, FlowSpec};
use super::following::{self, Following};
use super::inbox::In;
use super::news::News;
use super::tapping::{self, Tapping};
use crate::control::{
    CallId, CoordinatorRequest, DaemonReply, Epoch, LogsRequest, Prepare, RemoteEdges, SendId,
    TapRequest,
};
use crate::engine::Probe;
use crate::ids::DataflowId;
use crate::link::{Call, Key, LinkError, Served, Token, Watch};
use crate::sys::memory::Passed;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::task::JoinSet;

/// Readers on other machines are looked for so long.
const SEARCH: Duration = Duration::from_secs(10);

/// What there is while the daemon lives.
pub(super) struct Parts {
    pub calls: BTreeMap<CallId, Call>,
    pub next_call: u64,
    pub pending: VecDeque<Event>,
    pub checks: BTreeMap<DataflowId, Check>,
    pub flows: BTreeMap<DataflowId, Running>,
    pub tapping: Tapping,
    pub following: Following,
    pub served: Option<(Served, Token)>,
    pub watch: Option<Watch>,
    /// The coordinator that it was told to be connected with.
    pub connected: Option<Epoch>,
    pub checked_id: bool,
    pub passed: Passed,
    pub stopping: bool,
    pub tasks: JoinSet<()>,
}

/// A check of nodes.
pub(super) struct Check {
    pub name: Option<String>,
    /// `None` while it is under way.
    pub checked: Option<Box<Checked>>,
}

/// A dataflow that lives here.
pub(super) struct Running {
    pub flow: Flow,
    pub name: Option<String>,
    pub nodes: usize,
    pub probe: Option<Probe>,
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
            passed: Passed::default(),
            stopping: false,
            tasks: JoinSet::new(),
        }
    }
}

impl Daemon {
    /// Carries an action out; why the daemon is to end, if it is.
    pub(super) fn act(
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
            Action::PeerLost { dataflow, machine } => {
                self.order(dataflow, FlowOrder::PeerLost(machine));
            }
            Action::Again {
                dataflow,
                machine,
                life,
                edges,
            } => {
                let order = FlowOrder::Again {
                    machine,
                    life,
                    edges,
                };
                self.order(dataflow, order);
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
        self.declare()?;
        if self.parts.connected.replace(coordinator) != Some(coordinator) {
            news(News::Connected(self.coordinator.clone()));
        }
        Ok(())
    }

    /// Takes requests and shows the token. Anew each time: after a connection was lost and has come back, what was declared
    /// before may not be known at the other end.
    pub(super) fn declare(&mut self) -> Result<(), LinkError> {
        // The old goes first, or nothing would be declared.
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
        Ok(())
    }

    fn prepare(&mut self, prepare: Box<Prepare>) {
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
            life: checked.again.is_some().then_some(self.epoch),
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
            self.parts.passed.count(running.nodes);
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
            nodes: self.checker.launcher.nodes(),
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
            Note::Unheard(dataflow) => News::Unheard(dataflow),
        });
    }
}
