//! Python operators of dora, as dora's own descriptors have them: each runs as a node.

use crate::dataflow::Running;
use crate::place::python;
use host_testing::{fixtures, fresh_dir, skipped};

/// Passes on what it receives, under the names of dora's operators, and ends after ten.
const OPERATOR: &str = r#"
from dora import DoraStatus
from beside import NAME

class Operator:
    def __init__(self):
        self.received = 0

    def on_event(self, dora_event, send_output):
        if dora_event["type"] == "INPUT":
            self.received += 1
            send_output("out", dora_event["value"], dora_event["metadata"])
        else:
            print("event", dora_event["type"])
        if self.received < 10:
            return DoraStatus.CONTINUE
        nodes = [node["id"] for node in self.dataflow_descriptor["nodes"]]
        print(NAME, "among", nodes)
        return DoraStatus.STOP
"#;

const RELEASES: [&str; 3] = ["1.1.0", "0.4.1", "0.3.12"];

fn run(release: &'static str, operator: &str) -> Option<Running> {
    let python = match python(release) {
        Ok(python) => python,
        Err(reason) => {
            skipped(&format!("no PyPI: dora-rs {release}: {reason}"));
            return None;
        }
    };
    let folder = fresh_dir();
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text);
    write("op.py", operator).expect("written");
    write("beside.py", "NAME = 'beside'\n").expect("written");
    let flow = fixtures::path("flow").display().to_string();
    let text = format!(
        "nodes:
  - id: source
    path: '{flow}'
    kind: source
    config: {{count: 10}}
    inputs: {{tick: dora/timer/millis/5}}
    outputs: [out]
  - id: subject
    env: {{VIRTUAL_ENV: '{}'}}
    operator:
      python: op.py
      inputs: {{in: {{source: source/out, queue_size: 100}}}}
      outputs: [out]
  - id: checker
    path: '{flow}'
    kind: checker
    inputs: {{in: {{source: subject/op/out, queue_size: 100}}}}
",
        python.folder().display()
    );
    Some(Running::in_folder(folder, &text, &[]))
}

#[test]
fn an_operator_runs_as_a_node() {
    for release in RELEASES {
        let Some(running) = run(release, OPERATOR) else {
            continue;
        };
        let ended = running
            .end()
            .exits(0)
            .says("subject: beside among ['source', 'subject', 'checker']")
            .row("subject", "finished");
        assert_eq!(ended.checked("checker"), (10, 0), "{release}");
    }
}

#[test]
fn one_that_fails_is_named_with_its_reason() {
    let made = "raise RuntimeError('no model')";
    let later = "pass";
    for (init, wanted) in [
        (made, "exited before initializing dora"),
        (later, "its process ended with exit code 1"),
    ] {
        let operator = format!(
            "class Operator:\n    def __init__(self):\n        {init}\n    def on_event(self, event, send_output):\n        \
             raise RuntimeError('no model')\n"
        );
        let Some(running) = run("1.1.0", &operator) else {
            continue;
        };
        running
            .end()
            .exits(1)
            .says(wanted)
            .says("RuntimeError: no model")
            .row("subject", "failed");
    }
}
