//! Nodes that their sender calls inline: `thread: sender`.
//!
//! Invariant: a seat is entered by its own thread only, and never while it is being called already; whoever cannot call
//! it gets the message back and queues it. Absent: queues.

use super::worker::Seats;
use plugin_abi::message::Message;
use std::cell::RefCell;
use std::rc::Rc;

/// A seat, from outside its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The thread, unique in the process.
    pub worker: u64,
    /// The seat's number on it.
    pub seat: usize,
    /// The input's index in its node.
    pub input: u32,
}

thread_local! {
    static HERE: RefCell<Option<(u64, Rc<Seats>)>> = const { RefCell::new(None) };
}

/// Makes this thread the one of these seats.
pub(super) fn enter(worker: u64, seats: &Rc<Seats>) {
    HERE.set(Some((worker, seats.clone())));
}

/// This thread hosts no seats any more.
pub(super) fn leave() {
    HERE.set(None);
}

/// Calls a seat with a message, or gives it back: another thread's seat, one that is being called already, or one that
/// takes no messages yet.
pub(super) fn call(seat: Seat, message: Message) -> Result<(), Message> {
    let seats = HERE.with_borrow(|here| match here {
        Some((worker, seats)) if *worker == seat.worker => Some(seats.clone()),
        _ => None,
    });
    match seats {
        Some(seats) => seats.call_inline(seat.seat, seat.input, message),
        None => Err(message),
    }
}
