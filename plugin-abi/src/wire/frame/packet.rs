//! The bytes of a message's packet: where its stream is, and what of it is in the frame.
//!
//! Invariant: what is taken is what was put. Absent: what the segments hold.

use super::{Body, Packet, kind};
use crate::wire::WireError;
use crate::wire::bytes::{Put, Take};

/// The kind of the frame for a message on its way to a node, and from one.
pub(in crate::wire) const MESSAGE: [u8; 2] = [kind::INPUT, kind::OUTPUT];

/// Where a packet's stream is, for [`put_packet_head`].
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) enum Place {
    /// Here, of this length.
    Inline(usize),
    /// In a segment.
    Shared { segment: u64, offset: u64, len: u64 },
    /// Here, so many bytes before and after its values, which are in a segment.
    Around {
        frame: [usize; 2],
        segment: u64,
        offset: u64,
        len: u64,
    },
}

/// Adds a packet up to where the bytes of its stream start, if any are here.
pub(in crate::wire) fn put_packet_head(out: &mut Vec<u8>, port: u32, meta: usize, place: Place) {
    let (number, head, stream) = match place {
        Place::Inline(len) => (0, 0, len as u64),
        Place::Shared { len, .. } => (1, 0, len),
        Place::Around {
            frame: [head, tail],
            len,
            ..
        } => (2, head, len.saturating_add((head + tail) as u64)),
    };
    out.u32(port);
    out.u32(number);
    out.u32(u32::try_from(meta).unwrap_or(u32::MAX));
    out.u32(u32::try_from(head).unwrap_or(u32::MAX));
    out.u64(stream);
    match place {
        Place::Inline(_) => {}
        Place::Shared {
            segment, offset, ..
        } => {
            out.u64(segment);
            out.u64(offset);
        }
        Place::Around {
            segment,
            offset,
            len,
            ..
        } => {
            out.u64(segment);
            out.u64(offset);
            out.u64(len);
        }
    }
}

pub(super) fn put_packet(out: &mut Vec<u8>, packet: &Packet<'_>) {
    let (place, parts) = match packet.body {
        Body::Inline(body) => (Place::Inline(body.len()), [body, &[]]),
        Body::Shared {
            segment,
            offset,
            len,
        } => {
            let place = Place::Shared {
                segment,
                offset,
                len,
            };
            (place, [&[][..]; 2])
        }
        Body::Around {
            frame,
            segment,
            offset,
            len,
        } => {
            let place = Place::Around {
                frame: frame.map(<[u8]>::len),
                segment,
                offset,
                len,
            };
            (place, frame)
        }
    };
    put_packet_head(out, packet.port, packet.meta.len(), place);
    for part in parts {
        out.raw(part);
    }
    out.raw(packet.meta);
}

pub(super) fn packet<'a>(from: &mut Take<'a>) -> Result<Packet<'a>, WireError> {
    let port = from.u32()?;
    let place = from.u32()?;
    let meta = from.u32()?;
    let head = from.u32()?;
    let len = from.u64()?;
    if head != 0 && place != 2 {
        return Err(WireError::Malformed("a reserved field is not zero"));
    }
    let body = match place {
        0 => Body::Inline(from.raw(usize::try_from(len).unwrap_or(usize::MAX))?),
        1 => Body::Shared {
            segment: from.u64()?,
            offset: from.u64()?,
            len,
        },
        2 => around(from, u64::from(head), len)?,
        _ => return Err(WireError::Malformed("a message lies at an unknown place")),
    };
    let meta = from.raw(usize::try_from(meta).unwrap_or(usize::MAX))?;
    Ok(Packet { port, meta, body })
}

/// A stream of so many bytes whose values lie in a segment.
fn around<'a>(from: &mut Take<'a>, head: u64, stream: u64) -> Result<Body<'a>, WireError> {
    let (segment, offset, len) = (from.u64()?, from.u64()?, from.u64()?);
    let here = stream.checked_sub(len);
    let tail = here.and_then(|here| here.checked_sub(head));
    let tail = tail.ok_or(WireError::Malformed("values are longer than their stream"))?;
    let mut part = |len: u64| from.raw(usize::try_from(len).unwrap_or(usize::MAX));
    Ok(Body::Around {
        frame: [part(head)?, part(tail)?],
        segment,
        offset,
        len,
    })
}
