//! The frames: what each says, and its bytes.
//!
//! `text` and `bytes` are a `u32` length and that many bytes, `texts` a `u32` number and the texts. Invariant: decoding
//! refuses bytes behind the last field, so that a field that one side does not know is never passed over. Absent: reading
//! and writing (`channel`), and what the memory that frames name holds (`memory`).

mod code;
mod packet;

pub(super) use packet::{MESSAGE, Place, put_packet_head};

use super::WireError;
use super::bytes::Put;
use crate::hosting::{LogLine, NodeFailure};
use crate::node::Stop;

/// Bytes of a frame's header.
pub const HEADER: usize = 8;
/// Bytes that a frame without a message may have behind its header.
pub const MAX_FRAME: usize = 16 << 20;
/// Bytes that a frame with a message may have behind its header.
pub const MAX_MESSAGE: usize = crate::codec::MAX_BODY + crate::codec::MAX_META + 64;
/// Starts a [`Greeting`], so that a process knows a daemon from other input.
pub const MAGIC: [u8; 16] = *b"dora-node-wire\n\0";

/// Kinds of frames.
mod kind {
    pub const GREETING: u8 = 1;
    pub const CREATE: u8 = 2;
    pub const GO: u8 = 3;
    pub const INPUT: u8 = 4;
    pub const CLOSED: u8 = 5;
    pub const STOP: u8 = 6;
    pub const LEVEL: u8 = 7;
    pub const WANTED: u8 = 8;
    pub const ORDER: u8 = 9;
    pub const HELLO: u8 = 33;
    pub const CREATED: u8 = 34;
    pub const NOT_CREATED: u8 = 35;
    pub const OUTPUT: u8 = 36;
    pub const READY: u8 = 37;
    pub const ENDED: u8 = 38;
    pub const LOG: u8 = 39;
    pub const UNREAD: u8 = 40;
    pub const TAKEN: u8 = 41;
    pub const SEGMENT: u8 = 65;
    pub const RELEASE: u8 = 66;
    pub const FORGET: u8 = 67;
}

/// From the daemon to the process.
#[derive(Debug, Clone, PartialEq)]
pub enum ToNode<'a> {
    /// The first frame. 1: 16 bytes [`MAGIC`], then as [`Greeting`].
    Greeting(Greeting<'a>),
    /// 2: see [`Create`].
    Create(Box<Create>),
    /// 3: the node may begin.
    Go,
    /// 4: a message on an input.
    Input(Packet<'a>),
    /// 5: `u32` the input that nothing will come on any more.
    Closed(u32),
    /// 6: `u8` why: 0 requested, 1 all inputs closed. The last event.
    Stop(Stop),
    /// 7: `u32` the most verbose level of log lines that is wanted from now on.
    Level(u32),
    /// 8: `u32` output, `u8` whether anybody reads it from now on. Until it is said, somebody does.
    Wanted {
        /// Index of the output.
        output: u32,
        /// Whether anybody reads it.
        wanted: bool,
    },
}

/// From the daemon to a host process, on its control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control<'a> {
    /// As [`ToNode::Greeting`].
    Greeting(Greeting<'a>),
    /// 9: 16 bytes the name of the connection that comes along, where it has one, `bytes` what to do: the host's own JSON.
    Order {
        /// The connection's name.
        connection: u128,
        /// What to do.
        json: &'a [u8],
    },
}

/// From the process to the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum FromNode<'a> {
    /// The first frame. 33: 16 bytes [`MAGIC`], then as [`Greeting`].
    Hello(Greeting<'a>),
    /// 34: the node has been made.
    Created,
    /// 35: it has not. Fields of a failure: `u8` whether it panicked, `text`, `texts` causes, `u8` whether there is a place,
    /// `text` file, `u32` line, `texts` frames.
    NotCreated(NodeFailure),
    /// 36: a message on an output.
    Output(Packet<'a>),
    /// 37: `u32` how many more messages the node takes: it has room for them, or is done with so many.
    Ready(u32),
    /// 38: `u8` how: 0 done, 1 stopped, 2 failed, then a failure as above; `u8` whether all inputs were closed.
    Ended(Ended),
    /// 39: `u32` level, then target, message, fields, spans, file as `text`, `u32` line.
    Log(Line<'a>),
    /// 40: `u32` output, `u64` how many messages were sent on it while nobody read it; before the node has ended.
    Unread {
        /// Index of the output.
        output: u32,
        /// Messages.
        messages: u64,
    },
    /// 41: `u32` input, `u64` how many messages the node has taken from it that came from its own process, `u64` how many
    /// its queue has dropped; all since the process began, before the node has ended.
    Taken {
        /// Index of the input.
        input: u32,
        /// Messages that were taken.
        taken: u64,
        /// Messages that were dropped.
        dropped: u64,
    },
}

/// Of shared memory, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfMemory {
    /// 65: `u64` id, `u64` length in bytes, 16 bytes name: memory of the sender's, or of a third process's that it lends on,
    /// to be mapped. On Unix its descriptor comes with the bytes up to here, and the name is 0.
    Segment {
        /// Its id, which messages name it by.
        id: u64,
        /// Its length in bytes.
        len: u64,
        /// Its name, where it has one.
        name: u128,
    },
    /// 66: `u64` id, `u8` whether its reader is gone without a word: one message in a segment that the receiver announced is
    /// not read any more, as far as the sender knows.
    Release {
        /// The segment's id.
        id: u64,
        /// Whether somebody may read it all the same, so that it is never used again.
        spoilt: bool,
    },
    /// 67: `u64` id: no message will lie in a segment of the sender's any more.
    Forget(u64),
}

/// The versions of one side: `u16` of the wire, `bytes` the handshake record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// The version of the frames.
    pub wire: u16,
    /// The handshake record.
    pub record: &'a [u8],
}

/// What a node is made from, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Create {
    /// Its id.
    pub node_id: String,
    /// The dataflow's UUID.
    pub dataflow_id: String,
    /// The plugin's file, for a host process; else nothing.
    pub plugin: String,
    /// The node kind; nothing where there is only one.
    pub kind: String,
    /// The config: JSON text.
    pub config: String,
    /// Names of the connected inputs, in the order of their indices.
    pub inputs: Vec<String>,
    /// Names of the outputs that may be sent on, in the order of their indices.
    pub outputs: Vec<String>,
    /// How often the node has been restarted (`u32`).
    pub restart_count: u32,
    /// The most verbose level of log lines that is wanted (`u32`).
    pub level: u32,
    /// How many messages it may be given before it is done with the first of them (`u32`): 1 leaves all that waits to the
    /// queues of the daemon and their policies.
    pub window: u32,
    /// The id of the clock that stamps what it sends (16 bytes).
    pub clock: [u8; 16],
    /// Name of its [`page`](super::page), whose handle travels as that of a segment (16 bytes).
    pub page: u128,
}

