//! A daemon whose nodes pretend: it decides and talks as the real one, and says in the nodes' names what the test says.

use host::control::{
    CallId, CoordinatorReply, DaemonReply, DaemonRequest, Epoch, Fault, Hello, LogsRequest,
    MachineInfo, NodeEnd, NodeRow, PROTOCOL, RequestId, Role, SendId, Timing,
};
use host::daemon::{Action, Event, Local, State};
use host::descriptor::{Problem, Problems, Severity};
use host::ids::{DataflowId, MachineId, NodeId};
use host::link::{
    Address, Call, DaemonOptions, DataKey, Key, Link, Member, Output, OutputSpec, Sender, Served,
    Token,
};
use host::logs::{Level, Origin, Record};
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A daemon in a task.
pub struct Daemon {
    link: Link,
    tell: mpsc::UnboundedSender<Input>,
    task: JoinHandle<()>,
}

enum Input {
    Event(Event),
    Query(DaemonRequest, Call),
    /// A node logs a line.
    Line(DataflowId, String, String),
    /// An output that is looked at sends a message.
    Send(String),
    /// Nodes do not fit from now on.
    Refuse,
    /// Nothing is answered from now on.
    Freeze,
    /// Nodes do not stop from now on.
    Stubborn,
}

impl Daemon {
    pub async fn start(name: &str, coordinator: &Address) -> Self {
        let (machine, epoch): (MachineId, _) = (name.parse().unwrap(), Epoch::new());
        let me = Hello {
            role: Role::Daemon,
            protocol: PROTOCOL,
            version: "0.7.0".into(),
            machine: Some(machine.clone()),
            epoch: Some(epoch),
        };
        let options = DaemonOptions {
            coordinator: coordinator.clone(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            direct: true,
            shared_memory: false,
        };
        let link = Link::daemon(&options, me).await.unwrap();
        let info = MachineInfo {
            protocol: PROTOCOL,
            version: "0.7.0".into(),
            host: "somewhere".into(),
            pid: 7,
            address: String::new(),
            labels: BTreeMap::new(),
        };
        let (tell, inputs) = mpsc::unbounded_channel();
        let state = State::new(machine.clone(), epoch, info, Timing::default());
        let pretender = Pretender {
            machine,
            epoch,
            link: link.clone(),
            state,
            tell: tell.clone(),
            sender: Sender::new("test").unwrap(),
            began: Instant::now(),
            calls: HashMap::new(),
            placed: HashMap::new(),
            lines: Vec::new(),
            followers: Vec::new(),
            taps: HashMap::new(),
            served: None,
            refuses: false,
            stubborn: false,
            ended: false,
        };
        let task = tokio::spawn(pretender.run(inputs));
        Self { link, tell, task }
    }

    fn tell(&self, input: Input) {
        // One that has ended hears nothing.
        let _ = self.tell.send(input);
    }

    pub fn line(&self, dataflow: DataflowId, node: &str, text: &str) {
        self.tell(Input::Line(dataflow, node.into(), text.into()));
    }

    pub fn send(&self, text: &str) {
        self.tell(Input::Send(text.into()));
    }

    pub fn refuse(&self) {
        self.tell(Input::Refuse);
    }

    pub fn freeze(&self) {
        self.tell(Input::Freeze);
    }

    pub fn stubborn(&self) {
        self.tell(Input::Stubborn);
    }

    /// Waits until it was told to end and has.
    pub async fn ended(self) {
        self.task.await.unwrap();
    }

    /// Ends it as a kill does: without a word.
    pub async fn kill(self) {
        self.link.close().await;
        self.task.abort();
        let _ = self.task.await;
    }
}

struct Pretender {
    machine: MachineId,
    epoch: Epoch,
    link: Link,
    state: State,
    tell: mpsc::UnboundedSender<Input>,
    sender: Sender,
    began: Instant,
    calls: HashMap<CallId, Call>,
    placed: HashMap<DataflowId, Vec<NodeId>>,
    lines: Vec<Record>,
    followers: Vec<(LogsRequest, Output)>,
    taps: HashMap<RequestId, (DataflowId, Output)>,
    served: Option<(Served, Token)>,
    refuses: bool,
    stubborn: bool,
    ended: bool,
}

impl Pretender {
    async fn run(mut self, mut inputs: mpsc::UnboundedReceiver<Input>) {
        let _watch = self.link.watch({
            let tell = self.tell.clone();
            move |change| {
                if matches!(change, host::link::Change::Appeared(Member::Coordinator(_))) {
                    let _ = tell.send(Input::Event(Event::CoordinatorSeen));
                }
            }
        });
        self.handle(Event::Time).await;
        while !self.ended {
            let due = self
                .state
                .next_deadline()
                .map_or(Duration::from_secs(1), |due| {
                    due.saturating_sub(self.began.elapsed())
                });
            let due = due.max(Duration::from_millis(1));
            tokio::select! {
                input = inputs.recv() => match input.unwrap() {
                    Input::Freeze => std::future::pending().await,
                    input => self.input(input).await,
                },
                () = tokio::time::sleep(due) => self.handle(Event::Time).await,
            }
        }
        // As the real one, which ends its outputs before it goes.
        self.followers.clear();
        self.taps.clear();
        self.link.close().await;
    }

