//! The command line as a whole.

use super::{Args, Command};
use clap::{CommandFactory, Parser};

fn parsed(args: &[&str]) -> Command {
    let all = ["dora"].iter().chain(args);
    match Args::try_parse_from(all) {
        Ok(args) => args.command,
        Err(error) => panic!("{args:?}: {error}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn spellings_of_dora_1_are_understood() {
    for args in [
        &["start", "dataflow.yml", "--attach"][..],
        &[
            "start",
            "dataflow.yml",
            "--detach",
            "-n",
            "camera",
            "--env",
            "A=1",
            "--env",
            "B=",
        ],
        &["stop", "camera", "--grace-duration", "2s"],
        &["stop", "--name", "camera", "-f"],
        &["stop", "--all"],
        &["restart", "-n", "camera"],
        &["destroy"],
        &[
            "down",
            "--coordinator-addr",
            "10.0.0.1",
            "--coordinator-port",
            "7",
        ],
        &["logs", "camera", "--node", "sink", "--tail", "3", "-f"],
        &["logs", "camera", "--all-nodes"],
        &["ps", "-d", "camera"],
        &["node", "list", "--json"],
        &["system", "status"],
        &["topic", "echo", "-d", "camera", "a/b/c", "--count", "2"],
        &[
            "daemon",
            "--machine-id",
            "A",
            "--labels",
            "gpu=true,arch=arm64",
            "--quiet",
        ],
        &["coordinator", "--interface", "0.0.0.0", "--port", "0"],
    ] {
        parsed(args);
    }
}

#[test]
fn a_logs_command_takes_a_dataflow_and_a_node() {
    let Command::Logs(args) = parsed(&["logs", "camera", "sink"]) else {
        panic!("another command");
    };
    assert_eq!(args.dataflow.as_deref(), Some("camera"));
    assert_eq!(
        args.node.map(|node| node.to_string()).as_deref(),
        Some("sink")
    );
}

#[test]
fn labels_come_separated_by_commas() {
    let Command::Daemon(args) = parsed(&["daemon", "--labels", "a=1,b=2", "--no-wait"]) else {
        panic!("another command");
    };
    let labels: Vec<_> = args
        .labels
        .iter()
        .map(|(key, value)| format!("{key}:{value}"))
        .collect();
    assert_eq!(labels, ["a:1", "b:2"]);
    assert!(args.no_wait && !args.wait);
}

#[test]
fn what_contradicts_itself_is_refused() {
    for args in [
        &["start", "a.yml", "--attach", "--detach"][..],
        &["stop", "camera", "--all"],
        &["list", "--coordinator-port", "0"],
        &["daemon", "--machine-id", "a b"],
        &["daemon", "--labels", "gpu"],
        &["daemon", "--listen", "eth0"],
        &["topic", "echo", "camera"],
        &["topic", "echo", "a/b", "--count", "0"],
        &["logs", "camera", "sink", "--all-nodes"],
    ] {
        let all = ["dora"].iter().chain(args);
        assert!(Args::try_parse_from(all).is_err(), "{args:?}");
    }
}
