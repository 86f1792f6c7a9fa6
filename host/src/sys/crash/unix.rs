//! Handlers of the signals that a crash sends, on the stacks that Rust gives its threads for them.

use super::{DEADLINE_SECONDS, Line, MOST_FRAMES, frame};
use libc::{c_int, c_void, siginfo_t};
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

const SIGNALS: [(c_int, &[u8]); 5] = [
    (libc::SIGSEGV, b"SIGSEGV"),
    (libc::SIGBUS, b"SIGBUS"),
    (libc::SIGILL, b"SIGILL"),
    (libc::SIGFPE, b"SIGFPE"),
    (libc::SIGABRT, b"SIGABRT"),
];

/// The signal whose crash is being reported.
static CRASH: AtomicI32 = AtomicI32::new(0);
/// What the signals did before, in the order of [`SIGNALS`].
static BEFORE: OnceLock<[libc::sigaction; 5]> = OnceLock::new();

/// A handler as the system calls it.
type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

unsafe extern "C" {
    /// Of the unwinder that every Rust program is linked with.
    fn _Unwind_Backtrace(
        each: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

pub(super) fn report() -> io::Result<()> {
    let mut before = [default_action(); 5];
    for ((signal, _), before) in SIGNALS.iter().zip(&mut before) {
        // SAFETY: asks only, into room for the answer.
        if unsafe { libc::sigaction(*signal, ptr::null(), before) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if BEFORE.set(before).is_err() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    set(libc::SIGALRM, give_up)?;
    SIGNALS
        .iter()
        .try_for_each(|(signal, _)| set(*signal, crashed))
}

fn set(signal: c_int, handler: Handler) -> io::Result<()> {
    let mut action = default_action();
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: a handler of the right form, which calls nothing that a signal may not have interrupted but what the header
    // of this module names.
    match unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn default_action() -> libc::sigaction {
    // SAFETY: all zeros is a value: no flags, nothing held, and SIG_DFL.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

extern "C" fn crashed(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    if CRASH.swap(signal, Ordering::SeqCst) != 0 {
        // A second crash, in the report or in another thread: no more of it.
        end_by(signal);
        return;
    }
    // SAFETY: sets a clock.
    unsafe { libc::alarm(DEADLINE_SECONDS) };
    // SAFETY: the system gives a valid one.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // Those above zero come from the processor.
    let by_itself = code > 0 && signal != libc::SIGABRT;
    print(&first_line(signal, by_itself.then_some(address)));
    let mut number = 0_usize;
    // SAFETY: the callback gets what it is made for. The unwinder reads tables and stacks; a stack that is no good is a
    // second crash, which ends the process.
    unsafe { _Unwind_Backtrace(one_frame, (&raw mut number).cast()) };
    let before = SIGNALS.iter().position(|(other, _)| *other == signal);
    let before = before.and_then(|index| BEFORE.get()?.get(index));
    match before {
        // Rust's own handler, which tells a stack overflow: the instruction is tried again, and it is called.
        Some(before) if by_itself => {
            // SAFETY: what the system gave.
            unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
        }
        _ => end_by(signal),
    }
}

/// The report has not come to its end.
extern "C" fn give_up(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    match CRASH.load(Ordering::SeqCst) {
        // Somebody else's alarm.
        0 => end_by(libc::SIGALRM),
        signal => end_by(signal),
    }
}

/// Ends this process by the signal, as soon as the handler returns, or in another thread at once.
fn end_by(signal: c_int) {
    // SAFETY: the default action, and a process may always signal itself.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
}

fn first_line(signal: c_int, address: Option<usize>) -> Line {
    let mut line = Line::new();
    line.push(b"crashed: ");
    let name = SIGNALS.iter().find(|(other, _)| *other == signal);
    line.push(name.map_or(b"a signal", |(_, name)| name));
    if let Some(address) = address {
        line.push(b" at address ");
        line.push_hex(address);
    }
    let mut name = [0_u8; 64];
    // SAFETY: room of that size; the name is ended with a zero.
    let known = unsafe {
        libc::pthread_getname_np(libc::pthread_self(), name.as_mut_ptr().cast(), name.len())
    };
    if known == 0 {
        line.push(b" in thread ");
        line.push(name.split(|byte| *byte == 0).next().unwrap_or_default());
    }
    line.end()
}

extern "C" fn one_frame(context: *mut c_void, number: *mut c_void) -> c_int {
    let number = number.cast::<usize>();
    // SAFETY: what `crashed` has given.
    let this = unsafe { number.read() };
    // SAFETY: the unwinder's own.
    let address = unsafe { _Unwind_GetIP(context) };
    if this >= MOST_FRAMES || address == 0 {
        // Any code but 0 ends it.
        return 5;
    }
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address, and room for the answer, for which all zeros is a value.
    let info = unsafe {
        libc::dladdr(address as *const c_void, info.as_mut_ptr());
        info.assume_init()
    };
    let file: &[u8] = match info.dli_fname.is_null() {
        true => b"",
        // SAFETY: a text of the loader's, which stays as long as the library.
        false => unsafe { CStr::from_ptr(info.dli_fname) }.to_bytes(),
    };
    print(&frame(
        this,
        file,
        address.wrapping_sub(info.dli_fbase as usize),
    ));
    // SAFETY: as above.
    unsafe { number.write(this + 1) };
    0
}

fn print(line: &Line) {
    let bytes = line.as_bytes();
    // SAFETY: borrowed for the call. Nothing can be done where nobody reads.
    unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
}

#[cfg(test)]
mod tests {
    use super::super::report;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};
    use std::ptr;

    const HOW: &str = "DORA_TEST_CRASH";

    /// Deeper than any stack.
    fn deeper(depth: usize) -> usize {
        match std::hint::black_box([depth; 64]) {
            [0, ..] => 0,
            [next, ..] => 1 + deeper(next + 1),
        }
    }

    /// Run by the other test in a process of its own.
    #[test]
    fn crash_if_told() {
        let Ok(how) = std::env::var(HOW) else {
            return;
        };
        report().expect("handlers");
        report().expect_err("only once");
        match how.as_str() {
            "read" => {
                // SAFETY: none; it is to crash.
                let byte = unsafe { ptr::read_volatile(ptr::without_provenance::<u8>(8)) };
                println!("{byte}");
            }
            "overflow" => println!("{}", deeper(1)),
            "abort" => std::process::abort(),
            _ => {
                // SAFETY: a process may signal itself.
                unsafe { libc::raise(libc::SIGSEGV) };
            }
        }
        panic!("it goes on");
    }

    fn crash(how: &str) -> (Output, String) {
        let mut this = Command::new(std::env::current_exe().expect("this program"));
        let name = "sys::crash::unix::tests::crash_if_told";
        this.args(["--exact", name, "--nocapture"]).env(HOW, how);
        let output = this.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, text)
    }

    #[test]
    fn a_crash_is_told_and_ends_the_process_as_before() {
        let (output, text) = crash("read");
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{text}");
        assert!(
            text.contains("crashed: SIGSEGV at address 0x8 in thread "),
            "{text}"
        );
        let this = std::env::current_exe().expect("this program");
        let frame = format!(": {}+0x", this.display());
        assert!(text.contains(&frame), "{text}");
        for (how, signal, said) in [
            ("raise", libc::SIGSEGV, "crashed: SIGSEGV in thread "),
            ("abort", libc::SIGABRT, "crashed: SIGABRT in thread "),
            // As without the report.
            ("overflow", libc::SIGABRT, "has overflowed its stack"),
        ] {
            let (output, text) = crash(how);
            assert_eq!(output.status.signal(), Some(signal), "{how}: {text}");
            assert!(text.contains(said), "{how}: {text}");
        }
    }
}
