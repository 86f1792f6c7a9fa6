use super::*;
use std::time::{Duration, UNIX_EPOCH};

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_785_585_600_123_456)
}

fn sink() -> Origin {
    Origin {
        dataflow: Some(Uuid::from_u128(7)),
        node: Some("sink".to_owned()),
        library: None,
        machine: Some("arm".to_owned()),
    }
}

fn logged() -> Record {
    let line = LogLine {
        level: 2,
        target: "sink::node",
        message: "late\nby 3 ms",
        fields: r#"{"z":3,"a":"x"}"#,
        spans: "outer:inner",
        file: "src/node.rs",
        line: 40,
    };
    Record::logged(&line, sink(), noon())
}

#[test]
fn json_is_stable() {
    let expected = concat!(
        r#"{"timestamp":"2026-08-01T12:00:00.123456Z","level":"WARN","#,
        r#""dataflow_id":"00000000-0000-0000-0000-000000000007","node_id":"sink","machine_id":"arm","#,
        r#""target":"sink::node","message":"late\nby 3 ms","fields":{"z":3,"a":"x"},"#,
        r#""spans":"outer:inner","file":"src/node.rs","line":40}"#
    );
    assert_eq!(logged().to_json(), expected);
    assert_eq!(Record::from_json(expected).unwrap(), logged());
}

#[test]
fn empty_values_are_left_out() {
    let record = Record {
        time: noon(),
        ..Record::new(Level::Info, "", "")
    };
    let expected = r#"{"timestamp":"2026-08-01T12:00:00.123456Z","level":"INFO","message":""}"#;
    assert_eq!(record.to_json(), expected);
    assert_eq!(Record::from_json(expected).unwrap(), record);
}

#[test]
fn json_of_others_is_read() {
    let theirs = r#"{"build_id":null,"dataflow_id":null,"node_id":"cam","daemon_id":"x","level":"info",
        "target":null,"module_path":"m","file":null,"line":null,"message":"hi","timestamp":"2026-08-01T12:00:00.123456+00:00",
        "fields":null}"#;
    let record = Record::from_json(theirs).unwrap();
    let expected = Record {
        time: noon(),
        node: Some("cam".to_owned()),
        ..Record::new(Level::Info, "", "hi")
    };
    assert_eq!(record, expected);
}

#[test]
fn broken_json_says_why() {
    let table = [
        ("", "EOF"),
        ("{}", "missing field `timestamp`"),
        (
            r#"{"timestamp":"noon","level":"INFO"}"#,
            "`noon` is no time such as 2026-08-01T12:00:00Z",
        ),
        (
            r#"{"timestamp":"2026-08-01T12:00:00Z","level":"loud"}"#,
            "unknown log level `loud`; the levels are error, warn, info, debug and trace",
        ),
    ];
    for (text, expected) in table {
        let error = Record::from_json(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn odd_lines_of_plugins_are_kept() {
    let line = LogLine {
        level: 77,
        target: "",
        message: "",
        fields: "[1, 2",
        spans: "",
        file: "",
        line: 0,
    };
    let record = Record::logged(&line, Origin::default(), noon());
    let expected = Record {
        time: noon(),
        fields: one_field("[1, 2".to_owned()),
        ..Record::new(Level::Trace, "", "")
    };
    assert_eq!(record, expected);
}

#[test]
fn long_texts_are_cut_once() {
    let long = "ä".repeat(MAX_TEXT_BYTES);
    let mut record = Record::printed(Stream::Stdout, &long, sink(), noon());
    let cut = record.message.clone();
    assert!(cut.ends_with("ä… (65536 more bytes)"), "{}", cut.len());
    record.clip();
    assert_eq!(record.message, cut);

    record.message = long.clone();
    record.target = long.clone();
    record.file = Some(long.clone());
    record.fields = serde_json::Map::from_iter([("x".to_owned(), vec![long; 3].into())]);
    record.clip();
    assert_eq!(record.message, cut);
    assert!(record.weight() < MAX_TEXT_BYTES + 8 * MAX_NAME_BYTES);
    assert!(
        record.fields["fields"]
            .as_str()
            .unwrap()
            .starts_with("left out: about 39")
    );
}

#[test]
fn printed_lines_know_their_stream() {
    for stream in [Stream::Stdout, Stream::Stderr] {
        let record = Record::printed(stream, "x", Origin::default(), noon());
        assert_eq!(record.stream(), Some(stream));
    }
    assert_eq!(logged().stream(), None);
}

#[test]
fn failures_name_cause_and_place() {
    let failure = NodeFailure {
        panicked: true,
        text: "no camera".to_owned(),
        causes: vec!["cannot open /dev/video0".to_owned(), "busy".to_owned()],
        place: Some(("src/node.rs".to_owned(), 40)),
        frames: vec!["   0: libx.so+0x1".to_owned()],
    };
    let record = Record::failed(&failure, sink(), noon());
    let expected = Record {
        time: noon(),
        file: Some("src/node.rs".to_owned()),
        line: Some(40),
        ..Record::new(
            Level::Error,
            "dora",
            "panicked: no camera\ncaused by: cannot open /dev/video0\ncaused by: busy",
        )
        .by(sink())
    };
    assert_eq!(record, expected);
}
