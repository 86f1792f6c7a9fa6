//! A coordinator and two daemons, with a dataflow over both.

use crate::wine::{DEADLINE, Windows};
use host_testing::{Background, repo_root};
use std::fs;

#[test]
fn two_daemons_on_one_computer_run_the_tutorial() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.install(&["random.dll", "status.dll", "sink.dll"]);
    let text = fs::read(repo_root().join("examples/multiple-daemons/dataflow.yml"));
    windows.write(
        "examples/multiple-daemons/dataflow.yml",
        text.expect("read"),
    );
    let coordinator = windows.start("coordinator", &["coordinator", "--port", "0"]);
    let line = coordinator.line("Listening for incoming daemon connection on ", DEADLINE);
    let port = line.rsplit(' ').next().expect("a port").to_owned();
    let daemon = |machine: &str| -> Background {
        let args = [
            "daemon",
            "--machine-id",
            machine,
            "--coordinator-port",
            &port,
        ];
        let daemon = windows.start(machine, &args);
        daemon.line("Connected to dora-coordinator at 127.0.0.1:", DEADLINE);
        daemon
    };
    let daemons = ["A", "B"].map(daemon);
    let file = r"examples\multiple-daemons\dataflow.yml";
    let at = ["--coordinator-port", &port];
    let run = windows.answered("", &[&["start", "--attach", file], &at[..]].concat());
    let told = run
        .stdout
        .matches("sink received message: operator received random value 0x");
    // How many have come tells how busy the machine was: ten may wait. None that has come is missing here.
    let told = told.count();
    let row = run
        .stderr
        .lines()
        .find(|line| line.contains("rust-sink         B"));
    let came = row.and_then(|row| row.split_whitespace().nth(3));
    assert!(told > 0 && came == Some(&told.to_string()), "{run}");
    for row in [
        "rust-node         A        finished",
        "rust-sink         B        finished",
    ] {
        assert!(run.stderr.contains(row), "{run}");
    }
    run.success();
    for daemon in &daemons {
        // The second one has taken another port for process nodes, which is no reason to worry.
        let told = daemon.stderr();
        let mut lines = told.lines().filter(|line| line.contains("WARN"));
        assert!(
            lines.all(|line| line.contains("Waiting for a coordinator")),
            "{daemon}"
        );
    }
    let again = windows.answered("", &["coordinator", "--port", &port]);
    let words = format!("port {port} of 127.0.0.1 is taken by a dora coordinator");
    crate::wine::assert_fails(&again, &[&words, "--port"]);
}
