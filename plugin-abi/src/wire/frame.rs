//! The frames: what each says, and its bytes.
//!
//! `text` and `bytes` are a `u32` length and that many bytes, `texts` a `u32` number and the texts. Invariant: decoding
//! refuses bytes behind the last field, so that a field that one side does not know is never passed over. Absent: reading
//! and writing (`channel`), and what the memory that frames name holds (`memory`).

use super::WireError;
use super::bytes::{Put, Take};
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
/// Causes of a failure that are taken.
const MOST_CAUSES: usize = 1024;

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
    /// `text` file, `u32` line.
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
    /// 65: `u64` id, `u64` length in bytes, 16 bytes name: memory of the sender's, to be mapped. On Unix its descriptor
    /// comes with the bytes up to here, and the name is 0.
    Segment {
        /// Its id, which messages name it by.
        id: u64,
        /// Its length in bytes.
        len: u64,
        /// Its name, where it has one.
        name: u128,
    },
    /// 66: `u64` id: one message in a segment of the receiver's is not read any more.
    Release(u64),
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

/// Where a message's stream is. Bytes of a packet: `u32` port, `u32` place (0 here, 1 in a segment), `u32` length of the
/// metadata, `u32` zero, `u64` length of the stream; then the stream, or `u64` segment and `u64` offset; then the metadata.
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

const UNKNOWN: WireError = WireError::Malformed("a frame of an unknown kind");

impl<'a> Frame<'a> for ToNode<'a> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        match self {
            Self::Greeting(greeting) => {
                write(out, kind::GREETING, |out| put_greeting(out, greeting))
            }
            Self::Create(create) => write(out, kind::CREATE, |out| put_create(out, create)),
            Self::Go => write(out, kind::GO, |_| {}),
            Self::Input(packet) => write(out, kind::INPUT, |out| put_packet(out, packet)),
            Self::Closed(input) => write(out, kind::CLOSED, |out| out.u32(*input)),
            Self::Stop(why) => write(out, kind::STOP, |out| {
                out.u8((*why == Stop::InputsClosed).into());
            }),
            Self::Level(level) => write(out, kind::LEVEL, |out| out.u32(*level)),
            Self::Wanted { output, wanted } => write(out, kind::WANTED, |out| {
                out.u32(*output);
                out.u8((*wanted).into());
            }),
        }
    }

    fn decode(kind: u8, fields: &'a [u8]) -> Result<Self, WireError> {
        let mut from = Take(fields);
        let frame = match kind {
            kind::GREETING => Self::Greeting(greeting(&mut from)?),
            kind::CREATE => Self::Create(Box::new(create(&mut from)?)),
            kind::GO => Self::Go,
            kind::INPUT => Self::Input(packet(&mut from)?),
            kind::CLOSED => Self::Closed(from.u32()?),
            kind::STOP => Self::Stop(match flag(&mut from)? {
                false => Stop::Requested,
                true => Stop::InputsClosed,
            }),
            kind::LEVEL => Self::Level(from.u32()?),
            kind::WANTED => Self::Wanted {
                output: from.u32()?,
                wanted: flag(&mut from)?,
            },
            _ => return Err(UNKNOWN),
        };
        from.end()?;
        Ok(frame)
    }
}

impl<'a> Frame<'a> for Control<'a> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        match self {
            Self::Greeting(greeting) => {
                write(out, kind::GREETING, |out| put_greeting(out, greeting))
            }
            Self::Order { connection, json } => write(out, kind::ORDER, |out| {
                out.raw(&connection.to_le_bytes());
                out.bytes(json);
            }),
        }
    }

    fn decode(kind: u8, fields: &'a [u8]) -> Result<Self, WireError> {
        let mut from = Take(fields);
        let frame = match kind {
            kind::GREETING => Self::Greeting(greeting(&mut from)?),
            kind::ORDER => Self::Order {
                connection: from.u128()?,
                json: from.bytes()?,
            },
            _ => return Err(UNKNOWN),
        };
        from.end()?;
        Ok(frame)
    }
}

