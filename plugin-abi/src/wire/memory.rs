//! Shared memory of this process: segments that messages are written into once, for any number of readers.
//!
//! A block holds a message's stream: room for what comes before the values, the values at `RESERVE`, then the end. A node
//! that fills a block in place has nothing copied when it is sent. Invariant: a block's bytes do not change once a message
//! of it has been sent; its segment is used again only when the message and all readers have let go of it; no more than
//! [`Limits`] says is taken from the system. Absent: the memory of other processes (`channel`).

use super::sys::{Mapping, Object};
use crate::codec::{self, EncodeError, Encoded};
use crate::hosting::Room;
use crate::message::{Memory, Message};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Shorter streams are copied into their frames: two copies of so many bytes take less time than what segments need
/// beside them.
pub const FROM: usize = 32 * 1024;
/// Bytes before a block's values. What comes before the values of numbers is shorter.
const RESERVE: usize = 1024;
/// Bytes behind a block's values: padding and the mark of the end are shorter.
const TAIL: usize = 128;
/// The smallest segment.
const SMALLEST: usize = 64 * 1024;
/// Encodings that are remembered for further readers.
const REMEMBERED: usize = 32;

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
    /// Grows whenever a segment is given back to the system.
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Bytes of all segments.
    taken: usize,
    /// Unused segments by their length, the one that was used last at the end.
    free: BTreeMap<usize, Vec<(Arc<Segment>, Instant)>>,
    free_bytes: usize,
    /// Blocks by the address of their values.
    blocks: HashMap<usize, Weak<Block>>,
    encoded: VecDeque<Remembered>,
}

/// A stream in a block, and which message it is of.
#[derive(Debug)]
struct Remembered {
    /// The message's address, which is no other's while the block is there: that keeps the message.
    message: usize,
    block: Weak<Block>,
    start: usize,
    len: usize,
}

/// Memory that can be mapped by others.
#[derive(Debug)]
pub struct Segment {
    /// Its id in this process.
    pub id: u64,
    /// What others map.
    pub object: Object,
    mapping: Mapping,
}

impl Segment {
    /// Its length in bytes.
    pub fn size(&self) -> usize {
        self.mapping.size()
    }
}

/// A segment in use. Given back when dropped.
#[derive(Debug)]
pub struct Block {
    segment: Option<Arc<Segment>>,
    pool: Weak<Inner>,
    /// Bytes of the values that it was made for.
    room: usize,
    /// What was written before the values, once it has been.
    head: OnceLock<Vec<u8>>,
    /// The message that it is a copy of.
    copied: OnceLock<Message>,
}

/// A stream in shared memory.
#[derive(Debug, Clone)]
pub struct Place {
    /// What it lies in; it stays as it is while somebody has this.
    pub block: Arc<Block>,
    /// Where in the segment it starts.
    pub start: usize,
    /// Its length.
    pub len: usize,
}

