//! One thread and the nodes that sit on it: takes deliveries out of its mailbox and calls instances.
//!
//! Invariant: every callback of a seat runs on this thread, one at a time. A seat whose node has ended holds its inputs
//! until the engine makes it again or shuts them. Absent: the decision what happens after an ending (`state`).

mod sitting;

pub use sitting::SeatSpec;

use super::Told;
use super::inline;
use super::mailbox::{Delivery, Lent, Mailbox, Order, Pass, Slot};
use super::state::Ending;
use plugin_abi::ffi;
use plugin_abi::message::Message;
use sitting::Seat;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;

/// The seats of one thread. Only that thread holds it.
pub struct Seats {
    seats: Vec<RefCell<Seat>>,
    mailbox: Arc<Mailbox>,
    lent: RefCell<Lent>,
    engine: Sender<Told>,
}

/// Runs a thread's seats until its mailbox ends.
pub fn run(worker: u64, mailbox: &Arc<Mailbox>, specs: Vec<SeatSpec>, engine: Sender<Told>) {
    let timed = specs
        .iter()
        .flat_map(|spec| &spec.inputs)
        .any(|(.., timeout)| timeout.is_some());
    let outside = specs.iter().any(|spec| spec.code.is_outside());
    let seats = specs
        .into_iter()
        .map(|spec| RefCell::new(Seat::new(spec)))
        .collect();
    let seats = Rc::new(Seats {
        seats,
        mailbox: mailbox.clone(),
        lent: RefCell::default(),
        engine,
    });
    let owners = seats.owners();
    inline::enter(worker, &seats);
    loop {
        let deadline = if timed { seats.next_timeout() } else { None };
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            // Also on a thread that is never without messages of other inputs.
            seats.time_out();
        }
        let mut delivery = None;
        if outside {
            // Looked for without waiting, so that they are told before the thread waits.
            delivery = mailbox.take(&mut seats.lent.borrow_mut(), Some(Instant::now()));
            if delivery.is_none() {
                seats.idle();
            }
        }
        let delivery = delivery.or_else(|| mailbox.take(&mut seats.lent.borrow_mut(), deadline));
        match delivery {
            Some(Delivery::Order(seat, order)) => seats.order(seat.0, order),
            Some(Delivery::Message(slot, message)) => {
                if let Some((seat, input)) = owners.get(slot.0).copied().flatten() {
                    seats.message(seat, input, &message);
                }
            }
            Some(Delivery::Closed(slot)) => {
                if let Some((seat, input)) = owners.get(slot.0).copied().flatten() {
                    seats.with(seat, |seat| seat.close(input));
                }
            }
            Some(Delivery::End) => break,
            None => {}
        }
    }
    seats.leave();
    inline::leave();
}

impl Seats {
    /// By slot: the seat and the index of its input.
    fn owners(&self) -> Vec<Option<(usize, u32)>> {
        let mut owners = Vec::new();
        for (seat, cell) in self.seats.iter().enumerate() {
            for (input, (_, slot, _)) in cell.borrow().spec.inputs.iter().enumerate() {
                if owners.len() <= slot.0 {
                    owners.resize(slot.0 + 1, None);
                }
                if let Some(owner) = owners.get_mut(slot.0) {
                    *owner = Some((seat, input as u32));
                }
            }
        }
        owners
    }

    /// Does something with a seat and, if that ended its node, tells the engine.
    fn with(&self, seat: usize, act: impl FnOnce(&mut Seat) -> Option<Ending>) {
        let Some(cell) = self.seats.get(seat) else {
            return;
        };
        let mut seat = cell.borrow_mut();
        if let Some(ending) = act(&mut seat) {
            self.ended(&mut seat, ending);
        }
    }

    fn ended(&self, seat: &mut Seat, ending: Ending) {
        let all_closed = !seat.closed.is_empty() && seat.closed.iter().all(|closed| *closed);
        self.ended_with(seat, ending, all_closed);
    }

    fn ended_with(&self, seat: &mut Seat, ending: Ending, inputs_closed: bool) {
        self.mailbox.set_door(None);
        for (_, slot, _) in &seat.spec.inputs {
            self.mailbox.hold(*slot, true);
        }
        self.mailbox.give_back(&mut self.lent.borrow_mut());
        seat.drop_instance();
        self.tell(Told::Ended {
            node: seat.spec.node,
            ending,
            inputs_closed,
        });
    }

    fn tell(&self, told: Told) {
        // The engine outlives its threads unless it was abandoned; then nobody needs to know.
        let _ = self.engine.blocking_send(told);
    }

