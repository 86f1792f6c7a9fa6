//! One end of a connection: writing frames from any thread, reading them from one.
//!
//! Invariant: frames are written whole and in order; giving memory back never waits. Memory of the other end stays mapped
//! while a message borrows it, and memory that was sent stays as it is until the other end has released it; what it has
//! when the connection ends is never used again, because its process may live on. Absent: what frames mean.

mod incoming;
mod outgoing;
mod theirs;

pub use incoming::{Incoming, Raw};

use super::WireError;
use super::frame::Frame;
use super::memory::{Lent, Pool, Segment};
use super::sys::{Object, Stream, Wait};
use crate::codec::MAX_BODY;
use crate::message::Message;
use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

/// Bytes that are read at once.
const READ: usize = 64 * 1024;
/// Bytes that are put together before they are written all the same.
const FULL: usize = 64 * 1024;
/// Segments of the other end that are mapped at a time.
const MOST_SEGMENTS: usize = 4096;
/// Bytes that a segment of the other end may have.
const LARGEST: u64 = MAX_BODY as u64 + (1 << 20);

/// Which way a channel's messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This is the daemon: what it sends are inputs, and it trusts no memory of the node's.
    Daemon,
    /// This is the node.
    Node,
}

/// The writing half, and what both halves share. Any thread.
#[derive(Debug)]
pub struct Channel {
    stream: Stream,
    side: Side,
    pool: Pool,
    out: Mutex<Out>,
    /// Whether reading is to end.
    interrupted: AtomicBool,
    /// Whether `out` holds what should have been written already.
    behind: AtomicBool,
    /// Whole frames of those who must not wait for `out`.
    soon: Mutex<Vec<u8>>,
    /// By the id of a segment that the other end knows: the messages in it that it has.
    lent: Mutex<HashMap<u64, Vec<Arc<dyn Lent>>>>,
    /// Segments that the other end has announced.
    theirs: Mutex<HashMap<u64, Arc<Segment>>>,
}

/// What is to be written.
#[derive(Debug, Default)]
struct Out {
    bytes: Vec<u8>,
    /// How many of the bytes have been written.
    written: usize,
    /// What travels beside the bytes from a position on.
    attached: VecDeque<(usize, Attached)>,
    /// Segments that the other end knows.
    known: HashMap<u64, Weak<Segment>>,
    /// How many segments the pool had dropped when `known` was last looked through.
    dropped: u64,
}

/// What became of a message that was to be written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It is as before: [`Channel::put_message`] takes it.
    NotNow,
    /// It was written, or a part of it: [`Channel::flush`] writes the rest.
    Written {
        /// All of it.
        whole: bool,
    },
}

#[derive(Debug)]
enum Attached {
    Segment(Arc<Segment>),
    Object(Object),
}

impl Attached {
    fn object(&self) -> Option<&Object> {
        match self {
            Self::Segment(segment) => segment.object(),
            Self::Object(object) => Some(object),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Never gives up.
fn never() -> bool {
    false
}

impl Channel {
    /// Both halves of this end of a connection. What is sent lies in `pool` where it is long.
    pub fn new(stream: Stream, side: Side, pool: Pool) -> (Arc<Self>, Incoming) {
        let channel = Arc::new(Self {
            stream,
            side,
            pool,
            out: Mutex::default(),
            interrupted: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            soon: Mutex::default(),
            lent: Mutex::default(),
            theirs: Mutex::default(),
        });
        let incoming = Incoming::new(channel.clone());
        (channel, incoming)
    }

    /// The memory that long messages are sent in.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Puts a frame behind those that are to be written. [`Channel::flush`] writes them.
    ///
    /// # Errors
    /// It is too long, or the connection has ended.
    pub fn put<'a>(&self, frame: &impl Frame<'a>) -> Result<(), WireError> {
        let mut out = lock(&self.out);
        self.forget(&mut out)?;
        frame.encode(&mut out.bytes)?;
        let full = out.bytes.len() - out.written >= FULL;
        if full {
            self.write(&mut out, Wait::Not, &never)?;
        }
        drop(out);
        self.write_soon();
        Ok(())
    }

    /// Puts a frame behind the others and writes them all.
    ///
    /// # Errors
    /// As [`Channel::put`] and [`Channel::flush`].
    pub fn send<'a>(&self, frame: &impl Frame<'a>) -> Result<(), WireError> {
        let mut out = lock(&self.out);
        frame.encode(&mut out.bytes)?;
        self.flush_locked(out, &never).map(drop)
    }

    /// As [`Channel::put`] for a frame that speaks of an object that the other end is to map.
    ///
    /// # Errors
    /// As [`Channel::put`].
    pub fn put_with<'a>(&self, frame: &impl Frame<'a>, object: Object) -> Result<(), WireError> {
        let mut out = lock(&self.out);
        let at = out.bytes.len();
        frame.encode(&mut out.bytes)?;
        out.attached.push_back((at, Attached::Object(object)));
        Ok(())
    }

