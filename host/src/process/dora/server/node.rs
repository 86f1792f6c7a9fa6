//! One node: its session, its connections' outboxes, the shared memory it holds.
//!
//! Invariant: all of it changes under one lock, which is never held across a wait. The engine's end is called under it
//! and must not call back, but for the wake. Absent: sockets.

use super::super::host::{NodeEnd, Wake};
use super::super::segment::{Segment, Segments};
use super::super::session::{Action, BATCH, Connection, Event, Session};
use super::super::sniff::{Generation, Hello};
use super::super::words::{DropToken, Malformed, NodeReply, NodeRequest};
use super::super::{v0, v1};
use super::{Shared, lock};
use plugin_abi::meta::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;
use tokio::sync::{Notify, mpsc};

/// Replies that wait to be written: nodes wait for each before they ask again.
const OUTBOX: usize = 16;

/// A node with at least one registered connection.
pub(super) struct Node {
    hello: Hello,
    pub end: Arc<dyn NodeEnd>,
    /// Tells connections that wait for room to look again.
    pub room: Notify,
    state: Mutex<State>,
    clock: [u8; 16],
    shared: Weak<Shared>,
}

#[derive(Default)]
struct State {
    session: Session,
    outboxes: HashMap<Connection, mpsc::Sender<Out>>,
    lent: HashMap<DropToken, Segment>,
    detached: bool,
}

/// What a connection is to do.
pub(super) enum Out {
    /// Write this body as a frame.
    Body(Vec<u8>),
    /// End.
    HangUp,
}

impl Node {
    /// The node that registers, known or new, and the connection's outbox.
    pub fn register(
        shared: &Arc<Shared>,
        hello: Hello,
        connection: Connection,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Out>), String> {
        let key = (hello.dataflow, hello.node.clone());
        let known = lock(&shared.nodes).get(&key).cloned();
        let node = match known {
            Some(node) if node.hello == hello => node,
            Some(node) => {
                return Err(format!(
                    "node `{}` is registered already, with message format v{}",
                    hello.node.as_str(),
                    node.hello.version
                ));
            }
            None => Self::attach(shared, hello)?,
        };
        let (outbox, bodies) = mpsc::channel(OUTBOX);
        {
            let mut state = lock(&node.state);
            if state.detached {
                return Err("the node is ending".to_owned());
            }
            state.outboxes.insert(connection, outbox);
        }
        node.handle(Event::Opened(connection));
        Ok((node, bodies))
    }

    fn attach(shared: &Arc<Shared>, hello: Hello) -> Result<Arc<Self>, String> {
        let wake = Wake::default();
        let woken = wake.0.clone();
        let end = shared.host.attach(&hello, wake)?;
        let key = (hello.dataflow, hello.node.clone());
        let node = Arc::new(Self {
            hello,
            end,
            room: Notify::new(),
            state: Mutex::default(),
            clock: shared.options.clock,
            shared: Arc::downgrade(shared),
        });
        lock(&shared.nodes).insert(key, node.clone());
        tokio::spawn(pump(Arc::downgrade(&node), woken));
        Ok(node)
    }

    /// Reads a request of the node's generation.
    pub fn decode(&self, frame: &[u8]) -> Result<NodeRequest, Malformed> {
        match (self.hello.generation, self.shared.upgrade()) {
            (Generation::V1, _) => v1::decode(frame),
            (Generation::V0, Some(shared)) => v0::decode(frame, shared.segments.as_ref()),
            (Generation::V0, None) => Err(Malformed::new("the server ends")),
        }
    }

    /// Handles an event and all that follows from it.
    pub fn handle(&self, event: Event) {
        let mut state = lock(&self.state);
        let mut actions = VecDeque::from(state.session.handle(event));
        while let Some(action) = actions.pop_front() {
            self.perform(&mut state, action, &mut actions);
        }
    }

