//! Shared memory of this process: segments that messages are written into once, for any number of readers.
//!
//! A block holds the values of a message that a node fills in place, which then are copied nowhere; or the whole stream of
//! a message that lay elsewhere. Values that lie in another process's memory are lent on as they lie there. Invariant: a
//! block's bytes do not change once a message of it has been sent; its segment is used again only when the message and all
//! readers have let go of it, and never once it is not known whether they have; no more than [`Limits`] says is taken from
//! the system. Absent: what the other end of a connection has (`channel`).

mod block;
mod segment;

pub(super) use segment::{Lent, Segment};

use super::sys::{Mapping, Object};
use crate::codec::{self, EncodeError, Encoded};
use crate::hosting::Room;
use crate::message::Message;
use block::{Block, Filling};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Shorter streams are copied into their frames: two copies of so many bytes take less time than what segments need
/// beside them.
pub const FROM: usize = 32 * 1024;
/// The smallest segment.
const SMALLEST: usize = 64 * 1024;
/// Encodings that are remembered for further readers.
const REMEMBERED: usize = 32;
/// Segments of other processes that can be lent on at a time: each is a descriptor.
const MOST_FOREIGN: usize = 256;

/// How much memory a pool takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all segments; what does not fit goes over the connection.
    pub most: usize,
    /// Bytes of segments that are kept for further use.
    pub keep: usize,
    /// How long a segment is kept unused.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            most: 1 << 30,
            keep: 256 << 20,
            idle: Duration::from_secs(10),
        }
    }
}

/// The shared memory of a process. Clones are the same. Any thread.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    limits: Limits,
    state: Mutex<State>,
    /// Grows whenever a segment is no more.
    dropped: AtomicU64,
    /// Segments of other processes that can be lent on.
    foreign: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Bytes of all segments.
    taken: usize,
    /// Unused segments by their length, the one that was used last at the end.
    free: BTreeMap<usize, Vec<(Arc<Segment>, Instant)>>,
    free_bytes: usize,
    /// Values that others can read where they are, by their address, with their length.
    values: BTreeMap<usize, (usize, Weak<dyn Lent>)>,
    encoded: VecDeque<Remembered>,
}

/// A stream in a block, and which message it is of.
#[derive(Debug)]
struct Remembered {
    /// The message's address, which is no other's while the block is there: that keeps the message.
    message: usize,
    block: Weak<Block>,
    len: usize,
}

/// Bytes in shared memory.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// What they lie in; they stay as they are while somebody has this.
    pub memory: Arc<dyn Lent>,
    /// Where in the segment they start.
    pub start: usize,
    /// How many they are.
    pub len: usize,
}

/// A message's stream on its way out.
#[derive(Debug)]
pub(super) enum Stream {
    /// To be copied into a frame.
    Inline(Encoded),
    /// To be read where it is.
    Shared(Place),
    /// To be copied into a frame but for its values, which are to be read where they are.
    Around(Encoded, Place),
}

