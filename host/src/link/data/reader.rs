//! An output of another machine that inputs here read.
//!
//! Invariant: a reader that answers a look is subscribed: the two go the same way in this order. Absent: what the bytes
//! mean (`intake`), and queues; whoever gets a message here puts it into one.

use super::credits::{Credit, Credits};
use super::intake::{Arrived, Intake, ReaderCount};
use crate::codec::{self, DecodeError, Origin};
use crate::ids::MachineId;
use crate::link::keys::DataKey;
use crate::link::{Link, LinkError};
use bytes::Bytes;
use plugin_abi::message::Message;
use std::sync::{Arc, Mutex, PoisonError};
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::pubsub::Subscriber;
use zenoh::query::{Query, Queryable};
use zenoh::sample::{Locality, Sample, SampleKind};

/// What makes a reader.
#[derive(Debug, Clone)]
pub struct ReaderSpec {
    /// What it reads.
    pub key: DataKey,
    /// This machine.
    pub machine: MachineId,
    /// Whether it is there before the first message, so that a missing first one is a loss. Not so for one who looks on.
    pub from_start: bool,
    /// The queue sizes of the inputs that have `backpressure`.
    pub credits: Vec<usize>,
}

/// Reads while it lives.
pub struct Reader {
    intake: Arc<Intake>,
    credits: Option<Credits>,
    spec: ReaderSpec,
    handle: Arc<dyn Fn(Arrived) + Send + Sync>,
    declared: Mutex<Option<Declared>>,
    /// The last to let go of a session must not be one that waits in a runtime; see [`Link`].
    link: Link,
}

/// What the engine knows of a reader.
struct Declared {
    _answers: Option<Queryable<()>>,
    _messages: Subscriber<()>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reader").field(&self.count()).finish()
    }
}

impl Link {
    /// Subscribes to an output, and answers its sender from then on. `handle` is called on the link's threads, one message
    /// at a time, and must not block; the data it gets may lie in memory that the sender shares.
    ///
    /// # Errors
    /// The link was closed.
    pub fn read(
        &self,
        spec: &ReaderSpec,
        handle: impl Fn(Arrived) + Send + Sync + 'static,
    ) -> Result<Reader, LinkError> {
        let intake = Arc::new(Intake::new(spec.from_start));
        let credits = match spec.credits.as_slice() {
            [] => None,
            sizes => {
                let (granter, key) = (self.granter()?.clone(), spec.key.credit(&spec.machine));
                let notify = move |credit: Credit| granter.grant(&key, credit);
                Some(Credits::new(sizes, notify))
            }
        };
        let reader = Reader {
            intake,
            credits,
            spec: spec.clone(),
            handle: Arc::new(handle),
            declared: Mutex::new(None),
            link: self.clone(),
        };
        reader.renew()?;
        Ok(reader)
    }

    /// Answers the sender that looks for this reader: with its credit.
    fn answer(
        &self,
        spec: &ReaderSpec,
        credits: Option<Credits>,
    ) -> Result<Queryable<()>, LinkError> {
        let key = spec.key.reader(&spec.machine);
        let name = key.as_str().to_owned();
        let on_query = move |query: Query| {
            let credit = credits.as_ref().map_or(Credit::UNLIMITED, Credits::asked);
            // Whoever asked and is gone asks no more.
            let _ = query.reply(name.as_str(), credit.encode()).wait();
        };
        let queryable = self.session()?.declare_queryable(key.as_str().to_owned());
        let declared = queryable.complete(true).callback(on_query).wait();
        declared.map_err(|error| LinkError::new("cannot read", &spec.key, error))
    }
}

impl Reader {
    /// Makes itself known again. When a connection to the sender's machine was lost and came back within a tenth of a
    /// second, the engine may not tell the other end of what was declared before. Any thread.
    ///
    /// # Errors
    /// The link was closed.
    pub fn renew(&self) -> Result<(), LinkError> {
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        // First away, then anew: what is declared twice is told once.
        *declared = None;
        let spec = &self.spec;
        let (intake, credits, handle) = (
            self.intake.clone(),
            self.credits.clone(),
            self.handle.clone(),
        );
        let on_sample = move |sample: Sample| {
            if sample.kind() == SampleKind::Put {
                let beside = sample.attachment().map(ZBytes::to_bytes);
                let beside = beside.unwrap_or_default();
                let message = |meta: &[u8]| message_of(sample.payload(), meta);
                intake.take(&beside, message, credits.as_ref(), &*handle);
            }
        };
        let session = self.link.session()?;
        let subscriber = session.declare_subscriber(spec.key.as_str().to_owned());
        let subscriber = subscriber
            .allowed_origin(Locality::Remote)
            .callback(on_sample);
        let refused = |error| LinkError::new("cannot read", &spec.key, error);
        let messages = subscriber.wait().map_err(refused)?;
        let answers = match spec.from_start {
            true => Some(self.link.answer(spec, self.credits.clone())?),
            false => None,
        };
        *declared = Some(Declared {
            _answers: answers,
            _messages: messages,
        });
        Ok(())
    }

    /// What came so far.
    pub fn count(&self) -> ReaderCount {
        self.intake.count()
    }

    /// Where inputs say what they have taken; `None` unless some have `backpressure`.
    pub fn credits(&self) -> Option<&Credits> {
        self.credits.as_ref()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Nobody need wait for what nobody reads.
        if let Some(credits) = &self.credits {
            credits.close();
        }
    }
}

/// The message of a payload, whose values stay where they are if the payload is in one piece, or in three of which they are
/// the middle one (see `in_place`); else it is copied.
fn message_of(payload: &ZBytes, meta: &[u8]) -> Result<Message, DecodeError> {
    let mut slices = payload.slices();
    let piece = |index| Bytes::from_owner(Piece(payload.clone(), index));
    match [(); 4].map(|()| slices.next()) {
        [Some(_), None, ..] => {
            let origin = match payload.as_shm() {
                Some(_) => Origin::Shared,
                None => Origin::Own,
            };
            return codec::decode(piece(0), meta, origin);
        }
        [Some(head), Some(_), Some(tail), None] => {
            if let Ok(message) = codec::decode_around([head, tail], piece(1), meta) {
                return Ok(message);
            }
        }
        _ => {}
    }
    codec::decode(payload.to_bytes().into_owned().into(), meta, Origin::Own)
}

/// A piece of a payload.
struct Piece(ZBytes, usize);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.0.slices().nth(self.1).unwrap_or_default()
    }
}
