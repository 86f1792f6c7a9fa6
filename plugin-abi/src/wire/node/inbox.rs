//! What the daemon has sent and the node has not been called for yet.
//!
//! Invariant: events come out in their order; what is no event takes effect as soon as it is seen, also when somebody else
//! than the node's thread looks. Absent: calling the node.

use super::callbacks::Shared;
use crate::message::Message;
use crate::node::Stop;
use crate::wire::WireError;
use crate::wire::channel::{Channel, Incoming, Raw};
use crate::wire::frame::ToNode;
use crate::wire::sys::Wait;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Events that may wait here. The daemon sends no more than were asked for, which are far less.
const MOST: usize = 4096;

/// What the node's thread acts on.
#[derive(Debug)]
pub(super) enum Event {
    Go,
    Input(u32, Message),
    Closed(u32),
    Stop(Stop),
}

/// The reading half, and what was read ahead.
#[derive(Debug)]
pub(super) struct Inbox {
    incoming: Incoming,
    ahead: VecDeque<Event>,
}

impl Inbox {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self {
            incoming,
            ahead: VecDeque::new(),
        }
    }

    pub(super) fn channel(&self) -> &Arc<Channel> {
        self.incoming.channel()
    }

    /// The next event. Waits for it.
    pub(super) fn next(&mut self, shared: &Shared) -> Result<Event, WireError> {
        if let Some(event) = self.ahead.pop_front() {
            return Ok(event);
        }
        loop {
            let channel = self.incoming.channel().clone();
            if let Some(raw) = self.incoming.next(Wait::Long)?
                && let Some(event) = event(&raw, &channel, shared)?
            {
                return Ok(event);
            }
        }
    }

    /// Reads what has come, without waiting.
    pub(super) fn look(&mut self, shared: &Shared) -> Result<(), WireError> {
        let channel = self.incoming.channel().clone();
        loop {
            let raw = match self.incoming.next(Wait::Not) {
                Ok(None) => return Ok(()),
                Ok(Some(raw)) => raw,
                Err(error) => {
                    shared.stop_sending();
                    return Err(error);
                }
            };
            if let Some(event) = event(&raw, &channel, shared)? {
                if self.ahead.len() >= MOST {
                    return Err(WireError::Malformed("more events than were asked for"));
                }
                self.ahead.push_back(event);
            }
        }
    }
}

/// What a frame means for the node's thread, if anything.
fn event(
    raw: &Raw<'_>,
    channel: &Arc<Channel>,
    shared: &Shared,
) -> Result<Option<Event>, WireError> {
    Ok(Some(match raw.decode()? {
        ToNode::Go => Event::Go,
        ToNode::Input(packet) => Event::Input(packet.port, channel.message(&packet)?),
        ToNode::Closed(input) => Event::Closed(input),
        ToNode::Stop(why) => {
            if why == Stop::Requested {
                shared.stop_sending();
            }
            Event::Stop(why)
        }
        ToNode::Level(level) => {
            shared.level.store(level, Ordering::Relaxed);
            return Ok(None);
        }
        ToNode::Wanted { output, wanted } => {
            shared.set_wanted(output, wanted);
            return Ok(None);
        }
        ToNode::Greeting(_) | ToNode::Create(_) => {
            return Err(WireError::Malformed("a second greeting or node"));
        }
    }))
}
