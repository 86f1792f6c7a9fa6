//! The C tables that a host hands out: [`ffi::Host`] per instance, [`ffi::Library`] per library.
//!
//! Invariant: a table lives as long as somebody retains it. Absent: decisions; those are the [`Callbacks`]'.

use super::{Callbacks, LogLine, NodeFailure, Room};
use crate::ffi::{
    self, ArrowArray, ArrowSchema, ERR_INVALID_DATA, ERR_NO_MEMORY, ERR_PANICKED, ErrorReport,
    Host, HostBuf, Leaf, Library, LogRecord, MsgSchema, OK, Status, Str, TracedReport,
};
use crate::message::{MakeError, Message, OwnedArray, Schema, bytes};
use std::borrow::Cow;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Lines of frames that are kept; those with names take two each.
const MOST_FRAMES: usize = 512;

/// The table of one instance, and the callbacks behind it.
#[repr(C)]
pub struct Table<C: Callbacks> {
    host: Host,
    callbacks: C,
    level: Arc<AtomicU32>,
}

// SAFETY: the pointers in `host` lead to `level`, which the table keeps, and to a library's table, which lives until
// the process ends; nothing changes but atomics.
unsafe impl<C: Callbacks> Send for Table<C> {}
// SAFETY: as above.
unsafe impl<C: Callbacks> Sync for Table<C> {}

impl<C: Callbacks> Table<C> {
    /// A table for an instance of a library. `level` is the most verbose log level wanted and may change at any time.
    pub fn new(callbacks: C, library: &'static LibraryTable, level: Arc<AtomicU32>) -> Arc<Self> {
        let host = Host {
            size: size_of::<Host>(),
            context: null_mut(),
            library: library.as_ptr(),
            level: level.as_ptr(),
            retain: retain::<C>,
            release: release::<C>,
            intern_schema: intern_schema::<C>,
            alloc_output: alloc_output::<C>,
            free_buf,
            send_copy: send_copy::<C>,
            send_buf: send_buf::<C>,
            send_array: send_array::<C>,
            log: log::<C>,
            report_error: report_error::<C>,
            request_stop: request_stop::<C>,
        };
        Arc::new(Self {
            host,
            callbacks,
            level,
        })
    }

    /// The callbacks.
    pub fn callbacks(&self) -> &C {
        &self.callbacks
    }

    /// The log level, for changing it.
    pub fn level(&self) -> &AtomicU32 {
        &self.level
    }

    pub(crate) fn as_ptr(self: &Arc<Self>) -> *const Host {
        Arc::as_ptr(self).cast()
    }
}

impl<C: Callbacks> std::fmt::Debug for Table<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

/// # Safety
/// `host` is the first field of a live `Table<C>`.
unsafe fn callbacks<'a, C: Callbacks>(host: *const Host) -> &'a C {
    // SAFETY: passed on to the caller.
    unsafe { &(*host.cast::<Table<C>>()).callbacks }
}

/// A panic here must not unwind into the plugin. The panic's own message is the host's to print.
fn guarded(run: impl FnOnce() -> Status) -> Status {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        // A payload whose drop panics would unwind into the plugin.
        std::mem::forget(payload);
        ERR_PANICKED
    })
}

unsafe extern "C" fn retain<C: Callbacks>(host: *const Host) {
    // SAFETY: the caller holds a reference to the `Arc` that the pointer came from.
    unsafe { Arc::increment_strong_count(host.cast::<Table<C>>()) }
}

unsafe extern "C" fn release<C: Callbacks>(host: *const Host) {
    // SAFETY: gives back what `retain` took.
    guarded(|| unsafe {
        Arc::decrement_strong_count(host.cast::<Table<C>>());
        OK
    });
}

unsafe extern "C" fn intern_schema<C: Callbacks>(
    host: *const Host,
    schema: *mut ArrowSchema,
    out: *mut *const MsgSchema,
) -> Status {
    guarded(|| {
        // SAFETY: the plugin gives the schema away and `out` is ours to fill.
        unsafe {
            let moved = schema.read();
            (*schema).release = None;
            match Schema::intern(moved) {
                Ok(interned) => out.write(interned.into_raw()),
                Err(error) => {
                    callbacks::<C>(host).log(&LogLine {
                        level: 1,
                        target: "plugin_abi",
                        message: &format!("the node wants to send data of {error}"),
                        fields: "",
                        spans: "",
                        file: "",
                        line: 0,
                    });
                    return ERR_INVALID_DATA;
                }
            }
        }
        OK
    })
}

