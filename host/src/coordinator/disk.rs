//! The ledger on disk: one file per port, replaced as a whole.
//!
//! Invariant: the file is the ledger of some moment, whatever happens while it is written, and of the last moment that was
//! written to the end; a file that cannot be read is moved aside, never lost and never in the way. Writing happens on a
//! thread of its own and is waited for, but not for ever: a coordinator goes on with a disk that hangs or is full.
//! Absent: when to write.

use super::ledger::Ledger;
use crate::control::text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The form that is written; a file of a higher one is from a newer dora.
const FORM: u32 = 1;
/// Largest file that is read, in bytes.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// A write is waited for at most so long.
const PATIENCE: Duration = Duration::from_millis(2_000);
/// Files that are kept aside, at most.
const ASIDE: u32 = 9;

/// What is the matter with the coordinator's memory. It goes on with what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryTrouble {
    /// There is no folder for it: nothing will be remembered.
    NoFolder,
    /// A file could not be read and was moved aside.
    SetAside {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Where it is now; the error when it could not be moved.
        now: Result<PathBuf, String>,
    },
    /// The file cannot be read at all.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The file cannot be written. Said once until it can be again.
    NotWritten {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// It can be written again.
    WrittenAgain {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for MemoryTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| path.display().to_string().escape_debug().to_string();
        match self {
            Self::NoFolder => f.write_str(
                "there is no folder to remember dataflows in: after a restart the coordinator will not know those that \
                 are over; name one with DORA_STATE_DIR",
            ),
            Self::SetAside { path, reason, now } => {
                write!(
                    f,
                    "the record of dataflows in {} cannot be used: {reason}; ",
                    shown(path)
                )?;
                match now {
                    Ok(now) => write!(f, "it is kept as {}, and a new one begun", shown(now)),
                    Err(error) => write!(
                        f,
                        "it cannot be kept ({error}) and will be replaced by a new one"
                    ),
                }
            }
            Self::Unreadable { path, reason } => write!(
                f,
                "the record of dataflows in {} cannot be read: {reason}; earlier dataflows are not known",
                shown(path)
            ),
            Self::NotWritten { path, reason } => write!(
                f,
                "the record of dataflows in {} cannot be written: {reason}; what happens now is forgotten when the \
                 coordinator ends; name another folder with DORA_STATE_DIR",
                shown(path)
            ),
            Self::WrittenAgain { path } => {
                write!(f, "the record of dataflows in {} is written again", shown(path))
            }
        }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    form: u32,
    dora: &'static str,
    ledger: &'a Ledger,
}

/// What every form has.
#[derive(Deserialize)]
struct Head {
    form: u32,
    #[serde(default)]
    dora: String,
}

#[derive(Deserialize)]
struct Body {
    ledger: Ledger,
}

/// What came of a write; else the reason.
pub(super) type Outcome = Result<(), String>;

/// The file, and the thread that writes it.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    shared: Arc<Shared>,
    /// The last write failed, and that was said.
    failing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    next: Mutex<Next>,
    work: Condvar,
}

/// What is to be written; a later one takes the place of one that waits.
#[derive(Debug, Default)]
struct Next {
    job: Option<(Vec<u8>, oneshot::Sender<io::Result<()>>)>,
    ended: bool,
}

impl Shared {
    fn next(&self) -> MutexGuard<'_, Next> {
        // Nothing panics while it holds the lock.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.shared.next().ended = true;
        self.shared.work.notify_one();
    }
}

impl Disk {
    /// Reads what a coordinator on this port has left. Blocks.
    pub fn open(folder: &Path, port: u16) -> (Option<Self>, Ledger, Option<MemoryTrouble>) {
        let path = folder.join(format!("coordinator-{port}.json"));
        let (ledger, trouble) = match read(&path) {
            Ok(ledger) => (ledger, None),
            Err(trouble) => (Ledger::default(), Some(trouble)),
        };
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("dora-ledger".into());
        let started = thread.spawn({
            let (path, shared) = (path.clone(), shared.clone());
            move || write_all(&path, &shared)
        });
        match started {
            Ok(_) => {
                let disk = Self {
                    path,
                    shared,
                    failing: false,
                };
                (Some(disk), ledger, trouble)
            }
            Err(error) => {
                let reason = error.to_string();
                let trouble = trouble.unwrap_or(MemoryTrouble::NotWritten { path, reason });
                (None, ledger, Some(trouble))
            }
        }
    }

