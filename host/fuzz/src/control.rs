//! Control messages, as JSON that anybody on the network may send: read or refused with a line, and whatever was read, a
//! coordinator and a daemon go on with it and answer each query once.

use host::control::{
    CallId, ClientReply, ClientRequest, CoordinatorReply, CoordinatorRequest, DaemonReply,
    DaemonRequest, Epoch, Hello, MachineInfo, PROTOCOL, Role, SendId, Timing, decode, encode,
};
use host::coordinator::{self, Ledger};
use host::daemon::{self, Local};
use host::descriptor::Problems;
use host::ids::{DataflowId, MachineId};
use host::logs::Record;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;
use uuid::Uuid;

/// Most lines of one input.
const MOST: usize = 64;
/// The lives of the coordinator and the daemon, so that a message can name them.
const COORDINATOR: u128 = 1;
const DAEMON: u128 = 2;

/// Lines: a letter that says what it is (see [`Both::line`]), then JSON.
pub(crate) fn target(bytes: &[u8]) -> bool {
    let mut both = Both::new();
    let mut taken = false;
    for line in bytes.split(|byte| *byte == b'\n').take(MOST) {
        if let Some((letter, json)) = line.split_first() {
            taken |= both.line(*letter, json);
        }
    }
    taken
}

/// A coordinator and a daemon that do not know each other.
struct Both {
    now: Duration,
    calls: u64,
    coordinator: coordinator::State,
    /// Queries of the coordinator that wait for an answer, and queries to it.
    asked: BTreeSet<SendId>,
    waiting: BTreeSet<CallId>,
    daemon: daemon::State,
    sent: BTreeSet<SendId>,
    queried: BTreeSet<CallId>,
    prepared: Option<DataflowId>,
    /// Nobody is there to answer any more.
    daemon_exited: bool,
}

fn epoch(number: u128) -> Epoch {
    Epoch::from_uuid(Uuid::from_u128(number))
}

fn machine() -> MachineId {
    "A".parse().expect("a name")
}

fn info() -> MachineInfo {
    MachineInfo {
        protocol: PROTOCOL,
        version: "0.7.0".into(),
        host: "a".into(),
        pid: 1,
        address: String::new(),
        labels: BTreeMap::new(),
    }
}

/// What the bytes say. What was read comes back as it was when it is sent on.
fn read<T: Serialize + DeserializeOwned + PartialEq + Debug>(json: &[u8]) -> Option<T> {
    match decode::<T>("message", json) {
        Err(fault) => {
            crate::assert_line(&fault.to_string());
            None
        }
        Ok(value) => {
            let bytes = encode("message", &value).expect("it can be sent on");
            let back: T = decode("message", &bytes).expect("it can be read again");
            assert_eq!(back, value);
            Some(value)
        }
    }
}

impl Both {
    fn new() -> Self {
        let version = "0.7.0".to_owned();
        let (timing, ledger) = (Timing::default(), Ledger::default());
        let mut both = Self {
            now: Duration::ZERO,
            calls: 0,
            coordinator: coordinator::State::new(
                epoch(COORDINATOR),
                version,
                timing.clone(),
                ledger,
            ),
            asked: BTreeSet::new(),
            waiting: BTreeSet::new(),
            daemon: daemon::State::new(machine(), epoch(DAEMON), info(), timing),
            sent: BTreeSet::new(),
            queried: BTreeSet::new(),
            prepared: None,
            daemon_exited: false,
        };
        both.at_coordinator(coordinator::Event::Time);
        both.at_daemon(daemon::Event::Time);
        both
    }

    /// Whether it was read.
    fn line(&mut self, letter: u8, json: &[u8]) -> bool {
        match letter {
            b'c' => read::<ClientRequest>(json)
                .map(|request| self.of_client(request))
                .is_some(),
            b'C' => read::<ClientReply>(json).is_some(),
            b'o' => read::<CoordinatorRequest>(json)
                .map(|it| self.coordinator_hears(it))
                .is_some(),
            b'O' => read::<CoordinatorReply>(json)
                .map(|it| self.coordinator_says(it))
                .is_some(),
            b'd' => read::<DaemonRequest>(json)
                .map(|it| self.daemon_hears(it))
                .is_some(),
            b'D' => read::<DaemonReply>(json)
                .map(|it| self.daemon_says(it))
                .is_some(),
            b'h' => read::<Hello>(json).map(|hello| greets(&hello)).is_some(),
            b'r' => std::str::from_utf8(json).is_ok_and(|text| Record::from_json(text).is_ok()),
            b't' => {
                self.time(json.len() as u64);
                true
            }
            _ => self.happens(letter),
        }
    }

