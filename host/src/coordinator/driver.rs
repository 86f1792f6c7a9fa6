//! Drives the coordinator's state machine: waits, lets it decide, carries out what it says.
//!
//! Invariant: actions are carried out in their order, and what follows a write of the ledger follows it on the disk; every
//! query is answered or its asker told that it is not. Whatever is asked of daemons, and the disk, works beside the loop,
//! which waits for neither: while the ledger is written it goes on to decide, and one write serves all that was decided
//! meanwhile. A disk that has failed, or has not answered in time, holds nothing up until it works again. Absent: decisions.

use super::disk::{Disk, Outcome};
use super::ears::{Ears, Incoming};
use super::event::{Action, Event, Note};
use super::news::News;
use super::state::State;
use crate::control::{
    CallId, ClientReply, CoordinatorReply, DaemonReply, DaemonRequest, Epoch, Hello, PROTOCOL,
    Role, SendId, Timing,
};
use crate::ids::MachineId;
use crate::link::{Call, Change, Key, Link, LinkError, Member, OpenError};
use crate::sys::memory::Passed;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Queries that wait for their turn at most; those that come then are refused, and asked again by whoever asked.
const WAITING: usize = 256;
/// Answers on their way at most, when askers do not take them; further ones are refused instead.
const LEAVING: usize = 512;
/// Actions that wait for the disk at most; then nothing more is listened to until it is done.
const UNDONE: usize = 1_024;
/// The loop rests at least so long between two looks at the clock.
const REST: Duration = Duration::from_millis(1);
/// After a connection has come back, so long until what was declared can be declared anew.
const RENEWAL: Duration = Duration::from_millis(300);
/// At the end, answers have so long to leave, and then the network to close.
const FAREWELL: Duration = Duration::from_millis(1_000);

/// How a coordinator works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on.
    pub interface: IpAddr,
    /// The port; 0 for any that is free.
    pub port: u16,
    /// The folder for what is to be remembered over a restart, by port; see [`super::state_folder`]. Without one nothing
    /// is.
    pub state: Option<PathBuf>,
    /// The time limits.
    pub timing: Timing,
}

/// A coordinator that listens. It answers once it runs.
#[derive(Debug)]
pub struct Coordinator {
    ears: Ears,
    link: Link,
    port: u16,
    timing: Timing,
    state: State,
    disk: Option<Disk>,
    /// News from before it ran.
    early: Vec<News>,
    incoming: mpsc::Receiver<Incoming>,
}

impl Coordinator {
    /// Listens, and reads what a coordinator on the same port has left.
    ///
    /// # Errors
    /// The port is taken, the address is none of this machine's, or the engine refuses.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let epoch = Epoch::new();
        let version = env!("CARGO_PKG_VERSION");
        let me = Hello {
            role: Role::Coordinator,
            protocol: PROTOCOL,
            version: version.into(),
            machine: None,
            epoch: Some(epoch),
        };
        let (link, port) = Link::coordinator(options.interface, options.port, me).await?;
        let read = tokio::task::spawn_blocking(move || {
            options.state.map(|folder| Disk::open(&folder, port))
        });
        let (disk, ledger, trouble) = match read.await {
            Ok(Some(opened)) => opened,
            Ok(None) | Err(_) => (
                None,
                Default::default(),
                Some(super::MemoryTrouble::NoFolder),
            ),
        };
        let refused = |error: LinkError| OpenError::Engine(error.to_string());
        let (sender, incoming) = mpsc::channel(WAITING);
        let ears = Ears::open(&link, epoch, sender).map_err(refused)?;
        Ok(Self {
            ears,
            link,
            port,
            state: State::new(epoch, version.into(), options.timing.clone(), ledger),
            timing: options.timing,
            disk,
            early: trouble.map(News::Memory).into_iter().collect(),
            incoming,
        })
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// This life of the coordinator.
    pub fn epoch(&self) -> Epoch {
        self.state.epoch()
    }

