//! What a node must not do is refused with an error that says so, and what goes wrong in the host stays there.

use crate::harness::{Panics, Running, features};
use plugin_abi::ffi;

#[test]
fn a_wrong_send_is_an_error_that_says_what_is_wrong() {
    let wrong_type = "output \"number\" is declared as UInt64; the data are of another type";
    let unknown = "unknown output \"nowhere\"; this node kind has: number, any, error";
    let invalid = "the data for output \"any\" are no valid Arrow data";
    let table = [
        ("none", "none", ""),
        ("wrong type", wrong_type, ""),
        ("wrong type of a buffer", wrong_type, ""),
        ("wrong type of an array", wrong_type, ""),
        ("unknown output", unknown, ""),
        ("unknown output for a buffer", unknown, ""),
        (
            "released array",
            invalid,
            "invalid Arrow data: the array has been moved away or released",
        ),
        (
            "negative length",
            invalid,
            "invalid Arrow data: negative length or offset",
        ),
        (
            "no buffers",
            invalid,
            "invalid Arrow data: the list of buffers is missing",
        ),
        (
            "no such type",
            invalid,
            "the node wants to send data of no Arrow type: format \"?\"",
        ),
        (
            "released type",
            invalid,
            "the node wants to send data of no Arrow type: it has been released already",
        ),
    ];
    let mut node = Running::start(features(), "mistakes", "{}");
    for (mistake, expected, reason) in table {
        assert_eq!(node.input("make", mistake), ffi::OK, "{mistake}");
        assert_eq!(node.text("error"), expected, "{mistake}");
        let mut said = std::mem::take(&mut node.recorder.seen().refused);
        said.extend(node.lines().into_iter().map(|line| line.message));
        assert_eq!(said.join("\n"), reason, "{mistake}");
        let sent = node.take("any").len() + node.take("number").len();
        assert_eq!(sent, usize::from(mistake == "none"), "{mistake}");
    }
    assert_eq!(
        node.recorder
            .rooms
            .load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

#[test]
fn a_panic_in_the_host_is_an_error_in_the_plugin() {
    for panics in [Panics::Admit, Panics::Send] {
        for kind in ["sends", "echo"] {
            let mut node = Running::start(features(), kind, "{}");
            node.recorder.panic_in(panics);
            assert_eq!(node.input("in", "x"), ffi::ERR_FAILED, "{panics:?}");
            assert_eq!(node.failure().text, "the host failed");
        }
    }
    let mut node = Running::start(features(), "fills", "{}");
    node.recorder.panic_in(Panics::Room);
    assert_eq!(node.input("length", 4_u64), ffi::ERR_FAILED);
    assert_eq!(node.failure().text, "the host failed");
    node.recorder.panic_in(Panics::Send);
    assert_eq!(node.input("length", 4_u64), ffi::ERR_FAILED);
    assert_eq!(
        node.recorder
            .rooms
            .load(std::sync::atomic::Ordering::SeqCst),
        0,
        "freed all the same"
    );
    let mut node = Running::start(features(), "lines", "{}");
    node.recorder.panic_in(Panics::Log);
    assert_eq!(node.input("say", "levels"), ffi::OK);
    node.recorder.panic_in(Panics::Never);
    assert_eq!(node.input("say", "levels"), ffi::OK);
    assert_eq!(node.lines().len(), 6, "with the one from when it was made");
}
