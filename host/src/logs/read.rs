//! Log files read back, for `dora logs`.
//!
//! Invariant: reading goes on over anything that is in a file: torn lines, bytes that are no UTF-8, lines of other
//! programs; no line takes more memory than 1 MiB. Files may be written meanwhile. Absent: what is said
//! after the end, which a [`super::Subscription`] gives.

use super::file::rotated;
use super::files;
use super::line;
use super::record::{Origin, Record};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Longest line; the rest of a longer one is skipped.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// How often the files are opened anew when they are rotated meanwhile.
const ATTEMPTS: usize = 5;
/// Bytes that are read at a time from a file's end.
const BLOCK_BYTES: u64 = 64 * 1024;

/// All lines of a node that are left in its files, the oldest first. `out` is the folder of [`super::choose`], the
/// node may be [`files::RUNTIME`].
///
/// # Errors
/// The files cannot be opened; [`io::ErrorKind::NotFound`] when there are none.
pub fn read(out: &Path, dataflow: Uuid, node: &str) -> io::Result<Records> {
    let files = open_all(&files::path(out, dataflow, node))?;
    Ok(Records::new(files, dataflow, node))
}

/// The last `lines` lines of a node, the oldest first. Reads no more of the files than that.
///
/// # Errors
/// As [`read`], and when the files cannot be read.
pub fn tail(out: &Path, dataflow: Uuid, node: &str, lines: usize) -> io::Result<Records> {
    let mut files = open_all(&files::path(out, dataflow, node))?;
    let mut wanted = lines;
    let mut kept = Vec::new();
    while wanted > 0
        && let Some(mut file) = files.pop()
    {
        wanted -= seek_back(&mut file, wanted)?;
        kept.push(file);
    }
    kept.reverse();
    Ok(Records::new(kept, dataflow, node))
}

/// The nodes of a dataflow that have log files, sorted; [`files::RUNTIME`] is among them when this runtime has.
///
/// # Errors
/// The dataflow's folder cannot be read; [`io::ErrorKind::NotFound`] when there is none.
pub fn nodes(out: &Path, dataflow: Uuid) -> io::Result<Vec<String>> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir(files::folder(out, dataflow))? {
        let name = entry?.file_name();
        let node = name
            .to_str()
            .and_then(|name| name.strip_prefix("log_")?.strip_suffix(".txt"));
        nodes.extend(node.map(str::to_owned));
    }
    nodes.sort();
    Ok(nodes)
}

/// Opens a file and its older ones, the oldest first.
fn open_all(path: &Path) -> io::Result<Vec<File>> {
    let mut attempt = 1;
    loop {
        let before = older(path)?;
        let opened: io::Result<Vec<File>> = before
            .keys()
            .rev()
            .map(|number| File::open(rotated(path, *number)))
            .chain([File::open(path)])
            .collect();
        // Moved meanwhile: a file would be missing or there twice.
        let moved = older(path)? != before;
        match opened {
            Ok(files) if !moved || attempt == ATTEMPTS => return Ok(files),
            Err(error) if !moved || attempt == ATTEMPTS => return Err(error),
            _ => attempt += 1,
        }
    }
}

/// The numbers of the older files, and when each was last written: moving a file does not change that.
fn older(path: &Path) -> io::Result<BTreeMap<u32, SystemTime>> {
    let mut found = BTreeMap::new();
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Ok(found);
    };
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let number = file_name
            .to_str()
            .and_then(|file| file.strip_prefix(name)?.strip_prefix('.')?.parse().ok());
        if let Some(number) = number {
            // Gone meanwhile: then the next look differs, and everything is opened anew.
            let written = entry.metadata().and_then(|data| data.modified());
            found.insert(number, written.unwrap_or(UNIX_EPOCH));
        }
    }
    Ok(found)
}

/// Goes to where the last `wanted` lines begin, and says how many there are, at most `wanted`.
fn seek_back(file: &mut File, wanted: usize) -> io::Result<usize> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut found = 0;
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        file.by_ref().take(end - start).read_to_end(&mut block)?;
        for (index, _) in block
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            let after = start + index as u64 + 1;
            if after == length {
                // The end of the last line begins no line.
                continue;
            }
            found += 1;
            if found == wanted {
                file.seek(SeekFrom::Start(after))?;
                return Ok(found);
            }
        }
        end = start;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(found + usize::from(length > 0))
}

/// Lines of one node. A file that cannot be read further gives its error, then the next file follows.
#[derive(Debug)]
pub struct Records {
    files: std::vec::IntoIter<File>,
    current: Option<BufReader<File>>,
    origin: Origin,
    /// Time of the line before, for lines that have none.
    time: SystemTime,
    line: Vec<u8>,
}

impl Records {
    fn new(files: Vec<File>, dataflow: Uuid, node: &str) -> Self {
        let written = files.first().and_then(|file| {
            let data = file.metadata().ok()?;
            data.modified().ok()
        });
        Self {
            files: files.into_iter(),
            current: None,
            origin: Origin {
                dataflow: Some(dataflow),
                node: (node != files::RUNTIME).then(|| node.to_owned()),
                ..Origin::default()
            },
            time: written.unwrap_or(UNIX_EPOCH),
            line: Vec::new(),
        }
    }
}

impl Iterator for Records {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(reader) = &mut self.current else {
                self.current = Some(BufReader::new(self.files.next()?));
                continue;
            };
            self.line.clear();
            match read_line(reader, &mut self.line) {
                Ok(true) => {
                    let record = line::read(&self.line, &self.origin, self.time);
                    self.time = record.time;
                    return Some(Ok(record));
                }
                Ok(false) => self.current = None,
                Err(error) => {
                    self.current = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Reads a line without its end; `false` at the end of the file.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let mut some = false;
    loop {
        let block = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if block.is_empty() {
            return Ok(some);
        }
        some = true;
        let end = block.iter().position(|byte| *byte == b'\n');
        let part = block.get(..end.unwrap_or(block.len())).unwrap_or_default();
        let room = MAX_LINE_BYTES.saturating_sub(line.len());
        line.extend_from_slice(part.get(..room).unwrap_or(part));
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Lines of several nodes by their times; lines of one node keep their order. An error comes before other lines.
pub fn merge(nodes: Vec<Records>) -> impl Iterator<Item = io::Result<Record>> {
    let mut nodes: Vec<_> = nodes.into_iter().map(Iterator::peekable).collect();
    std::iter::from_fn(move || {
        let time =
            |item: &io::Result<Record>| item.as_ref().map_or(UNIX_EPOCH, |record| record.time);
        let next = nodes
            .iter_mut()
            .enumerate()
            .filter_map(|(index, node)| Some((time(node.peek()?), index)))
            .min()?;
        nodes.get_mut(next.1)?.next()
    })
}

#[cfg(test)]
mod tests;
