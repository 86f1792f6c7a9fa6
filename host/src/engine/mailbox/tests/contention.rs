//! Many senders, one reader, real threads: nothing is lost, no wake is missed. Each run has a deadline.

use super::*;
use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, channel};

/// As often, or so often that an interpreter ends soon.
fn often(count: u64) -> u64 {
    if cfg!(miri) { count / 100 } else { count }
}

/// Runs what should end by itself.
fn within_deadline(name: &str, run: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel();
    let thread = std::thread::spawn(move || {
        run();
        // Nobody listens any more only when the deadline has passed.
        let _ = done.send(());
    });
    match ended.recv_timeout(DEADLINE) {
        Err(RecvTimeoutError::Timeout) => panic!("{name}: a wake was lost"),
        _ => thread.join().expect(name),
    }
}

/// Sends numbers in order; waits for room as a route does.
fn send(mailbox: &Mailbox, slot: Slot, sender: u64, count: u64) {
    for i in 0..count {
        let mut message = numbered(sender << 32 | i);
        while let (Pushed::Full, Some(back)) = mailbox.push(slot, message) {
            message = back;
            // Longer than the test's deadline: a wake that is lost is not made good by it.
            mailbox.wait_for_room(slot, DEADLINE * 2, || false);
        }
    }
}

/// Reads until all inputs have closed; checks the order of each sender's numbers and returns how many came.
fn read(mailbox: &Mailbox, inputs: usize, pause_every: u64) -> u64 {
    let mut lent = Lent::default();
    let (mut closed, mut count) = (0, 0);
    let mut last: HashMap<(usize, u64), u64> = HashMap::new();
    while closed < inputs {
        match mailbox.take(&mut lent, None) {
            Some(Delivery::Message(slot, message)) => {
                let number = number(&message);
                let before = last.insert((slot.0, number >> 32), number);
                assert!(before.is_none_or(|before| before < number), "out of order");
                count += 1;
                if count % pause_every == 0 {
                    // Lets the senders fill the queues and wait.
                    std::thread::yield_now();
                }
            }
            Some(Delivery::Closed(_)) => closed += 1,
            other => panic!("unexpected {other:?}"),
        }
    }
    count
}

/// `senders` threads for each of the inputs, each of which sends `count` messages.
fn exchange(inputs: &[(usize, QueuePolicy)], senders: u64, count: u64, pause_every: u64) {
    let mailbox = open(inputs);
    let taken = std::thread::scope(|scope| {
        for at in 0..inputs.len() {
            let mailbox = &mailbox;
            scope.spawn(move || {
                std::thread::scope(|scope| {
                    for sender in 0..senders {
                        scope.spawn(move || send(mailbox, Slot(at), sender, count));
                    }
                });
                mailbox.close(Slot(at));
            });
        }
        read(&mailbox, inputs.len(), pause_every)
    });
    let counts = (0..inputs.len()).map(|at| mailbox.count(Slot(at)));
    let counts: Vec<_> = counts.collect();
    assert_eq!(taken, counts.iter().map(|count| count.taken).sum::<u64>());
    for ((_, policy), counted) in inputs.iter().zip(counts) {
        assert_eq!(counted.taken + counted.dropped, senders * count);
        assert!(*policy != Backpressure || counted.dropped == 0);
        assert_eq!((counted.discarded, counted.queued), (0, 0));
    }
}

#[test]
fn many_senders_lose_nothing_under_backpressure() {
    for capacity in [1, 2, 3, 10, 1_000] {
        within_deadline(&format!("capacity {capacity}"), move || {
            exchange(&[(capacity, Backpressure)], 8, often(1_000), 17);
        });
    }
}

#[test]
fn inputs_of_every_policy_share_a_mailbox() {
    within_deadline("three policies", || {
        let inputs = [
            (4, Backpressure),
            (2, DropOldest),
            (3, DropNewest),
            (64, Backpressure),
        ];
        exchange(&inputs, 3, often(2_000), 5);
    });
}

#[test]
fn a_reader_that_is_faster_than_its_sender_misses_no_wake() {
    within_deadline("one by one", || {
        let mailbox = open(&[(1, DropOldest)]);
        let (answer, answers) = channel();
        std::thread::scope(|scope| {
            let mailbox = &mailbox;
            scope.spawn(move || {
                let mut lent = Lent::default();
                while let Some(Delivery::Message(_, message)) = mailbox.take(&mut lent, None) {
                    answer.send(number(&message)).expect("it listens");
                }
            });
            for i in 0..often(3_000) {
                mailbox.push(Slot(0), numbered(i));
                assert_eq!(answers.recv(), Ok(i));
            }
            mailbox.end();
        });
    });
}

#[test]
fn waiting_senders_wake_when_told_to_stop_and_when_the_input_is_shut() {
    type Wake = fn(&Mailbox, &std::sync::atomic::AtomicBool);
    let wakes: [(&str, Wake); 2] = [
        ("shut", |mailbox, _| mailbox.shut(Slot(0))),
        ("told to stop", |mailbox, stop| {
            stop.store(true, std::sync::atomic::Ordering::Release);
            mailbox.wake_senders();
        }),
    ];
    for (name, wake) in wakes {
        within_deadline(name, move || {
            let mailbox = open(&[(1, Backpressure)]);
            mailbox.push(Slot(0), numbered(0));
            let stop = std::sync::atomic::AtomicBool::new(false);
            let asked = || stop.load(std::sync::atomic::Ordering::Acquire);
            let (waits, waiting) = channel();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    let (mailbox, asked, waits) = (&mailbox, &asked, waits.clone());
                    scope.spawn(move || {
                        waits.send(()).expect("it listens");
                        let full = || mailbox.push(Slot(0), numbered(1)).0 == Pushed::Full;
                        while !asked() && full() {
                            mailbox.wait_for_room(Slot(0), DEADLINE * 2, asked);
                        }
                    });
                }
                for _ in 0..4 {
                    waiting.recv().expect("a sender");
                }
                wake(&mailbox, &stop);
            });
        });
    }
}

#[test]
fn an_order_wakes_the_reader() {
    within_deadline("orders", || {
        let mailbox = open(&[(1, DropOldest)]);
        let (taken, takes) = channel();
        std::thread::scope(|scope| {
            let mailbox = &mailbox;
            scope.spawn(move || {
                let mut lent = Lent::default();
                while let Some(Delivery::Order(seat, _)) = mailbox.take(&mut lent, None) {
                    taken.send(seat.0).expect("it listens");
                }
            });
            for i in 0..often(1_000) as usize {
                mailbox.order(SeatId(i), Order::Go);
                assert_eq!(takes.recv(), Ok(i));
            }
            mailbox.end();
        });
    });
}

#[test]
fn a_deadline_ends_the_wait_for_a_message() {
    let mailbox = open(&[(1, DropOldest)]);
    let until = Instant::now() + Duration::from_millis(20);
    assert!(mailbox.take(&mut Lent::default(), Some(until)).is_none());
    assert!(Instant::now() >= until);
}
