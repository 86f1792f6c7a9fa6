//! The stack of another thread of this process: a signal asks that thread for its frames.
//!
//! Invariant: a call that the signal interrupts goes on (`SA_RESTART`), but for those that never do, such as `poll`; one
//! question is under way at a time, and a thread that answers late answers nobody. Absent: systems other than Linux.

use std::io;
use std::time::Duration;

/// Asks a thread, by the system's number for it, and waits at most so long for its frames, the innermost first.
///
/// # Errors
/// It does not answer, has ended, or cannot be asked on this system.
pub fn of_thread(thread: u32, deadline: Duration) -> io::Result<Vec<String>> {
    system::of_thread(thread, deadline)
}

/// Asks a thread of another process, which must answer there ([`plugin_abi::wire::stack`]); its answer is on the standard
/// error of that process.
///
/// # Errors
/// There is no such thread in that process, or it cannot be asked on this system.
pub fn ask(process: u32, thread: u32) -> io::Result<()> {
    system::ask(process, thread)
}

/// The system's number of this thread.
pub fn this_thread() -> u32 {
    system::this_thread()
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Duration, io};

    pub fn of_thread(_: u32, _: Duration) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn ask(_: u32, _: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn this_thread() -> u32 {
        0
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Duration, io};
    use libc::{c_int, c_void, siginfo_t};
    use plugin_abi::frames::{self, Line};
    use std::mem::MaybeUninit;
    use std::ptr;
    use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::thread;
    use std::time::Instant;

    /// Bytes of an answer.
    const ANSWER: usize = 16 * 1024;
    /// Between two looks for the answer.
    const LOOK: Duration = Duration::from_millis(2);

    /// Who is asked.
    static ASKED: AtomicU32 = AtomicU32::new(0);
    static ANSWERED: AtomicBool = AtomicBool::new(false);
    static STUCK: AtomicBool = AtomicBool::new(false);
    static LENGTH: AtomicUsize = AtomicUsize::new(0);
    static TEXT: [AtomicU8; ANSWER] = [const { AtomicU8::new(0) }; ANSWER];
    /// Held by whoever asks; whether the handler is there.
    static TURN: Mutex<bool> = Mutex::new(false);

    /// One that nobody uses by itself.
    fn signal() -> c_int {
        libc::SIGRTMAX() - 3
    }

    pub fn this_thread() -> u32 {
        rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .cast_unsigned()
    }

    pub fn of_thread(thread: u32, deadline: Duration) -> io::Result<Vec<String>> {
        let mut installed = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if STUCK.load(Ordering::Relaxed) {
            return Err(io::Error::other(
                "an earlier thread has not come to the end of its answer",
            ));
        }
        if !*installed {
            install()?;
            *installed = true;
        }
        LENGTH.store(0, Ordering::Relaxed);
        ANSWERED.store(false, Ordering::Relaxed);
        ASKED.store(thread, Ordering::Release);
        let failed = send(std::process::id(), thread, signal()).err();
        let until = Instant::now() + deadline;
        while failed.is_none() && !ANSWERED.load(Ordering::Acquire) && Instant::now() < until {
            thread::sleep(LOOK);
        }
        // One that is just answering is waited for.
        let until = Instant::now() + deadline;
        while ASKED.swap(0, Ordering::AcqRel) == 0 && !ANSWERED.load(Ordering::Acquire) {
            if Instant::now() >= until {
                // It may write whenever it goes on.
                STUCK.store(true, Ordering::Relaxed);
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(LOOK);
        }
        match failed {
            Some(error) => Err(error),
            None if ANSWERED.load(Ordering::Acquire) => Ok(answer()),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    pub fn ask(process: u32, thread: u32) -> io::Result<()> {
        send(process, thread, plugin_abi::wire::stack::signal())
    }

    /// Sends a signal that has a handler, to a thread of this process or to nobody.
    fn send(process: u32, thread: u32, signal: c_int) -> io::Result<()> {
        let (process, thread) = (process.cast_signed(), thread.cast_signed());
        // SAFETY: numbers only; the system refuses what is no thread of that process.
        match unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn answer() -> Vec<String> {
        let length = LENGTH.load(Ordering::Relaxed).min(ANSWER);
        let bytes = TEXT.iter().take(length);
        let bytes: Vec<u8> = bytes.map(|byte| byte.load(Ordering::Relaxed)).collect();
        let text = String::from_utf8_lossy(&bytes);
        text.lines().map(ToOwned::to_owned).collect()
    }

    fn install() -> io::Result<()> {
        // SAFETY: all zeros is a value: no flags, nothing held, and SIG_DFL.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction =
            asked as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // SAFETY: a handler of the right form, which calls nothing that a signal may not have interrupted but what the
        // header of `frames` names.
        match unsafe { libc::sigaction(signal(), &raw const action, ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    extern "C" fn asked(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
        let this = this_thread();
        // Nobody asks any more, or somebody else is asked.
        let mine = ASKED.compare_exchange(this, 0, Ordering::AcqRel, Ordering::Relaxed);
        if mine.is_err() {
            return;
        }
        // SAFETY: the thread's own.
        let error = unsafe { *libc::__errno_location() };
        frames::each(&mut append);
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = error };
        ANSWERED.store(true, Ordering::Release);
    }

    fn append(line: &Line) {
        let begin = LENGTH.load(Ordering::Relaxed);
        let bytes = line.as_bytes();
        let room = TEXT.iter().skip(begin);
        room.zip(bytes)
            .for_each(|(place, byte)| place.store(*byte, Ordering::Relaxed));
        LENGTH.store(begin + bytes.len(), Ordering::Relaxed);
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::sync::mpsc;

        const DEADLINE: Duration = Duration::from_secs(30);

        #[test]
        fn a_thread_that_waits_tells_where_and_goes_on() {
            let (tell, told) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            let waits = thread::spawn(move || {
                tell.send(this_thread()).expect("heard");
                ended.recv_timeout(DEADLINE).expect("it went on")
            });
            let id = told.recv().expect("its number");
            for _ in 0..20 {
                let frames = of_thread(id, DEADLINE).expect("frames");
                let this = std::env::current_exe().expect("this program");
                let name = this.file_name().expect("a name").to_string_lossy();
                let this = format!("{name}+0x");
                assert!(
                    frames.iter().any(|frame| frame.contains(&this)),
                    "{frames:?}"
                );
            }
            end.send(()).expect("it waits");
            waits.join().expect("no fault");
            of_thread(id, DEADLINE).expect_err("it has ended");
        }
    }
}
