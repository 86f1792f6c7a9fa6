//! Interpreters: which Python is in force, and whether what a script names is there. Looks at files, starts nothing.

use super::Problem;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// What Python is called, in the order in which it is looked for.
const PYTHONS: [&str; 2] = if cfg!(windows) {
    ["python", "py"]
} else {
    ["python3", "python"]
};
/// The folder of programs in a virtual environment.
const PROGRAMS: &str = if cfg!(windows) { "Scripts" } else { "bin" };
/// As much of a first line is read.
const FIRST_LINE_BYTES: u64 = 4096;

/// Looks programs up as the node itself would: its own variables count before those of this process.
pub(super) struct Search<'a> {
    env: &'a BTreeMap<String, String>,
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

impl<'a> Search<'a> {
    pub fn new(
        env: &'a BTreeMap<String, String>,
        lookup: &'a dyn Fn(&str) -> Option<OsString>,
    ) -> Self {
        Self { env, lookup }
    }

    /// The Python of the virtual environment in force, else the one on PATH.
    pub fn python(&self, file: &Path) -> Result<PathBuf, Problem> {
        let venv = self.variable("VIRTUAL_ENV").map(PathBuf::from);
        if let Some(venv) = &venv {
            let programs = venv.join(PROGRAMS);
            // In a virtual environment it is also called `python`, on every system.
            let mut names = PYTHONS.iter().chain(&["python"]);
            if let Some(found) = names.find_map(|name| program(&programs.join(name))) {
                return Ok(found);
            }
        }
        let found = PYTHONS.iter().find_map(|name| self.on_path(name));
        found.ok_or_else(|| Problem::NoPython {
            file: file.to_owned(),
            looked: match venv {
                Some(venv) => format!("VIRTUAL_ENV is {}, then PATH", venv.display()),
                None => "on PATH, as VIRTUAL_ENV is not set".into(),
            },
        })
    }

    pub fn uv(&self) -> Result<PathBuf, Problem> {
        self.on_path("uv").ok_or(Problem::NoUv)
    }

    /// Whether a file that is no program of the system's is a script whose interpreter is there. `starts`: its begin, for
    /// people.
    pub fn script(&self, file: &Path, starts: &str) -> Result<(), Problem> {
        // The command interpreter of Windows takes them by their names.
        if cfg!(windows) {
            return Ok(());
        }
        let Some(words) = first_line(file) else {
            return Err(Problem::NoProgram {
                file: file.to_owned(),
                what: format!("it starts with \"{starts}\""),
            });
        };
        let mut words = words.split_whitespace();
        let first = words.next().unwrap_or_default();
        let missing = |interpreter: &str| {
            Err(Problem::NoInterpreter {
                file: file.to_owned(),
                interpreter: interpreter.to_owned(),
            })
        };
        if program(Path::new(first)).is_none() {
            return missing(first);
        }
        let is_env = Path::new(first)
            .file_name()
            .is_some_and(|name| name == "env");
        // `env -S name arguments` and `env NAME=value name` are left to `env` itself.
        match words.next() {
            Some(name) if is_env && !name.starts_with('-') && !name.contains('=') => {
                match self.on_path(name) {
                    Some(_) => Ok(()),
                    None => missing(name),
                }
            }
            _ => Ok(()),
        }
    }

    fn on_path(&self, name: &str) -> Option<PathBuf> {
        let path = self.variable("PATH")?;
        env::split_paths(&path).find_map(|folder| program(&folder.join(name)))
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        let own = self.env.get(name).map(OsString::from);
        own.or_else(|| (self.lookup)(name))
            .filter(|value| !value.is_empty())
    }
}

/// The file, or the file with the extension that programs have here.
fn program(file: &Path) -> Option<PathBuf> {
    let mut named = file.as_os_str().to_owned();
    named.push(env::consts::EXE_SUFFIX);
    let named = PathBuf::from(named);
    is_program(&named).then_some(named)
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

/// What follows `#!` in a file's first line.
fn first_line(file: &Path) -> Option<String> {
    let mut line = Vec::new();
    let file = File::open(file).ok()?.take(FIRST_LINE_BYTES);
    BufReader::new(file).read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8_lossy(&line);
    line.strip_prefix("#!").map(|line| line.trim().to_owned())
}

/// Whether this system has been told how to run programs of other systems and processors.
#[cfg(target_os = "linux")]
pub(super) fn has_emulators() -> bool {
    let Ok(entries) = std::fs::read_dir("/proc/sys/fs/binfmt_misc") else {
        return false;
    };
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.any(|name| name != "register" && name != "status")
}

#[cfg(not(target_os = "linux"))]
pub(super) fn has_emulators() -> bool {
    false
}
