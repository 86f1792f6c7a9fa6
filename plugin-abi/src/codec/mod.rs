//! Messages as bytes, for whatever leaves the process: an Arrow IPC stream (a schema of the one column `data`, its
//! dictionaries, one record batch), and beside it the metadata (timestamp and parameters, see [`crate::meta`]).
//!
//! Invariant: every array that a message can hold comes back equal; any bytes decode to a message or an error, in time
//! and memory proportional to their number; large values are copied in neither direction unless they arrive misaligned.
//! Absent: how bytes travel, compression, and more than one message in a stream.

mod stream;
mod template;
#[cfg(test)]
mod tests;

use crate::message::{DataError, MakeError, Memory, Message};
use crate::meta::{HEADER, MetaError, Parameters, Timestamp};
use bytes::Bytes;

/// Longest stream that is decoded, in bytes.
pub const MAX_BODY: usize = 1 << 30;
/// Longest metadata that are decoded, in bytes.
pub const MAX_META: usize = 1 << 20;

/// Streams up to this length are copied, so that a small message in a queue does not keep a whole receive buffer, and
/// parts up to this length are joined, because a part costs more than a copy.
const SMALL: usize = 4096;
/// What arrow's readers of a stream's own structures need.
const ALIGN: usize = 8;

/// A message as bytes. Clones share them.
#[derive(Debug, Clone)]
pub struct Encoded {
    meta: Bytes,
    parts: Vec<Bytes>,
    len: usize,
}

impl Encoded {
    /// The metadata: the timestamp's [`HEADER`] bytes, then the parameters.
    pub fn meta(&self) -> &Bytes {
        &self.meta
    }

    /// The stream in order, in as many pieces as save a copy; the large ones are the message's own memory.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// Length of the stream in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// What comes before and after these values, where the stream is nothing else: then they can be read where they are.
    pub fn around(&self, values: &[u8]) -> Option<[&Bytes; 2]> {
        match self.parts.as_slice() {
            [head, middle, tail] if std::ptr::eq::<[u8]>(middle.as_ref(), values) => {
                Some([head, tail])
            }
            _ => None,
        }
    }

    /// Whether there is no stream: never, as even an empty array has a header.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes the stream to the start of `room` and says whether it fitted.
    pub fn copy_to(&self, mut room: &mut [u8]) -> bool {
        if room.len() < self.len {
            return false;
        }
        for part in &self.parts {
            let (here, rest) = room.split_at_mut(part.len());
            here.copy_from_slice(part);
            room = rest;
        }
        true
    }

    /// The stream in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.concat()
    }
}

/// Whose memory bytes lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This process's: they stay as they are.
    Own,
    /// Memory that another process can write. Of these only numbers are shared by the message, which may be any bytes;
    /// all else is copied before it is checked.
    Shared,
}

