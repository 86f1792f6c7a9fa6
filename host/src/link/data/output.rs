//! An output that other machines read.
//!
//! Invariant: what cannot be sent at once waits in a bounded queue; `backpressure` goes as far as the readers' queues. Where
//! there is `backpressure`, messages go in a class of their own and wait for room on the connection instead of being
//! lost; give such an output a thread of its own, so that nothing else waits with them.

use super::attachment::{self, Kind};
use super::credits::{Credit, Window};
use super::lane::{Lane, Pushed};
use super::room::Room;
use super::sender::{Queue, Sender, SentCount, Sequence, Thread, Wire};
use super::shared_memory::SharedMemory;
use crate::codec::{self, Encoded};
use crate::ids::MachineId;
use crate::link::keys::DataKey;
use crate::link::session::apart;
use crate::link::{Link, LinkError};
use bytes::Bytes;
use plugin_abi::hosting::Room as HostRoom;
use plugin_abi::message::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::Reply;
use zenoh::sample::{Locality, Sample};

/// Answers to a look for readers are waited for so long before it looks again.
const LOOK: Duration = Duration::from_millis(500);
/// Pauses between looks, from the first to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// What makes an output.
pub struct OutputSpec {
    /// Where it is published.
    pub key: DataKey,
    /// The machines that read it, and whether each must be waited for: whether an input there has `backpressure`.
    pub readers: BTreeMap<MachineId, bool>,
    /// Most messages that wait to be published.
    pub capacity: usize,
    /// Told of messages that cannot be written or published, on the sender's thread or that of whoever pushes.
    pub failed: Box<dyn Fn(String) + Send + Sync>,
}

/// An output on its way to other machines. Any thread. Dropping it closes it.
pub struct Output {
    queue: Arc<Queue>,
    thread: Arc<Thread>,
    key: DataKey,
    machines: Vec<MachineId>,
    found: Mutex<BTreeSet<MachineId>>,
    /// Hear of credits.
    _credits: Vec<Subscriber<()>>,
    /// Last, as [`Link`] wants it.
    link: Link,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Output").field(&self.key).finish()
    }
}

impl Link {
    /// Publishes an output by a sender's thread.
    ///
    /// # Errors
    /// The link was closed.
    pub fn output(&self, sender: &Sender, spec: OutputSpec) -> Result<Output, LinkError> {
        let refused = |error| LinkError::new("cannot publish", &spec.key, error);
        let waited = || spec.readers.iter().filter(|(_, waits)| **waits);
        let waits = waited().next().is_some();
        let (congestion, priority) = match waits {
            true => (CongestionControl::Block, Priority::DataLow),
            false => (CongestionControl::Drop, Priority::Data),
        };
        let session = self.session()?;
        let publisher = session.declare_publisher(spec.key.as_str().to_owned());
        let publisher = publisher.congestion_control(congestion).priority(priority);
        let publisher = publisher.allowed_destination(Locality::Remote).wait();
        let window = waits.then(|| Window::new(waited().map(|(machine, _)| machine.clone())));
        let publisher = publisher.map_err(refused)?;
        let queue = Arc::new_cyclic(|queue: &Weak<Queue>| {
            let wire = Engine {
                publisher,
                priority,
                waits,
                memory: self.memory().clone(),
                room: self.room().clone(),
                link: self.clone(),
                key: spec.key.clone(),
                ear: Ear::of(queue.clone(), &sender.thread),
                failed: spec.failed,
            };
            Queue::new(Lane::new(spec.capacity, window), Box::new(wire))
        });
        let mut credits = Vec::new();
        for (machine, _) in spec.readers.iter().filter(|(_, waits)| **waits) {
            let ear = Ear::of(Arc::downgrade(&queue), &sender.thread);
            let reader = machine.clone();
            let on_sample = move |sample: Sample| {
                // What is no credit says nothing; who has none asks.
                ear.hear(&reader, sample.payload(), false);
            };
            let key = spec.key.credit(machine);
            let subscriber = session.declare_subscriber(key.as_str().to_owned());
            let declared = subscriber.callback(on_sample).wait();
            let refused = |error| LinkError::new("cannot hear of credits", &key, error);
            credits.push(declared.map_err(refused)?);
        }
        sender.thread.open();
        Ok(Output {
            queue,
            thread: sender.thread.clone(),
            link: self.clone(),
            key: spec.key,
            machines: spec.readers.into_keys().collect(),
            found: Mutex::default(),
            _credits: credits,
        })
    }
}

