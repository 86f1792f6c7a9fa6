//! The bytes of frames, field by field.
//!
//! Invariant: each function that takes fields mirrors the one that puts them. Absent: what the fields mean.

use super::packet::{packet, put_packet};
use super::{
    Control, Create, Ended, Frame, FromNode, Greeting, How, Line, MAGIC, OfMemory, ToNode, kind,
    write,
};
use crate::hosting::NodeFailure;
use crate::node::Stop;
use crate::wire::WireError;
use crate::wire::bytes::{Put, Take};

/// Causes of a failure that are sent.
const MOST_CAUSES: usize = 1024;

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
            Self::Release { id, spoilt } => write(out, kind::RELEASE, |out| {
                out.u64(id);
                out.u8(spoilt.into());
            }),
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
            kind::RELEASE => Self::Release {
                id: from.u64()?,
                spoilt: flag(&mut from)?,
            },
            kind::FORGET => Self::Forget(from.u64()?),
            _ => return Err(UNKNOWN),
        };
        from.end()?;
        Ok(frame)
    }
}

impl OfMemory {
    /// Whether frames of this kind are of shared memory.
    pub(in crate::wire) fn has(kind: u8) -> bool {
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
    out.texts(&failure.frames);
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
        frames: from.texts()?,
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
