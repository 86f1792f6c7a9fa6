//! A daemon between two nodes: what one has filled in its own memory reaches the other where it lies, whoever of them ends
//! first, and whatever the memory's maker does to it meanwhile.

use super::*;
use crate::codec;
use crate::message::Schema;
use crate::meta::Timestamp;

const LENGTH: usize = 1 << 20;

/// The connections of two nodes with one daemon.
fn two() -> [Ends; 2] {
    let pool = Pool::default();
    [(); 2].map(|()| {
        let (here, there) = Stream::local_pair().expect("a connection");
        Ends {
            daemon: Channel::new(here, Side::Daemon, pool.clone()),
            node: Channel::new(there, Side::Node, Pool::default()),
        }
    })
}

/// A message that a node has filled in place, and where.
fn filled(node: &Ends, byte: u8) -> (Message, *mut u8) {
    let mut room = node.node.0.pool().room(LENGTH).expect("memory");
    let start = room.as_mut_ptr();
    // SAFETY: the room has so many bytes.
    unsafe { start.write_bytes(byte, LENGTH) };
    let schema = Schema::leaf(c"C").expect("a type");
    let stamp = Timestamp::default();
    let message = Message::in_memory(stamp, &schema, LENGTH as i64, room.freeze(), &[]);
    (message.expect("valid"), start)
}

impl Ends {
    /// Both ends take in what has come, which is nothing but word of memory.
    fn catch_up(&mut self) {
        for incoming in [&mut self.daemon.1, &mut self.node.1] {
            assert!(incoming.next(Wait::Not).expect("connected").is_none());
        }
    }

    /// How many messages of its own the node still keeps for the daemon.
    fn kept(&self) -> usize {
        lock(&self.node.0.lent).values().map(Vec::len).sum()
    }
}

/// A message of one node's on its way: at the daemon, and at the other node.
fn passed(maker: &mut Ends, reader: &mut Ends, message: &Message) -> [Message; 2] {
    maker.to_daemon(message);
    let between = maker.at_daemon().expect("a message");
    reader.to_node(&between);
    [between, reader.at_node().expect("a message")]
}

fn first(message: &Message) -> u8 {
    message.values::<u8>().expect("numbers")[0]
}

#[test]
fn what_a_node_has_filled_is_read_by_another_where_it_lies() {
    let [mut maker, mut reader] = two();
    let (message, start) = filled(&maker, 7);
    let [between, read] = passed(&mut maker, &mut reader, &message);
    assert_eq!(read.values::<u8>(), message.values::<u8>());
    assert_eq!(maker.daemon.0.pool().taken(), 0, "the daemon took memory");
    // SAFETY: the room's first byte; nobody holds a reference to it now.
    unsafe { start.write(9) };
    assert_eq!((first(&between), first(&read)), (9, 9));
    // Also to a second reader, and twice.
    reader.to_node(&between);
    let again = reader.at_node().expect("a message");
    assert_eq!(again.len(), LENGTH);
    assert_eq!(lock(&reader.node.0.theirs).len(), 1);
}

#[test]
fn what_a_node_had_to_copy_is_not_copied_again_unless_it_is_checked() {
    let text = "a text ".repeat(20_000);
    for (message, copied) in [
        (numbers(100_000), false),
        (testing::message(text, &Parameters::new()), true),
    ] {
        let [mut maker, mut reader] = two();
        let [between, read] = passed(&mut maker, &mut reader, &message);
        let encoded = |message: &Message| codec::encode(message).expect("valid").to_vec();
        assert!(encoded(&read) == encoded(&message));
        drop(between);
        assert_eq!(maker.daemon.0.pool().taken() > 0, copied);
    }
}

#[test]
fn it_goes_back_when_all_have_let_go_and_is_used_again() {
    let [mut maker, mut reader] = two();
    for byte in 0..5 {
        let (message, _) = filled(&maker, byte);
        let [between, read] = passed(&mut maker, &mut reader, &message);
        drop(message);
        // In the daemon and in the other node, whichever lets go last.
        let (one, other) = match byte % 2 {
            0 => (between, read),
            _ => (read, between),
        };
        drop(one);
        reader.catch_up();
        maker.catch_up();
        assert_eq!((maker.kept(), first(&other)), (1, byte));
        drop(other);
        reader.catch_up();
        maker.catch_up();
        assert_eq!(maker.kept(), 0);
    }
    // One segment did for all.
    assert_eq!(lock(&reader.node.0.theirs).len(), 1);
    assert_eq!(maker.node.0.pool().dropped(), 0);
}

#[test]
fn what_a_reader_had_at_its_end_is_never_used_again() {
    let [mut maker, mut reader] = two();
    let (message, _) = filled(&maker, 7);
    let [between, read] = passed(&mut maker, &mut reader, &message);
    drop((message, between));
    let Ends { mut daemon, node } = reader;
    drop(node);
    assert!(matches!(daemon.1.next(Wait::Long), Err(WireError::Ended)));
    assert_eq!(maker.kept(), 1);
    drop(daemon.1);
    maker.catch_up();
    assert_eq!(maker.kept(), 0);
    // Its process may live on, and read it.
    let (pool, dropped) = (maker.node.0.pool(), 1);
    assert_eq!((pool.taken(), pool.dropped()), (0, dropped));
    let (other, _) = filled(&maker, 9);
    assert_eq!((first(&read), first(&other)), (7, 9));
}

