use super::super::record::{Origin, Stream};
use super::*;
use serde_json::json;
use std::time::{Duration, UNIX_EPOCH};

const START: SystemTime = UNIX_EPOCH;

fn node(name: &str) -> Origin {
    Origin {
        node: Some(name.to_owned()),
        ..Origin::default()
    }
}

fn record(level: Level, message: &str) -> Record {
    let serde_json::Value::Object(fields) =
        json!({"count": 3, "name": "a b", "id": "x1", "list": [1, "y"]})
    else {
        unreachable!()
    };
    Record {
        time: START + Duration::from_millis(1_234),
        fields,
        spans: "outer:inner".to_owned(),
        file: Some("src/node.rs".to_owned()),
        line: Some(40),
        ..Record::new(level, "sink::node", message).by(node("sink"))
    }
}

fn bare(level: Level, message: &str, origin: Origin) -> Record {
    Record {
        time: START + Duration::from_millis(1_234),
        ..Record::new(level, "host::engine", message).by(origin)
    }
}

fn shown(format: Format, colour: bool, record: &Record) -> String {
    let layout = Layout {
        format,
        times: Times::Since(START),
        colour,
    };
    let mut out = String::new();
    layout.write(record, &mut out);
    out
}

#[test]
fn pretty_lines() {
    let on_arm = Origin {
        machine: Some("arm".to_owned()),
        ..node("cam")
    };
    let library = Origin {
        library: Some("libcam.so".to_owned()),
        ..Origin::default()
    };
    let table = [
        (
            record(Level::Info, "received"),
            "   1.234s INFO  sink: received count=3 name=\"a b\" id=x1 list=[1,\"y\"]\n",
        ),
        (
            record(Level::Error, "failed"),
            "   1.234s ERROR sink: failed count=3 name=\"a b\" id=x1 list=[1,\"y\"] (outer:inner at src/node.rs:40)\n",
        ),
        (
            bare(Level::Warn, "two\r\n\tlines\n", on_arm),
            "   1.234s WARN  cam@arm: two\n              lines\n",
        ),
        (
            bare(Level::Debug, "x", library),
            "   1.234s DEBUG libcam.so: x\n",
        ),
        (
            bare(Level::Trace, "x", Origin::default()),
            "   1.234s TRACE host::engine: x\n",
        ),
        (
            Record::printed(
                Stream::Stdout,
                "42",
                node("sink"),
                START + Duration::from_secs(100_000),
            ),
            "100000.000s out   sink: 42\n",
        ),
    ];
    for (record, expected) in table {
        assert_eq!(shown(Format::Pretty, false, &record), expected);
    }
}

#[test]
fn compact_and_json_lines() {
    let record = record(Level::Error, "two\nlines");
    assert_eq!(
        shown(Format::Compact, false, &record),
        "1970-01-01T00:00:01.234Z ERROR sink: two\\nlines count=3 name=\"a b\" id=x1 list=[1,\"y\"] \
         (outer:inner at src/node.rs:40)\n"
    );
    let json = shown(Format::Json, true, &record);
    assert_eq!(Record::from_json(json.trim_end()).unwrap(), record);
    assert_eq!(json.lines().count(), 1);
}

#[test]
fn colours() {
    let text = shown(
        Format::Pretty,
        true,
        &bare(Level::Error, "failed", node("sink")),
    );
    assert_eq!(
        text,
        "\u{1b}[2m   1.234s\u{1b}[0m \u{1b}[1m\u{1b}[31mERROR\u{1b}[0m \u{1b}[1m\u{1b}[92msink\u{1b}[0m: failed\n"
    );
    let colours: std::collections::BTreeSet<_> = (0..50)
        .map(|n| node_colour(&format!("node-{n}")) as u8)
        .collect();
    assert_eq!(colours.len(), NODE_COLOURS.len(), "all colours are used");
}

#[test]
fn a_node_cannot_inject_anything() {
    let mut hostile = record(
        Level::Error,
        "\u{1b}[2J\u{9b}H\rfake\n   9.999s INFO  other: fake",
    );
    hostile.node = Some("sink\u{1b}[0m\nother".to_owned());
    hostile.file = Some("\u{7}\n".to_owned());
    hostile.spans = "\u{1b}]0;t\u{7}".to_owned();
    hostile
        .fields
        .insert("k\u{1b}[A\n".to_owned(), json!("\u{1b}[B\u{9b}\u{202e}\n"));
    for format in [Format::Pretty, Format::Compact, Format::Json] {
        let text = shown(format, false, &hostile);
        let found: Vec<_> = text
            .chars()
            .filter(|c| *c != '\n' && escape::is_hostile(*c))
            .collect();
        assert_eq!(found, [], "{format}: {text:?}");
        let forged = text.lines().filter(|line| line.starts_with("   9")).count();
        assert_eq!(forged, 0, "{format}: {text}");
        let lines = if format == Format::Pretty { 2 } else { 1 };
        assert_eq!(text.lines().count(), lines, "{format}: {text}");
    }
}

#[test]
fn formats_have_names() {
    for (text, format) in [
        ("pretty", Format::Pretty),
        ("Compact", Format::Compact),
        ("json", Format::Json),
    ] {
        assert_eq!(text.parse(), Ok(format));
    }
    assert_eq!(
        "xml".parse::<Format>().unwrap_err().to_string(),
        "unknown log format `xml`; the formats are pretty, compact and json"
    );
}
