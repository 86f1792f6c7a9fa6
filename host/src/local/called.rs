//! The plugins of a dataflow that this process calls: what each is called for is written down, so that a crash can be told
//! with its node and callback, and those that have a `health_check_timeout` are watched: who does not return is told of.
//! Nobody here can be ended.
//!
//! Invariant: watching costs nodes nothing; its thread ends with the last value of [`Called`]. Absent: when it is too long
//! (`process::watch`), and what a crash leaves (`sys::scene`).

use crate::descriptor::Node;
use crate::engine::Calls;
use crate::ids::{DataflowId, NodeId};
use crate::process::watch::{Moment, Watch};
use crate::sys::crash::stack;
use crate::sys::scene::{self, About, Callback, Place as Scene};
use plugin_abi::message::Message;
use std::collections::BTreeMap;
use std::io;
use std::ptr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Says of a node what is wrong with it.
pub type Say = Box<dyn Fn(&NodeId, &str) + Send>;

/// How long a thread that hangs may take to tell where.
const ANSWER: Duration = Duration::from_secs(1);
/// Stack of the thread, which only looks.
const STACK_BYTES: usize = 256 * 1024;

/// The nodes.
#[derive(Debug)]
pub struct Called {
    nodes: BTreeMap<NodeId, Arc<Place>>,
    /// Dropping it ends the thread.
    _alive: Option<Mutex<Sender<()>>>,
}

/// One of them.
#[derive(Debug)]
struct Place {
    id: NodeId,
    most: Option<Duration>,
    /// Once it is known that it is called here.
    here: OnceLock<Here>,
}

#[derive(Debug)]
struct Here {
    scene: Scene,
    /// In the order of their indices.
    inputs: Vec<String>,
    code: String,
}

impl Called {
    /// Watches those of a dataflow's nodes that will be called here.
    pub fn start(nodes: &[Node], say: Say) -> Self {
        let places = nodes.iter().map(|node| {
            let place = Place {
                id: node.id.clone(),
                most: node.health_check_timeout,
                here: OnceLock::new(),
            };
            (node.id.clone(), Arc::new(place))
        });
        let nodes: BTreeMap<_, _> = places.collect();
        let looked_at = nodes.values().filter_map(|place| {
            let watch = Watch::new(place.most?);
            Some((place.clone(), watch))
        });
        let looked_at: Vec<_> = looked_at.collect();
        if looked_at.is_empty() {
            let _alive = None;
            return Self { nodes, _alive };
        }
        let (alive, end) = channel();
        let thread = thread::Builder::new().name("dora-watch".into());
        let started = { thread.stack_size(STACK_BYTES) }.spawn(move || look(looked_at, &end, &say));
        // Without a thread nobody is told of.
        let _alive = started.ok().map(|_| Mutex::new(alive));
        Self { nodes, _alive }
    }

    /// A node will be called here.
    pub fn hosts(&self, dataflow: DataflowId, node: &NodeId, inputs: &[String], code: &str) {
        let Some(place) = self.nodes.get(node) else {
            return;
        };
        place.here.get_or_init(|| Here {
            scene: Scene::new(About {
                dataflow: &dataflow.to_string(),
                node: node.as_str(),
                inputs,
                code,
            }),
            inputs: inputs.to_vec(),
            code: code.to_owned(),
        });
    }

    /// What the code of a node is that is called here, in lines.
    pub fn code(&self, node: &NodeId) -> Option<&str> {
        let here = self.nodes.get(node)?.here.get()?;
        Some(&here.code)
    }

    /// Who is told of a node's calls.
    pub fn of(&self, node: &NodeId) -> Option<Arc<dyn Calls>> {
        let place = self.nodes.get(node)?;
        place.here.get()?;
        let place: Arc<dyn Calls> = place.clone();
        Some(place)
    }
}

fn look(mut places: Vec<(Arc<Place>, Watch)>, end: &Receiver<()>, say: &Say) {
    let pause = places.iter().map(|(_, watch)| watch.pause()).min();
    let pause = pause.unwrap_or(Duration::from_secs(1));
    while end.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        for (place, watch) in &mut places {
            let Some(here) = place.here.get() else {
                continue;
            };
            if watch.look(here.moment(), Instant::now()) {
                say(&place.id, &place.text(here));
                say(&place.id, &here.stack());
            }
        }
    }
}

impl Place {
    fn text(&self, here: &Here) -> String {
        let within = here.scene.within().map(|callback| here.words(callback));
        format!(
            "did not return within {:?} (`health_check_timeout`){}; in the daemon it cannot be ended, with `process: own` \
             it would be",
            self.most.unwrap_or_default(),
            within.unwrap_or_default()
        )
    }
}

impl Here {
    /// What a node takes to be made or dropped may be long.
    fn moment(&self) -> Option<Moment> {
        let begun = self.scene.begun();
        let waits = self.scene.waits();
        match self.scene.within() {
            None | Some(Callback::Create | Callback::Destroy) => None,
            Some(_) => waits.is_multiple_of(2).then(|| Moment {
                begun,
                waits: waits.into(),
            }),
        }
    }

    /// Where its thread is.
    fn stack(&self) -> String {
        let thread = self.scene.thread().ok_or(io::ErrorKind::NotFound.into());
        match thread.and_then(|thread| stack::of_thread(thread, ANSWER)) {
            Ok(frames) => format!("the stack of its thread:\n{}", frames.join("\n")),
            Err(error) => format!("the stack of its thread is not to be had: {error}"),
        }
    }

    fn words(&self, callback: Callback) -> String {
        let input = match callback {
            Callback::Input(input) | Callback::InputClosed(input) => {
                self.inputs.get(input as usize)
            }
            _ => None,
        };
        scene::words(callback, input.map_or("?", String::as_str))
    }
}

impl Calls for Place {
    fn begin(&self, callback: Callback, message: Option<&Message>) {
        if let Some(here) = self.here.get() {
            here.scene
                .begin(callback, message.map_or(ptr::null(), Message::as_ptr));
        }
    }

    fn returned(&self) {
        if let Some(here) = self.here.get() {
            here.scene.end();
        }
    }

    fn held_up(&self) {
        if let Some(here) = self.here.get() {
            here.scene.held_up();
        }
    }
}
