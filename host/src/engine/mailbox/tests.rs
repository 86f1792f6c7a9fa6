//! Each promise of the mailbox alone, then all of them against a model, then under contention.

use super::*;
use QueuePolicy::{Backpressure, DropNewest, DropOldest};
use plugin_abi::message::Schema;
use plugin_abi::meta::Timestamp;
use std::time::{Duration, Instant};

mod contention;
mod door;
mod model;
mod taken;

/// No test waits longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A message with a number, which lies in its stamp.
fn numbered(number: u64) -> Message {
    let schema = Schema::leaf(c"n").expect("Arrow's null type");
    let stamp = Timestamp {
        time: number,
        clock: [0; 16],
    };
    Message::empty(stamp, &schema).expect("memory")
}

fn number(message: &Message) -> u64 {
    message.timestamp().time
}

/// A mailbox whose inputs may be read.
fn open(inputs: &[(usize, QueuePolicy)]) -> Mailbox {
    let mailbox = Mailbox::new(inputs.iter().copied());
    for slot in 0..inputs.len() {
        mailbox.hold(Slot(slot), false);
    }
    mailbox
}

/// What comes out, in few words; nothing when the mailbox is empty.
fn next(mailbox: &Mailbox, lent: &mut Lent) -> Option<String> {
    let delivery = mailbox.take(lent, Some(Instant::now()))?;
    Some(match delivery {
        Delivery::Order(seat, order) => format!("{order:?} {}", seat.0),
        Delivery::Message(slot, message) => format!("{}:{}", slot.0, number(&message)),
        Delivery::Closed(slot) => format!("{} closed", slot.0),
        Delivery::End => "end".into(),
    })
}

fn rest(mailbox: &Mailbox, lent: &mut Lent) -> Vec<String> {
    std::iter::from_fn(|| next(mailbox, lent)).collect()
}

fn all(mailbox: &Mailbox) -> Vec<String> {
    rest(mailbox, &mut Lent::default())
}

#[test]
fn a_full_input_does_what_its_policy_says() {
    let cases = [
        (DropOldest, Pushed::Dropped, ["0:3", "0:4", "0:5"], 2),
        (DropNewest, Pushed::Dropped, ["0:1", "0:2", "0:3"], 2),
        (Backpressure, Pushed::Full, ["0:1", "0:2", "0:3"], 0),
    ];
    for (policy, when_full, left, dropped) in cases {
        let mailbox = open(&[(3, policy)]);
        for i in 1..=5 {
            let (pushed, back) = mailbox.push(Slot(0), numbered(i));
            let expected = if i <= 3 { Pushed::In } else { when_full };
            assert_eq!(pushed, expected, "{policy:?}");
            let given_back = back.map(|message| number(&message));
            assert_eq!(given_back, (pushed == Pushed::Full).then_some(i));
        }
        let count = mailbox.count(Slot(0));
        assert_eq!((count.queued, count.dropped), (3, dropped), "{policy:?}");
        assert_eq!(all(&mailbox), left, "{policy:?}");
        let count = mailbox.count(Slot(0));
        assert_eq!((count.queued, count.taken), (0, 3), "{policy:?}");
    }
}

#[test]
fn an_input_holds_at_least_one_message() {
    let mailbox = open(&[(0, Backpressure)]);
    assert_eq!(mailbox.push(Slot(0), numbered(1)).0, Pushed::In);
    assert_eq!(mailbox.push(Slot(0), numbered(2)).0, Pushed::Full);
}

#[test]
fn what_is_dropped_is_released() {
    let mailbox = open(&[(1, DropOldest)]);
    let (old, new) = (numbered(1), numbered(2));
    mailbox.push(Slot(0), old.clone());
    mailbox.push(Slot(0), new.clone());
    assert_eq!((old.references(), new.references()), (Some(1), Some(2)));
    mailbox.shut(Slot(0));
    assert_eq!(new.references(), Some(1));
    mailbox.push(Slot(0), new.clone());
    assert_eq!(new.references(), Some(1));
}

#[test]
fn inputs_take_turns() {
    let mailbox = open(&[(10, DropOldest), (10, DropOldest), (10, Backpressure)]);
    for i in 1..=3 {
        mailbox.push(Slot(0), numbered(i));
    }
    mailbox.push(Slot(1), numbered(1));
    mailbox.push(Slot(2), numbered(1));
    mailbox.push(Slot(2), numbered(2));
    assert_eq!(all(&mailbox), ["0:1", "1:1", "2:1", "0:2", "2:2", "0:3"]);
}

#[test]
fn another_input_does_not_wait_for_all_that_was_lent() {
    let mailbox = open(&[(100, Backpressure), (1, DropOldest)]);
    let mut lent = Lent::default();
    for i in 1..=100 {
        mailbox.push(Slot(0), numbered(i));
    }
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("0:1"));
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("0:2"));
    for i in 1..=3 {
        mailbox.push(Slot(1), numbered(i));
        let two: Vec<_> = (0..2).filter_map(|_| next(&mailbox, &mut lent)).collect();
        assert!(two.contains(&format!("1:{i}")), "{two:?}");
    }
    let others = rest(&mailbox, &mut lent);
    let expected: Vec<_> = (6..=100).map(|i| format!("0:{i}")).collect();
    assert_eq!(others, expected);
}

