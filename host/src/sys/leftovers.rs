//! Named shared memory that processes leave behind when they are killed.
//!
//! Nodes of dora 0.x make it, and this runtime for them: `shmem_…` in the folder of shared memory, ours with the number of
//! the process that made it. The sessions of 1.x nodes make `….zenoh`, and hold a lock on it as long as they have it.
//! Invariant: what a living process has mapped or locked stays. Absent: systems other than Linux, where
//! such memory has no files or goes with its last process.

#[cfg(target_os = "linux")]
pub use linux::{let_go, mapped_by, remove, sweep, sweep_sessions};

/// Nothing, where nothing is left.
#[cfg(not(target_os = "linux"))]
pub fn let_go() {}

/// Nothing, where nothing is left.
#[cfg(not(target_os = "linux"))]
pub fn sweep() {}

/// Nothing, where nothing is left.
#[cfg(not(target_os = "linux"))]
pub fn sweep_sessions() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::fs::{self, File, Metadata};
    use std::mem::ManuallyDrop;
    use std::os::fd::{FromRawFd, RawFd};
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    const FOLDER: &str = "/dev/shm";
    const OF_NODES: &str = "shmem_";
    /// Behind the number that a session has given it.
    const OF_SESSIONS: &str = ".zenoh";
    /// Before the number of the process that has made it.
    const OURS: &str = "shmem_dora_";

    /// The shared memory of nodes that a process has mapped.
    pub fn mapped_by(process: i32) -> BTreeSet<PathBuf> {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
        mapped(&maps)
    }

    /// `7f00-7f10 rw-s 00000000 00:19 12  /dev/shm/shmem_x`, with ` (deleted)` behind a name that is gone.
    fn mapped(maps: &str) -> BTreeSet<PathBuf> {
        let files = maps.lines().filter_map(|line| {
            let at = line.find(FOLDER)?;
            let file = Path::new(line.get(at..)?);
            let name = file.strip_prefix(FOLDER).ok()?.to_str()?;
            (name.starts_with(OF_NODES) && !name.contains(['/', ' '])).then(|| file.to_owned())
        });
        files.collect()
    }

    /// Removes those of the files that no living process has mapped.
    pub fn remove(mut files: BTreeSet<PathBuf>) {
        if files.is_empty() {
            return;
        }
        for process in processes() {
            files = &files - &mapped_by(process);
        }
        for file in files {
            // Gone already, or another user's.
            let _ = fs::remove_file(file);
        }
    }

    /// Removes what the sessions of dead processes have made.
    pub fn sweep_sessions() {
        let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| is_of_session(&entry.file_name())) {
            let file = entry.path();
            // Whoever makes one just now finds it locked, and takes another number.
            let unlocked = File::open(&file).ok().filter(|it| it.try_lock().is_ok());
            if unlocked.is_some() {
                // Gone already, or another user's.
                let _ = fs::remove_file(&file);
            }
        }
    }

    /// This process is about to end: removes what its sessions have made, and what they have opened and nobody else has any
    /// more. A session does that when it is dropped, for which there may be no time, and which no other process makes up
    /// for that had it open and has let go before.
    pub fn let_go() {
        let entries = fs::read_dir("/proc/self/fd")
            .into_iter()
            .flatten()
            .flatten();
        for entry in entries {
            let number = entry.file_name().to_str().and_then(|it| it.parse().ok());
            let file = fs::read_link(entry.path()).ok();
            if let (Some(number), Some(file)) = (number, file)
                && file.parent() == Some(Path::new(FOLDER))
                && file.file_name().is_some_and(is_of_session)
            {
                let_go_of(number, &file);
            }
        }
    }

    /// A session holds its memory by a shared lock. Whoever gets it alone has been the last; whoever does not has lost its
    /// own by asking, so that the next one gets it.
    #[allow(unsafe_code)]
    fn let_go_of(number: RawFd, file: &Path) {
        // SAFETY: only borrowed: it is not closed here. Should the session close it at this moment, what is asked of it
        // fails, or is asked of another file, which is told below.
        let held = ManuallyDrop::new(unsafe { File::from_raw_fd(number) });
        if held.try_lock().is_err() {
            return;
        }
        let same = |held: Metadata, named: Metadata| {
            held.ino() == named.ino() && held.dev() == named.dev()
        };
        if let (Ok(held), Ok(named)) = (held.metadata(), fs::metadata(file))
            && same(held, named)
        {
            // Gone already, then.
            let _ = fs::remove_file(file);
        }
    }

    fn is_of_session(name: &OsStr) -> bool {
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(OF_SESSIONS));
        number.is_some_and(|number| number.parse::<u64>().is_ok())
    }

    /// Removes what dead processes of this runtime and of its nodes have made.
    pub fn sweep() {
        sweep_sessions();
        let Ok(entries) = fs::read_dir(FOLDER) else {
            return;
        };
        let dead = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            let maker = name.to_str().and_then(maker);
            maker.is_some_and(|id| !Path::new("/proc").join(id.to_string()).exists())
        });
        remove(dead.map(|entry| entry.path()).collect());
    }

    /// The process that has made the memory of this name, if it was one of ours.
    fn maker(name: &str) -> Option<u32> {
        let (id, _) = name.strip_prefix(OURS)?.split_once('_')?;
        id.parse().ok()
    }

    fn processes() -> impl Iterator<Item = i32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::io::Read;
        use std::os::fd::AsRawFd;
        use std::process::{Command, Stdio};
        use std::sync::{Mutex, MutexGuard, PoisonError};

        #[test]
        fn only_memory_of_nodes_counts() {
            let maps = "7f00-7f10 rw-s 00000000 00:19 12                 /dev/shm/shmem_A1\n\
                        7f10-7f20 rw-s 00000000 00:19 13                 /dev/shm/shmem_B2 (deleted)\n\
                        7f20-7f30 rw-s 00000000 00:19 14                 /dev/shm/other\n\
                        7f30-7f40 r-xp 00000000 00:19 14                 /usr/lib/libc.so\n\
                        7f40-7f50 rw-p 00000000 00:00 0\n";
            let expected = BTreeSet::from([PathBuf::from("/dev/shm/shmem_A1")]);
            assert_eq!(mapped(maps), expected);
            assert_eq!(maker("shmem_dora_12_ab"), Some(12));
            for name in ["shmem_12_ab", "shmem_dora_x_ab", "shmem_dora_12"] {
                assert_eq!(maker(name), None, "{name}");
            }
        }

        /// What one test has just made another would sweep.
        static FOLDER_IS_OURS: Mutex<()> = Mutex::new(());

        fn alone() -> MutexGuard<'static, ()> {
            FOLDER_IS_OURS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        }

        #[test]
        fn what_no_session_holds_is_swept() {
            let _alone = alone();
            // Numbers that no session takes: theirs have half as many bits.
            let number = u64::MAX - u64::from(std::process::id()) * 2;
            let [dead, held] = [number, number - 1].map(|it| format!("{FOLDER}/{it}{OF_SESSIONS}"));
            let other = format!("{FOLDER}/x{number}{OF_SESSIONS}");
            if fs::write(&other, b"x").is_err() {
                // No such folder on this machine.
                return;
            }
            fs::write(&held, b"x").expect("written");
            let lock = File::open(&held).expect("there");
            lock.lock_shared().expect("locked");
            fs::write(&dead, b"x").expect("written");
            sweep_sessions();
            assert!(!Path::new(&dead).exists());
            for left in [held, other] {
                fs::remove_file(&left).expect("it was left");
            }
            drop(lock);
        }

        #[test]
        fn what_this_process_has_last_goes_and_what_others_have_stays() {
            let _alone = alone();
            let number = u64::MAX - u64::from(std::process::id()) * 2;
            let names = [number - 10, number - 11].map(|it| format!("{FOLDER}/{it}{OF_SESSIONS}"));
            // As a session does it.
            let open = |name: &String| {
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(name);
                file.ok().filter(|file| file.try_lock_shared().is_ok())
            };
            let (Some(ours), Some(both)) = (open(&names[0]), open(&names[1])) else {
                // No such folder on this machine.
                return;
            };
            let script = format!("exec 3<{}; flock -s 3 && echo && exec sleep 1000", names[1]);
            let mut other = Command::new("sh");
            let mut other = other
                .args(["-c", &script])
                .stdout(Stdio::piped())
                .spawn()
                .expect("started");
            other
                .stdout
                .take()
                .expect("a pipe")
                .read_exact(&mut [0])
                .expect("it has it");
            let_go_of(ours.as_raw_fd(), Path::new(&names[0]));
            let_go_of(both.as_raw_fd(), Path::new(&names[1]));
            let there = names.each_ref().map(|name| Path::new(name).exists());
            other.kill().expect("killed");
            other.wait().expect("ended");
            // What is locked is no other test's to sweep.
            let_go_of(both.as_raw_fd(), Path::new(&names[1]));
            assert_eq!(there, [false, true]);
            assert!(!Path::new(&names[1]).exists(), "it was the last");
        }

        #[test]
        fn what_dead_processes_have_made_is_swept() {
            let _alone = alone();
            let Ok(mut child) = Command::new("true").spawn() else {
                return;
            };
            child.wait().expect("ended");
            let dead = format!("{FOLDER}/{OURS}{}_test", child.id());
            let living = format!("{FOLDER}/{OURS}{}_test", std::process::id());
            if fs::write(&dead, b"x").is_err() {
                // No such folder on this machine.
                return;
            }
            fs::write(&living, b"x").expect("written");
            sweep();
            assert!(!Path::new(&dead).exists());
            fs::remove_file(&living).expect("it was left");
        }
    }
}
