//! The wire of dora 1.x: postcard through dora's own crate; data are one Arrow IPC stream, always inline.
//!
//! Invariant: parameters that are between 1.x nodes never leave this module. Absent: connections; the routing of outputs
//! past the daemon.

use super::words::{
    MAX_TEXT, Malformed, NodeEvent, NodeReply, NodeRequest, Sent, is_internal, port,
};
use crate::codec::{self, Origin};
use bytes::Bytes;
use dora_message::aligned_vec::{AVec, ConstAlign};
use dora_message::common::{DataMessage, Timestamped};
use dora_message::daemon_to_node::{DaemonReply, NodeEvent as WireEvent};
use dora_message::id::DataId;
use dora_message::metadata::{Metadata, Parameter};
use dora_message::node_to_daemon::DaemonRequest;
use dora_message::uhlc;
use plugin_abi::message::{Message, Schema};
use plugin_abi::meta::{HEADER, Parameters, Timestamp, Value};
use std::sync::Arc;

/// Longest stream that fits into a frame, with its metadata and other small events.
const MAX_DATA: usize = dora_message::MAX_MESSAGE_BYTES - (8 << 20);
/// Most parameters of a message.
const MAX_PARAMETERS: usize = 1024;

/// Reads a request.
pub(super) fn decode(frame: &[u8]) -> Result<NodeRequest, Malformed> {
    let request: Timestamped<DaemonRequest> =
        dora_message::decode(frame).map_err(|error| Malformed(error.to_string()))?;
    Ok(match request.inner {
        DaemonRequest::Register(_) => NodeRequest::RegisterAgain,
        DaemonRequest::Subscribe => NodeRequest::Subscribe,
        DaemonRequest::SendMessage {
            output_id,
            metadata,
            data,
        } => NodeRequest::Send(sent(&output_id, metadata, data)?),
        DaemonRequest::OutputSent { output_id, .. } => NodeRequest::SentDirectly {
            output: port(output_id.as_ref())?,
        },
        DaemonRequest::CloseOutputs(ids) => {
            let ports = ids.iter().map(|id| port(id.as_ref()));
            NodeRequest::CloseOutputs(ports.collect::<Result<_, _>>()?)
        }
        DaemonRequest::OutputsDone => NodeRequest::OutputsDone,
        DaemonRequest::NextEvent => NodeRequest::NextEvent {
            released: Vec::new(),
        },
        DaemonRequest::EventStreamDropped => NodeRequest::EventsDropped,
        DaemonRequest::NodeConfig { node_id } => NodeRequest::NodeConfig {
            node: node_id.to_string(),
        },
        DaemonRequest::ExtensionStore { .. } => unserved("ExtensionStore"),
        DaemonRequest::ExtensionLoad { .. } => unserved("ExtensionLoad"),
        DaemonRequest::ExtensionDrop { .. } => unserved("ExtensionDrop"),
        DaemonRequest::ExtensionRequest { .. } => unserved("ExtensionRequest"),
        _ => unserved("of an unknown kind"),
    })
}

fn unserved(what: &'static str) -> NodeRequest {
    NodeRequest::Unserved { what }
}

fn sent(output: &DataId, metadata: Metadata, data: Option<DataMessage>) -> Result<Sent, Malformed> {
    if metadata.parameters.len() > MAX_PARAMETERS {
        let count = metadata.parameters.len();
        return Err(Malformed(format!("{count} parameters")));
    }
    let stream = data.map(|DataMessage::Vec(stream)| stream);
    Ok(Sent {
        output: port(output.as_ref())?,
        message: message(metadata, stream),
        token: None,
    })
}

/// A message of a node, with its stream, if it has any data.
///
/// # Errors
/// What it sends is no such stream.
pub(super) fn message(metadata: Metadata, stream: Option<Stream>) -> Result<Message, String> {
    let stamp = own_stamp(metadata.timestamp());
    let mut parameters = Parameters::new();
    for (key, value) in metadata.parameters {
        if !is_internal(&key) {
            parameters.set(&key, own_value(value));
        }
    }
    let parameters = parameters.encode();
    let Some(stream) = stream else {
        let null = Schema::leaf(c"n").map_err(|error| error.to_string())?;
        return Message::empty(stamp, &null).map_err(|error| error.to_string());
    };
    let mut meta = Vec::with_capacity(HEADER + parameters.len());
    meta.extend_from_slice(&stamp.to_bytes());
    meta.extend_from_slice(&parameters);
    let body = Bytes::from_owner(Received(stream));
    codec::decode(body, &meta, Origin::Own).map_err(|error| error.to_string())
}

/// A stream in the container of dora's type.
pub(super) type Stream = AVec<u8, ConstAlign<128>>;

/// It as an owner of bytes.
struct Received(Stream);

