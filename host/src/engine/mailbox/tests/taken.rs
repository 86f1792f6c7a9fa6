//! What a listener hears of messages that leave an input.

use super::*;
use std::sync::{Arc, Mutex};

/// Keeps what it hears.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<Taken>>>);

impl Heard {
    pub fn listen(&self, mailbox: &Arc<Mailbox>, slot: Slot) {
        let (heard, again) = (self.0.clone(), Arc::downgrade(mailbox));
        let listener = move |taken| {
            // Under the mailbox's lock this would never return.
            if let Some(mailbox) = again.upgrade() {
                mailbox.count(slot);
            }
            heard.lock().expect("no panic").push(taken);
        };
        mailbox.on_taken(slot, Arc::new(listener));
    }

    /// Messages that have left, and how often it has closed. Nothing is heard after that here: one thread.
    pub fn sums(&self) -> (u64, usize) {
        let heard = self.0.lock().expect("no panic");
        let messages = heard.iter().map(|taken| match taken {
            Taken::Messages(messages) => *messages,
            Taken::Closed => 0,
        });
        let closed = heard.iter().position(|taken| *taken == Taken::Closed);
        if let Some(closed) = closed {
            assert_eq!(closed, heard.len() - 1, "{heard:?}");
        }
        (messages.sum(), closed.iter().count())
    }
}

fn listened(inputs: &[(usize, QueuePolicy)]) -> (Arc<Mailbox>, Vec<Heard>) {
    let mailbox = Arc::new(open(inputs));
    let hears = |slot| {
        let heard = Heard::default();
        heard.listen(&mailbox, Slot(slot));
        heard
    };
    let heard = (0..inputs.len()).map(hears).collect();
    (mailbox, heard)
}

#[test]
fn every_message_is_told_of_when_it_leaves() {
    for policy in [DropOldest, DropNewest, Backpressure] {
        let (mailbox, heard) = listened(&[(3, policy)]);
        for i in 1..=5 {
            mailbox.push_or_miss(Slot(0), numbered(i));
        }
        assert_eq!(heard[0].sums(), (2, 0), "{policy:?}: no room for two");
        let count = mailbox.count(Slot(0));
        let missed = if policy == Backpressure { 2 } else { 0 };
        assert_eq!((count.missed, count.dropped), (missed, 2 - missed));
        for left in 3..=5 {
            assert!(next(&mailbox, &mut Lent::default()).is_some());
            assert_eq!(heard[0].sums(), (left, 0), "{policy:?}");
        }
        mailbox.close(Slot(0));
        assert_eq!(heard[0].sums(), (5, 0), "{policy:?}: not closed yet");
        assert_eq!(all(&mailbox), ["0 closed"]);
        mailbox.shut(Slot(0));
        mailbox.push_or_miss(Slot(0), numbered(6));
        assert_eq!(heard[0].sums(), (5, 1), "{policy:?}");
    }
}

#[test]
fn what_is_discarded_goes_with_the_close() {
    let (mailbox, heard) = listened(&[(3, Backpressure), (3, Backpressure)]);
    mailbox.push(Slot(0), numbered(1));
    mailbox.push(Slot(0), numbered(2));
    mailbox.shut(Slot(0));
    mailbox.shut(Slot(0));
    assert_eq!((heard[0].sums(), heard[1].sums()), ((0, 1), (0, 0)));
    let late = Heard::default();
    late.listen(&mailbox, Slot(0));
    assert_eq!(late.sums(), (0, 1), "it is told at once");
    assert_eq!(mailbox.count(Slot(0)).discarded, 2);
}

#[test]
fn a_listener_is_let_go_with_its_input() {
    let (mailbox, heard) = listened(&[(3, DropOldest)]);
    assert_eq!(Arc::strong_count(&heard[0].0), 2);
    mailbox.shut(Slot(0));
    assert_eq!(Arc::strong_count(&heard[0].0), 1);
}

#[test]
fn losses_are_counted_and_told_to_nobody() {
    let (mailbox, heard) = listened(&[(3, DropOldest)]);
    mailbox.lost(Slot(0), 3);
    mailbox.lost(Slot(0), 4);
    assert_eq!(mailbox.count(Slot(0)).lost, 7);
    assert_eq!(heard[0].sums(), (0, 0));
}
