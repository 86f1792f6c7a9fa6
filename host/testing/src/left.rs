//! What the run of a test can leave behind: processes, sockets, files that were to be replaced, shared memory.
//!
//! Invariant: what belongs to another run is not looked at. Absent: when to look, and what may be left (`folder`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Kinds of things that can be left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Processes that live.
    Processes,
    /// Sockets with a name in the folder.
    Sockets,
    /// Files that were to take the place of others.
    Files,
    /// Named shared memory.
    Memory,
}

/// Ends of the names of files that are written to take another's place.
const UNFINISHED: [&str; 2] = [".json.new", ".txt.new"];

/// What is left of the run in a folder, with a line for each.
pub(crate) fn find(folder: &Path, segments: &BTreeSet<PathBuf>) -> Vec<(Left, String)> {
    let mut found: Vec<(Left, String)> = system::processes(folder)
        .into_iter()
        .map(|(id, command)| (Left::Processes, format!("process {id} `{command}`")))
        .collect();
    for file in files(folder) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let shown = file.display();
        if system::is_socket(&file) {
            found.push((Left::Sockets, format!("socket {shown}")));
        } else if UNFINISHED.iter().any(|end| name.ends_with(end)) {
            found.push((Left::Files, format!("unfinished file {shown}")));
        }
    }
    let segments = segments.iter().filter(|it| it.exists() && !is_held(it));
    found.extend(segments.map(|it| (Left::Memory, format!("shared memory {}", it.display()))));
    found
}

/// Whether somebody holds a lock on shared memory: another run, which this one has talked to. What lives of this run is
/// told by itself.
fn is_held(segment: &Path) -> bool {
    let opened = fs::File::open(segment);
    opened.is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Ends what is left, and removes the shared memory; the files go with the folder.
pub(crate) fn remove(folder: &Path, segments: &BTreeSet<PathBuf>) {
    for (id, _) in system::processes(folder) {
        system::kill(id);
    }
    for segment in segments.iter().filter(|it| !is_held(it)) {
        // Usually gone already.
        fs::remove_file(segment).ok();
    }
}

/// All files below a folder; links are not followed. What vanishes meanwhile is not there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files
}

pub(crate) use system::{segments_of, segments_of_all};

#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) use system::has_ended;

#[cfg(target_os = "linux")]
mod system {
    use crate::folder::MARK;
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::FileTypeExt;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::thread;
    use std::time::{Duration, Instant};

    /// What was killed is gone by then, unless the system holds it.
    const GONE: Duration = Duration::from_secs(10);
    const SHARED: &str = "/dev/shm/";

    /// The processes that belong to a folder, but this one, with their command lines. One that has ended has no variables,
    /// also while nobody has collected it.
    pub fn processes(folder: &Path) -> Vec<(u32, String)> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let others = ids.filter(|id| *id != std::process::id());
        let of_folder = others.filter(|id| belongs(*id, folder));
        of_folder.map(|id| (id, command_line(id))).collect()
    }

    /// By its mark, or by where it is.
    fn belongs(id: u32, folder: &Path) -> bool {
        let place = Path::new("/proc").join(id.to_string());
        let variables = fs::read(place.join("environ")).unwrap_or_default();
        if variables.is_empty() {
            return false;
        }
        let mut variables = variables.split(|byte| *byte == 0);
        let mark = [MARK.as_bytes(), b"=", folder.as_os_str().as_bytes()].concat();
        variables.any(|variable| variable == mark)
            || fs::read_link(place.join("cwd")).is_ok_and(|it| it.starts_with(folder))
    }

    fn command_line(id: u32) -> String {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.trim_end().to_owned()
    }

    #[cfg(test)]
    pub fn has_ended(id: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default();
        state.is_empty() || state.starts_with('Z')
    }

    /// Returns when it has gone, or soon.
    pub fn kill(id: u32) {
        let script = format!("kill -s KILL {id}");
        // It may have ended by itself.
        crate::run(Command::new("sh").args(["-c", &script]), GONE);
        let until = Instant::now() + GONE;
        let lives = || fs::read(format!("/proc/{id}/environ")).is_ok_and(|it| !it.is_empty());
        while lives() && Instant::now() < until {
            thread::yield_now();
        }
    }

    pub fn is_socket(file: &Path) -> bool {
        fs::symlink_metadata(file).is_ok_and(|it| it.file_type().is_socket())
    }

    /// The shared memory with a name that the processes of a folder have.
    pub fn segments_of_all(folder: &Path) -> BTreeSet<PathBuf> {
        let processes = processes(folder).into_iter();
        processes.flat_map(|(id, _)| segments_of(id)).collect()
    }

    /// The shared memory with a name that a process has mapped.
    pub fn segments_of(id: u32) -> BTreeSet<PathBuf> {
        let maps = fs::read(format!("/proc/{id}/maps")).unwrap_or_default();
        let lines = maps.split(|byte| *byte == b'\n').filter_map(|line| {
            let at = line
                .windows(SHARED.len())
                .position(|it| it == SHARED.as_bytes())?;
            let file = line.get(at..)?;
            (!file.ends_with(b" (deleted)")).then(|| PathBuf::from(OsStr::from_bytes(file)))
        });
        lines.collect()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    pub fn processes(_: &Path) -> Vec<(u32, String)> {
        Vec::new()
    }

    pub fn kill(_: u32) {}

    pub fn is_socket(_: &Path) -> bool {
        false
    }

    pub fn segments_of_all(_: &Path) -> BTreeSet<PathBuf> {
        BTreeSet::new()
    }

    pub fn segments_of(_: u32) -> BTreeSet<PathBuf> {
        BTreeSet::new()
    }
}
