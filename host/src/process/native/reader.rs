//! What a node's process sends, on a thread of its own, until it has ended.
//!
//! Invariant: while a reader with `backpressure` is full the node waits, and nothing of it is read; a process that does
//! not keep to the wire is ended. Absent: what is written to it.

use super::instance::{Instance, State};
use super::lock;
use crate::engine::OutsideEnd;
use crate::plugin::preflight;
use crate::sys::scene;
use plugin_abi::hosting::NodeFailure;
use plugin_abi::wire::WireError;
use plugin_abi::wire::channel::{Incoming, Raw};
use plugin_abi::wire::frame::{Ended, FromNode, Greeting, How};
use plugin_abi::wire::node::wire_fits;
use plugin_abi::wire::page::{Callback, Page};
use plugin_abi::wire::sys::Wait;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a process may take to end when its node has; then it is ended by force, and gets as long again.
const ENDING: Duration = Duration::from_secs(5);
/// No process counts further than this; sums of what many say do not overflow.
const MOST_COUNTED: u64 = 1 << 48;

/// Reads to the end, and tells the engine of it.
pub(super) fn run(instance: &Instance, incoming: Incoming, end: &OutsideEnd, program: &Path) {
    let outcome = read(instance, incoming, end, program);
    let wrong = match outcome {
        Err(WireError::Ended) | Ok(()) => None,
        Err(error) => {
            instance.kill();
            Some(NodeFailure::new(error.to_string()))
        }
    };
    instance.change(|state| state.silent = true);
    wait_for_exit(instance, end);
    let state = instance.state();
    let mut result = result(instance, &state, wrong.clone(), end);
    let has_words = wrong.is_some() || state.ended.is_some();
    drop(state);
    result = result.map_err(|failure| match failure.panicked || !has_words {
        true => instance.reported(failure, end),
        false => failure,
    });
    if let Some(failure) = wrong {
        // It may have been while the node was made.
        instance.change(|state| state.made = state.made.take().or(Some(Err(failure))));
    }
    instance.over(result, end);
}

/// How the instance has ended.
fn result(
    instance: &Instance,
    state: &State,
    wrong: Option<NodeFailure>,
    end: &OutsideEnd,
) -> Result<(), NodeFailure> {
    if let Some(failure) = wrong {
        return Err(failure);
    }
    let Some(ended) = &state.ended else {
        return Err(instance.without_words(state, end));
    };
    if let Some(exit) = state.exit.as_ref().filter(|exit| exit.crashed) {
        end.warn(&format!(
            "its process ended with {} after its node",
            exit.how
        ));
    }
    match &ended.how {
        How::Failed(failure) => Err(failure.clone()),
        How::Done | How::Stopped => Ok(()),
    }
}

fn wait_for_exit(instance: &Instance, end: &OutsideEnd) {
    for force in [false, true] {
        if force {
            end.warn("its process does not end although its node has; it is ended by force");
            instance.kill();
        }
        let until = Instant::now() + ENDING;
        let mut state = instance.state();
        while state.exit.is_none() && Instant::now() < until {
            state = instance.wait(state);
        }
        if state.exit.is_some() {
            return;
        }
    }
}

fn read(
    instance: &Instance,
    mut incoming: Incoming,
    end: &OutsideEnd,
    program: &Path,
) -> Result<(), WireError> {
    while let Some(raw) = incoming.next(Wait::Long)? {
        frame(instance, &raw, end, program)?;
        instance.level(end);
    }
    Ok(())
}

fn frame(
    instance: &Instance,
    raw: &Raw<'_>,
    end: &OutsideEnd,
    program: &Path,
) -> Result<(), WireError> {
    match raw.decode()? {
        FromNode::Hello(greeting) => {
            let fits = fits(&greeting)
                .map_err(|what| NodeFailure::new(format!("{}: {what}", program.display())));
            instance.change(|state| state.hello = Some(fits));
        }
        FromNode::Created => instance.change(|state| state.made = Some(Ok(()))),
        FromNode::NotCreated(failure) => {
            instance.change(|state| state.made = Some(Err(failure)));
            instance.node_ended();
        }
        FromNode::Output(packet) => {
            if packet.port as usize >= end.outputs().len() {
                return Err(WireError::Malformed(
                    "a message on an output that it has not",
                ));
            }
            let message = instance.channel.message(&packet)?;
            let waits = instance.is_watched && end.may_wait(packet.port);
            if waits {
                instance.held_up();
            }
            // After a stop it is refused, which the node is told by its stop.
            end.send(packet.port, message);
            if waits {
                instance.held_up();
            }
        }
        FromNode::Ready(messages) => {
            if instance.grant(messages) {
                end.resume();
            }
        }
        FromNode::Ended(ended) => ended_as(instance, ended),
        FromNode::Log(line) => end.log(&line.as_log_line()),
        FromNode::Taken {
            input,
            taken,
            dropped,
        } => {
            if let Some(name) = end.inputs().get(input as usize) {
                let mut counts = lock(&instance.counts);
                counts.taken.insert(name.clone(), taken.min(MOST_COUNTED));
                counts
                    .dropped
                    .insert(name.clone(), dropped.min(MOST_COUNTED));
            }
        }
        FromNode::Unread { output, messages } => {
            if let Some(name) = end.outputs().get(output as usize) {
                let mut counts = lock(&instance.counts);
                let sent = counts.sent.entry(name.clone()).or_default();
                *sent = sent.saturating_add(messages).min(MOST_COUNTED);
            }
        }
    }
    Ok(())
}

fn ended_as(instance: &Instance, ended: Ended) {
    instance.change(|state| state.ended = Some(ended));
    instance.node_ended();
}

/// Whether a process's versions fit, in the words that a plugin's misfit has.
fn fits(greeting: &Greeting<'_>) -> Result<(), String> {
    let handshake = preflight::read_record(greeting.record);
    let fits = handshake.and_then(|handshake| preflight::versions(&handshake, None));
    fits.map_err(|error| error.to_string())?;
    wire_fits(greeting.wire)
}

/// In which callback a process was when it ended; nothing when it was in none.
pub(super) fn within(page: &Page, inputs: &[String]) -> String {
    let Some(callback) = page.within() else {
        return String::new();
    };
    let input = match callback {
        // The process may have written anything.
        Callback::Input(input) | Callback::InputClosed(input) => inputs.get(input as usize),
        _ => None,
    };
    scene::words(callback, input.map_or("?", String::as_str))
}
