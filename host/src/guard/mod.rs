//! Two processes instead of one, for commands that start others: nothing that they start outlives them.
//!
//! On Unix [`enter`] splits this process. The one that was there stays as the *guard*: one thread that waits. The new one,
//! the *worker*, does everything else. Each knows at once when the other has died: the guard is the parent, the worker
//! reads a socket whose other end only the guard has. When the worker dies, the guard kills every descendant and, if so
//! wanted, makes a new worker; when the guard dies, the worker kills its descendants and itself. Both adopt the orphans
//! among their descendants (on Linux), so that leaving the group or the session is no way out. On Windows a job object
//! does the killing, and there is one process.
//!
//! What a worker was doing when it died it has written into memory that both share (`sys::scene`): the guard names the node
//! whose callback has crashed it, and so does the next worker, which knows of the deaths before it.
//!
//! Signals that ask the guard to end are counted and passed on; a user's process that gets them itself, as the whole
//! foreground of a terminal does, counts its own, and the larger number is what was asked for.
//!
//! Invariant: the guard has one thread, and runs nothing that could crash. Absent: surviving a SIGKILL of both at the same
//! moment; only a cgroup could end what is left then. Systems other than Linux and Windows end the families that the
//! worker knows, no more.

mod death;
#[cfg(unix)]
mod streak;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(unix)]
mod worker;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use crate::sys::scene::{Crash, Life};
pub use death::Death;

use crate::sys::scene;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use tokio::sync::watch;

/// What becomes of the worker's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// After a death there is a new worker, unless the guard was asked to end.
    pub again: bool,
    /// What has left its family on purpose may go on after an end that was in order: builds start servers.
    pub keep: bool,
}

/// This process is the worker, or the only one. [`Worker::leave`] says that its end is in order.
#[derive(Debug)]
pub struct Worker(system::Way);

impl Worker {
    /// It ends now, as it should: without this word the guard takes any end for a death.
    pub fn leave(self) {
        self.0.leave();
    }
}

/// Splits this process, while it still has one thread. Returns in the worker only, also in each that comes after the death
/// of one: the guard never returns, and ends as the worker did. `tell` is called in the guard.
///
/// # Errors
/// The system's; then there is no guard, and this process is as before.
pub fn enter(rules: Rules, tell: &dyn Fn(&Death)) -> io::Result<Worker> {
    system::enter(rules, tell).map(Worker)
}

/// How many workers have died before this one.
pub fn deaths() -> u32 {
    DEATHS.load(Ordering::Relaxed)
}

/// Says what this worker is to the guard, and to the worker that comes after its death.
pub fn tell_life(life: &Life) {
    scene::tell_life(life);
}

/// The deaths of the workers before this one, the latest last. Only so many are remembered.
pub fn before() -> Vec<Death> {
    let deaths = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    deaths.clone()
}

/// Deaths that are remembered: each has a report, and more in a row tell nothing more.
#[cfg(unix)]
const REMEMBERED: usize = 8;

/// The number of the process that stands for the command: the guard's where there is one, else this process's. Whoever
/// signals or kills it reaches both.
pub fn process_id() -> u32 {
    match GUARD.load(Ordering::Relaxed) {
        0 => std::process::id(),
        guard => guard,
    }
}

/// How many times the guard was asked to end: from here on this process does what is to be done about it. Before the first
/// call such a signal acts on this process as it does without a guard.
pub fn requests() -> watch::Receiver<u64> {
    HANDLED.store(true, Ordering::SeqCst);
    REQUESTS.subscribe()
}

static DEATHS: AtomicU32 = AtomicU32::new(0);
/// In the guard's memory, and so in that of each worker.
static BEFORE: Mutex<Vec<Death>> = Mutex::new(Vec::new());
/// The number of the guard; 0 where there is none.
static GUARD: AtomicU32 = AtomicU32::new(0);
static HANDLED: AtomicBool = AtomicBool::new(false);
static REQUESTS: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));
