//! The bridge from `tracing` and `log` in a plugin to the host's log.
//!
//! Each library has statics of its own, so the host's subscriber never sees a plugin's lines: this one takes them,
//! asks the host's level and passes them on. Invariant: a line of a callback, or of a thread within
//! [`crate::outputs::Outputs::enter`], carries its node (`scope`); every other line carries the library. Absent:
//! formatting and filters.

use crate::failure::Failure;
use crate::ffi::{Host, Library, LogRecord, Str};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Event, Interest, Level, Metadata, Subscriber};

static LIBRARY: AtomicPtr<Library> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static SPANS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Takes over the library's lines. Called by the entry, once per library.
pub(crate) fn install(library: *const Library) {
    LIBRARY.store(library.cast_mut(), Ordering::Release);
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // A plugin that has set a subscriber or logger of its own keeps it: its author wants that.
        let bridge = Bridge {
            next: AtomicU64::new(1),
            spans: Mutex::default(),
        };
        let _ = tracing_core::dispatcher::set_global_default(tracing_core::Dispatch::new(bridge));
        if log::set_logger(&LogBridge).is_ok() {
            log::set_max_level(log::LevelFilter::Trace);
        }
    });
}

/// Who speaks on this thread.
enum Speaker {
    Node(*const Host),
    Library(*const Library),
}

fn speaker() -> Option<Speaker> {
    if let Some(host) = crate::scope::host() {
        return Some(Speaker::Node(host));
    }
    let library = LIBRARY.load(Ordering::Acquire);
    (!library.is_null()).then_some(Speaker::Library(library))
}

fn wanted(level: u32) -> bool {
    let limit = match speaker() {
        // SAFETY: both tables live while they are pointed to, and `level` is an atomic of the host's.
        Some(Speaker::Node(host)) => unsafe { (*host).level },
        // SAFETY: as above.
        Some(Speaker::Library(library)) => unsafe { (*library).level },
        None => return false,
    };
    // SAFETY: as above; null means that nothing is wanted.
    !limit.is_null()
        && level <= unsafe { AtomicU32::from_ptr(limit.cast_mut()) }.load(Ordering::Relaxed)
}

/// One line on its way to the host.
struct Line<'a> {
    level: u32,
    target: &'a str,
    message: &'a str,
    fields: &'a str,
    spans: &'a str,
    file: &'a str,
    line: u32,
}

fn send(line: &Line<'_>) {
    let record = LogRecord {
        size: size_of::<LogRecord>() as u32,
        level: line.level,
        line: line.line,
        reserved: 0,
        target: line.target.into(),
        message: line.message.into(),
        fields: line.fields.into(),
        file: line.file.into(),
        spans: Str::from(line.spans),
    };
    match speaker() {
        // SAFETY: as in `wanted`; the record is borrowed for the call.
        Some(Speaker::Node(host)) => unsafe { ((*host).log)(host, &raw const record) },
        // SAFETY: as above.
        Some(Speaker::Library(library)) => unsafe { ((*library).log)(library, &raw const record) },
        None => {}
    }
}

/// Logs a panic outside every callback; `false` when there is no host to tell.
pub(crate) fn panic_on_own_thread(failure: &Failure) -> bool {
    let thread = std::thread::current();
    let message = format!(
        "thread \"{}\" panicked: {}",
        thread.name().unwrap_or("?"),
        failure.text
    );
    let line = Line {
        level: 1,
        target: "panic",
        message: &message,
        fields: "",
        spans: "",
        file: &failure.file,
        line: failure.line,
    };
    send(&line);
    speaker().is_some()
}

struct LogBridge;

impl log::Log for LogBridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        wanted(metadata.level() as u32)
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        send(&Line {
            level: record.level() as u32,
            target: record.target(),
            message: &record.args().to_string(),
            fields: "",
            spans: "",
            file: record.file().unwrap_or_default(),
            line: record.line().unwrap_or(0),
        });
    }

    fn flush(&self) {}
}

/// The subscriber. Spans are kept by name only, to say where a line comes from.
struct Bridge {
    next: AtomicU64,
    spans: Mutex<HashMap<u64, Span>>,
}

struct Span {
    metadata: &'static Metadata<'static>,
    references: usize,
}

/// The ids of the spans that this thread is in; `None` when the thread is ending and has forgotten them.
fn open_spans<T>(with: impl FnOnce(&mut Vec<u64>) -> T) -> Option<T> {
    SPANS.try_with(|open| with(&mut open.borrow_mut())).ok()
}

impl Bridge {
    fn spans(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_names(&self) -> String {
        let names = open_spans(|open| {
            if open.is_empty() {
                return String::new();
            }
            let spans = self.spans();
            let names = open
                .iter()
                .filter_map(|id| spans.get(id))
                .map(|span| span.metadata.name());
            names.collect::<Vec<_>>().join(":")
        });
        names.unwrap_or_default()
    }
}

fn number(level: Level) -> u32 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        _ => 5,
    }
}

impl Subscriber for Bridge {
    /// The host may change its level at any time, so no answer may be kept.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        wanted(number(*metadata.level()))
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.spans().insert(
            id,
            Span {
                metadata: span.metadata(),
                references: 1,
            },
        );
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields {
            message: String::new(),
            rest: serde_json::Map::new(),
        };
        event.record(&mut fields);
        let metadata = event.metadata();
        let rest = if fields.rest.is_empty() {
            String::new()
        } else {
            serde_json::Value::Object(fields.rest).to_string()
        };
        send(&Line {
            level: number(*metadata.level()),
            target: metadata.target(),
            message: &fields.message,
            fields: &rest,
            spans: &self.open_names(),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or(0),
        });
    }

    fn enter(&self, span: &Id) {
        open_spans(|open| open.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        open_spans(|open| {
            if let Some(at) = open.iter().rposition(|id| *id == span.into_u64()) {
                open.remove(at);
            }
        });
    }

    fn clone_span(&self, span: &Id) -> Id {
        if let Some(span) = self.spans().get_mut(&span.into_u64()) {
            span.references += 1;
        }
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut spans = self.spans();
        let Some(entry) = spans.get_mut(&span.into_u64()) else {
            return false;
        };
        entry.references -= 1;
        if entry.references > 0 {
            return false;
        }
        spans.remove(&span.into_u64());
        true
    }

    fn current_span(&self) -> Current {
        let Some(id) = open_spans(|open| open.last().copied()).flatten() else {
            return Current::none();
        };
        match self.spans().get(&id) {
            Some(span) => Current::new(Id::from_u64(id), span.metadata),
            None => Current::none(),
        }
    }
}

/// An event's text and its other fields.
struct Fields {
    message: String,
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<serde_json::Value>) {
        self.rest.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail; a value whose Debug does is left as far as it came.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.put(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value)
        } else {
            self.put(field, value)
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}
