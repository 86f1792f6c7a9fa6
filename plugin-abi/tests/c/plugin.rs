//! The fixture that C authors copy from: `host/testing/fixtures/c/echo.c`.

use super::{Plugin, Seen, input, message, taken};
use arrow_array::{Array, StringArray, StructArray, UInt64Array};
use plugin_abi::ffi;
use plugin_abi::hosting::{Event, KindTable, SaveError, Table};
use plugin_abi::message::Message;
use plugin_abi::meta::Parameters;
use plugin_abi::node::Stop;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

static PLUGIN: LazyLock<Plugin> =
    LazyLock::new(|| Plugin::load("../host/testing/fixtures/c/echo.c"));

fn tick() -> Message {
    message(&UInt64Array::from(vec![0]), &Parameters::new())
}

fn counts(table: &Table<Seen>) -> Vec<u64> {
    let sent = taken(&table.callbacks().sent);
    sent.iter()
        .map(|(_, message)| message.value().expect("a count"))
        .collect()
}

#[test]
fn a_kind_that_lacks_a_function_is_refused() {
    let (_, kinds) = Plugin::open("tests/c/incomplete.c");
    let error = kinds.expect_err("no function to save the state");
    assert_eq!(
        error,
        "node kind \"forgetful\" has no function `save_state`"
    );
}

#[test]
fn it_declares_its_kinds() {
    let names: Vec<String> = PLUGIN.kinds.iter().map(KindTable::name).collect();
    assert_eq!(names, ["c-echo", "c-counter", "c-fail"]);
    let counter = PLUGIN.kind("c-counter");
    assert_eq!(
        counter.inputs()[0],
        ["tick", "asks for the next number", ""]
    );
    assert_eq!(counter.outputs()[0], ["count", "1, 2, 3, ...", "UInt64"]);
    let schema: serde_json::Value = serde_json::from_str(&counter.config_schema()).expect("JSON");
    assert_eq!(schema["properties"]["count"]["minimum"], 1);
    assert_eq!(PLUGIN.kind("c-echo").inputs()[0][0], "*");
}

#[test]
fn an_echo_shares_the_data_and_keeps_the_parameters() {
    let texts = StringArray::from(vec![Some("a"), None, Some("größer")]);
    let column: (&str, Arc<dyn Array>) = ("text", Arc::new(texts));
    let array = StructArray::try_from(vec![column]).expect("a struct");
    let parameters = Parameters::new()
        .with("frame", 7_i64)
        .with("encoding", "utf8");
    let table = PLUGIN.table();
    let mut echo = PLUGIN
        .create(&table, "c-echo", &["data", "count"], "null")
        .expect("an instance");
    let original = message(&array, &parameters);
    for n in 1..=3 {
        assert_eq!(echo.on_event(input(&original)), ffi::OK);
        let sent = taken(&table.callbacks().sent);
        let [(0, data), (1, count)] = &sent[..] else {
            panic!("{sent:?}")
        };
        assert_eq!(count.value::<u64>(), Ok(n));
        assert_eq!(data.parameters(), Ok(parameters.clone()));
        let echoed = data.array().expect("a struct").to_data();
        assert_eq!(echoed, array.to_data());
        let bytes = |data: &arrow_data::ArrayData| data.child_data()[0].buffers()[1].as_ptr();
        assert_eq!(bytes(&echoed), bytes(&array.to_data()));
        assert_eq!(original.references(), Some(2));
    }
    assert_eq!(original.references(), Some(1));
    // What was sent outlives the instance and the message that it came from.
    assert_eq!(echo.on_event(input(&original)), ffi::OK);
    drop((echo, original));
    let sent = taken(&table.callbacks().sent);
    assert_eq!(
        sent[0].1.array().expect("a struct").to_data(),
        array.to_data()
    );
}

#[test]
fn outputs_that_nobody_wants_are_left_out() {
    let table = PLUGIN.table();
    let mut echo = PLUGIN
        .create(&table, "c-echo", &[], "null")
        .expect("an instance");
    assert_eq!(echo.on_event(input(&tick())), ffi::OK);
    let mut counter = PLUGIN
        .create(&table, "c-counter", &[], "{}")
        .expect("an instance");
    assert_eq!(counter.on_event(input(&tick())), ffi::OK);
    assert!(taken(&table.callbacks().sent).is_empty());
}

#[test]
fn a_counter_ends_at_its_limit() {
    let table = PLUGIN.table();
    for config in [r#"{"count": 3}"#, "{\"count\":3}", " {\n\"count\" : 3 } "] {
        let mut counter = PLUGIN
            .create(&table, "c-counter", &["count"], config)
            .expect(config);
        let statuses = [(); 3].map(|()| counter.on_event(input(&tick())));
        assert_eq!(statuses, [ffi::OK, ffi::OK, ffi::DONE]);
        assert_eq!(counts(&table), [1, 2, 3]);
    }
    let mut counter = PLUGIN
        .create(&table, "c-counter", &["count"], "null")
        .expect("an instance");
    assert_eq!(counter.on_event(Event::InputClosed { input: 0 }), ffi::OK);
    assert_eq!(counter.on_event(Event::Stop(Stop::Requested)), ffi::OK);
    assert!(counts(&table).is_empty());
}

