//! Threads of the nodes' own.

use crate::harness::{Running, features};
use plugin_abi::ffi;

#[test]
fn a_thread_sends_after_its_callback_and_is_refused_after_its_node() {
    let mut node = Running::start(features(), "pokes", "{}");
    let recorder = node.recorder.clone();
    for number in 1..4_u64 {
        assert_eq!(node.input("poke", ()), ffi::OK);
        assert_eq!(recorder.next("number").value(), Ok(number));
        assert_eq!(recorder.next("number").len(), 1, "from the host's memory");
    }
    node.destroy();
    let last = recorder.wait("last line", |seen| seen.lines.pop());
    assert_eq!(last.message, "after the end: Err(Closed) Err(Closed)");
    assert!(recorder.seen().sent.is_empty() && recorder.seen().failures.is_empty());
    // The thread, and with it the last handle of the outputs, ends by itself.
    let gone = |count: usize| (count == 0).then_some(());
    recorder.wait("end of the memory", |_| {
        gone(recorder.rooms.load(std::sync::atomic::Ordering::SeqCst))
    });
}

#[test]
fn many_threads_of_many_instances_send_at_once() {
    let mut nodes: Vec<Running> = (0..8)
        .map(|_| Running::start(features(), "pokes", "{}"))
        .collect();
    for _ in 0..50 {
        for node in &mut nodes {
            assert_eq!(node.input("poke", ()), ffi::OK);
        }
    }
    for mut node in nodes {
        for number in 1..=50_u64 {
            assert_eq!(node.recorder.next("number").value(), Ok(number));
            node.recorder.next("number");
        }
        let recorder = node.recorder.clone();
        node.destroy();
        recorder.wait("last line", |seen| seen.lines.pop());
    }
}

#[test]
fn a_thread_ends_its_node() {
    let mut node = Running::start(features(), "ends", r#"{"how": "finish"}"#);
    assert_eq!(node.input("go", ()), ffi::OK);
    node.recorder
        .wait("request", |seen| (seen.stops == 1).then_some(()));
    let mut node = Running::start(features(), "ends", r#"{"how": "fail"}"#);
    assert_eq!(node.input("go", ()), ffi::OK);
    let failure = node.recorder.wait("failure", |seen| seen.failures.pop());
    assert_eq!(failure.text, "invalid digit found in string");
    assert!(!failure.panicked);
}
