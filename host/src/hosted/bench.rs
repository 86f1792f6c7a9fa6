//! The instances' ends: which connection speaks for which node now, what has come on it, what is told on it.
//!
//! Invariant: what an instance sends, logs and comes to goes over its own connection, in that order; an event that came
//! over it and has left its queue is given back as room once. Absent: reading connections (`service`).

use super::say;
use crate::engine::{
    Calls, Driven, Ending, EngineLog, InputCount, OnTaken, Plan, RemoteInput, Taken,
};
use crate::ids::NodeId;
use crate::sys::scene;
use arc_swap::ArcSwapOption;
use plugin_abi::hosting::LogLine;
use plugin_abi::message::Message;
use plugin_abi::wire::channel::Channel;
use plugin_abi::wire::frame::{Ended, FromNode, How};
use plugin_abi::wire::memory::Pool;
use plugin_abi::wire::page::{Callback, Page};
use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// All nodes of the process.
#[derive(Debug)]
pub struct Bench {
    places: Vec<Arc<Place>>,
    by_id: HashMap<NodeId, usize>,
    window: u32,
    pool: Pool,
}

/// One node.
#[derive(Debug)]
pub struct Place {
    id: NodeId,
    inputs: Vec<String>,
    /// What the daemon feeds, by the input's index.
    fed: Mutex<Vec<Option<RemoteInput>>>,
    level: Arc<AtomicU32>,
    /// By output.
    outputs: Vec<Output>,
    /// Where the daemon reads in which callback the node is.
    page: ArcSwapOption<Page>,
    /// By which this process names it when it crashes.
    scene: OnceLock<scene::Place>,
    channel: Mutex<Option<Arc<Channel>>>,
    /// Events that came over the connection and have not left their queue.
    waiting: AtomicU32,
}

#[derive(Debug)]
struct Output {
    /// Whether somebody outside the process reads it.
    wanted: AtomicBool,
    /// Messages that were sent while nobody did.
    unread: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bench {
    /// For the nodes of a plan, each of which is given at most `window` events before it has taken the first of them.
    pub fn new(plan: &Plan, window: u32, pool: Pool) -> Self {
        let places = plan.nodes.iter().map(|node| {
            Arc::new(Place {
                id: node.id.clone(),
                inputs: node
                    .inputs
                    .iter()
                    .map(|input| input.name.to_string())
                    .collect(),
                fed: Mutex::new(vec![None; node.inputs.len()]),
                level: Arc::new(AtomicU32::new(3)),
                outputs: node
                    .outputs
                    .iter()
                    .map(|_| Output {
                        wanted: AtomicBool::new(true),
                        unread: AtomicU64::new(0),
                    })
                    .collect(),
                page: ArcSwapOption::empty(),
                scene: OnceLock::new(),
                channel: Mutex::default(),
                waiting: AtomicU32::new(0),
            })
        });
        let ids = plan.nodes.iter().enumerate();
        Self {
            by_id: ids.map(|(index, node)| (node.id.clone(), index)).collect(),
            window,
            pool,
            places: places.collect(),
        }
    }

    /// Takes the inputs that the daemon feeds.
    pub fn feed(&self, inputs: Vec<RemoteInput>) {
        for input in inputs {
            let Some(place) = self.of(&input.node) else {
                continue;
            };
            let mut names = place.inputs.iter();
            let index = names.position(|name| *name == input.input.as_str());
            let of_listener = place.clone();
            let listener: OnTaken = Arc::new(move |taken| {
                if let Taken::Messages(count) = taken {
                    of_listener.left(count);
                }
            });
            if let Some(slot) = index.and_then(|index| {
                lock(&place.fed)
                    .get_mut(index)
                    .map(|slot| slot.insert(input).clone())
            }) {
                slot.on_taken(listener);
            }
        }
    }

    /// All of them, in the plan's order.
    pub fn places(&self) -> &[Arc<Place>] {
        &self.places
    }

    /// How many events a node may be given before it has taken the first of them.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Where long messages lie that leave the process.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The node of this index.
    pub fn place(&self, node: usize) -> Option<&Arc<Place>> {
        self.places.get(node)
    }

    fn of(&self, node: &NodeId) -> Option<&Arc<Place>> {
        self.places.get(*self.by_id.get(node)?)
    }

    /// Tells the daemon what has become of an instance.
    pub fn tell(&self, told: Driven) {
        match told {
            Driven::Created(node) => self.say(node, &FromNode::Created),
            Driven::Ended {
                node,
                ending: Ending::NotCreated(failure),
                ..
            } => {
                self.say(node, &FromNode::NotCreated(failure));
            }
            Driven::Ended {
                node,
                ending,
                inputs_closed,
                inputs,
            } => {
                let how = match ending {
                    Ending::Failed { failure, .. } => How::Failed(*failure),
                    Ending::Stopped => How::Stopped,
                    _ => How::Done,
                };
                if let Some(place) = self.places.get(node) {
                    place.say_counts(&inputs);
                }
                self.say(node, &FromNode::Ended(Ended { how, inputs_closed }));
            }
        }
    }

    fn say(&self, node: usize, frame: &FromNode<'_>) {
        if let Some(channel) = self.places.get(node).and_then(|place| place.channel()) {
            // Whoever reads it finds out that it has ended.
            let _ = channel.send(frame);
        }
    }
}

impl Place {
    /// The connection of the instance that there is.
    pub fn channel(&self) -> Option<Arc<Channel>> {
        lock(&self.channel).clone()
    }

