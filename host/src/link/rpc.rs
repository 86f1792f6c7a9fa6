//! Control: one question, one answer, a deadline.
//!
//! Invariant: a question is answered at most once, and whoever asked hears by the deadline what became of it. Asking
//! again is the asker's business: the ids in the requests make it harmless. Absent: what is asked (`control`).

use super::keys::Key;
use super::session::apart;
use super::{Link, LinkError};
use crate::control::{self, Fault};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::time::Duration;
use tokio::sync::mpsc;
use zenoh::Wait;
use zenoh::qos::Priority;
use zenoh::query::{Query, Queryable, Reply};
use zenoh::sample::Locality;

/// What the answer to a question that nobody answered says.
const DROPPED: &str = "dropped";
/// What the engine says when the deadline is over.
const LATE: Duration = Duration::from_millis(200);

/// Questions are taken while this lives.
pub struct Served {
    _queryable: Queryable<()>,
    /// The last to let go of a session must not be one that waits in a runtime; see [`Link`].
    _link: Link,
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Served")
    }
}

/// A question that waits for its answer. Dropped without one, the asker is told so.
pub struct Call {
    query: Option<Query>,
    key: String,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.key).finish()
    }
}

impl Call {
    /// Answers, from any thread, without waiting. An asker that has gone does not hear it.
    pub fn reply<Rep: Serialize>(self, what: &str, reply: &Rep) {
        if let Some(work) = self.replying(what, reply) {
            detached(work);
        }
    }

    /// Answers, and returns when the answer was handed to the connection, for whoever is about to close the link.
    pub async fn reply_and_wait<Rep: Serialize>(self, what: &str, reply: &Rep) {
        if let Some(work) = self.replying(what, reply) {
            apart(work).await;
        }
    }

    fn replying<Rep: Serialize>(
        mut self,
        what: &str,
        reply: &Rep,
    ) -> Option<impl FnOnce() + Send + 'static> {
        let bytes = control::encode(what, reply).ok()?;
        let query = self.query.take()?;
        let key = std::mem::take(&mut self.key);
        Some(move || {
            // As above: nobody is there any more.
            let _ = query.reply(key, bytes).wait();
        })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(query) = self.query.take() {
            detached(move || {
                // As above: nobody is there any more.
                let _ = query.reply_err(DROPPED).wait();
            });
        }
    }
}

/// Runs what may wait for room on a slow connection, out of the way.
fn detached(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// Nobody takes questions there.
    Absent {
        /// Who was asked.
        target: String,
    },
    /// No answer came in time.
    TimedOut {
        /// Who was asked.
        target: String,
        /// The time limit.
        after: Duration,
    },
    /// The one who was asked has put the question away, as it does when it ends.
    Dropped {
        /// Who was asked.
        target: String,
    },
    /// The question cannot be written, or the answer not be read.
    Fault {
        /// Who was asked.
        target: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The link was closed.
    Link(LinkError),
}

impl std::error::Error for CallError {}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { target } => {
                write!(f, "{target} is not there; it has ended, or is cut off")
            }
            Self::TimedOut { target, after } => write!(
                f,
                "{target} has not answered within {} s; it hangs, or is cut off",
                after.as_secs_f32()
            ),
            Self::Dropped { target } => {
                write!(
                    f,
                    "{target} has put the question away without an answer; is it ending?"
                )
            }
            Self::Fault { target, fault } => write!(f, "{target}: {fault}"),
            Self::Link(error) => error.fmt(f),
        }
    }
}

impl Link {
    /// Takes questions. `what` names them in faults; `handle` gets each, or why it cannot be read, on one of the link's
    /// threads, and must not block: the answer may be given later, from anywhere.
    ///
    /// # Errors
    /// The link was closed.
    pub fn serve<Req: DeserializeOwned>(
        &self,
        key: &Key,
        what: &'static str,
        handle: impl Fn(Result<Req, Fault>, Call) + Send + Sync + 'static,
    ) -> Result<Served, LinkError> {
        let name = key.as_str().to_owned();
        let on_query = move |query: Query| {
            let payload = query.payload().map(|payload| payload.to_bytes());
            let request = control::decode(what, &payload.unwrap_or_default());
            let call = Call {
                query: Some(query),
                key: name.clone(),
            };
            handle(request, call);
        };
        let declared = self.session()?.declare_queryable(key.as_str().to_owned());
        let declared = declared.complete(true).callback(on_query).wait();
        let refused = |error| LinkError::new("cannot take questions on", key, error);
        let queryable = declared.map_err(refused)?;
        Ok(Served {
            _queryable: queryable,
            _link: self.clone(),
        })
    }

    /// Asks and waits for the answer. `target` names in errors who is asked, such as ``machine `A` ``.
    ///
    /// # Errors
    /// Nobody is there, the answer does not come by the deadline, or one side does not understand the other.
    pub async fn call<Req: Serialize, Rep: DeserializeOwned>(
        &self,
        target: &str,
        key: &Key,
        request: &Req,
        deadline: Duration,
    ) -> Result<Rep, CallError> {
        let target = || target.to_owned();
        let faulty = |fault| CallError::Fault {
            target: target(),
            fault,
        };
        let bytes = control::encode("request", request).map_err(faulty)?;
        let session = self.session().map_err(CallError::Link)?.clone();
        let (sender, mut answers) = mpsc::channel(1);
        let on_reply = move |reply: Reply| {
            let answer = match reply.result() {
                Ok(sample) => Ok(sample.payload().to_bytes().into_owned()),
                Err(error) => Err(error.payload().to_bytes() == DROPPED.as_bytes()),
            };
            // One is served by one; a second answer is not listened to.
            let _ = sender.try_send(answer);
        };
        let name = key.as_str().to_owned();
        let asked = apart(move || {
            let query = session.get(name).payload(bytes).timeout(deadline);
            let query = query
                .allowed_destination(Locality::Remote)
                .priority(Priority::InteractiveHigh);
            query
                .callback(on_reply)
                .wait()
                .map_err(|error| error.to_string())
        });
        let asked = asked
            .await
            .unwrap_or_else(|| Err("no thread for it".into()));
        asked.map_err(|reason| CallError::Link(LinkError::new("cannot ask on", key, reason)))?;
        let late = || CallError::TimedOut {
            target: target(),
            after: deadline,
        };
        // The engine keeps the deadline; this one is for when the engine does not.
        match tokio::time::timeout(deadline + LATE, answers.recv()).await {
            Ok(Some(Ok(bytes))) => control::decode("reply", &bytes).map_err(faulty),
            Ok(Some(Err(true))) => Err(CallError::Dropped { target: target() }),
            Ok(Some(Err(false))) | Err(_) => Err(late()),
            Ok(None) => Err(CallError::Absent { target: target() }),
        }
    }
}
