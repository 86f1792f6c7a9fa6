//! Watches the plugins of this process that have a `health_check_timeout`: who does not return is told of. Nobody here can
//! be ended.
//!
//! Invariant: costs nodes nothing that have none; the thread ends with the last value of [`Watched`]. Absent: when it is
//! too long (`process::watch`).

use crate::descriptor::Node;
use crate::engine::{Calls, OutsideEvent};
use crate::ids::NodeId;
use crate::process::watch::{Moment, Watch};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Says of a node what is wrong with it.
pub type Say = Box<dyn Fn(&NodeId, &str) + Send>;

/// Stack of the thread, which only looks.
const STACK_BYTES: usize = 256 * 1024;
/// Nobody is in a callback.
const NONE: u64 = u64::MAX;

/// The nodes that are watched.
#[derive(Debug)]
pub struct Watched {
    nodes: BTreeMap<NodeId, Arc<Place>>,
    /// Dropping it ends the thread.
    _alive: Option<Mutex<Sender<()>>>,
}

/// One of them.
struct Place {
    id: NodeId,
    /// In the order of their indices.
    inputs: Vec<String>,
    most: Duration,
    /// What the callback is for: an input's index, with a bit above for its end; or a stop; or [`NONE`].
    within: AtomicU64,
    begun: AtomicU64,
    held_up: AtomicU32,
}

const CLOSED: u64 = 1 << 32;
const STOP: u64 = 1 << 33;

impl Watched {
    /// Watches those of a dataflow's nodes that are called here.
    pub fn start(nodes: &[Node], say: Say) -> Self {
        let places = nodes.iter().filter_map(|node| {
            let place = Place {
                id: node.id.clone(),
                inputs: node.inputs.keys().map(ToString::to_string).collect(),
                most: node.health_check_timeout?,
                within: AtomicU64::new(NONE),
                begun: AtomicU64::new(0),
                held_up: AtomicU32::new(0),
            };
            Some((node.id.clone(), Arc::new(place)))
        });
        let nodes: BTreeMap<_, _> = places.collect();
        let looked_at: Vec<_> = nodes.values().cloned().collect();
        if looked_at.is_empty() {
            let _alive = None;
            return Self { nodes, _alive };
        }
        let (alive, end) = channel();
        let thread = thread::Builder::new().name("dora-watch".into());
        let started =
            { thread.stack_size(STACK_BYTES) }.spawn(move || look(&looked_at, &end, &say));
        // Without a thread nobody is told of.
        let _alive = started.ok().map(|_| Mutex::new(alive));
        Self { nodes, _alive }
    }

    /// Who is told of a node's calls.
    pub fn of(&self, node: &NodeId) -> Option<Arc<dyn Calls>> {
        let place: Arc<dyn Calls> = self.nodes.get(node)?.clone();
        Some(place)
    }
}

fn look(places: &[Arc<Place>], end: &Receiver<()>, say: &Say) {
    let watches = places.iter().map(|place| (place, Watch::new(place.most)));
    let mut watches: Vec<_> = watches.collect();
    let pause = watches.iter().map(|(_, watch)| watch.pause()).min();
    let pause = pause.unwrap_or(Duration::from_secs(1));
    while end.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        for (place, watch) in &mut watches {
            if watch.look(place.moment(), Instant::now()) {
                say(&place.id, &place.text());
            }
        }
    }
}

impl Place {
    fn moment(&self) -> Option<Moment> {
        let begun = self.begun.load(Ordering::Relaxed);
        let waits = self.held_up.load(Ordering::Relaxed);
        let counts = self.within.load(Ordering::Acquire) != NONE && waits.is_multiple_of(2);
        let waits = waits.into();
        counts.then_some(Moment { begun, waits })
    }

    fn text(&self) -> String {
        let within = self.within.load(Ordering::Acquire);
        let input = self.inputs.get((within & u64::from(u32::MAX)) as usize);
        let input = input.map_or("?", String::as_str);
        let callback = match within {
            STOP => "its callback for the stop".into(),
            NONE => "a callback".into(),
            of if of & CLOSED != 0 => format!("its callback for the end of input `{input}`"),
            _ => format!("its callback for input `{input}`"),
        };
        format!(
            "did not return within {:?} (`health_check_timeout`) in {callback}; in the daemon it cannot be ended, with \
             `process: own` it would be",
            self.most
        )
    }

    fn begin(&self, what: u64) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.within.store(what, Ordering::Release);
    }
}

impl Calls for Place {
    /// That may take long.
    fn create(&self) {}

    fn event(&self, event: &OutsideEvent<'_>) {
        self.begin(match *event {
            OutsideEvent::Input { input, .. } => input.into(),
            OutsideEvent::InputClosed { input } => CLOSED | u64::from(input),
            OutsideEvent::Stop(_) => STOP,
        });
    }

    fn returned(&self) {
        self.within.store(NONE, Ordering::Release);
    }

    fn held_up(&self) {
        self.held_up.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