impl Output {
    /// Hands a message over without waiting.
    pub fn push(&self, message: Message) -> Pushed {
        self.queue.push(message, &self.thread)
    }

    /// After [`Pushed::Full`]: waits until there may be room, until `stop` says so, or until the time is over. `stop` is
    /// asked again after [`Output::nudge`].
    pub fn wait_for_room(&self, patience: Duration, stop: impl Fn() -> bool) {
        self.queue.wait_for_room(patience, stop);
    }

    /// Makes those who wait for room ask whether they are to stop.
    pub fn nudge(&self) {
        self.queue.nudge();
    }

    /// Memory for a message that daemons on this host get without a copy, once it has been filled; `None` when it is not
    /// worth it or there is none. Not within an async runtime.
    pub fn room(&self, len: usize) -> Option<Box<dyn HostRoom>> {
        let session = self.link.session().ok()?;
        self.link.memory().room(len, session)
    }

    /// No more messages: what waits is published, then the readers are told.
    pub fn close(&self) {
        self.queue.close(&self.thread);
    }

    /// Waits for a machine no more: it is gone, or its readers are.
    pub fn forget(&self, machine: &MachineId) {
        self.queue.forget(machine, &self.thread);
    }

    /// What became of the messages so far.
    pub fn count(&self) -> SentCount {
        self.queue.count()
    }

