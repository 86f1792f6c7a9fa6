//! What a running node's instance can ask for: the engine's side of the host table.
//!
//! Invariant: shared by the node's threads and its worker; nothing here waits but a sender with a full
//! `backpressure` reader. Absent: calling the instance (`worker`).

use super::clock::Clock;
use super::mailbox::{Mailbox, Order};
use super::remote::Outlet;
use super::route::Route;
use super::{Calls, Crash, EngineLog, SeatId};
use crate::ids::NodeId;
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::{Callbacks, Heap, LogLine, NodeFailure, Room};
use plugin_abi::message::{MakeError, Message, Schema};
use plugin_abi::meta::Timestamp;
use plugin_abi::types;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One output of a running node.
#[derive(Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The type that the plugin declares; empty for any.
    pub data_type: String,
    /// Its readers.
    pub route: Arc<Route>,
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
    /// The instance that may send: twice its restart count, plus one when it has been told to stop.
    sender: AtomicU64,
    failure: Mutex<Option<NodeFailure>>,
    /// Whether `failure` was reported within a callback.
    failed: AtomicBool,
    patience: Duration,
    waiting_on: Mutex<Vec<Awaited>>,
    /// Whether threads of the node's own may not send yet, and where they wait.
    held: Mutex<bool>,
    let_go: Condvar,
}

/// Whom a sender waits for.
#[derive(Debug, Clone)]
pub enum Awaited {
    /// An input of this mailbox.
    Mailbox(Arc<Mailbox>),
    /// Readers outside the process.
    Outlet(Arc<dyn Outlet>),
}

impl Awaited {
    /// Makes those who wait ask whether they are to stop.
    fn nudge(&self) {
        match self {
            Self::Mailbox(mailbox) => mailbox.wake_senders(),
            Self::Outlet(outlet) => outlet.nudge(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mailbox(this), Self::Mailbox(other)) => Arc::ptr_eq(this, other),
            (Self::Outlet(this), Self::Outlet(other)) => Arc::ptr_eq(this, other),
            _ => false,
        }
    }
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
        patience: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            outputs,
            seat,
            mailbox,
            clock,
            log,
            sender: AtomicU64::new(0),
            failure: Mutex::default(),
            failed: AtomicBool::new(false),
            patience,
            waiting_on: Mutex::default(),
            held: Mutex::new(false),
            let_go: Condvar::new(),
        })
    }

    /// Lets threads of the node's own wait before they send. Before the first instance is made.
    pub fn hold(&self) {
        *lock(&self.held) = true;
    }

    /// Whether the node has been told to stop or has ended: it sends nothing any more.
    pub fn is_stopping(&self) -> bool {
        self.sender.load(Ordering::Acquire) & 1 == 1
    }

    /// Lets an instance send, and none before it. Before that instance is made.
    pub fn let_send(&self, restart_count: u32) {
        self.sender.store(sends(restart_count), Ordering::Release);
    }

    /// Stops its sending, and wakes those of its threads that wait for readers.
    pub fn stop_sending(&self) {
        self.sender.fetch_or(1, Ordering::Release);
        for awaited in lock(&self.waiting_on).iter() {
            awaited.nudge();
        }
        drop(lock(&self.held));
        self.let_go.notify_all();
    }

    /// Logs a warning of the engine about this node.
    pub fn warn(&self, text: &str) {
        self.log.engine(2, Some(&self.id), text);
    }

    /// The node has crashed: where there is more to read about it.
    pub fn crashed(&self, crash: Crash) -> Option<String> {
        self.log.crashed(&self.id, crash)
    }

    /// The failure that was reported last.
    pub fn take_failure(&self) -> Option<NodeFailure> {
        self.failed.store(false, Ordering::Relaxed);
        lock(&self.failure).take()
    }

    /// Whether a callback has reported a failure. On the node's thread.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Runs a callback of this seat's instance: what is reported meanwhile on this thread belongs to it.
    pub fn called<T>(&self, callback: impl FnOnce() -> T) -> T {
        let before = CALLED.replace(self);
        let result = callback();
        CALLED.set(before);
        result
    }
}

