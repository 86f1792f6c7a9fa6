//! A message as a frame, and the segments that its values lie in.
//!
//! Invariant: the other end knows a segment before a message names it, and no more of them than it takes; what it is told
//! of is kept before it can be told. Absent: writing.

use super::{Attached, Channel, MOST_SEGMENTS, Out, Side, lock};
use crate::codec::{self, Encoded};
use crate::message::Message;
use crate::wire::WireError;
use crate::wire::frame::{self, Frame, OfMemory, Place as At};
use crate::wire::memory::{Place, Segment, Stream};
use bytes::Bytes;
use std::sync::{Arc, Weak};

impl Channel {
    pub(super) fn encode_message(
        &self,
        out: &mut Out,
        port: u32,
        message: &Message,
        stream: &Stream,
    ) -> Result<(), WireError> {
        self.forget(out)?;
        let place = match stream {
            Stream::Inline(encoded) => return self.encode_inline(out, port, message, encoded),
            Stream::Shared(place) | Stream::Around(_, place) => place,
        };
        if !announce(out, place)? {
            let encoded = codec::encode(message)?;
            return self.encode_inline(out, port, message, &encoded);
        }
        let (segment, offset) = (place.memory.segment().id, place.start as u64);
        let len = place.len as u64;
        if let Stream::Around(encoded, _) = stream {
            let around = message
                .plain()
                .and_then(|(_, values)| encoded.around(values));
            let around = around.ok_or(WireError::Malformed("values that are not there"))?;
            let at = At::Around {
                frame: around.map(Bytes::len),
                segment,
                offset,
                len,
            };
            self.encode_packet(out, port, message, at, around)?;
        } else {
            let at = At::Shared {
                segment,
                offset,
                len,
            };
            self.encode_packet(out, port, message, at, [])?;
        }
        // Before it is written: it may be released as soon as it is.
        let mut lent = lock(&self.lent);
        lent.entry(segment).or_default().push(place.memory.clone());
        Ok(())
    }

    fn encode_inline(
        &self,
        out: &mut Out,
        port: u32,
        message: &Message,
        encoded: &Encoded,
    ) -> Result<(), WireError> {
        let at = At::Inline(encoded.len());
        self.encode_packet(out, port, message, at, encoded.parts())
    }

    fn encode_packet<'a>(
        &self,
        out: &mut Out,
        port: u32,
        message: &Message,
        at: At,
        parts: impl IntoIterator<Item = &'a Bytes>,
    ) -> Result<(), WireError> {
        let stamp = message.timestamp().to_bytes();
        let parameters = message.parameter_bytes();
        let kind = frame::MESSAGE[usize::from(self.side == Side::Node)];
        frame::write(&mut out.bytes, kind, |out| {
            frame::put_packet_head(out, port, stamp.len() + parameters.len(), at);
            for part in parts {
                out.extend_from_slice(part);
            }
            out.extend_from_slice(&stamp);
            out.extend_from_slice(parameters);
        })
    }

    /// Tells the other end of segments that are no more.
    pub(super) fn forget(&self, out: &mut Out) -> Result<(), WireError> {
        let dropped = self.pool.dropped();
        if dropped == out.dropped {
            return Ok(());
        }
        out.dropped = dropped;
        let gone = |known: &Weak<Segment>| known.strong_count() == 0;
        let gone: Vec<u64> = out
            .known
            .extract_if(|_, known| gone(known))
            .map(|(id, _)| id)
            .collect();
        for id in gone {
            OfMemory::Forget(id).encode(&mut out.bytes)?;
        }
        Ok(())
    }
}

/// Tells the other end of a segment that it does not know yet; `false` when it cannot know it, or knows as many as it
/// takes.
fn announce(out: &mut Out, place: &Place) -> Result<bool, WireError> {
    let segment = place.memory.segment();
    if out.known.contains_key(&segment.id) {
        return Ok(true);
    }
    let Some(object) = segment.object().filter(|_| out.known.len() < MOST_SEGMENTS) else {
        return Ok(false);
    };
    let at = out.bytes.len();
    let frame = OfMemory::Segment {
        id: segment.id,
        len: segment.size() as u64,
        name: object.name(),
    };
    frame.encode(&mut out.bytes)?;
    out.known.insert(segment.id, Arc::downgrade(segment));
    out.attached
        .push_back((at, Attached::Segment(segment.clone())));
    Ok(true)
}
