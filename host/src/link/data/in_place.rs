//! Output buffers in the memory that daemons on this host share: who fills one in place has nothing copied when its
//! message leaves.
//!
//! Invariant: a buffer is found again by where its values lie, as long as its message is there. Absent: where the memory
//! comes from (`shared_memory`).

use crate::codec::Encoded;
use bytes::Bytes;
use plugin_abi::hosting::Room;
use plugin_abi::message::{Memory, Message};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use zenoh::bytes::ZBytes;
use zenoh::shm::{ZShm, ZShmMut};

/// Buffers that have been filled, by the address of their values.
#[derive(Debug, Default)]
pub(super) struct InPlace(Mutex<HashMap<usize, Weak<ZShm>>>);

/// A buffer that a node fills.
pub(super) struct Filling {
    memory: ZShmMut,
    known: Arc<InPlace>,
}

/// A buffer whose values are a message's.
struct Filled {
    memory: Arc<ZShm>,
    known: Arc<InPlace>,
}

impl InPlace {
    fn known(&self) -> MutexGuard<'_, HashMap<usize, Weak<ZShm>>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message's stream around its values, if they fill a buffer: what comes before and after them lies beside it.
    pub fn stream(&self, message: &Message, encoded: &Encoded) -> Option<ZBytes> {
        let (_, values) = message.plain()?;
        let [head, tail] = encoded.around(values)?;
        let known = self.known().get(&values.as_ptr().addr()).cloned();
        let memory = known?.upgrade()?;
        if memory.len() != values.len() {
            return None;
        }
        let mut writer = ZBytes::writer();
        writer.append(Bytes::clone(head).into());
        writer.append(ZShm::clone(&memory).into());
        writer.append(Bytes::clone(tail).into());
        Some(writer.finish())
    }
}

impl Filling {
    pub fn room(memory: ZShmMut, known: &Arc<InPlace>) -> Box<dyn Room> {
        Box::new(Self {
            memory,
            known: known.clone(),
        })
    }
}

impl Memory for Filling {
    fn as_ptr(&self) -> *const u8 {
        self.memory.as_ptr()
    }

    fn len(&self) -> usize {
        self.memory.len()
    }
}

impl Room for Filling {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.memory.as_mut_ptr()
    }

    fn freeze(self: Box<Self>) -> Box<dyn Memory> {
        let Self { memory, known } = *self;
        let memory = Arc::new(ZShm::from(memory));
        let address = memory.as_ptr().addr();
        known.known().insert(address, Arc::downgrade(&memory));
        Box::new(Filled { memory, known })
    }
}

impl Memory for Filled {
    fn as_ptr(&self) -> *const u8 {
        self.memory.as_ptr()
    }

    fn len(&self) -> usize {
        self.memory.len()
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        let address = self.memory.as_ptr().addr();
        // Its memory is still there, so nobody else has this address.
        self.known.known().remove(&address);
    }
}
