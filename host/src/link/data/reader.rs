//! An output of another machine that inputs here read.
//!
//! Invariant: messages come in the order of their numbers, each once; a missing number is a loss that is counted when a
//! later one comes. A reader that answers a look is subscribed: the two go the same way in this order. Absent: queues;
//! whoever gets a message here puts it into one.

use super::attachment::{self, Kind};
use super::credits::Credits;
use super::sender::Sequence;
use crate::codec::{self, Origin};
use crate::ids::MachineId;
use crate::link::keys::DataKey;
use crate::link::{Link, LinkError};
use bytes::Bytes;
use plugin_abi::message::Message;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// What a reader gets.
#[derive(Debug)]
pub enum Arrived {
    /// A message.
    Message(Message),
    /// So many messages were lost before what comes next.
    Lost(u64),
    /// A message could not be read; it counts as broken, not as lost.
    Broken(String),
    /// The sender has closed the output.
    Ended,
}

/// Counters of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReaderCount {
    /// Messages that were handed over.
    pub received: u64,
    /// Messages that never came.
    pub lost: u64,
    /// Messages that could not be read.
    pub broken: u64,
}

/// Reads while it lives.
pub struct Reader {
    shared: Arc<Shared>,
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

/// What the handler of messages and the reader share.
struct Shared {
    /// Held while a message is handed over, which keeps them in order.
    place: Mutex<Place>,
    received: AtomicU64,
    lost: AtomicU64,
    broken: AtomicU64,
}

/// How far the messages are.
#[derive(Debug)]
struct Place {
    /// The number that comes next; `None` when any may.
    expected: Option<Sequence>,
    ended: bool,
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
        let shared = Arc::new(Shared {
            place: Mutex::new(Place::new(spec.from_start)),
            received: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        });
        let credits = match spec.credits.as_slice() {
            [] => None,
            sizes => {
                let (granter, key) = (self.granter()?.clone(), spec.key.credit(&spec.machine));
                let notify = move |credit: Sequence| granter.grant(&key, credit);
                Some(Credits::new(sizes, notify))
            }
        };
        let reader = Reader {
            shared,
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
            let credit = credits.as_ref().map_or(Sequence::MAX, Credits::asked);
            // Whoever asked and is gone asks no more.
            let _ = query.reply(name.as_str(), credit.to_le_bytes()).wait();
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
        let (shared, credits, handle) = (
            self.shared.clone(),
            self.credits.clone(),
            self.handle.clone(),
        );
        let on_sample = move |sample: Sample| {
            if sample.kind() == SampleKind::Put {
                shared.take(credits.as_ref(), &sample, &*handle);
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
        ReaderCount {
            received: self.shared.received.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
            broken: self.shared.broken.load(Ordering::Relaxed),
        }
    }

    /// Where inputs say what they have taken; `None` unless some have `backpressure`.
    pub fn credits(&self) -> Option<&Credits> {
        self.credits.as_ref()
    }
}

impl Shared {
    fn take(&self, credits: Option<&Credits>, sample: &Sample, handle: &dyn Fn(Arrived)) {
        let beside = sample
            .attachment()
            .map(ZBytes::to_bytes)
            .unwrap_or_default();
        let Some((kind, number, meta)) = attachment::decode(&beside) else {
            self.broken.fetch_add(1, Ordering::Relaxed);
            return handle(Arrived::Broken("it has no number".into()));
        };
        // Before the lock: this may copy much.
        let message = (kind == Kind::Message).then(|| {
            let (body, origin) = bytes_of(sample.payload());
            codec::decode(body, meta, origin)
        });
        // A panic of a handler must not end the reading of others.
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut missed) = place.pass(number, kind) else {
            return;
        };
        if missed > 0 {
            self.lost.fetch_add(missed, Ordering::Relaxed);
            handle(Arrived::Lost(missed));
        }
        match message {
            Some(Ok(message)) => {
                self.received.fetch_add(1, Ordering::Relaxed);
                handle(Arrived::Message(message));
            }
            Some(Err(error)) => {
                self.broken.fetch_add(1, Ordering::Relaxed);
                missed += 1;
                handle(Arrived::Broken(error.to_string()));
            }
            None => handle(Arrived::Ended),
        }
        drop(place);
        if let Some(credits) = credits.filter(|_| missed > 0) {
            credits.missed(missed);
        }
    }
}

impl Place {
    fn new(from_start: bool) -> Self {
        Self {
            expected: from_start.then_some(1),
            ended: false,
        }
    }

    /// How many were lost before this one; `None` when it has come or been counted already.
    fn pass(&mut self, number: Sequence, kind: Kind) -> Option<u64> {
        let expected = self.expected.unwrap_or(number);
        let lost = number.checked_sub(expected).filter(|_| !self.ended)?;
        self.ended = kind == Kind::End;
        self.expected = Some(number.saturating_add(1));
        Some(lost)
    }
}

/// The payload in one piece: as it lies when it is in one, else copied.
fn bytes_of(payload: &ZBytes) -> (Bytes, Origin) {
    let origin = match payload.as_shm() {
        Some(_) => Origin::Shared,
        None => Origin::Own,
    };
    let mut slices = payload.slices();
    let bytes = match (slices.next(), slices.next()) {
        (Some(_), None) => Bytes::from_owner(Whole(payload.clone())),
        _ => payload.to_bytes().into_owned().into(),
    };
    (bytes, origin)
}

/// A payload of one piece.
struct Whole(ZBytes);

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        self.0.slices().next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_and_what_comes_twice_or_late_is_not_taken() {
        let mut place = Place::new(true);
        let passed = [2, 3, 3, 7, 5, 8].map(|number| place.pass(number, Kind::Message));
        assert_eq!(passed, [Some(1), Some(0), None, Some(3), None, Some(0)]);
        assert_eq!(place.pass(11, Kind::End), Some(2));
        assert_eq!(place.pass(12, Kind::Message), None);
    }

    #[test]
    fn one_who_looks_on_misses_nothing_before_it_came() {
        let mut place = Place::new(false);
        assert_eq!(place.pass(100, Kind::Message), Some(0));
        assert_eq!(place.pass(102, Kind::Message), Some(1));
    }
}
