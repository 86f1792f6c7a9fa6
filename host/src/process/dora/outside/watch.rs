//! Ends the process of a node that has got events and neither asks for more nor sends anything for too long.
//!
//! Invariant: a node that waits for events is well, and so is one that waits for its readers, or whose events are over.
//! What a library of dora's does beside the node's own code is taken for the node. Absent: when it is too long
//! (`process::watch`).

use super::instance::Instance;
use crate::process::child::Child;
use crate::process::watch::Watch;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Stack of the thread, which only looks.
const STACK_BYTES: usize = 256 * 1024;

/// Watches an instance to its end.
///
/// # Errors
/// There is no thread to be had.
pub(super) fn start(
    instance: &Arc<Instance>,
    child: &Arc<Child>,
    most: Duration,
) -> io::Result<()> {
    let (instance, child) = (instance.clone(), child.clone());
    let watching = move || {
        let mut watch = Watch::new(most);
        while !instance.wait_for_exit(watch.pause()) {
            if watch.look(instance.owes(), Instant::now()) {
                instance.hangs(format!(
                    "its process neither asked for events nor sent anything within {most:?} (`health_check_timeout`), and was ended"
                ));
                child.kill();
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("dora-watch".into());
    thread.stack_size(STACK_BYTES).spawn(watching).map(drop)
}
