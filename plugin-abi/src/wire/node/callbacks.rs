//! What a node in a process of its own asks of its host, and what of it goes over the wire.
//!
//! Invariant: a node behaves as in a daemon: what it sends while it is made is kept until the dataflow begins, its own
//! threads wait for that, and after a request to stop nothing is sent. Absent: calling the node (the parent module).

use super::inbox::Inbox;
use crate::ffi::{self, Status};
use crate::hosting::{Callbacks, Heap, KindTable, LogLine, NodeFailure, Room};
use crate::message::{MakeError, Message, Schema};
use crate::meta::Timestamp;
use crate::types;
use crate::wire::WireError;
use crate::wire::channel::Channel;
use crate::wire::frame::{Create, FromNode, Line};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Messages that a node may send while it is made.
const MOST_KEPT: usize = 4096;
/// A node that sends looks so often at most whether it is to stop.
const LOOK: Duration = Duration::from_millis(1);
/// How often threads that wait for the beginning ask whether the node is to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// One output.
#[derive(Debug)]
struct Output {
    name: String,
    data_type: String,
    /// Id of the type that was admitted last.
    admitted: AtomicU64,
    wanted: AtomicBool,
    /// Messages that were sent while nobody read them.
    unread: AtomicU64,
}

/// The state of a node that its threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) channel: Arc<Channel>,
    pub(super) inbox: Mutex<Inbox>,
    /// The most verbose level of log lines that is wanted.
    pub(super) level: Arc<AtomicU32>,
    outputs: Vec<Output>,
    clock: [u8; 16],
    stamp: AtomicU64,
    stopping: AtomicBool,
    /// Whether one of its own threads has ended it.
    over: AtomicBool,
    failure: Mutex<Option<NodeFailure>>,
    failed: AtomicBool,
    held: Mutex<Held>,
    let_go: Condvar,
    looked: Mutex<Instant>,
}

/// What waits for the dataflow to begin.
#[derive(Debug, Default)]
struct Held {
    going: bool,
    kept: Vec<(u32, Message)>,
}

thread_local! {
    /// The node whose callback runs on this thread.
    static CALLED: Cell<*const Shared> = const { Cell::new(std::ptr::null()) };
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(
        inbox: Inbox,
        create: &Create,
        kind: &KindTable,
        level: Arc<AtomicU32>,
    ) -> Arc<Self> {
        let declared = kind.outputs();
        let data_type = |output: &str| {
            let named = |wanted: &str| declared.iter().find(|[name, ..]| name == wanted);
            let port = named(output).or_else(|| named("*"));
            port.map_or_else(String::new, |[_, _, data_type]| data_type.clone())
        };
        let outputs = create.outputs.iter().map(|name| Output {
            name: name.clone(),
            data_type: data_type(name),
            admitted: AtomicU64::new(0),
            wanted: AtomicBool::new(true),
            unread: AtomicU64::new(0),
        });
        Arc::new(Self {
            channel: inbox.channel().clone(),
            outputs: outputs.collect(),
            inbox: Mutex::new(inbox),
            level,
            clock: create.clock,
            stamp: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            over: AtomicBool::new(false),
            failure: Mutex::default(),
            failed: AtomicBool::new(false),
            held: Mutex::default(),
            let_go: Condvar::new(),
            looked: Mutex::new(Instant::now()),
        })
    }

    /// Runs a callback: what is reported meanwhile on this thread belongs to it.
    pub(super) fn called<T>(&self, callback: impl FnOnce() -> T) -> T {
        let before = CALLED.replace(self);
        let result = callback();
        CALLED.set(before);
        result
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Nothing is sent any more.
    pub(super) fn stop_sending(&self) {
        self.stopping.store(true, Ordering::Release);
        drop(lock(&self.held));
        self.let_go.notify_all();
    }

    /// Whether one of the node's own threads has ended it.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn take_failure(&self) -> Option<NodeFailure> {
        self.failed.store(false, Ordering::Relaxed);
        lock(&self.failure).take()
    }

    pub(super) fn set_wanted(&self, output: u32, wanted: bool) {
        if let Some(output) = self.outputs.get(output as usize) {
            output.wanted.store(wanted, Ordering::Relaxed);
        }
    }

    /// By output: messages that were not sent because nobody read them.
    pub(super) fn unread(&self) -> impl Iterator<Item = (u32, u64)> {
        let counts = self
            .outputs
            .iter()
            .map(|output| output.unread.load(Ordering::Relaxed));
        (0..).zip(counts).filter(|(_, count)| *count > 0)
    }

    /// The dataflow begins.
    pub(super) fn go(&self) -> Result<(), WireError> {
        let mut held = lock(&self.held);
        for (output, message) in std::mem::take(&mut held.kept) {
            self.put(output, &message)?;
        }
        held.going = true;
        drop(held);
        self.let_go.notify_all();
        Ok(())
    }

    /// Looks whether the node is to stop, and takes back memory, although nobody waits for frames now.
    fn look(&self) {
        if let Ok(mut inbox) = self.inbox.try_lock() {
            // What is wrong with the connection shows again when it is read.
            let _ = inbox.look(self);
        }
    }

    fn look_now_and_then(&self) {
        let Ok(mut looked) = self.looked.try_lock() else {
            return;
        };
        if looked.elapsed() >= LOOK {
            self.look();
            *looked = Instant::now();
        }
    }

    fn put(&self, output: u32, message: &Message) -> Result<(), WireError> {
        let give_up = || {
            self.look();
            self.is_stopping()
        };
        self.channel.put_message(output, message, &give_up)?;
        // At once: the callback may take long.
        self.channel.flush(&give_up).map(drop)
    }

    fn send_now(&self, output: u32, message: &Message) -> Status {
        match self.put(output, message) {
            Ok(()) => ffi::OK,
            Err(WireError::Encode(error)) => {
                self.warn(output, &error.to_string());
                ffi::ERR_INVALID_DATA
            }
            // Without a daemon the node is to stop.
            Err(_) => {
                self.stop_sending();
                ffi::ERR_CLOSED
            }
        }
    }

    fn warn(&self, output: u32, text: &str) {
        let name = self
            .outputs
            .get(output as usize)
            .map_or("?", |output| &output.name);
        self.log(&LogLine {
            level: 1,
            target: "plugin_abi",
            message: &format!("output `{name}`: {text}"),
            fields: "",
            spans: "",
            file: "",
            line: 0,
        });
    }

    pub(super) fn log(&self, line: &LogLine<'_>) {
        // Without a daemon nobody reads it.
        let _ = self.channel.send(&FromNode::Log(Line::from(line)));
    }

    /// Ends the node's thread, whatever it waits for.
    fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.channel.interrupt();
    }
}