    /// Puts a message for or from a port behind the frames that are to be written. A long one goes through shared memory,
    /// without a copy if it lies there already. What is too much to be kept is written at once, until `give_up` says so;
    /// the message is sent all the same, as soon as the other end reads.
    ///
    /// # Errors
    /// The message cannot be encoded, or the connection has ended.
    pub fn put_message(
        &self,
        port: u32,
        message: &Message,
        give_up: &dyn Fn() -> bool,
    ) -> Result<(), WireError> {
        let stream = self.pool.stream(message)?;
        let mut out = lock(&self.out);
        self.encode_message(&mut out, port, message, &stream)?;
        if out.bytes.len() - out.written >= FULL {
            return self.flush_locked(out, give_up).map(drop);
        }
        drop(out);
        self.write_soon();
        Ok(())
    }

    /// Writes a message at once if that needs no waiting, no copy of much data, and nothing else is to be written before it.
    ///
    /// # Errors
    /// As [`Channel::put_message`]; nothing has been written then.
    pub fn try_message(&self, port: u32, message: &Message) -> Result<Attempt, WireError> {
        let Ok(mut out) = self.out.try_lock() else {
            return Ok(Attempt::NotNow);
        };
        let Some(stream) = self.pool.stream_at_hand(message)? else {
            return Ok(Attempt::NotNow);
        };
        if !out.bytes.is_empty() {
            return Ok(Attempt::NotNow);
        }
        self.encode_message(&mut out, port, message, &stream)?;
        let whole = self.write(&mut out, Wait::Not, &never)?;
        drop(out);
        self.write_soon();
        Ok(Attempt::Written { whole })
    }

    /// Writes what has been put together. It may wait for the other end to read, until `give_up` says so; `false` then, and
    /// the rest is written with what comes next.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn flush(&self, give_up: &dyn Fn() -> bool) -> Result<bool, WireError> {
        self.flush_locked(lock(&self.out), give_up)
    }

    fn flush_locked(
        &self,
        mut out: MutexGuard<'_, Out>,
        give_up: &dyn Fn() -> bool,
    ) -> Result<bool, WireError> {
        let done = self.write(&mut out, Wait::AWhile, give_up);
        drop(out);
        self.write_soon();
        done
    }

    fn write(
        &self,
        out: &mut Out,
        wait: Wait,
        give_up: &dyn Fn() -> bool,
    ) -> Result<bool, WireError> {
        while out.written < out.bytes.len() {
            // A piece ends where the next but one object goes along, so that each piece takes one.
            let end = out.attached.get(1).map_or(out.bytes.len(), |(at, _)| *at);
            let piece = out.bytes.get(out.written..end).unwrap_or_default();
            let object = out.attached.front();
            let object = object.and_then(|(_, attached)| attached.object());
            match self.stream.write(piece, object, wait) {
                Ok(length) => {
                    out.written += length;
                    out.attached.pop_front();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.behind.store(true, Ordering::Relaxed);
                    if wait == Wait::Not || give_up() {
                        return Ok(false);
                    }
                }
                Err(error) => {
                    // Nobody will read it.
                    out.bytes.clear();
                    out.written = 0;
                    out.attached.clear();
                    return Err(match error.kind() {
                        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => WireError::Ended,
                        _ => error.into(),
                    });
                }
            }
        }
        out.bytes.clear();
        // What a long message took is not kept.
        out.bytes.shrink_to(2 * FULL);
        out.written = 0;
        self.behind.store(false, Ordering::Relaxed);
        Ok(true)
    }

    /// Writes what should have been written already, as far as that goes without waiting.
    fn write_on(&self) -> Result<(), WireError> {
        if !self.behind.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Ok(mut out) = self.out.try_lock() {
            self.write(&mut out, Wait::Not, &never)?;
        }
        self.write_soon();
        Ok(())
    }

    /// Sends a short frame, now or behind what somebody else is writing. Never waits.
    ///
    /// # Errors
    /// It is too long.
    pub fn send_soon<'a>(&self, frame: &impl Frame<'a>) -> Result<(), WireError> {
        frame.encode(&mut lock(&self.soon))?;
        self.write_soon();
        Ok(())
    }

    /// Writes what was to be written soon, unless somebody else is writing, who then does it afterwards.
    fn write_soon(&self) {
        while !lock(&self.soon).is_empty() {
            let mut out = match self.out.try_lock() {
                Ok(out) => out,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let soon = std::mem::take(&mut *lock(&self.soon));
            out.bytes.extend_from_slice(&soon);
            // The reading half finds out that a connection has ended.
            let _ = self.write(&mut out, Wait::Not, &never);
        }
    }

    /// Makes the thread that reads return, as if the other end had closed the connection; writing goes on.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
        self.stream.interrupt();
    }

    /// Ends the connection, and forgets the other end's memory but for what messages have of it.
    pub fn close(&self) {
        self.stream.close();
        let lent = std::mem::take(&mut *lock(&self.lent));
        // Nobody hears any more when it has been read.
        lent.values().flatten().for_each(|memory| memory.spoil());
        drop(lent);
        let theirs = std::mem::take(&mut *lock(&self.theirs));
        drop(theirs);
    }
}

#[cfg(test)]
mod tests;
