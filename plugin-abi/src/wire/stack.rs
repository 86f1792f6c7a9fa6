//! Where a thread of this process is, on standard error, when the daemon asks with a signal: for a callback that does not
//! return, before the process is ended.
//!
//! ```text
//! hangs: the stack of thread camera
//!    0: /tmp/x/libcamera.so+0x12f0
//! hangs: that was all
//! ```
//!
//! Invariant: what a signal interrupts goes on, but for calls that never do, such as `poll`; the thread takes no memory and
//! no lock but the loader's. Absent: systems other than Linux, where no thread can be asked, and who asks.

/// How the first line begins.
pub const BEGIN: &str = "hangs: the stack of thread ";
/// The last line.
pub const END: &str = "hangs: that was all";

/// Lets the daemon ask threads of this process from now on, as far as the system knows how to.
pub fn answer() {
    system::answer();
}

/// The system's number of this thread, if it can be asked; else 0.
pub fn this_thread() -> u32 {
    system::this_thread()
}

/// The signal that asks.
#[cfg(target_os = "linux")]
pub fn signal() -> i32 {
    system::signal()
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub fn answer() {}

    pub fn this_thread() -> u32 {
        0
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{BEGIN, END};
    use crate::frames::{self, Line};
    use libc::{c_int, c_void, siginfo_t};
    use std::mem::MaybeUninit;
    use std::sync::OnceLock;

    /// Whether there is a handler.
    static ANSWERS: OnceLock<bool> = OnceLock::new();

    /// One that nobody uses by itself.
    pub fn signal() -> c_int {
        libc::SIGRTMAX() - 4
    }

    pub fn answer() {
        ANSWERS.get_or_init(|| {
            // SAFETY: all zeros is a value: no flags, nothing held, and SIG_DFL.
            let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
            action.sa_sigaction =
                asked as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            // SAFETY: a handler of the right form, which calls nothing that a signal may not have interrupted but what the
            // header of `frames` names.
            unsafe { libc::sigaction(signal(), &raw const action, std::ptr::null_mut()) == 0 }
        });
    }

    pub fn this_thread() -> u32 {
        match ANSWERS.get() {
            Some(true) => {
                let thread = rustix::thread::gettid();
                thread.as_raw_nonzero().get().cast_unsigned()
            }
            _ => 0,
        }
    }

    extern "C" fn asked(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
        // SAFETY: the thread's own.
        let error = unsafe { *libc::__errno_location() };
        let mut line = Line::new();
        line.push(BEGIN.as_bytes());
        let mut name = [0_u8; 64];
        // SAFETY: room of that size; the name is ended with a zero.
        unsafe {
            libc::pthread_getname_np(libc::pthread_self(), name.as_mut_ptr().cast(), name.len());
        }
        line.push(name.split(|byte| *byte == 0).next().unwrap_or_default());
        print(&line.end());
        frames::each(&mut print);
        let mut line = Line::new();
        line.push(END.as_bytes());
        print(&line.end());
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = error };
    }

    fn print(line: &Line) {
        let bytes = line.as_bytes();
        // SAFETY: borrowed for the call. Nothing can be done where nobody reads.
        unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
    }
}
