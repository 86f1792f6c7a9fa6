//! Large messages to daemons on the same host: written once into memory that both have mapped, by the sending node itself
//! where it fills its output's buffer in place.
//!
//! Invariant: what does not fit, or where nobody on this host listens, goes over the connection as everything else does.
//! Memory stays as it is until its message and all its readers have let go.
//! The engine locks the whole pool in memory, here and at each reader, so a pool takes at most an eighth of what may be
//! locked, and half of what there is room for; where that is too little, there is none. A pool that would not fit would fill
//! what there is and stay, for others to crash of.

use super::in_place::{Filling, InPlace};
use crate::codec::Encoded;
use crate::sys::{memory_lock, shared_memory};
use plugin_abi::hosting::Room;
use plugin_abi::message::Message;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use zenoh::bytes::ZBytes;
use zenoh::shm::{
    AllocAlignment, GarbageCollect, MemoryLayout, PosixShmProviderBackend, ShmProvider,
    ShmProviderBuilder, ZShmMut, cleanup_orphaned_shm_segments,
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
    in_place: Arc<InPlace>,
}

impl SharedMemory {
    pub fn new() -> Self {
        Self {
            pool: OnceLock::new(),
            neighbours: Mutex::new(None),
            in_place: Arc::default(),
        }
    }

    /// None at all.
    pub fn off() -> Self {
        Self {
            pool: OnceLock::from(None),
            ..Self::new()
        }
    }

    /// Room for an output's values that goes to daemons on this host without a copy; `None` when it is not worth it or there
    /// is none. Not within an async runtime.
    pub fn room(&self, len: usize, session: &Session) -> Option<Box<dyn Room>> {
        let memory = self.take(len, session)?;
        // What a node is given starts at a multiple of 64, so that any numbers can lie in it.
        let aligned = memory.as_ptr().addr().is_multiple_of(1 << ALIGNMENT);
        aligned.then(|| Filling::room(memory, &self.in_place))
    }

    /// A message's stream in shared memory, or `None` when it is to go over the connection. Not within an async runtime.
    pub fn place(&self, message: &Message, encoded: &Encoded, session: &Session) -> Option<ZBytes> {
        if encoded.len() < FROM {
            return None;
        }
        if self.is_near(session)
            && let Some(filled) = self.in_place.stream(message, encoded)
        {
            return Some(filled);
        }
        let mut room = self.take(encoded.len(), session)?;
        encoded.copy_to(&mut room).then(|| room.into())
    }

    /// So many bytes of the pool, if a daemon on this host can read them.
    fn take(&self, len: usize, session: &Session) -> Option<ZShmMut> {
        if len < FROM || !self.is_near(session) {
            return None;
        }
        let pool = self.pool.get_or_init(provider).as_ref()?;
        pool.alloc(len).with_policy::<GarbageCollect>().wait().ok()
    }

    /// Whether there is a pool, as far as is known, and somebody who reads it.
    fn is_near(&self, session: &Session) -> bool {
        if matches!(self.pool.get(), Some(None)) {
            return false;
        }
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

/// Whether there is room for what the engine shares with others on this host: what it needs to begin with, and a pool.
pub fn has_shared_memory() -> bool {
    shared_memory::room().is_none_or(|room| room >= 2 * SMALLEST)
}

fn provider() -> Option<Provider> {
    let room = shared_memory::room();
    let most = room.map_or(POOL as u64, |room| (room / 2).min(POOL as u64));
    if most < SMALLEST {
        let room = room.unwrap_or_default();
        tracing::warn!(
            "there is no room for shared memory any more ({room} bytes): large messages to daemons on this host are copied"
        );
        return None;
    }
    let limit = memory_lock::limit();
    // A process with the privilege locks more than its limit; no other one does.
    if limit.is_none_or(|limit| limit < most || limit / 8 >= most)
        && let Some(pool) = pool_of(most)
    {
        return Some(pool);
    }
    let share = limit.map(|limit| (limit / 8).min(most));
    pool_of(share.filter(|share| *share >= SMALLEST)?)
}

fn pool_of(size: u64) -> Option<Provider> {
    let alignment = AllocAlignment::new(ALIGNMENT).ok()?;
    let layout = MemoryLayout::new(usize::try_from(size).ok()? & !63, alignment).ok()?;
    let made = ShmProviderBuilder::default_backend(layout).wait();
    if made.is_err() {
        // What was taken before it failed has a name still.
        remove_orphaned_memory();
    }
    made.ok()
}
