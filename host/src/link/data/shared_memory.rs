//! Large messages to daemons on the same host: written once into memory that both have mapped.
//!
//! Invariant: what does not fit, or where nobody on this host listens, goes over the connection as everything else does.
//! The engine locks the whole pool in memory, here and at each reader, so a pool takes at most an eighth of what may be
//! locked; where that is too little, there is none.

use crate::codec::Encoded;
use crate::sys::memory_lock;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use zenoh::bytes::ZBytes;
use zenoh::shm::{
    AllocAlignment, GarbageCollect, MemoryLayout, PosixShmProviderBackend, ShmProvider,
    ShmProviderBuilder, cleanup_orphaned_shm_segments,
};
use zenoh::{Session, Wait};

/// Shorter messages are faster over the connection.
const FROM: usize = 64 * 1024;
/// A pool's size where locking is no question.
const POOL: usize = 64 * 1024 * 1024;
/// Smaller pools are not worth their while.
const SMALLEST: u64 = 1024 * 1024;
/// Values start at multiples of 64: the power of two.
const ALIGNMENT: u8 = 6;
/// Who is connected is asked so often at most.
const LOOK: Duration = Duration::from_secs(1);

type Provider = ShmProvider<PosixShmProviderBackend>;

/// This process's pool, made when it is first needed.
pub(in crate::link) struct SharedMemory {
    /// `None` once it is known that there is none.
    pool: OnceLock<Option<Provider>>,
    /// Whether anybody connected shares memory, and when that was looked up.
    neighbours: Mutex<Option<(Instant, bool)>>,
}

impl SharedMemory {
    pub fn new() -> Self {
        Self {
            pool: OnceLock::new(),
            neighbours: Mutex::new(None),
        }
    }

    /// None at all.
    pub fn off() -> Self {
        Self {
            pool: OnceLock::from(None),
            neighbours: Mutex::new(None),
        }
    }

    /// The stream in shared memory, or `None` when it is to go over the connection. Not within an async runtime.
    pub fn place(&self, encoded: &Encoded, session: &Session) -> Option<ZBytes> {
        if encoded.len() < FROM || matches!(self.pool.get(), Some(None)) || !self.is_near(session) {
            return None;
        }
        let pool = self.pool.get_or_init(provider).as_ref()?;
        let room = pool
            .alloc(encoded.len())
            .with_policy::<GarbageCollect>()
            .wait();
        let mut room = room.ok()?;
        encoded.copy_to(&mut room).then(|| room.into())
    }

    fn is_near(&self, session: &Session) -> bool {
        // Nothing panics while it holds the lock.
        let mut known = self
            .neighbours
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((since, near)) if since.elapsed() < LOOK => near,
            _ => {
                let near = session.info().transports().wait().any(|it| it.is_shm());
                *known = Some((Instant::now(), near));
                near
            }
        }
    }
}

/// Removes the shared memory of processes that were killed. Needs no session and no thread.
pub fn remove_orphaned_memory() {
    cleanup_orphaned_shm_segments();
}

fn provider() -> Option<Provider> {
    let limit = memory_lock::limit();
    // A process with the privilege locks more than its limit; no other one does.
    if limit.is_none_or(|limit| limit < POOL as u64 || limit / 8 >= POOL as u64)
        && let Some(pool) = pool_of(POOL)
    {
        return Some(pool);
    }
    let share = limit.map(|limit| (limit / 8).min(POOL as u64));
    let share = share.filter(|share| *share >= SMALLEST)?;
    pool_of(usize::try_from(share).ok()?)
}

fn pool_of(size: usize) -> Option<Provider> {
    let alignment = AllocAlignment::new(ALIGNMENT).ok()?;
    let layout = MemoryLayout::new(size & !63, alignment).ok()?;
    ShmProviderBuilder::default_backend(layout).wait().ok()
}
