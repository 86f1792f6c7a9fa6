//! Panics and errors in every callback: the host lives, and knows node, place and text.

use crate::harness::{Running, features, one_failure};
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::{NodeFailure, SaveError};
use plugin_abi::node::Stop;

/// Makes a node fail: what the callback returned, and what the node reported.
fn fail(at: &str, how: &str) -> (Status, NodeFailure) {
    let config = format!(r#"{{"at": "{at}", "how": "{how}"}}"#);
    let mut node = match Running::create(features(), "fails", &config) {
        Err((status, recorder)) if at == "create" => return (status, one_failure(&recorder)),
        Err((status, _)) => panic!("{config}: {status}"),
        Ok(node) => node,
    };
    let status = match at {
        "input" => node.input("in", ()),
        "input-closed" => node.close("in"),
        "stop" => node.stop(Stop::Requested),
        "restore" => node.restore(b""),
        "save" => match node.save() {
            Err(SaveError::Failed(status)) => status,
            other => panic!("{other:?}"),
        },
        _ => {
            node.destroy();
            ffi::ERR_PANICKED
        }
    };
    (status, node.failure())
}

/// Where in the fixture a text stands, counted from one.
fn line_of(text: &str) -> u32 {
    let source = include_str!("../../testing/fixtures/features/src/fails.rs");
    let at = source.lines().position(|line| line.contains(text));
    at.expect("a line of the fixture") as u32 + 1
}

const CALLBACKS: [&str; 7] = [
    "create",
    "input",
    "input-closed",
    "stop",
    "save",
    "restore",
    "drop",
];

#[test]
fn a_panic_in_any_callback_is_reported_with_its_place_and_its_frames() {
    let panics = [
        ("text", "fixed text", "panic!(\"fixed text\")"),
        ("string", "made text", "panic!(\"made {}\""),
        ("number", "a panic without text", "panic_any(5_u8)"),
        ("bomb", "a panic without text", "panic_any(Bomb)"),
    ];
    for at in CALLBACKS {
        for (how, text, place) in panics {
            let (status, failure) = fail(at, how);
            assert_eq!(status, ffi::ERR_PANICKED, "{at} {how}");
            assert!(failure.panicked && failure.causes.is_empty(), "{failure:?}");
            assert_eq!(failure.text, text);
            let (file, line) = failure.place.clone().expect("a place");
            assert!(
                file.replace('\\', "/").ends_with("features/src/fails.rs"),
                "{file}"
            );
            assert_eq!(line, line_of(place), "{at} {how}");
            assert!(!failure.frames.is_empty(), "{at} {how}");
            assert_eq!(
                failure.to_string(),
                format!("panicked at {file}:{line}: {text}")
            );
        }
    }
}

#[test]
fn a_panic_that_goes_on_has_its_own_text_and_no_wrong_place() {
    let (status, failure) = fail("input", "resumed");
    assert_eq!(status, ffi::ERR_PANICKED);
    assert_eq!((failure.text.as_str(), failure.place), ("resumed", None));
}

#[test]
fn an_error_from_any_callback_comes_with_all_its_causes() {
    for at in CALLBACKS.iter().filter(|at| **at != "drop") {
        let (status, failure) = fail(at, "chain");
        assert_eq!(status, ffi::ERR_FAILED, "{at}");
        assert!(!failure.panicked && failure.place.is_none());
        assert_eq!(failure.text, "outer");
        assert_eq!(failure.causes, ["middle line", "inner"]);
        assert_eq!(failure.to_string(), "outer: middle line: inner");
    }
}

#[test]
fn an_error_whose_own_code_misbehaves_does_no_harm() {
    for at in CALLBACKS.iter().filter(|at| **at != "drop") {
        let (status, failure) = fail(at, "unspeakable");
        assert_eq!(
            (status, failure.text.as_str()),
            (ffi::ERR_PANICKED, "no words"),
            "{at}"
        );
        let (status, failure) = fail(at, "drop-bomb");
        assert_eq!(
            (status, failure.text.as_str()),
            (ffi::ERR_PANICKED, "the bomb"),
            "{at}"
        );
        let (status, failure) = fail(at, "endless");
        assert_eq!(
            (status, failure.text.as_str()),
            (ffi::ERR_FAILED, "again"),
            "{at}"
        );
        assert!(failure.causes.len() < 100);
    }
}

#[test]
fn a_send_that_came_too_late_is_no_failure_also_as_a_cause() {
    let config = r#"{"at": "input", "how": "closed"}"#;
    let mut node = Running::start(features(), "fails", config);
    assert_eq!(node.input("in", ()), ffi::DONE);
    assert!(node.recorder.seen().failures.is_empty());
}

#[test]
fn one_failed_instance_leaves_the_others_alone() {
    let mut bystander = Running::start(features(), "echo", "{}");
    let (status, _) = fail("input", "text");
    assert_eq!(status, ffi::ERR_PANICKED);
    assert_eq!(bystander.input("in", "still here"), ffi::OK);
    assert_eq!(bystander.text("out"), "still here");
}
