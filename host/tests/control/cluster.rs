//! A coordinator and daemons on a network without delay or loss, and nodes that do as the test says. Time passes only
//! when the test says so.

use host::control::{
    Again, CallId, ClientReply, ClientRequest, CoordinatorReply, CoordinatorRequest, DaemonReply,
    DaemonRequest, Epoch, Fallen, MachineInfo, MissingPeer, NodeEnd, NodeRow, NodeState,
    NodeStatus, PROTOCOL, RemoteEdges, RequestId, SendId, Start, Target, Timing, Verb,
};
use host::coordinator::{self, Ledger};
use host::daemon::{self, Exit, Local};
use host::descriptor::{Descriptor, Problem, Problems, Severity};
use host::ids::{DataflowId, MachineId, NodeId};
use host::plugin::info::{KindInfo, PortInfo};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn machine(name: &str) -> MachineId {
    name.parse().expect("a machine id")
}

pub fn node(name: &str) -> NodeId {
    name.parse().expect("a node id")
}

/// What the nodes of a machine do when they are told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    Well,
    /// The check refuses them.
    Refuses,
    /// The check never ends.
    HangsInCheck,
    /// They cannot be made.
    NotMade,
    /// Making them never ends.
    HangsInMaking,
    /// Readers elsewhere do not answer.
    NotLinked,
    /// They do not stop when asked, only when abandoned.
    GoesOn,
    /// They do not even end when abandoned.
    Stuck,
}

pub struct Daemon {
    pub state: daemon::State,
    pub epoch: Epoch,
    born: Duration,
    pub does: Does,
    /// Neither hears nor says anything.
    pub cut: bool,
    /// What it was told to do with dataflows, in order.
    pub did: Vec<String>,
    pub exit: Option<Exit>,
    pub notes: Vec<daemon::Note>,
    pub closed: Vec<String>,
    /// How often it has begun to take queries.
    pub served: u32,
    /// What was different about what it was told to prepare last.
    pub again: Option<Box<Again>>,
    /// With whom it was told to make its connections anew.
    pub joined: Vec<(MachineId, Epoch, RemoteEdges)>,
    placed: BTreeMap<DataflowId, Vec<NodeId>>,
    kinds: BTreeMap<NodeId, KindInfo>,
}

enum Mail {
    ToDaemon(coordinator::Event, MachineId, Epoch, DaemonRequest),
    ToCoordinator(MachineId, Epoch, SendId, CoordinatorRequest),
    Local(MachineId, Epoch, DataflowId, Local),
}

pub struct Cluster {
    pub now: Duration,
    pub timing: Timing,
    pub coordinator: Option<coordinator::State>,
    coordinator_born: Duration,
    pub disk: Ledger,
    pub daemons: BTreeMap<MachineId, Daemon>,
    mail: VecDeque<Mail>,
    next_call: u64,
    pub answers: BTreeMap<CallId, ClientReply>,
    daemon_calls: BTreeMap<CallId, CoordinatorReply>,
    pub notes: Vec<coordinator::Note>,
    pub coordinator_ended: bool,
    /// What the coordinator sends there is lost.
    deaf: Option<MachineId>,
    labels: BTreeMap<String, String>,
}

impl Cluster {
    /// A coordinator and daemons on these machines.
    pub fn new(machines: &[&str]) -> Self {
        let mut cluster = Self {
            now: ms(0),
            timing: Timing::default(),
            coordinator: None,
            coordinator_born: ms(0),
            disk: Ledger::default(),
            daemons: BTreeMap::new(),
            mail: VecDeque::new(),
            next_call: 0,
            answers: BTreeMap::new(),
            daemon_calls: BTreeMap::new(),
            notes: Vec::new(),
            coordinator_ended: false,
            deaf: None,
            labels: BTreeMap::new(),
        };
        cluster.start_coordinator();
        for name in machines {
            cluster.start_daemon(name);
        }
        cluster
    }

