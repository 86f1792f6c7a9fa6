//! Blocks: what lies where, who shares them, when they are used again.

use super::*;
use crate::codec::{decode_around, encode};
use crate::message::{Memory, Schema};
use crate::meta::{Parameters, Timestamp};
use crate::testing;
use ::bytes::Bytes;

fn pool(most: usize, keep: usize) -> Pool {
    Pool::new(Limits {
        most,
        keep,
        idle: Duration::from_secs(3600),
    })
}

fn shared(pool: &Pool, message: &Message) -> Place {
    match pool.stream(message).expect("it can be encoded") {
        Stream::Shared(place) => place,
        other => panic!("{other:?}"),
    }
}

/// A message whose values lie where they are read.
fn around(pool: &Pool, message: &Message) -> (Encoded, Place) {
    match pool.stream(message).expect("it can be encoded") {
        Stream::Around(encoded, place) => (encoded, place),
        other => panic!("{other:?}"),
    }
}

fn id(place: &Place) -> u64 {
    place.memory.segment().id
}

fn read(place: &Place) -> &[u8] {
    let start = place.memory.segment().as_ptr().wrapping_add(place.start);
    // SAFETY: the stream's or the values' own bytes, within the segment.
    unsafe { std::slice::from_raw_parts(start, place.len) }
}

fn numbers(len: usize) -> Message {
    let values: Vec<u64> = (0..len as u64).collect();
    testing::message(values, &Parameters::new())
}

/// A message in a room of the pool, filled in place.
fn filled(pool: &Pool, len: usize, stamp: u64) -> Message {
    let mut room = pool.room(len).expect("memory");
    // SAFETY: the room has `len` bytes.
    unsafe { room.as_mut_ptr().write_bytes(7, len) };
    let schema = Schema::leaf(c"C").expect("a type");
    let stamp = Timestamp {
        time: stamp,
        ..Timestamp::default()
    };
    Message::in_memory(stamp, &schema, len as i64, room.freeze(), &[]).expect("valid")
}

#[test]
fn lengths_fall_into_classes_that_waste_little() {
    for (len, expected) in [
        (1, SMALLEST),
        (SMALLEST, SMALLEST),
        (SMALLEST + 1, SMALLEST + SMALLEST / 4),
        (40 << 20, 40 << 20),
        ((40 << 20) + 1, 48 << 20),
    ] {
        assert_eq!(class(len), Some(expected), "{len}");
    }
    assert_eq!(class(usize::MAX), None);
}

#[test]
fn a_long_message_is_written_once_for_all_its_readers() {
    let (pool, message) = (Pool::default(), numbers(100_000));
    let (first, second) = (shared(&pool, &message), shared(&pool, &message.clone()));
    assert_eq!(id(&first), id(&second));
    assert_eq!(read(&first), encode(&message).expect("valid").to_vec());
    let other = numbers(100_000);
    assert_ne!(id(&first), id(&shared(&pool, &other)));
}

#[test]
fn a_later_message_at_the_same_address_is_not_taken_for_an_earlier_one() {
    let pool = Pool::default();
    let mut places = Vec::new();
    for count in 10_000..10_100 {
        // All are stamped alike, and each is dropped before the next is made.
        let place = shared(&pool, &numbers(count));
        places.push(place);
        let place = places.last().expect("one");
        assert!(read(place) == encode(&numbers(count)).expect("valid").to_vec());
    }
}

#[test]
fn short_messages_stay_in_their_frames() {
    let pool = Pool::default();
    assert!(matches!(pool.stream(&numbers(1)), Ok(Stream::Inline(_))));
    assert_eq!(pool.taken(), 0);
    assert!(pool.room(FROM - 1).is_none());
}

#[test]
fn what_is_filled_in_place_is_not_copied() {
    let pool = Pool::default();
    let message = filled(&pool, 4 << 20, 1);
    let taken = pool.taken();
    let (encoded, place) = around(&pool, &message);
    assert_eq!(pool.taken(), taken);
    let (_, values) = message.plain().expect("numbers");
    assert_eq!(read(&place).as_ptr(), values.as_ptr());
    assert_eq!(values.as_ptr().addr() % 64, 0);
    let frame = encoded.around(values).expect("what comes around them");
    let values = Bytes::copy_from_slice(read(&place));
    let back = decode_around(frame.map(|part| &part[..]), values, encoded.meta()).expect("valid");
    assert_eq!(back.plain(), message.plain());
}

