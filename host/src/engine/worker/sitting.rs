//! One node on its thread: its instance, which inputs are closed, when they were heard of.
//!
//! Invariant: an instance gets no event after its last one; an input that is closed is told once to each instance.
//! Absent: the mailbox, and the decision what happens after an ending (`state`).

use super::Slot;
use crate::engine::code::{Code, Made, callback_of, failure};
use crate::engine::plan::NodeIndex;
use crate::engine::seat::{SeatHandle, SeatShared};
use crate::engine::state::Ending;
use crate::engine::{Crash, Door, LastMessage};
use crate::sys::scene::{self, Callback};
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::{Event, NodeFailure};
use plugin_abi::message::Message;
use plugin_abi::node::Stop;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Everything a thread needs to host one node.
pub struct SeatSpec {
    /// The node's number in its dataflow.
    pub node: NodeIndex,
    /// The state that its threads share.
    pub shared: Arc<SeatShared>,
    /// What is called.
    pub code: Code,
    /// Its inputs, in the order of their indices: name, number in the mailbox, timeout.
    pub inputs: Vec<(String, Slot, Option<Duration>)>,
}

/// A node on its thread.
pub struct Seat {
    pub(super) spec: SeatSpec,
    instance: Option<Made>,
    /// Takes messages: made, and told to go.
    pub(super) going: bool,
    /// By input: closed, which a new instance is told again.
    pub(super) closed: Vec<bool>,
    /// By input: when the last message came, for its timeout.
    heard: Vec<Instant>,
    last_input: Option<u32>,
    restart_count: u32,
}

impl Seat {
    pub(super) fn new(spec: SeatSpec) -> Self {
        Self {
            instance: None,
            going: false,
            closed: vec![false; spec.inputs.len()],
            heard: vec![Instant::now(); spec.inputs.len()],
            last_input: None,
            restart_count: 0,
            spec,
        }
    }

    pub(super) fn create(&mut self, restart_count: u32) -> Result<(), Ending> {
        let shared = &self.spec.shared;
        shared.take_failure();
        self.last_input = None;
        self.restart_count = restart_count;
        let made = self.spec.code.create(shared, restart_count);
        self.instance =
            Some(made.map_err(|ending| self.reported(ending, Some(Callback::Create), None))?);
        Ok(())
    }

    pub(super) fn is_instance(&self, restart_count: u32) -> bool {
        self.instance.is_some() && self.restart_count == restart_count
    }

    /// Begins to take messages. A new instance hears first what has closed before.
    pub(super) fn go(&mut self) -> Option<Ending> {
        self.instance.as_ref()?;
        SeatHandle::new(self.spec.shared.clone(), self.restart_count).let_go();
        self.going = true;
        if let Some(instance) = &mut self.instance {
            instance.go();
        }
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

    pub(super) fn message(&mut self, input: u32, message: &Message) -> Option<Ending> {
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

    pub(super) fn close(&mut self, input: u32) -> Option<Ending> {
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
            return self.last_event(Stop::InputsClosed);
        }
        None
    }

    pub(super) fn stop(&mut self) -> Option<Ending> {
        self.spec.shared.stop_sending();
        self.instance.as_ref()?;
        self.last_event(Stop::Requested)
    }

    /// The last event for a plugin's instance; one outside takes its time, and says when it has ended.
    fn last_event(&mut self, why: Stop) -> Option<Ending> {
        let outside = self.instance.as_ref().is_some_and(Made::is_outside);
        let ended = self.event(Event::Stop(why));
        match ended {
            Some(Ending::Failed { .. }) => ended,
            _ if outside => None,
            _ if why == Stop::Requested => Some(Ending::Stopped),
            _ => Some(Ending::Finished),
        }
    }

    /// How an instance outside ended, unless that is over already.
    pub(super) fn ended(&self, instance: u32, result: Result<(), NodeFailure>) -> Option<Ending> {
        if !self.is_instance(instance) {
            return None;
        }
        Some(match result {
            Err(failure) => Ending::Failed {
                failure: Box::new(failure),
                last_input: None,
            },
            Ok(()) if self.spec.shared.is_stopping() => Ending::Stopped,
            Ok(()) => Ending::Finished,
        })
    }

    /// What takes messages past this thread.
    pub(super) fn door(&self) -> Option<Arc<dyn Door>> {
        self.instance.as_ref()?.door()
    }

    /// Nothing waits for the node now.
    pub(super) fn idle(&mut self) {
        if let Some(instance) = &mut self.instance {
            instance.idle();
        }
    }

    /// Calls the instance; `Some` when that was its last call.
    fn event(&mut self, event: Event<'_>) -> Option<Ending> {
        let instance = self.instance.as_mut()?;
        let shared = &self.spec.shared;
        match instance.on_event(shared, event) {
            // It may have reported a failure although it went on.
            ffi::OK | ffi::DONE if shared.has_failed() => Some(self.failed(ffi::ERR_FAILED)),
            ffi::OK => None,
            ffi::DONE if shared.is_stopping() => Some(Ending::Stopped),
            ffi::DONE => Some(Ending::Finished),
            status => {
                let message = match event {
                    Event::Input { input, message } => Some((input, message)),
                    _ => None,
                };
                Some(self.reported(self.failed(status), Some(callback_of(&event)), message))
            }
        }
    }

    /// An ending; a panic gets a report.
    pub(super) fn reported(
        &self,
        mut ending: Ending,
        callback: Option<Callback>,
        message: Option<(u32, &Message)>,
    ) -> Ending {
        let failure = match &mut ending {
            Ending::Failed { failure, .. } => &mut **failure,
            Ending::NotCreated(failure) => failure,
            Ending::Finished | Ending::Stopped | Ending::Stuck => return ending,
        };
        if failure.panicked {
            let input = match callback {
                Some(Callback::Input(input) | Callback::InputClosed(input)) => {
                    self.input_name(input)
                }
                _ => "",
            };
            let within = callback.map(|callback| scene::words(callback, input));
            let crash = Crash {
                how: format!("{failure}{}", within.unwrap_or_default()),
                message: message
                    .map(|(input, message)| LastMessage::of(self.input_name(input), message)),
                // In a host process the daemon is told of them, too.
                trace: failure.frames.clone(),
                ..Crash::default()
            };
            failure.causes.extend(self.spec.shared.crashed(crash));
        }
        ending
    }

    pub(super) fn failed(&self, status: Status) -> Ending {
        let input = self
            .last_input
            .map(|input| self.input_name(input).to_owned());
        Ending::Failed {
            failure: Box::new(failure(&self.spec.shared, status)),
            last_input: input,
        }
    }

    pub(super) fn input_name(&self, input: u32) -> &str {
        let input = self.spec.inputs.get(input as usize);
        input.map_or("", |(name, ..)| name)
    }

    pub(super) fn drop_instance(&mut self) {
        self.going = false;
        self.spec.shared.stop_sending();
        if let Some(instance) = self.instance.take() {
            instance.destroy(&self.spec.shared);
        }
        if let Some(failure) = self.spec.shared.take_failure() {
            self.spec
                .shared
                .warn(&format!("failed while it was dropped: {failure}"));
        }
    }

    /// Open inputs that have a timeout, and when it is over.
    pub(super) fn timeouts(&self) -> impl Iterator<Item = (u32, Instant)> {
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
