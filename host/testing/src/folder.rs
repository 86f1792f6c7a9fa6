//! The folder of a test, which at its end says what the test's run has left behind.
//!
//! Whatever is started through [`crate::run`] or [`crate::Background`] in such a folder, or with its path in its arguments or
//! variables, carries the folder's path as its mark ([`MARK`]), and so does all that it starts. When the folder is dropped,
//! nothing with the mark may live, no socket may lie in the folder, no file that was to be replaced by another, and no shared
//! memory that its processes were seen to have may be there still. Invariant: what is left is named, fails the test, and is
//! then ended and removed, so that it harms no other test; one that leaves something on purpose says so before. Absent:
//! systems other than Linux, where nobody says which process has which variables: there only files are looked at.

use crate::left::{self, Left};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The variable with the path of the folder that a process belongs to.
pub(crate) const MARK: &str = "DORA_TEST_RUN";
/// What was killed may take so long to be gone, and what it has started after it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A folder of the test's own. Dropped, it looks at what is left of the test's run, and is removed.
#[must_use = "it is removed when it is dropped"]
pub struct Folder {
    folder: TempDir,
    /// What may be left, and why.
    allowed: Mutex<Vec<(Left, &'static str)>>,
}

/// The folders of tests that run, and the shared memory that their processes were seen to have.
static FOLDERS: Mutex<BTreeMap<PathBuf, BTreeSet<PathBuf>>> = Mutex::new(BTreeMap::new());

fn folders() -> MutexGuard<'static, BTreeMap<PathBuf, BTreeSet<PathBuf>>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty folder of the test's own, removed when the value is dropped; see [`Folder`].
///
/// # Panics
/// When it cannot be made.
pub fn fresh_dir() -> Folder {
    fresh_dir_named("dora-test-")
}

/// As [`fresh_dir`], with a name that begins so.
///
/// # Panics
/// When it cannot be made.
pub fn fresh_dir_named(begin: impl AsRef<OsStr>) -> Folder {
    match tempfile::Builder::new().prefix(&begin).tempdir() {
        Ok(folder) => {
            folders().insert(folder.path().to_owned(), BTreeSet::new());
            Folder {
                folder,
                allowed: Mutex::default(),
            }
        }
        Err(error) => panic!("cannot make a folder for the test: {error}"),
    }
}

impl Folder {
    /// Says that such things may be left, and why: the test has killed what would have taken them away.
    pub fn may_leave(&self, what: Left, why: &'static str) {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        allowed.push((what, why));
    }

    /// What is left and may not be, a line each, after what is about to go has had the time for it.
    pub fn left(&self) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = self.found();
            if found.is_empty() || Instant::now() > until {
                return found.into_iter().map(|(_, line)| line).collect();
            }
            thread::sleep(LOOK);
        }
    }

    fn found(&self) -> Vec<(Left, String)> {
        let segments = folders()
            .get(self.folder.path())
            .cloned()
            .unwrap_or_default();
        let mut found = left::find(self.folder.path(), &segments);
        let allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        found.retain(|(what, _)| allowed.iter().all(|(may, _)| may != what));
        found
    }
}

impl Deref for Folder {
    type Target = TempDir;

    fn deref(&self) -> &TempDir {
        &self.folder
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let lines = self.left();
        let segments = folders().remove(self.folder.path()).unwrap_or_default();
        left::remove(self.folder.path(), &segments);
        if lines.is_empty() {
            return;
        }
        let text = format!(
            "left behind by what ran in {}:\n{}",
            self.folder.path().display(),
            lines.join("\n")
        );
        match thread::panicking() {
            // The test has failed of something else, which is told; this may be why, or follow from it.
            true => eprintln!("{text}"),
            false => panic!("{text}"),
        }
    }
}

/// The folder that a command belongs to: where it runs, or which it names.
fn of(command: &Command) -> Option<PathBuf> {
    let texts: Vec<String> = command
        .get_current_dir()
        .map(|folder| folder.display().to_string())
        .into_iter()
        .chain(command.get_args().map(|it| it.to_string_lossy().into()))
        .chain(command.get_envs().filter_map(|(_, value)| {
            let value = value?;
            Some(value.to_string_lossy().into())
        }))
        .collect();
    let folders = folders();
    let mut folders = folders.keys();
    let named = folders.find(|folder| {
        let folder = folder.display().to_string();
        texts.iter().any(|text| text.contains(&folder))
    });
    named.cloned()
}

