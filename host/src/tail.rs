//! The output of a child process, line by line, and the last lines of it.
//!
//! Invariant: memory is bounded whatever the child writes: a line is cut at a limit, and only so many are kept.
//! Absent: pipes and threads; the caller has them.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

/// Bytes of one line; what is longer counts as several lines.
const LINE: u64 = 16 * 1024 * 1024;
/// Characters of a kept line.
const KEPT: usize = 2_000;

/// Reads to the end and hands over each line without its end. Of a line that overwrites itself with carriage returns
/// (a progress bar) only what stands last.
///
/// # Errors
/// The system's, when it cannot be read further.
pub(crate) fn each_line(pipe: impl Read, mut take: impl FnMut(&str)) -> io::Result<()> {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if (&mut pipe).take(LINE).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\n', '\r']);
        take(line.rsplit('\r').next().unwrap_or(line));
    }
}

/// The last lines of an output.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    most: usize,
    dropped: u64,
}

impl Tail {
    /// Keeps up to `most` lines.
    pub fn new(most: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            most,
            dropped: 0,
        }
    }

    /// Adds a line; what a terminal would obey is taken out, except for tabs.
    pub fn push(&mut self, line: &str) {
        if self.lines.len() >= self.most {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(plain(line));
    }

    /// Keeps so many more from now on.
    pub fn keep_more(&mut self, lines: usize) {
        self.most += lines;
    }

    /// The kept lines, and how many came before them.
    pub fn into_lines(self) -> (Vec<String>, u64) {
        (self.lines.into(), self.dropped)
    }
}

/// The text without escape sequences (colours, mostly) and other control characters, and not too long.
pub(crate) fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\u{1b}' => skip_escape(&mut rest),
            '\t' => out.push(letter),
            _ if letter.is_control() => {}
            _ => out.push(letter),
        }
        if out.len() > KEPT {
            out.push('…');
            break;
        }
    }
    out
}

/// Skips what follows an escape character: `[`, parameters and a letter; a text up to a bell or `ESC \`; or one letter.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => {
            rest.find(|letter| matches!(letter, '@'..='~'));
        }
        Some(']') => {
            rest.find(|letter| matches!(letter, '\u{7}' | '\u{1b}'));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_without_their_ends_and_progress_bars_with_their_last_state() {
        let mut lines = Vec::new();
        let text = b"one\ntwo\r\n10%\r50%\r100%\n\n\xff\nlast";
        each_line(&text[..], |line| lines.push(line.to_owned())).expect("read");
        assert_eq!(lines, ["one", "two", "100%", "", "\u{fffd}", "last"]);
    }

    #[test]
    fn the_last_lines_are_kept_and_the_others_counted() {
        let mut tail = Tail::new(2);
        for line in ["a", "b", "c"] {
            tail.push(line);
        }
        assert_eq!(tail.into_lines(), (vec!["b".into(), "c".into()], 1));
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_kept() {
        assert_eq!(
            plain("\u{1b}[1;31mred\u{1b}[0m\tx\u{7}\u{1b}]0;title\u{7}y"),
            "red\txy"
        );
        assert!(plain(&"x".repeat(1 << 20)).len() < 3_000);
    }
}