    pub fn start_coordinator(&mut self) {
        let epoch = Epoch::new();
        let state = coordinator::State::new(
            epoch,
            "0.7.0".into(),
            self.timing.clone(),
            self.disk.clone(),
        );
        self.coordinator = Some(state);
        self.coordinator_born = self.now;
        self.coordinator(coordinator::Event::Time);
        for name in self.daemons.keys().cloned().collect::<Vec<_>>() {
            self.daemon(&name, daemon::Event::CoordinatorSeen);
        }
        self.deliver();
    }

    pub fn kill_coordinator(&mut self) {
        self.coordinator = None;
    }

    /// Starts a daemon, or another life of it.
    pub fn start_daemon(&mut self, name: &str) {
        self.start_daemon_after(name, Vec::new());
    }

    /// The same after lives that have died.
    pub fn start_daemon_after(&mut self, name: &str, fallen: Vec<Fallen>) {
        let epoch = Epoch::new();
        let state = daemon::State::new(machine(name), epoch, self.info(), self.timing.clone());
        let state = state.after(fallen);
        let daemon = Daemon {
            state,
            epoch,
            born: self.now,
            does: Does::Well,
            cut: false,
            did: Vec::new(),
            exit: None,
            notes: Vec::new(),
            closed: Vec::new(),
            served: 0,
            again: None,
            joined: Vec::new(),
            placed: BTreeMap::new(),
            kinds: BTreeMap::new(),
        };
        self.daemons.insert(machine(name), daemon);
        self.daemon(&machine(name), daemon::Event::Time);
        self.deliver();
    }

    pub fn info(&self) -> MachineInfo {
        MachineInfo {
            protocol: PROTOCOL,
            version: "0.7.0".into(),
            host: "somewhere".into(),
            pid: 7,
            address: "tcp/127.0.0.1:7447".into(),
            labels: self.labels.clone(),
        }
    }

    pub fn kill_daemon(&mut self, name: &str) {
        self.daemons.remove(&machine(name));
    }

    pub fn at(&mut self, name: &str) -> &mut Daemon {
        self.daemons.get_mut(&machine(name)).expect("a daemon")
    }

    pub fn does(&mut self, name: &str, does: Does) {
        self.at(name).does = does;
    }