    async fn input(&mut self, input: Input) {
        match input {
            Input::Event(event) => self.handle(event).await,
            Input::Query(request, call) => {
                let id = CallId(self.calls.len() as u64 + self.began.elapsed().as_nanos() as u64);
                self.calls.insert(id, call);
                self.handle(Event::Query { call: id, request }).await;
            }
            Input::Line(dataflow, node, text) => self.line(dataflow, node, text),
            Input::Send(text) => {
                for (_, output) in self.taps.values() {
                    output.push(message(&text));
                }
            }
            Input::Refuse => self.refuses = true,
            Input::Stubborn => self.stubborn = true,
            Input::Freeze => {}
        }
    }

    async fn handle(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.state.handle(event, self.began.elapsed()) {
                events.extend(self.perform(action).await);
            }
        }
    }

    async fn perform(&mut self, action: Action) -> Option<Event> {
        let local = |dataflow, local| Some(Event::Local { dataflow, local });
        match action {
            Action::Reply { call, reply } => {
                let call = self.calls.remove(&call).unwrap();
                call.reply_and_wait("answer", &reply).await;
                None
            }
            Action::Logs { call, request } => {
                let call = self.calls.remove(&call).unwrap();
                let reply = self.logs(request);
                call.reply_and_wait("answer", &reply).await;
                None
            }
            Action::Send { send, request } => {
                self.send(send, *request);
                None
            }
            Action::Serve { .. } => {
                self.serve();
                None
            }
            Action::Prepare(prepare) if self.refuses => {
                let mut problems = Problems::new(Path::new("d.yml"));
                problems.push(Problem {
                    severity: Severity::Error,
                    at: None,
                    node: None,
                    text: format!("a file is missing on {}", self.machine),
                });
                local(prepare.dataflow, Local::Refused(problems))
            }
            Action::Prepare(prepare) => {
                let nodes = prepare.placement.on(&self.machine).cloned().collect();
                self.placed.insert(prepare.dataflow, nodes);
                let prepared = Local::Prepared {
                    kinds: BTreeMap::new(),
                    warnings: Problems::default(),
                };
                local(prepare.dataflow, prepared)
            }
            Action::Spawn { dataflow, .. } => {
                let linked = Event::Local {
                    dataflow,
                    local: Local::Linked,
                };
                let _ = self.tell.send(Input::Event(linked));
                local(dataflow, Local::Made)
            }
            Action::Stop { .. } if self.stubborn => None,
            Action::Stop { dataflow, .. } | Action::Abandon(dataflow) => {
                let over = self.over(dataflow);
                local(dataflow, over)
            }
            Action::Tap(request) => {
                let key = DataKey::tap(&self.machine, request.tap);
                let output = self.output(key);
                self.taps.insert(request.tap, (request.dataflow, output));
                None
            }
            Action::Untap(tap) => {
                self.taps.remove(&tap);
                None
            }
            Action::Exit(_) => {
                self.ended = true;
                None
            }
            Action::Discard(_)
            | Action::Go(_)
            | Action::CloseInputs { .. }
            | Action::PeerLost { .. }
            | Action::Again { .. }
            | Action::Note(_) => None,
        }
    }

