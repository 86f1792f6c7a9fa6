//! Processes and the network between them, in simulated time.

use crate::check;
use crate::engine::{Engine, Faults};
use crate::random::Random;
use host::control::{
    CallId, ClientReply, ClientRequest, CoordinatorReply, CoordinatorRequest, DaemonReply,
    DaemonRequest, Epoch, Fallen, MachineInfo, PROTOCOL, RequestId, SendId, Start, Target, Timing,
    Verb, decode, encode,
};
use host::coordinator::{self, Ledger};
use host::daemon::{self, Exit, Local};
use host::descriptor::Descriptor;
use host::ids::{DataflowId, MachineId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt::Debug;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chaos {
    Nothing,
    Messages,
    Daemons,
    Coordinator,
    Everything,
}

impl Chaos {
    fn messages(self) -> bool {
        self != Self::Nothing
    }

    fn daemons(self) -> bool {
        matches!(self, Self::Daemons | Self::Everything)
    }

    fn coordinator(self) -> bool {
        matches!(self, Self::Coordinator | Self::Everything)
    }
}

const MACHINES: [&str; 4] = ["A", "B", "C", "D"];

/// How long things go wrong.
const STORM: Duration = Duration::from_secs(8);

/// All must agree by then.
const END: Duration = Duration::from_secs(60);

pub fn timing() -> Timing {
    let ms = Duration::from_millis;
    Timing {
        prepare: ms(4_000),
        spawn: ms(4_000),
        go: ms(3_000),
        grace: ms(1_500),
        undo: ms(800),
        stop: ms(3_000),
        recovery: ms(3_000),
        lease: ms(12_000),
        settle: ms(300),
        settle_waited: ms(300),
        give_up: ms(15_000),
        ..Timing::default()
    }
}

/// A chain of nodes, one per machine, the first ones without a machine of their own.
static GRAPHS: LazyLock<Vec<Descriptor>> = LazyLock::new(|| {
    (1..=MACHINES.len())
        .map(|count| {
            let mut text = String::from("nodes:\n");
            for (index, machine) in MACHINES.iter().take(count).enumerate() {
                text += &format!("  - id: n{index}\n    path: x\n    outputs: [out]\n");
                text += "    restart_policy: always\n";
                if index > 0 {
                    text += &format!("    deploy: {{machine: {machine}}}\n");
                    text += &format!("    inputs: {{in: n{}/out}}\n", index - 1);
                }
            }
            Descriptor::parse(&text, Path::new("d.yml")).expect("a valid graph")
        })
        .collect()
});

pub struct World {
    pub random: Random,
    pub chaos: Chaos,
    pub now: Duration,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, Item>,
    next: u64,
    pub coordinator: Option<Coordinator>,
    disk: Ledger,
    pub daemons: Vec<Daemon>,
    pub clients: Vec<Client>,
    /// By query: who waits for its answer.
    calls: BTreeMap<CallId, Asker>,
    /// Messages of the storm that are still under way.
    late: usize,
    wire: bool,
}

pub struct Coordinator {
    pub state: coordinator::State,
    epoch: Epoch,
    born: Duration,
    frozen: Duration,
    pub unanswered: BTreeSet<CallId>,
    waiting: BTreeSet<SendId>,
    timer: Option<Duration>,
}

pub struct Daemon {
    pub machine: MachineId,
    pub epoch: Epoch,
    pub state: Option<daemon::State>,
    pub engine: Engine,
    born: Duration,
    frozen: Duration,
    cut: bool,
    waiting: BTreeSet<SendId>,
    timer: Option<Duration>,
    /// It stays dead until the storm is over.
    retired: bool,
    /// It has had a life before.
    lived: bool,
}

pub struct Client {
    pub request: ClientRequest,
    pub began: bool,
    pub reply: Option<ClientReply>,
    /// Answers to earlier repetitions do not count.
    turn: u64,
}

#[derive(Debug, Clone)]
enum Asker {
    Coordinator(Epoch, SendId),
    Daemon(usize, Epoch, SendId),
    Client(usize, u64),
}

#[derive(Debug, Clone)]
enum Item {
    ToCoordinator(Asker, Box<CoordinatorRequest>, bool),
    ClientQuery(Asker, Box<ClientRequest>, bool),
    ToDaemon(usize, Epoch, Asker, Box<DaemonRequest>, bool),
    CoordinatorAnswer(Asker, Box<CoordinatorReply>, bool),
    DaemonAnswer(Asker, Box<DaemonReply>, bool),
    ClientAnswer(Asker, Box<ClientReply>, bool),
    Unanswered(Asker),
    CoordinatorTimer(Epoch),
    DaemonTimer(usize, Epoch),
    Local(usize, Epoch, DataflowId, Box<Local>),
    Token(usize, Epoch, bool),
    PeerToken(usize, usize, Epoch, bool),
    CoordinatorSeen(usize),
    Client(usize),
    CrashDaemon(usize),
    StartDaemon(usize),
    FreezeDaemon(usize),
    CutDaemon(usize),
    HealDaemon(usize),
    EndDaemon(usize),
    CrashCoordinator,
    StartCoordinator,
    FreezeCoordinator,
}

impl World {
    pub fn new(seed: u64, chaos: Chaos) -> Self {
        let mut random = Random::new(seed);
        let daemons = match random.below(10) {
            0..3 => 1,
            3..7 => 2,
            7..9 => 3,
            _ => 4,
        };
        let mut world = Self {
            random,
            chaos,
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next: 0,
            coordinator: None,
            disk: Ledger::default(),
            daemons: Vec::new(),
            clients: Vec::new(),
            calls: BTreeMap::new(),
            late: 0,
            // Every message as JSON and back is slow, so only in some schedules.
            wire: seed.is_multiple_of(50),
        };
        for machine in MACHINES.iter().take(daemons) {
            let daemon = Daemon {
                machine: machine.parse().expect("a machine"),
                epoch: Epoch::from_uuid(world.random.uuid()),
                state: None,
                engine: Engine::default(),
                born: Duration::ZERO,
                frozen: Duration::ZERO,
                cut: false,
                waiting: BTreeSet::new(),
                timer: None,
                retired: false,
                lived: false,
            };
            world.daemons.push(daemon);
        }
        world.script();
        world
    }

    /// What will happen, as far as it does not follow from what happens.
    fn script(&mut self) {
        let at = self.random.ms(0, 300);
        self.at(at, Item::StartCoordinator);
        for daemon in 0..self.daemons.len() {
            let at = self.random.ms(0, 300);
            self.at(at, Item::StartDaemon(daemon));
        }
        self.wishes();
        for daemon in 0..self.daemons.len() {
            if self.chaos.daemons() && self.random.permille(700) {
                let at = self.random.ms(300, 7000);
                let item = match self.random.below(5) {
                    0 | 1 => Item::CrashDaemon(daemon),
                    2 => Item::FreezeDaemon(daemon),
                    3 => Item::CutDaemon(daemon),
                    _ => Item::EndDaemon(daemon),
                };
                self.at(at, item);
            }
        }
        if self.chaos.coordinator() {
            for _ in 0..1 + self.random.below(2) {
                let at = self.random.ms(300, 7000);
                let item = match self.random.permille(750) {
                    true => Item::CrashCoordinator,
                    false => Item::FreezeCoordinator,
                };
                self.at(at, item);
            }
        }
    }

    /// What users will ask for.
    fn wishes(&mut self) {
        let mut started: Vec<(DataflowId, Option<String>)> = Vec::new();
        for _ in 0..2 + self.random.below(3) {
            let dataflow = DataflowId::from_uuid(self.random.uuid());
            let grace = self.random.ms(0, 1200);
            let force = self.random.permille(200);
            let wish = self.random.below(10);
            let target = match started.get(self.random.below(started.len())) {
                Some((_, Some(name))) if self.random.permille(400) => Target::Name(name.clone()),
                Some((id, _)) => Target::Id(*id),
                None => Target::Only,
            };
            let verb = match wish {
                _ if started.is_empty() => self.start(dataflow),
                0..3 => self.start(dataflow),
                3..7 => Verb::Stop {
                    target,
                    grace,
                    force,
                },
                7 => Verb::Restart {
                    target,
                    dataflow,
                    grace,
                    force,
                },
                8 => Verb::Wait(started[0].0),
                _ => Verb::List,
            };
            if let Verb::Start(start) = &verb {
                started.push((start.dataflow, start.name.clone()));
            }
            let request = RequestId::from_uuid(self.random.uuid());
            self.clients.push(Client {
                request: ClientRequest { request, verb },
                began: false,
                reply: None,
                turn: 0,
            });
            let from = match self.chaos {
                // All daemons are there by then.
                Chaos::Nothing => 2000,
                _ => 200,
            };
            let at = self.random.ms(from, 6500);
            self.at(at, Item::Client(self.clients.len() - 1));
        }
    }

    fn start(&mut self, dataflow: DataflowId) -> Verb {
        let graph = self.random.below(self.daemons.len());
        let name = self.random.permille(600);
        Verb::Start(Box::new(Start {
            dataflow,
            coordinator: Epoch::from_uuid(uuid::Uuid::nil()),
            descriptor: GRAPHS[graph].clone(),
            folder: "/somewhere".into(),
            name: name.then(|| format!("arm {}", self.random.below(2))),
            env: BTreeMap::new(),
        }))
    }

    fn at(&mut self, at: Duration, item: Item) {
        self.queue.push(Reverse((at, self.next)));
        self.events.insert(self.next, item);
        self.next += 1;
    }

    fn after(&mut self, wait: Duration, item: Item) {
        self.at(self.now + wait, item);
    }

    fn storm(&self) -> bool {
        self.now < STORM
    }

    /// Runs to the end: all agree, and go on doing so.
    pub fn run(mut self) {
        let mut healed = false;
        let mut calm = 0;
        let mut look = STORM;
        while let Some(Reverse((at, key))) = self.queue.pop() {
            self.now = at;
            if !healed && !self.storm() {
                healed = true;
                self.heal();
            }
            let item = self.events.remove(&key).expect("an event");
            self.happen(item);
            if self.now >= look && healed {
                look = self.now + Duration::from_millis(500);
                calm = match self.late == 0 && check::agree(&self).is_ok() {
                    true => calm + 1,
                    false => 0,
                };
                if calm == 3 {
                    break;
                }
                assert!(
                    self.now < END,
                    "no agreement: {}",
                    check::agree(&self).expect_err("none")
                );
            }
        }
        check::promises(&self);
    }

    /// The storm is over: the network is whole and all processes run.
    fn heal(&mut self) {
        for daemon in 0..self.daemons.len() {
            if self.daemons[daemon].cut {
                self.happen(Item::HealDaemon(daemon));
            }
            // Some machines never come back.
            let dead = self.daemons[daemon].state.is_none();
            if dead && self.daemons.len() > 1 && self.random.permille(200) {
                self.daemons[daemon].retired = true;
            } else if dead {
                self.after(Duration::from_millis(10), Item::StartDaemon(daemon));
            }
        }
        if self.coordinator.is_none() {
            self.after(Duration::from_millis(20), Item::StartCoordinator);
        }
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::ToCoordinator(asker, request, stormy) => {
                self.late -= usize::from(stormy);
                let request = *request;
                self.tell_coordinator(asker, |call| coordinator::Event::Daemon { call, request });
            }
            Item::ClientQuery(asker, request, stormy) => {
                self.late -= usize::from(stormy);
                self.tell_coordinator(asker, |call| coordinator::Event::Client { call, request });
            }
            Item::ToDaemon(daemon, epoch, asker, request, stormy) => {
                self.late -= usize::from(stormy);
                self.tell_daemon(daemon, epoch, asker, *request);
            }
            Item::CoordinatorAnswer(asker, reply, stormy) => {
                self.late -= usize::from(stormy);
                if let Asker::Daemon(daemon, epoch, send) = asker
                    && self.is_life(daemon, epoch)
                    && self.daemons[daemon].waiting.remove(&send)
                {
                    let reply = *reply;
                    self.daemon(daemon, daemon::Event::Answered { send, reply });
                }
            }
            Item::DaemonAnswer(asker, reply, stormy) => {
                self.late -= usize::from(stormy);
                if let Asker::Coordinator(epoch, send) = asker
                    && self.ends_waiting(epoch, send)
                {
                    let reply = *reply;
                    self.coordinator(coordinator::Event::Answered { send, reply });
                }
            }
            Item::ClientAnswer(asker, reply, stormy) => {
                self.late -= usize::from(stormy);
                self.client_answer(asker, *reply);
            }
            Item::Unanswered(asker) => self.unanswered(asker),
            Item::CoordinatorTimer(epoch) => {
                if self
                    .coordinator
                    .as_ref()
                    .is_some_and(|it| it.epoch == epoch)
                {
                    self.coordinator(coordinator::Event::Time);
                }
            }
            Item::DaemonTimer(daemon, epoch) => {
                if self.is_life(daemon, epoch) {
                    self.daemon(daemon, daemon::Event::Time);
                }
            }
            Item::Local(daemon, epoch, dataflow, local) => {
                if self.is_life(daemon, epoch) && self.daemons[daemon].engine.tell(dataflow, &local)
                {
                    let local = *local;
                    self.daemon(daemon, daemon::Event::Local { dataflow, local });
                }
            }
            Item::Token(daemon, epoch, there) => {
                let machine = self.daemons[daemon].machine.clone();
                if self.coordinator.is_some() {
                    self.coordinator(match there {
                        true => coordinator::Event::TokenSeen { machine, epoch },
                        false => coordinator::Event::TokenGone { machine, epoch },
                    });
                }
            }
            Item::PeerToken(to, of, epoch, there) => {
                let machine = self.daemons[of].machine.clone();
                if self.daemons[to].state.is_some() {
                    self.daemon(
                        to,
                        match there {
                            true => daemon::Event::PeerSeen { machine, epoch },
                            false => daemon::Event::PeerGone { machine, epoch },
                        },
                    );
                }
            }
            Item::CoordinatorSeen(daemon) => {
                if self.daemons[daemon].state.is_some() {
                    self.daemon(daemon, daemon::Event::CoordinatorSeen);
                }
            }
            Item::Client(client) => self.ask(client),
            other => self.fate(other),
        }
    }

    fn end_daemon(&mut self, daemon: usize) {
        if self.daemons[daemon].state.is_some() {
            let grace = Duration::from_millis(300);
            self.daemon(daemon, daemon::Event::Shutdown { grace });
        }
    }

    fn crash_coordinator(&mut self) {
        if self.coordinator.take().is_some() {
            let wait = self.random.ms(100, 4000);
            self.after(wait, Item::StartCoordinator);
        }
    }

    /// What happens to processes.
    fn fate(&mut self, item: Item) {
        match item {
            Item::CrashDaemon(daemon) => self.crash_daemon(daemon),
            Item::StartDaemon(daemon) => self.start_daemon(daemon),
            Item::EndDaemon(daemon) => self.end_daemon(daemon),
            Item::FreezeDaemon(daemon) => {
                let frozen = self.now + self.random.ms(200, 6000);
                self.daemons[daemon].frozen = frozen;
                self.token(daemon, false, Duration::from_secs(2));
            }
            Item::CutDaemon(daemon) => {
                self.daemons[daemon].cut = true;
                self.token(daemon, false, Duration::from_secs(2));
                let wait = self.random.ms(300, 7000);
                self.after(wait, Item::HealDaemon(daemon));
            }
            Item::HealDaemon(daemon) => {
                self.daemons[daemon].cut = false;
                self.token(daemon, true, Duration::from_millis(20));
            }
            Item::CrashCoordinator => self.crash_coordinator(),
            Item::StartCoordinator => self.start_coordinator(),
            Item::FreezeCoordinator => {
                let frozen = self.now + self.random.ms(200, 6000);
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.frozen = frozen;
                }
            }
            _ => {}
        }
    }

    fn is_life(&self, daemon: usize, epoch: Epoch) -> bool {
        self.daemons[daemon].state.is_some() && self.daemons[daemon].epoch == epoch
    }

    fn ends_waiting(&mut self, epoch: Epoch, send: SendId) -> bool {
        let coordinator = self.coordinator.as_mut();
        coordinator.is_some_and(|it| it.epoch == epoch && it.waiting.remove(&send))
    }

    fn unanswered(&mut self, asker: Asker) {
        match asker {
            Asker::Coordinator(epoch, send) => {
                if self.ends_waiting(epoch, send) {
                    self.coordinator(coordinator::Event::Unanswered { send });
                }
            }
            Asker::Daemon(daemon, epoch, send) => {
                if self.is_life(daemon, epoch) && self.daemons[daemon].waiting.remove(&send) {
                    self.daemon(daemon, daemon::Event::Unanswered { send });
                }
            }
            Asker::Client(client, turn) => {
                let it = &self.clients[client];
                if it.reply.is_none() && it.turn == turn {
                    self.ask(client);
                }
            }
        }
    }

    /// A message goes over the network: lost, late or twice, as it happens.
    fn carry(&mut self, daemon: Option<usize>, item: impl Fn(bool) -> Item) {
        let stormy = self.storm() && self.chaos.messages();
        let cut = daemon.is_some_and(|daemon| self.daemons[daemon].cut);
        if cut || (stormy && self.random.permille(80)) {
            return;
        }
        let copies = match stormy && self.random.permille(80) {
            true => 2,
            false => 1,
        };
        for _ in 0..copies {
            let delay = match stormy && self.random.permille(60) {
                true => self.random.ms(50, 3000),
                false => self.random.ms(1, 30),
            };
            self.late += usize::from(stormy);
            self.after(delay, item(stormy));
        }
    }

    /// In some schedules every message goes through JSON.
    fn wired<T: Serialize + DeserializeOwned + PartialEq + Debug>(&self, value: T) -> T {
        if !self.wire {
            return value;
        }
        let bytes = encode("a message", &value).expect("it can be written");
        let back: T = decode("a message", &bytes).expect("it can be read");
        assert_eq!(back, value, "a message changes on its way");
        back
    }

    fn call(&mut self, asker: Asker) -> CallId {
        let call = CallId(self.next);
        self.next += 1;
        self.calls.insert(call, asker);
        call
    }

    fn tell_coordinator(&mut self, asker: Asker, event: impl FnOnce(CallId) -> coordinator::Event) {
        if self.coordinator.is_none() {
            return;
        }
        let call = self.call(asker);
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.unanswered.insert(call);
        }
        self.coordinator(event(call));
    }

    fn tell_daemon(&mut self, daemon: usize, epoch: Epoch, asker: Asker, request: DaemonRequest) {
        if self.is_life(daemon, epoch) {
            let call = self.call(asker);
            self.daemon(daemon, daemon::Event::Query { call, request });
        }
    }

    /// The coordinator handles an event and does what it decides.
    fn coordinator(&mut self, event: coordinator::Event) {
        let now = self.now;
        let Some(it) = &mut self.coordinator else {
            return;
        };
        if now < it.frozen {
            // Everything waits until it runs again.
            return self.defer_coordinator(event);
        }
        let actions = it.state.handle(event, now - it.born);
        let mut count = actions.len();
        if self.chaos.coordinator() && self.storm() && self.random.permille(2) {
            // A crash between two actions.
            count = self.random.below(count + 1);
        }
        let all = actions.len();
        for action in actions.into_iter().take(count) {
            self.coordinator_does(action);
        }
        if count < all {
            return self.fate(Item::CrashCoordinator);
        }
        self.coordinator_timer();
    }

    fn defer_coordinator(&mut self, event: coordinator::Event) {
        let Some(it) = &mut self.coordinator else {
            return;
        };
        let (at, epoch) = (it.frozen, it.epoch);
        match event {
            // Those are lost in a driver that takes no more; the asker hears nothing.
            coordinator::Event::Client { call, .. } | coordinator::Event::Daemon { call, .. } => {
                it.unanswered.remove(&call);
                self.calls.remove(&call);
            }
            coordinator::Event::Answered { send, .. } | coordinator::Event::Unanswered { send } => {
                it.waiting.insert(send);
                self.at(at, Item::Unanswered(Asker::Coordinator(epoch, send)));
            }
            _ => self.at(at, Item::CoordinatorTimer(epoch)),
        }
    }

    fn coordinator_does(&mut self, action: coordinator::Action) {
        let Some(it) = &mut self.coordinator else {
            return;
        };
        match action {
            coordinator::Action::Persist => self.disk = it.state.ledger().clone(),
            coordinator::Action::ReplyClient { call, reply } => {
                assert!(it.unanswered.remove(&call), "a client is answered twice");
                let asker = self.calls.remove(&call).expect("who asked");
                let reply = self.wired(reply);
                self.carry(None, |stormy| {
                    Item::ClientAnswer(asker.clone(), reply.clone(), stormy)
                });
            }
            coordinator::Action::ReplyDaemon { call, reply } => {
                assert!(it.unanswered.remove(&call), "a daemon is answered twice");
                let asker = self.calls.remove(&call).expect("who asked");
                let reply = Box::new(self.wired(reply));
                let Asker::Daemon(daemon, ..) = asker else {
                    panic!("not a daemon's query");
                };
                self.carry(Some(daemon), |stormy| {
                    Item::CoordinatorAnswer(asker.clone(), reply.clone(), stormy)
                });
            }
            coordinator::Action::Send {
                send,
                machine,
                epoch,
                request,
            } => {
                it.waiting.insert(send);
                let asker = Asker::Coordinator(it.epoch, send);
                let request = self.wired(request);
                let to = self.daemons.iter().position(|it| it.machine == machine);
                let to = to.expect("a daemon");
                // A life that has ended is known not to answer.
                let wait = match self.is_life(to, epoch) {
                    true => timing().query,
                    false => Duration::from_millis(5),
                };
                self.after(wait, Item::Unanswered(asker.clone()));
                self.carry(Some(to), |stormy| {
                    Item::ToDaemon(to, epoch, asker.clone(), request.clone(), stormy)
                });
            }
            coordinator::Action::Note(_) => {}
            coordinator::Action::Exit => panic!("nobody has asked the coordinator to end"),
        }
    }

    fn coordinator_timer(&mut self) {
        let now = self.now;
        let Some(it) = &mut self.coordinator else {
            return;
        };
        let due = it.state.next_deadline().map(|at| (at + it.born).max(now));
        if let Some(due) = due
            && it.timer.is_none_or(|timer| due < timer || timer <= now)
        {
            it.timer = Some(due);
            let epoch = it.epoch;
            self.at(due, Item::CoordinatorTimer(epoch));
        }
    }

    /// A daemon handles an event and does what it decides.
    fn daemon(&mut self, daemon: usize, event: daemon::Event) {
        let now = self.now;
        let it = &mut self.daemons[daemon];
        let Some(state) = &mut it.state else {
            return;
        };
        if now < it.frozen {
            return self.defer_daemon(daemon, event);
        }
        let actions = state.handle(event, now - it.born);
        for action in actions {
            self.daemon_does(daemon, action);
        }
        self.daemon_timer(daemon);
    }

    fn defer_daemon(&mut self, daemon: usize, event: daemon::Event) {
        let it = &mut self.daemons[daemon];
        let (at, epoch) = (it.frozen, it.epoch);
        match event {
            daemon::Event::Query { call, .. } => {
                self.calls.remove(&call);
            }
            daemon::Event::Answered { send, .. } | daemon::Event::Unanswered { send } => {
                it.waiting.insert(send);
                self.at(at, Item::Unanswered(Asker::Daemon(daemon, epoch, send)));
            }
            daemon::Event::Local { dataflow, local } => {
                // Its nodes are frozen with it.
                if let (Local::Over { .. }, Some(run)) = (&local, it.engine.runs.get_mut(&dataflow))
                {
                    run.over = false;
                }
                self.at(at, Item::Local(daemon, epoch, dataflow, Box::new(local)));
            }
            _ => self.at(at, Item::DaemonTimer(daemon, epoch)),
        }
    }

    fn daemon_does(&mut self, daemon: usize, action: daemon::Action) {
        let faults = Faults(match self.chaos {
            Chaos::Nothing => 0,
            _ => 100,
        });
        let it = &mut self.daemons[daemon];
        let epoch = it.epoch;
        match action {
            daemon::Action::Reply { call, reply } => {
                let asker = self.calls.remove(&call).expect("who asked, once");
                let reply = Box::new(self.wired(reply));
                self.carry(Some(daemon), |stormy| {
                    Item::DaemonAnswer(asker.clone(), reply.clone(), stormy)
                });
            }
            daemon::Action::Send { send, request } => {
                it.waiting.insert(send);
                let asker = Asker::Daemon(daemon, epoch, send);
                let request = self.wired(request);
                let wait = match self.coordinator.is_some() {
                    true => timing().query,
                    false => Duration::from_millis(5),
                };
                self.after(wait, Item::Unanswered(asker.clone()));
                self.carry(Some(daemon), |stormy| {
                    Item::ToCoordinator(asker.clone(), request.clone(), stormy)
                });
            }
            daemon::Action::Exit(why) => {
                assert_eq!(
                    why,
                    Exit::Stopped,
                    "no two daemons have one machine id here"
                );
                let lives = it.engine.runs.values().any(|run| run.lives());
                assert!(!lives, "a daemon ends while nodes run");
                self.crash_daemon(daemon);
            }
            other => {
                let machine = it.machine.clone();
                let later = it
                    .engine
                    .perform(&other, &machine, &mut self.random, faults);
                for (wait, dataflow, local) in later {
                    self.after(wait, Item::Local(daemon, epoch, dataflow, Box::new(local)));
                }
            }
        }
    }

    fn daemon_timer(&mut self, daemon: usize) {
        let now = self.now;
        let it = &mut self.daemons[daemon];
        let due = it.state.as_ref().and_then(daemon::State::next_deadline);
        let due = due.map(|at| (at + it.born).max(now));
        if let Some(due) = due
            && it.timer.is_none_or(|timer| due < timer || timer <= now)
        {
            it.timer = Some(due);
            let epoch = it.epoch;
            self.at(due, Item::DaemonTimer(daemon, epoch));
        }
    }

    fn crash_daemon(&mut self, daemon: usize) {
        let it = &mut self.daemons[daemon];
        if it.state.take().is_none() {
            return;
        }
        it.engine = Engine::default();
        it.waiting.clear();
        it.timer = None;
        it.frozen = Duration::ZERO;
        self.token(daemon, false, Duration::from_millis(4));
        if self.random.permille(700) {
            let wait = self.random.ms(100, 5000);
            self.after(wait, Item::StartDaemon(daemon));
        }
    }

    fn start_daemon(&mut self, daemon: usize) {
        let epoch = Epoch::from_uuid(self.random.uuid());
        // Some have a guard that has seen the last one die.
        let guarded = self.random.permille(700);
        let it = &mut self.daemons[daemon];
        if it.state.is_some() || it.retired {
            return;
        }
        let info = MachineInfo {
            protocol: PROTOCOL,
            version: "0.7.0".into(),
            host: "here".into(),
            pid: 1,
            address: String::new(),
            labels: BTreeMap::new(),
        };
        let last = Fallen {
            epoch: it.epoch,
            how: "SIGSEGV".into(),
            culprit: None,
        };
        let fallen = std::mem::replace(&mut it.lived, true) && guarded;
        let state = daemon::State::new(it.machine.clone(), epoch, info, timing());
        let state = state.after(fallen.then_some(last).into_iter().collect());
        it.epoch = epoch;
        it.state = Some(state);
        it.born = self.now;
        self.daemon(daemon, daemon::Event::Time);
    }

    /// A daemon's token appears or disappears, for those who are told.
    fn token(&mut self, daemon: usize, there: bool, wait: Duration) {
        let epoch = self.daemons[daemon].epoch;
        let known = |world: &mut Self| world.random.permille(800);
        if known(self) {
            self.after(wait, Item::Token(daemon, epoch, there));
        }
        for other in 0..self.daemons.len() {
            if other != daemon && known(self) {
                self.after(wait, Item::PeerToken(other, daemon, epoch, there));
                let other_epoch = self.daemons[other].epoch;
                if self.daemons[daemon].cut || there {
                    self.after(wait, Item::PeerToken(daemon, other, other_epoch, there));
                }
            }
        }
        if there {
            self.after(wait, Item::CoordinatorSeen(daemon));
        }
    }

    fn start_coordinator(&mut self) {
        if self.coordinator.is_some() {
            return;
        }
        let epoch = Epoch::from_uuid(self.random.uuid());
        let ledger = self.wired(self.disk.clone());
        let state = coordinator::State::new(epoch, "0.7.0".into(), timing(), ledger);
        self.coordinator = Some(Coordinator {
            state,
            epoch,
            born: self.now,
            frozen: Duration::ZERO,
            unanswered: BTreeSet::new(),
            waiting: BTreeSet::new(),
            timer: None,
        });
        self.coordinator(coordinator::Event::Time);
        for daemon in 0..self.daemons.len() {
            if self.random.permille(500) {
                self.after(Duration::from_millis(30), Item::CoordinatorSeen(daemon));
            }
        }
    }

    fn ask(&mut self, client: usize) {
        let there = self.coordinator.as_ref().map(|it| it.epoch);
        let it = &mut self.clients[client];
        it.turn += 1;
        // The coordinator is greeted before the first question, so its life is known.
        if !it.began {
            let Some(epoch) = there else {
                let again = self.random.ms(100, 500);
                return self.after(again, Item::Client(client));
            };
            it.began = true;
            if let Verb::Start(start) = &mut it.request.verb {
                start.coordinator = epoch;
            }
        }
        let asker = Asker::Client(client, it.turn);
        let request = Box::new(it.request.clone());
        let request = self.wired(request);
        let wait = match there {
            Some(_) => timing().poll + Duration::from_millis(500),
            None => Duration::from_millis(300),
        };
        self.after(wait, Item::Unanswered(asker.clone()));
        self.carry(None, |stormy| {
            Item::ClientQuery(asker.clone(), request.clone(), stormy)
        });
    }

    fn client_answer(&mut self, asker: Asker, reply: ClientReply) {
        let Asker::Client(client, turn) = asker else {
            return;
        };
        let it = &mut self.clients[client];
        if it.reply.is_some() || it.turn != turn {
            return;
        }
        match reply {
            ClientReply::Pending(_) => self.ask(client),
            reply => it.reply = Some(reply),
        }
    }
}
