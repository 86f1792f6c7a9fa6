//! Shared memory of dora 0.x nodes, read and made as the files that it is: on Linux in `/dev/shm`, on Windows those that
//! back the mappings.
//!
//! Invariant: a name from a wire never leaves the folder; what is made here is removed when its last holder drops it.
//! Absent: mappings. What is read is copied once, which a process that writes at the same time cannot harm.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Longest segment that is read, in bytes.
pub const MAX_SEGMENT: usize = 1 << 30;

/// How the names of nodes' segments start.
const OF_NODES: &str = "shmem_";
/// How the names of our own start, before the number of the process.
const OURS: &str = "shmem_dora_";

/// Where shared memory comes from.
pub trait Segments: Send + Sync {
    /// The first `length` bytes of a node's segment.
    ///
    /// # Errors
    /// There is none of that name, or it is shorter.
    fn read(&self, name: &str, length: usize) -> io::Result<Vec<u8>>;

    /// Removes a node's segment, because the node has ended without doing so. What is none of a node's stays.
    fn remove(&self, name: &str);

    /// A segment that holds these bytes; none where segments cannot be made, or there is no room.
    fn create(&self, bytes: &[u8]) -> Option<Segment>;
}

/// A segment of our own. Clones share it.
#[derive(Debug, Clone)]
pub struct Segment(Arc<Owned>);

#[derive(Debug)]
struct Owned {
    name: String,
    file: PathBuf,
}

impl Segment {
    /// What nodes call it.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Where this fails, somebody else has removed it.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// None at all.
#[derive(Debug, Default)]
pub struct NoSegments;

impl Segments for NoSegments {
    fn read(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn remove(&self, _: &str) {}

    fn create(&self, _: &[u8]) -> Option<Segment> {
        None
    }
}

/// Those of the operating system.
#[derive(Debug, Default)]
pub struct SystemSegments;

impl Segments for SystemSegments {
    fn read(&self, name: &str, length: usize) -> io::Result<Vec<u8>> {
        use std::io::Read as _;
        if length > MAX_SEGMENT {
            let text = format!("{length} bytes, at most {MAX_SEGMENT} are read");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let path = path(name)?;
        // Opening a pipe would wait, and a link could lead anywhere.
        if !path.symlink_metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut file = std::fs::File::open(path)?;
        // Before memory is reserved: a length from a wire need not be true.
        if file.metadata()?.len() < length as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn remove(&self, name: &str) {
        let is_nodes = |bare: &str| bare.starts_with(OF_NODES) && !bare.starts_with(OURS);
        if let Ok(path) = path(name)
            && is_nodes(name.trim_start_matches('/'))
        {
            // Usually gone already.
            let _ = std::fs::remove_file(path);
        }
    }

    fn create(&self, bytes: &[u8]) -> Option<Segment> {
        use std::io::Write as _;
        // Elsewhere a file alone is no segment.
        if !cfg!(target_os = "linux") {
            return None;
        }
        let unique = uuid::Uuid::now_v7().simple();
        let name = format!("/{OURS}{}_{unique}", std::process::id());
        let file = path(&name).ok()?;
        let mut out = std::fs::File::create_new(&file).ok()?;
        let owned = Owned { name, file };
        out.write_all(bytes).ok()?;
        Some(Segment(Arc::new(owned)))
    }
}

fn path(name: &str) -> io::Result<PathBuf> {
    let bare = name.trim_start_matches('/');
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
    if bare.is_empty() || bare.len() > 128 || !bare.chars().all(plain) {
        let text = "the name is none of shared memory";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(folder().join(bare))
}

#[cfg(not(windows))]
fn folder() -> PathBuf {
    PathBuf::from("/dev/shm")
}

#[cfg(windows)]
fn folder() -> PathBuf {
    std::env::temp_dir().join("shared_memory-rs")
}