#[test]
fn what_a_maker_has_lent_outlives_it_and_is_forgotten_afterwards() {
    let [mut maker, mut reader] = two();
    let (message, _) = filled(&maker, 7);
    let [between, read] = passed(&mut maker, &mut reader, &message);
    drop((message, maker));
    assert_eq!((first(&between), first(&read)), (7, 7));
    drop(between);
    assert_eq!(reader.daemon.0.pool().foreign(), 1);
    drop(read);
    reader.catch_up();
    assert_eq!(reader.daemon.0.pool().foreign(), 0);
    reader.daemon.0.send(&ToNode::Go).expect("sent");
    reader.daemon.0.put(&ToNode::Level(1)).expect("sent");
    reader.daemon.0.flush(&never).expect("sent");
    while reader.node.1.next(Wait::Not).expect("connected").is_some() {}
    assert!(lock(&reader.node.0.theirs).is_empty());
}

#[test]
fn what_a_node_had_lent_at_its_end_is_not_used_again_by_its_process() {
    let [mut maker, _] = two();
    let (message, _) = filled(&maker, 7);
    maker.to_daemon(&message);
    let between = maker.at_daemon().expect("a message");
    drop(message);
    let Ends { node, .. } = &maker;
    let pool = node.0.pool().clone();
    // Another node of the process goes on.
    let (here, there) = Stream::local_pair().expect("a connection");
    let Ends { node, daemon } = std::mem::replace(
        &mut maker,
        Ends {
            daemon: Channel::new(here, Side::Daemon, Pool::default()),
            node: Channel::new(there, Side::Node, pool.clone()),
        },
    );
    drop((node, daemon));
    assert_eq!(pool.taken(), 0);
    let (other, _) = filled(&maker, 9);
    assert_eq!((first(&between), first(&other)), (7, 9));
}

/// Values in a segment as a node announces them that keeps to nothing; what becomes of them on their way.
#[cfg(target_os = "linux")]
mod hostile {
    use super::*;
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    use std::os::fd::OwnedFd;

    fn memory(seals: SealFlags) -> OwnedFd {
        let memory = memfd_create("test", MemfdFlags::ALLOW_SEALING).expect("memory");
        ftruncate(&memory, LENGTH as u64).expect("a length");
        fcntl_add_seals(&memory, seals).expect("a seal");
        memory
    }

    fn announce(node: &Ends, id: u64, memory: OwnedFd) {
        let segment = OfMemory::Segment {
            id,
            len: LENGTH as u64,
            name: 0,
        };
        let sent = node.node.0.put_with(&segment, Object::from(memory));
        sent.expect("it is short");
    }

    /// As if so many zeros lay at an offset of a segment, while what comes around them speaks of as many as `said`.
    fn zeros(node: &mut Ends, offset: u64, len: usize, said: usize) -> Result<Message, WireError> {
        let message = testing::message(vec![0_u8; said], &Parameters::new());
        let encoded = codec::encode(&message).expect("valid");
        let values = message.plain().expect("numbers").1;
        let around = encoded.around(values).expect("what comes around them");
        let packet = Packet {
            port: 4,
            meta: encoded.meta(),
            body: Body::Around {
                frame: around.map(|part| &part[..]),
                segment: 1,
                offset,
                len: len as u64,
            },
        };
        let frame = FromNode::Output(packet);
        node.node.0.send(&frame).expect("it is short");
        node.at_daemon()
    }

    #[test]
    fn memory_that_its_readers_could_write_is_not_lent_on() {
        for (seals, copied) in [
            (SealFlags::SHRINK, true),
            (SealFlags::SHRINK | SealFlags::FUTURE_WRITE, false),
        ] {
            let [mut maker, mut reader] = two();
            announce(&maker, 1, memory(seals));
            let message = zeros(&mut maker, 64, 100_000, 100_000).expect("a message");
            reader.to_node(&message);
            let read = reader.at_node().expect("a message");
            assert_eq!(read.values::<u8>(), message.values::<u8>());
            assert_eq!(reader.daemon.0.pool().taken() > 0, copied);
        }
    }

    #[test]
    fn values_that_are_not_as_they_say_are_refused() {
        let seals = SealFlags::SHRINK | SealFlags::FUTURE_WRITE;
        for (offset, len, said, expected) in [
            (0, 100_000, 100_001, "are no numbers"),
            (0, 100_008, 100_000, "are no numbers"),
            (LENGTH as u64 - 1, 50_000, 50_000, "longer than its segment"),
            (u64::MAX, 50_000, 50_000, "longer than its segment"),
        ] {
            let [mut maker, _reader] = two();
            announce(&maker, 1, memory(seals));
            let error = zeros(&mut maker, offset, len, said).expect_err("refused");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn no_more_of_it_can_be_lent_on_than_descriptors_are_to_spare() {
        let seals = SealFlags::SHRINK | SealFlags::FUTURE_WRITE;
        let memory = memory(seals);
        let [mut maker, _reader] = two();
        let pool = maker.daemon.0.pool().clone();
        for id in 1..=300 {
            announce(&maker, id, memory.try_clone().expect("a descriptor"));
            maker.node.0.flush(&never).expect("sent");
            maker.catch_up();
        }
        assert_eq!(lock(&maker.daemon.0.theirs).len(), 300);
        assert_eq!(pool.foreign(), 256);
        drop(maker);
        assert_eq!(pool.foreign(), 0);
    }
}
