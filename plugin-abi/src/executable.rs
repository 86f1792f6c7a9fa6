//! A node as an executable of its own: what `main` of such a program is.
//!
//! Absent: the wire to the daemon. Run by hand, the program says what it is and how it is used.

use crate::handshake::{ABI, MESSAGE_FORMAT, Record};
use crate::node::{Kind, Node, Port};
use std::process::ExitCode;

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
            $crate::executable::main(&DORA_PLUGIN_RECORD, &[$($crate::executable::kind_of::<$node>),+])
        }
    };
}

/// The declaration of a node kind.
#[doc(hidden)]
pub fn kind_of<N: Node>() -> Kind {
    N::kind()
}

/// The program: prints what it is.
#[doc(hidden)]
pub fn main(record: &'static Record, kinds: &[fn() -> Kind]) -> ExitCode {
    // The linker drops a static that nothing reads, and the record is read from the file.
    let record = std::hint::black_box(record);
    let (name, version) = (text(&record.name), text(&record.version));
    println!("{name} {version}: a dora node as an executable");
    println!(
        "plugin ABI {ABI}, message format {MESSAGE_FORMAT}, {}",
        text(&record.target)
    );
    for kind in kinds {
        describe(&kind());
    }
    println!("\nIt runs as a node of a dataflow, not by hand. In a descriptor:\n");
    println!("  - id: {name}\n    path: path/to/{name}-node\n");
    println!("and then: dora run dataflow.yml");
    ExitCode::from(2)
}

fn describe(kind: &Kind) {
    println!("\nnode kind {}: {}", kind.name, kind.description);
    let print = |what: &str, ports: &[Port]| {
        for port in ports {
            let data_type = if port.data_type.is_empty() {
                "any type"
            } else {
                &port.data_type
            };
            println!("  {what} {} ({data_type}) {}", port.name, port.description);
        }
    };
    print("input", &kind.inputs);
    print("output", &kind.outputs);
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
