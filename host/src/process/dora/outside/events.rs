//! The events that wait for a node to ask: one for a node that is busy, a batch for one that waits.
//!
//! Invariant: a message that is in here has left its queue in the engine, so that there is at most one for a node that does
//! not ask; the order is kept, and nothing follows the last event. Pure. Absent: who waits where.

use super::super::host::Taken;
use super::super::session::BATCH;
use super::super::words::NodeEvent;
use std::collections::VecDeque;

/// Most bytes that are put together for a node that asks; one message may have more.
const BATCH_BYTES: usize = 4 << 20;

/// Events on their way to a node.
#[derive(Debug, Default)]
pub struct Events {
    queue: VecDeque<NodeEvent>,
    bytes: usize,
    last: bool,
    asking: bool,
    seat_waits: bool,
}

impl Events {
    /// Whether a message may come in.
    pub fn has_room(&self) -> bool {
        self.queue.is_empty() || (self.asking && !self.is_full())
    }

    /// Whether a batch takes no more.
    fn is_full(&self) -> bool {
        self.queue.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// Whether another event may come in that is no message.
    pub fn has_place(&self) -> bool {
        self.queue.len() < BATCH
    }

    /// Whether the node waits for events, or has got the last.
    pub fn owe_nothing(&self) -> bool {
        self.asking || (self.last && self.queue.is_empty())
    }

    /// Whether the last event has come in.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Whoever has a message waits for room.
    pub fn seat_waits(&mut self) {
        self.seat_waits = true;
    }

    /// A message for which there is room, or any other event. `true`: the node is to be woken, for no more comes in.
    pub fn push(&mut self, event: NodeEvent) -> bool {
        self.bytes += event.size();
        self.queue.push_back(event);
        self.asking && !self.has_room()
    }

    /// The last event.
    pub fn push_last(&mut self, event: NodeEvent) {
        if !self.last {
            self.push(event);
            self.last = true;
        }
    }

    /// Nothing more comes.
    pub fn end(&mut self) {
        self.last = true;
        self.clear();
    }

    /// Nobody reads them.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    /// Nothing else comes for now. `true`: the node is to be woken.
    pub fn flush(&self) -> bool {
        self.asking && !self.queue.is_empty()
    }

    /// The node asks: what it gets now, and whether the seat is to be woken. Nothing, when more is on its way: then the node
    /// is woken once it is all there.
    pub fn take(&mut self, most: usize) -> (Taken, bool) {
        let wake = std::mem::take(&mut self.seat_waits);
        // A full one goes as it is: the seat would find no room, and nobody would wake the node.
        let fills = wake && !self.asking && !self.last && !self.is_full();
        if self.queue.is_empty() || fills {
            self.asking = !self.last;
            let last = self.last;
            let events = Vec::new();
            return (Taken { events, last }, wake);
        }
        let count = most.min(self.queue.len());
        let events: Vec<_> = self.queue.drain(..count).collect();
        self.bytes = self.queue.iter().map(NodeEvent::size).sum();
        self.asking = false;
        let last = self.last && self.queue.is_empty();
        (Taken { events, last }, wake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> NodeEvent {
        let input = format!("i{number}").parse().expect("a name");
        NodeEvent::InputClosed { input }
    }

    /// How many, whether they are the last, whether the seat is woken.
    fn taken(events: &mut Events) -> (usize, bool, bool) {
        let (taken, wake) = events.take(BATCH);
        (taken.events.len(), taken.last, wake)
    }

    #[test]
    fn a_node_that_is_busy_has_one_waiting() {
        let mut events = Events::default();
        assert!(events.has_room());
        assert!(!events.push(event(0)), "it does not ask");
        assert!(!events.has_room() && !events.flush());
        assert_eq!(taken(&mut events), (1, false, false));
        assert!(events.has_room());
    }

    #[test]
    fn a_node_that_waits_gets_what_comes_until_nothing_does() {
        let mut events = Events::default();
        assert_eq!(taken(&mut events), (0, false, false));
        assert!(!events.flush(), "there is nothing");
        for number in 0..3 {
            assert!(events.has_room());
            assert!(!events.push(event(number)));
        }
        assert!(events.flush());
        assert_eq!(taken(&mut events), (3, false, false));
        assert!(!events.flush(), "it does not ask any more");
    }

    #[test]
    fn a_batch_is_bounded() {
        let mut events = Events::default();
        assert_eq!(taken(&mut events), (0, false, false));
        for number in 1..BATCH {
            assert!(!events.push(event(number)));
        }
        assert!(events.push(event(BATCH)), "it is full");
        assert!(!events.has_room());
        assert_eq!(taken(&mut events), (BATCH, false, false));
    }

    #[test]
    fn what_a_waiting_seat_has_goes_with_the_batch() {
        let mut events = Events::default();
        events.push(event(0));
        events.seat_waits();
        assert_eq!(
            taken(&mut events),
            (0, false, true),
            "the seat fills it up first"
        );
        assert!(events.has_room());
        events.push(event(1));
        assert!(events.flush());
        assert_eq!(taken(&mut events), (2, false, false));
    }

    #[test]
    fn what_fills_a_batch_alone_goes_at_once() {
        let mut events = Events::default();
        events.push(event(0));
        events.bytes = BATCH_BYTES;
        events.seat_waits();
        assert_eq!(taken(&mut events), (1, false, true));
        assert!(events.has_room());
    }

    #[test]
    fn nothing_follows_the_last() {
        let mut events = Events::default();
        events.push(event(0));
        events.push_last(NodeEvent::Stop);
        events.push_last(NodeEvent::AllInputsClosed);
        events.seat_waits();
        assert_eq!(taken(&mut events), (2, true, true));
        assert_eq!(taken(&mut events), (0, true, false));
        let mut events = Events::default();
        events.push(event(0));
        events.end();
        assert_eq!(taken(&mut events), (0, true, false));
    }
}