    /// A new instance's connection takes the place of the last one's.
    pub fn serve(&self, channel: Arc<Channel>, page: Page) {
        self.page.store(Some(Arc::new(page)));
        self.waiting.store(0, Ordering::Relaxed);
        *lock(&self.channel) = Some(channel);
    }

    /// The level of log lines.
    pub fn set_level(&self, level: u32) {
        self.level.store(level, Ordering::Relaxed);
    }

    /// A message has come.
    pub fn message(&self, input: u32, message: Message) {
        let fed = lock(&self.fed).get(input as usize).cloned().flatten();
        if let Some(fed) = fed {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            fed.push(message);
        }
    }

    /// Nothing more comes on an input.
    pub fn close(&self, input: u32) {
        let fed = lock(&self.fed).get(input as usize).cloned().flatten();
        if let Some(fed) = fed {
            fed.close();
        }
        self.give_room(1);
    }

    /// Messages have left a queue: those that this connection brought make room there.
    fn left(&self, count: u64) {
        let mut room = 0;
        let taking = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                room = waiting.min(u32::try_from(count).unwrap_or(u32::MAX));
                Some(waiting - room)
            });
        if taking.is_ok() && room > 0 {
            self.give_room(room);
        }
    }

    /// The daemon may give the node so many more events.
    pub fn give_room(&self, events: u32) {
        if let Some(channel) = self.channel() {
            // As in `Bench::say`.
            let _ = channel.send(&FromNode::Ready(events));
        }
    }

    /// Whether somebody outside the process reads an output; counts the message if nobody does.
    pub fn is_wanted(&self, output: u32) -> bool {
        let Some(output) = self.outputs.get(output as usize) else {
            return false;
        };
        let wanted = output.wanted.load(Ordering::Relaxed);
        if !wanted {
            output.unread.fetch_add(1, Ordering::Relaxed);
        }
        wanted
    }

    /// The same without a message.
    pub fn reads(&self, output: u32) -> bool {
        let output = self.outputs.get(output as usize);
        output.is_some_and(|output| output.wanted.load(Ordering::Relaxed))
    }

    /// Somebody does now, or nobody.
    pub fn want(&self, output: u32, wanted: bool) {
        if let Some(output) = self.outputs.get(output as usize) {
            output.wanted.store(wanted, Ordering::Relaxed);
        }
    }

    /// Tells the daemon of the messages that did not pass through it.
    fn say_counts(&self, inputs: &[InputCount]) {
        let Some(channel) = self.channel() else {
            return;
        };
        let fed = lock(&self.fed);
        for ((input, count), fed) in (0..).zip(inputs).zip(&*fed) {
            if fed.is_none() {
                let (taken, dropped) = (count.taken, count.dropped);
                // As in `Bench::say`.
                let _ = channel.put(&FromNode::Taken {
                    input,
                    taken,
                    dropped,
                });
            }
        }
        drop(fed);
        for (output, of) in (0..).zip(&self.outputs) {
            let messages = of.unread.swap(0, Ordering::Relaxed);
            if messages > 0 {
                // As above.
                let _ = channel.put(&FromNode::Unread { output, messages });
            }
        }
    }

    /// A warning of the runtime about the node.
    pub fn warn(&self, text: &str) {
        self.log(&of_runtime(2, text));
    }

    fn log(&self, line: &LogLine<'_>) {
        match self.channel() {
            Some(channel) => {
                // As in `Bench::say`.
                let _ = channel.send(&FromNode::Log(line.into()));
            }
            None => say(format_args!("{}: {}", self.id, line.message)),
        }
    }
}

impl Calls for Place {
    fn begin(&self, callback: Callback, message: Option<&Message>) {
        if let Some(page) = &*self.page.load() {
            page.begin(callback);
        }
        if let Some(scene) = self.scene.get() {
            scene.begin(callback, message.map_or(ptr::null(), Message::as_ptr));
        }
    }

    fn returned(&self) {
        if let Some(scene) = self.scene.get() {
            scene.end();
        }
        if let Some(page) = &*self.page.load() {
            page.end();
        }
    }

    fn held_up(&self) {
        if let Some(page) = &*self.page.load() {
            page.held_up();
        }
    }
}

impl EngineLog for Bench {
    fn node(&self, node: &NodeId, line: &LogLine<'_>) {
        if let Some(place) = self.of(node) {
            place.log(line);
        }
    }

    fn engine(&self, level: u32, node: Option<&NodeId>, text: &str) {
        let line = of_runtime(level, text);
        match node.and_then(|node| self.of(node)) {
            Some(place) => place.log(&line),
            None => say(format_args!("{text}")),
        }
    }

    fn hosts(&self, node: &NodeId, inputs: &[String], code: &str) {
        if let Some(place) = self.of(node) {
            let about = scene::About {
                dataflow: "",
                node: node.as_str(),
                inputs,
                code,
            };
            place.scene.get_or_init(|| scene::Place::new(about));
        }
    }

    fn calls(&self, node: &NodeId) -> Option<Arc<dyn Calls>> {
        let place: Arc<dyn Calls> = self.of(node)?.clone();
        Some(place)
    }

    fn level(&self, node: &NodeId) -> Arc<AtomicU32> {
        self.of(node)
            .map_or_else(Arc::default, |place| place.level.clone())
    }
}

fn of_runtime(level: u32, text: &str) -> LogLine<'_> {
    LogLine {
        level,
        target: "dora",
        message: text,
        fields: "",
        spans: "",
        file: "",
        line: 0,
    }
}
