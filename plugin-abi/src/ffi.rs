//! The C-shaped types that cross between a plugin and its host, and nothing else.
//!
//! Invariant: every table that may grow starts with its size in bytes, and a reader uses only what that size
//! covers. Every array of tables is an array of pointers, so that a table can grow without moving its neighbours.
//! Absent: behaviour. `include/dora_plugin.h` is the same contract in C11; `tests/layout.rs` holds the two together.
//!
//! Ownership in one line: whoever allocated frees, through the function pointer that came along; a pointer
//! passed as an argument is borrowed for the call unless its comment says otherwise.

use abi_stable::StableAbi;
use std::ffi::c_void;

/// What a function of the contract returns: [`OK`], [`DONE`] or one of the negative `ERR_…` codes.
pub type Status = i32;

/// It worked; for a callback also: go on calling me.
pub const OK: Status = 0;
/// Callbacks only: it worked and this node is finished; the host closes its outputs and destroys it.
pub const DONE: Status = 1;
/// The callback failed; its text went to [`Host::report_error`] before it returned.
pub const ERR_FAILED: Status = -1;
/// The other side panicked; its text went to [`Host::report_error`] or to the host's log.
pub const ERR_PANICKED: Status = -2;
/// There is no output of that index.
pub const ERR_UNKNOWN_OUTPUT: Status = -3;
/// The data is not of the type that the output declares.
pub const ERR_WRONG_TYPE: Status = -4;
/// The array breaks the Arrow C Data Interface (released already, negative length, missing buffer, …).
pub const ERR_INVALID_DATA: Status = -5;
/// The node has been told to stop, or is gone: nothing was sent.
pub const ERR_CLOSED: Status = -6;
/// The host could not allocate that much.
pub const ERR_NO_MEMORY: Status = -7;
/// The kind does not do that (save or restore its state).
pub const ERR_UNSUPPORTED: Status = -8;

/// Bytes that belong to somebody else. As text it is UTF-8 without a terminating zero.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct Str {
    /// First byte; may be null only when `len` is 0.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

/// Bytes with the way to free them.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Bytes {
    /// First byte; may be null only when `len` is 0.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
    /// For `release` alone.
    pub owner: *mut c_void,
    /// Frees the bytes and sets itself to null. Any thread. Null: there is nothing to free.
    pub release: Option<unsafe extern "C" fn(*mut Bytes)>,
}

/// An array of the Arrow C Data Interface, field for field.
///
/// Source: the Arrow specification, "The Arrow C data interface". An array whose `release` is null has been moved
/// away or released.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct ArrowArray {
    /// Number of values.
    pub length: i64,
    /// Number of null values; -1 when it has not been counted.
    pub null_count: i64,
    /// Values to skip at the start of every buffer.
    pub offset: i64,
    /// Number of entries in `buffers`.
    pub n_buffers: i64,
    /// Number of entries in `children`.
    pub n_children: i64,
    /// The buffers, validity bitmap first (null when no value is null).
    pub buffers: *mut *const c_void,
    /// The children.
    pub children: *mut *mut ArrowArray,
    /// The values of a dictionary-encoded array, else null.
    pub dictionary: *mut ArrowArray,
    /// Frees the array and sets itself to null. Any thread. Never unwinds.
    pub release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    /// For `release` alone.
    pub private_data: *mut c_void,
}

/// A type of the Arrow C Data Interface, field for field.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct ArrowSchema {
    /// The type's format string, zero-terminated.
    pub format: *const std::ffi::c_char,
    /// The field's name, zero-terminated, or null.
    pub name: *const std::ffi::c_char,
    /// Key-value metadata in Arrow's binary form, or null.
    pub metadata: *const std::ffi::c_char,
    /// Bit 0 dictionary ordered, bit 1 nullable, bit 2 map keys sorted.
    pub flags: i64,
    /// Number of entries in `children`.
    pub n_children: i64,
    /// The types of the children.
    pub children: *mut *mut ArrowSchema,
    /// The type of the dictionary's values, else null.
    pub dictionary: *mut ArrowSchema,
    /// Frees the schema and sets itself to null. Any thread. Never unwinds.
    pub release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    /// For `release` alone.
    pub private_data: *mut c_void,
}

