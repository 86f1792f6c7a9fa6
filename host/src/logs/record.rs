//! One line of the log and its JSON form.
//!
//! Invariant: the JSON names never change their meaning; readers skip names they do not know. Names and values that
//! dora's own `LogMessage` has are the same here, so tools made for it go on working. Absent: files, filters, and
//! how a line looks to people.

use super::level::Level;
use super::{escape, time};
use plugin_abi::hosting::{LogLine, NodeFailure};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::SystemTime;
use uuid::Uuid;

/// Longest message, and longest structured fields as JSON, in bytes; longer ones are cut.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Longest target, file, list of spans or other name, in bytes.
const MAX_NAME_BYTES: usize = 1024;

/// Who speaks. Everything unknown: this runtime itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The running dataflow.
    pub dataflow: Option<Uuid>,
    /// Id of the node.
    pub node: Option<String>,
    /// The library, for lines of a plugin's threads that belong to no node.
    pub library: Option<String>,
    /// Machine id of the daemon.
    pub machine: Option<String>,
}

/// A stream that a process prints to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One line of the log. Texts are as the speaker gave them: escape before showing.
///
/// As JSON ([`Record::to_json`]) an object on one line with these names, in this order, those without a value left
/// out: `timestamp` (RFC 3339, UTC, microseconds), `level` (`ERROR` to `TRACE`), `dataflow_id`, `node_id`, `library`,
/// `machine_id`, `target`, `message`, `fields` (an object), `spans`, `file`, `line`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was said, by the clock of the speaker's machine.
    #[serde(rename = "timestamp", with = "timestamp")]
    pub time: SystemTime,
    /// Severity.
    pub level: Level,
    /// The running dataflow.
    #[serde(
        rename = "dataflow_id",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub dataflow: Option<Uuid>,
    /// Id of the node.
    #[serde(rename = "node_id", default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The library, for lines of a plugin's threads that belong to no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Machine id of the daemon.
    #[serde(
        rename = "machine_id",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub machine: Option<String>,
    /// The module that speaks; `stdout` and `stderr` for what a process printed.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub target: String,
    /// The text, of one or several lines.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
    /// Structured fields.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "serde_json::Map::is_empty"
    )]
    pub fields: serde_json::Map<String, serde_json::Value>,
    /// Names of the open spans, outermost first, separated by `:`; or nothing.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub spans: String,
    /// Source file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in `file`, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Record {
    /// A line of this runtime, at this moment.
    pub fn new(level: Level, target: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            time: SystemTime::now(),
            level,
            dataflow: None,
            node: None,
            library: None,
            machine: None,
            target: target.into(),
            message: message.into(),
            fields: serde_json::Map::new(),
            spans: String::new(),
            file: None,
            line: None,
        }
    }

    /// The same line from another speaker.
    #[must_use]
    pub fn by(self, origin: Origin) -> Self {
        Self {
            dataflow: origin.dataflow,
            node: origin.node,
            library: origin.library,
            machine: origin.machine,
            ..self
        }
    }

    /// A line that a plugin logged. Fields that are no JSON object are kept as the text of a field `fields`.
    pub fn logged(line: &LogLine<'_>, origin: Origin, time: SystemTime) -> Self {
        let mut record = Self {
            time,
            fields: fields_of(line.fields),
            spans: line.spans.to_owned(),
            file: (!line.file.is_empty()).then(|| line.file.to_owned()),
            line: (line.line > 0).then_some(line.line),
            ..Self::new(Level::from_number(line.level), line.target, "")
        };
        record.message = clipped(line.message, MAX_TEXT_BYTES);
        record.by(origin)
    }

    /// Why a node failed, as an error: its causes are further lines of the message, its place is the line's.
    pub fn failed(failure: &NodeFailure, origin: Origin, time: SystemTime) -> Self {
        let start = if failure.panicked {
            "panicked: "
        } else {
            "failed: "
        };
        let mut message = format!("{start}{}", failure.text);
        for cause in &failure.causes {
            message.push_str("\ncaused by: ");
            message.push_str(cause);
        }
        let (file, line) = failure.place.clone().unzip();
        Self {
            time,
            file,
            line,
            ..Self::new(Level::Error, "dora", message)
        }
        .by(origin)
    }

    /// A line that a process printed, without its line end. It counts as information.
    pub fn printed(stream: Stream, text: &str, origin: Origin, time: SystemTime) -> Self {
        let message = clipped(text, MAX_TEXT_BYTES);
        Self {
            time,
            ..Self::new(Level::Info, stream.name(), message)
        }
        .by(origin)
    }

    /// Where the line was printed; `None` for a line that was logged.
    pub fn stream(&self) -> Option<Stream> {
        match self.target.as_str() {
            "stdout" => Some(Stream::Stdout),
            "stderr" => Some(Stream::Stderr),
            _ => None,
        }
    }

    /// The word in the level's column, of at most five letters: the level, or the stream of a printed line.
    pub(super) fn mark(&self) -> &'static str {
        match self.stream() {
            Some(Stream::Stdout) => "out",
            Some(Stream::Stderr) => "err",
            None => self.level.capitals(),
        }
    }

    /// One line of JSON, without a line end and without any control character.
    pub fn to_json(&self) -> String {
        // Neither the maps' keys nor the values can fail: all are text, numbers and JSON itself.
        escape::json(serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads what [`Record::to_json`] wrote, now or in another version.
    ///
    /// # Errors
    /// The text is no JSON object or lacks `timestamp` or `level`.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Cuts what is too long to keep and says so in the text, so that a bounded queue of lines is bounded memory.
    pub(super) fn clip(&mut self) {
        clip(&mut self.message, MAX_TEXT_BYTES);
        for name in [&mut self.target, &mut self.spans] {
            clip(name, MAX_NAME_BYTES);
        }
        let names = [
            &mut self.node,
            &mut self.library,
            &mut self.machine,
            &mut self.file,
        ];
        for name in names.into_iter().flatten() {
            clip(name, MAX_NAME_BYTES);
        }
        let weight = map_weight(&self.fields);
        if weight > MAX_TEXT_BYTES {
            self.fields = one_field(format!("left out: about {weight} bytes"));
        }
    }

    /// About the memory it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        let optional = [&self.node, &self.library, &self.machine, &self.file];
        let names: usize = optional.into_iter().flatten().map(String::len).sum();
        size_of::<Self>()
            + self.message.len()
            + self.target.len()
            + self.spans.len()
            + names
            + map_weight(&self.fields)
    }
}

