//! A line that a process prints -> a line of its node's log.
//!
//! A JSON object with a level and a text is taken apart: what dora's nodes write (`{"timestamp", "level", "message",
//! "target", "fields"}`), what Rust's `tracing` writes (the text within `fields`), and what others write in that way. Any
//! other line is the text as it stands, of `stdout` or `stderr`. Invariant: it never fails; a line that is
//! not understood is kept whole. Absent: who the node is, filters, and cutting what is too long (`logs`).

use crate::descriptor::LogSpec;
use crate::engine::OutsideEnd;
use crate::logs::{Level, Stream};
use plugin_abi::hosting::LogLine;
use plugin_abi::message::Message;
use serde_json::{Map, Value};

/// Longer lines are not taken apart.
const MAX_JSON_BYTES: usize = 256 * 1024;
/// Names of the outer object that say what the runtime knows better, or what the log has a place of its own for.
const KNOWN: [&str; 19] = [
    "build_id",
    "daemon_id",
    "dataflow_id",
    "file",
    "filename",
    "level",
    "line",
    "line_number",
    "machine_id",
    "message",
    "module_path",
    "msg",
    "name",
    "node_id",
    "span",
    "spans",
    "target",
    "threadId",
    "timestamp",
];

/// Where the lines of one instance go: to the node's log, and those of standard output to the output that
/// `send_stdout_as` names. (`send_logs_as` and `min_log_level` are matters of the log.)
#[derive(Debug, Clone)]
pub struct Lines {
    end: OutsideEnd,
    stdout_as: Option<u32>,
}

impl Lines {
    /// For an instance.
    pub fn new(end: OutsideEnd, logs: &LogSpec) -> Self {
        let index = logs.stdout_as.as_ref().and_then(|port| {
            let mut outputs = end.outputs().iter();
            outputs.position(|output| output == port.as_str())
        });
        let stdout_as = index.and_then(|index| u32::try_from(index).ok());
        Self { end, stdout_as }
    }

    /// A line, without its end. May wait for readers of the output whose policy is `backpressure`.
    pub fn take(&self, stream: Stream, line: &str) {
        self.end.log(&read(stream, line).line());
        if stream == Stream::Stdout
            && let Some(output) = self.stdout_as
            && let Ok(message) = Message::from_text(self.end.now(), line, &[])
        {
            // Refused once the node is to stop: nobody waits for it then.
            let _ = self.end.send(output, message);
        }
    }
}

/// What a printed line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    level: Level,
    target: String,
    message: String,
    fields: String,
    spans: String,
    file: String,
    line: u32,
}

impl Said {
    /// As a line of a node's log.
    pub fn line(&self) -> LogLine<'_> {
        LogLine {
            level: self.level.number(),
            target: &self.target,
            message: &self.message,
            fields: &self.fields,
            spans: &self.spans,
            file: &self.file,
            line: self.line,
        }
    }

    fn printed(stream: Stream, line: &str) -> Self {
        Self {
            level: Level::Info,
            target: stream.name().to_owned(),
            message: line.to_owned(),
            fields: String::new(),
            spans: String::new(),
            file: String::new(),
            line: 0,
        }
    }
}

/// Reads a line, without its end.
pub fn read(stream: Stream, line: &str) -> Said {
    logged(line).unwrap_or_else(|| Said::printed(stream, line))
}

/// `None`: it is no JSON, or none of a log.
fn logged(line: &str) -> Option<Said> {
    let line = line.trim();
    if line.len() > MAX_JSON_BYTES || !line.starts_with('{') || !line.ends_with('}') {
        return None;
    }
    let Ok(Value::Object(mut outer)) = serde_json::from_str(line) else {
        return None;
    };
    let level = level(outer.get("level")?.as_str()?)?;
    let mut fields = match outer.remove("fields") {
        Some(Value::Object(fields)) => fields,
        Some(Value::Null) | None => Map::new(),
        Some(other) => Map::from_iter([("fields".to_owned(), other)]),
    };
    let message = take_text(&mut outer, &["message", "msg"])
        .or_else(|| take_text(&mut fields, &["message"]))?;
    // Those in `fields` are of Rust's `log`, as `tracing` passes them on.
    let target = take_text(&mut fields, &["log.target"])
        .or_else(|| take_text(&mut outer, &["target", "name", "module_path"]))
        .or_else(|| take_text(&mut fields, &["log.module_path"]));
    let file = take_text(&mut outer, &["file", "filename"])
        .or_else(|| take_text(&mut fields, &["log.file"]));
    let number = take_number(&mut outer, &["line", "line_number"])
        .or_else(|| take_number(&mut fields, &["log.line"]));
    fields.remove("log.module_path");
    let spans = spans(&outer);
    for (name, value) in outer {
        if !KNOWN.contains(&name.as_str()) && !value.is_null() {
            fields.entry(name).or_insert(value);
        }
    }
    Some(Said {
        level,
        target: target.unwrap_or_default(),
        message,
        fields: match fields.is_empty() {
            true => String::new(),
            false => Value::Object(fields).to_string(),
        },
        spans,
        file: file.unwrap_or_default(),
        line: number.unwrap_or(0),
    })
}