/// An interned type: equal types of one process share one, so an equal `id` means an equal type.
/// Owned by the host, counted.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct MsgSchema {
    /// Size of this table in bytes.
    pub size: u32,
    /// Number of descendants (children and dictionaries) of an array of this type; 0 for a leaf.
    pub n_nodes: u32,
    /// Unique in the process, never reused.
    pub id: u64,
    /// The type. Borrowed; never release or move it.
    pub schema: ArrowSchema,
    /// Adds one reference. Any thread.
    pub retain: unsafe extern "C" fn(*const MsgSchema),
    /// Gives one reference back. Any thread.
    pub release: unsafe extern "C" fn(*const MsgSchema),
}

/// What can be done with a message. One static table per kind of message.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct MsgVt {
    /// Size of this table in bytes.
    pub size: usize,
    /// Adds one reference. Any thread.
    pub retain: unsafe extern "C" fn(*const Msg),
    /// Gives one reference back; the last one frees the data through their producer. Any thread.
    pub release: unsafe extern "C" fn(*const Msg),
    /// Fills `out` with an array that holds a reference of its own, to be released by whoever takes it. Returns
    /// [`OK`] or [`ERR_NO_MEMORY`]. Any thread.
    pub view: unsafe extern "C" fn(*const Msg, *mut ArrowArray) -> Status,
}

/// A message: data and metadata, immutable once sent, counted.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Msg {
    /// Size of this table in bytes.
    pub size: u32,
    /// As [`MsgSchema::n_nodes`]: 0 means that the data have no children and no dictionary.
    pub n_nodes: u32,
    /// What can be done with it.
    pub vt: *const MsgVt,
    /// The data. Readers borrow it while they hold a reference; they never release or move it.
    pub array: ArrowArray,
    /// The type of the data; lives as long as the message.
    pub schema: *const MsgSchema,
    /// The metadata, in the form that the module `meta` describes; lives as long as the message.
    pub meta: *const u8,
    /// Length of `meta` in bytes, at least 24.
    pub meta_len: usize,
}

/// Memory that the host gave for an output's data, to be filled in place.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct HostBuf {
    /// First byte, 64-aligned; not initialised.
    pub ptr: *mut u8,
    /// Length in bytes.
    pub len: usize,
    /// For the host alone; null means that the buffer has been sent or freed.
    pub owner: *mut c_void,
}

/// Data to be copied by the host into one message: a leaf array (no children, no dictionary).
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Leaf {
    /// Number of values.
    pub length: i64,
    /// Number of null values, 0 when `buffers[0]` is null.
    pub null_count: i64,
    /// The Arrow buffers, validity bitmap first; a null `ptr` stands for an absent buffer.
    pub buffers: *const Str,
    /// Number of entries in `buffers`: 1 to 3.
    pub n_buffers: usize,
}

/// A line of the log.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct LogRecord {
    /// Size of this table in bytes.
    pub size: u32,
    /// 1 error, 2 warning, 3 information, 4 debug, 5 trace.
    pub level: u32,
    /// Line in `file`; 0 when it is not known.
    pub line: u32,
    /// Zero.
    pub reserved: u32,
    /// The module that speaks.
    pub target: Str,
    /// The text.
    pub message: Str,
    /// A JSON object with the structured fields; empty when there are none.
    pub fields: Str,
    /// Source file; empty when it is not known.
    pub file: Str,
    /// Names of the open spans, outermost first, separated by `:`; empty when there are none.
    pub spans: Str,
}

/// [`ErrorReport::kind`]: the node returned an error.
pub const REPORT_ERROR: u32 = 1;
/// [`ErrorReport::kind`]: the node panicked.
pub const REPORT_PANIC: u32 = 2;

/// Why a node failed.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct ErrorReport {
    /// Size of this table in bytes.
    pub size: u32,
    /// [`REPORT_ERROR`] or [`REPORT_PANIC`].
    pub kind: u32,
    /// The error on the first line, then each cause on a line of its own.
    pub text: Str,
    /// Source file; empty when it is not known.
    pub file: Str,
    /// Line in `file`; 0 when it is not known.
    pub line: u32,
    /// Zero.
    pub reserved: u32,
}