/// One of a node's threads waits for a reader.
pub struct Waiting<'a> {
    seat: &'a SeatShared,
    awaited: Awaited,
    /// Who is told that a callback waits.
    calls: Option<Arc<dyn Calls>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.seat.waiting_on);
        if let Some(at) = waiting.iter().position(|of| of.is(&self.awaited)) {
            waiting.swap_remove(at);
        }
        if let Some(calls) = &self.calls {
            calls.held_up();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handle that the table of one instance holds. Any thread, also after the instance's end.
#[derive(Clone)]
pub struct SeatHandle {
    shared: Arc<SeatShared>,
    restart_count: u32,
}

fn sends(restart_count: u32) -> u64 {
    u64::from(restart_count) << 1
}

impl SeatHandle {
    /// The handle of one instance of a node.
    pub fn new(shared: Arc<SeatShared>, restart_count: u32) -> Self {
        Self {
            shared,
            restart_count,
        }
    }

    /// Whether the instance has been told to stop or has ended: it sends nothing any more.
    pub fn is_stopping(&self) -> bool {
        self.shared.sender.load(Ordering::Acquire) != sends(self.restart_count)
    }

    /// Whether a later instance has taken its place.
    fn is_replaced(&self) -> bool {
        self.shared.sender.load(Ordering::Acquire) >> 1 != u64::from(self.restart_count)
    }

    /// How long it waits for a reader before it says so.
    pub fn patience(&self) -> Duration {
        self.shared.patience
    }

    /// Logs a warning of the engine about the node.
    pub fn warn(&self, text: &str) {
        self.shared.warn(text);
    }

    /// Remembers what one of the instance's threads waits for, until the guard is dropped.
    pub fn waits_on(&self, awaited: Awaited) -> Waiting<'_> {
        lock(&self.shared.waiting_on).push(awaited.clone());
        let of = self.is_in_callback().then_some(&self.shared);
        let calls = of.and_then(|of| of.log.calls(&of.id));
        if let Some(calls) = &calls {
            calls.held_up();
        }
        Waiting {
            seat: &self.shared,
            awaited,
            calls,
        }
    }

    /// Whether this thread runs a callback of the node.
    pub fn is_in_callback(&self) -> bool {
        std::ptr::eq(CALLED.get(), Arc::as_ptr(&self.shared))
    }

    /// Lets messages of the node pass, if they were held: first what was kept, then what its own threads send. On the
    /// node's thread.
    pub fn let_go(&self) {
        for output in &self.shared.outputs {
            output.route.let_go(self);
        }
        *lock(&self.shared.held) = false;
        self.shared.let_go.notify_all();
    }

    /// Waits until the node is let go or told to stop.
    pub fn wait_until_let_go(&self) {
        let mut held = lock(&self.shared.held);
        while *held && !self.is_stopping() {
            let waited = self.shared.let_go.wait_timeout(held, self.patience());
            held = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Callbacks for SeatHandle {
    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn admit(&self, output: u32, schema: &Schema) -> Status {
        let Some(port) = self.shared.outputs.get(output as usize) else {
            return ffi::ERR_UNKNOWN_OUTPUT;
        };
        if self.is_stopping() {
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
        let output = self.shared.outputs.get(output as usize);
        let room = output.and_then(|output| output.route.room(len));
        room.or_else(|| Some(Box::new(Heap::new(len)?)))
    }

    fn send(&self, output: u32, message: Message) -> Status {
        let Some(port) = self.shared.outputs.get(output as usize) else {
            return ffi::ERR_UNKNOWN_OUTPUT;
        };
        port.route.send(message, self)
    }

    fn refuse(&self, output: u32, error: &MakeError) {
        let name = self
            .shared
            .outputs
            .get(output as usize)
            .map_or("?", |port| port.name.as_str());
        self.shared.log.engine(
            1,
            Some(&self.shared.id),
            &format!("output `{name}`: {error}"),
        );
    }

    fn log(&self, line: &LogLine<'_>) {
        self.shared.log.node(&self.shared.id, line);
    }

    fn report(&self, failure: NodeFailure) {
        // Within a callback its status says the rest; a thread of the node's own has no status to return.
        if self.is_in_callback() {
            *lock(&self.shared.failure) = Some(failure);
            self.shared.failed.store(true, Ordering::Relaxed);
        } else if self.is_replaced() {
            self.warn(&format!("failed after its restart: {failure}"));
        } else {
            *lock(&self.shared.failure) = Some(failure);
            self.order(Order::Fail {
                instance: self.restart_count,
            });
        }
    }

    fn request_stop(&self) {
        self.order(Order::Finish {
            instance: self.restart_count,
        });
    }
}

impl SeatHandle {
    /// The instance has crashed: where there is more to read about it.
    pub fn crashed(&self, crash: Crash) -> Option<String> {
        self.shared.crashed(crash)
    }

    /// The node.
    pub fn node(&self) -> &NodeId {
        &self.shared.id
    }

    /// The instance's number.
    pub fn restart_count(&self) -> u32 {
        self.restart_count
    }

    /// Whether sending on an output may wait now.
    pub fn may_wait(&self, output: u32) -> bool {
        let output = self.shared.outputs.get(output as usize);
        output.is_some_and(|output| output.route.may_wait())
    }

    /// Closes an output, unless a later instance has taken this one's place.
    pub fn close_output(&self, output: u32) {
        if let Some(output) = self.shared.outputs.get(output as usize)
            && !self.is_replaced()
        {
            output.route.close();
        }
    }

    /// What is behind the node's door takes messages again.
    pub(super) fn resume(&self) {
        self.shared.mailbox.resume();
    }

    /// Gives an order to the node's own thread.
    pub(super) fn order(&self, order: Order) {
        self.shared.mailbox.order(self.shared.seat, order);
    }
}