    /// The node kind that a machine finds for a node: its outputs and their types, then its inputs and theirs.
    pub fn kind(
        &mut self,
        name: &str,
        id: &str,
        outputs: &[(&str, &str)],
        inputs: &[(&str, &str)],
    ) {
        let ports = |ports: &[(&str, &str)]| {
            let port = |(name, data_type): &(&str, &str)| PortInfo {
                name: (*name).into(),
                description: String::new(),
                data_type: Some((*data_type).into()),
            };
            ports.iter().map(port).collect()
        };
        let kind = KindInfo {
            name: id.into(),
            description: String::new(),
            inputs: ports(inputs),
            outputs: ports(outputs),
            config_schema: None,
        };
        self.at(name).kinds.insert(node(id), kind);
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.deliver();
            let due = self.next_deadline().map(|at| at.max(self.now));
            match due.filter(|due| *due <= end) {
                Some(due) => {
                    // A machine that is asked for the same moment again and again would hang the test.
                    self.now = due.max(self.now + Duration::from_micros(1)).min(end);
                    self.tick();
                    if due == end && self.now == end {
                        break;
                    }
                }
                None => break,
            }
        }
        self.now = end;
        self.tick();
        self.deliver();
    }

    fn next_deadline(&self) -> Option<Duration> {
        let born = self.coordinator_born;
        let coordinator = self.coordinator.as_ref().and_then(|it| it.next_deadline());
        let daemons = self.daemons.values();
        let daemons = daemons.filter_map(|it| Some(it.state.next_deadline()? + it.born));
        daemons.chain(coordinator.map(|at| at + born)).min()
    }

    fn tick(&mut self) {
        self.coordinator(coordinator::Event::Time);
        for name in self.daemons.keys().cloned().collect::<Vec<_>>() {
            self.daemon(&name, daemon::Event::Time);
        }
    }

    pub fn coordinator(&mut self, event: coordinator::Event) {
        let now = self.now - self.coordinator_born;
        let Some(state) = &mut self.coordinator else {
            return;
        };
        for action in state.handle(event, now) {
            match action {
                coordinator::Action::Persist => self.disk = state.ledger().clone(),
                coordinator::Action::ReplyClient { call, reply } => {
                    let twice = self.answers.insert(call, *reply).is_some();
                    assert!(!twice, "a client is answered twice");
                }
                coordinator::Action::ReplyDaemon { call, reply } => {
                    self.daemon_calls.insert(call, reply);
                }
                coordinator::Action::Send {
                    send,
                    machine,
                    epoch,
                    request,
                } => {
                    let failed = coordinator::Event::Unanswered { send };
                    self.mail
                        .push_back(Mail::ToDaemon(failed, machine, epoch, *request));
                }
                coordinator::Action::Note(note) => self.notes.push(note),
                coordinator::Action::Exit => self.coordinator_ended = true,
            }
        }
    }

    pub fn daemon(&mut self, name: &MachineId, event: daemon::Event) -> Option<DaemonReply> {
        let daemon = self.daemons.get_mut(name)?;
        let mut replied = None;
        for action in daemon.state.handle(event, self.now - daemon.born) {
            match action {
                daemon::Action::Reply { reply, .. } => replied = Some(reply),
                daemon::Action::Send { send, request } => {
                    let mail = Mail::ToCoordinator(name.clone(), daemon.epoch, send, *request);
                    self.mail.push_back(mail);
                }
                daemon::Action::Note(note) => daemon.notes.push(note),
                daemon::Action::Exit(exit) => daemon.exit = Some(exit),
                daemon::Action::Serve { .. } => daemon.served += 1,
                daemon::Action::Logs { .. } => {}
                other => {
                    let epoch = daemon.epoch;
                    for (id, local) in daemon.perform(other, name) {
                        self.mail
                            .push_back(Mail::Local(name.clone(), epoch, id, local));
                    }
                }
            }
        }
        replied
    }

    /// Delivers everything that is under way.
    pub fn deliver(&mut self) {
        for _ in 0..10_000 {
            let Some(mail) = self.mail.pop_front() else {
                return;
            };
            match mail {
                Mail::ToDaemon(failed, name, epoch, request) => {
                    let there = self.daemons.get(&name);
                    let hears = self.deaf.as_ref() != Some(&name);
                    let there = there.is_some_and(|it| {
                        it.epoch == epoch && !it.cut && it.exit.is_none() && hears
                    });
                    let call = self.call();
                    let event = daemon::Event::Query { call, request };
                    let reply = there.then(|| self.daemon(&name, event)).flatten();
                    let event = match (reply, failed) {
                        (Some(reply), coordinator::Event::Unanswered { send }) => {
                            coordinator::Event::Answered { send, reply }
                        }
                        (_, failed) => failed,
                    };
                    self.coordinator(event);
                }
                Mail::ToCoordinator(name, epoch, send, request) => {
                    let daemon = self.daemons.get(&name);
                    let Some(daemon) = daemon.filter(|it| it.epoch == epoch) else {
                        continue;
                    };
                    let cut = daemon.cut;
                    let call = self.call();
                    if !cut {
                        self.coordinator(coordinator::Event::Daemon { call, request });
                    }
                    let event = match self.daemon_calls.remove(&call) {
                        Some(reply) => daemon::Event::Answered { send, reply },
                        None => daemon::Event::Unanswered { send },
                    };
                    self.daemon(&name, event);
                }
                Mail::Local(name, epoch, dataflow, local) => {
                    if self.daemons.get(&name).is_some_and(|it| it.epoch == epoch) {
                        self.daemon(&name, daemon::Event::Local { dataflow, local });
                    }
                }
            }
        }
        panic!("the messages never end");
    }

    /// The coordinator's answer to a query as if a daemon had asked.
    pub fn coordinator_reply(
        &mut self,
        call: CallId,
        request: CoordinatorRequest,
    ) -> CoordinatorReply {
        self.coordinator(coordinator::Event::Daemon { call, request });
        self.daemon_calls.remove(&call).expect("an answer at once")
    }

    pub fn coordinator_misses_sends_to(&mut self, name: &str) {
        self.deaf = Some(machine(name));
    }

    pub fn hears_again(&mut self) {
        self.deaf = None;
    }

    fn call(&mut self) -> CallId {
        self.next_call += 1;
        CallId(self.next_call)
    }

    /// A query of the `dora` command; the answer, if it is there at once.
    pub fn ask(&mut self, verb: Verb) -> Option<ClientReply> {
        self.ask_as(RequestId::new(), verb)
    }

    pub fn ask_as(&mut self, request: RequestId, verb: Verb) -> Option<ClientReply> {
        let call = self.call();
        let request = Box::new(ClientRequest { request, verb });
        self.coordinator(coordinator::Event::Client { call, request });
        self.deliver();
        self.answers.remove(&call)
    }

    /// A query that is repeated, as the command does, until it is answered in earnest.
    pub fn finish(&mut self, verb: Verb) -> ClientReply {
        let request = RequestId::new();
        for _ in 0..100 {
            let call = self.call();
            let query = Box::new(ClientRequest {
                request,
                verb: verb.clone(),
            });
            self.coordinator(coordinator::Event::Client {
                call,
                request: query,
            });
            self.deliver();
            for _ in 0..100 {
                match self.answers.remove(&call) {
                    Some(ClientReply::Pending(_)) => break,
                    Some(reply) => return reply,
                    None => self.pass(ms(50)),
                }
            }
        }
        panic!("never answered: {verb:?}");
    }

    pub fn start(&self, text: &str, name: Option<&str>) -> Start {
        Start {
            dataflow: DataflowId::new(),
            coordinator: self.coordinator.as_ref().expect("a coordinator").epoch(),
            descriptor: Descriptor::parse(text, Path::new("d.yml")).expect("a valid descriptor"),
            folder: "/somewhere".into(),
            name: name.map(str::to_owned),
            env: BTreeMap::new(),
        }
    }

    /// Starts a dataflow that starts.
    pub fn run(&mut self, text: &str, name: Option<&str>) -> DataflowId {
        let start = self.start(text, name);
        match self.finish(Verb::Start(Box::new(start))) {
            ClientReply::Start(Ok(started)) => started.dataflow,
            other => panic!("it does not start: {other:?}"),
        }
    }

    pub fn stop(&mut self, target: Target) -> ClientReply {
        self.finish(Verb::Stop {
            target,
            grace: ms(2000),
            force: false,
        })
    }

    /// What nodes of a machine do by themselves.
    pub fn local(&mut self, name: &str, dataflow: DataflowId, local: Local) {
        self.daemon(&machine(name), daemon::Event::Local { dataflow, local });
        self.deliver();
    }

    /// A node ends by itself.
    pub fn node_ends(&mut self, name: &str, dataflow: DataflowId, id: &str, end: NodeEnd) {
        let status = NodeStatus {
            state: NodeState::Ended(end),
            restarts: 0,
        };
        let node = node(id);
        self.local(name, dataflow, Local::Node { node, status });
    }

    /// All nodes of a machine end by themselves.
    pub fn all_end(&mut self, name: &str, dataflow: DataflowId, end: NodeEnd) {
        let rows = self.at(name).rows(dataflow, &machine(name), end);
        let took = ms(1);
        self.local(name, dataflow, Local::Over { rows, took });
    }

    /// Each running node as `node@machine: state`.
    pub fn nodes(&mut self) -> Vec<String> {
        match self.ask(Verb::Nodes(None)) {
            Some(ClientReply::Nodes(nodes)) => nodes
                .iter()
                .map(|it| format!("{}@{}: {}", it.node, it.machine, it.state))
                .collect(),
            other => panic!("no list of nodes: {other:?}"),
        }
    }

    /// Machines that have nodes of a dataflow.
    pub fn runs_on(&self, dataflow: DataflowId) -> Vec<String> {
        let runs = |daemon: &Daemon| daemon.placed.contains_key(&dataflow);
        let daemons = self.daemons.iter().filter(|(_, daemon)| runs(daemon));
        daemons.map(|(machine, _)| machine.to_string()).collect()
    }

    pub fn with_labels(mut self, name: &str, labels: &[(&str, &str)]) -> Self {
        let label = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        self.labels = labels.iter().map(label).collect();
        self.start_daemon(name);
        self.labels.clear();
        self
    }
}

