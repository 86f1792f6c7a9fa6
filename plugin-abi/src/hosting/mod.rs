//! The host's side of the contract: tables for instances to call, and instances to be called.
//!
//! Whoever runs nodes implements [`Callbacks`], which knows no pointers; this module turns them into the C table and
//! back. Invariant: no panic of the callbacks reaches the plugin, and every pointer that a plugin passes is taken
//! over or borrowed exactly as `ffi` says. Absent: loading libraries, threads, queues.

mod instance;
mod memory;
mod table;

pub use instance::{CreateWith, Created, Event, Instance, KindTable, SaveError, kinds};
pub use memory::{Heap, Room};
pub use table::{LibraryTable, Table};

use crate::ffi::{self, Status};
use crate::message::{MakeError, Message, Schema};
use crate::meta::Timestamp;

/// What an instance can ask of its host. Every function may be called from any thread.
pub trait Callbacks: Send + Sync + 'static {
    /// The time to stamp on a message that is being sent.
    fn now(&self) -> Timestamp;

    /// Whether data of this type may be sent on an output: [`ffi::OK`], [`ffi::ERR_UNKNOWN_OUTPUT`],
    /// [`ffi::ERR_WRONG_TYPE`] or [`ffi::ERR_CLOSED`]. Asked before a message is made.
    fn admit(&self, output: u32, schema: &Schema) -> Status;

    /// Memory for `len` bytes of an output's data, 64-aligned; [`u32::MAX`] is an output that nobody reads.
    fn room(&self, output: u32, len: usize) -> Option<Box<dyn Room>>;

    /// Sends a message that was admitted: [`ffi::OK`] or [`ffi::ERR_CLOSED`].
    fn send(&self, output: u32, message: Message) -> Status;

    /// An output's data could not become a message.
    fn refuse(&self, output: u32, error: &MakeError);

    /// Takes a line of the log.
    fn log(&self, line: &LogLine<'_>);

    /// Says why the instance fails; see [`ffi::Host::report_error`].
    fn report(&self, failure: NodeFailure);

    /// Ends the instance; see [`ffi::Host::request_stop`].
    fn request_stop(&self);
}

/// A line of the log.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// 1 error, 2 warning, 3 information, 4 debug, 5 trace.
    pub level: u32,
    /// The module that speaks.
    pub target: &'a str,
    /// The text.
    pub message: &'a str,
    /// A JSON object with the structured fields, or nothing.
    pub fields: &'a str,
    /// Names of the open spans, outermost first, separated by `:`.
    pub spans: &'a str,
    /// Source file, or nothing.
    pub file: &'a str,
    /// Line in `file`, or 0.
    pub line: u32,
}

/// Why a node failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFailure {
    /// Whether it panicked; else it returned an error.
    pub panicked: bool,
    /// The error.
    pub text: String,
    /// The causes, outermost first.
    pub causes: Vec<String>,
    /// Source file and line, where they are known.
    pub place: Option<(String, u32)>,
    /// The frames of a panic, the innermost first. Not displayed.
    pub frames: Vec<String>,
}

impl NodeFailure {
    /// A failure that is no panic, in one sentence.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            panicked: false,
            text: text.into(),
            causes: Vec::new(),
            place: None,
            frames: Vec::new(),
        }
    }
}

impl std::fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.panicked {
            f.write_str("panicked")?;
            if let Some((file, line)) = &self.place {
                write!(f, " at {file}:{line}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.text)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NodeFailure {}

/// What a status means, for people.
pub fn status_text(status: Status) -> &'static str {
    match status {
        ffi::OK => "ok",
        ffi::DONE => "done",
        ffi::ERR_FAILED => "failed without a reason",
        ffi::ERR_PANICKED => "panicked",
        ffi::ERR_UNKNOWN_OUTPUT => "unknown output",
        ffi::ERR_WRONG_TYPE => "wrong type of data",
        ffi::ERR_INVALID_DATA => "invalid data",
        ffi::ERR_CLOSED => "told to stop",
        ffi::ERR_NO_MEMORY => "no memory",
        ffi::ERR_UNSUPPORTED => "not supported by this node kind",
        _ => "an unknown status",
    }
}
