//! Two ends of a connection in one process: what passes, what is given back, and another end that means ill.

mod lent;

use super::*;
use crate::meta::Parameters;
use crate::testing;
use crate::wire::frame::{Body, FromNode, OfMemory, Packet, ToNode};
use crate::wire::memory::Limits;
use std::time::{Duration, Instant};

struct Ends {
    daemon: (Arc<Channel>, Incoming),
    node: (Arc<Channel>, Incoming),
}

fn ends_with(limits: Limits) -> Ends {
    let (here, there) = Stream::local_pair().expect("a connection");
    Ends {
        daemon: Channel::new(here, Side::Daemon, Pool::new(limits)),
        node: Channel::new(there, Side::Node, Pool::new(limits)),
    }
}

fn ends() -> Ends {
    ends_with(Limits::default())
}

fn numbers(count: usize) -> Message {
    let parameters = Parameters::new().with("number", count as i64);
    testing::message((0..count as u64).collect::<Vec<_>>(), &parameters)
}

impl Ends {
    fn to_node(&self, message: &Message) {
        self.daemon.0.put_message(3, message, &never).expect("sent");
        self.daemon.0.flush(&never).expect("sent");
    }

    fn to_daemon(&self, message: &Message) {
        self.node.0.put_message(4, message, &never).expect("sent");
        self.node.0.flush(&never).expect("sent");
    }

    fn at_node(&mut self) -> Result<Message, WireError> {
        let channel = self.node.0.clone();
        let raw = self.node.1.next(Wait::Long)?.ok_or(WireError::Ended)?;
        match raw.decode()? {
            ToNode::Input(packet) if packet.port == 3 => channel.message(&packet),
            other => panic!("{other:?}"),
        }
    }

    fn at_daemon(&mut self) -> Result<Message, WireError> {
        let channel = self.daemon.0.clone();
        let raw = self.daemon.1.next(Wait::Long)?.ok_or(WireError::Ended)?;
        match raw.decode()? {
            FromNode::Output(packet) if packet.port == 4 => channel.message(&packet),
            other => panic!("{other:?}"),
        }
    }

    /// What the daemon's end has lent and not got back, after reading what has come.
    fn lent(&mut self) -> usize {
        assert!(self.daemon.1.next(Wait::Not).expect("connected").is_none());
        lock(&self.daemon.0.lent).len()
    }
}

/// How often a thread of this process has gone to sleep, once it does.
#[cfg(target_os = "linux")]
fn sleeps(thread: &str) -> u64 {
    let status = format!("/proc/self/task/{thread}/status");
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        let status = std::fs::read_to_string(&status).expect("it lives");
        let of = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.expect("a line").trim().to_owned()
        };
        if of("State:").starts_with('S') {
            return of("voluntary_ctxt_switches:").parse().expect("a number");
        }
        std::thread::yield_now();
    }
    panic!("it does not sleep");
}

#[cfg(target_os = "linux")]
#[test]
fn who_waits_sleeps_on_while_the_other_end_reads() {
    let ends = ends();
    let (daemon, mut waits) = ends.daemon;
    let (node, mut reads) = ends.node;
    let (tell, told) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let own = std::fs::read_link("/proc/thread-self").expect("a link");
        let own = own.file_name().expect("a number").to_string_lossy();
        tell.send(own.into_owned()).expect("somebody waits");
        waits.next(Wait::Long).map(|raw| raw.is_some())
    });
    let thread = told.recv().expect("it is told");
    let before = sleeps(&thread);
    let mut after = before;
    for _ in 0..100 {
        daemon.send(&ToNode::Go).expect("sent");
        assert!(reads.next(Wait::Long).expect("connected").is_some());
        after = sleeps(&thread);
    }
    // At first it may have slept on its way there.
    assert!(after - before <= 2, "{}", after - before);
    node.send(&FromNode::Created).expect("sent");
    assert!(matches!(waiting.join(), Ok(Ok(true))));
}

#[test]
fn messages_of_all_sizes_pass_both_ways() {
    let mut ends = ends();
    for count in [0, 1, 500, 5_000, 100_000, 1_000_000] {
        let message = numbers(count);
        ends.to_node(&message);
        ends.to_daemon(&message);
        for received in [ends.at_node(), ends.at_daemon()] {
            let received = received.expect("a message");
            assert!(
                received.values::<u64>() == message.values::<u64>(),
                "{count}"
            );
            assert_eq!(received.parameters(), message.parameters());
        }
    }
}

