//! Copies of an output's messages for those who look on.
//!
//! Nodes of dora may hand each other an output past this process; then it is heard over a session with its sender. Invariant:
//! nobody who sends ever waits for somebody who looks on: what comes too fast is left out. Absent: who may look on, and for
//! how long (`taps`).

use crate::control::{RequestId, TapRequest};
use crate::engine::{Probe, Tapped};
use crate::ids::{DataflowId, MachineId};
use crate::link::{DataKey, Heard, Link, LinkError, Listener, Output, OutputSpec, Sender};
use crate::process::dora::beside::{Beside, Keys};
use crate::process::processes::Processes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Messages that wait to be published.
const ROOM: usize = 64;
/// How soon the end of a tap is noticed.
const LOOK: Duration = Duration::from_millis(100);

/// The taps of this machine.
#[derive(Debug, Default)]
pub(super) struct Tapping {
    taps: BTreeMap<RequestId, Tap>,
}

#[derive(Debug)]
struct Tap {
    request: TapRequest,
    /// Ends the thread; `None` before there is one.
    ended: Option<Ended>,
}

/// Ends a thread when it is dropped.
#[derive(Debug)]
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What taps are made with.
pub(super) struct Means<'a> {
    pub machine: &'a MachineId,
    pub link: &'a Link,
    pub sender: &'a Sender,
    pub nodes: &'a Processes,
}

impl Tapping {
    /// Begins a tap, at once or when the dataflow's nodes are there.
    pub fn add(&mut self, request: TapRequest, probe: Option<&Probe>, means: &Means<'_>) {
        let id = request.tap;
        let ended = None;
        self.taps.insert(id, Tap { request, ended });
        if let (Some(probe), Some(tap)) = (probe, self.taps.get_mut(&id)) {
            tap.begin(probe, means);
        }
    }

    /// The dataflow's nodes are there.
    pub fn probe(&mut self, dataflow: DataflowId, probe: &Probe, means: &Means<'_>) {
        let waiting = self.taps.values_mut();
        let waiting = waiting.filter(|tap| tap.request.dataflow == dataflow);
        waiting
            .filter(|tap| tap.ended.is_none())
            .for_each(|tap| tap.begin(probe, means));
    }

    /// Ends a tap.
    pub fn remove(&mut self, tap: RequestId) {
        self.taps.remove(&tap);
    }
}

impl Tap {
    /// Where it cannot begin, whoever looks on sees nothing, and asks again.
    fn begin(&mut self, probe: &Probe, means: &Means<'_>) {
        let request = &self.request;
        let (node, output) = (request.node.as_str(), request.output.as_str());
        let Some(tapped) = probe.tap(node, output, ROOM) else {
            return;
        };
        let spec = OutputSpec {
            key: DataKey::tap(means.machine, request.tap),
            readers: BTreeMap::new(),
            capacity: ROOM,
            // Whoever looks on sees the gap.
            failed: Box::new(|_| ()),
        };
        let Ok(published) = means.link.output(means.sender, spec) else {
            return;
        };
        let ended = Arc::new(AtomicBool::new(false));
        let stop = ended.clone();
        let session = (means.nodes).session(request.dataflow, &request.node, &request.output);
        let keys = Keys::of(request.dataflow, &request.node, &request.output);
        let thread = std::thread::Builder::new().name("dora-tap".into());
        let pump = move || {
            let published = Arc::new(published);
            // One of 0.x has none.
            let _listener = session.and_then(|port| listen(port, &keys, published.clone()).ok());
            pump(&tapped, &published, &stop);
        };
        if thread.spawn(pump).is_ok() {
            self.ended = Some(Ended(ended));
        }
    }
}

/// Copies of what a node sends over its own session.
fn listen(port: u16, keys: &Keys, published: Arc<Output>) -> Result<Listener, LinkError> {
    let beside = Arc::new(Mutex::new(Beside::default()));
    Listener::open(port, &keys.messages, &keys.schemas, move |heard| {
        let mut beside = beside.lock().unwrap_or_else(PoisonError::into_inner);
        match heard {
            Heard::Key(schema) => beside.schema(&schema),
            Heard::Message(payload, said) => {
                if let Some(message) = beside.message(&payload, &said) {
                    published.push(message);
                }
            }
        }
    })
}

fn pump(tapped: &Tapped, published: &Output, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match tapped.messages.recv_timeout(LOOK) {
            Ok(message) => {
                published.push(message);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
