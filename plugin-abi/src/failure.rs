//! How a node's errors and panics become text for the host.
//!
//! Invariant: no panic leaves a function of the contract, and none loses its text, its place or its frames. Absent: what
//! the host does about it.

use crate::ffi::{self, ErrorReport, Host, Status, Str, TracedReport};
use crate::frames::Stack;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

/// Why a callback failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: u32,
    /// The error on the first line, each cause on one of its own.
    pub(crate) text: String,
    pub(crate) file: String,
    pub(crate) line: u32,
    /// Of a panic, each frame on a line of its own.
    pub(crate) frames: String,
}

/// Causes that are followed: an error may name itself as its cause.
const MOST_CAUSES: usize = 64;

/// An error and its causes, outermost first.
pub(crate) fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source()).take(MOST_CAUSES)
}

impl Failure {
    /// Runs the error's own code, which may panic.
    pub(crate) fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let lines: Vec<String> = chain(error)
            .map(|error| error.to_string().replace('\n', " "))
            .collect();
        Self {
            kind: ffi::REPORT_ERROR,
            text: lines.join("\n"),
            file: String::new(),
            line: 0,
            frames: String::new(),
        }
    }
}

/// A panic that the hook has seen, before the stack that it came from is gone.
struct Seen {
    text: String,
    file: String,
    line: u32,
    stack: Stack,
    /// With names, if the user asks for those as of any Rust program: `RUST_BACKTRACE`.
    named: Backtrace,
}

impl Seen {
    fn new(info: &PanicHookInfo<'_>) -> Self {
        let (file, line) = info.location().map_or((String::new(), 0), |place| {
            (place.file().to_owned(), place.line())
        });
        Self {
            text: panic_text(info.payload()),
            file,
            line,
            stack: Stack::here(),
            named: Backtrace::capture(),
        }
    }

    /// Looks up what the frames are, which may take long: the node may have caught the panic itself.
    fn into_failure(self) -> Failure {
        Failure {
            kind: ffi::REPORT_PANIC,
            text: self.text,
            file: self.file,
            line: self.line,
            frames: match self.named.status() {
                BacktraceStatus::Captured => self.named.to_string(),
                _ => self.stack.lines().join("\n"),
            },
        }
    }
}

/// Gives a failure to the host.
pub(crate) fn report(host: *const Host, failure: &Failure) {
    let traced = TracedReport {
        report: ErrorReport {
            size: size_of::<TracedReport>() as u32,
            kind: failure.kind,
            text: Str::from(failure.text.as_str()),
            file: Str::from(failure.file.as_str()),
            line: failure.line,
            reserved: 0,
        },
        frames: Str::from(failure.frames.as_str()),
    };
    // SAFETY: the caller holds the table; the report is borrowed for the call, and all of it may be read through this.
    unsafe { ((*host).report_error)(host, (&raw const traced).cast()) }
}

thread_local! {
    static CAUGHT: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Runs one callback. A panic becomes a [`Failure`] with its place.
pub(crate) fn guarded<T>(
    callback: impl FnOnce() -> Result<T, crate::node::Error>,
) -> Result<T, Failure> {
    install_hook();
    CAUGHT.set(CAUGHT.get() + 1);
    // The node is destroyed after a panic, so nothing of it is seen half-changed. An error is written down and dropped
    // in here: both run code of the plugin's.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        callback().map_err(|error| Failure::from_error(error.as_ref()))
    }));
    CAUGHT.set(CAUGHT.get() - 1);
    outcome.unwrap_or_else(|payload| {
        let text = panic_text(payload.as_ref());
        // A payload whose drop panics would unwind into the host.
        std::mem::forget(payload);
        // Another one is an earlier panic that the callback caught itself before it resumed this one.
        let seen = LAST.take().filter(|last| last.text == text);
        Err(seen.map_or_else(
            || Failure {
                kind: ffi::REPORT_PANIC,
                text,
                file: String::new(),
                line: 0,
                frames: String::new(),
            },
            Seen::into_failure,
        ))
    })
}

/// As [`guarded`] for what becomes a status: a failure is reported to `host`.
pub(crate) fn guarded_status(
    host: *const Host,
    callback: impl FnOnce() -> Result<Status, crate::node::Error>,
) -> Status {
    match guarded(callback) {
        Ok(status) => status,
        Err(failure) => {
            report(host, &failure);
            if failure.kind == ffi::REPORT_PANIC {
                ffi::ERR_PANICKED
            } else {
                ffi::ERR_FAILED
            }
        }
    }
}

/// Keeps the place of a panic, which the payload that `catch_unwind` gives does not have. Each library has a standard
/// library, and so a hook, of its own.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let seen = Seen::new(info);
            if CAUGHT.get() > 0 {
                LAST.set(Some(seen));
            } else if !crate::log::panic_on_own_thread(&seen.into_failure()) {
                previous(info);
            }
        }));
    });
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".into())
}
