//! `dora run`, `validate`, `graph` and `schema` as a user types them.

use host_testing::{Folder, Run, fresh_dir, plugins, run};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

fn dora(folder: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dora"));
    command
        .current_dir(folder)
        .args(args)
        .env_remove("DORA_OUT_DIR")
        .env("DORA_CACHE_DIR", folder.join("cache"));
    command.env("RUST_BACKTRACE", "0");
    run(&mut command, DEADLINE)
}

/// A fresh folder with a descriptor of this text.
fn with_descriptor(text: &str) -> Folder {
    let folder = fresh_dir();
    std::fs::write(folder.path().join("dataflow.yml"), text).expect("written");
    folder
}

fn quickstart() -> String {
    plugins::descriptor("examples/quickstart/dataflow.yml")
}

fn assert_exit(run: &Run, code: i32) {
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(code),
        "{run}"
    );
}

#[test]
fn the_quickstart_prints_a_hundred_messages_and_ends_by_itself() {
    let inputs = [
        ("tick", "dora/timer/millis/10"),
        ("random", "random/random"),
        ("message", "status/status"),
    ];
    let long = |text: String, (input, source)| plugins::with_long_queue(&text, input, source);
    let text = inputs.into_iter().fold(quickstart(), long);
    let folder = with_descriptor(&text);
    let run = dora(folder.path(), &["run", "dataflow.yml"]);
    assert_exit(&run, 0);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 100, "{run}");
    assert!(lines.iter().all(|line| {
        line.starts_with("sink received message: operator received random value 0x")
            && line.ends_with(" ticks")
    }));
    for row in [
        "random  finished  100  100        0",
        "sink    finished  100    0        0",
    ] {
        assert!(run.stderr.contains(row), "{run}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path().join("cache/plugins"))
        .expect("made")
        .collect();
    assert!(left.is_empty(), "private copies are removed: {left:?}");
}

#[test]
fn a_run_that_is_told_to_stop_ends_well() {
    let text = quickstart().replace("- random\n\n", "- random\n    config: {count: 1000000}\n\n");
    assert!(text.contains("1000000"));
    let folder = with_descriptor(&text);
    let run = dora(
        folder.path(),
        &["run", "--stop-after", "300ms", "dataflow.yml"],
    );
    assert_exit(&run, 0);
    assert!(run.stderr.contains("random  stopped"), "{run}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_the_nodes_in_order() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;
    let text = quickstart().replace("- random\n\n", "- random\n    config: {count: 1000000}\n\n");
    let folder = with_descriptor(&text);
    let mut child = Command::new(env!("CARGO_BIN_EXE_dora"))
        .current_dir(folder.path())
        .args(["run", "dataflow.yml"])
        .env("DORA_CACHE_DIR", folder.path().join("cache"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(
        lines
            .next()
            .expect("a line")
            .expect("text")
            .starts_with("sink received message")
    );
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(kill.success());
    // Ends with the process: the pipe closes.
    assert!(lines.all(|line| line.is_ok()));
    let mut errors = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut errors)
        .expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{errors}");
    assert!(
        errors.contains("stopping; nodes have 10s to end") && errors.contains("sink    stopped"),
        "{errors}"
    );
}

#[cfg(unix)]
#[test]
fn a_stop_is_obeyed_when_nobody_reads_any_more() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let text = quickstart().replace("- random\n\n", "- random\n    config: {count: 1000000}\n\n");
    let folder = with_descriptor(&text);
    let mut child = Command::new(env!("CARGO_BIN_EXE_dora"))
        .current_dir(folder.path())
        .args(["run", "dataflow.yml"])
        .env("DORA_CACHE_DIR", folder.path().join("cache"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    lines.next().expect("a line").expect("text");
    drop((lines, child.stderr.take()));
    let stop = |signal: &str, child: &std::process::Child| {
        let kill = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
    };
    stop("-TERM", &child);
    let until = std::time::Instant::now() + DEADLINE;
    while child.try_wait().expect("a child").is_none() {
        if std::time::Instant::now() > until {
            stop("-KILL", &child);
            child.wait().expect("it ends");
            panic!("it has not stopped");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_failing_node_is_named_and_the_exit_status_says_so() {
    let text = quickstart().replace("message: status/status", "message: random/random");
    let folder = with_descriptor(&text);
    let run = dora(folder.path(), &["run", "dataflow.yml"]);
    assert_exit(&run, 1);
    let wanted = "input `message` is `Utf8`";
    assert!(
        run.stderr.contains("dataflow.yml:") && run.stderr.contains("Utf8"),
        "{wanted}: {run}"
    );
    assert!(run.stdout.is_empty(), "nothing was started: {run}");
}

#[test]
fn the_machine_of_a_node_is_ignored_with_a_note() {
    let text = quickstart().replace("  - id: sink\n", "  - id: sink\n    deploy: {machine: B}\n");
    let folder = with_descriptor(&text);
    let run = dora(
        folder.path(),
        &["run", "--stop-after", "100ms", "dataflow.yml"],
    );
    assert_exit(&run, 0);
    let note = "note: `dora run` runs every node on this machine; `machine` (B) is ignored";
    assert_eq!(
        run.stderr.lines().filter(|line| *line == note).count(),
        1,
        "{run}"
    );
}

#[test]
fn logs_go_where_they_can_be_written() {
    let folder = with_descriptor(&quickstart());
    std::fs::write(
        folder.path().join("out"),
        "a file where the folder should be",
    )
    .expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dora"));
    command
        .current_dir(folder.path())
        .args(["run", "--log-level", "debug", "dataflow.yml"]);
    command
        .env("DORA_CACHE_DIR", folder.path().join("cache"))
        .env_remove("DORA_OUT_DIR");
    command
        .env("XDG_DATA_HOME", folder.path().join("data"))
        .env("LOCALAPPDATA", folder.path().join("data"));
    command.env("HOME", folder.path().join("home"));
    let run = run(&mut command, DEADLINE);
    assert_exit(&run, 0);
    assert!(run.stderr.contains("--out-dir or DORA_OUT_DIR"), "{run}");
    let elsewhere = dora(
        folder.path(),
        &[
            "run",
            "--log-level",
            "debug",
            "--out-dir",
            "logs",
            "dataflow.yml",
        ],
    );
    assert_exit(&elsewhere, 0);
    let dataflow = std::fs::read_dir(folder.path().join("logs"))
        .expect("made")
        .next()
        .expect("one")
        .expect("entry");
    let log = std::fs::read_to_string(dataflow.path().join("log_sink.txt")).expect("a log");
    assert!(log.contains("finished"), "{log}");
}

#[test]
fn a_node_keeps_as_many_log_files_of_its_size_as_it_says() {
    // Each restart is a line in the node's log.
    let keys = "config: {count: 1}\n    restart_policy: always\n    max_restarts: 12\n";
    let sizes = "    max_log_size: 200 B\n    max_rotated_files: 2\n\n";
    let text = quickstart().replace("- random\n\n", &format!("- random\n    {keys}{sizes}"));
    let folder = with_descriptor(&text);
    let run = dora(folder.path(), &["run", "dataflow.yml"]);
    assert_exit(&run, 0);
    assert!(run.stderr.contains("finished (12 restarts)"), "{run}");
    let out = std::fs::read_dir(folder.path().join("out")).expect("made");
    let dataflow = out.into_iter().next().expect("one").expect("entry").path();
    let names = std::fs::read_dir(dataflow)
        .expect("a folder")
        .map(|entry| entry.expect("entry").file_name());
    let mut logs: Vec<_> = names
        .filter(|name| name.to_string_lossy().starts_with("log_random"))
        .collect();
    logs.sort();
    assert_eq!(
        logs,
        ["log_random.txt", "log_random.txt.1", "log_random.txt.2"],
        "{run}"
    );
}

#[test]
fn the_lines_of_a_node_can_be_read_by_others() {
    let keys = "config: {count: 1}\n    restart_policy: always\n    max_restarts: 5\n    restart_delay: 0.02\n";
    let text = quickstart().replace(
        "- random\n\n",
        &format!("- random\n    {keys}    send_logs_as: log\n\n"),
    );
    for source in ["random/log", "dora/logs", "dora/logs/info/random"] {
        let text = text.replace("message: status/status", &format!("message: {source}"));
        let folder = with_descriptor(&text);
        let run = dora(folder.path(), &["run", "dataflow.yml"]);
        // The sink takes reports only, and says what it got instead.
        assert_exit(&run, 1);
        assert!(
            run.stderr
                .contains("node `sink` failed: received unexpected message: {"),
            "{source}: {run}"
        );
        assert!(
            run.stderr.contains(r#""node_id":"random""#),
            "{source}: {run}"
        );
    }
}

#[test]
fn paths_start_from_the_working_folder_of_a_node() {
    let folder = fresh_dir();
    let library = plugins::plugin("random");
    let name = library.file_name().expect("a file");
    std::fs::create_dir(folder.path().join("nodes")).expect("made");
    std::fs::copy(&library, folder.path().join("nodes").join(name)).expect("copied");
    let node = "nodes:\n  - id: a\n    path: random\n    config: {count: 1}\n    inputs: {tick: dora/timer/millis/1}\n";
    std::fs::write(
        folder.path().join("dataflow.yml"),
        format!("{node}    deploy: {{working_dir: nodes}}\n"),
    )
    .expect("written");
    let run = dora(folder.path(), &["run", "dataflow.yml"]);
    assert_exit(&run, 0);
    std::fs::write(folder.path().join("dataflow.yml"), node).expect("written");
    let run = dora(folder.path(), &["run", "dataflow.yml"]);
    assert_exit(&run, 1);
    assert!(
        run.stderr.contains("`random` was not found; tried "),
        "{run}"
    );
}

#[test]
fn build_runs_the_nodes_commands_first() {
    let text = quickstart().replace(
        "build: cargo build --release -p random",
        "build: cargo --version",
    );
    let text = text.replace(
        "build: cargo build --release -p status",
        "build: cargo --version",
    );
    let text = text.replace(
        "build: cargo build --release -p sink",
        "build: cargo no-such-command",
    );
    let folder = with_descriptor(&text);
    let run = dora(folder.path(), &["run", "--build", "dataflow.yml"]);
    assert_exit(&run, 1);
    assert!(
        run.stderr.contains("no-such-command") && run.stderr.contains("sink"),
        "{run}"
    );
    assert!(run.stdout.is_empty(), "{run}");
}

#[test]
fn validate_says_ok_or_all_that_is_wrong() {
    let folder = with_descriptor(&quickstart());
    let run = dora(folder.path(), &["validate", "dataflow.yml"]);
    assert_exit(&run, 0);
    assert_eq!(run.stdout, "dataflow.yml: valid (3 nodes)\n");
    let text = quickstart().replace("random: random/random", "random: random/randon");
    let text = text.replace("dora/timer/millis/100", "dora/timer/milis/100");
    std::fs::write(folder.path().join("dataflow.yml"), text).expect("written");
    let run = dora(folder.path(), &["check", "dataflow.yml"]);
    assert_exit(&run, 1);
    assert!(
        run.stderr
            .contains("unknown output \"randon\" of node \"random\"; it has: random"),
        "{run}"
    );
    assert!(
        run.stderr.contains("milis") && run.stderr.contains("error: 2 problems in dataflow.yml"),
        "{run}"
    );
}

#[test]
fn a_config_that_the_plugin_does_not_take_is_found_with_its_place() {
    let text = quickstart().replace("- random\n\n", "- random\n    config: {count: many}\n\n");
    let folder = with_descriptor(&text);
    let run = dora(folder.path(), &["validate", "dataflow.yml"]);
    assert_exit(&run, 1);
    assert!(
        run.stderr.contains("dataflow.yml:9:21: node `random`:") && run.stderr.contains("count"),
        "{run}"
    );
}

#[test]
fn graphs_and_the_schema_go_to_standard_output() {
    let folder = with_descriptor(&quickstart());
    let mermaid = dora(folder.path(), &["graph", "dataflow.yml"]).success();
    assert!(
        mermaid.starts_with("flowchart") && mermaid.contains("sink"),
        "{mermaid}"
    );
    assert!(
        dora(folder.path(), &["graph", "--dot", "dataflow.yml"])
            .success()
            .starts_with("digraph")
    );
    dora(
        folder.path(),
        &["graph", "--html", "-o", "graph.html", "dataflow.yml"],
    )
    .success();
    let html = std::fs::read_to_string(folder.path().join("graph.html")).expect("written");
    assert!(html.contains("<svg") && !html.contains("<script"));
    let schema = dora(folder.path(), &["schema"]).success();
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert!(schema.pointer("/properties/nodes").is_some());
}

#[test]
fn the_host_monitor_writes_its_samples_and_a_chart() {
    let text = plugins::descriptor("examples/host-monitor/dataflow.yml");
    let text = text
        .replace("dora/timer/hz/10", "dora/timer/millis/10")
        .replace("secs/1", "millis/100");
    let folder = with_descriptor(&text);
    let run = dora(folder.path(), &["run", "dataflow.yml"]);
    assert_exit(&run, 0);
    assert!(run.stderr.contains("recorder"), "{run}");
    let file =
        std::fs::File::open(folder.path().join("out/host-monitor.arrow")).expect("a recording");
    let samples = arrow_ipc::reader::FileReader::try_new(file, None).expect("an Arrow file");
    let rows: usize = samples.map(|batch| batch.expect("whole").num_rows()).sum();
    assert_eq!(rows, 100);
    let chart =
        std::fs::read_to_string(folder.path().join("out/host-monitor.html")).expect("a chart");
    assert!(
        chart.contains("100 samples") && chart.contains("<svg"),
        "{}",
        chart.len()
    );
}
