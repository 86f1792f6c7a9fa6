//! What a node's process finds when it starts, and what is said of its end.
//!
//! Absent: starting and waiting.

use super::super::launch::{Launch, VARIABLE};
use super::direct::Direct;
use crate::engine::{Crash, OutsideEnd};
use crate::process::child::{Exit, Launch as Command};
use plugin_abi::hosting::NodeFailure;
use std::path::Path;

/// What a node finds in its environment.
pub(super) fn set_environment(command: &mut Command, launch: &Launch, direct: &Direct) {
    command.set(VARIABLE, launch.yaml());
    // A 1.x node opens a session of its own: it is to look for nobody but those that it is told, and only they are to find
    // it; unless the descriptor says otherwise.
    let place = |port: &u16| format!("tcp/127.0.0.1:{port}");
    let peers: Vec<_> = direct.peers.iter().map(place).collect();
    for (name, value) in [
        ("DORA_ZENOH_MULTICAST", "off".to_owned()),
        ("DORA_ZENOH_LISTEN", place(&direct.port.unwrap_or(0))),
        ("DORA_ZENOH_CONNECT", peers.join(",")),
    ] {
        let mut set = command.env.iter().filter(|(_, value)| value.is_some());
        if !value.is_empty() && !set.any(|(known, _)| known == name) {
            command.set(name, value);
        }
    }
}

/// How an instance ended whose process ended so.
pub(super) fn outcome(
    exit: &Exit,
    refusal: Option<String>,
    said: &[String],
) -> Result<(), NodeFailure> {
    if let Some(text) = refusal {
        return Err(failed(text));
    }
    if exit.success() {
        return Ok(());
    }
    let mut causes = Vec::new();
    if !said.is_empty() {
        causes.push(format!("the last it wrote to stderr:\n{}", said.join("\n")));
    }
    Err(NodeFailure {
        causes,
        ..failed(format!("its process ended with {exit}"))
    })
}

/// The failure of a process that has crashed, with the place of a report.
pub(super) fn reported(mut failure: NodeFailure, program: &Path, end: &OutsideEnd) -> NodeFailure {
    let crash = Crash {
        how: failure.text.clone(),
        code: format!("program: {}\n", program.display()),
        message: None,
        trace: failure.causes.clone(),
    };
    if let Some(place) = end.crashed(crash) {
        failure.causes.insert(0, place);
    }
    failure
}

/// A frame of a backtrace: there are more of them than last words, and the error stands before them.
pub(super) fn is_frame(line: &str) -> bool {
    let text = line.trim_start();
    if text.len() == line.len() {
        return false;
    }
    let number = text.trim_start_matches(|it: char| it.is_ascii_digit());
    text.starts_with("at ") || (number.len() < text.len() && number.starts_with(": "))
}

pub(super) fn failed(text: impl Into<String>) -> NodeFailure {
    NodeFailure::new(text)
}

#[cfg(test)]
mod tests {
    use super::is_frame;

    #[test]
    fn frames_are_told_from_words() {
        for line in ["   0: <unknown>", "  17: f", "             at /x.c:79:15"] {
            assert!(is_frame(line), "{line}");
        }
        for line in [
            "",
            "0: x",
            "at last",
            "  File \"x.py\", line 8",
            "    raise X",
            "  1 x",
        ] {
            assert!(!is_frame(line), "{line}");
        }
    }
}
