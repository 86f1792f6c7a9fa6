//! A node as an executable of its own: what `main` of such a program is.
//!
//! Started by a daemon, which greets it over its standard input, it runs the node that it is asked for; see
//! [`wire`](crate::wire). Run by hand, it says what it is and how it is used. Invariant: which of the two is known without
//! waiting, and a node cannot read the wire, for its standard input is empty. Absent: the wire.

use crate::ffi;
use crate::handshake::{ABI, MESSAGE_FORMAT, Record};
use crate::hosting::{KindTable, LibraryTable, NodeFailure};
use crate::wire::channel::{Channel, Side};
use crate::wire::frame::{Create, FromNode, Line, is_greeting};
use crate::wire::memory::Pool;
use crate::wire::node::{ServeError, serve};
use crate::wire::stack;
use crate::wire::sys::Stream;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// The argument with which such a program prints what it declares, as JSON, and ends. Nothing else may follow it.
pub const DESCRIBE: &str = "--dora-describe";

/// Makes `main` of an executable that runs node kinds, from the same source as the plugin.
///
/// ```text
/// mod node;
/// plugin_abi::executable!(node::Random);
/// ```
#[macro_export]
macro_rules! executable {
    ($($node:ty),+ $(,)?) => {
        $crate::__record!();

        fn main() -> ::std::process::ExitCode {
            $crate::executable::main(&DORA_PLUGIN_RECORD, &[$($crate::export::kind::<$node>),+])
        }
    };
}

/// The program.
#[doc(hidden)]
pub fn main(record: &'static Record, kinds: &[fn() -> ffi::Kind]) -> ExitCode {
    // The linker drops a static that nothing reads, and the record is read from the file.
    let record = std::hint::black_box(record);
    let kinds: Vec<KindTable> = kinds
        .iter()
        .map(|kind| KindTable::own(Box::leak(Box::new(kind()))))
        .collect();
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|argument| argument == DESCRIBE)
        && arguments.next().is_none()
    {
        println!("{}", described(record, &kinds));
        return ExitCode::SUCCESS;
    }
    match Stream::take_stdin(is_greeting) {
        Some(stream) => run(record, &kinds, stream),
        None => {
            introduce(record, &kinds);
            ExitCode::from(2)
        }
    }
}

/// Runs the node that the daemon wants.
fn run(record: &Record, kinds: &[KindTable], stream: Stream) -> ExitCode {
    stack::answer();
    let (channel, incoming) = Channel::new(stream, Side::Node, Pool::default());
    // Until the daemon says otherwise.
    let level = Arc::new(AtomicU32::new(3));
    let folder = std::env::current_exe().ok();
    let folder = folder.as_deref().and_then(std::path::Path::parent);
    let folder = folder
        .map(|folder| folder.to_string_lossy())
        .unwrap_or_default();
    let lines = channel.clone();
    let library = LibraryTable::new(&folder, level.clone(), move |line| {
        // Without a daemon nobody reads it.
        let _ = lines.send(&FromNode::Log(Line::from(line)));
    });
    crate::log::install(library.as_ptr());
    let mut find = |create: &Create| Ok((kind(kinds, &create.kind)?, library));
    match serve(record, incoming, level, &mut find) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let version = matches!(error, ServeError::Version(_));
            eprintln!("{}: {error}", text(&record.name));
            // What ended because its daemon is gone has nothing to complain about; both are failures.
            ExitCode::from(if version { 3 } else { 1 })
        }
    }
}

fn kind(kinds: &[KindTable], name: &str) -> Result<KindTable, NodeFailure> {
    let found = match kinds {
        [only] if name.is_empty() => Some(only),
        _ => kinds.iter().find(|kind| kind.name() == name),
    };
    found.copied().ok_or_else(|| {
        let names: Vec<String> = kinds.iter().map(KindTable::name).collect();
        let names = names.join(", ");
        NodeFailure::new(match name {
            "" => format!("it has several node kinds; set `kind` to one of: {names}"),
            _ => format!("it has no node kind \"{name}\"; it has: {names}"),
        })
    })
}

/// What the program declares, in the form in which a daemon keeps what a plugin declares.
fn described(record: &Record, kinds: &[KindTable]) -> Value {
    let ports = |ports: Vec<[String; 3]>| -> Vec<Value> {
        let port = |[name, description, data_type]: [String; 3]| {
            let data_type = (!data_type.is_empty()).then_some(data_type);
            json!({"name": name, "description": description, "data_type": data_type})
        };
        ports.into_iter().map(port).collect()
    };
    let kinds: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            let schema = serde_json::from_str::<Value>(&kind.config_schema()).ok();
            json!({
                "name": kind.name(),
                "description": kind.description(),
                "inputs": ports(kind.inputs()),
                "outputs": ports(kind.outputs()),
                "config_schema": schema,
            })
        })
        .collect();
    json!({"name": text(&record.name), "version": text(&record.version), "kinds": kinds})
}

/// Says what the program is, to somebody who runs it by hand.
fn introduce(record: &Record, kinds: &[KindTable]) {
    let (name, version) = (text(&record.name), text(&record.version));
    println!("{name} {version}: a dora node as an executable");
    println!(
        "plugin ABI {ABI}, message format {MESSAGE_FORMAT}, {}",
        text(&record.target)
    );
    for kind in kinds {
        println!("\nnode kind {}: {}", kind.name(), kind.description());
        for port in kind.inputs() {
            introduce_port("input", &port);
        }
        for port in kind.outputs() {
            introduce_port("output", &port);
        }
    }
    println!("\nIt runs as a node of a dataflow, not by hand. In a descriptor:\n");
    println!("  - id: {name}\n    path: path/to/{name}-node\n");
    println!("and then: dora run dataflow.yml");
}

fn introduce_port(what: &str, [name, description, data_type]: &[String; 3]) {
    let data_type = match data_type.as_str() {
        "" => "any type",
        data_type => data_type,
    };
    println!("  {what} {name} ({data_type}) {description}");
}

fn text(field: &[u8]) -> &str {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    field
        .get(..end)
        .and_then(|text| std::str::from_utf8(text).ok())
        .unwrap_or("?")
}