unsafe extern "C" fn alloc_output<C: Callbacks>(
    host: *const Host,
    output: u32,
    len: usize,
    out: *mut HostBuf,
) -> Status {
    guarded(|| {
        // SAFETY: the table is alive during the call.
        let Some(mut room) = (unsafe { callbacks::<C>(host) }).room(output, len) else {
            return ERR_NO_MEMORY;
        };
        let ptr = room.as_mut_ptr();
        let owner: *mut Box<dyn Room> = Box::into_raw(Box::new(room));
        // SAFETY: the plugin's to receive.
        unsafe {
            out.write(HostBuf {
                ptr,
                len,
                owner: owner.cast(),
            })
        };
        OK
    })
}

/// Takes a buffer's memory back from a plugin; `None` when it has been given back already.
unsafe fn take_room(buf: *mut HostBuf) -> Option<Box<dyn Room>> {
    // SAFETY: the plugin passes a buffer that `alloc_output` filled, or one whose owner is null.
    unsafe {
        let owner = NonNull::new((*buf).owner)?;
        *buf = HostBuf {
            ptr: null_mut(),
            len: 0,
            owner: null_mut(),
        };
        Some(*Box::from_raw(owner.cast::<Box<dyn Room>>().as_ptr()))
    }
}

unsafe extern "C" fn free_buf(_host: *const Host, buf: *mut HostBuf) {
    guarded(|| {
        // SAFETY: passed on to the plugin.
        drop(unsafe { take_room(buf) });
        OK
    });
}

/// Makes a message of admitted data and sends it.
unsafe fn send<C: Callbacks>(
    host: *const Host,
    output: u32,
    schema: *const MsgSchema,
    make: impl FnOnce(&C, &Schema) -> Result<Message, MakeError>,
) -> Status {
    // SAFETY: the table and the schema are alive during the call, and borrowed: no reference to give back.
    let (callbacks, schema) = unsafe {
        let schema = ManuallyDrop::new(Schema::from_raw(schema));
        (callbacks::<C>(host), schema)
    };
    let admitted = callbacks.admit(output, &schema);
    if admitted != OK {
        return admitted;
    }
    match make(callbacks, &schema) {
        Ok(message) => callbacks.send(output, message),
        Err(error) => {
            callbacks.refuse(output, &error);
            if error == MakeError::NoMemory {
                ERR_NO_MEMORY
            } else {
                ERR_INVALID_DATA
            }
        }
    }
}

unsafe extern "C" fn send_copy<C: Callbacks>(
    host: *const Host,
    output: u32,
    schema: *const MsgSchema,
    leaf: *const Leaf,
    parameters: Str,
) -> Status {
    // SAFETY: everything is borrowed for the call, as the contract says.
    guarded(|| unsafe {
        let parameters = bytes(&parameters).unwrap_or_default();
        send::<C>(host, output, schema, |callbacks, schema| {
            Message::copy(callbacks.now(), schema, &*leaf, parameters)
        })
    })
}

unsafe extern "C" fn send_buf<C: Callbacks>(
    host: *const Host,
    output: u32,
    schema: *const MsgSchema,
    buf: *mut HostBuf,
    length: i64,
    parameters: Str,
) -> Status {
    // SAFETY: as above; the buffer is taken over.
    guarded(|| unsafe {
        let Some(room) = take_room(buf) else {
            return ERR_INVALID_DATA;
        };
        let parameters = bytes(&parameters).unwrap_or_default();
        send::<C>(host, output, schema, |callbacks, schema| {
            Message::in_memory(callbacks.now(), schema, length, room.freeze(), parameters)
        })
    })
}

unsafe extern "C" fn send_array<C: Callbacks>(
    host: *const Host,
    output: u32,
    schema: *const MsgSchema,
    array: *mut ArrowArray,
    parameters: Str,
) -> Status {
    // SAFETY: as above; the array is taken over.
    guarded(|| unsafe {
        let moved = OwnedArray(array.read());
        (*array).release = None;
        let parameters = bytes(&parameters).unwrap_or_default();
        send::<C>(host, output, schema, |callbacks, schema| {
            Message::from_array(callbacks.now(), schema, moved.into_inner(), parameters)
        })
    })
}