/// An [`ErrorReport`] that says where its thread was, for hosts that read so far: `report.size` is that of all of it.
#[repr(C)]
#[derive(Debug)]
pub struct TracedReport {
    /// What every host reads.
    pub report: ErrorReport,
    /// The frames of a panic, the innermost first, each on a line of its own.
    pub frames: Str,
}

/// What the host knows of one loaded library. Lives until the process ends.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Library {
    /// Size of this table in bytes.
    pub size: usize,
    /// The most verbose level that is wanted (0 to 5) from lines that no node is known for: an atomic 32-bit
    /// integer that the host may change at any time.
    pub level: *const u32,
    /// Takes a line that no node is known for. Any thread.
    pub log: unsafe extern "C" fn(*const Library, *const LogRecord),
    /// The folder of the original file, in which its data files lie.
    pub folder: Str,
}

/// What the host offers one instance. It lives while the instance does, and longer while somebody retains it.
/// Every function takes the table itself first.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Host {
    /// Size of this table in bytes.
    pub size: usize,
    /// For the host alone.
    pub context: *mut c_void,
    /// The library that the instance came from.
    pub library: *const Library,
    /// As [`Library::level`], for this instance's lines.
    pub level: *const u32,
    /// Keeps the table alive after the instance. Any thread.
    pub retain: unsafe extern "C" fn(*const Host),
    /// Gives one `retain` back. Any thread.
    pub release: unsafe extern "C" fn(*const Host),
    /// Interns a type. Takes the schema over (its `release` is null afterwards) and stores a reference in the last
    /// argument. Any thread. [`ERR_INVALID_DATA`] when it cannot be understood.
    pub intern_schema:
        unsafe extern "C" fn(*const Host, *mut ArrowSchema, *mut *const MsgSchema) -> Status,
    /// Gives memory for the data of output number `output`. Any thread.
    pub alloc_output: unsafe extern "C" fn(*const Host, u32, usize, *mut HostBuf) -> Status,
    /// Takes back a buffer that is not going to be sent. Any thread.
    pub free_buf: unsafe extern "C" fn(*const Host, *mut HostBuf),
    /// Copies a leaf and sends it: output, type, data, parameters (see `meta`; empty for none). Any thread; waits
    /// while a reader with the policy `backpressure` is full.
    pub send_copy:
        unsafe extern "C" fn(*const Host, u32, *const MsgSchema, *const Leaf, Str) -> Status,
    /// Sends a filled buffer as a primitive array of `length` values without nulls; takes the buffer over, also
    /// when it fails: output, type, buffer, length, parameters. Any thread; waits like `send_copy`.
    pub send_buf:
        unsafe extern "C" fn(*const Host, u32, *const MsgSchema, *mut HostBuf, i64, Str) -> Status,
    /// Moves an array in (its `release` is null afterwards, also when it fails) and sends it: output, type, array,
    /// parameters. Any thread; waits like `send_copy`.
    pub send_array:
        unsafe extern "C" fn(*const Host, u32, *const MsgSchema, *mut ArrowArray, Str) -> Status,
    /// Takes a line of this instance. Any thread.
    pub log: unsafe extern "C" fn(*const Host, *const LogRecord),
    /// Says why the instance fails. From a callback that is about to return an error it gives the text to that
    /// error; from a thread of the node's own it ends the instance. Any thread.
    pub report_error: unsafe extern "C" fn(*const Host, *const ErrorReport),
    /// Ends this instance as if its next callback had returned [`DONE`]. Any thread.
    pub request_stop: unsafe extern "C" fn(*const Host),
}

/// [`Event::kind`]: a message on `input`.
pub const EVENT_INPUT: u32 = 1;
/// [`Event::kind`]: nothing will come on `input` any more.
pub const EVENT_INPUT_CLOSED: u32 = 2;
/// [`Event::kind`]: the last event; `reason` says why.
pub const EVENT_STOP: u32 = 3;

/// [`Event::reason`]: the user, or the dataflow's end, asks.
pub const STOP_REQUESTED: u32 = 1;
/// [`Event::reason`]: all inputs are closed.
pub const STOP_INPUTS_CLOSED: u32 = 2;

