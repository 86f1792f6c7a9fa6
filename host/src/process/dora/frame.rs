//! Frames: a `u64` length, little-endian, then so many bytes.
//!
//! Invariant: a length that is too large is refused when it is read, and memory grows with what has arrived, never with
//! what was announced. Absent: sockets and deadlines.

use super::words::Malformed;

/// Bytes of the length.
pub const HEADER: usize = 8;
/// Longest frame that 1.x nodes send and read; the others are held to it too.
pub const MAX_FRAME: usize = 64 << 20;
/// Longest first frame: the names in it are short.
pub const MAX_FIRST: usize = 64 << 10;

/// Memory that a connection keeps between small frames.
const KEPT: usize = 64 << 10;
/// Memory that it keeps after a large one, for the next: fresh memory costs more than what is read into it.
const KEPT_LARGE: usize = 16 << 20;
/// So many reads without a large frame, and there will be none soon.
const SMALL: u32 = 1 << 10;
/// Most that one read may bring: more than what small frames need, so that large ones come in few reads.
const STEP: usize = 1 << 20;

/// Bytes on their way to become frames.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    most: usize,
    /// Reads since the last large frame.
    small: u32,
}

impl Frames {
    /// None yet; frames of at most `most` bytes are accepted.
    pub fn new(most: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            most,
            small: SMALL,
        }
    }

    /// Accepts frames of at most so many bytes from now on.
    pub fn accept(&mut self, most: usize) {
        self.most = most;
    }

    /// Whether part of a frame has arrived.
    pub fn is_within(&self) -> bool {
        self.start < self.end
    }

    /// Where the next bytes go: never empty. Say with [`Self::filled`] how many there were.
    #[allow(
        clippy::indexing_slicing,
        reason = "`end` is never beyond the buffer, which was just made longer"
    )]
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.small = self.small.saturating_add(1);
            let kept = if self.small > SMALL { KEPT } else { KEPT_LARGE };
            if self.buffer.len() > kept {
                self.buffer.truncate(KEPT);
                self.buffer.shrink_to(KEPT);
            }
        } else if self.start > 0 && self.buffer.len() - self.end < KEPT / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < KEPT / 2 {
            let wanted = self.wanted().unwrap_or(0);
            let more = wanted
                .saturating_sub(self.end)
                .clamp(KEPT, STEP.max(self.end));
            self.buffer.resize(self.end + more, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes have been written to the start of [`Self::room`].
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// Where the frame that has begun will end.
    fn wanted(&self) -> Option<usize> {
        let header = self.buffer.get(self.start..self.end)?.first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*header)).ok()?;
        self.start.checked_add(HEADER)?.checked_add(length)
    }

    /// The next whole frame, without its length.
    ///
    /// # Errors
    /// It is announced as longer than is accepted. Nothing that follows can be understood.
    pub fn cut(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let arrived = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((header, arrived)) = arrived.split_first_chunk() else {
            return Ok(None);
        };
        let length = u64::from_le_bytes(*header);
        let Some(length) = usize::try_from(length).ok().filter(|it| *it <= self.most) else {
            let most = self.most;
            return Err(Malformed(format!(
                "a frame of {length} bytes, at most {most} are accepted"
            )));
        };
        let Some(frame) = arrived.get(..length) else {
            return Ok(None);
        };
        if length > KEPT {
            self.small = 0;
        }
        self.start += HEADER + length;
        Ok(Some(frame))
    }
}

/// The bytes of a frame: its length, then the body.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend_from_slice(&(body.len() as u64).to_le_bytes());
    out.extend_from_slice(body);
    out
}
