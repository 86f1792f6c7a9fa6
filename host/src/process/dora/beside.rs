//! What 1.x nodes hand each other past this process, for those who look on.
//!
//! Invariant: it is only looked at: nodes that ask who hears them get no answer from here, so that nothing changes for them.
//! A message that cannot be read is left out. Absent: the session over which it is heard.

use super::v1;
use crate::ids::{DataflowId, NodeId, PortName};
use dora_message::aligned_vec::AVec;
use dora_message::metadata::{Metadata, SCHEMA_HASH, fnv1a, get_integer_param};
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Schemas that are remembered; an output has one, as a rule.
const SCHEMAS: usize = 8;
/// Bytes before the length of a schema's text: the mark of a new one.
const MARK: usize = 4;

/// Under which keys an output of a node is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Its messages.
    pub messages: String,
    /// Its schemas, which short messages leave out.
    pub schemas: String,
}

impl Keys {
    /// Those of an output.
    pub fn of(dataflow: DataflowId, node: &NodeId, output: &PortName) -> Self {
        let hex = output
            .as_str()
            .bytes()
            .fold(String::new(), |mut hex, byte| {
                // Writing to a text does not fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
        Self {
            messages: format!("dora/default/{dataflow}/output/{node}/{output}"),
            schemas: format!("dora/default/{dataflow}/schema/{node}/{hex}"),
        }
    }
}

/// Reads what is heard of one output.
#[derive(Debug, Default)]
pub struct Beside {
    /// By hash, the oldest first.
    schemas: VecDeque<(u64, Box<[u8]>)>,
}

impl Beside {
    /// A schema, as it stands at the start of a stream.
    pub fn schema(&mut self, block: &[u8]) {
        let hash = fnv1a(block);
        if self.schemas.iter().any(|(known, _)| *known == hash) {
            return;
        }
        if self.schemas.len() >= SCHEMAS {
            self.schemas.pop_front();
        }
        self.schemas.push_back((hash, block.into()));
    }

    /// A message; `None` for what is none, or cannot be read yet.
    pub fn message(&mut self, payload: &[u8], said: &[u8]) -> Option<Message> {
        let metadata: Metadata = dora_message::decode(said).ok()?;
        if metadata.metadata_version() != Metadata::CURRENT_VERSION || metadata.is_startup_marker()
        {
            return None;
        }
        let schema: &[u8] = match get_integer_param(&metadata.parameters, SCHEMA_HASH) {
            Some(hash) => {
                let mut known = self.schemas.iter();
                &known.find(|(known, _)| *known == hash.cast_unsigned())?.1
            }
            None => {
                self.schema(schema_of(payload)?);
                &[]
            }
        };
        let mut whole = AVec::with_capacity(128, schema.len() + payload.len());
        whole.extend_from_slice(schema);
        whole.extend_from_slice(payload);
        v1::message(metadata, Some(whole)).ok()
    }
}

/// The first message of a stream, which is its schema: a mark, the length of what follows, and that.
fn schema_of(stream: &[u8]) -> Option<&[u8]> {
    let length = stream.get(MARK..)?.first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    stream.get(..length.checked_add(MARK + size_of::<u32>())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use dora_message::metadata::{MetadataParameters, Parameter};
    use dora_message::uhlc::{self, NTP64};
    use plugin_abi::meta::Timestamp;

    fn stamp() -> uhlc::Timestamp {
        uhlc::Timestamp::new(NTP64(7), uhlc::ID::rand())
    }

    fn said(parameters: MetadataParameters) -> Vec<u8> {
        dora_message::encode(&Metadata::from_parameters(stamp(), parameters)).expect("encoded")
    }

    fn stream(text: &str) -> Vec<u8> {
        let now = Timestamp {
            time: 7,
            clock: [1; 16],
        };
        let message = Message::from_text(now, text, &[]).expect("a message");
        let encoded = codec::encode(&message).expect("encoded");
        encoded.parts().concat()
    }

    #[test]
    fn short_messages_are_read_with_the_schema_of_an_earlier_one() {
        let mut beside = Beside::default();
        let (first, second) = (stream("one"), stream("two"));
        let block = schema_of(&second).expect("a schema");
        let hash = i64::from_ne_bytes(fnv1a(block).to_ne_bytes());
        let hashed = said([(SCHEMA_HASH.to_owned(), Parameter::Integer(hash))].into());
        let rest = &second[block.len()..];
        assert!(beside.message(rest, &hashed).is_none(), "not yet");
        let read = beside.message(&first, &said(MetadataParameters::new()));
        assert_eq!(read.expect("a message").text().expect("text"), "one");
        let read = beside.message(rest, &hashed).expect("a message");
        assert_eq!(read.text().expect("text"), "two");
        assert!(
            read.parameters()
                .expect("parameters")
                .iter()
                .next()
                .is_none()
        );
    }

    #[test]
    fn what_is_no_message_is_left_out() {
        let mut beside = Beside::default();
        let marker = dora_message::encode(&Metadata::startup_marker(stamp())).expect("encoded");
        assert!(beside.message(&[], &marker).is_none());
        assert!(beside.message(b"x", b"").is_none());
        assert!(
            beside
                .message(b"x", &said(MetadataParameters::new()))
                .is_none()
        );
        let long = [&[0xFF; 8][..], &[0; 8]].concat();
        assert!(
            beside
                .message(&long, &said(MetadataParameters::new()))
                .is_none()
        );
    }
}
