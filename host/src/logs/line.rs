//! A line of a log file: for people in front, for programs behind.
//!
//! `2026-08-01T12:00:00.123456Z INFO  the message` (or `out`, `err` instead of the level for what a process printed),
//! then, where there is more to say, a tab and a JSON object with the other names of [`Record`], and with `message`
//! where it had to be escaped in front. Invariant: a line holds no control character but that tab, and what was
//! written is read back equal, but for dataflow and node, which the file's path says. Absent: files.

use super::level::Level;
use super::record::{Origin, Record, Stream};
use super::{escape, time};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Write;
use std::time::SystemTime;

/// Width of the level's column.
const MARK_WIDTH: usize = 5;

/// What stands behind the tab; the names are those of [`Record`].
#[derive(Serialize)]
struct Tail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    library: Option<&'a str>,
    #[serde(rename = "machine_id", skip_serializing_if = "Option::is_none")]
    machine: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "str::is_empty")]
    spans: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

/// Appends a record with its line end.
pub(super) fn write(record: &Record, out: &mut String) {
    time::write(out, record.time, time::Digits::Micros);
    // Writing to a string does not fail.
    let _ = write!(out, " {:<MARK_WIDTH$} ", record.mark());
    let start = out.len();
    escape::push(out, &record.message);
    let same = out.get(start..) == Some(record.message.as_str());
    let printed = record.stream().is_some();
    let tail = Tail {
        library: record.library.as_deref(),
        machine: record.machine.as_deref(),
        target: if printed { "" } else { &record.target },
        message: (!same).then_some(&record.message),
        fields: &record.fields,
        spans: &record.spans,
        file: record.file.as_deref(),
        line: record.line,
    };
    // As in `Record::to_json`, nothing in it can fail.
    let json = escape::json(serde_json::to_string(&tail).unwrap_or_default());
    if json != "{}" {
        out.push('\t');
        out.push_str(&json);
    }
    out.push('\n');
}

/// Reads one line, without its end. What is no line of [`write()`], such as one that was torn by a crash, becomes a
/// record with the text as it stands, at the time `before`.
pub(super) fn read(line: &[u8], origin: &Origin, before: SystemTime) -> Record {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let (head, tail) = match text.split_once('\t') {
        Some((head, tail)) => (head, Some(tail)),
        None => (text, None),
    };
    let Some(mut record) = read_head(head) else {
        return Record {
            time: before,
            ..Record::new(Level::Info, "", text).by(origin.clone())
        };
    };
    record.dataflow = origin.dataflow;
    record.node.clone_from(&origin.node);
    match tail {
        Some(tail) => with_tail(record, tail),
        None => record,
    }
}

fn read_head(head: &str) -> Option<Record> {
    let (at, rest) = head.split_once(' ')?;
    let time = time::parse(at)?;
    let (mark, message) = rest.split_at_checked(MARK_WIDTH)?;
    let message = message.strip_prefix(' ')?;
    let (level, target) = match mark.trim_end() {
        "out" => (Level::Info, Stream::Stdout.name()),
        "err" => (Level::Info, Stream::Stderr.name()),
        mark => (mark.parse().ok()?, ""),
    };
    Some(Record {
        time,
        ..Record::new(level, target, message)
    })
}

/// The record with what its tail says; a torn tail says nothing.
fn with_tail(record: Record, tail: &str) -> Record {
    let (Ok(Value::Object(head)), Ok(tail)) = (
        serde_json::to_value(&record),
        serde_json::from_str::<Map<String, Value>>(tail),
    ) else {
        return record;
    };
    let mut all = head;
    all.extend(tail);
    serde_json::from_value(Value::Object(all)).unwrap_or(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};

    fn origin() -> Origin {
        Origin {
            node: Some("sink".to_owned()),
            ..Origin::default()
        }
    }

    fn at() -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(1_785_585_600_123_456)
    }

    fn record(message: &str) -> Record {
        Record {
            time: at(),
            ..Record::new(Level::Warn, "", message).by(origin())
        }
    }

    fn full() -> Record {
        let Value::Object(fields) = json!({"b": 1, "a": "x\ty", "message": "no"}) else {
            unreachable!()
        };
        Record {
            fields,
            target: "sink::node".to_owned(),
            library: Some("libsink.so".to_owned()),
            machine: Some("arm".to_owned()),
            spans: "outer:inner".to_owned(),
            file: Some("src/node.rs".to_owned()),
            line: Some(40),
            ..record("two\n\u{1b}[31mlines\u{1b}[m")
        }
    }

    #[test]
    fn lines_are_golden_and_read_back() {
        let printed = Record::printed(Stream::Stderr, "oh, no", origin(), at());
        let table = [
            (record("late"), "2026-08-01T12:00:00.123456Z WARN  late\n"),
            (record(""), "2026-08-01T12:00:00.123456Z WARN  \n"),
            (
                record("tab\there"),
                "2026-08-01T12:00:00.123456Z WARN  tab\\there\t{\"message\":\"tab\\there\"}\n",
            ),
            (
                record("back\\there"),
                "2026-08-01T12:00:00.123456Z WARN  back\\there\n",
            ),
            (printed, "2026-08-01T12:00:00.123456Z err   oh, no\n"),
            (
                full(),
                concat!(
                    "2026-08-01T12:00:00.123456Z WARN  two\\nlines\t",
                    r#"{"library":"libsink.so","machine_id":"arm","target":"sink::node","#,
                    r#""message":"two\n\u001b[31mlines\u001b[m","#,
                    r#""fields":{"b":1,"a":"x\ty","message":"no"},"spans":"outer:inner","#,
                    r#""file":"src/node.rs","line":40}"#,
                    "\n"
                ),
            ),
        ];
        for (record, expected) in table {
            let mut text = String::new();
            write(&record, &mut text);
            assert_eq!(text, expected);
            let line = text.strip_suffix('\n').unwrap();
            assert_eq!(read(line.as_bytes(), &origin(), UNIX_EPOCH), record);
        }
    }

    #[test]
    fn torn_and_foreign_lines_are_kept() {
        let mut text = String::new();
        write(&full(), &mut text);
        for end in 0..text.len() {
            let part = &text.as_bytes()[..end];
            let found = read(part, &origin(), UNIX_EPOCH);
            assert_eq!(found.node.as_deref(), Some("sink"));
            if end > text.find('\t').unwrap() && end < text.len() - 1 {
                assert_eq!(found.message, "two\\nlines", "only the tail is torn");
                assert_eq!(found.time, at());
            }
        }
        let table: [(&[u8], &str); 4] = [
            (b"", ""),
            (b"plain", "plain"),
            (b"caf\xe9 \xff", "caf\u{fffd} \u{fffd}"),
            (
                b"2026-08-01T12:00:00Z LOUD  x",
                "2026-08-01T12:00:00Z LOUD  x",
            ),
        ];
        for (line, expected) in table {
            let found = read(line, &origin(), at());
            assert_eq!((found.message.as_str(), found.time), (expected, at()));
        }
    }
}