/// One event for `on_event`. Borrowed for the call.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Event {
    /// Size of this table in bytes.
    pub size: u32,
    /// One of the `EVENT_…` numbers; a plugin ignores those it does not know and returns [`OK`].
    pub kind: u32,
    /// Index into [`CreateArgs::inputs`], for inputs.
    pub input: u32,
    /// One of the `STOP_…` numbers, for [`EVENT_STOP`].
    pub reason: u32,
    /// The message, for [`EVENT_INPUT`], else null. `retain` it to keep it longer than the call.
    pub msg: *const Msg,
}

/// What an instance is made from. Borrowed for the call of `create`.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct CreateArgs {
    /// Size of this table in bytes.
    pub size: u32,
    /// How often the node has been restarted; 0 the first time.
    pub restart_count: u32,
    /// Names of the connected inputs, in the order of their indices.
    pub inputs: *const Str,
    /// Number of entries in `inputs`.
    pub n_inputs: usize,
    /// Names of the outputs that may be sent on, in the order of their indices.
    pub outputs: *const Str,
    /// Number of entries in `outputs`.
    pub n_outputs: usize,
    /// The node's config: JSON text; `null` when the descriptor gives none.
    pub config: Str,
    /// The node's id in its dataflow.
    pub node_id: Str,
    /// The dataflow's UUID.
    pub dataflow_id: Str,
}

/// A declared input or output.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Port {
    /// Size of this table in bytes.
    pub size: usize,
    /// Its name; `*` stands for any name that is not declared otherwise.
    pub name: Str,
    /// What it carries, for people.
    pub description: Str,
    /// The type of its data in the words of the module `types`; empty when any type will do.
    pub data_type: Str,
}

/// A node kind: what it is called, what it needs, and the functions of its instances. Static.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Kind {
    /// Size of this table in bytes.
    pub size: usize,
    /// Its name, unique in the plugin.
    pub name: Str,
    /// What it does, for people.
    pub description: Str,
    /// The declared inputs.
    pub inputs: *const *const Port,
    /// Number of entries in `inputs`.
    pub n_inputs: usize,
    /// The declared outputs.
    pub outputs: *const *const Port,
    /// Number of entries in `outputs`.
    pub n_outputs: usize,
    /// JSON schema of the config; empty when anything will do.
    pub config_schema: Str,
    /// Makes an instance and stores it in the last argument. One thread at a time for one instance, here and
    /// below, but not always the same. On an error nothing is stored.
    pub create: unsafe extern "C" fn(
        *const Kind,
        *const Host,
        *const CreateArgs,
        *mut *mut c_void,
    ) -> Status,
    /// Handles an event: [`OK`], [`DONE`] or an error, after which only `destroy` is called.
    pub on_event: unsafe extern "C" fn(*mut c_void, *const Event) -> Status,
    /// Stores the node's state. Between two events. [`ERR_UNSUPPORTED`] when the kind has none.
    pub save_state: unsafe extern "C" fn(*mut c_void, *mut Bytes) -> Status,
    /// Takes up a state that an instance of this kind has saved. Before the first event.
    pub restore_state: unsafe extern "C" fn(*mut c_void, Str) -> Status,
    /// Frees the instance. Its last call.
    pub destroy: unsafe extern "C" fn(*mut c_void) -> Status,
}

/// What the entry returns: the plugin's table. Static.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Plugin {
    /// Size of this table in bytes.
    pub size: usize,
    /// The contract's major version.
    pub abi_major: u32,
    /// The contract's minor version.
    pub abi_minor: u32,
    /// The node kinds.
    pub kinds: *const *const Kind,
    /// Number of entries in `kinds`.
    pub n_kinds: usize,
}

/// The entry: a plugin's one exported function, under the name [`ENTRY`]. Called once per process, by one thread,
/// after the handshake has passed. Null means that the plugin refuses, and has said why in the log.
pub type Entry = unsafe extern "C" fn(*const Library) -> *const Plugin;

/// Name of the exported entry function.
pub const ENTRY: &str = "dora_plugin_entry";
