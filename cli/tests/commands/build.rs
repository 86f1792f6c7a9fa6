//! `dora build` as a user sees it. What it does is tested where it is done.

use super::{Place, assert_run};

fn with_dataflow(nodes: &str) -> Place {
    let place = Place::new();
    place.write("flow.yml", format!("nodes:\n{nodes}"));
    place
}

/// Takes the elapsed times out: `in 0.1 s`.
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| match line.rsplit_once(" in ") {
        Some((before, time)) if time.ends_with(" s") => format!("{before} in TIME\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn each_build_has_its_lines() {
    let place = with_dataflow(
        "  - {id: a, path: x, build: cargo --version}
  - {id: b, path: x, build: rustc --version}
  - {id: c, path: x, build: cargo --version}
",
    );
    let mut run = place.dora(&["build", "flow.yml"]);
    run.stderr = without_times(&run.stderr);
    let expected = "\
building a, c: cargo --version
built a, c in TIME
building b: rustc --version
built b in TIME
";
    assert_run(&place, &run, 0, "", expected);
    let run = place.dora(&["build", "--verbose", "--parallel", "2", "flow.yml"]);
    assert!(run.stderr.contains("a, c: cargo "), "{run}");
}

#[test]
fn a_failure_shows_the_command_the_place_and_the_output() {
    let place = with_dataflow("  - {id: a, path: x, build: cargo no-such-command}\n");
    let run = place.dora(&["build", "flow.yml"]);
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(1),
        "{run}"
    );
    let words = "error: flow.yml:2:10: node `a`: `cargo no-such-command` failed (exit ";
    assert!(run.stderr.contains(words), "{run}");
    assert!(
        run.stderr
            .contains("\n  | error: no such command: `no-such-command`\n"),
        "{run}"
    );
}

#[test]
fn what_cannot_be_built_is_told_before_anything_runs() {
    let place = with_dataflow(
        "  - {id: a, path: x, build: cargo --version}
  - {id: b, path: x, build: make && make install}
",
    );
    let expected = "flow.yml:3:10: node `b`: `build`: `&&` in `make && make install`, but commands are run without a shell; write one command per line, or `sh -c '...'`\nerror: 1 problem in flow.yml; nothing was started\n";
    assert_run(&place, &place.dora(&["build", "flow.yml"]), 1, "", expected);
    let place = with_dataflow("  - {id: a, path: x}\n");
    let expected = "nothing to build: no node of flow.yml has a `build`\n";
    assert_run(&place, &place.dora(&["build", "flow.yml"]), 0, "", expected);
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_the_build_and_all_that_it_started() {
    use std::fs;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let place = with_dataflow(
        "  - {id: a, path: x, build: sh -c 'sleep 100 & echo $! > pid; sleep 100'}\n",
    );
    let mut dora = place.command(&["build", "flow.yml"]);
    let dora = dora.stderr(Stdio::piped()).spawn().expect("started");
    let until = Instant::now() + Duration::from_secs(20);
    let pid = place.path().join("pid");
    let read = || fs::read_to_string(&pid).unwrap_or_default();
    while !read().ends_with('\n') {
        assert!(Instant::now() < until, "the command does not start");
        std::thread::yield_now();
    }
    let interrupted = Command::new("kill")
        .args(["-INT", &dora.id().to_string()])
        .status();
    assert!(interrupted.expect("kill").success());
    let output = dora.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.ends_with("error: the build was stopped before all nodes were built\n"),
        "{stderr}"
    );
    assert!(Instant::now() < until, "it took too long");
    // Killed; its end may take the system a moment, and nobody may be there to collect it.
    let stat = format!("/proc/{}/stat", read().trim());
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < until, "a process of the build is left");
        std::thread::yield_now();
    }
}
