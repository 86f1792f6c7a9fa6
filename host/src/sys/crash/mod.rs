//! What a process says on standard error when it crashes: how, where, and the frames of the thread that did.
//!
//! ```text
//! crashed: SIGSEGV at address 0x8 in thread camera
//!    0: /tmp/x/libcamera.so+0x12f0
//!    1: /usr/bin/dora+0x88a41c
//! ```
//!
//! Invariant: the process ends as it would have ended without this, with the same signal or exception, and at most
//! `DEADLINE_SECONDS` later. What is called in the crashed thread takes no memory, and the only lock is the loader's; the
//! first line is out before that. Absent: names of functions, which need the debug information: `addr2line -e FILE OFFSET`
//! has them.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use std::io;

/// How long the report may take.
#[cfg(unix)]
const DEADLINE_SECONDS: u32 = 2;
/// Deeper frames are left out.
const MOST_FRAMES: usize = 48;
/// How the first line of a report begins.
pub const BEGIN: &str = "crashed: ";
/// Lines of a report, at most.
pub const LINES: usize = MOST_FRAMES + 1;

/// Reports crashes of this process from now on. Once.
///
/// # Errors
/// The system's; then nothing is reported.
pub fn report() -> io::Result<()> {
    system::report()
}

/// A line that is put together without memory of its own.
struct Line {
    bytes: [u8; 512],
    length: usize,
}

impl Line {
    fn new() -> Self {
        Self {
            bytes: [0; 512],
            length: 0,
        }
    }

    /// What does not fit is left out, but for the end of the line.
    fn push(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(place) = self.bytes.get_mut(self.length)
                && self.length < 511
            {
                *place = *byte;
                self.length += 1;
            }
        }
    }

    fn push_hex(&mut self, number: usize) {
        self.push(b"0x");
        let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            let value = (number >> (digit * 4)) & 0xf;
            let letters = b"0123456789abcdef";
            self.push(letters.get(value..=value).unwrap_or_default());
        }
    }

    /// With two digits at least, as frames are counted.
    fn push_count(&mut self, number: usize) {
        for unit in [10, 1] {
            let value = number / unit % 10;
            match (unit, value) {
                (10, 0) => self.push(b" "),
                _ => self.push(b"0123456789".get(value..=value).unwrap_or_default()),
            }
        }
    }

    fn end(mut self) -> Self {
        self.push(b"\n");
        if let Some(last) = self.bytes.get_mut(self.length.saturating_sub(1)) {
            *last = b'\n';
        }
        self
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// One frame: its number, the file that it is in and where in it.
fn frame(number: usize, file: &[u8], offset: usize) -> Line {
    let mut line = Line::new();
    line.push(b"  ");
    line.push_count(number);
    line.push(b": ");
    line.push(if file.is_empty() { b"?" } else { file });
    line.push(b"+");
    line.push_hex(offset);
    line.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_end() {
        let text = |line: &Line| String::from_utf8_lossy(line.as_bytes()).into_owned();
        assert_eq!(text(&frame(7, b"/lib/x.so", 0)), "   7: /lib/x.so+0x0\n");
        assert_eq!(text(&frame(12, b"", 0xab0)), "  12: ?+0xab0\n");
        assert_eq!(
            text(&frame(0, b"", usize::MAX)),
            format!("   0: ?+{:#x}\n", usize::MAX)
        );
        let long = text(&frame(0, &[b'x'; 4096], 1));
        assert!(long.len() <= 512 && long.ends_with("x\n"), "{long}");
    }
}