/// Text from a plugin; what is not UTF-8 is shown as such.
///
/// # Safety
/// `text` is valid for its length while the result is used.
unsafe fn lossy(text: &Str) -> Cow<'_, str> {
    // SAFETY: passed on to the caller.
    String::from_utf8_lossy(unsafe { bytes(text) }.unwrap_or_default())
}

/// # Safety
/// The record's texts are valid during the call.
unsafe fn with_line(record: *const LogRecord, take: impl FnOnce(&LogLine<'_>)) {
    // SAFETY: passed on to the caller.
    unsafe {
        let record = &*record;
        if (record.size as usize) < size_of::<LogRecord>() {
            return;
        }
        take(&LogLine {
            level: record.level,
            target: &lossy(&record.target),
            message: &lossy(&record.message),
            fields: &lossy(&record.fields),
            spans: &lossy(&record.spans),
            file: &lossy(&record.file),
            line: record.line,
        });
    }
}

unsafe extern "C" fn log<C: Callbacks>(host: *const Host, record: *const LogRecord) {
    // SAFETY: both are valid during the call.
    guarded(|| unsafe {
        with_line(record, |line| callbacks::<C>(host).log(line));
        OK
    });
}

unsafe extern "C" fn report_error<C: Callbacks>(host: *const Host, report: *const ErrorReport) {
    // SAFETY: both are valid during the call.
    guarded(|| unsafe {
        let traced = report.cast::<TracedReport>();
        let report = &*report;
        if (report.size as usize) < size_of::<ErrorReport>() {
            return ERR_INVALID_DATA;
        }
        let text = lossy(&report.text);
        let mut lines = text.lines().map(str::to_owned);
        let file = lossy(&report.file);
        // As far as the plugin's SDK knows of frames.
        let frames = match report.size as usize >= size_of::<TracedReport>() {
            true => lossy(&(*traced).frames),
            false => Cow::Borrowed(""),
        };
        callbacks::<C>(host).report(NodeFailure {
            panicked: report.kind == ffi::REPORT_PANIC,
            text: lines.next().unwrap_or_default(),
            causes: lines.collect(),
            place: (!file.is_empty()).then(|| (file.into_owned(), report.line)),
            frames: frames
                .lines()
                .take(MOST_FRAMES)
                .map(str::to_owned)
                .collect(),
        });
        OK
    });
}

unsafe extern "C" fn request_stop<C: Callbacks>(host: *const Host) {
    guarded(|| {
        // SAFETY: the table is alive during the call.
        unsafe { callbacks::<C>(host) }.request_stop();
        OK
    });
}

/// Takes the lines of a library that no node is known for.
type LibraryLog = Box<dyn Fn(&LogLine<'_>) + Send + Sync>;

/// The table of one library. It is never freed: a library is never unloaded.
#[repr(C)]
pub struct LibraryTable {
    table: Library,
    level: Arc<AtomicU32>,
    log: LibraryLog,
}

// SAFETY: `table` points to leaked text and to `level`; nothing changes but atomics.
unsafe impl Send for LibraryTable {}
// SAFETY: as above.
unsafe impl Sync for LibraryTable {}

impl LibraryTable {
    /// A table for a library whose original file lies in `folder`.
    pub fn new(
        folder: &str,
        level: Arc<AtomicU32>,
        log: impl Fn(&LogLine<'_>) + Send + Sync + 'static,
    ) -> &'static Self {
        let folder: &'static str = folder.to_owned().leak();
        let table = Library {
            size: size_of::<Library>(),
            level: level.as_ptr(),
            log: log_library,
            folder: folder.into(),
        };
        Box::leak(Box::new(Self {
            table,
            level,
            log: Box::new(log),
        }))
    }

    /// The pointer for the library's entry.
    pub fn as_ptr(&'static self) -> *const Library {
        // To the whole, which `log_library` makes of it.
        std::ptr::from_ref(self).cast()
    }

    /// The log level, for changing it.
    pub fn level(&self) -> &AtomicU32 {
        &self.level
    }
}

impl std::fmt::Debug for LibraryTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LibraryTable").finish_non_exhaustive()
    }
}

unsafe extern "C" fn log_library(library: *const Library, record: *const LogRecord) {
    // SAFETY: the pointer is that of a leaked `LibraryTable`; the record is valid during the call.
    guarded(|| unsafe {
        with_line(record, |line| ((*library.cast::<LibraryTable>()).log)(line));
        OK
    });
}
