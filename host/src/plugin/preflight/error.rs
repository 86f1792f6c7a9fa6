//! Why a file is refused: one variant per reason.
//!
//! Invariant: the text of a variant is exactly what the user reads after ``node `x`: `path`:``, on one line, and
//! texts from the file itself have been made printable before they come here.
//! Absent: the node and the path, which only the caller knows.

use plugin_abi::handshake::{ABI, AbiVersion, MessageFormat};
use std::path::PathBuf;
use thiserror::Error;

/// Why a file cannot be loaded as a plugin here. Its text is one line that says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PreflightError {
    /// There is no such file.
    #[error("not found (tried {}){}", paths(.tried), build(*.built))]
    NotFound {
        /// Every path that was tried, in order.
        tried: Vec<PathBuf>,
        /// Whether `dora build` would make it; `None` where no descriptor is involved.
        built: Option<bool>,
    },
    /// It is a directory.
    #[error("is a directory, not a plugin; name the file in it")]
    Directory,
    /// It is a device, a pipe or a socket.
    #[error("is neither a file nor a directory")]
    NotAFile,
    /// The user that runs dora may not read it.
    #[error("permission denied; make it readable for the user that runs dora")]
    NoPermission,
    /// The operating system failed to read it.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// The operating system's reason.
        reason: String,
    },
    /// It is larger than any plugin.
    #[error(
        "is too large for a plugin ({size} bytes, at most {})",
        super::MAX_FILE
    )]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It has no bytes.
    #[error("is empty")]
    Empty,
    /// It is a script, a text or something else that no loader knows.
    #[error("is not a shared library (starts with \"{starts}\")")]
    NotALibrary {
        /// Its first characters, escaped.
        starts: String,
    },
    /// It is a file for a linker or a debugger.
    #[error("is not a shared library ({what})")]
    ObjectFile {
        /// What it is.
        what: String,
    },
    /// It is an executable that carries a handshake record: a node of ours as an executable.
    #[error(
        "is the executable of a node, not a plugin; name the node's shared library, or run it with `load: executable`"
    )]
    NodeExecutable,
    /// It is any other executable.
    #[error("is an executable, not a plugin")]
    Executable,
    /// It holds several Mach-O files.
    #[error(
        "is a universal Mach-O file; take the part for this machine out of it with `lipo -thin`"
    )]
    Universal,
    /// Its headers speak of bytes that it does not have.
    #[error("file is incomplete ({size} bytes, its headers promise {promised})")]
    Incomplete {
        /// Bytes that it has.
        size: u64,
        /// Bytes that it should have at least.
        promised: u64,
    },
    /// Its headers make no sense.
    #[error("file is damaged ({what}); build or copy it again")]
    Damaged {
        /// What makes no sense.
        what: String,
    },
    /// A shared library without handshake record.
    #[error("is a shared library but no dora plugin (no handshake record)")]
    NoRecord,
    /// Built for another processor or operating system.
    #[error("built for {built_for}, this machine is {here}")]
    WrongMachine {
        /// Processor and operating system that it was built for.
        built_for: String,
        /// Those of this machine.
        here: String,
    },
    /// Built for pointers of another size.
    #[error("built for {built_for}-bit pointers, those of this machine have {here} bits")]
    WrongPointerWidth {
        /// Bits of its pointers.
        built_for: u16,
        /// Bits of the host's.
        here: u16,
    },
    /// Speaks another message format.
    #[error(
        "version mismatch: message format {found} is not compatible with expected message format {expected}; rebuild it with plugin-abi {ABI}"
    )]
    MessageFormat {
        /// What it speaks.
        found: MessageFormat,
        /// What the host speaks.
        expected: MessageFormat,
    },
    /// Speaks another ABI.
    #[error(
        "built for plugin ABI {found}{}, this dora speaks {expected}; rebuild it with plugin-abi {ABI}",
        in_brackets(.compiler)
    )]
    Abi {
        /// What it speaks.
        found: AbiVersion,
        /// What the host speaks.
        expected: AbiVersion,
        /// The compiler that the file names outside the record.
        compiler: Option<String>,
    },
    /// The record makes no sense.
    #[error("its handshake record is damaged ({what}); rebuild it with plugin-abi {ABI}")]
    DamagedRecord {
        /// What makes no sense.
        what: String,
    },
    /// A type of the contract is laid out otherwise.
    #[error(
        "same ABI version but type {type_name} differs {difference}; build plugin and dora from one release"
    )]
    Layout {
        /// The type.
        type_name: String,
        /// In what.
        difference: LayoutDifference,
    },
    /// The contract consists of other types.
    #[error(
        "same ABI version but the list of types differs at {type_name}; build plugin and dora from one release"
    )]
    LayoutList {
        /// The first type that only one of the two has.
        type_name: String,
    },
    /// A panic in it would abort the process.
    #[error(
        "built with panic=abort: a panic would end the daemon; build with unwinding, or set process: own"
    )]
    PanicAbort,
    /// Its layout cannot be compared after loading.
    #[error(
        "built with {}, this dora compares layouts with abi_stable {expected}; rebuild it with plugin-abi {ABI}",
        abi_stable(.found)
    )]
    AbiStable {
        /// Its version of abi_stable; empty when it has none.
        found: String,
        /// The host's.
        expected: String,
    },
    /// It hides a symbol that the loader needs.
    #[error(
        "does not export `{symbol}`; export it (plugin-abi does so with export_plugin!, C with default visibility)"
    )]
    NotExported {
        /// The symbol.
        symbol: String,
    },
    /// It needs a newer C library than this machine has.
    #[error("needs {needs}{}, this machine has {here}", symbol_in_brackets(.symbol))]
    NewerSystem {
        /// The version of the C library that it needs: `GLIBC_2.39`.
        needs: String,
        /// One symbol that it needs of that version.
        symbol: Option<String>,
        /// The version that this machine has.
        here: String,
    },
    /// A library that it needs is older than it wants.
    #[error(
        "needs {version} of {library}, which that library does not have here; install a newer one or rebuild it on this system"
    )]
    OlderLibrary {
        /// The library.
        library: String,
        /// The version that the library lacks.
        version: String,
    },
    /// A library that it needs is not there.
    #[error("needs the library {library}{}, which could not be found; {}", for_whom(.needed_by), install())]
    MissingLibrary {
        /// The library that could not be found.
        library: String,
        /// The library that needs it, when that is not the plugin.
        needed_by: Option<String>,
    },
    /// A symbol that it needs is in no library.
    #[error("needs the symbol `{symbol}`, which no library that it is linked with has")]
    MissingSymbol {
        /// The symbol.
        symbol: String,
    },
    /// The operating system's loader refuses it for a reason of its own.
    #[error("the system's loader refused it: {reason}")]
    Loader {
        /// Its words.
        reason: String,
    },
}

