//! What a node sends, on its way into the engine: readers with `backpressure` hold a thread of the node's own here, and
//! never that of the server; what nobody waits for goes on at once.
//!
//! Invariant: the order is kept, the end comes last, and at most [`CAPACITY`] messages wait. Absent: encodings.

use super::super::host::Wake;
use crate::engine::OutsideEnd;
use plugin_abi::hosting::NodeFailure;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Most messages that wait; without room nothing is read from the node.
const CAPACITY: usize = 8;

/// The way into the engine. Any thread; never waits.
pub struct Outgoing {
    end: OutsideEnd,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    wake: Option<Wake>,
    /// The thread sends one.
    busy: bool,
    closed: bool,
}

enum Item {
    Send(u32, Message),
    Close(u32),
    End(Result<(), NodeFailure>),
}

impl Outgoing {
    /// Starts the thread, which ends after the end, or when this is closed.
    pub fn start(end: OutsideEnd) -> io::Result<Arc<Self>> {
        let name = format!("out-{}", end.node());
        let outgoing = Arc::new(Self {
            end,
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let own = outgoing.clone();
        std::thread::Builder::new()
            .name(name)
            .spawn(move || own.run())?;
        Ok(outgoing)
    }

    fn run(&self) {
        loop {
            let mut queue = self.queue();
            queue.busy = false;
            let (item, room) = loop {
                let full = queue.is_full();
                match queue.items.pop_front() {
                    Some(item) => break (item, full && !queue.is_full()),
                    None if queue.closed => return,
                    None => {
                        let waited = self.changed.wait(queue);
                        queue = waited.unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            if room && let Some(wake) = &queue.wake {
                wake.wake();
            }
            queue.busy = true;
            drop(queue);
            match item {
                Item::Send(output, message) => self.pass(output, message),
                Item::Close(output) => self.end.close_output(output),
                Item::End(result) => return self.end.ended(result),
            }
        }
    }

    /// Whom to wake when there is room again.
    pub fn attached(&self, wake: Wake) {
        self.queue().wake = Some(wake);
    }

    /// A message. Always from the same thread.
    pub fn send(&self, output: u32, message: Message) {
        let idle = {
            let queue = self.queue();
            queue.items.is_empty() && !queue.busy
        };
        if idle && !self.end.may_wait(output) {
            self.pass(output, message);
        } else {
            self.put(Item::Send(output, message));
        }
    }

    fn pass(&self, output: u32, message: Message) {
        // It is refused once the node is to stop, which is as good as sent.
        let _ = self.end.send(output, message);
    }

    /// Nothing more comes on an output.
    pub fn close_output(&self, output: u32) {
        self.put(Item::Close(output));
    }

    /// The instance has ended; what comes after it is dropped.
    pub fn end(&self, result: Result<(), NodeFailure>) {
        self.put(Item::End(result));
        self.queue().closed = true;
    }

    /// Nobody wants to know more.
    pub fn close(&self) {
        self.queue().closed = true;
        self.changed.notify_all();
    }

    /// Whether another message may come.
    pub fn has_room(&self) -> bool {
        !self.queue().is_full()
    }

    fn put(&self, item: Item) {
        let mut queue = self.queue();
        if !queue.closed {
            queue.items.push_back(item);
            drop(queue);
            self.changed.notify_one();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_full(&self) -> bool {
        self.items.len() >= CAPACITY && !self.closed
    }
}
