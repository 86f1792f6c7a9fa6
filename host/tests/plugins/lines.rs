//! What plugins log reaches the host with level, target, fields, place and node, as far as the host wants it.

use crate::harness::{Bench, Line, Running, features};
use host::plugin::Plugin;
use host_testing::fixtures;
use plugin_abi::ffi;
use plugin_abi::node::Stop;
use std::sync::atomic::Ordering;

fn said(plugin: &Plugin, what: &str, level: u32) -> Vec<Line> {
    let mut node = Running::start(plugin, "lines", "{}");
    node.lines();
    node.level.store(level, Ordering::Relaxed);
    assert_eq!(node.input("say", what), ffi::OK);
    node.lines()
}

fn messages(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.message.as_str()).collect()
}

/// Where in the fixture a text stands, counted from one.
fn line_of(text: &str) -> u32 {
    let source = include_str!("../../testing/fixtures/features/src/lines.rs");
    let at = source.lines().position(|line| line.contains(text));
    at.expect("a line of the fixture") as u32 + 1
}

const LEVELS: [&str; 5] = [
    "an error",
    "a warning",
    "information",
    "a detail",
    "a trace",
];

#[test]
fn lines_have_level_target_file_and_line() {
    let lines = said(features(), "levels", 5);
    assert_eq!(messages(&lines), LEVELS);
    for (line, level) in lines.iter().zip(1..) {
        assert_eq!(
            (line.level, line.target.as_str()),
            (level, "features::lines")
        );
        assert!(
            line.file
                .replace('\\', "/")
                .ends_with("features/src/lines.rs"),
            "{}",
            line.file
        );
        assert_eq!(line.line, line_of("an error") + level - 1);
        assert_eq!((line.fields.as_str(), line.spans.as_str()), ("", ""));
    }
    let lines = said(features(), "log", 5);
    assert_eq!(
        messages(&lines),
        [
            "an error",
            "a warning of log",
            "information",
            "a detail",
            "a trace"
        ]
    );
    assert_eq!(lines[0].target, "elsewhere");
    assert_eq!(
        (lines[4].level, lines[4].target.as_str()),
        (5, "features::lines")
    );
    assert_eq!(lines[1].line, line_of("a warning of"));
}

#[test]
fn the_hosts_level_is_honoured_also_when_it_changes() {
    for what in ["levels", "log"] {
        for level in 0..=5 {
            assert_eq!(
                said(features(), what, level).len(),
                level as usize,
                "{what}"
            );
        }
        // The same call sites in one instance, up and down.
        let mut node = Running::start(features(), "lines", "{}");
        node.lines();
        for level in [3, 5, 0, 1, 4, 2, 5] {
            node.level.store(level, Ordering::Relaxed);
            assert_eq!(node.input("say", what), ffi::OK);
            assert_eq!(node.lines().len(), level as usize, "{what}");
        }
    }
    // Two instances, each with a level of its own.
    let (mut quiet, mut loud) = (
        Running::start(features(), "lines", "{}"),
        Running::start(features(), "lines", "{}"),
    );
    quiet.level.store(1, Ordering::Relaxed);
    for node in [&mut quiet, &mut loud] {
        node.lines();
        assert_eq!(node.input("say", "levels"), ffi::OK);
    }
    assert_eq!((quiet.lines().len(), loud.lines().len()), (1, 5));
}

#[test]
fn fields_keep_their_types() {
    let lines = said(features(), "fields", 5);
    assert_eq!(
        (lines[0].message.as_str(), lines[0].target.as_str()),
        ("7 fields", "measured")
    );
    let fields: serde_json::Value = serde_json::from_str(&lines[0].fields).expect("JSON");
    let expected = serde_json::json!({
        "whole": -3, "natural": u64::MAX, "real": 0.5, "flag": true, "text": "ä",
        "shown": "a \"quoted\" text", "debugged": "Some(1)"
    });
    assert_eq!(fields, expected);
    assert_eq!(
        (lines[1].message.as_str(), lines[1].fields.as_str()),
        ("", r#"{"only":1}"#)
    );
}

#[test]
fn spans_are_named_from_the_outermost_to_the_innermost() {
    let lines = said(features(), "spans", 5);
    let spans: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| (line.message.as_str(), line.spans.as_str()))
        .collect();
    assert_eq!(
        spans,
        [
            ("in two", "outer:middle"),
            ("in three", "outer:middle:inner"),
            ("without the first", "middle:inner"),
            ("in none", "")
        ]
    );
    // A span below the level is not there.
    let lines = said(features(), "spans", 3);
    assert_eq!(lines[1].spans, "outer:middle");
}

#[test]
fn every_callback_speaks_for_its_node() {
    let mut node = Running::start(features(), "lines", "{}");
    assert_eq!(node.stop(Stop::Requested), ffi::DONE);
    let recorder = node.recorder.clone();
    node.destroy();
    assert_eq!(
        messages(&recorder.seen().lines),
        ["made", "stopped", "dropped"]
    );
}

/// Loaded apart from the other tests, so that the library's lines are this test's.
#[test]
fn a_thread_speaks_for_its_node_within_a_scope_and_else_for_its_library() {
    let bench = Bench::new();
    let plugin = bench.load(&fixtures::path("features"));
    let lines = said(&plugin, "own thread", 5);
    assert_eq!(messages(&lines), ["inside", "inside with log"]);
    let library = bench.lines();
    let texts: Vec<(&str, &str)> = library
        .iter()
        .map(|(name, line)| (name.as_str(), line.message.as_str()))
        .collect();
    assert_eq!(
        texts,
        [("features", "outside"), ("features", "outside again")]
    );
    assert_eq!(library[0].1.target, "features::lines");

    // The library's level, and the node's.
    bench.level.store(1, Ordering::Relaxed);
    assert_eq!(said(&plugin, "own thread", 5).len(), 2);
    assert!(bench.lines().is_empty());
    bench.level.store(5, Ordering::Relaxed);
    assert_eq!(said(&plugin, "own thread", 1).len(), 0);
    assert_eq!(bench.lines().len(), 2);

    // Scopes may end in any order.
    assert_eq!(messages(&said(&plugin, "scopes", 5)), ["inside the second"]);
    assert_eq!(bench.lines()[0].1.message, "outside both");
}

#[test]
fn a_thread_that_ends_may_still_speak() {
    let bench = Bench::new();
    let plugin = bench.load(&fixtures::path("features"));
    let mut lines = said(&plugin, "last words", 5);
    lines.extend(bench.lines().into_iter().map(|(_, line)| line));
    let mut texts = messages(&lines);
    texts.sort_unstable();
    let last = [
        "first words",
        "last words",
        "last words",
        "last words inside",
        "last words inside",
    ];
    assert_eq!(texts, last);
}

#[test]
fn a_panic_on_a_thread_of_its_own_is_a_line() {
    let bench = Bench::new();
    let plugin = bench.load(&fixtures::path("features"));
    let lines = said(&plugin, "panic on a thread", 5);
    assert_eq!(messages(&lines), ["thread \"worker\" panicked: inside"]);
    assert_eq!(
        (lines[0].level, lines[0].line),
        (1, line_of("panic!(\"inside\")"))
    );
    let library = bench.lines();
    assert_eq!(library[0].1.message, "thread \"worker\" panicked: alone");
    assert!(
        library[0]
            .1
            .file
            .replace('\\', "/")
            .ends_with("features/src/lines.rs")
    );
}
