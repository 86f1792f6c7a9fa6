//! What travels beside a message's data: its number, and its metadata.
//!
//! Form: one byte kind (0 message, 1 the end, 2 a message that never comes, 3 none up to it comes any more), the number as `u64` little-endian, then the message's metadata as
//! [`codec`](crate::codec) writes them.

use super::sender::Sequence;

const MESSAGE: u8 = 0;
const END: u8 = 1;
const LOST: u8 = 2;
const GONE: u8 = 3;
const HEADER: usize = 9;
/// No sender comes so far; sums of what its numbers say was lost do not overflow.
const MOST: Sequence = 1 << 48;

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    /// The sender has ended; its number is one more than the last message's.
    End,
    /// The message of this number could not be sent, and never will be.
    Lost,
    /// Nothing up to this number is sent any more.
    Gone,
}

pub(super) fn encode(kind: Kind, number: Sequence, meta: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + meta.len());
    out.push(match kind {
        Kind::Message => MESSAGE,
        Kind::End => END,
        Kind::Lost => LOST,
        Kind::Gone => GONE,
    });
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(meta);
    out
}

/// `None` when it is none.
pub(super) fn decode(bytes: &[u8]) -> Option<(Kind, Sequence, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (number, meta) = rest.split_first_chunk()?;
    let kind = match *kind {
        MESSAGE => Kind::Message,
        END => Kind::End,
        LOST => Kind::Lost,
        GONE => Kind::Gone,
        _ => return None,
    };
    let number = Sequence::from_le_bytes(*number);
    (number <= MOST).then_some((kind, number, meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_and_others_are_refused() {
        for (kind, number, meta) in [
            (Kind::Message, 7, &b"meta"[..]),
            (Kind::End, MOST, b""),
            (Kind::Lost, 8, b""),
            (Kind::Gone, 9, b""),
        ] {
            let bytes = encode(kind, number, meta);
            assert_eq!(decode(&bytes), Some((kind, number, meta)));
            for end in 0..HEADER {
                assert_eq!(decode(&bytes[..end]), None);
            }
        }
        assert_eq!(decode(&encode(Kind::Message, MOST + 1, b"")), None);
        assert_eq!(decode(&[4, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
