//! What the commands for several machines say when nothing runs.

use super::{Place, assert_run};
use std::net::TcpListener;

/// A port on which nobody listens, as text. It is kept free by nobody, which one moment later matters little.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener
        .local_addr()
        .expect("an address")
        .port()
        .to_string()
}

fn place(port: &str) -> Place {
    Place::new().with_env("DORA_COORDINATOR_PORT", port)
}

fn nobody(port: &str) -> String {
    format!(
        "error: no dora coordinator at 127.0.0.1:{port} (connection refused); start one with `dora coordinator`, or say \
         where it is with `--coordinator-addr` and `--coordinator-port`\n"
    )
}

#[test]
#[cfg(unix)] // Windows refuses a connection after two seconds, and then says so in other words.
fn without_a_coordinator_each_command_says_where_it_looked() {
    let port = free_port();
    let place = place(&port);
    place.write("a.yml", "nodes: [{id: a, path: a}]");
    for args in [
        &["list"][..],
        &["ps"],
        &["node", "list", "--json"],
        &["status"],
        &["system", "status"],
        &["stop"],
        &["stop", "--all"],
        &["restart", "x"],
        &["clean"],
        &["logs", "x"],
        &["topic", "list"],
        &["topic", "echo", "a/b"],
        &["topic", "hz", "a/b"],
        &["start", "a.yml", "--attach"],
        &["start", "a.yml", "--detach"],
        &[
            "daemon",
            "--machine-id",
            "A",
            "--no-wait",
            "--local-listen-port",
            "0",
        ],
    ] {
        assert_run(&place, &place.dora(args), 1, "", &nobody(&port));
    }
    let down = place.dora(&["down"]);
    assert_run(
        &place,
        &down,
        0,
        "",
        &format!("no coordinator runs at 127.0.0.1:{port}\n"),
    );
}

#[test]
fn a_start_finds_mistakes_before_it_looks_for_a_coordinator() {
    let port = free_port();
    let place = place(&port);
    place.write("a.yml", "nodes: [{id: a, path: a, inputs: {x: b/y}}]");
    let run = place.dora(&["start", "a.yml"]);
    let last = "error: 1 problem in a.yml; nothing was started\n";
    assert!(run.stderr.starts_with("a.yml:1:"), "{run}");
    assert!(run.stderr.ends_with(last), "{run}");
    place.write("b.yml", "nodes: [{id: a, path: a}]");
    let message = "error: the name of a dataflow is empty; give one, or leave `--name` out\n";
    assert_run(
        &place,
        &place.dora(&["start", "b.yml", "--name", " "]),
        1,
        "",
        message,
    );
}

#[test]
fn other_machines_are_let_in_only_when_the_user_says_so() {
    let place = Place::new();
    for (args, begin) in [
        (
            &["coordinator", "--port", "0", "--interface", "0.0.0.0"][..],
            "--interface 0.0.0.0",
        ),
        (
            &["coordinator", "--port", "0", "--interface", "::"],
            "--interface ::",
        ),
        (
            &["daemon", "--machine-id", "A", "--listen", "0.0.0.0:0"],
            "--listen 0.0.0.0",
        ),
    ] {
        let run = place.dora(args);
        let expected = format!(
            "error: {begin} would let other machines in, without a password and without encryption: whoever reaches it \
             may run programs here; add `--insecure` if you trust the network\n"
        );
        assert_run(&place, &run, 1, "", &expected);
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_to_another() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let place = Place::new();
    let run = place.dora(&["coordinator", "--port", &port.to_string()]);
    let expected = format!(
        "error: port {port} of 127.0.0.1 is taken by another program{}; end that one, or choose another port: `--port N` \
         chooses one, `--port 0` takes any that is free\n",
        this_program()
    );
    assert_run(&place, &run, 1, "", &expected);
}

/// This test program as the command names it, where the system tells whose a port is.
fn this_program() -> String {
    if !cfg!(target_os = "linux") {
        return String::new();
    }
    let number = std::process::id();
    let name = std::fs::read_to_string(format!("/proc/{number}/comm")).expect("its name");
    format!(", `{}` (process {number})", name.trim_end())
}

#[test]
fn a_variable_that_is_no_port_is_named() {
    let place = place("53x90");
    let run = place.dora(&["list"]);
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(2),
        "{run}"
    );
    assert!(run.stderr.contains("DORA_COORDINATOR_PORT"), "{run}");
}

#[test]
fn there_is_a_script_for_each_shell() {
    let place = Place::new();
    for (shell, word) in [
        ("bash", "_dora()"),
        ("zsh", "#compdef dora"),
        ("fish", "complete -c dora"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let script = place.dora(&["completion", shell]).success();
        assert!(
            script.contains(word) && script.contains("coordinator-port"),
            "{shell}"
        );
    }
}