    /// Looks for the readers until all have answered or the deadline is over; which have not. Those that answered once
    /// are not asked again.
    pub async fn missing(&self, deadline: Duration) -> Vec<MachineId> {
        let until = Instant::now() + deadline;
        let mut pause = PAUSE.0;
        loop {
            let missing = self.not_found();
            let left = until.saturating_duration_since(Instant::now());
            if missing.is_empty() || left.is_zero() {
                // Else the first messages could overtake each other.
                self.link.settled(until).await;
                return missing;
            }
            self.look(&missing, left.min(LOOK)).await;
            if self.not_found().is_empty() {
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn not_found(&self) -> Vec<MachineId> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = self
            .machines
            .iter()
            .filter(|machine| !found.contains(*machine));
        missing.cloned().collect()
    }

    /// Asks each machine once.
    async fn look(&self, machines: &[MachineId], deadline: Duration) {
        let (sender, mut answers) = mpsc::channel(machines.len().max(1));
        let (link, key) = (self.link.clone(), self.key.clone());
        let ear = Ear::of(Arc::downgrade(&self.queue), &self.thread);
        let machines = machines.to_vec();
        apart(move || {
            for machine in machines {
                let (sender, who) = (sender.clone(), machine.clone());
                ask(&link, &key, &machine, &ear, deadline, move || {
                    // There is room for an answer of each.
                    let _ = sender.try_send(who.clone());
                });
            }
        })
        .await;
        while let Ok(Some(machine)) = tokio::time::timeout(deadline, answers.recv()).await {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(machine);
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.close();
    }
}

/// Asks a machine's reader for its credit. `answered` is called when it has answered.
fn ask(
    link: &Link,
    key: &DataKey,
    machine: &MachineId,
    ear: &Ear,
    deadline: Duration,
    answered: impl Fn() + Send + Sync + 'static,
) {
    let Ok(session) = link.session() else {
        return;
    };
    let (ear, reader) = (ear.clone(), machine.clone());
    let on_reply = move |reply: Reply| {
        if let Ok(sample) = reply.result()
            && ear.hear(&reader, sample.payload(), true)
        {
            answered();
        }
    };
    let query = session.get(key.reader(machine).as_str().to_owned());
    let query = query
        .allowed_destination(Locality::Remote)
        .timeout(deadline);
    // A closed link answers nothing.
    let _ = query
        .priority(Priority::InteractiveHigh)
        .callback(on_reply)
        .wait();
}

/// Hears what readers say.
#[derive(Clone)]
struct Ear {
    queue: Weak<Queue>,
    thread: Arc<Thread>,
}

impl Ear {
    fn of(queue: Weak<Queue>, thread: &Arc<Thread>) -> Self {
        let thread = thread.clone();
        Self { queue, thread }
    }

    /// Whether that was understood.
    fn hear(&self, machine: &MachineId, credit: &ZBytes, asked: bool) -> bool {
        let credit = Credit::decode(&credit.to_bytes());
        if let Some(queue) = self.queue.upgrade()
            && let Some(credit) = credit
        {
            queue.grant(machine, credit, asked, &self.thread);
        }
        credit.is_some()
    }
}

/// Publishes by the engine.
struct Engine {
    publisher: Publisher<'static>,
    priority: Priority,
    /// Some readers are waited for.
    waits: bool,
    memory: Arc<SharedMemory>,
    room: Arc<Room>,
    link: Link,
    key: DataKey,
    ear: Ear,
    failed: Box<dyn Fn(String) + Send + Sync>,
}

impl Engine {
    /// A message's bytes, and what goes beside them.
    fn write(&self, number: Sequence, message: &Message) -> Option<(Encoded, Vec<u8>)> {
        match codec::encode(message) {
            Ok(encoded) => {
                let beside = attachment::encode(Kind::Message, number, encoded.meta());
                Some((encoded, beside))
            }
            Err(error) => {
                (self.failed)(format!("a message cannot leave the machine: {error}"));
                None
            }
        }
    }

    fn put(&self, payload: ZBytes, beside: Vec<u8>) -> bool {
        match self.publisher.put(payload).attachment(beside).wait() {
            Ok(()) => true,
            Err(error) => {
                (self.failed)(format!("a message was not published: {error}"));
                false
            }
        }
    }
}

impl Wire for Engine {
    fn publish(&self, number: Sequence, message: &Message) -> bool {
        let Some((encoded, beside)) = self.write(number, message) else {
            return false;
        };
        let shared = match self.link.session() {
            Ok(session) => self.memory.place(message, &encoded, session),
            Err(_) => None,
        };
        let (length, payload) = match shared {
            // Only a word of it goes over the connection.
            Some(shared) => (0, shared),
            None => (encoded.len(), in_pieces(&encoded)),
        };
        // Those that are waited for have batches of their own.
        let publishing = (!self.waits).then(|| self.room.publishing(length + beside.len()));
        let done = self.put(payload, beside);
        drop(publishing);
        done
    }

    fn has_room(&self, message: &Message, now: Instant) -> bool {
        // Others than plain ones take long to write.
        let values = message.plain().map(|(_, values)| values.len());
        let length = |values| values + message.parameter_bytes().len();
        !self.waits && values.is_some_and(|values| self.room.take(length(values), now))
    }

    fn publish_now(&self, number: Sequence, message: &Message) -> bool {
        match self.write(number, message) {
            Some((encoded, beside)) => self.put(in_pieces(&encoded), beside),
            None => false,
        }
    }

    fn say(&self, kind: Kind, number: Sequence) {
        let Ok(session) = self.link.session() else {
            return;
        };
        let put = session.put(self.key.as_str(), Vec::new());
        let put = put.attachment(attachment::encode(kind, number, &[]));
        let put = put
            .priority(self.priority)
            .congestion_control(CongestionControl::Block);
        // Whoever does not hear of an end learns it from the coordinator.
        let _ = put.allowed_destination(Locality::Remote).wait();
    }

    fn ask(&self, machine: &MachineId) {
        ask(&self.link, &self.key, machine, &self.ear, LOOK, || ());
    }
}

/// The stream as the engine takes it, without a copy.
fn in_pieces(encoded: &Encoded) -> ZBytes {
    match encoded.parts() {
        [one] => one.clone().into(),
        parts => {
            let mut writer = ZBytes::writer();
            for part in parts {
                writer.append(Bytes::clone(part).into());
            }
            writer.finish()
        }
    }
}