fn one_field(text: String) -> serde_json::Map<String, serde_json::Value> {
    serde_json::Map::from_iter([("fields".to_owned(), text.into())])
}

fn fields_of(text: &str) -> serde_json::Map<String, serde_json::Value> {
    if text.is_empty() {
        return serde_json::Map::new();
    }
    if text.len() <= MAX_TEXT_BYTES
        && let Ok(fields) = serde_json::from_str(text)
    {
        return fields;
    }
    one_field(clipped(text, MAX_NAME_BYTES))
}

/// The depth is bounded: values come from JSON, whose parser refuses deep ones, or from flat fields.
fn weight(value: &serde_json::Value) -> usize {
    let own = size_of::<serde_json::Value>();
    own + match value {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(values) => values.iter().map(weight).sum(),
        serde_json::Value::Object(map) => map_weight(map),
        _ => 0,
    }
}

fn map_weight(map: &serde_json::Map<String, serde_json::Value>) -> usize {
    map.iter()
        .map(|(key, value)| key.len() + weight(value))
        .sum()
}

fn clipped(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let kept = text
        .get(..text.floor_char_boundary(most))
        .unwrap_or_default();
    format!("{kept}… ({} more bytes)", text.len() - kept.len())
}

fn clip(text: &mut String, most: usize) {
    // What was cut once is a little longer than the limit, and must not be cut again.
    if text.len() > most + 64 {
        *text = clipped(text, most);
    }
}

/// `null` means the same as leaving out.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

mod timestamp {
    use super::*;

    pub(super) fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&time::text(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        time::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is no time such as 2026-08-01T12:00:00Z"))
        })
    }
}

#[cfg(test)]
mod tests;
