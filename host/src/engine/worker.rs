//! One thread and the nodes that sit on it: takes deliveries out of its mailbox and calls instances.
//!
//! Invariant: every callback of a seat runs on this thread, one at a time. A seat whose node has ended holds its inputs
//! until the engine makes it again or shuts them. Absent: the decision what happens after an ending (`state`).

use super::Told;
use super::inline;
use super::mailbox::{Delivery, Lent, Mailbox, Order, Pass, Slot};
use super::plan::NodeIndex;
use super::seat::{SeatHandle, SeatShared};
use super::state::Ending;
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::{
    CreateWith, Event, Instance, KindTable, LibraryTable, NodeFailure, Table, status_text,
};
use plugin_abi::message::Message;
use plugin_abi::node::Stop;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;

/// Everything a thread needs to host one node.
pub struct SeatSpec {
    /// The node's number in its dataflow.
    pub node: NodeIndex,
    /// The state that its threads share.
    pub shared: Arc<SeatShared>,
    /// The kind to make.
    pub kind: KindTable,
    /// The library that the kind comes from.
    pub library: &'static LibraryTable,
    /// Log level of this node; may change at any time.
    pub level: Arc<AtomicU32>,
    /// The dataflow's UUID as text.
    pub dataflow: String,
    /// The config: JSON text.
    pub config: String,
    /// Its inputs, in the order of their indices: name, number in the mailbox, timeout.
    pub inputs: Vec<(String, Slot, Option<Duration>)>,
}

/// The seats of one thread. Only that thread holds it.
pub struct Seats {
    seats: Vec<RefCell<Seat>>,
    mailbox: Arc<Mailbox>,
    lent: RefCell<Lent>,
    engine: Sender<Told>,
}

struct Seat {
    spec: SeatSpec,
    output_names: Vec<String>,
    input_names: Vec<String>,
    instance: Option<Instance<SeatHandle>>,
    /// Takes messages: made, and told to go.
    going: bool,
    /// By input: closed, which a new instance is told again.
    closed: Vec<bool>,
    /// By input: when the last message came, for its timeout.
    heard: Vec<Instant>,
    last_input: Option<u32>,
    restart_count: u32,
}

/// Runs a thread's seats until its mailbox ends.
pub fn run(worker: u64, mailbox: &Arc<Mailbox>, specs: Vec<SeatSpec>, engine: Sender<Told>) {
    let timed = specs
        .iter()
        .flat_map(|spec| &spec.inputs)
        .any(|(.., timeout)| timeout.is_some());
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
        let delivery = mailbox.take(&mut seats.lent.borrow_mut(), deadline);
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
        for (_, slot, _) in &seat.spec.inputs {
            self.mailbox.hold(*slot, true);
        }
        self.mailbox.give_back(&mut self.lent.borrow_mut());
        let all_closed = !seat.closed.is_empty() && seat.closed.iter().all(|closed| *closed);
        seat.drop_instance();
        self.tell(Told::Ended {
            node: seat.spec.node,
            ending,
            inputs_closed: all_closed,
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
                seat.is_instance(instance)
                    .then(|| seat.failed(ffi::ERR_FAILED))
            }),
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
            let (next, last) = match self.mailbox.pass(slot) {
                Pass::After(earlier) => (earlier, false),
                Pass::Now => (message.clone(), true),
                Pass::Shut => return Ok(()),
            };
            if let Some(ending) = seat.message(input, &next) {
                self.ended(&mut seat, ending);
                return if last { Ok(()) } else { Err(message) };
            }
            if last {
                return Ok(());
            }
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
                    let name = seat
                        .input_names
                        .get(input as usize)
                        .cloned()
                        .unwrap_or_default();
                    seat.spec.shared.warn(&format!(
                        "input `{name}` is closed: no message within its input_timeout"
                    ));
                    seat.close(input)
                });
            }
        }
    }
}

impl Seat {
    fn new(spec: SeatSpec) -> Self {
        Self {
            output_names: spec
                .shared
                .outputs
                .iter()
                .map(|output| output.name.clone())
                .collect(),
            input_names: spec.inputs.iter().map(|(name, ..)| name.clone()).collect(),
            instance: None,
            going: false,
            closed: vec![false; spec.inputs.len()],
            heard: vec![Instant::now(); spec.inputs.len()],
            last_input: None,
            restart_count: 0,
            spec,
        }
    }

