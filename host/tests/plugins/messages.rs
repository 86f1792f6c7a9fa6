//! What an author sees, through a loaded library: data, parameters, config, context, state.

use crate::harness::{
    DATAFLOW, DEADLINE, NODE, Running, address, features, kind_info, message, one_failure,
};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, ListArray, StringArray, StructArray,
};
use arrow_schema::{DataType, Field};
use host_testing::{repo_root, run};
use plugin_abi::ffi;
use plugin_abi::hosting::SaveError;
use plugin_abi::meta::{Parameters, Timestamp};
use plugin_abi::node::Stop;
use plugin_abi::testing;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn every_parameter() -> Parameters {
    Parameters::new()
        .with("flag", true)
        .with("count", -5_i64)
        .with("ratio", 0.25)
        .with("name", "ä")
        .with("counts", vec![1_i64, 2])
        .with("ratios", vec![0.5_f64])
        .with("names", vec!["a".to_owned(), String::new()])
}

#[test]
fn one_library_exports_many_kinds_with_their_ports_and_types() {
    let info = features().info();
    let names: Vec<&str> = info.kinds.iter().map(|kind| kind.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "echo",
            "idle",
            "sends",
            "context",
            "configured",
            "counts",
            "statics",
            "address",
            "fills",
            "produces",
            "mistakes",
            "fails",
            "lines",
            "pokes",
            "ends",
            "repeats"
        ]
    );
    assert_eq!(
        (info.name.as_str(), info.version.as_str()),
        ("features", "0.1.0")
    );
    let echo = kind_info(features(), "echo");
    assert_eq!(echo.description, "Sends each message again");
    assert_eq!(echo.outputs[0].data_type, None);
    let sends = kind_info(features(), "sends");
    assert_eq!(
        sends
            .output("number")
            .and_then(|port| port.data_type.as_deref()),
        Some("UInt64")
    );
    assert!(sends.output("other").is_none());
    let context = kind_info(features(), "context");
    assert!(context.input("whatever").is_some());
}

#[test]
fn data_of_every_kind_come_back_as_they_are() {
    let mut echo = Running::start(features(), "echo", "{}");
    let dictionary: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let lists =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let fields = vec![
        Field::new("keys", dictionary.data_type().clone(), true),
        Field::new("values", DataType::Int64, true),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(dictionary.clone()),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
    ];
    let records = StructArray::new(fields.into(), columns, None);
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("x"), None])),
        Arc::new(lists),
        Arc::new(dictionary),
        Arc::new(records.slice(1, 2)),
        Arc::new(records),
    ];
    for array in arrays {
        assert_eq!(echo.input("in", &array), ffi::OK);
        assert_eq!(&echo.one("out").array().expect("an array"), &array);
    }
    macro_rules! numbers {
        ($($number:ty),*) => {$(
            assert_eq!(echo.input("in", [<$number>::MIN, 1 as $number, <$number>::MAX]), ffi::OK);
            let back = echo.one("out");
            assert_eq!(back.values::<$number>(), Ok([<$number>::MIN, 1 as $number, <$number>::MAX].as_slice()));
        )*};
    }
    numbers!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);
    assert_eq!(echo.input("in", "text"), ffi::OK);
    assert_eq!(echo.text("out"), "text");
    assert_eq!(echo.input("in", ()), ffi::OK);
    assert_eq!(echo.one("out").data_type(), "Null");
    assert_eq!(echo.input("in", Vec::<u8>::new()), ffi::OK);
    assert!(echo.one("out").is_empty());
}

#[test]
fn a_message_that_is_passed_on_keeps_its_buffers_and_parameters_and_gets_a_new_timestamp() {
    let mut echo = Running::start(features(), "echo", "{}");
    let sent = testing::message(vec![1_u8; 1000], &every_parameter());
    assert_eq!(echo.give("in", &sent), ffi::OK);
    let back = echo.one("out");
    assert_eq!(address(&back), address(&sent));
    assert_eq!(back.parameters(), Ok(every_parameter()));
    assert_eq!(
        back.timestamp(),
        Timestamp {
            time: 42,
            clock: [7; 16]
        }
    );
    // The echo holds the first message, and nothing else does.
    assert_eq!(sent.references(), Some(2));
    drop(echo);
    drop(sent);
    assert_eq!(back.bytes().map(<[u8]>::len), Ok(1000));
}

#[test]
fn the_data_outlive_the_node_that_made_them() {
    let mut produces = Running::start(features(), "produces", "{}");
    assert_eq!(produces.input("length", 100_u64), ffi::OK);
    let (data, at) = (produces.one("data"), produces.number("at"));
    drop(produces);
    assert_eq!(address(&data), at, "moved, not copied");
    assert_eq!(data.array().expect("an array").len(), 100);
    assert_eq!(data.bytes(), Ok([7; 100].as_slice()));
}

#[test]
fn the_hosts_memory_is_filled_in_place() {
    let mut fills = Running::start(features(), "fills", "{}");
    let rooms = fills.recorder.rooms.clone();
    assert_eq!(fills.input("length", 1000_u64), ffi::OK);
    let (squares, at) = (fills.one("squares"), fills.number("at"));
    let values = squares.values::<u32>().expect("numbers");
    assert_eq!((values.as_ptr().addr() as u64, values.len()), (at, 1000));
    assert!(at.is_multiple_of(64));
    assert_eq!((values[0], values[999]), (0, 999 * 999));
    assert_eq!(
        squares.parameters(),
        Ok(Parameters::new().with("filled", true))
    );
    assert_eq!(rooms.load(Ordering::SeqCst), 1);
    let array = squares.array().expect("an array");
    drop(squares);
    assert_eq!(rooms.load(Ordering::SeqCst), 1, "the array still reads it");
    drop(array);
    assert_eq!(rooms.load(Ordering::SeqCst), 0);
    // Memory that is not sent goes back, too.
    assert_eq!(fills.input("forget", 1000_u64), ffi::OK);
    assert_eq!(rooms.load(Ordering::SeqCst), 0);
    assert_eq!(fills.input("length", 0_u64), ffi::OK);
    assert!(fills.one("squares").is_empty());
    // More than there is memory for.
    assert_eq!(fills.input("length", u64::MAX / 8), ffi::ERR_FAILED);
    assert_eq!(
        fills.failure().text,
        "the host has no memory for the message"
    );
}

