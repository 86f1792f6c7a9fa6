//! The worker's side on Unix: a thread that reads what the guard says, and notices its death.

use super::unix::LEAVING;
use super::{HANDLED, REQUESTS};
use crate::sys::{crash, descendants, ending, family, leftovers};
use rustix::process::{Signal, getpid, kill_process, setpgid};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// How long killed processes may take to end.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long an orderly exit may take.
const EXIT: Duration = Duration::from_secs(1);
/// Between two looks for adopted children that have ended.
const LOOK: Duration = Duration::from_secs(30);

/// The way to the guard.
#[derive(Debug)]
pub(super) struct Way(UnixStream);

impl Way {
    /// This process has just been made to be the worker.
    pub fn begin(way: UnixStream) -> io::Result<Self> {
        // A signal to the whole group, such as SIGKILL from whoever started the command, must not reach both. At a
        // terminal it stays with the guard: else libraries that read the keyboard would be stopped.
        if !io::stdin().is_terminal() {
            setpgid(None, None)?;
        }
        // See the guard.
        let _ = descendants::adopt_orphans();
        #[cfg(target_os = "linux")]
        {
            // Stopped, it could not notice that the guard has died. The guard's one thread lives as long as the guard.
            rustix::process::set_parent_process_death_signal(Some(Signal::CONT))?;
        }
        // Where libraries of other people run, it is good to know which one it was. Without handlers it dies as well.
        let _ = crash::report();
        let reading = way.try_clone()?;
        reading.set_read_timeout(Some(LOOK))?;
        thread::Builder::new()
            .name("dora-guard".into())
            .stack_size(256 * 1024)
            .spawn(move || listen(reading))?;
        Ok(Self(way))
    }

    pub fn leave(mut self) {
        // A guard that has died does not hear it.
        let _ = self.0.write(&[LEAVING]);
    }
}

fn listen(mut way: UnixStream) {
    let mut seen = Vec::new();
    let mut said = [0; 16];
    loop {
        match way.read(&mut said) {
            Ok(0) => end_all(),
            Ok(count) => said.iter().take(count).for_each(|signal| request(*signal)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    seen = descendants::collect_adopted(&seen);
                }
                ErrorKind::Interrupted => {}
                _ => end_all(),
            },
        }
    }
}

fn request(signal: u8) {
    REQUESTS.send_modify(|count| *count += 1);
    if HANDLED.load(Ordering::SeqCst) {
        return;
    }
    if let Some(signal) = Signal::from_named_raw(signal.into()) {
        // A process may always signal itself.
        let _ = kill_process(getpid(), signal);
    }
}

/// The guard has died. Shared memory goes first, which needs no lock of anybody; what else libraries would leave behind they
/// take away at an orderly exit, which may hang where threads hold locks.
fn end_all() -> ! {
    family::start_no_more();
    descendants::kill_all(false, DEADLINE);
    leftovers::let_go();
    // From here on nothing of ours need be waited for, and whatever hangs ends with the process.
    let watchdog = thread::Builder::new().spawn(|| {
        thread::sleep(EXIT);
        // A node that still runs may have made more.
        leftovers::let_go();
        ending::vanish()
    });
    match watchdog {
        Ok(_) => std::process::exit(1),
        Err(_) => ending::vanish(),
    }
}