impl AsRef<[u8]> for Received {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn own_value(value: Parameter) -> Value {
    match value {
        Parameter::Bool(it) => Value::Bool(it),
        Parameter::Integer(it) => Value::Integer(it),
        Parameter::String(it) => Value::Text(it),
        Parameter::ListInt(it) => Value::Integers(it),
        Parameter::Float(it) => Value::Float(it),
        Parameter::ListFloat(it) => Value::Floats(it),
        Parameter::ListString(it) => Value::Texts(it),
        // No other generation has a kind for it.
        Parameter::Timestamp(it) => Value::Text(it.to_rfc3339()),
    }
}

fn own_stamp(stamp: uhlc::Timestamp) -> Timestamp {
    Timestamp {
        time: stamp.get_time().as_u64(),
        clock: stamp.get_id().to_le_bytes(),
    }
}

/// Writes a reply at a time. Messages that this generation cannot hold are left out, with a fault each. `None` when
/// nothing is left of some events: none at all would end them.
pub(super) fn encode(
    reply: NodeReply,
    now: Timestamp,
    faults: &mut Vec<String>,
) -> Option<Vec<u8>> {
    let timestamp = wire_stamp(now);
    let mut hint = 0;
    let reply = match reply {
        NodeReply::Done(result) => DaemonReply::Result(result),
        // Asked for by 0.x only.
        NodeReply::Drops(_) => DaemonReply::Empty,
        NodeReply::Events(events) => {
            let some = !events.is_empty();
            let mut out = Vec::with_capacity(events.len());
            for event in events {
                match wire_event(event) {
                    Ok(inner) => out.push(Timestamped { inner, timestamp }),
                    Err(fault) => faults.push(fault),
                }
            }
            if some && out.is_empty() {
                return None;
            }
            let reply = DaemonReply::NextEvents(out);
            hint = reply.encode_size_hint();
            reply
        }
    };
    // Writing to memory fails for no value of these types.
    Some(dora_message::encode_presized(&reply, hint).unwrap_or_default())
}

fn wire_event(event: NodeEvent) -> Result<WireEvent, String> {
    let id = |name: &str| {
        name.parse()
            .map_err(|_| format!("`{name}` is no name in dora"))
    };
    Ok(match event {
        NodeEvent::Stop => WireEvent::Stop,
        NodeEvent::AllInputsClosed => WireEvent::AllInputsClosed,
        NodeEvent::InputClosed { input } => WireEvent::InputClosed {
            id: id(input.as_str())?,
        },
        NodeEvent::InputRecovered { input } => WireEvent::InputRecovered {
            id: id(input.as_str())?,
        },
        NodeEvent::NodeRestarted { node } => WireEvent::NodeRestarted {
            id: node
                .as_str()
                .parse()
                .map_err(|_| "no name of a node in dora".to_owned())?,
        },
        NodeEvent::NodeFailed {
            node,
            inputs,
            mut error,
        } => {
            error.truncate(error.floor_char_boundary(MAX_TEXT));
            WireEvent::NodeFailed {
                affected_input_ids: inputs
                    .iter()
                    .map(|input| id(input.as_str()))
                    .collect::<Result<_, _>>()?,
                error,
                source_node_id: node
                    .as_str()
                    .parse()
                    .map_err(|_| "no name of a node in dora".to_owned())?,
            }
        }
        NodeEvent::Input { input, message } => {
            let wrong = |error: String| format!("input `{}`: {error}", input.as_str());
            WireEvent::Input {
                id: id(input.as_str())?,
                metadata: Arc::new(metadata(&message).map_err(wrong)?),
                data: data(&message).map_err(wrong)?.map(Arc::new),
            }
        }
    })
}

fn metadata(message: &Message) -> Result<Metadata, String> {
    let parameters = message.parameters().map_err(|error| error.to_string())?;
    let parameters = parameters.iter().filter(|(key, _)| !is_internal(key));
    let parameters = parameters.map(|(key, value)| (key.to_owned(), wire_value(value)));
    let stamp = wire_stamp(message.timestamp());
    Ok(Metadata::from_parameters(stamp, parameters.collect()))
}

fn data(message: &Message) -> Result<Option<DataMessage>, String> {
    if message.is_empty() && message.data_type() == "Null" {
        return Ok(None);
    }
    let encoded = codec::encode(message).map_err(|error| error.to_string())?;
    if encoded.len() > MAX_DATA {
        let length = encoded.len();
        return Err(format!(
            "a message of {length} bytes is dropped: dora 1.x nodes read at most {MAX_DATA}"
        ));
    }
    let mut out = AVec::with_capacity(128, encoded.len());
    for part in encoded.parts() {
        out.extend_from_slice(part);
    }
    Ok(Some(DataMessage::Vec(out)))
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
    let id = uhlc::ID::try_from(stamp.clock).unwrap_or_else(|_| uhlc::ID::rand());
    uhlc::Timestamp::new(uhlc::NTP64(stamp.time), id)
}
