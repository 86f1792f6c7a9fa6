//! One log file that is written in batches and rotated by size: `log_x.txt`, before it `log_x.txt.1`, and so on.
//!
//! Invariant: nothing here waits or panics for a disk that is full or gone: lines that could not be written are
//! counted, and writing is tried again after [`RETRY_AFTER`]. A line is never written twice. Absent: which lines
//! there are, and a clock: the moment is passed in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes that wait in memory at most before they are written.
const BATCH_BYTES: usize = 64 * 1024;
/// Memory that a file keeps between batches.
const KEPT_BYTES: usize = 4 * 1024;
/// After an error, lines are only counted for so long.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How large log files become, and how many are kept per node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Size at which a new file is begun, in bytes. A longer line is still written whole.
    pub max_bytes: u64,
    /// Files per node, the one that is written included; at least one is kept.
    pub files: u32,
}

impl Default for Rotation {
    /// Five files of 50 MiB.
    fn default() -> Self {
        Self {
            max_bytes: 50 * 1024 * 1024,
            files: 5,
        }
    }
}

/// Path of an older file: 1 is the youngest of them.
pub(super) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// A log file. It is created with its first line.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    handle: Option<File>,
    /// Bytes in the file, once it has been opened.
    size: u64,
    buffer: Vec<u8>,
    /// The file ends within a line, so the next must not be glued to it.
    torn: bool,
    lost: u64,
    retry_at: Option<Instant>,
    /// Old files could not be moved; not tried again before.
    rotate_at: Option<Instant>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, rotation: Rotation) -> Self {
        Self {
            path,
            rotation,
            handle: None,
            size: 0,
            buffer: Vec::new(),
            torn: false,
            lost: 0,
            retry_at: None,
            rotate_at: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lines that were given and are not in the file.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn is_open(&self) -> bool {
        self.handle.is_some()
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Takes one line with its end. It is in the file after [`LogFile::flush`].
    ///
    /// # Errors
    /// The file could not be made, rotated or written. Lines were lost and are counted, or the file grows beyond its
    /// size. The next call may be made as if nothing had happened.
    pub(super) fn append(&mut self, line: &[u8], now: Instant) -> io::Result<()> {
        if self.retry_at.is_some_and(|at| now < at) {
            self.lost += 1;
            return Ok(());
        }
        let mut outcome = Ok(());
        if self.handle.is_none()
            && let Err(error) = self.open()
        {
            self.lost += 1;
            return self.pause(now, error);
        }
        if self.is_full(line.len(), now) {
            outcome = self.flush(now).and_then(|()| self.rotate(now));
            if self.handle.is_none() {
                self.lost += 1;
                return outcome;
            }
        }
        self.buffer.extend_from_slice(line);
        if self.buffer.len() >= BATCH_BYTES {
            outcome = outcome.and(self.flush(now));
        }
        outcome
    }

    fn is_full(&self, more: usize, now: Instant) -> bool {
        let waiting = self.size + self.buffer.len() as u64;
        waiting > 0
            && waiting + more as u64 > self.rotation.max_bytes
            && self.rotate_at.is_none_or(|at| now >= at)
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// As [`LogFile::append`].
    pub(super) fn flush(&mut self, now: Instant) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (written, outcome) = self.write_buffer();
        self.size += written as u64;
        let rest = self.buffer.get(written..).unwrap_or_default();
        self.lost += rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(last) = written.checked_sub(1) {
            self.torn = self.buffer.get(last) != Some(&b'\n');
        }
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES);
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => self.pause(now, error),
        }
    }

    /// Writes what waits and closes the file; the next line opens it again.
    ///
    /// # Errors
    /// As [`LogFile::append`].
    pub(super) fn close(&mut self, now: Instant) -> io::Result<()> {
        let outcome = self.flush(now);
        self.handle = None;
        outcome
    }

    /// Bytes that reached the file, and how it ended.
    fn write_buffer(&mut self) -> (usize, io::Result<()>) {
        let Some(file) = &mut self.handle else {
            return (0, Err(io::ErrorKind::NotFound.into()));
        };
        if self.torn {
            match file.write_all(b"\n") {
                Ok(()) => self.size += 1,
                Err(error) => return (0, Err(error)),
            }
            self.torn = false;
        }
        let mut written = 0;
        while let Some(rest) = self.buffer.get(written..).filter(|rest| !rest.is_empty()) {
            match file.write(rest) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    fn open(&mut self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(&self.path)?;
        self.size = file.metadata()?.len();
        // A crash may have left a torn line; where this cannot be read, nothing is lost by assuming there is none.
        self.torn = self.size > 0 && last_byte(&mut file).is_ok_and(|last| last != b'\n');
        self.handle = Some(file);
        self.retry_at = None;
        Ok(())
    }

    /// Begins a new file. If the old ones cannot be moved, the present one grows on.
    fn rotate(&mut self, now: Instant) -> io::Result<()> {
        self.handle = None;
        let moved = self.move_files();
        let opened = self.open();
        match (moved, opened) {
            (Ok(()), Ok(())) => Ok(()),
            (_, Err(error)) => self.pause(now, error),
            (Err(error), Ok(())) => {
                self.rotate_at = now.checked_add(RETRY_AFTER);
                Err(error)
            }
        }
    }

    fn move_files(&self) -> io::Result<()> {
        let oldest = self.rotation.files.saturating_sub(1);
        if oldest == 0 {
            return gone_is_fine(fs::remove_file(&self.path));
        }
        gone_is_fine(fs::remove_file(rotated(&self.path, oldest)))?;
        for number in (1..oldest).rev() {
            let from = rotated(&self.path, number);
            gone_is_fine(fs::rename(from, rotated(&self.path, number + 1)))?;
        }
        fs::rename(&self.path, rotated(&self.path, 1))
    }

    fn pause(&mut self, now: Instant, error: io::Error) -> io::Result<()> {
        // Opened anew at the next try: the folder may have been deleted, or the disk mounted again.
        self.handle = None;
        self.retry_at = now.checked_add(RETRY_AFTER);
        Err(error)
    }
}

fn gone_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    let [byte] = last;
    Ok(byte)
}

#[cfg(test)]
mod tests;