/// The handle that the node's table holds. Any thread, also after the node's end.
#[derive(Debug, Clone)]
pub(super) struct Handle(pub(super) Arc<Shared>);

impl Handle {
    fn is_in_callback(&self) -> bool {
        std::ptr::eq(CALLED.get(), Arc::as_ptr(&self.0))
    }
}

impl Callbacks for Handle {
    fn now(&self) -> Timestamp {
        let wall = Timestamp::new(SystemTime::now(), self.0.clock);
        let next = |last: u64| wall.time.max(last.saturating_add(1));
        let last = self
            .0
            .stamp
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(next(last))
            });
        Timestamp {
            time: next(last.unwrap_or_default()),
            ..wall
        }
    }

    fn admit(&self, output: u32, schema: &Schema) -> Status {
        let Some(port) = self.0.outputs.get(output as usize) else {
            return ffi::ERR_UNKNOWN_OUTPUT;
        };
        self.0.look_now_and_then();
        if self.0.is_stopping() {
            return ffi::ERR_CLOSED;
        }
        if port.data_type.is_empty() || port.admitted.load(Ordering::Relaxed) == schema.id() {
            return ffi::OK;
        }
        if !types::accepts(&port.data_type, &schema.text()) {
            return ffi::ERR_WRONG_TYPE;
        }
        port.admitted.store(schema.id(), Ordering::Relaxed);
        ffi::OK
    }

    fn room(&self, output: u32, len: usize) -> Option<Box<dyn Room>> {
        let read = self.0.outputs.get(output as usize);
        if read.is_some_and(|output| output.wanted.load(Ordering::Relaxed)) {
            // What the daemon has given back since the last frame was read is used again.
            self.0.look_now_and_then();
            if let Some(room) = self.0.channel.pool().room(len) {
                return Some(room);
            }
        }
        Some(Box::new(Heap::new(len)?))
    }

    fn send(&self, output: u32, message: Message) -> Status {
        let Some(port) = self.0.outputs.get(output as usize) else {
            return ffi::ERR_UNKNOWN_OUTPUT;
        };
        let mut held = lock(&self.0.held);
        while !held.going {
            if self.0.is_stopping() {
                return ffi::ERR_CLOSED;
            }
            if self.is_in_callback() {
                if held.kept.len() >= MOST_KEPT {
                    return ffi::ERR_NO_MEMORY;
                }
                held.kept.push((output, message));
                return ffi::OK;
            }
            let waited = self.0.let_go.wait_timeout(held, PATIENCE);
            held = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(held);
        if self.0.is_stopping() {
            return ffi::ERR_CLOSED;
        }
        if !port.wanted.load(Ordering::Relaxed) {
            port.unread.fetch_add(1, Ordering::Relaxed);
            return ffi::OK;
        }
        self.0.send_now(output, &message)
    }

    fn refuse(&self, output: u32, error: &MakeError) {
        self.0.warn(output, &error.to_string());
    }

    fn log(&self, line: &LogLine<'_>) {
        self.0.log(line);
    }

    fn report(&self, failure: NodeFailure) {
        *lock(&self.0.failure) = Some(failure);
        self.0.failed.store(true, Ordering::Relaxed);
        // Within a callback its status says the rest; a thread of the node's own has no status to return.
        if !self.is_in_callback() {
            self.0.end();
        }
    }

    fn request_stop(&self) {
        self.0.end();
    }
}
