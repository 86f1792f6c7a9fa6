//! Memory that nobody uses any more and the allocator keeps.
//!
//! Absent: systems other than Linux with the GNU C library, whose allocators do it by themselves.

/// After so many nodes memory is given back: what is needed once to start a node, or has served one that has ended, are some
/// tens of kilobytes, and looking through it all takes a few milliseconds.
const MANY: usize = 100;

/// Nodes that have begun or ended since memory was given back.
#[derive(Debug, Default)]
pub struct Passed(usize);

impl Passed {
    /// So many more have. Gives memory back when they are many, beside the caller.
    pub fn count(&mut self, nodes: usize) {
        self.0 += nodes;
        if self.0 >= MANY {
            self.0 = 0;
            let thread = std::thread::Builder::new().name("dora-memory".into());
            // Without a thread there is other trouble, and there will be other nodes.
            let _ = thread.spawn(give_back);
        }
    }
}

/// Gives it back to the system, as far as it is whole pages. A walk through all that is free, some milliseconds for a hundred
/// megabytes, in which a thread that allocates may wait for a part of it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn give_back() {
    // SAFETY: any thread may call it at any time; it touches only what is free.
    unsafe { libc::malloc_trim(0) };
}

/// Nothing, where the allocator does it.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}
