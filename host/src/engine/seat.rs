//! What a running node's instance can ask for: the engine's side of the host table.
//!
//! Invariant: shared by the node's threads and its worker; nothing here waits but a sender with a full
//! `backpressure` reader. Absent: calling the instance (`worker`).

use super::clock::Clock;
use super::mailbox::{Mailbox, Order};
use super::route::Route;
use super::{EngineLog, SeatId};
use crate::ids::NodeId;
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::{Callbacks, Heap, LogLine, NodeFailure, Room};
use plugin_abi::message::{MakeError, Message, Schema};
use plugin_abi::meta::Timestamp;
use plugin_abi::types;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One output of a running node.
#[derive(Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The type that the plugin declares; empty for any.
    pub data_type: String,
    /// Its readers.
    pub route: Arc<Route>,
    /// Messages that were sent.
    pub sent: AtomicU64,
    /// Id of the type that was admitted last.
    admitted: AtomicU64,
}

impl Output {
    /// An output with its readers.
    pub fn new(name: String, data_type: String, route: Arc<Route>) -> Self {
        Self {
            name,
            data_type,
            route,
            sent: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
        }
    }
}

/// The state of one node that its threads share.
pub struct SeatShared {
    /// The node's id.
    pub id: NodeId,
    /// Its outputs, in the order of their indices.
    pub outputs: Vec<Output>,
    seat: SeatId,
    mailbox: Arc<Mailbox>,
    clock: Arc<Clock>,
    log: Arc<dyn EngineLog>,
    stopping: AtomicBool,
    failure: Mutex<Option<NodeFailure>>,
    waiting_on: Mutex<Vec<Arc<Mailbox>>>,
}

thread_local! {
    /// The seat whose callback runs on this thread.
    static CALLED: Cell<*const SeatShared> = const { Cell::new(std::ptr::null()) };
}

impl SeatShared {
    /// The shared state of a node that sits on `mailbox` as `seat`.
    pub fn new(
        id: NodeId,
        outputs: Vec<Output>,
        (seat, mailbox): (SeatId, Arc<Mailbox>),
        clock: Arc<Clock>,
        log: Arc<dyn EngineLog>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            outputs,
            seat,
            mailbox,
            clock,
            log,
            stopping: AtomicBool::new(false),
            failure: Mutex::default(),
            waiting_on: Mutex::default(),
        })
    }

    /// Whether the node has been told to stop or has ended: it sends nothing any more.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Stops or starts its sending, and wakes those of its threads that wait for readers.
    pub fn set_stopping(&self, stopping: bool) {
        self.stopping.store(stopping, Ordering::Release);
        if stopping {
            for mailbox in lock(&self.waiting_on).iter() {
                mailbox.wake_senders();
            }
        }
    }

    /// Remembers what one of the node's threads waits for, until the guard is dropped.
    pub fn waits_on<'a>(&'a self, mailbox: &Arc<Mailbox>) -> Waiting<'a> {
        lock(&self.waiting_on).push(mailbox.clone());
        Waiting {
            seat: self,
            mailbox: mailbox.clone(),
        }
    }

    /// Logs a warning of the engine about this node.
    pub fn warn(&self, text: &str) {
        self.log.engine(2, Some(&self.id), text);
    }

    /// The failure that was reported last.
    pub fn take_failure(&self) -> Option<NodeFailure> {
        lock(&self.failure).take()
    }

    /// Runs a callback of this seat's instance: what is reported meanwhile on this thread belongs to it.
    pub fn called<T>(&self, callback: impl FnOnce() -> T) -> T {
        let before = CALLED.replace(self);
        let result = callback();
        CALLED.set(before);
        result
    }
}

/// One of a node's threads waits for room in a mailbox.
pub struct Waiting<'a> {
    seat: &'a SeatShared,
    mailbox: Arc<Mailbox>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.seat.waiting_on);
        if let Some(at) = waiting
            .iter()
            .position(|mailbox| Arc::ptr_eq(mailbox, &self.mailbox))
        {
            waiting.swap_remove(at);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handle that instances' tables hold.
#[derive(Clone)]
pub struct SeatHandle(pub Arc<SeatShared>);

impl Callbacks for SeatHandle {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn admit(&self, output: u32, schema: &Schema) -> Status {
        let Some(port) = self.0.outputs.get(output as usize) else {
            return ffi::ERR_UNKNOWN_OUTPUT;
        };
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

    fn room(&self, _output: u32, len: usize) -> Option<Box<dyn Room>> {
        Some(Box::new(Heap::new(len)?))
    }

    fn send(&self, output: u32, message: Message) -> Status {
        let Some(port) = self.0.outputs.get(output as usize) else {
            return ffi::ERR_UNKNOWN_OUTPUT;
        };
        port.sent.fetch_add(1, Ordering::Relaxed);
        port.route.send(message, &self.0)
    }

    fn refuse(&self, output: u32, error: &MakeError) {
        let name = self
            .0
            .outputs
            .get(output as usize)
            .map_or("?", |port| port.name.as_str());
        self.0
            .log
            .engine(1, Some(&self.0.id), &format!("output `{name}`: {error}"));
    }

    fn log(&self, line: &LogLine<'_>) {
        self.0.log.node(&self.0.id, line);
    }

    fn report(&self, failure: NodeFailure) {
        *lock(&self.0.failure) = Some(failure);
        // Within a callback its status says the rest; a thread of the node's own has no status to return.
        if !std::ptr::eq(CALLED.get(), Arc::as_ptr(&self.0)) {
            self.0.mailbox.order(self.0.seat, Order::Fail);
        }
    }

    fn request_stop(&self) {
        self.0.mailbox.order(self.0.seat, Order::Finish);
    }
}
