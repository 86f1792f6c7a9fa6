//! The wire of dora 0.x: bincode; arrays as raw buffers with a description beside them, inline or in shared memory.
//!
//! Invariant: a request is read by [`Reader`], which bounds depth and counts, because bincode's own reader recurses as
//! deep as its sender likes. Replies are written from dora's own types. Absent: connections.

mod array;
mod reader;
mod types;

pub(super) use reader::Reader;

use super::segment::{Segment, Segments};
use super::words::{
    DropToken, Malformed, NodeEvent, NodeReply, NodeRequest, Sent, excerpt, is_internal, port,
};
use aligned_vec::AVec;
use arrow_buffer::Buffer;
use dora_message_v0::common::{DataMessage, DropToken as WireToken, Timestamped};
use dora_message_v0::daemon_to_node::{DaemonReply, NodeDropEvent, NodeEvent as WireEvent};
use dora_message_v0::metadata::{ArrowTypeInfo, Metadata, Parameter};
use dora_message_v0::uhlc;
use plugin_abi::message::Message;
use plugin_abi::meta::{Parameters, Timestamp, Value};
use uuid::Uuid;

/// From this length on data go through shared memory, as dora's own nodes do it.
const SHARED_FROM: usize = 4096;
/// Most parameters of a message.
const MAX_PARAMETERS: usize = 1024;

/// Reads a request. Data in shared memory are fetched from `segments`.
pub(super) fn decode(frame: &[u8], segments: &dyn Segments) -> Result<NodeRequest, Malformed> {
    let mut reader = Reader::new(frame);
    let request = match reader.u32()? {
        0 => return Ok(NodeRequest::RegisterAgain),
        1 => NodeRequest::Subscribe,
        2 => NodeRequest::Send(sent(&mut reader, segments)?),
        3 => {
            let count = reader.count(8)?;
            let ports = (0..count).map(|_| port(reader.text()?));
            NodeRequest::CloseOutputs(ports.collect::<Result<_, _>>()?)
        }
        4 => NodeRequest::OutputsDone,
        5 => NodeRequest::NextEvent {
            released: tokens(&mut reader)?,
        },
        6 => NodeRequest::Released(tokens(&mut reader)?),
        7 => NodeRequest::SubscribeDrops,
        8 => NodeRequest::NextDrops,
        9 => NodeRequest::EventsDropped,
        10 => NodeRequest::NodeConfig {
            node: excerpt(reader.text()?),
        },
        other => return Err(Malformed(format!("request {other} does not exist"))),
    };
    stamp(&mut reader)?;
    reader.end()?;
    Ok(request)
}

fn tokens(reader: &mut Reader<'_>) -> Result<Vec<DropToken>, Malformed> {
    let count = reader.count(24)?;
    (0..count).map(|_| reader.uuid().map(DropToken)).collect()
}

fn stamp(reader: &mut Reader<'_>) -> Result<Timestamp, Malformed> {
    Ok(Timestamp {
        time: reader.u64()?,
        clock: *reader.array()?,
    })
}

fn sent(reader: &mut Reader<'_>, segments: &dyn Segments) -> Result<Sent, Malformed> {
    let output = port(reader.text()?)?;
    let _metadata_version = reader.u16()?;
    let stamp = stamp(reader)?;
    let described = array::Described::read(reader)?;
    let parameters = parameters(reader)?;
    let mut token = None;
    let data = match reader.option()?.then(|| reader.u32()).transpose()? {
        None => Ok(Buffer::from(&[0_u8; 0])),
        Some(0) => Ok(Buffer::from(reader.bytes()?)),
        Some(1) => {
            let (name, length) = (reader.text()?, reader.size()?);
            token = Some((DropToken(reader.uuid()?), excerpt(name)));
            segments
                .read(name, length)
                .map(Buffer::from)
                .map_err(|error| format!("its shared memory cannot be read: {error}"))
        }
        Some(other) => return Err(Malformed(format!("data of the unknown kind {other}"))),
    };
    let message = data.and_then(|data| described.message(&data, stamp, &parameters.encode()));
    Ok(Sent {
        output,
        message,
        token,
    })
}

fn parameters(reader: &mut Reader<'_>) -> Result<Parameters, Malformed> {
    let count = reader.count(13)?;
    if count > MAX_PARAMETERS {
        return Err(Malformed(format!("{count} parameters")));
    }
    let mut out = Parameters::new();
    for _ in 0..count {
        let key = reader.text()?;
        let value: Value = match reader.u32()? {
            0 => reader.option()?.into(),
            1 => reader.i64()?.into(),
            2 => reader.text()?.into(),
            3 => reader.list(8, Reader::i64)?.into(),
            4 => reader.f64()?.into(),
            5 => reader.list(8, Reader::f64)?.into(),
            6 => {
                let texts = reader.list(8, |reader| reader.text().map(str::to_owned));
                texts?.into()
            }
            other => {
                return Err(Malformed(format!(
                    "a parameter of the unknown kind {other}"
                )));
            }
        };
        out.set(key, value);
    }
    Ok(out)
}

