//! Tables as text: a line of heads and a line per row, columns as wide as their widest cell.
//!
//! Invariant: a cell is one line and nothing in it that a terminal obeys, whatever it came from. Pure. Absent: what is in
//! the tables.

use crate::terminal::safe;
use std::fmt::Write;

/// Longest cell that is shown whole, in characters.
const MAX_CELL: usize = 120;

/// How the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A table that grows by rows.
#[derive(Debug)]
pub struct Table<const N: usize> {
    heads: [&'static str; N],
    aligns: [Align; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows. A head that begins with `>` is one of a column of numbers.
    pub fn new(heads: [&'static str; N]) -> Self {
        let aligns = heads.map(|head| match head.starts_with('>') {
            true => Align::Right,
            false => Align::Left,
        });
        Self {
            heads: heads.map(|head| head.trim_start_matches('>')),
            aligns,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| cell_text(&cell)));
    }

    /// The lines, the heads first, each after the indent.
    pub fn lines(&self, indent: &str) -> Vec<String> {
        let heads = self.heads.map(str::to_owned);
        let mut widths = heads.each_ref().map(|head| length(head));
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(length(cell));
            }
        }
        let line = |row: &[String; N]| {
            let mut line = indent.to_owned();
            let cells = row.iter().zip(widths).zip(self.aligns);
            for (index, ((cell, width), align)) in cells.enumerate() {
                let gap = if index == 0 { "" } else { "  " };
                // Writing to a string does not fail.
                let _ = match align {
                    Align::Left => write!(line, "{gap}{cell:width$}"),
                    Align::Right => write!(line, "{gap}{cell:>width$}"),
                };
            }
            line.truncate(line.trim_end().len());
            line
        };
        [&heads].into_iter().chain(&self.rows).map(line).collect()
    }

    /// All lines with their ends.
    pub fn text(&self, indent: &str) -> String {
        self.lines(indent)
            .iter()
            .fold(String::new(), |all, line| all + line + "\n")
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn cell_text(text: &str) -> String {
    let text = safe(text).replace(['\n', '\t'], " ");
    match text.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["node", ">in", "state"]);
        table.push(["größe".into(), "7".into(), "running".into()]);
        table.push(["a".into(), "12345".into(), String::new()]);
        let expected = [
            "  node      in  state",
            "  größe      7  running",
            "  a      12345",
        ];
        assert_eq!(table.lines("  "), expected);
        assert_eq!(table.text(""), table.lines("").join("\n") + "\n");
    }

    #[test]
    fn a_cell_is_one_harmless_line() {
        let mut table = Table::new(["a"]);
        table.push(["x\ny\u{1b}[2J".into()]);
        table.push(["z".repeat(1000)]);
        let lines = table.lines("");
        assert_eq!(lines[1], "x y\\u{1b}[2J");
        assert_eq!(lines[2].chars().count(), MAX_CELL + 1);
    }
}