    /// Runs until it was asked to end and has. Each value from `shutdown` asks for that: `true` stops all dataflows before,
    /// `false` leaves them to the daemons; the second ends it at once. `news` is called in between and should not block.
    pub async fn run(self, shutdown: mpsc::Receiver<bool>, mut news: impl FnMut(News)) {
        let Self {
            ears,
            link,
            timing,
            state,
            disk,
            early,
            incoming,
            ..
        } = self;
        early.into_iter().for_each(&mut news);
        let mut driver = Driver {
            again: link.reconnections(),
            renewal: None,
            ears,
            link,
            timing,
            state,
            disk,
            news,
            passed: Passed::default(),
            began: Instant::now(),
            next_call: 0,
            clients: HashMap::new(),
            daemons: HashMap::new(),
            sent: JoinSet::new(),
            answers: JoinSet::new(),
            undone: VecDeque::new(),
            writing: None,
            unwritten: false,
            exited: false,
        };
        driver.run(incoming, shutdown).await;
        driver.end().await;
    }
}

/// The loop and what it holds.
struct Driver<N> {
    ears: Ears,
    again: watch::Receiver<u64>,
    /// When it makes itself known to daemons anew.
    renewal: Option<Instant>,
    link: Link,
    timing: Timing,
    state: State,
    disk: Option<Disk>,
    news: N,
    passed: Passed,
    began: Instant,
    next_call: u64,
    /// Queries that wait for their answers.
    clients: HashMap<CallId, Call>,
    daemons: HashMap<CallId, Call>,
    /// Queries to daemons; each ends with what came of it.
    sent: JoinSet<Event>,
    answers: JoinSet<()>,
    /// What was decided and is not carried out yet.
    undone: VecDeque<Action>,
    /// The write of the ledger that is under way.
    writing: Option<Writing>,
    /// Something was decided since that is to be written, too.
    unwritten: bool,
    exited: bool,
}

type Writing = Pin<Box<dyn Future<Output = Outcome> + Send>>;

impl<N: FnMut(News)> Driver<N> {
    async fn run(
        &mut self,
        mut incoming: mpsc::Receiver<Incoming>,
        mut shutdown: mpsc::Receiver<bool>,
    ) {
        let mut may_end = true;
        let mut event = Some(Event::Time);
        loop {
            if let Some(event) = event.take() {
                let actions = self.state.handle(event, self.began.elapsed());
                self.undone.extend(actions);
            }
            self.carry_out();
            if self.exited {
                return;
            }
            let due = self.state.next_deadline().map(|due| self.began + due);
            let rest = Instant::now() + REST;
            let due = due.map(|due| due.max(rest));
            event = tokio::select! {
                outcome = written(&mut self.writing) => {
                    self.tell_written(outcome);
                    None
                }
                some = incoming.recv(), if self.undone.len() < UNDONE => match some {
                    Some(incoming) => self.event(incoming),
                    // The link's handlers live as long as this runs.
                    None => None,
                },
                Some(ended) = self.sent.join_next() => ended.ok(),
                Some(_) = self.answers.join_next() => None,
                asked = shutdown.recv(), if may_end => match asked {
                    Some(stop_dataflows) => Some(Event::Shutdown { stop_dataflows }),
                    None => {
                        may_end = false;
                        None
                    }
                },
                Ok(()) = self.again.changed() => {
                    self.renewal = Some(Instant::now() + RENEWAL);
                    None
                }
                () = until(self.renewal) => {
                    self.renewal = None;
                    // A link that was closed is the end, of which whoever closed it knows.
                    let _ = self.link.renew_greeting();
                    let _ = self.ears.declare(&self.link);
                    None
                }
                () = until(due) => Some(Event::Time),
            };
        }
    }

    /// What has come in as the state machine takes it; what cannot be read is answered here.
    fn event(&mut self, incoming: Incoming) -> Option<Event> {
        let call_id = CallId(self.next_call);
        self.next_call += 1;
        match incoming {
            Incoming::Token(change) => match change {
                Change::Gone(Member::Daemon(machine, epoch)) => {
                    Some(Event::TokenGone { machine, epoch })
                }
                Change::Appeared(Member::Daemon(machine, epoch)) => {
                    Some(Event::TokenSeen { machine, epoch })
                }
                Change::Gone(Member::Coordinator(_)) | Change::Appeared(Member::Coordinator(_)) => {
                    None
                }
            },
            Incoming::Client(Ok(request), call) => {
                self.clients.insert(call_id, call);
                Some(Event::Client {
                    call: call_id,
                    request: Box::new(request),
                })
            }
            Incoming::Daemon(Ok(request), call) => {
                self.daemons.insert(call_id, call);
                Some(Event::Daemon {
                    call: call_id,
                    request,
                })
            }
            Incoming::Client(Err(fault), call) => {
                self.answer_client(call, ClientReply::NotUnderstood(fault));
                None
            }
            Incoming::Daemon(Err(fault), call) => {
                self.answer_daemon(call, CoordinatorReply::NotUnderstood(fault));
                None
            }
        }
    }

