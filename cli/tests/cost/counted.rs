//! Counts what the real `dora` and all its processes do: see `count.c`.

use host_testing::{Folder, cc, fresh_dir, repo_root};
use std::ffi::OsString;
use std::path::PathBuf;

/// Counters of a tree of processes.
pub struct Counters(Folder);

/// What they say.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Calls of `malloc` and its like.
    pub allocations: u64,
    /// Bytes of copies of 16 KiB or more.
    pub copied: u64,
}

impl Counters {
    /// Compiles what counts.
    pub fn new() -> Self {
        let folder = fresh_dir();
        let counters = Self(folder);
        let source = repo_root().join("cli/tests/cost/count.c");
        cc(&source, &counters.library(), &["-O2", "-fno-builtin"]);
        std::fs::write(counters.file(), [0; 16]).expect("written");
        counters
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("count.so")
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("counters")
    }

    /// The environment of those who are counted.
    pub fn variables(&self) -> [(&'static str, OsString); 2] {
        [
            ("LD_PRELOAD", self.library().into()),
            ("COST_FILE", self.file().into()),
        ]
    }

    /// What has been counted until now.
    pub fn read(&self) -> Counts {
        let bytes = std::fs::read(self.file()).expect("read");
        let number = |at: usize| {
            let bytes = bytes
                .get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok());
            u64::from_ne_bytes(bytes.expect("two numbers"))
        };
        Counts {
            allocations: number(0),
            copied: number(8),
        }
    }
}
