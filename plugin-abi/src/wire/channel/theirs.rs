//! Memory of the other end: what it has announced, and messages that lie in it.
//!
//! Invariant: a message keeps the memory mapped and tells the other end when it is gone, never waiting for that. Of memory
//! that a process other than the daemon can write nothing is believed but that it is there: what is checked is copied
//! before. A daemon lends on, without a copy, what lies there of numbers. Absent: memory of this end (`memory`).

use super::{Channel, LARGEST, MOST_SEGMENTS, Side, lock};
use crate::codec::{self, Origin};
use crate::message::Message;
use crate::wire::WireError;
use crate::wire::frame::{Body, OfMemory, Packet};
use crate::wire::memory::{FROM, Lent, Pool, Segment};
use crate::wire::sys::Handles;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

impl Channel {
    /// The message in a packet.
    ///
    /// # Errors
    /// The packet's bytes are none, or not where it says.
    pub fn message(self: &Arc<Self>, packet: &Packet<'_>) -> Result<Message, WireError> {
        let meta = packet.meta;
        match packet.body {
            Body::Inline(body) => {
                let body = Bytes::copy_from_slice(body);
                Ok(codec::decode(body, meta, Origin::Own)?)
            }
            Body::Shared {
                segment,
                offset,
                len,
            } => {
                let borrowed = Arc::new(self.borrow(segment, offset, len)?);
                let origin = match self.side {
                    Side::Daemon => Origin::Shared,
                    Side::Node => Origin::Own,
                };
                let body = Bytes::from_owner(Read(borrowed.clone()));
                let message = codec::decode(body, meta, origin)?;
                // Numbers have not been copied.
                borrowed.lend_on();
                Ok(message)
            }
            Body::Around {
                frame,
                segment,
                offset,
                len,
            } => {
                let borrowed = Arc::new(self.borrow(segment, offset, len)?);
                let values = Bytes::from_owner(Read(borrowed.clone()));
                let message = codec::decode_around(frame, values, meta)?;
                borrowed.lend_on();
                Ok(message)
            }
        }
    }

    /// Bytes of a segment that the other end has announced.
    fn borrow(
        self: &Arc<Self>,
        segment: u64,
        offset: u64,
        len: u64,
    ) -> Result<Borrowed, WireError> {
        let known = lock(&self.theirs).get(&segment).cloned();
        let unknown = WireError::Malformed("a message in a segment that nobody announced");
        let borrowed = Borrowed {
            memory: known.ok_or(unknown)?,
            segment,
            start: usize::try_from(offset).unwrap_or(usize::MAX),
            len: usize::try_from(len).unwrap_or(usize::MAX),
            channel: Arc::downgrade(self),
            pool: self.pool.clone(),
            spoilt: AtomicBool::new(false),
        };
        let end = borrowed.start.checked_add(borrowed.len);
        if end.is_none_or(|end| end > borrowed.memory.size()) {
            return Err(WireError::Malformed("a message longer than its segment"));
        }
        Ok(borrowed)
    }

    /// A frame of shared memory has come.
    pub(super) fn memory(&self, frame: OfMemory, handles: &mut Handles) -> Result<(), WireError> {
        match frame {
            OfMemory::Segment { id, len, name } => self.announced(id, len, name, handles),
            OfMemory::Release { id, spoilt } => self.released(id, spoilt),
            OfMemory::Forget(id) => {
                lock(&self.theirs).remove(&id);
                Ok(())
            }
        }
    }

    fn announced(
        &self,
        id: u64,
        len: u64,
        name: u128,
        handles: &mut Handles,
    ) -> Result<(), WireError> {
        if len == 0 || len > LARGEST {
            return Err(WireError::Malformed("a segment of an impossible length"));
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let mapped = handles.map(name, len, false);
        let (object, mapping) = mapped.map_err(WireError::Memory)?;
        // Only a daemon has somebody to lend it to.
        let object = Some(object).filter(|_| self.side == Side::Daemon);
        let segment = Arc::new(self.pool.adopt(object, mapping));
        let mut theirs = lock(&self.theirs);
        if theirs.len() >= MOST_SEGMENTS {
            return Err(WireError::Malformed("too many segments"));
        }
        if theirs.insert(id, segment).is_some() {
            return Err(WireError::Malformed("a segment was announced twice"));
        }
        Ok(())
    }

    fn released(&self, id: u64, spoilt: bool) -> Result<(), WireError> {
        let mut lent = lock(&self.lent);
        let Some(memory) = lent.get_mut(&id) else {
            return Err(WireError::Malformed(
                "a segment was released that was not lent",
            ));
        };
        // All that lies in one segment at a time is kept by each of them.
        let one = memory.pop();
        if memory.is_empty() {
            lent.remove(&id);
        }
        drop(lent);
        if let Some(one) = one.as_ref().filter(|_| spoilt) {
            one.spoil();
        }
        drop(one);
        Ok(())
    }
}

/// Bytes of a message in memory of the other end.
#[derive(Debug)]
struct Borrowed {
    memory: Arc<Segment>,
    /// The other end's id of it.
    segment: u64,
    start: usize,
    len: usize,
    channel: Weak<Channel>,
    /// What lends it on.
    pool: Pool,
    /// Whether somebody may read it whom nobody waits for.
    spoilt: AtomicBool,
}

impl Borrowed {
    fn start(&self) -> *const u8 {
        // Within the segment, as was checked.
        self.memory.as_ptr().wrapping_add(self.start)
    }

    /// Whoever is sent a message of these bytes from now on reads them where they are.
    fn lend_on(self: &Arc<Self>) {
        if self.memory.object().is_some() && self.len >= FROM {
            let memory: Weak<Self> = Arc::downgrade(self);
            self.pool.lends(self.start().addr(), self.len, memory);
        }
    }
}

impl Lent for Borrowed {
    fn segment(&self) -> &Arc<Segment> {
        &self.memory
    }

    fn spoil(&self) {
        self.spoilt.store(true, Ordering::Relaxed);
    }
}

/// The bytes, for a message that reads them.
struct Read(Arc<Borrowed>);

impl AsRef<[u8]> for Read {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: within the mapping, which is kept and cannot become shorter. Whoever has made it does not write it until it
        // is released; if that is done all the same, the codec has been told that it might.
        unsafe { std::slice::from_raw_parts(self.0.start(), self.0.len) }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let this = std::ptr::from_ref(self).cast();
        self.pool.lends_no_more(self.start().addr(), this);
        // Without the connection nobody waits for it.
        if let Some(channel) = self.channel.upgrade() {
            // Its length is fixed and short.
            let _ = channel.send_soon(&OfMemory::Release {
                id: self.segment,
                spoilt: self.spoilt.load(Ordering::Relaxed),
            });
        }
    }
}
