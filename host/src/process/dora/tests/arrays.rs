//! Arrays through either wire and back, by dora's own crates on the other side.

use super::{FLOW, register_v0, register_v1, stamp_v0, stamp_v1};
use crate::process::dora::segment::{NoSegments, Segments, SystemSegments};
use crate::process::dora::words::{NodeEvent, NodeReply, NodeRequest, Sent};
use crate::process::dora::{v0, v1};
use arrow_array::builder::{ListBuilder, StringBuilder, UInt8Builder};
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_schema::{DataType, Field};
use plugin_abi::message::Message;
use plugin_abi::meta::{Parameters, Timestamp};
use std::sync::Arc;

fn arrays() -> Vec<ArrayRef> {
    let mut bytes = ListBuilder::new(UInt8Builder::new());
    bytes.append_value((0..10).map(Some));
    bytes.append_null();
    let mut texts = ListBuilder::new(StringBuilder::new());
    texts.append_value([Some("a"), None]);
    let point = |name: &str, values: ArrayRef| {
        let field = Field::new(name, values.data_type().clone(), true);
        (Arc::new(field), values)
    };
    let boxes = StructArray::from(vec![
        point("bbox", Arc::new(bytes.finish()) as ArrayRef),
        point("label", Arc::new(StringArray::from(vec!["a", "ä"]))),
    ]);
    let dictionary: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let nulls = Int64Array::from(vec![Some(1), None, Some(3), None, Some(5)]);
    let values = Arc::new(Float32Array::from(vec![0.5; 6]));
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    vec![
        Arc::new(UInt8Array::from(vec![1, 2, 3])),
        Arc::new(Int8Array::from(vec![-1])),
        Arc::new(UInt16Array::from(vec![1])),
        Arc::new(Int32Array::from(vec![Some(-1), None])),
        Arc::new(UInt64Array::from(vec![u64::MAX])),
        Arc::new(Float64Array::from(vec![0.1; 1000])),
        Arc::new(nulls.slice(1, 3)),
        Arc::new(nulls),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]).slice(1, 2)),
        Arc::new(StringArray::from(vec![Some("one"), None, Some("€")]).slice(1, 2)),
        Arc::new(LargeStringArray::from(vec!["x".repeat(9000)])),
        Arc::new(StringViewArray::from(vec![
            "short",
            "longer than twelve bytes",
        ])),
        Arc::new(BinaryArray::from(vec![&b"\0\xff"[..], b""])),
        Arc::new(texts.finish()),
        Arc::new(FixedSizeListArray::new(item, 3, values, None)),
        Arc::new(boxes.slice(1, 1)),
        Arc::new(boxes),
        Arc::new(dictionary),
        Arc::new(TimestampNanosecondArray::from(vec![1]).with_timezone("UTC")),
        Arc::new(Date32Array::from(vec![1])),
        Arc::new(DurationMicrosecondArray::from(vec![1])),
        Arc::new(
            Decimal128Array::from(vec![1])
                .with_precision_and_scale(9, 2)
                .expect("it fits"),
        ),
        Arc::new(UInt8Array::from(vec![7; 100_000])),
    ]
}

fn parameters() -> Parameters {
    Parameters::new()
        .with("count", -5_i64)
        .with("counts", vec![1_i64, 2])
        .with("flag", true)
        .with("name", "ä")
        .with("names", vec!["a".to_owned(), String::new()])
        .with("ratio", 0.25)
        .with("ratios", vec![0.5_f64])
}

fn message(array: &ArrayRef) -> Message {
    let stamp = Timestamp {
        time: 5 << 32,
        clock: [9; 16],
    };
    let field = Field::new("", array.data_type().clone(), true);
    let parameters = parameters().with("_framing", "arrow-ipc");
    Message::from_arrow(stamp, &field, array, &parameters.encode()).expect("a message")
}

fn event(array: &ArrayRef) -> NodeReply {
    let input = "in".parse().expect("a name");
    NodeReply::Events(vec![NodeEvent::Input {
        input,
        message: message(array),
    }])
}

fn now() -> Timestamp {
    Timestamp {
        time: 6 << 32,
        clock: [3; 16],
    }
}

/// What a 0.7 node sends when it hands on what it was sent.
fn returned_v0(array: &ArrayRef, segments: &dyn Segments) -> Vec<u8> {
    use dora_message_v0::common::Timestamped;
    use dora_message_v0::daemon_to_node::{DaemonReply, NodeEvent};
    use dora_message_v0::node_to_daemon::DaemonRequest;
    let mut faults = Vec::new();
    let encoded = v0::encode(event(array), now(), segments, &mut faults).expect("a reply");
    assert_eq!(faults, [""; 0]);
    let reply = bincode::deserialize(&encoded.body).expect("dora reads it");
    let DaemonReply::NextEvents(mut events) = reply else {
        panic!("{reply:?}");
    };
    let event = events.remove(0).inner;
    let NodeEvent::Input { metadata, data, .. } = event else {
        panic!("{event:?}");
    };
    // Kept until it has been read back.
    std::mem::forget(encoded.lent);
    let inner = DaemonRequest::SendMessage {
        output_id: "out".into(),
        metadata,
        data,
    };
    bincode::serialize(&Timestamped {
        inner,
        timestamp: stamp_v0(),
    })
    .expect("bytes")
}

