//! The contract from the other side: plugins in C, compiled, loaded and run as a host runs them.
//!
//! Needs a C compiler with gcc's options: `CC`, or `cc` (`gcc` on Windows).

mod helpers;
mod plugin;

use arrow_array::Array;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, to_ffi};
use plugin_abi::ffi::{self, ArrowArray, ArrowSchema, Entry, Status};
use plugin_abi::hosting::{
    Callbacks, CreateWith, Event, Heap, Instance, KindTable, LibraryTable, LogLine, NodeFailure,
    Room, Table, kinds,
};
use plugin_abi::message::{MakeError, Message, Schema};
use plugin_abi::meta::{Parameters, Timestamp};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A loaded plugin, which is never unloaded.
struct Plugin {
    table: &'static LibraryTable,
    kinds: Vec<KindTable>,
}

impl Plugin {
    /// Compiles a C file, named from this crate's folder, and loads it.
    fn load(source: &str) -> Self {
        let (table, kinds) = Self::open(source);
        let kinds = kinds.expect("a plugin's table");
        Self { table, kinds }
    }

    /// The same, and what is wrong with its table.
    fn open(source: &str) -> (&'static LibraryTable, Result<Vec<KindTable>, String>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("plugin.dll");
        compile(source, &file);
        // SAFETY: the library has no constructors.
        let library = unsafe { libloading::Library::new(&file) }.expect("a library");
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        let table = LibraryTable::new("", Arc::default(), |_| {});
        // SAFETY: the header declares the entry with this type; the library stays.
        let kinds = unsafe {
            let entry = library
                .get::<Entry>(ffi::ENTRY.as_bytes())
                .expect("the entry");
            kinds(entry(table.as_ptr()))
        };
        (table, kinds)
    }

    fn kind(&self, name: &str) -> KindTable {
        let found = self.kinds.iter().find(|kind| kind.name() == name);
        *found.expect(name)
    }

    /// A host's table that remembers what an instance does.
    fn table(&self) -> Arc<Table<Seen>> {
        Table::new(Seen::default(), self.table, Arc::new(AtomicU32::new(3)))
    }

    fn create(
        &self,
        table: &Arc<Table<Seen>>,
        name: &str,
        outputs: &[&str],
        config: &str,
    ) -> Result<Instance<Seen>, Status> {
        let outputs: Vec<String> = outputs.iter().map(ToString::to_string).collect();
        let with = CreateWith {
            inputs: &["in".to_owned()],
            outputs: &outputs,
            config,
            node_id: "node",
            dataflow_id: "0198a000-0000-7000-8000-000000000000",
            restart_count: 0,
        };
        Instance::create(self.kind(name), table.clone(), &with)
    }
}

fn compile(source: &str, library: &Path) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let default = if cfg!(windows) { "gcc" } else { "cc" };
    let compiler = std::env::var("CC").unwrap_or_else(|_| default.into());
    let mut words = compiler.split_whitespace();
    let output = Command::new(words.next().expect("CC names a compiler"))
        .args(words)
        .args(["-std=c11", "-g", "-fPIC", "-shared"])
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .arg("-I")
        .arg(here.join("include"))
        .arg(here.join(source))
        .arg("-o")
        .arg(library)
        .output()
        .unwrap_or_else(|error| {
            panic!("no C compiler `{compiler}` ({error}): install one or set CC")
        });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// What an instance did.
#[derive(Default)]
struct Seen {
    sent: Mutex<Vec<(u32, Message)>>,
    lines: Mutex<Vec<(u32, String, String)>>,
    failures: Mutex<Vec<NodeFailure>>,
    closed: AtomicU32,
}

fn taken<T>(list: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *list.lock().unwrap_or_else(PoisonError::into_inner))
}

fn push<T>(list: &Mutex<Vec<T>>, item: T) {
    list.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(item);
}

impl Callbacks for Seen {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn admit(&self, output: u32, _schema: &Schema) -> Status {
        match (self.closed.load(Ordering::SeqCst), output) {
            (0, 0 | 1) => ffi::OK,
            (0, _) => ffi::ERR_UNKNOWN_OUTPUT,
            _ => ffi::ERR_CLOSED,
        }
    }

    fn room(&self, _output: u32, len: usize) -> Option<Box<dyn Room>> {
        Some(Box::new(Heap::new(len)?))
    }

    fn send(&self, output: u32, message: Message) -> Status {
        push(&self.sent, (output, message));
        ffi::OK
    }

    fn refuse(&self, output: u32, error: &MakeError) {
        panic!("output {output}: {error}");
    }

    fn log(&self, line: &LogLine<'_>) {
        push(
            &self.lines,
            (line.level, line.message.to_owned(), line.file.to_owned()),
        );
    }

    fn report(&self, failure: NodeFailure) {
        push(&self.failures, failure);
    }

    fn request_stop(&self) {}
}

/// A message of any array, with parameters.
fn message(array: &dyn Array, parameters: &Parameters) -> Message {
    message_at(array, parameters, Timestamp::default())
}

fn message_at(array: &dyn Array, parameters: &Parameters, stamp: Timestamp) -> Message {
    let (data, schema) = to_ffi(&array.to_data()).expect("arrow exports it");
    // SAFETY: both structs are those of the C Data Interface on either side, moved.
    unsafe {
        let data = std::mem::transmute::<FFI_ArrowArray, ArrowArray>(data);
        let schema = std::mem::transmute::<FFI_ArrowSchema, ArrowSchema>(schema);
        let schema = Schema::intern(schema).expect("a type of Arrow's");
        Message::from_array(stamp, &schema, data, &parameters.encode()).expect("a message")
    }
}

fn input(message: &Message) -> Event<'_> {
    Event::Input { input: 0, message }
}
