//! `tracing` in this runtime and in the crates it uses: their events become lines of the hub.
//!
//! Invariant: a line names the node and the dataflow that its event or the innermost open span names, in fields
//! `node` and `dataflow`. Spans are kept by name only, to say where a line comes from. Events of other crates count
//! from warnings on, until debug is asked for: what they call information is seldom information for a user. Of the
//! network's engine only errors count: `link` says in its own words what does not work. Absent: plugins' events, which
//! the plugin's own library sends.

use super::hub::LogHub;
use super::level::Level;
use super::record::{Origin, Record};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current, Id};
use tracing_core::{Dispatch, Event, Interest, Metadata, Subscriber, dispatcher};

thread_local! {
    /// Open spans of this thread, outermost first.
    static OPEN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// A subscriber of `tracing` that submits to a hub.
#[derive(Debug)]
pub struct Bridge {
    hub: LogHub,
    level: Arc<AtomicU32>,
    ours: &'static [&'static str],
    last_id: AtomicU64,
    spans: Mutex<HashMap<u64, Span>>,
}

#[derive(Debug)]
struct Span {
    metadata: &'static Metadata<'static>,
    references: usize,
    about: About,
}

/// What fields say on the speaker.
#[derive(Debug, Default, Clone)]
struct About {
    node: Option<String>,
    dataflow: Option<uuid::Uuid>,
}

impl Bridge {
    /// A subscriber for this process. `ours` names the crates whose information is for the user.
    pub fn new(hub: LogHub, ours: &'static [&'static str]) -> Self {
        Self {
            level: hub.level_for(None, None),
            hub,
            ours,
            last_id: AtomicU64::new(0),
            spans: Mutex::default(),
        }
    }

    /// Makes it the subscriber of all threads of this process, until its end. `false` if there is one already.
    pub fn install(self) -> bool {
        dispatcher::set_global_default(Dispatch::new(self)).is_ok()
    }

    fn spans(&self) -> MutexGuard<'_, HashMap<u64, Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ours(&self, target: &str) -> bool {
        let name = target.split("::").next();
        self.ours.iter().any(|ours| name == Some(ours))
    }

    /// Names of the open spans, and whom they are about.
    fn open(&self) -> (String, About) {
        OPEN.with_borrow(|open| {
            let mut names = String::new();
            let mut about = About::default();
            if open.is_empty() {
                return (names, about);
            }
            let spans = self.spans();
            for span in open.iter().filter_map(|id| spans.get(id)) {
                if !names.is_empty() {
                    names.push(':');
                }
                names.push_str(span.metadata.name());
                about.refine(&span.about);
            }
            (names, about)
        })
    }
}

impl About {
    /// What is said further inside counts more.
    fn refine(&mut self, inner: &About) {
        if inner.node.is_some() {
            self.node.clone_from(&inner.node);
        }
        if inner.dataflow.is_some() {
            self.dataflow = inner.dataflow;
        }
    }
}

/// The number of the level from where on another crate's events count.
fn foreign_limit(target: &str) -> u32 {
    match target.strip_prefix("zenoh") {
        // That its tables differ for a moment from those at the other end of a connection; the link mends it.
        Some(module) if module.starts_with("::net::routing") => 0,
        Some(_) => Level::Error.number(),
        None => Level::Warn.number(),
    }
}

fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}