#[test]
fn only_what_needs_no_waiting_and_no_copying_is_written_at_once() {
    let mut ends = ends();
    let (channel, written) = (ends.daemon.0.clone(), Attempt::Written { whole: true });
    let attempt = |message: &Message| channel.try_message(3, message).expect("connected");
    let (small, large) = (numbers(500), numbers(100_000));
    assert_eq!(attempt(&small), written);
    assert_eq!(attempt(&large), Attempt::NotNow);
    // Once it has been copied for somebody it is at hand.
    channel.put_message(3, &large, &never).expect("sent");
    assert_eq!(attempt(&small), Attempt::NotNow, "it would overtake");
    channel.flush(&never).expect("sent");
    assert_eq!(attempt(&large), written);
    for expected in [&small, &large, &large] {
        let received = ends.at_node().expect("a message");
        assert!(received.values::<u64>() == expected.values::<u64>());
    }
}

#[test]
fn what_is_written_in_part_is_completed_by_a_flush_and_nothing_goes_between() {
    let mut ends = ends();
    let (channel, message) = (ends.daemon.0.clone(), numbers(2_000));
    let mut sent = 1;
    while channel.try_message(3, &message).expect("connected") == (Attempt::Written { whole: true })
    {
        sent += 1;
        assert!(sent < 10_000, "the connection takes everything");
    }
    assert_eq!(
        channel.try_message(3, &message).expect("connected"),
        Attempt::NotNow
    );
    std::thread::scope(|scope| {
        scope.spawn(|| channel.flush(&never).expect("connected"));
        for _ in 0..sent {
            let received = ends.at_node().expect("a message");
            assert!(received.values::<u64>() == message.values::<u64>());
        }
    });
}

#[test]
fn the_last_words_are_read_of_an_end_that_has_left_something_unread() {
    let mut ends = ends();
    let channel = ends.daemon.0.clone();
    // More than the connection takes, so that the daemon has something to write when it reads.
    while !channel.behind.load(Ordering::Relaxed) {
        channel.send_soon(&ToNode::Level(3)).expect("short");
    }
    let said = [FromNode::Created, FromNode::Ready(7)];
    for frame in &said {
        ends.node.0.send(frame).expect("connected");
    }
    // Its process ends as soon as it has said all.
    drop(ends.node);
    let mut next = || {
        let raw = ends.daemon.1.next(Wait::Long)?.ok_or(WireError::Ended)?;
        Ok::<_, WireError>(
            said.iter()
                .position(|frame| raw.decode::<FromNode>().ok().as_ref() == Some(frame)),
        )
    };
    assert_eq!(next().expect("it was said"), Some(0));
    assert_eq!(next().expect("it was said"), Some(1));
    assert!(matches!(next(), Err(WireError::Ended)));
}

#[test]
fn what_does_not_fit_into_the_pool_goes_over_the_connection() {
    let nothing = Limits {
        most: 0,
        keep: 0,
        idle: Duration::ZERO,
    };
    let mut ends = ends_with(nothing);
    let message = numbers(1_000_000);
    std::thread::scope(|scope| {
        let channel = ends.daemon.0.clone();
        let sent = message.clone();
        scope.spawn(move || channel.put_message(3, &sent, &never).expect("sent"));
        let received = ends.at_node().expect("a message");
        assert!(received.values::<u64>() == message.values::<u64>());
    });
    assert_eq!(ends.daemon.0.pool().taken(), 0);
}

#[test]
fn memory_is_lent_until_the_message_is_dropped_and_used_again() {
    let mut ends = ends();
    for round in 0..10 {
        ends.to_node(&numbers(100_000 + round));
        let received = ends.at_node().expect("a message");
        assert_eq!(ends.lent(), 1);
        let copy = received.clone();
        drop(received);
        assert_eq!(ends.lent(), 1);
        drop(copy);
        assert_eq!(ends.lent(), 0);
    }
    // One segment did for all.
    assert_eq!(lock(&ends.node.0.theirs).len(), 1);
}

#[test]
fn one_message_for_two_readers_is_in_memory_once() {
    let mut first = ends();
    let pool = first.daemon.0.pool().clone();
    let (here, there) = Stream::local_pair().expect("a connection");
    let mut second = Ends {
        daemon: Channel::new(here, Side::Daemon, pool.clone()),
        node: Channel::new(there, Side::Node, Pool::default()),
    };
    let message = numbers(100_000);
    first.to_node(&message);
    let taken = pool.taken();
    second.to_node(&message);
    assert_eq!(pool.taken(), taken);
    let received = [first.at_node(), second.at_node()].map(|message| message.expect("one"));
    assert!(received[0].values::<u64>() == received[1].values::<u64>());
}

