//! What processes print: lines of their nodes' logs, and messages for those who read them.

use crate::dataflow::{Ended, Running};
use crate::place::{Place, python};
use host_testing::{fixtures, fresh_dir};

/// Says what it knows on both streams, and ends.
const SPEAKS: &str = r#"
import json, sys
from dora import Node
node = Node()
print("plain words")
print("to the other stream", file=sys.stderr)
log = {"timestamp": "2020-01-01T00:00:00Z", "level": "WARN", "target": "lens", "message": "is covered", "fields": {"by": "dust"}}
print(json.dumps(log))
print(json.dumps({"no": "log"}))
# Written when the interpreter ends: the node has said before that it sends no more.
print("without an end", end="")
"#;

/// Repeats what it hears.
const LISTENS: &str = r#"
from dora import Node
node = Node()
for event in node:
    if event["type"] == "INPUT":
        print("heard", repr(event["value"][0].as_py()))
"#;

/// A node that speaks, with more keys, and one that reads its output `said`.
fn speaks(keys: &str) -> Option<Ended> {
    let release = "1.1.0";
    if !Place::Dora(release).is_there() {
        return None;
    }
    let venv = python(release).expect("just looked for");
    let venv = venv.folder().display();
    let folder = fresh_dir();
    for (file, script) in [("speaks.py", SPEAKS), ("listens.py", LISTENS)] {
        std::fs::write(folder.path().join(file), script).expect("written");
    }
    let text = format!(
        "nodes:\n  - id: speaker\n    path: speaks.py\n    env: {{VIRTUAL_ENV: '{venv}'}}\n{keys}  - id: listener\n    \
         path: listens.py\n    env: {{VIRTUAL_ENV: '{venv}'}}\n    inputs: {{in: {{source: speaker/said, queue_size: 100}}}}\n"
    );
    Some(Running::in_folder(folder, &text, &[]).end().exits(0))
}

/// What the listener has heard.
fn heard(ended: &Ended) -> Vec<&str> {
    let lines = ended.run().stdout.lines();
    lines
        .filter_map(|line| Some(line.split_once("listener: heard ")?.1))
        .collect()
}

#[test]
fn printed_lines_and_records_of_logs_are_lines_of_the_node() {
    let keys = "    send_stdout_as: said\n    outputs: [said]\n";
    let Some(ended) = speaks(keys) else {
        return;
    };
    let run = ended.run();
    let has = |text: &str, begin: &str, end: &str| {
        let mut lines = text.lines();
        lines.any(|line| line.contains(begin) && line.ends_with(end))
    };
    assert!(has(&run.stdout, "out   speaker: ", "plain words"), "{run}");
    assert!(has(&run.stdout, "speaker: ", "{\"no\": \"log\"}"), "{run}");
    assert!(has(&run.stdout, "speaker: ", "without an end"), "{run}");
    assert!(
        has(&run.stderr, "err   speaker: ", "to the other stream"),
        "{run}"
    );
    // With its own level, and its fields behind it.
    assert!(
        has(&run.stderr, "WARN  speaker: ", "is covered by=dust"),
        "{run}"
    );
}

#[test]
fn standard_output_goes_to_an_output_as_it_is_printed() {
    let keys = "    send_stdout_as: said\n    outputs: [said]\n";
    let Some(ended) = speaks(keys) else {
        return;
    };
    let heard = heard(&ended);
    assert_eq!(heard.len(), 4, "{}", ended.run());
    assert_eq!(heard[0], "'plain words'");
    assert!(heard[1].contains("is covered") && heard[2].contains("no"));
    assert_eq!(heard[3], "'without an end'");
}

#[test]
fn lines_of_the_log_go_to_an_output_as_records() {
    let keys = "    send_logs_as: said\n    outputs: [said]\n";
    let Some(ended) = speaks(keys) else {
        return;
    };
    let run = ended.run();
    let heard: Vec<_> = heard(&ended);
    for text in ["plain words", "to the other stream", "is covered"] {
        assert!(
            heard.iter().any(|line| line.contains(text)),
            "{text}: {run}"
        );
    }
    let covered = heard.iter().find(|line| line.contains("is covered"));
    let covered = covered.expect("it was there");
    for part in [
        r#""level":"WARN""#,
        r#""node_id":"speaker""#,
        r#""by":"dust""#,
    ] {
        assert!(covered.contains(part), "{part}: {covered}");
    }
}

#[test]
fn what_executables_and_host_processes_print_is_theirs() {
    // The fixture `flow` logs; a panic is what prints.
    let flow = fixtures::executable("flow-node").display().to_string();
    let text = format!(
        "nodes:\n  - id: node\n    path: '{flow}'\n    kind: source\n    config: {{count: 1}}\n    inputs: {{tick: \
         dora/timer/millis/5}}\n    outputs: [out]\n  - id: fails\n    path: '{flow}'\n    kind: failing\n    config: \
         {{how: panic}}\n    inputs: {{in: node/out}}\n    outputs: [out]\n"
    );
    let ended = Running::in_folder(fresh_dir(), &text, &["--log-level", "debug"]).end();
    ended
        .exits(1)
        .says("INFO  fails: restart_count 0")
        .says("no picture at message 1");
}