impl Subscriber for Bridge {
    /// The level may change at any time, so no answer may be kept.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let limit = self.level.load(Ordering::Relaxed);
        let limit = if limit >= Level::Debug.number() || self.is_ours(metadata.target()) {
            limit
        } else {
            limit.min(foreign_limit(metadata.target()))
        };
        level_of(metadata).number() <= limit
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        // Ids begin with 1: 0 is no id.
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let span = Span {
            metadata: span.metadata(),
            references: 1,
            about: fields.about,
        };
        self.spans().insert(id, span);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &tracing_core::span::Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.about.refine(&fields.about);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (spans, mut about) = self.open();
        about.refine(&fields.about);
        let metadata = event.metadata();
        let origin = Origin {
            dataflow: about.dataflow,
            node: about.node,
            ..Origin::default()
        };
        self.hub.submit(Record {
            fields: fields.rest,
            spans,
            file: metadata.file().map(str::to_owned),
            line: metadata.line(),
            ..Record::new(level_of(metadata), metadata.target(), fields.message).by(origin)
        });
    }

    fn enter(&self, span: &Id) {
        OPEN.with_borrow_mut(|open| open.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        OPEN.with_borrow_mut(|open| {
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
        entry.references = entry.references.saturating_sub(1);
        if entry.references > 0 {
            return false;
        }
        spans.remove(&span.into_u64());
        true
    }

    fn current_span(&self) -> Current {
        let Some(id) = OPEN.with_borrow(|open| open.last().copied()) else {
            return Current::none();
        };
        match self.spans().get(&id) {
            Some(span) => Current::new(Id::from_u64(id), span.metadata),
            None => Current::none(),
        }
    }
}

/// An event's text, whom it is about, and its other fields.
#[derive(Default)]
struct Fields {
    message: String,
    about: About,
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<serde_json::Value>) {
        self.rest.insert(field.name().to_owned(), value.into());
    }

    fn text(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            "node" => self.about.node = Some(value.to_owned()),
            "dataflow" => match uuid::Uuid::parse_str(value) {
                Ok(dataflow) => self.about.dataflow = Some(dataflow),
                Err(_) => self.put(field, value),
            },
            _ => self.put(field, value),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A value whose Debug fails is left as far as it came.
        let _ = write!(text, "{value:?}");
        self.text(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
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

#[cfg(test)]
mod tests {
    use super::super::filter::{Filter, Limit, Selection};
    use super::super::hub::Settings;
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    /// The lines that `speak` makes at a level, without their places.
    fn lines(level: Level, speak: impl FnOnce()) -> Vec<Record> {
        let hub = LogHub::start(Settings {
            filter: Filter::new(Limit::to(level)),
            ..Settings::default()
        })
        .unwrap();
        let mut reader = hub.subscribe(Selection::default());
        let bridge = Bridge::new(hub.clone(), &["host", "dora"]);
        dispatcher::with_default(&Dispatch::new(bridge), speak);
        assert!(hub.shutdown(Duration::from_secs(30)).unfinished.is_empty());
        std::iter::from_fn(|| reader.blocking_recv())
            .map(|record| Record::clone(&record))
            .collect()
    }

    #[test]
    fn events_become_lines() {
        let flow = Uuid::from_u128(7);
        let found = lines(Level::Info, || {
            let outer = tracing::info_span!("outer", dataflow = %flow, node = "a");
            let _outer = outer.enter();
            tracing::warn!(count = 3, ok = true, name = "x", "late by {} ms", 5);
            let inner = tracing::info_span!("inner", node = tracing::field::Empty);
            inner.record("node", "b");
            inner.in_scope(|| tracing::info!(dataflow = "none", "inside"));
            tracing::debug!("not wanted");
            drop(inner);
            tracing::info!(node = %"c", "outside");
        });
        let [warn, inside, outside] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(warn.message, "late by 5 ms");
        assert_eq!((warn.level, warn.node.as_deref()), (Level::Warn, Some("a")));
        assert_eq!((warn.dataflow, warn.spans.as_str()), (Some(flow), "outer"));
        assert_eq!(warn.target, "host::logs::bridge::tests");
        assert!(warn.file.as_deref().unwrap().ends_with("bridge.rs"));
        assert!(warn.line.is_some());
        let fields = serde_json::to_string(&warn.fields).unwrap();
        assert_eq!(fields, r#"{"count":3,"ok":true,"name":"x"}"#);
        assert_eq!(inside.node.as_deref(), Some("b"));
        assert_eq!(
            (inside.dataflow, inside.spans.as_str()),
            (Some(flow), "outer:inner")
        );
        assert_eq!(
            inside.fields["dataflow"], "none",
            "no id is kept as a field"
        );
        assert_eq!(outside.node.as_deref(), Some("c"));
        assert_eq!(outside.spans, "outer");
    }

    #[test]
    fn other_crates_count_from_warnings_on() {
        let speak = || {
            tracing::info!(target: "other::net", "chatter");
            tracing::info!(target: "hosting", "another crate");
            tracing::warn!(target: "other::net", "warning");
            tracing::warn!(target: "zenoh_transport::unicast", "the engine's");
            tracing::error!(target: "zenoh_transport::unicast", "its error");
            tracing::info!(target: "dora", "ours");
        };
        let messages = |level| {
            let found = lines(level, speak);
            found
                .into_iter()
                .map(|record| record.message)
                .collect::<Vec<_>>()
        };
        assert_eq!(messages(Level::Info), ["warning", "its error", "ours"]);
        assert_eq!(messages(Level::Error), ["its error"]);
        assert_eq!(
            messages(Level::Debug),
            [
                "chatter",
                "another crate",
                "warning",
                "the engine's",
                "its error",
                "ours"
            ]
        );
    }

    #[test]
    fn closed_spans_are_forgotten() {
        let hub = LogHub::start(Settings::default()).unwrap();
        let bridge = Arc::new(Bridge::new(hub, &["host"]));
        let dispatch = Dispatch::from(bridge.clone());
        dispatcher::with_default(&dispatch, || {
            let span = tracing::info_span!("span");
            let again = span.clone();
            span.in_scope(|| assert_eq!(again.in_scope(|| bridge.open().0), "span:span"));
            drop(span);
            assert_eq!(bridge.spans().len(), 1);
            drop(again);
        });
        assert!(bridge.spans().is_empty());
    }
}