/// A message for or from a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Index of the input or output.
    pub port: u32,
    /// The metadata, as the codec makes them.
    pub meta: &'a [u8],
    /// The stream, as the codec makes it.
    pub body: Body<'a>,
}

/// Where a message's stream is. Bytes of a packet: `u32` port, `u32` place (0 here, 1 in a segment, 2 its values in a
/// segment), `u32` length of the metadata, `u32` length of what comes before the values (0 for the other places), `u64`
/// length of the stream; then the stream, or `u64` segment and `u64` offset, for the values also their `u64` length and
/// what comes before and after them; then the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// In the frame.
    Inline(&'a [u8]),
    /// In memory of the sender's.
    Shared {
        /// The segment.
        segment: u64,
        /// Where it starts.
        offset: u64,
        /// Its length.
        len: u64,
    },
    /// In the frame but for its values, which are numbers in memory that anybody may write.
    Around {
        /// What comes before and after the values.
        frame: [&'a [u8]; 2],
        /// The segment.
        segment: u64,
        /// Where the values start.
        offset: u64,
        /// Their length.
        len: u64,
    },
}

/// How a node has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub how: How,
    /// Whether all of its inputs were closed.
    pub inputs_closed: bool,
}

/// How a node has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// It was done by itself.
    Done,
    /// As it was asked to.
    Stopped,
    /// With an error or a panic.
    Failed(NodeFailure),
}

/// A line of the log, as in [`LogLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of LogLine")]
pub struct Line<'a> {
    pub level: u32,
    pub target: &'a str,
    pub message: &'a str,
    pub fields: &'a str,
    pub spans: &'a str,
    pub file: &'a str,
    pub line: u32,
}

impl<'a> Line<'a> {
    /// For the host.
    pub fn as_log_line(&self) -> LogLine<'a> {
        LogLine {
            level: self.level,
            target: self.target,
            message: self.message,
            fields: self.fields,
            spans: self.spans,
            file: self.file,
            line: self.line,
        }
    }
}

impl<'a> From<&LogLine<'a>> for Line<'a> {
    fn from(line: &LogLine<'a>) -> Self {
        Self {
            level: line.level,
            target: line.target,
            message: line.message,
            fields: line.fields,
            spans: line.spans,
            file: line.file,
            line: line.line,
        }
    }
}

/// Whether bytes at the start of a connection are a daemon's.
pub fn is_greeting(bytes: &[u8]) -> bool {
    let starts = bytes.get(4) == Some(&kind::GREETING);
    starts && bytes.get(HEADER..HEADER + MAGIC.len()) == Some(&MAGIC[..])
}

/// Length and kind of a frame whose header has come; `None` when more bytes are needed.
pub(super) fn header(bytes: &[u8]) -> Result<Option<(usize, u8)>, WireError> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let [a, b, c, d, kind, zeros @ ..] = *header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let most = match kind {
        kind::INPUT | kind::OUTPUT => MAX_MESSAGE,
        _ => MAX_FRAME,
    };
    if zeros != [0; 3] {
        return Err(WireError::Malformed("a frame does not start with a header"));
    }
    if length > most {
        return Err(WireError::Malformed("a frame is longer than any may be"));
    }
    Ok(Some((length, kind)))
}

/// Adds a whole frame to the end of a buffer, unless it would be longer than any may be.
pub(super) fn write(
    out: &mut Vec<u8>,
    kind: u8,
    fields: impl FnOnce(&mut Vec<u8>),
) -> Result<(), WireError> {
    let start = out.len();
    out.raw(&[0, 0, 0, 0, kind, 0, 0, 0]);
    fields(out);
    let length = out.len() - start - HEADER;
    let header = out
        .get_mut(start..start + 4)
        .zip(u32::try_from(length).ok());
    match header {
        Some((header, sized)) if length <= MAX_MESSAGE => {
            header.copy_from_slice(&sized.to_le_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(WireError::Malformed("a frame would be too long"))
        }
    }
}

/// One of the enums of frames.
pub trait Frame<'a>: Sized {
    /// Adds the frame to the end of a buffer.
    ///
    /// # Errors
    /// It would be longer than any frame may be.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), WireError>;

    /// The frame of a kind with these fields.
    ///
    /// # Errors
    /// There is none.
    fn decode(kind: u8, fields: &'a [u8]) -> Result<Self, WireError>;
}