    fn send(&self, send: SendId, request: host::control::CoordinatorRequest) {
        let (link, tell) = (self.link.clone(), self.tell.clone());
        tokio::spawn(async move {
            let key = Key::for_daemons();
            let asked = link.call::<_, CoordinatorReply>(
                "the coordinator",
                &key,
                &request,
                Timing::default().query,
            );
            let event = match asked.await {
                Ok(reply) => Event::Answered { send, reply },
                Err(_) => Event::Unanswered { send },
            };
            let _ = tell.send(Input::Event(event));
        });
    }

    fn serve(&mut self) {
        self.served = None;
        let key = Key::at_daemon(&self.machine, self.epoch);
        let tell = self.tell.clone();
        let served = self.link.serve(
            &key,
            "request",
            move |request: Result<DaemonRequest, Fault>, call| {
                let _ = tell.send(Input::Query(request.unwrap(), call));
            },
        );
        let token = Member::Daemon(self.machine.clone(), self.epoch);
        let token = self.link.show(&token).unwrap();
        self.served = Some((served.unwrap(), token));
    }

    fn over(&mut self, dataflow: DataflowId) -> Local {
        self.line(dataflow, "a".into(), "the last words".into());
        self.followers
            .retain(|(request, _)| request.dataflow != dataflow);
        self.taps.retain(|_, (of, _)| *of != dataflow);
        let nodes = self.placed.remove(&dataflow).unwrap_or_default();
        let row = |node| NodeRow::bare(node, self.machine.clone(), NodeEnd::Stopped);
        Local::Over {
            rows: nodes.into_iter().map(row).collect(),
            took: Duration::from_millis(1),
        }
    }

    fn line(&mut self, dataflow: DataflowId, node: String, text: String) {
        let origin = Origin {
            dataflow: Some(dataflow.uuid()),
            node: Some(node.clone()),
            library: None,
            machine: Some(self.machine.to_string()),
        };
        let record = Record::new(Level::Info, "test", text).by(origin);
        for (request, output) in &self.followers {
            let wanted = request.node.as_ref();
            if request.dataflow == dataflow && wanted.is_none_or(|it| it.as_str() == node) {
                output.push(message(&record.to_json()));
            }
        }
        self.lines.push(record);
    }

    fn logs(&mut self, request: LogsRequest) -> DaemonReply {
        let runs = self.placed.contains_key(&request.dataflow);
        let known = |id| {
            let mut followers = self.followers.iter();
            followers.any(|(it, _)| it.follow == Some(id))
        };
        if let Some(id) = request.follow.filter(|id| !known(*id)) {
            let output = self.output(DataKey::tap(&self.machine, id));
            if runs {
                self.followers.push((request.clone(), output));
            } else {
                output.close();
            }
        }
        let wanted = |record: &&Record| {
            let node = request.node.as_ref().map(NodeId::as_str);
            record.dataflow == Some(request.dataflow.uuid())
                && node.is_none_or(|node| record.node.as_deref() == Some(node))
        };
        let lines: Vec<_> = self.lines.iter().filter(wanted).collect();
        let tail = request.tail.map_or(lines.len(), |tail| tail as usize);
        let lines = &lines[lines.len().saturating_sub(tail)..];
        let value = |record: &&Record| serde_json::to_value(record).unwrap();
        DaemonReply::Logs(lines.iter().map(value).collect())
    }

    fn output(&self, key: DataKey) -> Output {
        let spec = OutputSpec {
            key,
            readers: BTreeMap::new(),
            capacity: 1024,
            failed: Box::new(|reason| panic!("{reason}")),
        };
        self.link.output(&self.sender, spec).unwrap()
    }
}

fn message(text: &str) -> Message {
    let stamp = Timestamp::new(SystemTime::now(), [0; 16]);
    Message::from_text(stamp, text, &[]).unwrap()
}