#[test]
fn the_end_of_a_reader_gives_back_what_it_had() {
    let mut ends = ends();
    ends.to_node(&numbers(100_000));
    let received = ends.at_node().expect("a message");
    let Ends { mut daemon, node } = ends;
    drop(node);
    assert!(matches!(daemon.1.next(Wait::Long), Err(WireError::Ended)));
    drop(daemon.1);
    assert!(lock(&daemon.0.lent).is_empty());
    // Still there: it was mapped.
    assert_eq!(received.values::<u64>().expect("numbers")[99_999], 99_999);
    let sent = daemon.0.send(&ToNode::Go);
    assert!(matches!(sent, Err(WireError::Ended)), "{sent:?}");
}

#[test]
fn dropped_segments_are_forgotten() {
    let mut ends = ends_with(Limits {
        keep: 0,
        ..Limits::default()
    });
    for count in [100_000, 200_000, 300_000] {
        ends.to_node(&numbers(count));
        drop(ends.at_node().expect("a message"));
        assert_eq!(ends.lent(), 0);
        assert_eq!(lock(&ends.node.0.theirs).len(), 1, "{count}");
    }
}

#[test]
fn giving_back_never_waits() {
    let mut ends = ends();
    ends.to_node(&numbers(100_000));
    let received = ends.at_node().expect("a message");
    // The node's way out is full, and somebody waits for room in it.
    let full = ends.node.0.clone();
    let give_up = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let rest = numbers(4_000);
            let give_up = || give_up.load(Ordering::Relaxed);
            while !give_up() {
                full.put_message(4, &rest, &give_up).expect("connected");
            }
        });
        while !full.behind.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        drop(received);
        give_up.store(true, Ordering::Relaxed);
    });
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while !lock(&ends.daemon.0.lent).is_empty() && std::time::Instant::now() < until {
        let _ = ends.daemon.1.next(Wait::Not).expect("connected");
        ends.node.0.flush(&|| true).expect("connected");
    }
    assert!(lock(&ends.daemon.0.lent).is_empty());
}

/// What the daemon's end makes of frames that a node has no right to send.
fn refused(frames: &[OfMemory], packet: Option<Packet<'_>>) -> String {
    let mut ends = ends();
    for frame in frames {
        ends.node.0.send(frame).expect("sent");
    }
    if let Some(packet) = packet {
        ends.node.0.send(&FromNode::Output(packet)).expect("sent");
    }
    ends.node.0.send(&FromNode::Created).expect("sent");
    let channel = ends.daemon.0.clone();
    let raw = match ends.daemon.1.next(Wait::Long) {
        Ok(raw) => raw.expect("it waited"),
        Err(error) => return error.to_string(),
    };
    match raw.decode().expect("a frame") {
        FromNode::Output(packet) => match channel.message(&packet) {
            Ok(_) => "a message".into(),
            Err(error) => error.to_string(),
        },
        _ => "nothing".into(),
    }
}

#[test]
fn frames_of_memory_that_is_not_there_are_refused() {
    let shared = |segment, offset, len| Packet {
        port: 0,
        meta: &[0; 24],
        body: Body::Shared {
            segment,
            offset,
            len,
        },
    };
    let segment = |len| OfMemory::Segment {
        id: 1,
        len,
        name: 1,
    };
    for (frames, packet, expected) in [
        (
            vec![OfMemory::Release {
                id: 1,
                spoilt: false,
            }],
            None,
            "a segment was released that was not lent",
        ),
        (vec![segment(0)], None, "a segment of an impossible length"),
        (
            vec![segment(u64::MAX)],
            None,
            "a segment of an impossible length",
        ),
        (
            vec![segment(4096)],
            None,
            "shared memory from the other end cannot be used",
        ),
        (
            vec![],
            Some(shared(1, 0, 8)),
            "a message in a segment that nobody announced",
        ),
        (vec![OfMemory::Forget(9)], None, "nothing"),
    ] {
        let error = refused(&frames, packet);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_message_behind_the_end_of_its_segment_is_refused() {
    let mut ends = ends();
    ends.to_daemon(&numbers(100_000));
    let received = ends.at_daemon().expect("a message");
    let segment = *lock(&ends.daemon.0.theirs).keys().next().expect("one");
    for (offset, len) in [(u64::MAX, 1), (0, u64::MAX), (1 << 40, 8), (8, 1 << 29)] {
        let packet = Packet {
            port: 4,
            meta: &[0; 24],
            body: Body::Shared {
                segment,
                offset,
                len,
            },
        };
        let error = ends
            .daemon
            .0
            .message(&packet)
            .expect_err("refused")
            .to_string();
        assert!(error.contains("longer than its segment"), "{error}");
    }
    drop(received);
}