impl<'a> Frame<'a> for FromNode<'a> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        match self {
            Self::Hello(greeting) => write(out, kind::HELLO, |out| put_greeting(out, greeting)),
            Self::Created => write(out, kind::CREATED, |_| {}),
            Self::NotCreated(why) => write(out, kind::NOT_CREATED, |out| put_failure(out, why)),
            Self::Output(packet) => write(out, kind::OUTPUT, |out| put_packet(out, packet)),
            Self::Ready(events) => write(out, kind::READY, |out| out.u32(*events)),
            Self::Ended(ended) => write(out, kind::ENDED, |out| put_ended(out, ended)),
            Self::Log(line) => write(out, kind::LOG, |out| put_line(out, line)),
            Self::Unread { output, messages } => write(out, kind::UNREAD, |out| {
                out.u32(*output);
                out.u64(*messages);
            }),
            Self::Taken {
                input,
                taken,
                dropped,
            } => write(out, kind::TAKEN, |out| {
                out.u32(*input);
                out.u64(*taken);
                out.u64(*dropped);
            }),
        }
    }

    fn decode(kind: u8, fields: &'a [u8]) -> Result<Self, WireError> {
        let mut from = Take(fields);
        let frame = match kind {
            kind::HELLO => Self::Hello(greeting(&mut from)?),
            kind::CREATED => Self::Created,
            kind::NOT_CREATED => Self::NotCreated(failure(&mut from)?),
            kind::OUTPUT => Self::Output(packet(&mut from)?),
            kind::READY => Self::Ready(from.u32()?),
            kind::ENDED => Self::Ended(ended(&mut from)?),
            kind::LOG => Self::Log(line(&mut from)?),
            kind::UNREAD => Self::Unread {
                output: from.u32()?,
                messages: from.u64()?,
            },
            kind::TAKEN => Self::Taken {
                input: from.u32()?,
                taken: from.u64()?,
                dropped: from.u64()?,
            },
            _ => return Err(UNKNOWN),
        };
        from.end()?;
        Ok(frame)
    }
}

impl Frame<'_> for OfMemory {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        match *self {
            Self::Segment { id, len, name } => write(out, kind::SEGMENT, |out| {
                out.u64(id);
                out.u64(len);
                out.raw(&name.to_le_bytes());
            }),
            Self::Release(id) => write(out, kind::RELEASE, |out| out.u64(id)),
            Self::Forget(id) => write(out, kind::FORGET, |out| out.u64(id)),
        }
    }

    fn decode(kind: u8, fields: &[u8]) -> Result<Self, WireError> {
        let mut from = Take(fields);
        let frame = match kind {
            kind::SEGMENT => Self::Segment {
                id: from.u64()?,
                len: from.u64()?,
                name: from.u128()?,
            },
            kind::RELEASE => Self::Release(from.u64()?),
            kind::FORGET => Self::Forget(from.u64()?),
            _ => return Err(UNKNOWN),
        };
        from.end()?;
        Ok(frame)
    }
}

impl OfMemory {
    /// Whether frames of this kind are of shared memory.
    pub(super) fn has(kind: u8) -> bool {
        matches!(kind, kind::SEGMENT | kind::RELEASE | kind::FORGET)
    }
}

fn flag(from: &mut Take<'_>) -> Result<bool, WireError> {
    match from.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::Malformed("a flag is neither 0 nor 1")),
    }
}

fn put_greeting(out: &mut Vec<u8>, greeting: &Greeting<'_>) {
    out.raw(&MAGIC);
    out.raw(&greeting.wire.to_le_bytes());
    out.bytes(greeting.record);
}

fn greeting<'a>(from: &mut Take<'a>) -> Result<Greeting<'a>, WireError> {
    if from.array()? != MAGIC {
        return Err(WireError::Malformed(
            "a greeting does not start with its mark",
        ));
    }
    Ok(Greeting {
        wire: from.u16()?,
        record: from.bytes()?,
    })
}

fn put_create(out: &mut Vec<u8>, create: &Create) {
    out.text(&create.node_id);
    out.text(&create.dataflow_id);
    out.text(&create.plugin);
    out.text(&create.kind);
    out.text(&create.config);
    out.texts(&create.inputs);
    out.texts(&create.outputs);
    out.u32(create.restart_count);
    out.u32(create.level);
    out.u32(create.window);
    out.raw(&create.clock);
    out.raw(&create.page.to_le_bytes());
}