    fn create(&mut self, restart_count: u32) -> Result<(), Ending> {
        let shared = &self.spec.shared;
        shared.take_failure();
        self.last_input = None;
        self.restart_count = restart_count;
        let table = Table::new(
            SeatHandle::new(shared.clone(), restart_count),
            self.spec.library,
            self.spec.level.clone(),
        );
        let with = CreateWith {
            inputs: &self.input_names,
            outputs: &self.output_names,
            config: &self.spec.config,
            node_id: shared.id.as_str(),
            dataflow_id: &self.spec.dataflow,
            restart_count,
        };
        match shared.called(|| Instance::create(self.spec.kind, table, &with)) {
            Ok(instance) => {
                self.instance = Some(instance);
                Ok(())
            }
            // Its sending was refused because a stop has been requested meanwhile.
            Err(ffi::ERR_CLOSED) => Err(Ending::Stopped),
            Err(status) => Err(Ending::NotCreated(failure(shared, status))),
        }
    }

    fn is_instance(&self, restart_count: u32) -> bool {
        self.instance.is_some() && self.restart_count == restart_count
    }

    /// Begins to take messages. A new instance hears first what has closed before.
    fn go(&mut self) -> Option<Ending> {
        self.instance.as_ref()?;
        SeatHandle::new(self.spec.shared.clone(), self.restart_count).let_go();
        self.going = true;
        self.heard.fill(Instant::now());
        let closed: Vec<u32> = (0..self.closed.len() as u32)
            .filter(|i| self.is_closed(*i))
            .collect();
        closed
            .into_iter()
            .find_map(|input| self.event(Event::InputClosed { input }))
    }

    fn is_closed(&self, input: u32) -> bool {
        self.closed.get(input as usize).copied().unwrap_or(true)
    }

    fn message(&mut self, input: u32, message: &Message) -> Option<Ending> {
        if self.is_closed(input) {
            return None;
        }
        self.last_input = Some(input);
        if self
            .spec
            .inputs
            .get(input as usize)
            .is_some_and(|(_, _, timeout)| timeout.is_some())
            && let Some(heard) = self.heard.get_mut(input as usize)
        {
            *heard = Instant::now();
        }
        self.event(Event::Input { input, message })
    }

    fn close(&mut self, input: u32) -> Option<Ending> {
        if self.is_closed(input) {
            return None;
        }
        if let Some(closed) = self.closed.get_mut(input as usize) {
            *closed = true;
        }
        self.instance.as_ref()?;
        if let Some(ending) = self.event(Event::InputClosed { input }) {
            return Some(ending);
        }
        if self.closed.iter().all(|closed| *closed) {
            return Some(self.last_event(Stop::InputsClosed));
        }
        None
    }

    fn stop(&mut self) -> Option<Ending> {
        self.spec.shared.stop_sending();
        self.instance.as_ref()?;
        Some(self.last_event(Stop::Requested))
    }

    fn last_event(&mut self, why: Stop) -> Ending {
        let ended = self.event(Event::Stop(why));
        match ended {
            Some(Ending::Failed { .. }) => ended.unwrap_or(Ending::Finished),
            _ if why == Stop::Requested => Ending::Stopped,
            _ => Ending::Finished,
        }
    }

    /// Calls the instance; `Some` when that was its last call.
    fn event(&mut self, event: Event<'_>) -> Option<Ending> {
        let instance = self.instance.as_mut()?;
        let shared = &self.spec.shared;
        match shared.called(|| instance.on_event(event)) {
            // It may have reported a failure although it went on.
            ffi::OK | ffi::DONE if shared.has_failed() => Some(self.failed(ffi::ERR_FAILED)),
            ffi::OK => None,
            ffi::DONE if shared.is_stopping() => Some(Ending::Stopped),
            ffi::DONE => Some(Ending::Finished),
            status => Some(self.failed(status)),
        }
    }

    fn failed(&self, status: Status) -> Ending {
        let input = self
            .last_input
            .and_then(|input| self.input_names.get(input as usize))
            .cloned();
        Ending::Failed {
            failure: failure(&self.spec.shared, status),
            last_input: input,
        }
    }

    fn drop_instance(&mut self) {
        self.going = false;
        self.spec.shared.stop_sending();
        let instance = self.instance.take();
        self.spec.shared.called(|| drop(instance));
        if let Some(failure) = self.spec.shared.take_failure() {
            self.spec
                .shared
                .warn(&format!("failed while it was dropped: {failure}"));
        }
    }

    /// Open inputs that have a timeout, and when it is over.
    fn timeouts(&self) -> impl Iterator<Item = (u32, Instant)> {
        let going = self.going;
        self.spec
            .inputs
            .iter()
            .zip(&self.heard)
            .zip(&self.closed)
            .enumerate()
            .filter_map(move |(input, (((_, _, timeout), heard), closed))| {
                let timeout = timeout.filter(|_| going && !closed)?;
                Some((input as u32, heard.checked_add(timeout)?))
            })
    }
}

fn failure(shared: &SeatShared, status: Status) -> NodeFailure {
    shared.take_failure().unwrap_or_else(|| NodeFailure {
        panicked: status == ffi::ERR_PANICKED,
        text: status_text(status).to_owned(),
        causes: Vec::new(),
        place: None,
    })
}