#[test]
fn a_config_that_makes_no_sense_is_refused_with_its_text() {
    for config in [
        "",
        "[]",
        "{",
        "nul",
        "nullx",
        r#"{"count"}"#,
        r#"{"count": 0}"#,
        r#"{"count": -1}"#,
        r#"{"count": 1e3}"#,
        r#"{"count": 1} x"#,
        r#"{"count": 1, "count": 2}"#,
        r#"{"count": 1234567890123456789}"#,
        r#"{"cuont": 1}"#,
    ] {
        let table = PLUGIN.table();
        let status = PLUGIN.create(&table, "c-counter", &["count"], config).err();
        assert_eq!(status, Some(ffi::ERR_FAILED), "{config}");
        let failures = taken(&table.callbacks().failures);
        let text = &failures[0].text;
        assert!(text.ends_with(&format!("got {config}")), "{text}");
    }
}

#[test]
fn a_state_is_taken_up_by_the_next_instance() {
    let table = PLUGIN.table();
    let config = r#"{"count": 258}"#;
    let mut first = PLUGIN
        .create(&table, "c-counter", &["count"], config)
        .expect("an instance");
    for _ in 0..257 {
        assert_eq!(first.on_event(input(&tick())), ffi::OK);
    }
    let state = first.save_state().expect("a state");
    assert_eq!(state, [1, 1, 0, 0, 0, 0, 0, 0]);
    drop(first);
    taken(&table.callbacks().sent);
    let mut second = PLUGIN
        .create(&table, "c-counter", &["count"], config)
        .expect("an instance");
    assert_eq!(second.restore_state(&state), ffi::OK);
    assert_eq!(second.on_event(input(&tick())), ffi::DONE);
    assert_eq!(counts(&table), [258]);
    let mut third = PLUGIN
        .create(&table, "c-counter", &["count"], config)
        .expect("an instance");
    assert_eq!(third.restore_state(&state[1..]), ffi::ERR_FAILED);
    assert_eq!(
        taken(&table.callbacks().failures)[0].text,
        "state: expected 8 bytes, got 7"
    );
    let mut echo = PLUGIN
        .create(&table, "c-echo", &[], "null")
        .expect("an instance");
    assert_eq!(echo.save_state(), Err(SaveError::Unsupported));
    assert_eq!(echo.restore_state(&state), ffi::ERR_UNSUPPORTED);
}

#[test]
fn a_failure_names_its_cause_and_its_place() {
    let table = PLUGIN.table();
    let mut instance = PLUGIN
        .create(&table, "c-fail", &[], "null")
        .expect("an instance");
    assert_eq!(instance.on_event(Event::InputClosed { input: 0 }), ffi::OK);
    assert_eq!(instance.on_event(input(&tick())), ffi::ERR_FAILED);
    let failures = taken(&table.callbacks().failures);
    let [failure] = &failures[..] else {
        panic!("{failures:?}")
    };
    assert!(!failure.panicked);
    assert_eq!(failure.text, "a node in C fails on its first message");
    assert_eq!(failure.causes, ["because it was written to"]);
    let (file, line) = failure.place.as_ref().expect("a place");
    assert!(file.ends_with("echo.c") && *line > 0, "{file}:{line}");
}

#[test]
fn a_node_that_has_been_told_to_stop_is_done() {
    let table = PLUGIN.table();
    let mut counter = PLUGIN
        .create(&table, "c-counter", &["count"], "{}")
        .expect("an instance");
    table.callbacks().closed.store(1, Ordering::SeqCst);
    assert_eq!(counter.on_event(input(&tick())), ffi::DONE);
    assert!(taken(&table.callbacks().failures).is_empty());
}

#[test]
fn lines_come_with_their_place_and_only_when_they_are_wanted() {
    let table = PLUGIN.table();
    let mut echo = PLUGIN
        .create(&table, "c-echo", &["data"], "null")
        .expect("an instance");
    assert_eq!(echo.on_event(input(&tick())), ffi::OK);
    table.level().store(2, Ordering::Relaxed);
    assert_eq!(echo.on_event(Event::Stop(Stop::Requested)), ffi::OK);
    assert!(taken(&table.callbacks().lines).is_empty());
    table.level().store(3, Ordering::Relaxed);
    assert_eq!(echo.on_event(Event::Stop(Stop::InputsClosed)), ffi::OK);
    let lines = taken(&table.callbacks().lines);
    assert_eq!((lines[0].0, lines[0].1.as_str()), (3, "echoed 1 messages"));
    assert!(lines[0].2.ends_with("echo.c"));
}
