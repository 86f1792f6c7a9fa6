//! Private copies of plugin files: what is loaded is never the file that a build overwrites or truncates.
//!
//! Invariant: one copy per content in one [`Copies`], under the file's own name (debuggers and backtraces show it), in
//! a folder that a lock marks as in use. A folder whose lock can be taken belongs to a dead process and is swept by the
//! next one. Absent: what is in the files.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A folder without a lock file is swept when it is older: its owner died before it could lock it.
const LOCK_GRACE: Duration = Duration::from_secs(60);
const LOCK: &str = "lock";
/// Folders between a copy's own folder and the copy: what it looks for two folders above itself is still its own.
const BETWEEN: &str = "a/b";

/// The private copies of one process's plugins. Dropped, it removes them; what is mapped stays mapped.
#[derive(Debug)]
pub struct Copies {
    folder: PathBuf,
    _lock: File,
    made: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    identity: Identity,
    copy: PathBuf,
}

/// What tells two states of a file apart without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    original: PathBuf,
    inode: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

impl Identity {
    fn of(original: &Path, metadata: &Metadata) -> Self {
        Self {
            original: original.to_owned(),
            inode: inode(metadata),
            size: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Elsewhere the path, the size and the time of change have to do.
#[cfg(not(unix))]
fn inode(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// Why there is no private copy.
#[derive(Debug, thiserror::Error)]
#[error("cannot copy it to {}: {source}; set DORA_CACHE_DIR to a folder that can be written and executed from, or DORA_PLUGIN_IN_PLACE=1 to load it where it is", folder.display())]
pub struct CopyError {
    /// Where the copy should have gone.
    pub folder: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl Copies {
    /// A folder for this process's copies below the user's cache folder. Sweeps what dead processes left there.
    ///
    /// # Errors
    /// None of the folders can be written.
    pub fn new() -> Result<Self, CopyError> {
        let mut last = None;
        for cache in cache_folders() {
            match Self::below(&cache) {
                Ok(copies) => return Ok(copies),
                Err(source) => {
                    last = Some(CopyError {
                        folder: cache,
                        source,
                    })
                }
            }
        }
        let nowhere = || CopyError {
            folder: PathBuf::new(),
            source: io::Error::other("no cache folder is known"),
        };
        Err(last.unwrap_or_else(nowhere))
    }

    /// As [`Copies::new`], below this folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn below(cache: &Path) -> io::Result<Self> {
        fs::create_dir_all(cache)?;
        sweep(cache);
        let started = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        for attempt in 0..1_000 {
            let name = format!("{}-{}-{attempt}", std::process::id(), started.as_micros());
            let folder = cache.join(name);
            match private_folder(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            let lock = File::create(folder.join(LOCK))?;
            // Another process may sweep between the two lines above; then the name is gone or locked.
            if lock.try_lock().is_ok() && folder.join(LOCK).exists() {
                return Ok(Self {
                    folder,
                    _lock: lock,
                    made: Vec::new(),
                });
            }
        }
        Err(io::Error::other("every name for a folder is taken"))
    }

    /// The folder with the copies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The private copy of a file as it is now. Equal content gives the same copy.
    ///
    /// # Errors
    /// It cannot be read, or not be written.
    pub fn copy_of(&mut self, original: &Path) -> Result<PathBuf, CopyError> {
        self.try_copy(original).map_err(|source| CopyError {
            folder: self.folder.clone(),
            source,
        })
    }

    fn try_copy(&mut self, original: &Path) -> io::Result<PathBuf> {
        let original = canonical(original)?;
        let identity = Identity::of(&original, &original.metadata()?);
        if let Some(made) = self.made.iter().find(|made| made.identity == identity) {
            return Ok(made.copy.clone());
        }
        let name = original.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        for made in &self.made {
            if made.identity.size == identity.size
                && made.copy.file_name() == Some(name)
                && same_content(&made.copy, &original)?
            {
                let copy = made.copy.clone();
                self.made.push(Made {
                    identity,
                    copy: copy.clone(),
                });
                return Ok(copy);
            }
        }
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let folder = self
            .folder
            .join(NEXT.fetch_add(1, Ordering::Relaxed).to_string())
            .join(BETWEEN);
        fs::create_dir_all(&folder)?;
        let copy = folder.join(name);
        // A reflink where the file system can.
        fs::copy(&original, &copy)?;
        self.made.push(Made {
            identity,
            copy: copy.clone(),
        });
        Ok(copy)
    }
}

/// The one path of a file. Some file systems of Windows do not tell it; then it is the path that was given, made absolute.
pub(super) fn canonical(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize().or_else(|error| match path.exists() {
        true => std::path::absolute(path),
        false => Err(error),
    })
}

/// Where `link`, relative to a copy, leads; `None` when that is outside the copy's own folder.
pub(super) fn beside_copy(copy: &Path, link: &Path) -> Option<PathBuf> {
    let folder = copy.parent()?;
    let own = folder
        .ancestors()
        .nth(Path::new(BETWEEN).components().count())?;
    let mut at = folder.to_owned();
    for part in link.components() {
        match part {
            Component::Normal(name) => at.push(name),
            Component::ParentDir if at != own => {
                at.pop();
            }
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(at)
}

impl Drop for Copies {
    fn drop(&mut self) {
        // On Windows a loaded library cannot be removed: the next process sweeps it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut a, mut b) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let (n, m) = (fill(&mut one, &mut a)?, fill(&mut other, &mut b)?);
        if a.get(..n) != b.get(..m) {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let limit = buffer.len() as u64;
    file.take(limit).read(buffer)
}

/// Candidates, best first.
fn cache_folders() -> Vec<PathBuf> {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = var("DORA_CACHE_DIR") {
        return vec![folder.join("plugins")];
    }
    let user = if cfg!(windows) {
        var("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Caches"))
    } else {
        var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")))
    };
    let temporary = std::env::temp_dir().join(format!("dora-{}", user_name()));
    user.map(|folder| folder.join("dora"))
        .into_iter()
        .chain([temporary])
        .map(|folder| folder.join("plugins"))
        .collect()
}

fn user_name() -> String {
    let name = std::env::var("USER")
        .or_else(|_| std::env::var("USERNAME"))
        .unwrap_or_default();
    name.chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}

/// Only the user may put libraries there.
#[cfg(unix)]
fn private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)
}

/// Removes the folders of dead processes. What cannot be removed is left for the next time.
fn sweep(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else {
        return;
    };
    for folder in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        // The lock is held until the folder is gone: its owner may be about to take it.
        if let Some(lock) = abandoned(&folder) {
            let _ = fs::remove_dir_all(&folder);
            drop(lock);
        }
    }
}

/// `None` when the folder is in use, else its lock, if it has one.
fn abandoned(folder: &Path) -> Option<Option<File>> {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => match lock.try_lock() {
            Ok(()) => Some(Some(lock)),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
        },
        Err(_) => {
            let modified = folder.metadata().and_then(|metadata| metadata.modified());
            let age = modified.map(|time| time.elapsed().unwrap_or_default());
            age.is_ok_and(|age| age > LOCK_GRACE).then_some(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_is_copied_once_and_changed_content_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("libx.so");
        fs::write(&file, "one").expect("written");
        let mut copies = Copies::below(&folder.path().join("cache")).expect("a folder");
        let first = copies.copy_of(&file).expect("copied");
        assert_eq!(copies.copy_of(&file).expect("copied"), first);
        assert_eq!(first.file_name(), file.file_name());
        fs::remove_file(&file).expect("removed");
        fs::write(&file, "one").expect("written");
        assert_eq!(
            copies.copy_of(&file).expect("copied"),
            first,
            "another inode, the same content"
        );
        fs::write(&file, "two").expect("written");
        let second = copies.copy_of(&file).expect("copied");
        assert_ne!(second, first);
        assert_eq!(fs::read_to_string(&first).expect("read"), "one");
        assert_eq!(fs::read_to_string(&second).expect("read"), "two");
    }

    #[test]
    fn what_a_dead_process_left_is_swept_and_a_living_one_keeps_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let dead = folder.path().join("1-1-0");
        fs::create_dir(&dead).expect("made");
        fs::write(dead.join(LOCK), "").expect("written");
        let alive = Copies::below(folder.path()).expect("a folder");
        assert!(!dead.exists());
        let second = Copies::below(folder.path()).expect("a folder");
        assert!(alive.folder().exists() && second.folder().exists());
        let gone = second.folder().to_owned();
        drop(second);
        assert!(!gone.exists() && alive.folder().exists());
    }

    #[test]
    fn what_lies_beside_a_copy_stays_in_its_folder() {
        let copy = Path::new("cache/1-1-0/7/a/b/libx.so");
        for (link, expected) in [
            ("liby.so", Some("cache/1-1-0/7/a/b/liby.so")),
            ("./lib/liby.so", Some("cache/1-1-0/7/a/b/lib/liby.so")),
            ("../lib/liby.so", Some("cache/1-1-0/7/a/lib/liby.so")),
            ("../../liby.so", Some("cache/1-1-0/7/liby.so")),
            ("../../../liby.so", None),
            ("lib/../../../../liby.so", None),
            ("/liby.so", None),
        ] {
            let found = beside_copy(copy, Path::new(link));
            assert_eq!(found.as_deref(), expected.map(Path::new), "{link}");
        }
    }

    #[test]
    fn processes_that_start_at_once_do_not_sweep_each_other() {
        let cache = tempfile::tempdir().expect("a folder");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let copies = Copies::below(cache.path()).expect("a folder");
                        let copy = copies.folder().join("libx.so");
                        fs::write(&copy, "one").expect("the folder is there");
                        Copies::below(cache.path()).expect("a folder");
                        assert!(copy.exists());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(cache.path()).expect("a folder").count(), 0);
    }
}