    /// Whether nothing may be done before the ledger is on the disk.
    fn is_held(&self) -> bool {
        let works = |disk: &Disk| !disk.is_failing();
        self.writing.is_some() && self.disk.as_ref().is_some_and(works)
    }

    /// Carries out what was decided, up to where the ledger is to be on the disk first.
    fn carry_out(&mut self) {
        while !self.is_held()
            && let Some(action) = self.undone.pop_front()
        {
            match action {
                Action::Persist => self.persist(),
                Action::ReplyClient { call, reply } => {
                    if let Some(call) = self.clients.remove(&call) {
                        self.answer_client(call, *reply);
                    }
                }
                Action::ReplyDaemon { call, reply } => {
                    if let Some(call) = self.daemons.remove(&call) {
                        self.answer_daemon(call, reply);
                    }
                }
                Action::Send {
                    send,
                    machine,
                    epoch,
                    request,
                } => self.send(send, machine, epoch, *request),
                Action::Note(note) => {
                    if let Note::Started(id) | Note::Ended(id) = &note {
                        self.passed.count(self.state.nodes_of(*id));
                    }
                    let name = note.dataflow().and_then(|id| self.state.name_of(id));
                    (self.news)(News::Note { note, name });
                }
                Action::Exit => self.exited = true,
            }
        }
    }

    /// Begins to write the ledger, which is that of after all that was decided: once is enough.
    fn persist(&mut self) {
        self.undone
            .retain(|action| !matches!(action, Action::Persist));
        self.unwritten = self.writing.is_some();
        if let Some(disk) = &self.disk
            && !self.unwritten
        {
            self.writing = Some(Box::pin(disk.begin(self.state.ledger())));
        }
    }

    fn tell_written(&mut self, outcome: Outcome) {
        self.writing = None;
        let trouble = self.disk.as_mut().and_then(|disk| disk.trouble(outcome));
        if let Some(trouble) = trouble {
            (self.news)(News::Memory(trouble));
        }
        if self.unwritten {
            self.persist();
        }
    }

    fn answer_client(&mut self, call: Call, reply: ClientReply) {
        if self.answers.len() < LEAVING {
            self.answers
                .spawn(async move { call.reply_and_wait("answer", &reply).await });
        }
    }

    fn answer_daemon(&mut self, call: Call, reply: CoordinatorReply) {
        if self.answers.len() < LEAVING {
            self.answers
                .spawn(async move { call.reply_and_wait("answer", &reply).await });
        }
    }

    fn send(&mut self, send: SendId, machine: MachineId, epoch: Epoch, request: DaemonRequest) {
        let (link, limit) = (self.link.clone(), self.timing.query);
        self.sent.spawn(async move {
            let target = format!("the daemon of machine `{machine}`");
            let key = Key::at_daemon(&machine, epoch);
            let asked = link.call::<_, DaemonReply>(&target, &key, &request, limit);
            match asked.await {
                Ok(reply) => Event::Answered { send, reply },
                Err(_) => Event::Unanswered { send },
            }
        });
    }

    /// Lets the last answers leave, and closes the network.
    async fn end(mut self) {
        self.sent.abort_all();
        // Whoever does not take its answer in time gets none.
        let _ = timeout(FAREWELL, async {
            while self.answers.join_next().await.is_some() {}
        })
        .await;
        drop(self.ears);
        let _ = timeout(FAREWELL, self.link.close()).await;
    }
}

/// What came of a write; for ever without one.
async fn written(writing: &mut Option<Writing>) -> Outcome {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}

/// For ever without a time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