    fn call(&mut self) -> CallId {
        self.calls += 1;
        CallId(self.calls)
    }

    fn of_client(&mut self, request: ClientRequest) {
        let (call, request) = (self.call(), Box::new(request));
        self.waiting.insert(call);
        self.at_coordinator(coordinator::Event::Client { call, request });
    }

    fn coordinator_hears(&mut self, request: CoordinatorRequest) {
        let call = self.call();
        self.waiting.insert(call);
        self.at_coordinator(coordinator::Event::Daemon { call, request });
    }

    fn daemon_says(&mut self, reply: DaemonReply) {
        if let Some(send) = self.asked.pop_first() {
            self.at_coordinator(coordinator::Event::Answered { send, reply });
        }
    }

    fn daemon_hears(&mut self, request: DaemonRequest) {
        let call = self.call();
        self.queried.insert(call);
        self.at_daemon(daemon::Event::Query { call, request });
    }

    fn coordinator_says(&mut self, reply: CoordinatorReply) {
        if let Some(send) = self.sent.pop_first() {
            self.at_daemon(daemon::Event::Answered { send, reply });
        }
    }

    /// Time passes: in steps, and what is due meanwhile is done.
    fn time(&mut self, steps: u64) {
        for _ in 0..steps.min(16) {
            self.now += Duration::from_millis(700);
            self.at_coordinator(coordinator::Event::Time);
            self.at_daemon(daemon::Event::Time);
        }
    }

    /// What happens by itself at a daemon that has been asked to run something, and to its connections.
    fn happens(&mut self, letter: u8) -> bool {
        let local = match letter {
            b'p' => Local::Prepared {
                kinds: BTreeMap::new(),
                warnings: Problems::default(),
            },
            b'm' => Local::Made,
            b'l' => Local::Linked,
            b'e' => Local::Over {
                rows: Vec::new(),
                took: Duration::ZERO,
            },
            b'u' => {
                if let Some(send) = self.asked.pop_first() {
                    self.at_coordinator(coordinator::Event::Unanswered { send });
                }
                if let Some(send) = self.sent.pop_first() {
                    self.at_daemon(daemon::Event::Unanswered { send });
                }
                return true;
            }
            _ => return false,
        };
        if let Some(dataflow) = self.prepared {
            self.at_daemon(daemon::Event::Local { dataflow, local });
        }
        self.prepared.is_some()
    }

    fn at_coordinator(&mut self, event: coordinator::Event) {
        use coordinator::Action;
        for action in self.coordinator.handle(event, self.now) {
            match action {
                Action::ReplyClient { call, reply } => {
                    assert!(self.waiting.remove(&call), "answered twice");
                    encode("reply", &reply).expect("it can be sent");
                }
                Action::ReplyDaemon { call, reply } => {
                    assert!(self.waiting.remove(&call), "answered twice");
                    encode("reply", &reply).expect("it can be sent");
                }
                Action::Send { send, request, .. } => {
                    self.asked.insert(send);
                    encode("request", &request).expect("it can be sent");
                }
                Action::Persist => {
                    serde_json::to_vec(self.coordinator.ledger()).expect("it can be written");
                }
                Action::Note(_) | Action::Exit => {}
            }
        }
    }

    fn at_daemon(&mut self, event: daemon::Event) {
        use daemon::Action;
        for action in self.daemon.handle(event, self.now) {
            match action {
                Action::Reply { call, reply } => {
                    assert!(self.queried.remove(&call), "answered twice");
                    encode("reply", &reply).expect("it can be sent");
                }
                Action::Logs { call, .. } => assert!(self.queried.remove(&call), "answered twice"),
                Action::Send { send, request } => {
                    self.sent.insert(send);
                    encode("request", &request).expect("it can be sent");
                }
                Action::Prepare(prepare) => self.prepared = Some(prepare.dataflow),
                Action::Exit(_) => self.daemon_exited = true,
                _ => {}
            }
        }
        let answered = self.queried.is_empty() || self.daemon_exited;
        assert!(answered, "a query without an answer");
    }
}

fn greets(hello: &Hello) {
    let own = Hello {
        role: Role::Coordinator,
        protocol: PROTOCOL,
        version: "0.7.0".into(),
        machine: None,
        epoch: None,
    };
    if let Err(incompatible) = own.agree(hello) {
        crate::assert_line(&incompatible.to_string());
        crate::assert_line(&incompatible.seen_from_there().to_string());
    }
}