/// In what a type of the plugin differs from the host's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutDifference {
    /// A field is elsewhere.
    #[error("at field {0}")]
    Field(String),
    /// It has more or fewer fields.
    #[error("in its number of fields ({found}, here {here})")]
    Fields {
        /// The plugin's.
        found: u16,
        /// The host's.
        here: u16,
    },
    /// Its size.
    #[error("in size ({found} bytes, here {here})")]
    Size {
        /// The plugin's.
        found: u16,
        /// The host's.
        here: u16,
    },
    /// Its alignment.
    #[error("in alignment ({found} bytes, here {here})")]
    Align {
        /// The plugin's.
        found: u16,
        /// The host's.
        here: u16,
    },
}

fn paths(tried: &[PathBuf]) -> String {
    let shown: Vec<_> = tried
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    shown.join(", ")
}

fn build(built: Option<bool>) -> &'static str {
    match built {
        None => "",
        Some(true) => "; `dora build` makes it",
        Some(false) => "; the node has no `build:`, so `dora build` does not make it",
    }
}

fn in_brackets(text: &Option<String>) -> String {
    text.as_ref()
        .map_or_else(String::new, |text| format!(" ({text})"))
}

fn symbol_in_brackets(symbol: &Option<String>) -> String {
    symbol
        .as_ref()
        .map_or_else(String::new, |symbol| format!(" (symbol {symbol})"))
}

fn for_whom(library: &Option<String>) -> String {
    library
        .as_ref()
        .map_or_else(String::new, |library| format!(" (for {library})"))
}

fn abi_stable(found: &str) -> String {
    if found.is_empty() {
        "no abi_stable".into()
    } else {
        format!("abi_stable {found}")
    }
}

/// The way out for a missing library, in the terms of the system that dora runs on.
fn install() -> &'static str {
    if cfg!(windows) {
        "install it, or put it beside the plugin"
    } else if cfg!(target_os = "macos") {
        "install it, or put it beside the plugin and link that with -Wl,-rpath,@loader_path"
    } else {
        "install it, or put it beside the plugin and link that with -Wl,-rpath,$ORIGIN"
    }
}