#[test]
fn part_of_a_room_or_another_type_of_it_is_not_copied_either() {
    let pool = Pool::default();
    let len = 100_000;
    let mut room = pool.room(len).expect("memory");
    // SAFETY: the room has `len` bytes.
    unsafe { room.as_mut_ptr().write_bytes(7, len) };
    let start = room.as_mut_ptr().addr();
    let memory: Arc<Box<dyn Memory>> = Arc::new(room.freeze());
    struct Part(Arc<Box<dyn Memory>>, usize);
    impl Memory for Part {
        fn as_ptr(&self) -> *const u8 {
            self.0.as_ptr().wrapping_add(self.1)
        }
        fn len(&self) -> usize {
            self.0.len() - self.1
        }
    }
    let make = |format, offset, length: usize| {
        let schema = Schema::leaf(format).expect("a type");
        let part = Box::new(Part(memory.clone(), offset));
        Message::in_memory(Timestamp::default(), &schema, length as i64, part, &[]).expect("valid")
    };
    for (format, offset, length, width) in [
        (c"C", 0, 50_000, 1),
        (c"C", 0, len, 1),
        (c"c", 0, len, 1),
        (c"f", 4_000, 20_000, 4),
    ] {
        let message = make(format, offset, length);
        let (encoded, place) = around(&pool, &message);
        assert_eq!(read(&place).as_ptr().addr(), start + offset);
        assert_eq!(place.len, length * width);
        let values = message.plain().expect("numbers").1;
        let [head, tail] = encoded.around(values).expect("what comes around them");
        let whole = [head, read(&place), tail].concat();
        assert_eq!(whole, encode(&message).expect("valid").to_vec());
    }
    let elsewhere = make(c"C", 0, len);
    drop(memory);
    let copy = Message::from_plain(
        Timestamp::default(),
        &Schema::leaf(c"C").expect("a type"),
        elsewhere.plain().expect("numbers").1,
        &[],
    );
    let copy = copy.expect("valid");
    assert_ne!(id(&shared(&pool, &copy)), id(&around(&pool, &elsewhere).1));
}

#[test]
fn a_segment_is_used_again_once_everybody_has_let_go() {
    let pool = Pool::default();
    let message = filled(&pool, 100_000, 1);
    let place = around(&pool, &message).1;
    let first = id(&place);
    drop(message);
    let while_read = around(&pool, &filled(&pool, 100_000, 2)).1;
    assert_ne!(id(&while_read), first);
    drop(place);
    let after = around(&pool, &filled(&pool, 100_000, 3)).1;
    assert_eq!(id(&after), first);
    assert_eq!(pool.dropped(), 0);
}

#[test]
fn a_segment_is_never_used_again_once_nobody_knows_who_reads_it() {
    let pool = Pool::default();
    let place = around(&pool, &filled(&pool, 100_000, 1)).1;
    let (first, taken) = (id(&place), pool.taken());
    place.memory.spoil();
    assert_eq!(pool.taken(), taken);
    drop(place);
    assert_eq!((pool.taken(), pool.dropped()), (0, 1));
    assert_ne!(id(&around(&pool, &filled(&pool, 100_000, 2)).1), first);
}

#[test]
fn a_pool_keeps_to_its_limits() {
    let pool = pool(1 << 20, 300_000);
    let messages: Vec<Message> = (0..6).map(|stamp| filled(&pool, 130_000, stamp)).collect();
    assert!(pool.taken() <= 1 << 20);
    assert!(pool.room(600_000).is_none());
    let more = numbers(100_000);
    assert!(matches!(pool.stream(&more), Ok(Stream::Inline(_))));
    drop(messages);
    assert!(pool.taken() <= 300_000, "{}", pool.taken());
    assert!(pool.dropped() > 0);
    assert!(pool.room(600_000).is_some());
}

#[test]
fn what_is_idle_goes_back_to_the_system() {
    let pool = Pool::new(Limits {
        idle: Duration::ZERO,
        ..Limits::default()
    });
    drop(filled(&pool, 100_000, 1));
    let until = Instant::now() + Duration::from_secs(10);
    while pool.taken() > 2 * SMALLEST && Instant::now() < until {
        drop(filled(&pool, 40_000, 2));
    }
    assert!(pool.taken() <= 2 * SMALLEST, "{}", pool.taken());
}

#[test]
fn a_block_outlives_its_pool() {
    let pool = Pool::default();
    let message = filled(&pool, 100_000, 1);
    drop(pool);
    assert_eq!(message.plain().expect("numbers").1[99_999], 7);
}
