//! Reading frames.
//!
//! Invariant: no more is allocated for a frame than twice what has come of it. Absent: what frames mean, but for those of
//! shared memory.

use super::{Channel, READ, Side};
use crate::wire::WireError;
use crate::wire::frame::{self, Frame, OfMemory};
use crate::wire::page::{self, Page};
use crate::wire::sys::{Handles, Stream, Wait};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Who waits again within this time is busy, and saves a call; it is disturbed then, until something comes.
const BUSY: Duration = Duration::from_micros(50);

/// The reading half. One thread at a time.
#[derive(Debug)]
pub struct Incoming {
    channel: Arc<Channel>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    handles: Handles,
    /// When it began to wait long last.
    waited: Option<Instant>,
    /// Why no more can be written, until what has come before is handed on.
    failed: Option<WireError>,
}

/// A frame whose bytes have come.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    kind: u8,
    fields: &'a [u8],
}

impl<'a> Raw<'a> {
    /// The frame that it is.
    ///
    /// # Errors
    /// It is none of these.
    pub fn decode<F: Frame<'a>>(&self) -> Result<F, WireError> {
        F::decode(self.kind, self.fields)
    }
}

impl Incoming {
    pub(super) fn new(channel: Arc<Channel>) -> Self {
        Self {
            channel,
            bytes: vec![0; READ],
            start: 0,
            end: 0,
            handles: Handles::default(),
            waited: None,
            failed: None,
        }
    }

    /// The writing half.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The next frame; `None` when none comes as long as `wait` says. Frames of shared memory are dealt with in here. Before
    /// it waits long, a node writes what was put together.
    ///
    /// # Errors
    /// The connection has ended, or what came is no frame.
    pub fn next(&mut self, wait: Wait) -> Result<Option<Raw<'_>>, WireError> {
        loop {
            if let Some((length, kind)) = self.whole()? {
                let start = self.start + frame::HEADER;
                self.start = start + length;
                let range = start..self.start;
                let fields = self.bytes.get(range.clone()).unwrap_or_default();
                if OfMemory::has(kind) {
                    let frame = OfMemory::decode(kind, fields)?;
                    self.channel.memory(frame, &mut self.handles)?;
                    continue;
                }
                let fields = self.bytes.get(range).unwrap_or_default();
                return Ok(Some(Raw { kind, fields }));
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if !self.read(wait)? {
                return Ok(None);
            }
        }
    }

    /// Length and kind of the next frame, if all of it has come.
    fn whole(&self) -> Result<Option<(usize, u8)>, WireError> {
        let come = self.bytes.get(self.start..self.end).unwrap_or_default();
        let header = frame::header(come)?;
        Ok(header.filter(|(length, _)| come.len() - frame::HEADER >= *length))
    }

    fn read(&mut self, wait: Wait) -> Result<bool, WireError> {
        if wait == Wait::Long && self.channel.side == Side::Node {
            // A node has one thread that calls it and reads: nobody else writes what it has put together.
            let interrupted = || self.channel.interrupted.load(Ordering::Relaxed);
            self.channel.flush(&interrupted)?;
        }
        self.make_room();
        if wait == Wait::Long && !self.is_busy() {
            self.channel.stream.wait_undisturbed()?;
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        match self.channel.stream.read(room, &mut self.handles, wait) {
            Ok(0) => Err(WireError::Ended),
            Ok(length) => {
                self.end += length;
                // The other end reads again, perhaps. If it is gone, what it has said before is there to be read, and then
                // its end.
                self.failed = match self.channel.write_on() {
                    Ok(()) | Err(WireError::Ended) => None,
                    Err(error) => Some(error),
                };
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn is_busy(&mut self) -> bool {
        let now = Instant::now();
        let before = self.waited.replace(now);
        before.is_some_and(|before| now.duration_since(before) < BUSY)
    }

    /// Sees to it that more can be read: for a long frame step by step, as its bytes come.
    fn make_room(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.bytes.len() > READ {
                self.bytes.truncate(READ);
                self.bytes.shrink_to(READ);
            }
        } else if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end > self.bytes.len() / 2 {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
    }

    /// The connection that has come with a frame.
    ///
    /// # Errors
    /// None has come.
    pub fn connection(&mut self, name: u128) -> Result<Stream, WireError> {
        Ok(self.handles.stream(name)?)
    }

    /// Maps the page that has come with a frame.
    ///
    /// # Errors
    /// None has come, or it cannot be mapped.
    pub fn page(&mut self, name: u128) -> Result<Page, WireError> {
        let mapped = self.handles.map(name, page::LEN, true);
        let page = mapped
            .map(|(_, page)| Page::mapped(page))
            .map_err(WireError::Memory)?;
        page.ok_or(WireError::Malformed("a page is too short"))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.channel.close();
    }
}