fn create(from: &mut Take<'_>) -> Result<Create, WireError> {
    Ok(Create {
        node_id: from.text()?.to_owned(),
        dataflow_id: from.text()?.to_owned(),
        plugin: from.text()?.to_owned(),
        kind: from.text()?.to_owned(),
        config: from.text()?.to_owned(),
        inputs: from.texts()?,
        outputs: from.texts()?,
        restart_count: from.u32()?,
        level: from.u32()?,
        window: from.u32()?,
        clock: from.array()?,
        page: from.u128()?,
    })
}

/// The kind of the frame for a message on its way to a node, and from one.
pub(super) const MESSAGE: [u8; 2] = [kind::INPUT, kind::OUTPUT];

/// Adds a packet up to where its stream starts.
pub(super) fn put_packet_head(
    out: &mut Vec<u8>,
    port: u32,
    shared: bool,
    meta: usize,
    body: usize,
) {
    out.u32(port);
    out.u32(shared.into());
    out.u32(u32::try_from(meta).unwrap_or(u32::MAX));
    out.u32(0);
    out.u64(body as u64);
}

fn put_packet(out: &mut Vec<u8>, packet: &Packet<'_>) {
    match packet.body {
        Body::Inline(body) => {
            put_packet_head(out, packet.port, false, packet.meta.len(), body.len());
            out.raw(body);
        }
        Body::Shared {
            segment,
            offset,
            len,
        } => {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            put_packet_head(out, packet.port, true, packet.meta.len(), len);
            out.u64(segment);
            out.u64(offset);
        }
    }
    out.raw(packet.meta);
}

fn packet<'a>(from: &mut Take<'a>) -> Result<Packet<'a>, WireError> {
    let port = from.u32()?;
    let place = from.u32()?;
    let meta = from.u32()?;
    if from.u32()? != 0 {
        return Err(WireError::Malformed("a reserved field is not zero"));
    }
    let len = from.u64()?;
    let body = match place {
        0 => Body::Inline(from.raw(usize::try_from(len).unwrap_or(usize::MAX))?),
        1 => Body::Shared {
            segment: from.u64()?,
            offset: from.u64()?,
            len,
        },
        _ => return Err(WireError::Malformed("a message lies at an unknown place")),
    };
    let meta = from.raw(usize::try_from(meta).unwrap_or(usize::MAX))?;
    Ok(Packet { port, meta, body })
}

fn put_failure(out: &mut Vec<u8>, failure: &NodeFailure) {
    out.u8(failure.panicked.into());
    out.text(&failure.text);
    out.texts(failure.causes.get(..MOST_CAUSES).unwrap_or(&failure.causes));
    let (file, line) = failure
        .place
        .as_ref()
        .map_or(("", 0), |(file, line)| (file, *line));
    out.u8(failure.place.is_some().into());
    out.text(file);
    out.u32(line);
}

fn failure(from: &mut Take<'_>) -> Result<NodeFailure, WireError> {
    let panicked = flag(from)?;
    let text = from.text()?.to_owned();
    let causes = from.texts()?;
    let has_place = flag(from)?;
    let place = (from.text()?.to_owned(), from.u32()?);
    Ok(NodeFailure {
        panicked,
        text,
        causes,
        place: has_place.then_some(place),
    })
}

fn put_ended(out: &mut Vec<u8>, ended: &Ended) {
    match &ended.how {
        How::Done => out.u8(0),
        How::Stopped => out.u8(1),
        How::Failed(failure) => {
            out.u8(2);
            put_failure(out, failure);
        }
    }
    out.u8(ended.inputs_closed.into());
}

fn ended(from: &mut Take<'_>) -> Result<Ended, WireError> {
    let how = match from.u8()? {
        0 => How::Done,
        1 => How::Stopped,
        2 => How::Failed(failure(from)?),
        _ => return Err(WireError::Malformed("an unknown way to end")),
    };
    Ok(Ended {
        how,
        inputs_closed: flag(from)?,
    })
}

fn put_line(out: &mut Vec<u8>, line: &Line<'_>) {
    out.u32(line.level);
    for text in [
        line.target,
        line.message,
        line.fields,
        line.spans,
        line.file,
    ] {
        out.text(text);
    }
    out.u32(line.line);
}

fn line<'a>(from: &mut Take<'a>) -> Result<Line<'a>, WireError> {
    Ok(Line {
        level: from.u32()?,
        target: from.text()?,
        message: from.text()?,
        fields: from.text()?,
        spans: from.text()?,
        file: from.text()?,
        line: from.u32()?,
    })
}
