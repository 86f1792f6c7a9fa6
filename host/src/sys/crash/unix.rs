//! Handlers of the signals that a crash sends, on stacks of their own.

use super::{DEADLINE_SECONDS, Line, OVERFLOW, frames, push_node};
use crate::sys::scene::{self, How};
use libc::{c_int, c_void, siginfo_t};
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
    abort::find();
    // What the first walk has the loader look up is found by now, and not on a handler's stack.
    frames::each(&mut |_| ());
    // A program's first thread has one by `std`, too small for a report where the processor's registers take half of it.
    std::mem::forget(Stack::of_this_thread());
    // SAFETY: a function of the right form.
    if unsafe { libc::atexit(ended) } != 0 {
        return Err(io::ErrorKind::OutOfMemory.into());
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

/// Somebody calls `exit`: a node, if that happens in its callback.
extern "C" fn ended() {
    if !scene::is_called() {
        return;
    }
    let mut line = Line::new();
    line.push(b"exit was called");
    push_thread(&mut line);
    push_node(&mut line, scene::note(How::Exit));
    let line = line.end();
    scene::report(line.as_bytes());
    frames::each(&mut |line| scene::report(line.as_bytes()));
}

extern "C" fn crashed(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
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
    let overflow = by_itself && is_below_stack(address, context);
    let how = How::Signal {
        number: signal,
        overflow,
    };
    print(&first_line(signal, by_itself.then_some(address), how));
    if signal == libc::SIGABRT {
        abort::print_cause();
    }
    // A stack that is no good is a second crash, which ends the process.
    frames::each(&mut print);
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

/// Around the stack pointer, where a stack ends that is too small.
const NEAR: usize = 64 * 1024;

/// Whether what could not be touched is where the thread's stack would go on.
fn is_below_stack(address: usize, context: *mut c_void) -> bool {
    stack_pointer(context).is_some_and(|top| address.abs_diff(top) < NEAR && address != 0)
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn stack_pointer(context: *mut c_void) -> Option<usize> {
    // SAFETY: the system gives a valid one.
    let context = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?;
    let registers = &context.uc_mcontext.gregs;
    let top = registers.get(libc::REG_RSP as usize)?;
    Some(top.cast_unsigned() as usize)
}

#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
fn stack_pointer(context: *mut c_void) -> Option<usize> {
    // SAFETY: the system gives a valid one.
    let context = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?;
    Some(context.uc_mcontext.sp as usize)
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn stack_pointer(_: *mut c_void) -> Option<usize> {
    None
}

fn first_line(signal: c_int, address: Option<usize>, how: How) -> Line {
    let mut line = Line::new();
    line.push(b"crashed: ");
    let name = SIGNALS.iter().find(|(other, _)| *other == signal);
    line.push(name.map_or(b"a signal", |(_, name)| name));
    if let Some(address) = address {
        line.push(b" at address ");
        line.push_hex(address);
    }
    if matches!(how, How::Signal { overflow: true, .. }) {
        line.push(OVERFLOW.as_bytes());
    }
    push_thread(&mut line);
    push_node(&mut line, scene::note(how));
    line.end()
}

fn push_thread(line: &mut Line) {
    let mut name = [0_u8; 64];
    // SAFETY: room of that size; the name is ended with a zero.
    let known = unsafe {
        libc::pthread_getname_np(libc::pthread_self(), name.as_mut_ptr().cast(), name.len())
    };
    if known == 0 {
        line.push(b" in thread ");
        line.push(name.split(|byte| *byte == 0).next().unwrap_or_default());
    }
}

/// On standard error, and for a parent that shares the scene.
fn print(line: &Line) {
    let bytes = line.as_bytes();
    scene::report(bytes);
    // SAFETY: borrowed for the call. Nothing can be done where nobody reads.
    unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
}

/// A stack for handlers with room for a report, which those that threads have by themselves need not have.
#[derive(Debug)]
pub struct Stack {
    memory: *mut c_void,
    before: libc::stack_t,
}

/// Of which most is never touched.
const STACK_BYTES: usize = 64 * 1024;

impl Stack {
    /// Gives one to this thread for as long as the value lives there; without memory it stays as it was.
    pub fn of_this_thread() -> Option<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANON;
        // SAFETY: new memory wherever there is room.
        let memory = unsafe { libc::mmap(ptr::null_mut(), STACK_BYTES, access, kind, -1, 0) };
        if memory == libc::MAP_FAILED {
            return None;
        }
        let stack = libc::stack_t {
            ss_sp: memory,
            ss_flags: 0,
            ss_size: STACK_BYTES,
        };
        let mut before = MaybeUninit::<libc::stack_t>::zeroed();
        // SAFETY: memory of that size, which is given back after the thread has another stack again.
        let set = unsafe { libc::sigaltstack(&raw const stack, before.as_mut_ptr()) };
        if set != 0 {
            // SAFETY: ours, and not used.
            unsafe { libc::munmap(memory, STACK_BYTES) };
            return None;
        }
        // SAFETY: the call has succeeded, and has written it.
        let before = unsafe { before.assume_init() };
        Some(Self { memory, before })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the value stays on its thread, whose handlers do not run now. If the stack cannot be taken away, which is
        // no error that the system knows here, it must stay.
        unsafe {
            if libc::sigaltstack(&raw const self.before, ptr::null_mut()) == 0 {
                libc::munmap(self.memory, STACK_BYTES);
            }
        }
    }
}

/// What a library says of the abort that it makes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod abort {
    use super::{Line, print};
    use libc::{c_uint, c_void};
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    /// glibc's own for debuggers: a pointer to how long the text is, and the text.
    static MESSAGE: AtomicPtr<*const c_void> = AtomicPtr::new(ptr::null_mut());

    pub fn find() {
        // SAFETY: two texts that end with a zero.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__abort_msg".as_ptr()) };
        MESSAGE.store(found.cast(), Ordering::Relaxed);
    }

    pub fn print_cause() {
        // SAFETY: null, or glibc's variable.
        let message = unsafe { MESSAGE.load(Ordering::Relaxed).as_ref() };
        let Some(message) = message.copied().filter(|message| !message.is_null()) else {
            return;
        };
        // SAFETY: glibc's form: how many bytes it has taken for all of it, then a text that a zero ends.
        let (size, text) = unsafe {
            let size = message.cast::<c_uint>().read() as usize;
            (size, message.cast::<u8>().add(size_of::<c_uint>()))
        };
        let length = size.saturating_sub(size_of::<c_uint>()).min(256);
        // SAFETY: within what was taken.
        let text = unsafe { std::slice::from_raw_parts(text, length) };
        let text = text.split(|byte| matches!(byte, 0 | b'\n')).next();
        let mut line = Line::new();
        line.push(crate::sys::scene::CAUSE.as_bytes());
        line.push(text.unwrap_or_default());
        print(&line.end());
    }
}

/// Elsewhere it is on standard error, and nowhere else.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod abort {
    pub fn find() {}

    pub fn print_cause() {}
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
            "thread" => {
                let plain = std::thread::Builder::new().name("plain".into());
                // SAFETY: none; it is to crash.
                let read = || unsafe { ptr::read_volatile(ptr::without_provenance::<u8>(8)) };
                plain.spawn(read).expect("a thread").join().expect("never");
            }
            "overflow" => {
                let deep = std::thread::Builder::new().name("deep".into());
                let deep = deep.spawn(|| {
                    let _stack = super::Stack::of_this_thread().expect("a stack");
                    println!("{}", deeper(1));
                });
                deep.expect("a thread").join().expect("never");
            }
            "twice" => {
                // SAFETY: none; glibc is to find it.
                unsafe {
                    let memory = libc::malloc(64);
                    libc::free(memory);
                    libc::free(memory);
                }
            }
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
        // On the stack that a thread's handlers have by `std`: 8 KiB, of which processors with very large registers leave
        // nothing.
        let (output, text) = crash("thread");
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{text}");
        // SAFETY: asks only; zero where the system does not say it.
        #[cfg(target_os = "linux")]
        if unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } < 4_096 {
            assert!(text.contains("address 0x8 in thread plain\n"), "{text}");
            assert!(text.contains(&frame), "{text}");
        }
        for (how, signal, said) in [
            ("raise", libc::SIGSEGV, "crashed: SIGSEGV in thread "),
            ("abort", libc::SIGABRT, "crashed: SIGABRT in thread "),
            // As without the report.
            ("overflow", libc::SIGABRT, "has overflowed its stack"),
            (
                "overflow",
                libc::SIGABRT,
                " (stack overflow) in thread deep",
            ),
        ] {
            let (output, text) = crash(how);
            assert_eq!(output.status.signal(), Some(signal), "{how}: {text}");
            assert!(text.contains(said), "{how}: {text}");
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn what_a_library_finds_broken_is_told() {
        let (output, text) = crash("twice");
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{text}");
        assert!(text.contains("crashed: SIGABRT in thread "), "{text}");
        let because = "  because: free(): double free detected";
        assert!(text.contains(because), "{text}");
    }
}