/// What a 1.1 node sends when it hands on what it was sent.
fn returned_v1(array: &ArrayRef) -> Vec<u8> {
    use dora_message::common::Timestamped;
    use dora_message::daemon_to_node::{DaemonReply, NodeEvent};
    use dora_message::metadata::{FRAMING, Parameter};
    use dora_message::node_to_daemon::DaemonRequest;
    let mut faults = Vec::new();
    let body = v1::encode(event(array), now(), &mut faults).expect("a reply");
    assert_eq!(faults, [""; 0]);
    let reply = dora_message::decode(&body).expect("dora reads it");
    let DaemonReply::NextEvents(mut events) = reply else {
        panic!("{reply:?}");
    };
    let event = events.remove(0).inner;
    let NodeEvent::Input { metadata, data, .. } = event else {
        panic!("{event:?}");
    };
    let mut metadata = Arc::unwrap_or_clone(metadata);
    let framing = Parameter::String("arrow-ipc".to_owned());
    metadata.parameters.insert(FRAMING.to_owned(), framing);
    let inner = DaemonRequest::SendMessage {
        output_id: "out".parse().expect("a name"),
        metadata,
        data: data.map(Arc::unwrap_or_clone),
    };
    dora_message::encode(&Timestamped {
        inner,
        timestamp: stamp_v1(),
    })
    .expect("bytes")
}

fn same(request: NodeRequest, array: &ArrayRef) -> Sent {
    let NodeRequest::Send(sent) = request else {
        panic!("{request:?}");
    };
    assert_eq!(sent.output.as_str(), "out");
    let message = sent.message.as_ref().expect("a message");
    assert_eq!(&message.array().expect("an array"), array);
    assert_eq!(message.parameters(), Ok(parameters()));
    let stamp = Timestamp {
        time: 5 << 32,
        clock: [9; 16],
    };
    assert_eq!(message.timestamp(), stamp);
    sent
}

#[test]
fn every_array_passes_the_wire_of_0_x_inline() {
    for array in arrays() {
        let bytes = returned_v0(&array, &NoSegments);
        let sent = same(v0::decode(&bytes, &NoSegments).expect("a request"), &array);
        assert_eq!(sent.token, None);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn large_arrays_pass_the_wire_of_0_x_in_shared_memory() {
    let mut shared = 0;
    for array in arrays() {
        let mut faults = Vec::new();
        let encoded = v0::encode(event(&array), now(), &SystemSegments, &mut faults);
        let lent = encoded.expect("a reply").lent;
        shared += lent.len();
    }
    assert_eq!(shared, 3);
}

#[test]
fn every_array_passes_the_wire_of_1_x() {
    for array in arrays() {
        let bytes = returned_v1(&array);
        same(v1::decode(&bytes).expect("a request"), &array);
    }
}

#[test]
fn a_message_whose_shared_memory_is_gone_is_dropped_and_its_token_kept() {
    use dora_message_v0::common::{DataMessage, DropToken, Timestamped};
    use dora_message_v0::metadata::{ArrowTypeInfo, Metadata};
    use dora_message_v0::node_to_daemon::DaemonRequest;
    let info = ArrowTypeInfo {
        data_type: dora_message_v0::arrow_schema::DataType::UInt8,
        len: 5000,
        null_count: 0,
        validity: None,
        offset: 0,
        buffer_offsets: Vec::new(),
        child_data: Vec::new(),
    };
    let inner = DaemonRequest::SendMessage {
        output_id: "out".into(),
        metadata: Metadata::new(stamp_v0(), info),
        data: Some(DataMessage::SharedMemory {
            shared_memory_id: "/shmem_none".to_owned(),
            len: 5000,
            drop_token: DropToken::generate(),
        }),
    };
    let bytes = bincode::serialize(&Timestamped {
        inner,
        timestamp: stamp_v0(),
    })
    .expect("bytes");
    let request = v0::decode(&bytes, &SystemSegments).expect("a request");
    let NodeRequest::Send(sent) = request else {
        panic!("{request:?}");
    };
    assert!(sent.token.is_some());
    let text = sent.message.expect_err("no memory");
    assert!(text.contains("shared memory"), "{text}");
}

#[test]
fn what_one_generation_cannot_hold_is_left_out_and_said() {
    let narrow: ArrayRef = Arc::new(Decimal32Array::from(vec![1]));
    let mut faults = Vec::new();
    let none = v0::encode(event(&narrow), now(), &NoSegments, &mut faults);
    assert!(none.is_none());
    assert!(faults[0].contains("input `in`"), "{faults:?}");

    let huge: ArrayRef = Arc::new(UInt8Array::from(vec![0; 60 << 20]));
    let mut faults = Vec::new();
    assert!(v1::encode(event(&huge), now(), &mut faults).is_none());
    assert!(faults[0].contains("at most"), "{faults:?}");
}

/// Good requests of both generations, to be spoiled.
pub(super) fn requests() -> Vec<Vec<u8>> {
    let mut out = vec![register_v0("node"), register_v1("node")];
    for array in arrays().iter().filter(|it| it.len() < 2000) {
        out.push(returned_v0(array, &NoSegments));
        out.push(returned_v1(array));
    }
    assert_eq!(FLOW.as_bytes()[0], 0xAB);
    out
}
