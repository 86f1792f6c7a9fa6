//! A plugin in C passes the loader and runs like one in Rust.

use crate::harness::{Bench, Running, Workshop, address, kind_info, one_failure};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, ListArray};
use host::plugin::Plugin;
use host::plugin::preflight::Language;
use plugin_abi::ffi;
use plugin_abi::hosting::SaveError;
use plugin_abi::meta::Parameters;
use plugin_abi::node::Stop;
use plugin_abi::testing;
use std::sync::{Arc, OnceLock};

fn plugin() -> &'static Arc<Plugin> {
    static PLUGIN: OnceLock<Arc<Plugin>> = OnceLock::new();
    PLUGIN.get_or_init(|| Bench::new().load(&Workshop::new().echo("echo", "", &[])))
}

#[test]
fn its_record_and_its_kinds_are_read() {
    let info = plugin().info();
    assert_eq!(
        (info.name.as_str(), info.version.as_str()),
        ("c-fixture", "1.0.0")
    );
    let names: Vec<&str> = info.kinds.iter().map(|kind| kind.name.as_str()).collect();
    assert_eq!(names, ["c-echo", "c-counter", "c-fail"]);
    let details = plugin().handshake().details.as_ref().expect("a record");
    assert_eq!(details.language, Language::C);
    let counter = kind_info(plugin(), "c-counter");
    assert_eq!(
        counter
            .output("count")
            .and_then(|port| port.data_type.as_deref()),
        Some("UInt64")
    );
    let schema = counter.config_schema.expect("a schema");
    assert_eq!(schema["properties"]["count"]["minimum"], 1);
    assert_eq!(kind_info(plugin(), "c-echo").config_schema, None);
}

#[test]
fn messages_pass_through_it_by_pointer() {
    let mut echo = Running::start(plugin(), "c-echo", "null");
    let parameters = Parameters::new()
        .with("name", "ä")
        .with("counts", vec![1_i64, 2]);
    let sent = testing::message(vec![1_u8; 1 << 20], &parameters);
    assert_eq!(echo.give("any", &sent), ffi::OK);
    let back = echo.one("data");
    assert_eq!(address(&back), address(&sent));
    assert_eq!(back.parameters(), Ok(parameters));
    assert_eq!((echo.number("count"), sent.references()), (1, Some(2)));
    let lists =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let dictionary: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let arrays: [ArrayRef; 2] = [Arc::new(lists), Arc::new(dictionary)];
    for array in arrays {
        assert_eq!(echo.input("any", &array), ffi::OK);
        assert_eq!(&echo.one("data").array().expect("an array"), &array);
    }
    assert_eq!(echo.stop(Stop::InputsClosed), ffi::OK);
    let line = echo.lines().pop().expect("a line");
    assert_eq!(
        (line.level, line.message.as_str()),
        (3, "echoed 3 messages")
    );
    drop(echo);
    assert_eq!(back.bytes().map(<[u8]>::len), Ok(1 << 20));
}

#[test]
fn config_and_state_work() {
    let mut old = Running::start(plugin(), "c-counter", r#"{"count": 3}"#);
    assert_eq!(old.input("tick", ()), ffi::OK);
    let state = old.save().expect("a state");
    let mut new = Running::start(plugin(), "c-counter", r#"{"count": 3}"#);
    assert_eq!(new.restore(&state), ffi::OK);
    assert_eq!(new.input("tick", ()), ffi::OK);
    assert_eq!(new.number("count"), 2);
    assert_eq!(new.input("tick", ()), ffi::DONE);
    assert_eq!(new.restore(b"x"), ffi::ERR_FAILED);
    assert_eq!(new.failure().text, "state: expected 8 bytes, got 1");
    let Err((status, recorder)) = Running::create(plugin(), "c-counter", r#"{"count": 0}"#) else {
        panic!("a bad config was accepted");
    };
    assert_eq!(status, ffi::ERR_FAILED);
    assert!(one_failure(&recorder).text.starts_with("config: expected "));
    let mut stateless = Running::start(plugin(), "c-echo", "null");
    assert_eq!(stateless.save(), Err(SaveError::Unsupported));
}

#[test]
fn its_errors_have_causes_and_its_node_ends_alone() {
    let mut bystander = Running::start(plugin(), "c-echo", "null");
    let mut fails = Running::start(plugin(), "c-fail", "null");
    assert_eq!(fails.input("any", ()), ffi::ERR_FAILED);
    let failure = fails.failure();
    assert_eq!(failure.text, "a node in C fails on its first message");
    assert_eq!(failure.causes, ["because it was written to"]);
    assert_eq!(bystander.input("any", ()), ffi::OK);
}

#[test]
fn a_send_that_comes_too_late_ends_it_without_a_failure() {
    let mut echo = Running::start(plugin(), "c-echo", "null");
    echo.recorder.close();
    assert_eq!(echo.input("any", "x"), ffi::DONE);
    assert!(echo.recorder.seen().failures.is_empty());
}