/// What there is of a message's stream.
enum Found {
    /// All that is needed.
    Ready(Stream),
    /// Its parts, which are many bytes.
    ToCopy(Encoded),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lengths of segments: four steps from one power of two to the next, so that a segment fits what is about as long.
fn class(len: usize) -> Option<usize> {
    let len = len.max(SMALLEST);
    let step = len.checked_next_power_of_two()? / 8;
    len.checked_next_multiple_of(step.max(1))
}

impl Pool {
    /// A pool.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            ..Inner::default()
        }))
    }

    /// Room for an output's values that is sent without a copy; `None` when it is not worth it or there is none.
    pub fn room(&self, len: usize) -> Option<Box<dyn Room>> {
        if len < FROM {
            return None;
        }
        let block = self.block(len)?;
        let memory = Arc::downgrade(&block);
        self.lends(block.start().addr(), len, memory);
        Some(Box::new(Filling(block)))
    }

    /// Bytes that are taken from the system.
    pub fn taken(&self) -> usize {
        lock(&self.0.state).taken
    }

    /// Whether a message's values lie in this memory, so that other processes get them without a copy.
    pub fn holds(&self, message: &Message) -> bool {
        let plain = message.plain();
        plain.is_some_and(|(_, values)| self.place_of(values).is_some())
    }

    /// How many segments of other processes can be lent on.
    #[cfg(test)]
    pub(super) fn foreign(&self) -> usize {
        self.0.foreign.load(Ordering::Relaxed)
    }

    /// How many segments are no more, so that others can be told.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// A message's stream, in shared memory where it is long. Written once, whoever else asks for it meanwhile or later,
    /// as long as somebody has it.
    ///
    /// # Errors
    /// As [`codec::encode`].
    pub(super) fn stream(&self, message: &Message) -> Result<Stream, EncodeError> {
        let encoded = match self.find(message)? {
            Found::Ready(stream) => return Ok(stream),
            Found::ToCopy(encoded) => encoded,
        };
        let Some(block) = self.copy(&encoded) else {
            return Ok(Stream::Inline(encoded));
        };
        self.remember(message, &block, encoded.len());
        Ok(Stream::Shared(Block::place(block, encoded.len())))
    }

    /// As [`Pool::stream`]; nothing where much would have to be copied for it.
    ///
    /// # Errors
    /// As [`codec::encode`].
    pub(super) fn stream_at_hand(&self, message: &Message) -> Result<Option<Stream>, EncodeError> {
        Ok(match self.find(message)? {
            Found::Ready(stream) => Some(stream),
            Found::ToCopy(_) => None,
        })
    }

    fn find(&self, message: &Message) -> Result<Found, EncodeError> {
        let plain = message.plain().map(|(_, values)| values);
        if plain.is_some_and(|values| values.len() < FROM) {
            return Ok(Found::Ready(Stream::Inline(codec::encode(message)?)));
        }
        if let Some(place) = self.remembered(message) {
            return Ok(Found::Ready(Stream::Shared(place)));
        }
        let encoded = codec::encode(message)?;
        if encoded.len() < FROM {
            return Ok(Found::Ready(Stream::Inline(encoded)));
        }
        if let Some(values) = plain.filter(|values| encoded.around(values).is_some())
            && let Some(place) = self.place_of(values)
        {
            return Ok(Found::Ready(Stream::Around(encoded, place)));
        }
        Ok(Found::ToCopy(encoded))
    }

    fn remembered(&self, message: &Message) -> Option<Place> {
        let address = message.as_ptr().addr();
        let state = lock(&self.0.state);
        // Newest first: older ones of this address are of messages that are gone.
        let mut known = state.encoded.iter().rev();
        let known = known.find(|it| it.message == address)?;
        Some(Block::place(known.block.upgrade()?, known.len))
    }

    fn remember(&self, message: &Message, block: &Arc<Block>, len: usize) {
        let address = message.as_ptr().addr();
        block.keep(message);
        let mut state = lock(&self.0.state);
        state.encoded.retain(|it| it.message != address);
        if state.encoded.len() >= REMEMBERED {
            state.encoded.pop_front();
        }
        state.encoded.push_back(Remembered {
            message: address,
            block: Arc::downgrade(block),
            len,
        });
    }

    /// Where values lie that others can read there.
    fn place_of(&self, values: &[u8]) -> Option<Place> {
        let address = values.as_ptr().addr();
        let memory = {
            let state = lock(&self.0.state);
            let (start, (len, memory)) = state.values.range(..=address).next_back()?;
            let within = (address - start).checked_add(values.len())? <= *len;
            memory.upgrade().filter(|_| within)
        }?;
        Some(Place {
            start: address.checked_sub(memory.segment().start())?,
            len: values.len(),
            memory,
        })
    }

    /// From now on values at this address can be read where they are, as long as `memory` is there.
    pub(super) fn lends(&self, address: usize, len: usize, memory: Weak<dyn Lent>) {
        lock(&self.0.state).values.insert(address, (len, memory));
    }

    /// They cannot: that memory is gone.
    pub(super) fn lends_no_more(&self, address: usize, memory: *const ()) {
        lock(&self.0.state).lends_no_more(address, memory);
    }

    fn copy(&self, encoded: &Encoded) -> Option<Arc<Block>> {
        let block = self.block(encoded.len())?;
        // SAFETY: this block is only here yet, and its room was made for these bytes.
        let room = unsafe { std::slice::from_raw_parts_mut(block.start(), encoded.len()) };
        encoded.copy_to(room).then_some(block)
    }

    fn block(&self, room: usize) -> Option<Arc<Block>> {
        let segment = self.segment(class(room)?)?;
        Some(Arc::new(Block::new(segment, room, Arc::downgrade(&self.0))))
    }

    /// Memory that another process has announced. Messages in it can be lent on where `object` is what others map, unless
    /// too much of that kind is here already.
    pub(super) fn adopt(&self, object: Option<Object>, mapping: Mapping) -> Segment {
        let object = object.filter(|object| object.is_for_reading());
        let one_more = |held: usize| (held < MOST_FOREIGN).then_some(held + 1);
        let foreign = &self.0.foreign;
        let object = object.filter(|_| {
            let taken = foreign.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
            taken.is_ok()
        });
        let id = object.as_ref().map_or(0, |_| {
            let mut state = lock(&self.0.state);
            state.next += 1;
            state.next
        });
        Segment::foreign(id, object, mapping, Arc::downgrade(&self.0))
    }

    fn segment(&self, len: usize) -> Option<Arc<Segment>> {
        let mut unused = Vec::new();
        let id = {
            let mut state = lock(&self.0.state);
            if let Some((segment, _)) = state.free.get_mut(&len).and_then(Vec::pop) {
                state.free_bytes -= len;
                return Some(segment);
            }
            if state.taken + len > self.0.limits.most {
                state.shrink(0, None, &mut unused);
            }
            if state.taken + len > self.0.limits.most {
                return None;
            }
            state.taken += len;
            state.next += 1;
            state.next
        };
        drop(unused);
        // The system may take its time.
        match Object::new(len, false) {
            Ok((object, mapping)) => {
                let pool = Arc::downgrade(&self.0);
                Some(Arc::new(Segment::own(id, object, mapping, pool)))
            }
            Err(_) => {
                lock(&self.0.state).taken -= len;
                None
            }
        }
    }
}

