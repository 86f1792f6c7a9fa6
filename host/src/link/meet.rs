//! Greeting a coordinator: who is there, and in which words to say that nobody is.
//!
//! Invariant: whatever the other side is or does, the answer comes by the deadline, give or take a moment.

use super::address::Address;
use super::keys::Key;
use super::refused::shown;
use super::session::{Link, apart};
use super::{LinkError, config};
use crate::control::{self, Hello, Incompatible, PROTOCOL, Role};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use zenoh::Wait;
use zenoh::query::{ConsolidationMode, QueryTarget, Reply};
use zenoh::sample::Locality;

/// A question that is not answered by then is asked again.
const ASK: Duration = Duration::from_millis(1_000);
/// Pauses between questions, from the first to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// A coordinator answers greetings a moment after it takes connections, and anew when one has come back; others that are
/// connected to it may be heard before it.
const OPENING: Duration = Duration::from_millis(300);
/// How long to knock when everything else has failed.
const KNOCK: Duration = Duration::from_millis(300);
/// Answers that wait to be looked at.
const ANSWERS: usize = 64;

/// Why there is no coordinator to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeetError {
    /// Nobody takes connections there.
    Nobody {
        /// Where.
        address: Address,
        /// The system's words.
        reason: String,
    },
    /// Connections are taken, but nothing is answered.
    Silent {
        /// Where.
        address: Address,
        /// How long it was waited for.
        after: Duration,
    },
    /// Something answers that is no process of dora.
    NotDora {
        /// Where.
        address: Address,
    },
    /// A process of dora answers, but no coordinator.
    NotCoordinator {
        /// Where.
        address: Address,
        /// Who.
        there: Box<Hello>,
    },
    /// The coordinator is of another version.
    Incompatible(Box<Incompatible>),
    /// The engine refuses.
    Engine(String),
}

impl std::error::Error for MeetError {}

impl fmt::Display for MeetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody { address, reason } => write!(
                f,
                "no dora coordinator at {address} ({reason}); start one with `dora coordinator`, or say where it is \
                 with `--coordinator-addr` and `--coordinator-port`"
            ),
            Self::Silent { address, after } => write!(
                f,
                "what listens at {address} takes connections but has not answered for {} s; it hangs, or it is no dora \
                 coordinator",
                after.as_secs_f32().round()
            ),
            Self::NotDora { address } => write!(
                f,
                "what listens at {address} is no dora coordinator; say where it is with `--coordinator-addr` and \
                 `--coordinator-port`"
            ),
            Self::NotCoordinator { address, there } => write!(
                f,
                "what listens at {address} is a dora {} (dora {}), not the coordinator; its port is 53290 unless it was \
                 started with `--port`",
                there.role,
                shown(&there.version)
            ),
            Self::Incompatible(error) => error.fmt(f),
            Self::Engine(reason) => write!(f, "cannot use the network: {reason}"),
        }
    }
}

/// What came of one question.
enum Asked {
    /// A coordinator, or another process if there was none.
    Answer(Hello),
    /// Nobody has anything to say.
    Nobody,
    /// Whoever is to answer does not.
    TimedOut,
}

impl Link {
    /// Answers greetings, as far as it does, again: a process that has just connected may not know that it is answered
    /// here; see [`Link::reconnections`]. Any thread.
    ///
    /// # Errors
    /// The link was closed.
    pub fn renew_greeting(&self) -> Result<(), LinkError> {
        let refused = |reason: String| LinkError::new("cannot answer", "greetings", reason);
        let answer = control::encode("greeting", self.me());
        let answer = answer.map_err(|fault| refused(fault.to_string()))?;
        let on_query = move |query: zenoh::query::Query| {
            // Whoever asked and is gone asks no more.
            let _ = query.reply(Key::hello().as_str(), answer.as_slice()).wait();
        };
        let mut greeting = self.greeting();
        // First away, then anew: what is declared twice is told once.
        *greeting = None;
        let queryable = self
            .session()?
            .declare_queryable(Key::hello().as_str().to_owned());
        let declared = queryable.callback(on_query).wait();
        *greeting = Some(declared.map_err(|error| refused(error.to_string()))?);
        Ok(())
    }