#[test]
fn a_node_is_told_where_it_is_and_what_happens() {
    let plugin = features();
    let mut context = Running::start(plugin, "context", "{}");
    assert_eq!(context.text("context"), "made", "sent while it was made");
    assert_eq!(context.input("any", ()), ffi::OK);
    let folder = plugin.path().canonicalize().expect("a path");
    let folder = folder.parent().expect("a folder").display().to_string();
    assert_eq!(
        context.text("context"),
        format!("any {NODE} {DATAFLOW} any 3 {folder}")
    );
    assert_eq!(context.close("any"), ffi::OK);
    assert_eq!(context.text("context"), "any closed");
    assert_eq!(context.stop(Stop::InputsClosed), ffi::DONE);
    assert_eq!(context.text("context"), format!("{NODE} InputsClosed"));
    let mut context = Running::start(plugin, "context", "{}");
    assert_eq!(context.stop(Stop::Requested), ffi::DONE);
    assert_eq!(context.take("context").len(), 2);
}

#[test]
fn the_config_is_what_the_schema_says() {
    let schema = kind_info(features(), "configured")
        .config_schema
        .expect("a schema");
    for (pointer, expected) in [
        ("/properties/times/description", "How often."),
        ("/properties/times/default", "3"),
        ("/properties/times/maximum", "255"),
        ("/properties/words/items/type", "string"),
        ("/$defs/Volume/enum/1", "very-high"),
        ("/additionalProperties", "false"),
    ] {
        let found = schema.pointer(pointer);
        let found = found.map(|value| value.as_str().map_or_else(|| value.to_string(), Into::into));
        assert_eq!(found.as_deref(), Some(expected), "{pointer} in {schema:#}");
    }
    for (config, expected) in [
        ("{}", "3 [] None"),
        ("null", "3 [] None"),
        ("", "3 [] None"),
        (
            r#"{"times": 9, "words": ["a", "ä"], "volume": "very-high"}"#,
            r#"9 ["a", "ä"] Some(VeryHigh)"#,
        ),
    ] {
        let mut node = Running::start(features(), "configured", config);
        assert_eq!(node.input("in", ()), ffi::DONE);
        assert_eq!(node.text("config"), expected);
    }
    for (config, expected) in [
        (
            r#"{"times": 300}"#,
            "config: invalid value: integer `300`, expected u8 at line 1 column 13",
        ),
        (
            r#"{"tims": 1}"#,
            "config: unknown field `tims`, expected one of `times`, `words`, `volume` at line 1 column 7",
        ),
        ("[", "config: EOF while parsing a list at line 1 column 1"),
    ] {
        let Err((status, recorder)) = Running::create(features(), "configured", config) else {
            panic!("{config} was accepted");
        };
        assert_eq!(
            (status, one_failure(&recorder).text.as_str()),
            (ffi::ERR_FAILED, expected)
        );
    }
}

#[test]
fn state_goes_from_one_instance_to_the_next() {
    let mut old = Running::start(features(), "counts", "{}");
    for _ in 0..3 {
        assert_eq!(old.input("tick", ()), ffi::OK);
    }
    let state = old.save().expect("a state");
    let mut new = Running::start(features(), "counts", "{}");
    assert_eq!(new.restore(&state), ffi::OK);
    assert_eq!(new.input("tick", ()), ffi::OK);
    assert_eq!(new.number("count"), 4);
    assert_eq!(new.restore(b"abc"), ffi::ERR_FAILED);
    assert_eq!(new.failure().text, "could not convert slice to array");
    let mut stateless = Running::start(features(), "echo", "{}");
    assert_eq!(stateless.save(), Err(SaveError::Unsupported));
    assert_eq!(stateless.restore(&state), ffi::ERR_FAILED);
    assert_eq!(stateless.failure().text, "this node kind keeps no state");
}

#[test]
fn data_of_another_type_than_asked_for_are_a_clear_error() {
    let mut node = Running::start(features(), "address", "{}");
    assert_eq!(node.input("in", "text"), ffi::ERR_FAILED);
    assert_eq!(node.failure().text, "expected UInt8, got Utf8");
    let mut node = Running::start(features(), "address", "{}");
    let nulls: ArrayRef = Arc::new(arrow_array::UInt8Array::from(vec![Some(1), None]));
    assert_eq!(node.give("in", &message(&nulls)), ffi::ERR_FAILED);
    assert_eq!(node.failure().text, "expected no null values");
    assert_eq!(
        nulls
            .as_primitive::<arrow_array::types::UInt8Type>()
            .null_count(),
        1
    );
}

#[test]
fn a_node_that_sends_bytes_does_not_compile_arrow() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut tree = Command::new(cargo);
    tree.current_dir(repo_root().join("host/testing/fixtures"))
        .args(["tree", "--offline", "--package", "features"])
        .args(["--edges", "normal", "--prefix", "none"]);
    let tree = run(&mut tree, DEADLINE).success();
    assert!(
        tree.contains("plugin-abi") && !tree.contains("arrow"),
        "{tree}"
    );
}