/// A reply's bytes, and the shared memory that it lends to its reader.
pub(super) struct Encoded {
    pub body: Vec<u8>,
    pub lent: Vec<(DropToken, Segment)>,
}

/// Writes a reply at a time. What this generation does not know is left out, and messages that it cannot hold are, with
/// a fault each. `None` when nothing is left of some events: none at all would end them.
pub(super) fn encode(
    reply: NodeReply,
    now: Timestamp,
    segments: &dyn Segments,
    faults: &mut Vec<String>,
) -> Option<Encoded> {
    let mut lent = Vec::new();
    let stamp = wire_stamp(now);
    let reply = match reply {
        NodeReply::Done(result) => DaemonReply::Result(result),
        NodeReply::Drops(tokens) => {
            let dropped = |token: DropToken| NodeDropEvent::OutputDropped {
                drop_token: wire_token(token),
            };
            let drops = tokens.into_iter().map(|token| Timestamped {
                inner: dropped(token),
                timestamp: stamp,
            });
            DaemonReply::NextDropEvents(drops.collect())
        }
        NodeReply::Events(events) => {
            let some = !events.is_empty();
            let mut out = Vec::with_capacity(events.len());
            for event in events {
                match wire_event(event, segments, &mut lent) {
                    Ok(Some(inner)) => out.push(Timestamped {
                        inner,
                        timestamp: stamp,
                    }),
                    Ok(None) => {}
                    Err(fault) => faults.push(fault),
                }
            }
            if some && out.is_empty() {
                return None;
            }
            DaemonReply::NextEvents(out)
        }
    };
    // Writing to memory fails for no value of these types.
    let body = bincode::serialize(&reply).unwrap_or_default();
    Some(Encoded { body, lent })
}

fn wire_event(
    event: NodeEvent,
    segments: &dyn Segments,
    lent: &mut Vec<(DropToken, Segment)>,
) -> Result<Option<WireEvent>, String> {
    Ok(Some(match event {
        NodeEvent::Stop => WireEvent::Stop,
        NodeEvent::AllInputsClosed => WireEvent::AllInputsClosed,
        NodeEvent::InputClosed { input } => WireEvent::InputClosed {
            id: input.as_str().into(),
        },
        NodeEvent::Input { input, message } => {
            let (info, bytes) = array::describe(&message)
                .map_err(|error| format!("input `{}`: {error}", input.as_str()))?;
            WireEvent::Input {
                id: input.as_str().into(),
                metadata: metadata(&message, info)?,
                data: data(bytes, segments, lent),
            }
        }
        NodeEvent::InputRecovered { .. }
        | NodeEvent::NodeRestarted { .. }
        | NodeEvent::NodeFailed { .. } => return Ok(None),
    }))
}

fn data(
    bytes: Option<Vec<u8>>,
    segments: &dyn Segments,
    lent: &mut Vec<(DropToken, Segment)>,
) -> Option<DataMessage> {
    let bytes = bytes?;
    if bytes.len() >= SHARED_FROM
        // Without shared memory any length may be inline, only slower.
        && let Some(segment) = segments.create(&bytes)
    {
        let token = DropToken(Uuid::now_v7());
        let message = DataMessage::SharedMemory {
            shared_memory_id: segment.name().to_owned(),
            len: bytes.len(),
            drop_token: wire_token(token),
        };
        lent.push((token, segment));
        return Some(message);
    }
    Some(DataMessage::Vec(AVec::from_slice(128, &bytes)))
}

fn metadata(message: &Message, info: ArrowTypeInfo) -> Result<Metadata, String> {
    let parameters = message.parameters().map_err(|error| error.to_string())?;
    let parameters = parameters.iter().filter(|(key, _)| !is_internal(key));
    let parameters = parameters.map(|(key, value)| (key.to_owned(), wire_value(value)));
    let stamp = wire_stamp(message.timestamp());
    Ok(Metadata::from_parameters(stamp, info, parameters.collect()))
}

fn wire_value(value: &Value) -> Parameter {
    match value {
        Value::Bool(it) => Parameter::Bool(*it),
        Value::Integer(it) => Parameter::Integer(*it),
        Value::Float(it) => Parameter::Float(*it),
        Value::Text(it) => Parameter::String(it.clone()),
        Value::Integers(it) => Parameter::ListInt(it.clone()),
        Value::Floats(it) => Parameter::ListFloat(it.clone()),
        Value::Texts(it) => Parameter::ListString(it.clone()),
    }
}

fn wire_stamp(stamp: Timestamp) -> uhlc::Timestamp {
    // No clock has the id 0, and the type cannot say it.
    let id = uhlc::ID::try_from(stamp.clock).unwrap_or_else(|_| Uuid::now_v7().into());
    uhlc::Timestamp::new(uhlc::NTP64(stamp.time), id)
}

fn wire_token(token: DropToken) -> WireToken {
    // The type hides its one field; its form on the wire is the uuid's.
    bincode::serialize(&token.0)
        .and_then(|bytes| bincode::deserialize(&bytes))
        .unwrap_or_else(|_| WireToken::generate())
}