/// A message's stream on its way out.
#[derive(Debug)]
pub enum Stream {
    /// To be copied into a frame.
    Inline(Encoded),
    /// To be read where it is.
    Shared(Place),
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
        Some(Box::new(Filling(self.block(len)?)))
    }

    /// Bytes that are taken from the system.
    pub fn taken(&self) -> usize {
        lock(&self.0.state).taken
    }

    /// How many segments have been given back to the system, so that others can be told.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// A message's stream, in shared memory where it is long. Written once, whoever else asks for it meanwhile or later,
    /// as long as somebody has it.
    ///
    /// # Errors
    /// As [`codec::encode`].
    pub fn stream(&self, message: &Message) -> Result<Stream, EncodeError> {
        let plain = message.plain().map(|(_, values)| values);
        if plain.is_some_and(|values| values.len() < FROM) {
            return Ok(Stream::Inline(codec::encode(message)?));
        }
        if let Some(place) = self.remembered(message) {
            return Ok(Stream::Shared(place));
        }
        let encoded = codec::encode(message)?;
        if encoded.len() < FROM {
            return Ok(Stream::Inline(encoded));
        }
        if let Some(place) = plain.and_then(|values| self.in_place(values, &encoded)) {
            return Ok(Stream::Shared(place));
        }
        let Some(place) = self.copy(&encoded) else {
            return Ok(Stream::Inline(encoded));
        };
        self.remember(message, &place);
        Ok(Stream::Shared(place))
    }

    fn remembered(&self, message: &Message) -> Option<Place> {
        let address = message.as_ptr().addr();
        let state = lock(&self.0.state);
        // Newest first: older ones of this address are of messages that are gone.
        let mut known = state.encoded.iter().rev();
        let known = known.find(|it| it.message == address)?;
        Some(Place {
            block: known.block.upgrade()?,
            start: known.start,
            len: known.len,
        })
    }

    fn remember(&self, message: &Message, place: &Place) {
        let address = message.as_ptr().addr();
        // It was made for this message alone.
        let _ = place.block.copied.set(message.clone());
        let mut state = lock(&self.0.state);
        state.encoded.retain(|it| it.message != address);
        if state.encoded.len() >= REMEMBERED {
            state.encoded.pop_front();
        }
        state.encoded.push_back(Remembered {
            message: address,
            block: Arc::downgrade(&place.block),
            start: place.start,
            len: place.len,
        });
    }

    /// Completes the stream around values that lie in a block already.
    fn in_place(&self, values: &[u8], encoded: &Encoded) -> Option<Place> {
        let block = lock(&self.0.state)
            .blocks
            .get(&values.as_ptr().addr())?
            .upgrade()?;
        let (head, tail) = match encoded.parts() {
            [head, middle, tail] if middle.as_ptr() == values.as_ptr() => (head, tail),
            _ => return None,
        };
        // Of a part of the values the end would lie in the rest of them.
        let fits = values.len() == block.room && head.len() <= RESERVE && tail.len() <= TAIL;
        if !fits {
            return None;
        }
        let written = block.head.get_or_init(|| {
            let values = block.values();
            // SAFETY: `RESERVE` bytes lie before the values and `TAIL` behind them, which nobody reads before this has been
            // written, once.
            unsafe {
                values
                    .sub(head.len())
                    .copy_from_nonoverlapping(head.as_ptr(), head.len());
                values
                    .add(block.room)
                    .copy_from_nonoverlapping(tail.as_ptr(), tail.len());
            }
            head.to_vec()
        });
        // The same values may be sent as another type.
        let place = Place {
            start: RESERVE - head.len(),
            len: encoded.len(),
            block: block.clone(),
        };
        (written == head).then_some(place)
    }

    fn copy(&self, encoded: &Encoded) -> Option<Place> {
        let block = self.block(encoded.len())?;
        let start = RESERVE;
        // SAFETY: this block is only here yet, and its room was made for these bytes.
        let room = unsafe { std::slice::from_raw_parts_mut(block.values(), block.room) };
        let place = Place {
            len: encoded.len(),
            start,
            block,
        };
        // No other message may be taken for one that was written here in place.
        let _ = place.block.head.set(Vec::new());
        encoded.copy_to(room).then_some(place)
    }

    fn block(&self, room: usize) -> Option<Arc<Block>> {
        let len = class(room.checked_add(RESERVE + TAIL)?)?;
        let segment = Some(self.segment(len)?);
        let block = Arc::new(Block {
            segment,
            pool: Arc::downgrade(&self.0),
            room,
            head: OnceLock::new(),
            copied: OnceLock::new(),
        });
        let mut state = lock(&self.0.state);
        state
            .blocks
            .insert(block.values().addr(), Arc::downgrade(&block));
        Some(block)
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
        self.0.told(unused);
        // The system may take its time.
        match Object::new(len, false) {
            Ok((object, mapping)) => Some(Arc::new(Segment {
                id,
                object,
                mapping,
            })),
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

impl Inner {
    fn give_back(&self, segment: Arc<Segment>, values: usize) {
        let mut unused = Vec::new();
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.blocks.remove(&values);
        state.free_bytes += segment.size();
        let list = state.free.entry(segment.size()).or_default();
        list.push((segment, now));
        state.shrink(
            self.limits.keep,
            now.checked_sub(self.limits.idle),
            &mut unused,
        );
        drop(state);
        self.told(unused);
    }

    fn told(&self, unused: Vec<Arc<Segment>>) {
        if !unused.is_empty() {
            // Unmapped first, so that whoever sees the new number finds them gone.
            drop(unused);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Block {
    /// The segment that it is.
    pub fn segment(&self) -> Option<&Arc<Segment>> {
        self.segment.as_ref()
    }

    fn values(&self) -> *mut u8 {
        match &self.segment {
            // Within the segment, which is longer.
            Some(segment) => segment.mapping.as_ptr().wrapping_add(RESERVE),
            None => std::ptr::null_mut(),
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let values = self.values().addr();
        if let (Some(segment), Some(pool)) = (self.segment.take(), self.pool.upgrade()) {
            pool.give_back(segment, values);
        }
    }
}

/// A block whose values are being written, or are those of a message.
struct Filling(Arc<Block>);

impl Memory for Filling {
    fn as_ptr(&self) -> *const u8 {
        self.0.values()
    }

    fn len(&self) -> usize {
        self.0.room
    }
}

impl Room for Filling {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.values()
    }

    fn freeze(self: Box<Self>) -> Box<dyn Memory> {
        self
    }
}

#[cfg(test)]
mod tests;