    fn perform(&self, state: &mut State, action: Action, more: &mut VecDeque<Action>) {
        match action {
            Action::Reply(connection, reply) => self.reply(state, connection, reply, more),
            Action::HangUp(connection) => put(state, connection, Out::HangUp),
            Action::Subscribed => {
                self.end.subscribed();
                self.look(state, more);
            }
            Action::Take => self.look(state, more),
            Action::Send(output, message) => self.end.send(&output, message),
            Action::SentDirectly(output) => self.end.sent_directly(&output),
            Action::CloseOutputs(outputs) => self.end.close_outputs(&outputs),
            Action::OutputsDone => self.end.outputs_done(),
            Action::EventsDropped => self.end.events_dropped(),
            Action::Free(tokens) => state.lent.retain(|token, _| !tokens.contains(token)),
            Action::Unlink(names) => self.unlink(&names),
            Action::Fault(text) => self.end.fault(&text),
            Action::Detached => {
                state.detached = true;
                self.end.detached();
                self.forget();
            }
        }
    }

    /// Asks the engine's end for what the session waits for.
    fn look(&self, state: &mut State, more: &mut VecDeque<Action>) {
        if state.session.waits_for_start()
            && let Some(result) = self.end.started()
        {
            more.extend(state.session.handle(Event::Started(result)));
        }
        if state.session.waits_for_events() {
            let taken = self.end.take(BATCH);
            if taken.last || !taken.events.is_empty() {
                let event = Event::Taken(taken.events, taken.last);
                more.extend(state.session.handle(event));
            }
        }
    }

    fn reply(
        &self,
        state: &mut State,
        connection: Connection,
        reply: NodeReply,
        more: &mut VecDeque<Action>,
    ) {
        let now = Timestamp::new(SystemTime::now(), self.clock);
        let mut faults = Vec::new();
        let body = match self.hello.generation {
            Generation::V1 => v1::encode(reply, now, &mut faults),
            Generation::V0 => {
                let shared = self.shared.upgrade();
                let segments: &dyn Segments = match &shared {
                    Some(shared) if state.session.may_lend() => shared.segments.as_ref(),
                    _ => &Inline,
                };
                v0::encode(reply, now, segments, &mut faults).map(|encoded| {
                    let tokens: Vec<_> = encoded.lent.iter().map(|(token, _)| *token).collect();
                    state.lent.extend(encoded.lent);
                    if !tokens.is_empty() {
                        more.extend(state.session.handle(Event::Lent(tokens)));
                    }
                    encoded.body
                })
            }
        };
        more.extend(faults.into_iter().map(Action::Fault));
        match body {
            Some(body) => put(state, connection, Out::Body(body)),
            // Nothing is left to tell: as if it asked again.
            None => {
                let released = Vec::new();
                let again = Event::Request(connection, NodeRequest::NextEvent { released });
                more.extend(state.session.handle(again));
            }
        }
    }

    fn unlink(&self, names: &[String]) {
        if let Some(shared) = self.shared.upgrade() {
            names.iter().for_each(|name| shared.segments.remove(name));
        }
    }

    /// A connection has ended.
    pub fn closed(&self, connection: Connection) {
        lock(&self.state).outboxes.remove(&connection);
        self.handle(Event::Closed(connection));
    }

    /// Ends all connections.
    pub fn dismiss(&self) {
        // A connection whose outbox has no other end, ends.
        lock(&self.state).outboxes.clear();
    }

    /// Leaves the table, unless another has come in its place.
    fn forget(&self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let key = (self.hello.dataflow, self.hello.node.clone());
        let mut nodes = lock(&shared.nodes);
        if nodes
            .get(&key)
            .is_some_and(|node| std::ptr::eq(Arc::as_ptr(node), self))
        {
            nodes.remove(&key);
        }
    }
}

fn put(state: &mut State, connection: Connection, out: Out) {
    let full = state
        .outboxes
        .get(&connection)
        .is_some_and(|outbox| outbox.try_send(out).is_err());
    // It asks without reading the answers.
    if full {
        state.outboxes.remove(&connection);
    }
}

/// Looks again whenever the engine's end says so.
async fn pump(node: Weak<Node>, woken: Arc<Notify>) {
    loop {
        woken.notified().await;
        let Some(node) = node.upgrade() else {
            return;
        };
        let mut state = lock(&node.state);
        if state.detached {
            return;
        }
        let mut actions = VecDeque::new();
        node.look(&mut state, &mut actions);
        while let Some(action) = actions.pop_front() {
            node.perform(&mut state, action, &mut actions);
        }
        node.room.notify_waiters();
    }
}

/// No shared memory: everything inline.
struct Inline;

impl Segments for Inline {
    fn read(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &str) {}

    fn create(&self, _: &[u8]) -> Option<Segment> {
        None
    }
}
