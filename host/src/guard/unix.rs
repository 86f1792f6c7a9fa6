//! The guard's side on Unix.
//!
//! Invariant: from the first fork on it has one thread, takes no lock that another could hold, and what it waits for is a
//! signal.

use super::streak::Streak;
use super::{BEFORE, DEATHS, Death, GUARD, REMEMBERED, Rules};
use crate::sys::{descendants, ending, fork, leftovers, scene};
use rustix::process::{Pid, Signal, WaitOptions, wait};
use std::ffi::CStr;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(super) use super::worker::Way;

/// How long killed processes may take to end.
const DEADLINE: Duration = Duration::from_secs(10);
/// What the worker says before it ends.
pub(super) const LEAVING: u8 = 1;
/// Signals that ask to end.
const ASKING: [Signal; 3] = [Signal::HUP, Signal::INT, Signal::TERM];

pub(super) fn enter(rules: Rules, tell: &dyn Fn(&Death)) -> io::Result<Way> {
    // Ignored, it would let the system collect the worker unseen.
    fork::set_ignored(Signal::CHILD, false);
    let mut signals = vec![Signal::CHILD];
    // What is ignored, as SIGHUP after `nohup`, stays so.
    signals.extend(
        ASKING
            .into_iter()
            .filter(|signal| !fork::is_ignored(*signal)),
    );
    let held = fork::Held::new(&signals)?;
    // Old systems cannot; then only families are ended.
    let _ = descendants::adopt_orphans();
    // Of processes that were killed before, and had nobody to do it.
    leftovers::sweep();
    // Without it nobody knows which node it was.
    let _ = scene::share();
    let guard = std::process::id();
    let mut streak = Streak::default();
    loop {
        scene::clear();
        let split = UnixStream::pair().and_then(|pair| Ok((pair, fork::fork()?)));
        let ((ours, its), side) = split.inspect_err(|_| held.release())?;
        match side {
            fork::Side::Child => {
                drop(ours);
                held.release();
                name(c"dora");
                GUARD.store(guard, Ordering::Relaxed);
                return Way::begin(its);
            }
            fork::Side::Parent(worker) => {
                drop(its);
                name(c"dora-guard");
                let mut watch = Watch::new(worker, ours, held)?;
                let end = watch.until_its_end()?;
                after(end, &mut watch, rules, &mut streak, tell);
                DEATHS.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// For people who look at the list of processes.
fn name(name: &CStr) {
    #[cfg(target_os = "linux")]
    {
        // The old name is as good.
        let _ = rustix::thread::set_name(name);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

/// A worker, as the guard sees it.
struct Watch {
    worker: Pid,
    way: UnixStream,
    held: fork::Held,
    since: Instant,
    /// The last signal that asked to end.
    asked: Option<Signal>,
}

impl Watch {
    fn new(worker: Pid, way: UnixStream, held: fork::Held) -> io::Result<Self> {
        // A worker that does not read must not stop the guard.
        way.set_nonblocking(true)?;
        Ok(Self {
            worker,
            way,
            held,
            since: Instant::now(),
            asked: None,
        })
    }

    /// Waits for the worker's end, and passes on what is asked meanwhile.
    fn until_its_end(&mut self) -> io::Result<ExitStatus> {
        loop {
            match self.held.next(None)? {
                Some(Signal::CHILD) => {
                    if let Some(status) = collect(Some(self.worker)) {
                        return Ok(status);
                    }
                }
                Some(signal) => self.pass_on(signal),
                None => {}
            }
        }
    }

    fn pass_on(&mut self, signal: Signal) {
        self.asked = Some(signal);
        // Numbers of signals are small. A worker that has so many unread that there is no room has heard enough.
        if let Ok(number) = u8::try_from(signal.as_raw()) {
            let _ = self.way.write(&[number]);
        }
    }

    /// Whether the worker has said that its end is in order.
    fn has_left(&mut self) -> bool {
        matches!(self.way.read(&mut [0]), Ok(1))
    }

    /// Waits before the next worker, unless somebody asks to end.
    fn pause(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while self.asked.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            match self.held.next(Some(left)) {
                Ok(Some(Signal::CHILD)) => {
                    collect(None);
                }
                Ok(Some(signal)) => self.asked = Some(signal),
                Ok(None) | Err(_) if left.is_zero() => return,
                Ok(None) | Err(_) => {}
            }
        }
    }
}

/// Collects every child that has ended; the status of this one, if it is among them.
fn collect(wanted: Option<Pid>) -> Option<ExitStatus> {
    let mut found = None;
    while let Ok(Some((id, status))) = wait(WaitOptions::NOHANG) {
        if Some(id) == wanted {
            found = Some(ExitStatus::from_raw(status.as_raw()));
        }
    }
    found
}

/// Ends what the worker has left, and this process too unless there is to be another worker.
fn after(
    status: ExitStatus,
    watch: &mut Watch,
    rules: Rules,
    streak: &mut Streak,
    tell: &dyn Fn(&Death),
) {
    let in_order = status.code().is_some() && watch.has_left();
    if in_order && rules.keep {
        end(status);
    }
    let all_ended = descendants::kill_all(true, DEADLINE);
    let wished = status
        .signal()
        .is_some_and(|number| ASKING.iter().any(|signal| signal.as_raw() == number));
    if in_order || wished {
        end(status);
    }
    leftovers::sweep();
    let again = rules.again && watch.asked.is_none();
    let death = Death {
        all_ended,
        pause: again.then(|| streak.pause(watch.since.elapsed())),
        ..death(status)
    };
    tell(&death);
    let pause = death.pause;
    remember(death);
    match pause {
        Some(pause) => watch.pause(pause),
        // Also what has ended with success has not come to its end.
        None => std::process::exit(code(status).max(1)),
    }
    if let Some(signal) = watch.asked {
        std::process::exit(128 + signal.as_raw());
    }
}

/// How it has died, and what it has left of that.
fn death(status: ExitStatus) -> Death {
    let signal = ending::crash(status);
    // Whoever kills it so does not ask which node is called.
    let killed = status.signal() == Some(Signal::KILL.as_raw());
    let crash = scene::crash(!killed);
    let cause = crash.as_ref().and_then(|crash| match crash.overflow {
        true => Some("stack overflow"),
        false => crash.cause(),
    });
    let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
    Death {
        how: match &signal {
            Some(signal) => format!("{signal}{cause}"),
            None => format!("exit code {}", status.code().unwrap_or_default()),
        },
        killed: signal.is_some(),
        crash,
        all_ended: false,
        pause: None,
    }
}

/// For the workers that follow.
fn remember(death: Death) {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if before.len() >= REMEMBERED {
        before.remove(0);
    }
    before.push(death);
}

/// Ends as the worker did.
fn end(status: ExitStatus) -> ! {
    std::process::exit(code(status))
}

/// How the worker ended, as shells tell it.
fn code(status: ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, signal) => 128 + signal.unwrap_or_default(),
    }
}
