//! Memory of the other end: what it has announced, and messages that lie in it.
//!
//! Invariant: a message keeps the memory mapped and tells the other end when it is gone, never waiting for that. Absent:
//! memory of this end (`memory`).

use super::{Channel, LARGEST, MOST_SEGMENTS, Side, lock};
use crate::codec::{self, Origin};
use crate::message::Message;
use crate::wire::WireError;
use crate::wire::frame::{Body, OfMemory, Packet};
use crate::wire::sys::{Handles, Mapping};
use bytes::Bytes;
use std::sync::{Arc, Weak};

impl Channel {
    /// The message in a packet. Memory of a node's is not trusted to stay as it is.
    ///
    /// # Errors
    /// The packet's bytes are none, or not where it says.
    pub fn message(self: &Arc<Self>, packet: &Packet<'_>) -> Result<Message, WireError> {
        match packet.body {
            Body::Inline(body) => {
                let body = Bytes::copy_from_slice(body);
                Ok(codec::decode(body, packet.meta, Origin::Own)?)
            }
            Body::Shared {
                segment,
                offset,
                len,
            } => {
                let mapping = lock(&self.theirs).get(&segment).cloned();
                let unknown = WireError::Malformed("a message in a segment that nobody announced");
                let borrowed = Borrowed {
                    mapping: mapping.ok_or(unknown)?,
                    segment,
                    start: usize::try_from(offset).unwrap_or(usize::MAX),
                    len: usize::try_from(len).unwrap_or(usize::MAX),
                    channel: Arc::downgrade(self),
                };
                let end = borrowed.start.checked_add(borrowed.len);
                if end.is_none_or(|end| end > borrowed.mapping.size()) {
                    return Err(WireError::Malformed("a message longer than its segment"));
                }
                let origin = match self.side {
                    Side::Daemon => Origin::Shared,
                    Side::Node => Origin::Own,
                };
                let body = Bytes::from_owner(borrowed);
                Ok(codec::decode(body, packet.meta, origin)?)
            }
        }
    }

    /// A frame of shared memory has come.
    pub(super) fn memory(&self, frame: OfMemory, handles: &mut Handles) -> Result<(), WireError> {
        match frame {
            OfMemory::Segment { id, len, name } => {
                if len == 0 || len > LARGEST {
                    return Err(WireError::Malformed("a segment of an impossible length"));
                }
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let mapping = handles.map(name, len, false).map_err(WireError::Memory)?;
                let mut theirs = lock(&self.theirs);
                if theirs.len() >= MOST_SEGMENTS {
                    return Err(WireError::Malformed("too many segments"));
                }
                if theirs.insert(id, Arc::new(mapping)).is_some() {
                    return Err(WireError::Malformed("a segment was announced twice"));
                }
            }
            OfMemory::Release(id) => {
                let mut lent = lock(&self.lent);
                let Some(blocks) = lent.get_mut(&id) else {
                    return Err(WireError::Malformed(
                        "a segment was released that was not lent",
                    ));
                };
                let block = blocks.pop();
                if blocks.is_empty() {
                    lent.remove(&id);
                }
                drop(lent);
                drop(block);
            }
            OfMemory::Forget(id) => {
                lock(&self.theirs).remove(&id);
            }
        }
        Ok(())
    }
}

/// Bytes of a message in memory of the other end.
struct Borrowed {
    mapping: Arc<Mapping>,
    segment: u64,
    start: usize,
    len: usize,
    channel: Weak<Channel>,
}

impl AsRef<[u8]> for Borrowed {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: within the mapping, which is kept and cannot become shorter. The other end does not write it until it is
        // released; if it does all the same, the codec has been told that it might.
        unsafe { std::slice::from_raw_parts(self.mapping.as_ptr().add(self.start), self.len) }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // Without the connection nobody waits for it.
        if let Some(channel) = self.channel.upgrade() {
            // Its length is fixed and short.
            let _ = channel.send_soon(&OfMemory::Release(self.segment));
        }
    }
}
