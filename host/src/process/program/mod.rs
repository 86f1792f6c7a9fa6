//! What to start for a node whose path leads to an executable, and which wire it will speak.
//!
//! Invariant: what can be known to fail is refused here, before anything runs, and each reason has its own message; what
//! carries a handshake record is held to it. Absent: finding the file (`descriptor::resolve`) and starting it
//! ([`super::child`]).

mod problem;
mod search;
#[cfg(test)]
mod tests;

pub use problem::Problem;

use super::child::Launch;
use crate::descriptor::{Load, Node};
use crate::plugin::preflight::{self, FileKind, FileReport, Handshake, Machine, PreflightError};
use search::Search;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// Variables that tell a node how to reach its runtime: another runtime's must not reach it.
const NOT_INHERITED: [&str; 7] = [
    "DORA_NODE_CONFIG",
    "DORA_RUNTIME_CONFIG",
    "DORA_RUN_PARENT_PID",
    "DORA_ZENOH_CONNECT",
    "DORA_ZENOH_LISTEN",
    "DORA_ZENOH_LISTEN_EXTRA",
    "DORA_ZENOH_MULTICAST",
];

/// What makes a node of an operator, whose file is its argument.
const OPERATOR: &str = include_str!("operator.py");

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launchable {
    /// The wire that it speaks.
    pub kind: Kind,
    /// How it is started; whoever serves its wire adds the variables that lead to it.
    pub launch: Launch,
}

/// Which wire a program speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Ours: it carries a handshake record, and the record fits.
    Native(Box<Handshake>),
    /// Any other program. Those of dora's nodes, if it is one.
    Dora,
}

/// What the choice depends on beside the node.
pub struct Options<'a> {
    /// Python is run by `uv run`.
    pub uv: bool,
    /// The machine that it is to run on.
    pub machine: &'a Machine,
    /// The variables of this process.
    pub lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

/// Chooses what to start for the file that a node's path led to, in the folder that the node works in.
///
/// # Errors
/// Why it cannot be started.
pub fn choose(
    node: &Node,
    file: &Path,
    folder: &Path,
    options: &Options<'_>,
) -> Result<Launchable, Problem> {
    if !folder.is_dir() {
        return Err(Problem::NoFolder(folder.to_owned()));
    }
    let metadata = fs::metadata(file).map_err(|error| unreadable(node, file, &error))?;
    // Reading a pipe would wait for whoever writes it.
    if !metadata.is_file() {
        return Err(Problem::Refused(file.to_owned(), PreflightError::NotAFile));
    }
    let search = Search::new(&node.env, options.lookup);
    let (kind, program, args) = if extension(file) == "py" {
        let is_operator = node.load == Some(Load::Operator);
        let (program, args) = python(file, is_operator, &search, options)?;
        (Kind::Dora, program, args)
    } else {
        may_be_executed(file, &metadata)?;
        let report = preflight::read_file(file).map_err(|error| unread(file, error))?;
        let kind = kind_of(file, &report, options.machine, &search)?;
        let script = matches!(report.kind, FileKind::Other { .. });
        match options.uv && script {
            true => {
                let args = [OsStr::new("run"), file.as_os_str()];
                (kind, search.uv()?, args.map(OsString::from).to_vec())
            }
            false => (kind, file.to_owned(), Vec::new()),
        }
    };
    let mut launch = Launch::new(program, args, folder.to_owned());
    launch.args.extend(node.args.iter().map(OsString::from));
    launch.cores.clone_from(&node.cpu_affinity);
    for name in NOT_INHERITED {
        launch.unset(name);
    }
    // Else what it prints stays in its buffer until there is much of it. Other programs do not know the name.
    launch.set("PYTHONUNBUFFERED", "1");
    for (name, value) in &node.env {
        launch.set(name, value);
    }
    Ok(Launchable { kind, launch })
}

