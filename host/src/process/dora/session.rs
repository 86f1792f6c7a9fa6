//! One node with its several connections: what each request does, and who is answered when.
//!
//! Invariant: every request that its sender waits for is answered once, or its connection ends; a delivery of shared
//! memory is given back once, by its reader or by the session's end; nothing is held for a node beyond one batch of events.
//! Pure: no sockets, no encodings, and no clock, for nothing here depends on time: how long a node may take to start or
//! to stop is up to whoever started it.

use super::words::{DropToken, NodeEvent, NodeReply, NodeRequest};
use crate::ids::PortName;
use plugin_abi::message::Message;
use std::collections::{BTreeSet, VecDeque};

/// Most events that are asked for at once.
pub const BATCH: usize = 64;
/// Most bytes of a batch of several events.
const BATCH_BYTES: usize = 4 << 20;
/// Most deliveries of shared memory that are with the node; what follows is sent inline.
const MAX_LENT: usize = 256;
/// Most tokens that wait for a node to ask for them.
const MAX_FREE: usize = 1 << 16;
/// Most names of shared memory of a node's own that are remembered.
const MAX_SEGMENTS: usize = 1024;
/// Most connections of one node: it has at most four.
pub const MAX_CONNECTIONS: usize = 8;

/// One connection of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection(pub u64);

/// What happens to a session.
#[derive(Debug)]
pub enum Event {
    /// A connection has registered.
    Opened(Connection),
    /// A request has arrived on a registered connection.
    Request(Connection, NodeRequest),
    /// A connection has ended.
    Closed(Connection),
    /// All nodes have subscribed, or there will be no start.
    Started(Result<(), String>),
    /// Events for the node, and whether they were the last: the answer to [`Action::Take`].
    Taken(Vec<NodeEvent>, bool),
    /// These deliveries of shared memory are with the node.
    Lent(Vec<DropToken>),
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Action {
    /// Answer a connection.
    Reply(Connection, NodeReply),
    /// End a connection, after what it has been answered.
    HangUp(Connection),
    /// The node waits for the start.
    Subscribed,
    /// The node waits for events: tell of some as soon as there are any.
    Take,
    /// The node sends.
    Send(PortName, Message),
    /// The node has sent past this process.
    SentDirectly(PortName),
    /// These outputs send no more.
    CloseOutputs(Vec<PortName>),
    /// No output sends any more.
    OutputsDone,
    /// The node reads no more events.
    EventsDropped,
    /// These deliveries are back: their shared memory may go.
    Free(Vec<DropToken>),
    /// The node's own shared memory of these names goes, if the node has left it.
    Unlink(Vec<String>),
    /// The node did something wrong.
    Fault(String),
    /// The node has no connection any more.
    Detached,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Registered,
    Waiting(Connection),
    Running,
    /// No more events, or none wanted.
    Over,
}

/// The state of one node's connections.
#[derive(Debug)]
pub struct Session {
    open: BTreeSet<Connection>,
    stage: Stage,
    /// Whose events they are: nobody else gets them.
    subscriber: Option<Connection>,
    /// Who waits for events.
    poll: Option<Connection>,
    /// Events beyond what fitted into a reply.
    queue: VecDeque<NodeEvent>,
    last: bool,
    asked: bool,
    /// Who waits for shared memory of its own.
    drop_poll: Option<Connection>,
    free: Vec<DropToken>,
    outputs_done: bool,
    lent: BTreeSet<DropToken>,
    /// The names of the node's own shared memory.
    segments: BTreeSet<String>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            open: BTreeSet::new(),
            stage: Stage::Registered,
            subscriber: None,
            poll: None,
            queue: VecDeque::new(),
            last: false,
            asked: false,
            drop_poll: None,
            free: Vec::new(),
            outputs_done: false,
            lent: BTreeSet::new(),
            segments: BTreeSet::new(),
        }
    }
}