/// Why a message cannot become bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The message's data are not valid Arrow.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The arrow crates do not write it.
    #[error("Arrow's format for streams does not take it: {0}")]
    Unsupported(String),
    /// It takes more bytes than any reader accepts.
    #[error("it takes {0} bytes, at most {MAX_BODY} are sent")]
    TooLong(usize),
    /// Its metadata take more bytes than any reader accepts.
    #[error("its metadata take {0} bytes, at most {MAX_META} are sent")]
    LongMeta(usize),
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than are accepted.
    #[error("{length} bytes of {what}, at most {most} are accepted")]
    TooLong {
        /// Which part: `data` or `metadata`.
        what: &'static str,
        /// How many there are.
        length: usize,
        /// How many there may be.
        most: usize,
    },
    /// The metadata are shorter than their timestamp.
    #[error("metadata without a timestamp")]
    NoTimestamp,
    /// The parameters in the metadata are wrong.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The bytes are no stream of one message.
    #[error("no Arrow stream of one message: {0}")]
    Stream(&'static str),
    /// The arrow crates refuse the stream; their words.
    #[error("invalid Arrow stream: {0}")]
    Arrow(String),
    /// The array is refused as a message.
    #[error(transparent)]
    Make(#[from] MakeError),
}

/// A message's bytes, the same for every reader. Any thread; the message's data stay while the bytes do.
///
/// # Errors
/// Data that are no valid Arrow or that streams cannot hold.
pub fn encode(message: &Message) -> Result<Encoded, EncodeError> {
    let length = HEADER + message.parameter_bytes().len();
    if length > MAX_META {
        return Err(EncodeError::LongMeta(length));
    }
    let mut meta = Vec::with_capacity(length);
    meta.extend_from_slice(&message.timestamp().to_bytes());
    meta.extend_from_slice(message.parameter_bytes());
    let parts = match template::encode(message) {
        Some(parts) => parts,
        None => stream::encode(message)?,
    };
    let len = parts.iter().map(Bytes::len).sum();
    if len > MAX_BODY {
        return Err(EncodeError::TooLong(len));
    }
    Ok(Encoded {
        meta: meta.into(),
        parts,
        len,
    })
}

/// The message that a stream and metadata hold. The bytes may come from anywhere. Long aligned streams are shared by
/// the message, all others copied. Any thread.
///
/// # Errors
/// Bytes that are no message, or more than [`MAX_BODY`] and [`MAX_META`].
pub fn decode(body: Bytes, meta: &[u8], origin: Origin) -> Result<Message, DecodeError> {
    limit("data", body.len(), MAX_BODY)?;
    let head = Head::read(meta)?;
    match template::decode(&body) {
        Some((kind, values)) => plain(&head, kind, values),
        None => stream::decode(&head, body, origin),
    }
}

/// The message whose values lie apart from what comes before and after them in its stream (see [`Encoded::around`]). Long
/// aligned values are shared by the message, all others copied. Nothing is believed of them but their length, so they may
/// lie in memory that another process can write. Any thread.
///
/// # Errors
/// They are no such message, or more bytes than [`MAX_BODY`] and [`MAX_META`].
pub fn decode_around(
    [head, tail]: [&[u8]; 2],
    values: Bytes,
    meta: &[u8],
) -> Result<Message, DecodeError> {
    let length = head.len().saturating_add(tail.len());
    limit("data", length.saturating_add(values.len()), MAX_BODY)?;
    let kind = template::around(head, values.len(), tail);
    let kind = kind.ok_or(DecodeError::Stream(
        "its values lie apart and are no numbers",
    ))?;
    plain(&Head::read(meta)?, kind, values)
}

fn limit(what: &'static str, length: usize, most: usize) -> Result<(), DecodeError> {
    if length > most {
        return Err(DecodeError::TooLong { what, length, most });
    }
    Ok(())
}

/// The metadata of a message that is being decoded.
struct Head<'a> {
    stamp: Timestamp,
    parameters: &'a [u8],
}

impl<'a> Head<'a> {
    fn read(meta: &'a [u8]) -> Result<Self, DecodeError> {
        limit("metadata", meta.len(), MAX_META)?;
        if meta.len() < HEADER {
            return Err(DecodeError::NoTimestamp);
        }
        let head = Self {
            stamp: Timestamp::from_bytes(meta),
            parameters: meta.get(HEADER..).unwrap_or_default(),
        };
        if !head.parameters.is_empty() {
            Parameters::decode(head.parameters)?;
        }
        Ok(head)
    }
}

/// A message of values of a primitive type.
fn plain(head: &Head<'_>, kind: &template::Plain, values: Bytes) -> Result<Message, DecodeError> {
    let Head { stamp, parameters } = *head;
    let aligned = values.as_ptr().addr().is_multiple_of(kind.width);
    Ok(if values.len() <= SMALL || !aligned {
        Message::from_plain(stamp, &kind.schema, &values, parameters)?
    } else {
        let length = (values.len() / kind.width) as i64;
        let memory = Box::new(Received(values));
        Message::in_memory(stamp, &kind.schema, length, memory, parameters)?
    })
}

/// Bytes that a message keeps.
struct Received(Bytes);

impl Memory for Received {
    fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// A message's values as an owner of bytes.
struct Values(Message);

impl AsRef<[u8]> for Values {
    fn as_ref(&self) -> &[u8] {
        self.0.plain().map_or(&[], |(_, bytes)| bytes)
    }
}
