//! Where `out/` lies: `--out-dir`, else `DORA_OUT_DIR`, else `out` in the current folder; else the user's data folder.
//!
//! Invariant: a folder that cannot be written never stops a run: the answer says where logs go instead, or that there
//! are no files. Knows no process environment: it is passed in. Absent: what is put into the folder.

use super::escape;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The variable that says the same as `--out-dir`.
pub const OUT_DIR_VARIABLE: &str = "DORA_OUT_DIR";

/// What is known about where logs should go.
pub struct OutRequest<'a> {
    /// What `--out-dir` says.
    pub flag: Option<&'a Path>,
    /// The current folder.
    pub current: &'a Path,
    /// Name of the operating system as in [`std::env::consts::OS`].
    pub os: &'a str,
    /// Looks up a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
}

/// Where logs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutFolder {
    /// An absolute folder that exists and could be written a moment ago, or nothing: then there can be no log files.
    pub path: Option<PathBuf>,
    /// What the user must know, if it is not the folder that was asked for: one line.
    pub warning: Option<String>,
}

/// Finds and makes the folder for logs.
pub fn choose(request: &OutRequest<'_>) -> OutFolder {
    let wanted = request.current.join(wanted(request));
    let cause = match make(&wanted) {
        Ok(()) => {
            return OutFolder {
                path: Some(wanted),
                warning: None,
            };
        }
        Err(error) => format!("cannot write logs to {}: {error}", shown(&wanted)),
    };
    let way_out = format!("choose another folder with --out-dir or {OUT_DIR_VARIABLE}");
    let Some(instead) = data_folder(request).map(|folder| folder.join("out")) else {
        return OutFolder {
            path: None,
            warning: Some(format!(
                "{cause}; there is no data folder of the user either, so no log files are written; {way_out}"
            )),
        };
    };
    match make(&instead) {
        Ok(()) => OutFolder {
            warning: Some(format!(
                "{cause}; logs go to {} instead; {way_out}",
                shown(&instead)
            )),
            path: Some(instead),
        },
        Err(error) => OutFolder {
            path: None,
            warning: Some(format!(
                "{cause}; nor to {}: {error}; no log files are written; {way_out}",
                shown(&instead)
            )),
        },
    }
}

fn wanted(request: &OutRequest<'_>) -> PathBuf {
    if let Some(flag) = request.flag {
        return flag.to_owned();
    }
    match set(request, OUT_DIR_VARIABLE) {
        Some(folder) => folder.into(),
        None => PathBuf::from("out"),
    }
}

/// A variable that is set and not empty.
fn set(request: &OutRequest<'_>, name: &str) -> Option<OsString> {
    (request.variable)(name).filter(|value| !value.is_empty())
}

/// The folder for data of this program, by the rules of each system. Variables that are not absolute do not count.
fn data_folder(request: &OutRequest<'_>) -> Option<PathBuf> {
    let folder = |name: &str| {
        set(request, name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = match request.os {
        "windows" => folder("LOCALAPPDATA")?,
        "macos" => folder("HOME")?.join("Library/Application Support"),
        _ => match folder("XDG_DATA_HOME") {
            Some(data) => data,
            None => folder("HOME")?.join(".local/share"),
        },
    };
    Some(base.join("dora"))
}

/// Makes the folder and tries to write into it, as a folder may exist and yet belong to somebody else.
fn make(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = folder.join(format!(".write-test-{}", std::process::id()));
    fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&probe)?;
    fs::remove_file(probe)
}

fn shown(path: &Path) -> String {
    escape::line(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env::consts::OS;

    struct Case {
        root: tempfile::TempDir,
        variables: Vec<(&'static str, PathBuf)>,
    }

    impl Case {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let home = root.path().join("home");
            let variables = vec![("HOME", home.clone()), ("LOCALAPPDATA", home.join("local"))];
            fs::create_dir_all(root.path().join("cwd")).unwrap();
            Self { root, variables }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.root.path().join(path)
        }

        /// A file in the way of a folder: refused on every system, also for an administrator.
        fn block(&self, path: &str) {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }

        fn set(&mut self, name: &'static str, value: PathBuf) {
            self.variables.retain(|(old, _)| *old != name);
            self.variables.push((name, value));
        }

        fn choose(&self, flag: Option<&str>, os: &str) -> OutFolder {
            choose(&OutRequest {
                flag: flag.map(Path::new),
                current: &self.path("cwd"),
                os,
                variable: &|name| {
                    let found = self.variables.iter().find(|(known, _)| *known == name);
                    found.map(|(_, value)| value.clone().into_os_string())
                },
            })
        }
    }

    #[test]
    fn the_first_wish_counts() {
        let mut case = Case::new();
        let found = case.choose(None, OS);
        assert_eq!(
            (found.path, found.warning),
            (Some(case.path("cwd/out")), None)
        );
        case.set(OUT_DIR_VARIABLE, PathBuf::new());
        assert_eq!(case.choose(None, OS).path, Some(case.path("cwd/out")));
        case.set(OUT_DIR_VARIABLE, "elsewhere".into());
        assert_eq!(case.choose(None, OS).path, Some(case.path("cwd/elsewhere")));
        assert_eq!(
            case.choose(Some("flag/deep"), OS).path,
            Some(case.path("cwd/flag/deep"))
        );
        let left = fs::read_dir(case.path("cwd/flag/deep")).unwrap().count();
        assert_eq!(left, 0, "nothing is left of trying");
        assert!(!case.path("home").exists());
    }

    #[test]
    fn an_unwritable_folder_falls_back_with_a_warning() {
        let table = [
            ("linux", "home/.local/share/dora/out"),
            ("freebsd", "home/.local/share/dora/out"),
            ("macos", "home/Library/Application Support/dora/out"),
            ("windows", "home/local/dora/out"),
        ];
        for (os, expected) in table {
            let case = Case::new();
            case.block("cwd/out");
            let found = case.choose(None, os);
            assert_eq!(found.path, Some(case.path(expected)));
            let instead = found.path.unwrap();
            assert!(instead.is_dir());
            let warning = found.warning.unwrap();
            let start = format!(
                "cannot write logs to {}: ",
                case.path("cwd").join("out").display()
            );
            let end = format!(
                "; logs go to {} instead; choose another folder with --out-dir or DORA_OUT_DIR",
                instead.display()
            );
            assert!(
                warning.starts_with(&start) && warning.ends_with(&end),
                "{warning}"
            );
        }
    }

    #[test]
    fn the_data_folder_follows_its_variable() {
        let mut case = Case::new();
        case.block("cwd/x");
        case.set("XDG_DATA_HOME", case.path("xdg"));
        assert_eq!(
            case.choose(Some("x"), "linux").path,
            Some(case.path("xdg/dora/out"))
        );
        case.set("XDG_DATA_HOME", "not/absolute".into());
        assert_eq!(
            case.choose(Some("x"), "linux").path,
            Some(case.path("home/.local/share/dora/out"))
        );
    }

    #[test]
    fn without_any_folder_there_are_no_files() {
        let mut case = Case::new();
        case.block("cwd/out");
        case.block("home");
        let found = case.choose(None, OS);
        assert_eq!(found.path, None);
        let warning = found.warning.unwrap();
        assert!(warning.contains("; nor to "), "{warning}");
        assert!(
            warning.contains("; no log files are written; "),
            "{warning}"
        );
        case.variables.clear();
        let warning = case.choose(None, OS).warning.unwrap();
        assert!(warning.contains("there is no data folder"), "{warning}");
    }
}
