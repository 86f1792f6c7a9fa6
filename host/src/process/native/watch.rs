//! Ends a process whose node does not return from a callback in the time that its descriptor gives it.
//!
//! Invariant: what a node takes to be made does not count, nor does waiting for a reader with `backpressure`. The thread
//! ends with the process. Absent: when it is too long (`process::watch`).

use super::instance::Instance;
use super::reader;
use crate::engine::OutsideEnd;
use crate::process::watch::{Moment, Watch};
use plugin_abi::wire::page::Callback;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Stack of the thread, which only looks.
const STACK_BYTES: usize = 256 * 1024;

/// Watches an instance until the other end of `alive` is dropped.
///
/// # Errors
/// There is no thread to be had.
pub(super) fn start(
    instance: &Arc<Instance>,
    most: Duration,
    end: &OutsideEnd,
    alive: Receiver<()>,
) -> io::Result<()> {
    let (instance, end) = (instance.clone(), end.clone());
    let thread = thread::Builder::new().name("dora-watch".into());
    let watching = move || {
        let mut watch = Watch::new(most);
        while alive.recv_timeout(watch.pause()) == Err(RecvTimeoutError::Timeout) {
            if watch.look(moment(&instance), Instant::now()) {
                let within = reader::within(&instance.page, end.inputs());
                let text = format!(
                    "did not return within {most:?} (`health_check_timeout`){within}, and was ended"
                );
                instance.hangs(&text);
                return;
            }
        }
    };
    thread.stack_size(STACK_BYTES).spawn(watching).map(drop)
}

/// The callback that the node is in, if its time counts.
fn moment(instance: &Instance) -> Option<Moment> {
    // Before the page is asked: a callback that begins meanwhile is another one.
    let begun = instance.page.begun();
    match instance.page.within() {
        None | Some(Callback::Create) => None,
        Some(_) => Some(Moment {
            begun,
            waits: instance.waits()?,
        }),
    }
}
