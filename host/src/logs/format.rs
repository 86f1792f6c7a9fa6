//! How a line looks on the console: `pretty`, `compact` or `json`.
//!
//! Invariant: a record of a node cannot look like a record of another: its text is escaped and its further lines are
//! indented. Pure: the same record and layout give the same text. Absent: the lines of files, which are `line`'s, and
//! the question whether there is a terminal, which is `console`'s.

use super::level::Level;
use super::record::Record;
use super::{escape, time};
use anstyle::{AnsiColor, Color, Style};
use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::SystemTime;

/// What stands before the further lines of a text.
const INDENT: &str = "          ";

/// Colours of node ids. No red, which means error.
const NODE_COLOURS: [AnsiColor; 10] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
    AnsiColor::BrightGreen,
    AnsiColor::BrightYellow,
];

/// What `--log-format` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people: short times, texts of several lines shown as such.
    #[default]
    Pretty,
    /// For people and `grep`: one line each, with the date.
    Compact,
    /// For programs: [`Record::to_json`].
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Format::Pretty => "pretty",
            Format::Compact => "compact",
            Format::Json => "json",
        })
    }
}

/// A text that names no format. Displays as a sentence that lists them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown log format `{}`; the formats are pretty, compact and json", escape::line(.0))]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    /// In any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Format::Pretty, Format::Compact, Format::Json]
            .into_iter()
            .find(|format| format.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// Which times [`Format::Pretty`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    /// Seconds since this moment: for one run that somebody watches.
    Since(SystemTime),
    /// Date and time in UTC, to the millisecond: for everything that may be old.
    #[default]
    Utc,
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// The format.
    pub format: Format,
    /// The times of [`Format::Pretty`].
    pub times: Times,
    /// Whether to colour, as ANSI sequences. JSON is never coloured.
    pub colour: bool,
}

impl Layout {
    /// Appends a record with its line end.
    pub fn write(&self, record: &Record, out: &mut String) {
        match self.format {
            Format::Json => out.push_str(&record.to_json()),
            Format::Pretty => self.write_text(record, out, self.times, push_lines),
            Format::Compact => self.write_text(record, out, Times::Utc, escape::push),
        }
        out.push('\n');
    }

    fn write_text(
        &self,
        record: &Record,
        out: &mut String,
        times: Times,
        push_text: fn(&mut String, &str),
    ) {
        self.styled(out, Style::new().dimmed(), |out| {
            push_time(out, times, record.time);
        });
        out.push(' ');
        self.styled(out, level_style(record), |out| {
            let _ = write!(out, "{:<5}", record.mark());
        });
        out.push(' ');
        let speaker = speaker(record);
        self.styled(out, speaker_style(record), |out| {
            escape::push(out, &speaker)
        });
        out.push_str(": ");
        push_text(out, &record.message);
        for (key, value) in &record.fields {
            out.push(' ');
            self.styled(out, Style::new().italic(), |out| escape::push(out, key));
            out.push('=');
            push_value(out, value);
        }
        let place = place(record);
        if !place.is_empty() {
            out.push(' ');
            self.styled(out, Style::new().dimmed(), |out| {
                let _ = write!(out, "({place})");
            });
        }
    }

    fn styled(&self, out: &mut String, style: Style, write: impl FnOnce(&mut String)) {
        if !self.colour {
            return write(out);
        }
        // Writing to a string does not fail.
        let _ = write!(out, "{style}");
        write(out);
        let _ = write!(out, "{style:#}");
    }
}

fn push_time(out: &mut String, times: Times, at: SystemTime) {
    match times {
        Times::Utc => time::write(out, at, time::Digits::Millis),
        Times::Since(start) => {
            // A clock that was set back shows zero.
            let since = at.duration_since(start).unwrap_or_default();
            let _ = write!(out, "{:>8.3}s", since.as_secs_f64());
        }
    }
}

/// Who speaks: the node, else the library, else the module of this runtime; and the machine where it is known.
fn speaker(record: &Record) -> String {
    let name = match (&record.node, &record.library) {
        (Some(node), _) => node,
        (None, Some(library)) => library,
        (None, None) if record.target.is_empty() => "dora",
        (None, None) => &record.target,
    };
    match &record.machine {
        Some(machine) => format!("{name}@{machine}"),
        None => name.to_owned(),
    }
}

fn speaker_style(record: &Record) -> Style {
    match &record.node {
        Some(node) => Style::new()
            .fg_color(Some(Color::Ansi(node_colour(node))))
            .bold(),
        None => Style::new().dimmed(),
    }
}

/// The same for a node in every run and on every machine: an FNV-1a hash of its id.
fn node_colour(node: &str) -> AnsiColor {
    let hash = node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let index = (hash % NODE_COLOURS.len() as u64) as usize;
    NODE_COLOURS.get(index).copied().unwrap_or(AnsiColor::Cyan)
}

fn level_style(record: &Record) -> Style {
    if record.stream().is_some() {
        return Style::new().dimmed();
    }
    let colour = match record.level {
        Level::Error => return AnsiColor::Red.on_default().bold(),
        Level::Warn => AnsiColor::Yellow,
        Level::Info => AnsiColor::Green,
        Level::Debug => AnsiColor::Blue,
        Level::Trace => AnsiColor::Magenta,
    };
    colour.on_default()
}

/// A text with its own lines, the further ones indented.
fn push_lines(out: &mut String, text: &str) {
    let text = text.trim_end_matches(['\n', '\r']);
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
            out.push_str(INDENT);
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        for (index, part) in line.split('\t').enumerate() {
            if index > 0 {
                out.push_str("    ");
            }
            escape::push(out, part);
        }
    }
}

/// Texts without spaces or marks stay bare, everything else is JSON.
fn push_value(out: &mut String, value: &serde_json::Value) {
    let bare = |c: char| !c.is_whitespace() && !escape::is_hostile(c) && !"\"=,{}[]".contains(c);
    match value {
        serde_json::Value::String(text) if !text.is_empty() && text.chars().all(bare) => {
            out.push_str(text);
        }
        other => out.push_str(&escape::json(other.to_string())),
    }
}

/// Where the line stands in the source, for errors and for those who look for faults; else nothing.
fn place(record: &Record) -> String {
    if matches!(record.level, Level::Warn | Level::Info) {
        return String::new();
    }
    let mut place = String::new();
    escape::push(&mut place, &record.spans);
    if let Some(file) = &record.file {
        if !place.is_empty() {
            place.push_str(" at ");
        }
        escape::push(&mut place, file);
        if let Some(line) = record.line {
            let _ = write!(place, ":{line}");
        }
    }
    place
}

#[cfg(test)]
mod tests;
