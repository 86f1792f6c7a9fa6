//! Why a node's program cannot be started: one variant per reason, before and at the start.
//!
//! Absent: why a path leads to no file at all (`descriptor::resolve::ResolveError`).

use crate::descriptor::resolve::shown;
use crate::plugin::preflight::PreflightError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a program cannot be started. Its text is one line that says what is wrong and what to do, and follows the node.
#[derive(Debug, Error)]
pub enum Problem {
    /// The file was there a moment ago.
    #[error("{} is not there any more; {}", shown(.file), again(*.has_build))]
    Gone {
        /// The file.
        file: PathBuf,
        /// Whether `dora build` would make it.
        has_build: bool,
    },
    /// The folder that the node works in is missing.
    #[error("its folder {} does not exist; make it, or correct `working_dir`", shown(.0))]
    NoFolder(PathBuf),
    /// No permission bit, or on Windows a name that no program has.
    #[error("{} is not executable; {}", shown(.0), make_executable())]
    NotExecutable(PathBuf),
    /// Built for another processor or system.
    #[error("{} was built for {built_for}, this machine is {here}; build it for this machine", shown(.file))]
    WrongMachine {
        /// The file.
        file: PathBuf,
        /// Processor and system that it was built for.
        built_for: String,
        /// Those of this machine.
        here: String,
    },
    /// It is a shared library.
    #[error("{} is a shared library, not a program; remove `load`, or name the program", shown(.0))]
    Library(PathBuf),
    /// It is nothing that can be run.
    #[error("{} is no program ({what}); name the program, or give a script a first line such as `#!/bin/sh`", shown(.file))]
    NoProgram {
        /// The file.
        file: PathBuf,
        /// What it is.
        what: String,
    },
    /// What the first line of a script names is not there.
    #[error("{}: its first line names the interpreter `{interpreter}`, which was not found; install it, or correct the line", shown(.file))]
    NoInterpreter {
        /// The script.
        file: PathBuf,
        /// What was looked for.
        interpreter: String,
    },
    /// There is no Python.
    #[error("{}: no Python was found ({looked}); install Python 3, activate a virtual environment, or use `--uv`", shown(.file))]
    NoPython {
        /// The script.
        file: PathBuf,
        /// Where it was looked for.
        looked: String,
    },
    /// `--uv`, and there is no uv.
    #[error("`--uv`: the program `uv` is not on PATH; install uv, or leave `--uv` out")]
    NoUv,
    /// Its file cannot be read, or its handshake record does not fit.
    #[error("{}: {}", shown(.0), .1)]
    Refused(PathBuf, PreflightError),
    /// The system does not start it.
    #[error("{} cannot be started: {reason}", shown(.file))]
    Spawn {
        /// The file.
        file: PathBuf,
        /// The system's reason, and what it may mean.
        reason: String,
    },
}

impl Problem {
    /// Why the system has not started a program that [`super::choose`] chose.
    pub fn of_start(launch: &super::Launch, error: &io::Error) -> Self {
        let file = launch.program.clone();
        let missing = error.kind() == io::ErrorKind::NotFound;
        if !launch.folder.is_dir() {
            return Problem::NoFolder(launch.folder.clone());
        }
        if missing && !file.exists() {
            let has_build = false;
            return Problem::Gone { file, has_build };
        }
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "; the interpreter or loader that it names is missing, as with a program of another C library"
            }
            io::ErrorKind::PermissionDenied => {
                "; its folder may be mounted without the right to run programs"
            }
            io::ErrorKind::ExecutableFileBusy => {
                "; it is being written: wait until its build is done"
            }
            io::ErrorKind::ArgumentListTooLong => "; its `args` and `env` are too long",
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => {
                "; this machine or user has too many processes, or too little memory"
            }
            _ => "",
        };
        let reason = format!("{error}{hint}");
        Problem::Spawn { file, reason }
    }
}

fn again(has_build: bool) -> &'static str {
    match has_build {
        true => "run `dora build` again",
        false => "build it again",
    }
}

fn make_executable() -> &'static str {
    match cfg!(unix) {
        true => "make it so with `chmod +x`",
        false => "name a file that ends in .exe, .com, .bat, .cmd or .py",
    }
}