/// The interpreter for a file, and its arguments up to the file.
fn python(
    file: &Path,
    is_operator: bool,
    search: &Search<'_>,
    options: &Options<'_>,
) -> Result<(PathBuf, Vec<OsString>), Problem> {
    let (program, first): (_, &[&str]) = match options.uv {
        true => (search.uv()?, &["run", "python", "-u"]),
        false => (search.python(file)?, &["-u"]),
    };
    let mut args: Vec<OsString> = first.iter().map(OsString::from).collect();
    if is_operator {
        args.extend(["-c", OPERATOR].map(OsString::from));
    }
    args.push(file.into());
    Ok((program, args))
}

fn kind_of(
    file: &Path,
    report: &FileReport,
    machine: &Machine,
    search: &Search<'_>,
) -> Result<Kind, Problem> {
    if let Some(checked) = preflight::check_executable(report, machine) {
        checked.map_err(|error| Problem::Refused(file.to_owned(), error))?;
    }
    match &report.kind {
        FileKind::NodeExecutable { handshake } => Ok(Kind::Native(Box::new(handshake.clone()))),
        FileKind::Executable => fits(file, report, machine).map(|()| Kind::Dora),
        FileKind::Universal if machine.platform.os == "macOS" => Ok(Kind::Dora),
        FileKind::Universal => Err(Problem::WrongMachine {
            file: file.to_owned(),
            built_for: "macOS".into(),
            here: machine.platform.to_string(),
        }),
        FileKind::Plugin { .. } | FileKind::Library => Err(Problem::Library(file.to_owned())),
        FileKind::Object { what } => Err(Problem::NoProgram {
            file: file.to_owned(),
            what: what.clone(),
        }),
        FileKind::Other { starts } => search.script(file, starts).map(|()| Kind::Dora),
    }
}

/// Whether a program for another processor or system can be run here all the same.
fn fits(file: &Path, report: &FileReport, machine: &Machine) -> Result<(), Problem> {
    let Some(image) = &report.image else {
        return Ok(());
    };
    let (for_, here) = (&image.platform, &machine.platform);
    let same_os = for_.os == here.os;
    let also = match here.arch.as_str() {
        "x86_64" => for_.arch == "x86",
        // Windows and macOS translate; Linux does not by itself.
        "aarch64" if here.os == "Linux" => for_.arch == "arm",
        "aarch64" => matches!(for_.arch.as_str(), "x86" | "x86_64"),
        _ => false,
    };
    if same_os && (for_.arch == here.arch || also) || search::has_emulators() {
        return Ok(());
    }
    Err(Problem::WrongMachine {
        file: file.to_owned(),
        built_for: for_.to_string(),
        here: here.to_string(),
    })
}

#[cfg(unix)]
fn may_be_executed(file: &Path, metadata: &Metadata) -> Result<(), Problem> {
    use std::os::unix::fs::PermissionsExt;
    match metadata.permissions().mode() & 0o111 {
        0 => Err(Problem::NotExecutable(file.to_owned())),
        _ => Ok(()),
    }
}

/// Windows tells by a file's name whether it can be run.
#[cfg(not(unix))]
fn may_be_executed(file: &Path, _: &Metadata) -> Result<(), Problem> {
    match extension(file).as_str() {
        "exe" | "com" | "bat" | "cmd" => Ok(()),
        _ => Err(Problem::NotExecutable(file.to_owned())),
    }
}

fn extension(file: &Path) -> String {
    let extension = file.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

fn unreadable(node: &Node, file: &Path, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => Problem::Gone {
            file: file.to_owned(),
            has_build: !node.build.is_empty(),
        },
        _ => Problem::Refused(
            file.to_owned(),
            PreflightError::Unreadable {
                reason: error.to_string(),
            },
        ),
    }
}

fn unread(file: &Path, error: PreflightError) -> Problem {
    Problem::Refused(file.to_owned(), error)
}
