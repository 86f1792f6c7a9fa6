//! Hears what another process of this machine publishes over a session of its own: nodes that hand each other messages.
//!
//! A session for this alone, which speaks with that process and ends when it is dropped. Without shared memory: what lies
//! there is sent along. Invariant: nothing is published, and who publishes never waits for us. Absent: what it means.

use super::session::Held;
use super::{LinkError, config};
use std::borrow::Cow;
use std::time::Duration;
use zenoh::pubsub::Subscriber;
use zenoh::query::ReplyKeyExpr;
use zenoh::sample::Sample;
use zenoh::{Session, Wait};

/// How long what was published before may take to come.
const BEFORE: Duration = Duration::from_secs(2);

/// What is heard.
#[derive(Debug)]
pub enum Heard<'a> {
    /// What others need to read the rest; the last of it is kept for those who come later.
    Key(Cow<'a, [u8]>),
    /// A message, and what is said of it.
    Message(Cow<'a, [u8]>, Cow<'a, [u8]>),
}

/// Hears until it is dropped.
pub struct Listener {
    _subscribers: [Subscriber<()>; 2],
    _session: Held,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

impl Listener {
    /// Connects to the process that listens on a port of loopback, and hears what it publishes under `messages`, and under
    /// `keys`, also what it has kept of that. `take` is called on threads of the session, which it must not block. Waits,
    /// and must not be called within a runtime.
    ///
    /// # Errors
    /// Nobody listens there, or the engine refuses.
    pub fn open(
        port: u16,
        messages: &str,
        keys: &str,
        take: impl Fn(Heard<'_>) + Clone + Send + Sync + 'static,
    ) -> Result<Self, LinkError> {
        let about = format!("127.0.0.1:{port}");
        let refused = |error| LinkError::new("cannot listen to", &about, error);
        let config = config::parsed(&config::beside(port)).map_err(refused)?;
        let session = zenoh::open(config).wait();
        let session = session.map_err(|error| refused(error.to_string()))?;
        let session = Held(Some(session));
        let subscribed = session.0.as_ref().map_or_else(
            || Err("it was closed".to_owned()),
            |session| subscribe(session, messages, keys, take).map_err(|error| error.to_string()),
        );
        Ok(Self {
            _subscribers: subscribed.map_err(refused)?,
            _session: session,
        })
    }
}

fn subscribe(
    session: &Session,
    messages: &str,
    keys: &str,
    take: impl Fn(Heard<'_>) + Clone + Send + Sync + 'static,
) -> zenoh::Result<[Subscriber<()>; 2]> {
    let key = |take: &dyn Fn(Heard<'_>), sample: &Sample| {
        take(Heard::Key(sample.payload().to_bytes()));
    };
    let on_key = take.clone();
    let new = session
        .declare_subscriber(keys.to_owned())
        .callback(move |sample| key(&on_key, &sample))
        .wait()?;
    let on_key = take.clone();
    session
        .get(format!("{keys}/@adv/**"))
        .accept_replies(ReplyKeyExpr::Any)
        .timeout(BEFORE)
        .callback(move |reply| {
            if let Ok(sample) = reply.result() {
                key(&on_key, sample);
            }
        })
        .wait()?;
    let all = session
        .declare_subscriber(messages.to_owned())
        .callback(move |sample| {
            let said = sample.attachment().map(|said| said.to_bytes());
            let said = said.unwrap_or_default();
            take(Heard::Message(sample.payload().to_bytes(), said));
        })
        .wait()?;
    Ok([new, all])
}
