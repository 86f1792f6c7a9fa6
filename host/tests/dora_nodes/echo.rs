//! A node that sends back what it reads: every kind of array that dora's examples use, in every size.

use crate::host::{Served, serve};
use crate::python::text;
use crate::{TestHost, each};
use ::host::process::dora::sniff::Versions;
use ::host::process::dora::words::NodeEvent;
use arrow_array::builder::{ListBuilder, UInt8Builder};
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_schema::{DataType, Field};
use plugin_abi::message::Message;
use plugin_abi::meta::{Parameters, Timestamp};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const ECHO: &str = r#"
from dora import Node
node = Node()
for event in node:
    if event["type"] == "INPUT" and event["id"] == "data":
        metadata = event["metadata"]
        parameters = {k: v for k, v in metadata.items() if k in ("flag", "count", "ratio", "name", "counts", "names")}
        node.send_output("out", event["value"], parameters)
    elif event["type"] == "INPUT":
        print("tick", event["id"], len(event["value"]))
    else:
        print("event", event["type"])
print("the end")
"#;

fn arrays() -> Vec<(&'static str, ArrayRef)> {
    let mut images = ListBuilder::new(UInt8Builder::new());
    images.append_value((0..10).map(Some));
    images.append_null();
    images.append_value([Some(1), None]);
    let fields = vec![
        (
            Arc::new(Field::new("x", DataType::Float64, true)),
            Arc::new(Float64Array::from(vec![Some(1.5), None])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("label", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["a", "ä"])) as ArrayRef,
        ),
    ];
    let dictionary: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let large: Vec<u8> = (0..5_000_000_u32).map(|it| it as u8).collect();
    let all: Vec<(&str, ArrayRef)> = vec![
        ("uint8", Arc::new(UInt8Array::from(vec![1, 2, 3]))),
        (
            "int64",
            Arc::new(Int64Array::from(vec![Some(-1), None, Some(3)])),
        ),
        ("float32", Arc::new(Float32Array::from(vec![0.5; 2000]))),
        (
            "bool",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
        (
            "text",
            Arc::new(StringArray::from(vec![Some("one"), None, Some("drei €")])),
        ),
        (
            "large text",
            Arc::new(LargeStringArray::from(vec!["x".repeat(9000)])),
        ),
        (
            "binary",
            Arc::new(BinaryArray::from(vec![&b"\0\xff"[..], b""])),
        ),
        ("list", Arc::new(images.finish())),
        ("struct", Arc::new(StructArray::from(fields))),
        ("dictionary", Arc::new(dictionary)),
        (
            "slice",
            Arc::new(Int64Array::from_iter_values(0..100).slice(10, 5)),
        ),
        ("empty", Arc::new(UInt8Array::from(Vec::<u8>::new()))),
        ("4096 bytes", Arc::new(UInt8Array::from(vec![7; 4096]))),
        ("5 MB", Arc::new(UInt8Array::from(large))),
    ];
    all
}

fn parameters() -> Parameters {
    Parameters::new()
        .with("flag", true)
        .with("count", -5_i64)
        .with("ratio", 0.25)
        .with("name", "ä")
        .with("counts", vec![1_i64, 2])
        .with("names", vec!["a".to_owned(), "b".to_owned()])
}

fn message(array: &ArrayRef) -> Message {
    let stamp = Timestamp::new(SystemTime::now(), [9; 16]);
    let field = Field::new("", array.data_type().clone(), true);
    Message::from_arrow(stamp, &field, array, &parameters().encode()).expect("a message")
}

pub fn input(name: &str, array: &ArrayRef) -> NodeEvent {
    NodeEvent::Input {
        input: name.parse().expect("a name"),
        message: message(array),
    }
}

pub fn started(
    python: &crate::Python,
    folder: &std::path::Path,
) -> (Served, crate::python::Running) {
    let served = serve(Versions::All);
    let running = python.start(folder, ECHO, &served.launch.yaml());
    served.host.wait("it subscribes", |seen| seen.subscribed);
    served.host.start();
    (served, running)
}

#[test]
fn every_array_goes_to_a_node_and_comes_back() {
    each(|python, format| {
        let folder = host_testing::fresh_dir();
        let (served, running) = started(python, folder.path());
        let host = &served.host;
        let null: ArrayRef = Arc::new(NullArray::new(0));
        host.put(input("tick", &null));
        for (count, (name, array)) in arrays().into_iter().enumerate() {
            host.put(input("data", &array));
            host.wait(name, |seen| seen.sent.len() > count);
            host.look(|seen| {
                let (output, back) = &seen.sent[count];
                assert_eq!(output, "out");
                let returned = back.array().expect("an array");
                assert_eq!(&returned, &array, "{name} from message format {format}");
                same_parameters(back, name);
            });
        }
        host.put(NodeEvent::Stop);
        host.end();
        let output = running.ended(Duration::from_secs(20)).expect("it ends");
        assert!(output.status.success(), "{}", text(&output));
        let printed = text(&output);
        for line in ["tick tick 0", "event STOP", "the end"] {
            assert!(printed.contains(line), "{format}: {printed}");
        }
        finished(host, format);
    });
}

fn same_parameters(back: &Message, name: &str) {
    let back = back.parameters().expect("parameters");
    for (key, value) in parameters().iter() {
        assert_eq!(back.get(key), Some(value), "{name}: {key}");
    }
}

fn finished(host: &TestHost, format: &str) {
    host.wait("it detaches", |seen| seen.detached);
    host.look(|seen| {
        assert_eq!(seen.faults, [""; 0]);
        assert!(seen.outputs_done && seen.events_dropped, "{format}");
        let version = seen.hello.as_ref().map(|it| it.version.to_string());
        assert_eq!(version.as_deref(), Some(format));
    });
}