    /// Begins to write the ledger. What comes of it is told when it is on disk, or when that has failed or takes too long;
    /// it is to be passed on to [`Disk::trouble`]. A write that was begun before and has not ended is not told of any more.
    pub fn begin(&self, ledger: &Ledger) -> impl Future<Output = Outcome> + Send + use<> {
        let written = Written {
            form: FORM,
            dora: env!("CARGO_PKG_VERSION"),
            ledger,
        };
        let begun = serde_json::to_vec(&written).map(|bytes| {
            let (done, is_done) = oneshot::channel();
            self.shared.next().job = Some((bytes, done));
            self.shared.work.notify_one();
            is_done
        });
        async {
            let is_done = begun.map_err(|error| error.to_string())?;
            match timeout(PATIENCE, is_done).await {
                Ok(Ok(outcome)) => outcome.map_err(|error| error.to_string()),
                Ok(Err(_)) => Err("the thread that writes it has ended".into()),
                Err(_) => Err(format!("the disk does not answer for {PATIENCE:?}")),
            }
        }
    }

    /// Whether the last write that was told of has failed.
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// What is to be said of a write: that it has failed, once until it can be written again.
    pub fn trouble(&mut self, outcome: Outcome) -> Option<MemoryTrouble> {
        let was_failing = std::mem::replace(&mut self.failing, outcome.is_err());
        let path = self.path.clone();
        match outcome {
            Err(reason) if !was_failing => Some(MemoryTrouble::NotWritten { path, reason }),
            Ok(()) if was_failing => Some(MemoryTrouble::WrittenAgain { path }),
            _ => None,
        }
    }
}

/// The thread's work: until nobody asks any more, and what was asked for is done.
fn write_all(path: &Path, shared: &Shared) {
    loop {
        let mut next = shared.next();
        let (bytes, done) = loop {
            if let Some(job) = next.job.take() {
                break job;
            }
            if next.ended {
                return;
            }
            next = shared
                .work
                .wait(next)
                .unwrap_or_else(PoisonError::into_inner);
        };
        drop(next);
        // Whoever has waited too long has said so.
        let _ = done.send(replace(path, &bytes));
    }
}

/// Writes beside the file, then takes its place.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = path.with_extension("json.new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    sync_folder(folder)
}

/// Makes the new name last, too.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A folder cannot be opened for that; the file system's own journal keeps the name.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn read(path: &Path) -> Result<Ledger, MemoryTrouble> {
    let mut bytes = Vec::new();
    let opened = File::open(path);
    let read = opened.and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ledger::default()),
        Err(error) => {
            return Err(MemoryTrouble::Unreadable {
                path: path.to_owned(),
                reason: error.to_string(),
            });
        }
        Ok(_) => {}
    }
    parsed(&bytes).map_err(|reason| MemoryTrouble::SetAside {
        path: path.to_owned(),
        reason,
        now: set_aside(path).map_err(|error| error.to_string()),
    })
}

/// The ledger in the bytes of a file.
///
/// # Errors
/// What is wrong with them.
pub fn parsed(bytes: &[u8]) -> Result<Ledger, String> {
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it has more than {MOST_BYTES} bytes"));
    }
    // Its words have what is in the file.
    let damaged =
        |error: serde_json::Error| format!("it is damaged ({})", text::shown(&error.to_string()));
    let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
    if head.form != FORM {
        let version: String = head.dora.chars().take(40).collect();
        return Err(format!(
            "it was written by dora {}, in form {}, and this is dora {}, which knows form {FORM}",
            version.escape_debug(),
            head.form,
            env!("CARGO_PKG_VERSION")
        ));
    }
    let body: Body = serde_json::from_slice(bytes).map_err(damaged)?;
    match body.ledger.is_sound() {
        true => Ok(body.ledger),
        false => Err("it is damaged (it contradicts itself)".into()),
    }
}

fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = |number: u32| match number {
        1 => path.with_extension("json.set-aside"),
        _ => path.with_extension(format!("json.set-aside-{number}")),
    };
    let free = (1..ASIDE).map(name).find(|aside| !aside.exists());
    // There are enough of them: the last goes.
    let aside = free.unwrap_or_else(|| name(ASIDE));
    fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
