//! What comes beside messages of other machines, and the keys of their tokens: each message once and in order, losses
//! counted, no more room promised than there is.

use crate::steps::steps;
use bytes::Bytes;
use host::codec::{Origin, decode, encode};
use host::link::{Arrived, Credits, Intake, Member};
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;
use std::cell::Cell;
use std::sync::LazyLock;

/// The data of each message: those have a target of their own.
static BODY: LazyLock<Bytes> = LazyLock::new(|| {
    let message = Message::from_text(Timestamp::default(), "x", &[]).expect("a message");
    encode(&message).expect("bytes").to_vec().into()
});

/// The first byte: whether the reader is there from the start. Steps: even, a message with this beside it; odd, a key.
pub(crate) fn target(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else {
        return false;
    };
    let intake = Intake::new(first & 1 == 1);
    let credits = Credits::new(&[1, 1000], |_| {});
    let (messages, lost, broken) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let ended = Cell::new(false);
    let count = |cell: &Cell<u64>, more: u64| cell.set(cell.get() + more);
    for step in steps(rest) {
        if step.what & 1 == 1 {
            key(step.with);
            continue;
        }
        let message = |meta: &[u8]| decode(BODY.clone(), meta, Origin::Own);
        intake.take(step.with, message, Some(&credits), &|arrived| {
            // What is no message at all has no place in their order.
            let broken_one = matches!(arrived, Arrived::Broken(_));
            assert!(broken_one || !ended.get(), "it comes behind the end");
            match arrived {
                Arrived::Message(_) => count(&messages, 1),
                Arrived::Lost(more) => count(&lost, more),
                Arrived::Broken(_) => count(&broken, 1),
                Arrived::Ended => ended.set(true),
            }
        });
        credits.taken(usize::from(step.what & 2 > 0), 1);
    }
    let said = intake.count();
    assert_eq!(
        (said.received, said.lost, said.broken),
        (messages.get(), lost.get(), broken.get())
    );
    said.received > 0
}

fn key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // Only the part behind the protocol's own words is somebody's choice.
    let text = format!("dora/v1/live/{text}");
    if let Some(Member::Daemon(machine, _)) = Member::of(&text) {
        assert!(text.contains(machine.as_str()));
    }
}