impl Session {
    /// What an event leads to.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Opened(connection) => self.opened(connection, &mut out),
            Event::Request(from, request) => self.request(from, request, &mut out),
            Event::Closed(connection) => self.closed(connection, &mut out),
            Event::Started(result) => self.started(result, &mut out),
            Event::Taken(events, last) => self.taken(events, last, &mut out),
            Event::Lent(tokens) => self.lend(tokens, &mut out),
        }
        out
    }

    /// Whether the node waits for the start.
    pub fn waits_for_start(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    /// Whether the node waits for events that have been asked for.
    pub fn waits_for_events(&self) -> bool {
        self.asked
    }

    /// Whether the node may hold more shared memory.
    pub fn may_lend(&self) -> bool {
        self.lent.len() < MAX_LENT
    }

    fn opened(&mut self, connection: Connection, out: &mut Vec<Action>) {
        if self.open.len() >= MAX_CONNECTIONS {
            let text = format!("the node has {MAX_CONNECTIONS} connections already");
            out.push(Action::Reply(connection, NodeReply::Done(Err(text))));
            out.push(Action::HangUp(connection));
            return;
        }
        self.open.insert(connection);
        out.push(Action::Reply(connection, NodeReply::Done(Ok(()))));
    }

    fn request(&mut self, from: Connection, request: NodeRequest, out: &mut Vec<Action>) {
        if !self.open.contains(&from) {
            return;
        }
        let done = || Action::Reply(from, NodeReply::Done(Ok(())));
        match request {
            NodeRequest::Subscribe => self.subscribe(from, out),
            NodeRequest::NextEvent { released } => self.next_event(from, released, out),
            NodeRequest::Released(tokens) => self.release(&tokens, out),
            NodeRequest::SubscribeDrops => out.push(done()),
            NodeRequest::NextDrops => self.next_drops(from, out),
            NodeRequest::Send(sent) => {
                match sent.message {
                    Ok(message) => out.push(Action::Send(sent.output, message)),
                    Err(reason) => {
                        let output = sent.output.as_str();
                        let text = format!("output `{output}`: a message is dropped: {reason}");
                        out.push(Action::Fault(text));
                    }
                }
                if let Some((token, segment)) = sent.token {
                    self.free.push(token);
                    // Reused for many messages.
                    if self.segments.len() < MAX_SEGMENTS {
                        self.segments.insert(segment);
                    }
                }
                // A node that does not ask has forgotten them.
                self.free.truncate(MAX_FREE);
                self.answer_drops(out);
            }
            // Its readers have it already.
            NodeRequest::SentDirectly { output } => out.push(Action::SentDirectly(output)),
            NodeRequest::CloseOutputs(outputs) => {
                out.push(Action::CloseOutputs(outputs));
                out.push(done());
            }
            NodeRequest::OutputsDone => {
                if !std::mem::replace(&mut self.outputs_done, true) {
                    out.push(Action::OutputsDone);
                }
                out.push(done());
                self.answer_drops(out);
            }
            NodeRequest::EventsDropped => {
                out.push(Action::EventsDropped);
                out.push(done());
                self.end_events(out);
            }
            NodeRequest::RegisterAgain => self.refuse(from, "the connection is registered", out),
            NodeRequest::NodeConfig { .. } => {
                self.refuse(from, "a registered node has its configuration", out);
            }
            NodeRequest::Unserved { what } => {
                self.refuse(from, &format!("this daemon does not serve {what}"), out);
            }
        }
    }

    fn refuse(&mut self, from: Connection, text: &str, out: &mut Vec<Action>) {
        out.push(Action::Fault(format!("a request is refused: {text}")));
        let reply = NodeReply::Done(Err(text.to_owned()));
        out.push(Action::Reply(from, reply));
    }

    fn subscribe(&mut self, from: Connection, out: &mut Vec<Action>) {
        if self.stage != Stage::Registered {
            self.refuse(from, "the node has subscribed already", out);
            return;
        }
        self.stage = Stage::Waiting(from);
        self.subscriber = Some(from);
        out.push(Action::Subscribed);
    }

    fn started(&mut self, result: Result<(), String>, out: &mut Vec<Action>) {
        let Stage::Waiting(connection) = self.stage else {
            return;
        };
        self.stage = match result {
            Ok(()) => Stage::Running,
            Err(_) => Stage::Over,
        };
        out.push(Action::Reply(connection, NodeReply::Done(result)));
    }

    fn next_event(&mut self, from: Connection, released: Vec<DropToken>, out: &mut Vec<Action>) {
        self.release(&released, out);
        match self.stage {
            Stage::Registered | Stage::Waiting(_) => {
                self.refuse(from, "the node has not subscribed", out);
            }
            _ if self.subscriber != Some(from) => {
                self.refuse(from, "the events are another connection's", out);
            }
            _ if self.poll.is_some() => {
                self.refuse(from, "the node waits for events already", out);
            }
            Stage::Over => out.push(Action::Reply(from, NodeReply::Events(Vec::new()))),
            Stage::Running => {
                self.poll = Some(from);
                self.answer_events(out);
            }
        }
    }

    fn taken(&mut self, events: Vec<NodeEvent>, last: bool, out: &mut Vec<Action>) {
        self.queue.extend(events);
        self.last |= last;
        self.asked = false;
        self.answer_events(out);
    }

    /// Answers who waits for events, or asks for some.
    fn answer_events(&mut self, out: &mut Vec<Action>) {
        let Some(connection) = self.poll else {
            return;
        };
        if self.queue.is_empty() && !self.last {
            self.asked = true;
            out.push(Action::Take);
            return;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(event) = self.queue.front() {
            bytes += event.size();
            if bytes > BATCH_BYTES && !batch.is_empty() {
                break;
            }
            batch.extend(self.queue.pop_front());
        }
        if batch.is_empty() {
            self.stage = Stage::Over;
        }
        self.poll = None;
        out.push(Action::Reply(connection, NodeReply::Events(batch)));
    }

    fn end_events(&mut self, out: &mut Vec<Action>) {
        self.queue.clear();
        self.asked = false;
        if let Stage::Running | Stage::Over = self.stage {
            self.stage = Stage::Over;
            if let Some(connection) = self.poll.take() {
                out.push(Action::Reply(connection, NodeReply::Events(Vec::new())));
            }
        }
    }

    fn lend(&mut self, tokens: Vec<DropToken>, out: &mut Vec<Action>) {
        if self.open.is_empty() {
            out.push(Action::Free(tokens));
        } else {
            self.lent.extend(tokens);
        }
    }

    /// Tokens that were never lent, or are back already, do nothing.
    fn release(&mut self, tokens: &[DropToken], out: &mut Vec<Action>) {
        let back = tokens.iter().filter(|token| self.lent.remove(token));
        let back: Vec<_> = back.copied().collect();
        if !back.is_empty() {
            out.push(Action::Free(back));
        }
    }

    fn next_drops(&mut self, from: Connection, out: &mut Vec<Action>) {
        if self.drop_poll.is_some() {
            self.refuse(from, "the node waits for its shared memory already", out);
            return;
        }
        self.drop_poll = Some(from);
        self.answer_drops(out);
    }

    fn answer_drops(&mut self, out: &mut Vec<Action>) {
        if self.free.is_empty() && !self.outputs_done {
            return;
        }
        if let Some(connection) = self.drop_poll.take() {
            let free = std::mem::take(&mut self.free);
            out.push(Action::Reply(connection, NodeReply::Drops(free)));
        }
    }

    fn closed(&mut self, connection: Connection, out: &mut Vec<Action>) {
        if !self.open.remove(&connection) {
            return;
        }
        if self.poll == Some(connection) {
            (self.poll, self.asked) = (None, false);
        }
        if self.drop_poll == Some(connection) {
            self.drop_poll = None;
        }
        if self.stage == Stage::Waiting(connection) {
            self.stage = Stage::Over;
        }
        if self.open.is_empty() {
            self.queue.clear();
            let lent = std::mem::take(&mut self.lent);
            if !lent.is_empty() {
                out.push(Action::Free(lent.into_iter().collect()));
            }
            if !self.segments.is_empty() {
                let segments = std::mem::take(&mut self.segments);
                out.push(Action::Unlink(segments.into_iter().collect()));
            }
            out.push(Action::Detached);
        }
    }
}

#[cfg(test)]
mod tests;