/// Marks a command that is about to be started; which folder it belongs to, if any.
pub(crate) fn mark(command: &mut Command) -> Option<PathBuf> {
    let folder = of(command)?;
    command.env(MARK, &folder);
    Some(folder)
}

/// Remembers which shared memory the processes of a folder have: once they have ended nobody can tell any more.
pub(crate) fn note(folder: Option<&Path>) {
    if let Some(folder) = folder {
        let found = left::segments_of_all(folder);
        remember(folder, found);
    }
}

/// As [`note`], of one process alone, which costs less.
pub(crate) fn note_one(folder: Option<&Path>, process: u32) {
    if let Some(folder) = folder {
        remember(folder, left::segments_of(process));
    }
}

fn remember(folder: &Path, found: BTreeSet<PathBuf>) {
    if !found.is_empty()
        && let Some(segments) = folders().get_mut(folder)
    {
        segments.extend(found);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::Background;
    use std::os::unix::net::UnixListener;

    /// Maps shared memory of this name and goes on until it is killed.
    const MAPS: &str = "
        #include <fcntl.h>
        #include <stdio.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int main(int count, char **words) {
            int file = count == 2 ? open(words[1], O_RDWR | O_CREAT, 0600) : -1;
            if (file < 0 || ftruncate(file, 4096) != 0) return 1;
            if (mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED) return 1;
            puts(\"mapped\");
            fflush(stdout);
            return pause();
        }";
    const LIMIT: Duration = Duration::from_secs(20);

    /// A program in the folder that has mapped shared memory, after it has started one in a session of its own, whose number
    /// is returned.
    fn leaves(folder: &Folder, segment: &str) -> (Background, String) {
        let source = folder.path().join("maps.c");
        std::fs::write(&source, MAPS).expect("written");
        crate::cc_program(&source, &folder.path().join("maps"), &[]);
        let script =
            "setsid sh -c 'echo $$ >new; mv new sleeper; exec sleep 1000' & exec ./maps \"$1\"";
        let mut command = Command::new("sh");
        command.current_dir(folder.path());
        let program = Background::start(command.args(["-c", script, "sh", segment]));
        program.says("mapped", LIMIT);
        let sleeper = folder.path().join("sleeper");
        crate::wait_until("it sleeps", LIMIT, || sleeper.exists());
        let number = std::fs::read_to_string(sleeper).expect("a number");
        (program, number.trim().to_owned())
    }

    #[test]
    fn a_process_a_socket_and_shared_memory_that_are_left_are_named_and_removed() {
        let folder = fresh_dir();
        let segment = format!("/dev/shm/shmem_{}_left", std::process::id());
        let (program, sleeper) = leaves(&folder, &segment);
        drop(UnixListener::bind(folder.path().join("socket")).expect("a socket"));
        std::fs::write(folder.path().join("state.json.new"), b"half").expect("written");
        // Its group ends, but not what has left that.
        drop(program);
        let path = folder.path().display().to_string();
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(folder)));
        let told = dropped.expect_err("it fails");
        let told = told.downcast_ref::<String>().expect("text");
        for part in [
            &path,
            &format!("process {sleeper} `sleep 1000`"),
            &format!("socket {path}/socket"),
            &format!("unfinished file {path}/state.json.new"),
            &format!("shared memory {segment}"),
        ] {
            assert!(told.contains(part), "`{part}` is missing: {told}");
        }
        assert!(!Path::new(&segment).exists(), "it is removed");
        assert!(left::has_ended(&sleeper), "it is ended");
    }

    #[test]
    fn what_may_be_left_is_not_told() {
        let folder = fresh_dir();
        drop(UnixListener::bind(folder.path().join("socket")).expect("a socket"));
        folder.may_leave(Left::Sockets, "the test wants it");
        assert_eq!(folder.left(), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_left_of_what_ends() {
        let folder = fresh_dir();
        let mut command = Command::new("sh");
        command
            .current_dir(folder.path())
            .args(["-c", "echo $DORA_TEST_RUN"]);
        let said = crate::run(&mut command, Duration::from_secs(20)).success();
        assert_eq!(said.trim(), folder.path().display().to_string());
        assert_eq!(folder.left(), Vec::<String>::new());
    }
}
