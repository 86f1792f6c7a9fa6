//! The door past the queues: what goes through it, and what does not.

use super::*;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Takes what its script says, and tells what came.
struct Script {
    steps: Mutex<VecDeque<Passed>>,
    came: Sender<(u32, u64)>,
}

impl Door for Script {
    fn pass(&self, input: u32, message: &Message) -> Passed {
        let step = self.steps.lock().expect("not poisoned").pop_front();
        let step = step.unwrap_or(Passed::No);
        if step != Passed::No {
            self.came.send((input, number(message))).expect("heard");
        }
        step
    }
}

const THROUGH: Passed = Passed::Through {
    full: false,
    behind: false,
};
const FULL: Passed = Passed::Through {
    full: true,
    behind: false,
};
const BEHIND: Passed = Passed::Through {
    full: false,
    behind: true,
};

/// A mailbox with a door, and what comes through that.
fn with_door(inputs: &[(usize, QueuePolicy)], steps: &[Passed]) -> (Mailbox, Receiver<(u32, u64)>) {
    let mailbox = open(inputs);
    let (came, through) = channel();
    let steps = Mutex::new(steps.iter().copied().collect());
    mailbox.set_door(Some(Arc::new(Script { steps, came })));
    (mailbox, through)
}

fn push(mailbox: &Mailbox, slot: usize, message: u64) {
    let (pushed, _) = mailbox.push(Slot(slot), numbered(message));
    assert_eq!(pushed, Pushed::In);
}

/// Does something while the reader waits, and says what made that go on.
fn while_it_waits(mailbox: &Mailbox, act: impl FnOnce()) -> Option<String> {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let taken = mailbox.take(&mut Lent::default(), Some(Instant::now() + DEADLINE));
            taken.map(|delivery| match delivery {
                Delivery::Message(slot, message) => format!("{}:{}", slot.0, number(&message)),
                other => format!("{other:?}"),
            })
        });
        let until = Instant::now() + DEADLINE;
        while !mailbox.state().reader_waits {
            assert!(Instant::now() < until, "the reader does not wait");
            std::thread::yield_now();
        }
        act();
        reader.join().expect("it does not panic")
    })
}

#[test]
fn while_the_reader_is_busy_everything_goes_to_its_queue() {
    let (mailbox, through) = with_door(&[(4, DropOldest)], &[THROUGH]);
    push(&mailbox, 0, 1);
    assert_eq!(all(&mailbox), ["0:1"]);
    assert!(through.try_recv().is_err());
}

#[test]
fn while_it_waits_messages_go_through_and_are_counted_and_told_of() {
    let (mailbox, through) = with_door(&[(4, DropOldest), (4, Backpressure)], &[THROUGH; 2]);
    let (tell, told) = channel();
    mailbox.on_taken(
        Slot(1),
        Arc::new(move |taken| tell.send(taken).expect("heard")),
    );
    let out = while_it_waits(&mailbox, || {
        push(&mailbox, 0, 1);
        push(&mailbox, 1, 2);
        // The script is over: this one wakes the reader.
        push(&mailbox, 0, 3);
    });
    assert_eq!(out.as_deref(), Some("0:3"));
    assert_eq!(through.try_iter().collect::<Vec<_>>(), [(0, 1), (1, 2)]);
    assert_eq!(mailbox.count(Slot(0)).taken, 2);
    assert_eq!(mailbox.count(Slot(1)).taken, 1);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [Taken::Messages(1)]);
}

#[test]
fn nothing_overtakes_what_waits() {
    let (mailbox, through) = with_door(&[(4, DropOldest), (4, DropOldest)], &[Passed::No, THROUGH]);
    let out = while_it_waits(&mailbox, || {
        push(&mailbox, 0, 1);
        // Whether the reader has the first one already or is on its way to it: it does not wait.
        push(&mailbox, 0, 2);
    });
    assert!(through.try_recv().is_err());
    assert_eq!(out.as_deref(), Some("0:1"));
    assert_eq!(all(&mailbox), ["0:2"]);
}

#[test]
fn when_there_is_no_room_behind_it_messages_wait_in_their_queue_until_there_is() {
    let (mailbox, through) = with_door(&[(2, DropOldest)], &[FULL]);
    let out = while_it_waits(&mailbox, || {
        push(&mailbox, 0, 1);
        push(&mailbox, 0, 2);
        push(&mailbox, 0, 3);
        // The policy rules what waits.
        let (pushed, _) = mailbox.push(Slot(0), numbered(4));
        assert_eq!(pushed, Pushed::Dropped);
        assert!(mailbox.state().reader_waits, "it was woken for nothing");
        mailbox.resume();
    });
    assert_eq!(through.try_iter().collect::<Vec<_>>(), [(0, 1)]);
    assert_eq!(out.as_deref(), Some("0:3"));
    assert_eq!(all(&mailbox), ["0:4"]);
    let count = mailbox.count(Slot(0));
    assert_eq!((count.taken, count.dropped, count.queued), (3, 1, 0));
}

#[test]
fn orders_come_also_while_there_is_no_room_behind_it() {
    let (mailbox, _through) = with_door(&[(2, DropOldest)], &[FULL]);
    let out = while_it_waits(&mailbox, || {
        push(&mailbox, 0, 1);
        push(&mailbox, 0, 2);
        mailbox.order(SeatId(0), Order::Stop);
    });
    assert!(out.is_some_and(|out| out.contains("Stop")));
    assert_eq!(all(&mailbox), Vec::<String>::new());
    // A door that is closed holds nothing back.
    mailbox.set_door(None);
    assert_eq!(all(&mailbox), ["0:2"]);
}

#[test]
fn what_is_not_all_through_wakes_the_reader_with_nothing() {
    let (mailbox, through) = with_door(&[(2, DropOldest)], &[BEHIND]);
    assert_eq!(while_it_waits(&mailbox, || push(&mailbox, 0, 1)), None);
    assert_eq!(through.try_iter().collect::<Vec<_>>(), [(0, 1)]);
}

#[test]
fn nothing_goes_through_to_an_input_that_is_held_closed_or_shut() {
    let (mailbox, through) = with_door(&[(4, DropOldest); 3], &[THROUGH; 3]);
    mailbox.hold(Slot(0), true);
    mailbox.shut(Slot(2));
    let out = while_it_waits(&mailbox, || {
        push(&mailbox, 0, 1);
        let (pushed, _) = mailbox.push(Slot(2), numbered(2));
        assert_eq!(pushed, Pushed::Closed);
        mailbox.close(Slot(1));
    });
    assert_eq!(out.as_deref(), Some("Closed(Slot(1))"));
    assert!(through.try_recv().is_err());
}
