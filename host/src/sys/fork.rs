//! A second process that is a copy of this one, and waiting for signals in a process of one thread.
//!
//! Absent: what the two do.

use rustix::process::{Pid, Signal};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

/// Which of the two processes this is.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// The one that was there before; the number of the new one.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Copies this process, with all that is open. Only in a process with one thread: in the copy there would be no other, and
/// what the others had locked would stay so.
///
/// # Errors
/// There are more threads, or the system has no room for a process.
pub fn fork() -> io::Result<Side> {
    if threads().is_some_and(|count| count != 1) {
        return Err(io::Error::other("this process has several threads already"));
    }
    // SAFETY: this is the only thread, so that the copy is whole.
    match unsafe { libc::fork() } {
        0 => Ok(Side::Child),
        id => match Pid::from_raw(id) {
            Some(pid) if id > 0 => Ok(Side::Parent(pid)),
            _ => Err(io::Error::last_os_error()),
        },
    }
}

/// How many threads this process has, where the system tells it in a file.
fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// Signals that do not act on this process but wait until they are taken.
#[derive(Clone, Copy)]
pub struct Held {
    set: libc::sigset_t,
    before: libc::sigset_t,
}

impl Held {
    /// Holds these signals from now on, for the calling thread and threads and copies that it makes.
    ///
    /// # Errors
    /// The system's.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: makes the set an empty one.
        let mut set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        };
        for signal in signals {
            // SAFETY: an initialised set and the number of a signal.
            unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) };
        }
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: an initialised set, and room for the one before.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, before.as_mut_ptr()) }
        {
            0 => Ok(Self {
                set,
                // SAFETY: the call has succeeded, and has written it.
                before: unsafe { before.assume_init() },
            }),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Lets signals act as they did before. What waits acts at once.
    pub fn release(self) {
        // SAFETY: the set that the system gave. It fails for wrong arguments only.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut())
        };
    }

    /// Takes the next of them, or nothing after so long.
    ///
    /// # Errors
    /// The system's.
    pub fn next(&self, timeout: Option<Duration>) -> io::Result<Option<Signal>> {
        let raw = match timeout {
            None => self.wait()?,
            Some(timeout) => match self.wait_for(timeout)? {
                Some(raw) => raw,
                None => return Ok(None),
            },
        };
        Ok(Signal::from_named_raw(raw))
    }

    fn wait(&self) -> io::Result<i32> {
        let mut signal = 0;
        // SAFETY: an initialised set, and room for a number.
        match unsafe { libc::sigwait(&raw const self.set, &raw mut signal) } {
            0 => Ok(signal),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    #[cfg(target_os = "linux")]
    fn wait_for(&self, timeout: Duration) -> io::Result<Option<i32>> {
        let time = libc::timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: an initialised set and time; nobody wants more than the number.
        match unsafe { libc::sigtimedwait(&raw const self.set, ptr::null_mut(), &raw const time) } {
            -1 => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
                error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                error => Err(error),
            },
            signal => Ok(Some(signal)),
        }
    }

    /// Other systems cannot wait for signals with a deadline: it looks again and again.
    #[cfg(not(target_os = "linux"))]
    fn wait_for(&self, timeout: Duration) -> io::Result<Option<i32>> {
        const PAUSE: Duration = Duration::from_millis(20);
        let until = std::time::Instant::now() + timeout;
        loop {
            let mut waiting = MaybeUninit::<libc::sigset_t>::uninit();
            // SAFETY: room for a set, which the call fills.
            let waiting = unsafe {
                libc::sigemptyset(waiting.as_mut_ptr());
                libc::sigpending(waiting.as_mut_ptr());
                waiting.assume_init()
            };
            // SAFETY: initialised sets.
            let there = (1..32).any(|signal| unsafe {
                libc::sigismember(&raw const waiting, signal) == 1
                    && libc::sigismember(&raw const self.set, signal) == 1
            });
            if there {
                return self.wait().map(Some);
            }
            if std::time::Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Whether a signal is ignored by this process, as whoever started it wanted.
pub fn is_ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only, into room for the answer, for which all zeros is a value.
    unsafe {
        libc::sigaction(signal.as_raw(), ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Lets a signal do what it does in a fresh process, or nothing.
pub fn set_ignored(signal: Signal, ignored: bool) {
    let action = if ignored {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    };
    // SAFETY: neither of the two runs any code of ours.
    unsafe { libc::signal(signal.as_raw(), action) };
}