/// The levels of Rust, and what Python calls them.
fn level(text: &str) -> Option<Level> {
    match text.to_ascii_lowercase().as_str() {
        "warning" => Some(Level::Warn),
        "critical" | "fatal" => Some(Level::Error),
        other => other.parse().ok(),
    }
}

fn take_text(map: &mut Map<String, Value>, names: &[&str]) -> Option<String> {
    let name = names
        .iter()
        .find(|name| map.get(**name).is_some_and(Value::is_string))?;
    match map.remove(*name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// dora writes numbers in fields as texts.
fn take_number(map: &mut Map<String, Value>, names: &[&str]) -> Option<u32> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| number.try_into().ok()),
    };
    let (name, found) = names
        .iter()
        .find_map(|name| Some((name, map.get(*name).and_then(number)?)))?;
    map.remove(*name);
    Some(found)
}

/// The names of `tracing`'s open spans, outermost first; or what one of our own lines says.
fn spans(outer: &Map<String, Value>) -> String {
    match outer.get("spans") {
        Some(Value::String(spans)) => spans.clone(),
        Some(Value::Array(spans)) => {
            let names = spans.iter().filter_map(|span| span.get("name")?.as_str());
            names.collect::<Vec<_>>().join(":")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(level: Level, target: &str, message: &str) -> Said {
        Said {
            level,
            target: target.into(),
            ..Said::printed(Stream::Stdout, message)
        }
    }

    #[test]
    fn lines_of_a_log_are_taken_apart() {
        let table = [
            // `Node.log` of dora 1.1.
            (
                r#"{"level":"warn","message":"hot","node_id":"cam","timestamp":"2026-08-01T12:00:00.1+00:00","target":"t","fields":{"t":"80"}}"#,
                Said {
                    fields: r#"{"t":"80"}"#.into(),
                    ..said(Level::Warn, "t", "hot")
                },
            ),
            // Python's `logging` in a node of dora 1.1, and a Rust node.
            (
                r#"{"timestamp":"2026-08-01T12:00:00Z","level":"INFO","fields":{"message":"m","log.target":"root","log.module_path":"p","log.file":"a.py","log.line":7},"target":"log"}"#,
                Said {
                    file: "a.py".into(),
                    line: 7,
                    ..said(Level::Info, "root", "m")
                },
            ),
            (
                r#"{"timestamp":"2026-08-01T12:00:00Z","level":"DEBUG","fields":{"message":"m","n":1},"target":"a::b","filename":"src/b.rs","line_number":3,"span":{"name":"y"},"spans":[{"name":"x"},{"k":1,"name":"y"}]}"#,
                Said {
                    fields: r#"{"n":1}"#.into(),
                    spans: "x:y".into(),
                    file: "src/b.rs".into(),
                    line: 3,
                    ..said(Level::Debug, "a::b", "m")
                },
            ),
            // Others.
            (
                r#" {"level":"CRITICAL","msg":"m","x":[1],"y":null} "#,
                Said {
                    fields: r#"{"x":[1]}"#.into(),
                    ..said(Level::Error, "", "m")
                },
            ),
        ];
        for (line, expected) in table {
            assert_eq!(read(Stream::Stderr, line), expected, "{line}");
        }
    }

    #[test]
    fn other_lines_are_printed_as_they_stand() {
        let deep = format!(
            "{{\"level\":\"info\",\"message\":\"m\",\"x\":{}1",
            "[".repeat(200)
        );
        for line in [
            "",
            "  text ",
            "{",
            "{}",
            "[1]",
            r#"{"level":"loud","message":"m"}"#,
            r#"{"level":"stdout","message":"m"}"#,
            r#"{"level":"info"}"#,
            r#"{"level":"info","message":7}"#,
            r#"{"level":"info","message":"m""#,
            &deep,
        ] {
            let expected = said(Level::Info, "stderr", line);
            assert_eq!(read(Stream::Stderr, line), expected, "{line}");
        }
    }

    #[test]
    fn a_printed_line_is_one_in_the_log() {
        use crate::logs::{Origin, Record};
        let said = read(Stream::Stderr, "x");
        let record = Record::logged(
            &said.line(),
            Origin::default(),
            std::time::SystemTime::now(),
        );
        assert_eq!(record.stream(), Some(Stream::Stderr));
    }
}