impl State {
    /// Takes out unused segments, those first that were used longest ago, until no more than `keep` bytes are left, and
    /// all that were last used before `since`.
    fn shrink(&mut self, keep: usize, since: Option<Instant>, out: &mut Vec<Arc<Segment>>) {
        loop {
            let oldest = self
                .free
                .iter()
                .filter_map(|(len, list)| list.first().map(|(_, used)| (*used, *len)))
                .min();
            let Some((used, len)) = oldest else { return };
            if self.free_bytes <= keep && since.is_none_or(|since| used >= since) {
                return;
            }
            if let Some(list) = self.free.get_mut(&len) {
                out.push(list.remove(0).0);
                self.free_bytes -= len;
                self.taken -= len;
            }
        }
    }
}

impl State {
    /// Memory is gone, and the values in it.
    fn lends_no_more(&mut self, address: usize, memory: *const ()) {
        // Somebody else's may lie there by now.
        let known = self.values.get(&address);
        if known.is_some_and(|(_, known)| known.as_ptr().cast() == memory) {
            self.values.remove(&address);
        }
    }
}

impl Inner {
    fn give_back(&self, block: &Block) {
        let segment = block.segment().clone();
        let (size, now) = (segment.size(), Instant::now());
        let mut unused = Vec::new();
        let mut state = lock(&self.state);
        state.lends_no_more(segment.start(), std::ptr::from_ref(block).cast());
        if block.is_spoilt() {
            state.taken -= size;
            unused.push(segment);
        } else {
            state.free_bytes += size;
            state.free.entry(size).or_default().push((segment, now));
        }
        let since = now.checked_sub(self.limits.idle);
        state.shrink(self.limits.keep, since, &mut unused);
        drop(state);
        drop(unused);
    }
}

#[cfg(test)]
mod tests;
