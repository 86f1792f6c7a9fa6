//! What the command line itself says.

use super::{Place, assert_run};
use plugin_abi::handshake::TARGET;

#[test]
fn versions() {
    let place = Place::new();
    let long = format!("dora 0.7.0 (plugin ABI 0.7, message format v0.7.0, {TARGET})\n");
    assert_run(&place, &place.dora(&["--version"]), 0, &long, "");
    assert_run(&place, &place.dora(&["-V"]), 0, "dora 0.7.0\n", "");
}

#[test]
fn every_command_has_help_with_examples_and_the_helper_is_hidden() {
    let place = Place::new();
    let top = place.dora(&["--help"]).success();
    assert!(!top.contains("__describe"), "{top}");
    let mut commands = vec![vec!["plugin", "check"], vec!["plugin", "inspect"]];
    let listed = top.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in listed.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().expect("a name");
        if !matches!(name, "help" | "schema") {
            commands.push(vec![name]);
        }
    }
    assert!(commands.len() > 6, "{commands:?}");
    for command in commands {
        let help = place.dora(&[&command[..], &["--help"]].concat()).success();
        assert!(help.contains("\nExamples:\n  dora "), "{help}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let place = Place::new();
    for args in [&["biuld"][..], &["new", "x"], &["plugin"], &[], &["build"]] {
        let run = place.dora(args);
        assert_eq!(
            run.status.and_then(|status| status.code()),
            Some(2),
            "{run}"
        );
        assert!(run.stderr.contains("Usage: dora"), "{run}");
    }
    let run = place.dora(&["biuld"]);
    assert!(run.stderr.contains("'build'"), "{run}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let place = Place::new();
    for args in [&["plugin", "check", "nothing"][..], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = place.command(args).stdout(writer).output().expect("run");
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn an_error_has_a_backtrace_when_all_of_it_is_asked_for() {
    // Many have it set to 1, for panics.
    let place = Place::new().with_env("RUST_BACKTRACE", "1");
    let args = ["new", "match", "--kind", "plugin"];
    let plain = place.dora(&args);
    let message = "error: `match` is a keyword of Rust; use another name, such as `match-node`\n";
    assert_run(&place, &plain, 1, "", message);
    let place = place.with_env("RUST_BACKTRACE", "full");
    let traced = place.dora(&args);
    assert!(
        traced.stderr.starts_with(message) && traced.stderr.contains("Stack backtrace:"),
        "{traced}"
    );
}