    /// Asks until the process at the other end has said who it is.
    pub(super) async fn greet(&self, there: &Address, until: Instant) -> Result<Hello, MeetError> {
        let began = Instant::now();
        let mut pause = PAUSE.0;
        loop {
            let asked = self.ask(until).await?;
            let opens = began.elapsed() <= OPENING && Instant::now() + pause <= until;
            match asked {
                Asked::Answer(hello) if hello.role == Role::Coordinator || !opens => {
                    return fitting(self.me(), hello, there);
                }
                Asked::TimedOut => {
                    return Err(MeetError::Silent {
                        address: there.clone(),
                        after: began.elapsed(),
                    });
                }
                Asked::Nobody if !opens => {
                    return Err(MeetError::NotDora {
                        address: there.clone(),
                    });
                }
                Asked::Answer(_) | Asked::Nobody => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Asks everybody that is connected once.
    async fn ask(&self, until: Instant) -> Result<Asked, MeetError> {
        let engine = |reason: String| MeetError::Engine(reason);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Asked::TimedOut);
        }
        let session = self
            .session()
            .map_err(|error| engine(error.reason))?
            .clone();
        let (sender, mut answers) = mpsc::channel(ANSWERS);
        let on_reply = move |reply: Reply| {
            let answer = match reply.result() {
                Ok(sample) => {
                    control::decode::<Hello>("greeting", &sample.payload().to_bytes()).ok()
                }
                Err(_) => None,
            };
            // More answers than anybody reads are not read.
            let _ = sender.try_send(answer);
        };
        let asked = apart(move || {
            let query = session.get(Key::hello().as_str().to_owned());
            let query = query
                .target(QueryTarget::All)
                .consolidation(ConsolidationMode::None);
            let query = query.allowed_destination(Locality::Remote).timeout(left);
            query
                .callback(on_reply)
                .wait()
                .map_err(|error| error.to_string())
        });
        asked
            .await
            .unwrap_or_else(|| Err("no thread for it".into()))
            .map_err(engine)?;
        let mut other = None;
        loop {
            // The engine's own time limit may be late when it is the one that hangs.
            match tokio::time::timeout(left + ASK, answers.recv()).await {
                Ok(Some(Some(hello))) if hello.role == Role::Coordinator => {
                    return Ok(Asked::Answer(hello));
                }
                Ok(Some(Some(hello))) => other = Some(hello),
                Ok(Some(None)) | Err(_) if Instant::now() >= until => return Ok(Asked::TimedOut),
                Ok(Some(None)) => {}
                Ok(None) | Err(_) => return Ok(other.map_or(Asked::Nobody, Asked::Answer)),
            }
        }
    }
}

fn fitting(me: &Hello, there: Hello, address: &Address) -> Result<Hello, MeetError> {
    if there.role != Role::Coordinator {
        return Err(MeetError::NotCoordinator {
            address: address.clone(),
            there: Box::new(there),
        });
    }
    me.agree(&there).map_err(MeetError::Incompatible)?;
    Ok(there)
}

/// Asks until the coordinator that a daemon looks for has answered.
pub(super) async fn daemon(
    link: &Link,
    there: &Address,
    until: Instant,
) -> Result<Hello, MeetError> {
    let began = Instant::now();
    let mut pause = PAUSE.0;
    loop {
        let now = Instant::now();
        if now >= until {
            return Err(explain(there, began.elapsed(), until).await);
        }
        // Other daemons may answer while the coordinator does not.
        if let Asked::Answer(hello) = link.ask(until.min(now + ASK)).await?
            && hello.role == Role::Coordinator
        {
            return fitting(link.me(), hello, there);
        }
        let left = until.saturating_duration_since(Instant::now());
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Who listens at an address, if it is a process of dora that says so soon.
pub(super) async fn who_is_at(address: &Address, deadline: Duration) -> Option<Hello> {
    let me = Hello {
        role: Role::Client,
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        machine: None,
        epoch: None,
    };
    match Box::pin(Link::client(address, me, deadline)).await {
        Ok((link, hello)) => {
            link.close().await;
            Some(hello)
        }
        Err(MeetError::Incompatible(error)) => Some(error.there),
        Err(MeetError::NotCoordinator { there, .. }) => Some(*there),
        Err(_) => None,
    }
}

/// Why a connection that took so long to fail has failed.
pub(super) async fn explain(there: &Address, spent: Duration, until: Instant) -> MeetError {
    let until = until.max(Instant::now() + KNOCK);
    let knocked = {
        let there = there.clone();
        apart(move || there.knock(until)).await
    };
    let address = there.clone();
    match knocked {
        Some(Ok(())) if spent + PAUSE.1 >= config::OPEN_TIMEOUT.min(ASK) => MeetError::Silent {
            address,
            after: spent,
        },
        Some(Ok(())) => MeetError::NotDora { address },
        Some(Err(error)) => MeetError::Nobody {
            reason: words(&error),
            address,
        },
        None => MeetError::Engine("no thread for it".into()),
    }
}

/// The system's words for why nobody is there, without its error numbers.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::TimedOut => "no answer".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "not reachable".into()
        }
        _ => error.to_string(),
    }
}