#[test]
fn what_was_lent_still_takes_room() {
    let mailbox = open(&[(8, Backpressure)]);
    let mut lent = Lent::default();
    for i in 1..=8 {
        mailbox.push(Slot(0), numbered(i));
    }
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("0:1"));
    assert_eq!(mailbox.push(Slot(0), numbered(9)).0, Pushed::In);
    assert_eq!(mailbox.push(Slot(0), numbered(10)).0, Pushed::Full);
    assert_eq!(rest(&mailbox, &mut lent).len(), 8);
    assert_eq!(mailbox.push(Slot(0), numbered(10)).0, Pushed::In);
}

#[test]
fn what_was_lent_can_be_given_back() {
    let mailbox = open(&[(8, Backpressure)]);
    let mut lent = Lent::default();
    for i in 1..=8 {
        mailbox.push(Slot(0), numbered(i));
    }
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("0:1"));
    mailbox.hold(Slot(0), true);
    mailbox.give_back(&mut lent);
    let count = mailbox.count(Slot(0));
    assert_eq!((count.taken, count.queued), (1, 7));
    assert_eq!(next(&mailbox, &mut lent), None);
    mailbox.hold(Slot(0), false);
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("0:2"));
    mailbox.shut(Slot(0));
    mailbox.give_back(&mut lent);
    let count = mailbox.count(Slot(0));
    assert_eq!((count.taken, count.discarded, count.queued), (2, 6, 0));
    assert_eq!(next(&mailbox, &mut lent), None);
}

#[test]
fn orders_come_before_messages() {
    let mailbox = open(&[(8, Backpressure)]);
    let mut lent = Lent::default();
    for i in 1..=8 {
        mailbox.push(Slot(0), numbered(i));
    }
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("0:1"));
    mailbox.order(SeatId(2), Order::Go);
    mailbox.order(SeatId(1), Order::Stop);
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("Go 2"));
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("Stop 1"));
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("0:2"));
}

#[test]
fn a_close_comes_after_the_messages_and_once() {
    let mailbox = open(&[(3, DropOldest)]);
    mailbox.push(Slot(0), numbered(1));
    mailbox.close(Slot(0));
    mailbox.close(Slot(0));
    mailbox.push(Slot(0), numbered(2));
    assert_eq!(all(&mailbox), ["0:1", "0:2", "0 closed"]);
    assert_eq!(mailbox.push(Slot(0), numbered(3)).0, Pushed::Closed);
    assert_eq!(all(&mailbox), [""; 0]);
    let count = mailbox.count(Slot(0));
    assert_eq!((count.taken, count.discarded), (2, 1));
}

#[test]
fn a_shut_input_discards_and_refuses() {
    let mailbox = open(&[(3, DropNewest)]);
    mailbox.push(Slot(0), numbered(1));
    mailbox.push(Slot(0), numbered(2));
    mailbox.shut(Slot(0));
    mailbox.close(Slot(0));
    assert_eq!(mailbox.push(Slot(0), numbered(3)).0, Pushed::Closed);
    assert_eq!(all(&mailbox), [""; 0]);
    assert_eq!(mailbox.count(Slot(0)).discarded, 3);
}

#[test]
fn a_held_input_keeps_what_comes() {
    let mailbox = Mailbox::new([(2, DropOldest), (2, DropOldest)]);
    mailbox.hold(Slot(1), false);
    for i in 1..=3 {
        mailbox.push(Slot(0), numbered(i));
    }
    mailbox.close(Slot(0));
    mailbox.push(Slot(1), numbered(1));
    assert_eq!(all(&mailbox), ["1:1"]);
    mailbox.hold(Slot(0), false);
    assert_eq!(all(&mailbox), ["0:2", "0:3", "0 closed"]);
}

#[test]
fn the_end_comes_last() {
    let mailbox = open(&[(8, Backpressure)]);
    let mut lent = Lent::default();
    for i in 1..=8 {
        mailbox.push(Slot(0), numbered(i));
    }
    assert_eq!(next(&mailbox, &mut lent).as_deref(), Some("0:1"));
    mailbox.end();
    mailbox.order(SeatId(0), Order::Stop);
    let rest: Vec<_> = (0..9).filter_map(|_| next(&mailbox, &mut lent)).collect();
    let expected = "Stop 0, 0:2, 0:3, 0:4, 0:5, 0:6, 0:7, 0:8, end";
    assert_eq!(rest.join(", "), expected);
}

#[test]
fn a_message_that_comes_inline_waits_for_those_before_it() {
    let mailbox = open(&[(3, DropOldest)]);
    mailbox.push(Slot(0), numbered(1));
    assert!(matches!(mailbox.pass(Slot(0)), Pass::After(message) if number(&message) == 1));
    assert!(matches!(mailbox.pass(Slot(0)), Pass::Now));
    mailbox.shut(Slot(0));
    assert!(matches!(mailbox.pass(Slot(0)), Pass::Shut));
    let count = mailbox.count(Slot(0));
    assert_eq!((count.taken, count.discarded), (2, 1));
}

#[test]
fn an_input_that_does_not_exist_takes_nothing() {
    let mailbox = open(&[]);
    assert_eq!(mailbox.push(Slot(7), numbered(1)).0, Pushed::Closed);
    mailbox.close(Slot(7));
    mailbox.shut(Slot(7));
    mailbox.wait_for_room(Slot(7), DEADLINE, || false);
    assert_eq!(mailbox.count(Slot(7)), InputCount::default());
    assert_eq!(all(&mailbox), [""; 0]);
}