impl Daemon {
    fn perform(&mut self, action: daemon::Action, here: &MachineId) -> Vec<(DataflowId, Local)> {
        let one = |id: DataflowId, local: Local| vec![(id, local)];
        match action {
            daemon::Action::Prepare(prepare) => {
                let id = prepare.dataflow;
                self.did.push("prepare".into());
                self.again.clone_from(&prepare.again);
                match self.does {
                    Does::Refuses => one(id, Local::Refused(refusal(here))),
                    Does::HangsInCheck => Vec::new(),
                    _ => {
                        let placed: Vec<NodeId> = prepare.placement.on(here).cloned().collect();
                        let kinds = self.kinds.clone().into_iter();
                        let kinds = kinds.filter(|(id, _)| placed.contains(id)).collect();
                        self.placed.insert(id, placed);
                        let warnings = Problems::default();
                        one(id, Local::Prepared { kinds, warnings })
                    }
                }
            }
            daemon::Action::Discard(id) => {
                self.did.push("discard".into());
                self.placed.remove(&id);
                Vec::new()
            }
            daemon::Action::Spawn { dataflow, .. } => {
                self.did.push("spawn".into());
                match self.does {
                    Does::NotMade => {
                        let end = NodeEnd::NotMade {
                            text: "no camera".into(),
                        };
                        self.over(dataflow, here, end)
                    }
                    Does::HangsInMaking => one(dataflow, Local::Linked),
                    Does::NotLinked => {
                        let mut told = one(dataflow, Local::Made);
                        told.extend(one(dataflow, Local::NotLinked(vec![missing()])));
                        told
                    }
                    _ => {
                        let mut told = one(dataflow, Local::Made);
                        told.extend(one(dataflow, Local::Linked));
                        told
                    }
                }
            }
            daemon::Action::Go(_) => {
                self.did.push("go".into());
                Vec::new()
            }
            daemon::Action::Stop { dataflow, grace } => {
                self.did.push(format!("stop in {grace:?}"));
                match self.does {
                    Does::GoesOn | Does::Stuck => Vec::new(),
                    _ => self.over(dataflow, here, NodeEnd::Stopped),
                }
            }
            daemon::Action::Abandon(id) => {
                self.did.push("abandon".into());
                match self.does {
                    Does::Stuck => Vec::new(),
                    _ => self.over(id, here, NodeEnd::Stuck),
                }
            }
            daemon::Action::CloseInputs { inputs, .. } => {
                let names = inputs.iter().map(|(node, input)| format!("{node}/{input}"));
                self.closed.extend(names);
                Vec::new()
            }
            daemon::Action::Tap(_) => {
                self.did.push("tap".into());
                Vec::new()
            }
            daemon::Action::Untap(_) => {
                self.did.push("untap".into());
                Vec::new()
            }
            daemon::Action::Again {
                machine,
                life,
                edges,
                ..
            } => {
                self.did.push(format!("again with {machine}"));
                self.joined.push((machine, life, edges));
                Vec::new()
            }
            other => panic!("not for the nodes: {other:?}"),
        }
    }

    fn over(&mut self, id: DataflowId, here: &MachineId, end: NodeEnd) -> Vec<(DataflowId, Local)> {
        let rows = self.rows(id, here, end);
        vec![(id, Local::Over { rows, took: ms(1) })]
    }

    fn rows(&mut self, id: DataflowId, here: &MachineId, end: NodeEnd) -> Vec<NodeRow> {
        let placed = self.placed.remove(&id).unwrap_or_default();
        let row = |node| NodeRow::bare(node, here.clone(), end.clone());
        placed.into_iter().map(row).collect()
    }
}

fn refusal(here: &MachineId) -> Problems {
    let mut problems = Problems::new(Path::new("d.yml"));
    problems.push(Problem {
        severity: Severity::Error,
        at: None,
        node: None,
        text: format!("a file is missing on {here}"),
    });
    problems
}

fn missing() -> MissingPeer {
    MissingPeer {
        node: node("a"),
        output: "out".parse().expect("a port"),
        machine: machine("B"),
        reader: node("b"),
        input: "in".parse().expect("a port"),
    }
}