    fn order(&self, seat: usize, order: Order) {
        match order {
            Order::Create { restart_count } => self.create(seat, restart_count),
            Order::Go => self.go(seat),
            Order::Stop => self.with(seat, Seat::stop),
            // A thread that has outlived its instance speaks for no other.
            Order::Finish { instance } => self.with(seat, |seat| {
                // After a request to stop, the order to do so follows and ends it properly.
                let ends = seat.is_instance(instance) && !seat.spec.shared.is_stopping();
                ends.then_some(Ending::Finished)
            }),
            Order::Fail { instance } => self.with(seat, |seat| {
                let failed = || seat.reported(seat.failed(ffi::ERR_FAILED), None, None);
                seat.is_instance(instance).then(failed)
            }),
            Order::Ended {
                instance,
                result,
                inputs_closed,
            } => {
                let Some(cell) = self.seats.get(seat) else {
                    return;
                };
                let mut seat = cell.borrow_mut();
                if let Some(ending) = seat.ended(instance, result) {
                    let all = !seat.closed.is_empty() && seat.closed.iter().all(|closed| *closed);
                    self.ended_with(&mut seat, ending, inputs_closed || all);
                }
            }
        }
    }

    fn create(&self, seat: usize, restart_count: u32) {
        let Some(cell) = self.seats.get(seat) else {
            return;
        };
        let mut seat = cell.borrow_mut();
        let node = seat.spec.node;
        match seat.create(restart_count) {
            Ok(()) => self.tell(Told::Created { node }),
            Err(ending) => {
                seat.drop_instance();
                self.tell(Told::Ended {
                    node,
                    ending,
                    inputs_closed: false,
                });
            }
        }
    }

    fn go(&self, seat: usize) {
        self.with(seat, Seat::go);
        let Some(cell) = self.seats.get(seat) else {
            return;
        };
        let seat = cell.borrow();
        if seat.going {
            for (_, slot, _) in &seat.spec.inputs {
                self.mailbox.hold(*slot, false);
            }
            // The slots of a thread with several seats are not the indices of one's inputs, and what is heard of in time
            // is known to the thread.
            if self.seats.len() == 1 && seat.timeouts().next().is_none() {
                self.mailbox.set_door(seat.door());
            }
        }
    }

    fn message(&self, seat: usize, input: u32, message: &Message) {
        self.with(seat, |seat| seat.message(input, message));
    }

    /// A message from a callback on this very thread; given back when the seat cannot take it now.
    pub(super) fn call_inline(
        &self,
        seat: usize,
        input: u32,
        message: Message,
    ) -> Result<(), Message> {
        let Some(cell) = self.seats.get(seat) else {
            return Err(message);
        };
        let Ok(mut seat) = cell.try_borrow_mut() else {
            return Err(message);
        };
        let slot = seat.spec.inputs.get(input as usize).map(|input| input.1);
        let Some(slot) = slot.filter(|_| seat.going) else {
            return Err(message);
        };
        loop {
            let earlier = match self.mailbox.pass(slot) {
                Pass::After(earlier) => Some(earlier),
                Pass::Now => None,
                Pass::Shut => return Ok(()),
            };
            let ending = seat.message(input, earlier.as_ref().unwrap_or(&message));
            if let Some(ending) = ending {
                self.ended(&mut seat, ending);
                return earlier.map_or(Ok(()), |_| Err(message));
            }
            if earlier.is_none() {
                return Ok(());
            }
        }
    }

    /// Nothing waits for these nodes now.
    fn idle(&self) {
        for seat in &self.seats {
            seat.borrow_mut().idle();
        }
    }

    /// Drops what instances are left: the dataflow was dropped while it ran.
    fn leave(&self) {
        for seat in &self.seats {
            seat.borrow_mut().drop_instance();
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.seats
            .iter()
            .filter_map(|seat| seat.borrow().timeouts().map(|(_, at)| at).min())
            .min()
    }

    /// Closes the inputs that have not heard anything for too long.
    fn time_out(&self) {
        let now = Instant::now();
        for seat in 0..self.seats.len() {
            // One whose message waits for this thread has been heard of in time.
            let silent = |slot: Option<&(String, Slot, Option<Duration>)>| {
                slot.is_some_and(|(_, slot, _)| !self.mailbox.holds_one(*slot))
            };
            let due = |seat: &Seat| {
                seat.timeouts()
                    .filter(|(_, at)| *at <= now)
                    .map(|(input, _)| input)
                    .find(|input| silent(seat.spec.inputs.get(*input as usize)))
            };
            let input = self.seats.get(seat).and_then(|seat| due(&seat.borrow()));
            if let Some(input) = input {
                self.with(seat, |seat| {
                    if let Some((_, slot, _)) = seat.spec.inputs.get(input as usize) {
                        self.mailbox.shut(*slot);
                    }
                    let name = seat.input_name(input).to_owned();
                    seat.spec.shared.warn(&format!(
                        "input `{name}` is closed: no message within its input_timeout"
                    ));
                    seat.close(input)
                });
            }
        }
    }
}
