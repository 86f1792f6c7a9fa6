//! Driving a node without a host: feed it inputs, let time pass, collect what it sends.
//!
//! ```
//! # use plugin_abi::prelude::*;
//! # struct Echo;
//! # impl Node for Echo {
//! #     type Config = NoConfig;
//! #     fn kind() -> Kind { Kind::new("echo").input("in").output("out") }
//! #     fn create(_: NoConfig, _: &Context<'_>) -> Result<Self> { Ok(Self) }
//! #     fn on_input(&mut self, input: Input<'_>, outputs: &Outputs) -> Result<Flow> {
//! #         outputs.send("out", input.message())?;
//! #         Ok(Flow::Continue)
//! #     }
//! # }
//! use plugin_abi::testing::Harness;
//!
//! let mut node = Harness::<Echo>::new("{}").expect("it starts");
//! node.input("in", "hello").expect("it takes text");
//! assert_eq!(node.take("out")[0].text(), Ok("hello"));
//! ```
//!
//! Invariant: calls go through the same C functions as in a host, so a panic is caught and data are checked the same
//! way. Time stands still unless [`Harness::advance`] moves it.

use crate::export;
use crate::ffi::{self, Status};
use crate::hosting::{
    Callbacks, CreateWith, Event, Heap, Instance, KindTable, LibraryTable, LogLine, NodeFailure,
    Room, SaveError, Table, status_text,
};
use crate::message::{MakeError, Message, Schema};
use crate::meta::{Parameters, Timestamp};
use crate::node::{Flow, Kind, Node, Port, Stop};
use crate::outputs::{HostRef, Outputs};
use crate::payload::Payload;
use crate::types;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a node did that a test may look at.
#[derive(Debug, Default)]
struct Record {
    sent: Vec<(String, Message)>,
    log: Vec<String>,
    failure: Option<NodeFailure>,
    now: Duration,
}

/// The host's part: records everything.
#[derive(Debug)]
struct Recorder {
    outputs: Vec<Port>,
    record: Mutex<Record>,
    stop: AtomicBool,
}

impl Recorder {
    fn new(outputs: Vec<Port>) -> Arc<Self> {
        Arc::new(Self {
            outputs,
            record: Mutex::default(),
            stop: AtomicBool::new(false),
        })
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Callbacks for Arc<Recorder> {
    fn now(&self) -> Timestamp {
        Timestamp::new(UNIX_EPOCH + self.record().now, [0; 16])
    }

    fn admit(&self, output: u32, schema: &Schema) -> Status {
        let Some(port) = self.outputs.get(output as usize) else {
            return ffi::ERR_UNKNOWN_OUTPUT;
        };
        if types::accepts(&port.data_type, &schema.text()) {
            ffi::OK
        } else {
            ffi::ERR_WRONG_TYPE
        }
    }

    fn room(&self, _output: u32, len: usize) -> Option<Box<dyn Room>> {
        Some(Box::new(Heap::new(len)?))
    }

    fn send(&self, output: u32, message: Message) -> Status {
        let name = self
            .outputs
            .get(output as usize)
            .map(|port| port.name.clone());
        self.record().sent.push((name.unwrap_or_default(), message));
        ffi::OK
    }

    fn refuse(&self, _output: u32, error: &MakeError) {
        self.record().log.push(error.to_string());
    }

    fn log(&self, line: &LogLine<'_>) {
        self.record().log.push(line.message.to_owned());
    }

    fn report(&self, failure: NodeFailure) {
        self.record().failure = Some(failure);
    }

    fn request_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A timer that feeds ticks into an input.
#[derive(Debug)]
struct Timer {
    input: String,
    period: Duration,
    next: Duration,
}

/// A node under test.
pub struct Harness<N: Node> {
    instance: Instance<Arc<Recorder>>,
    recorder: Arc<Recorder>,
    inputs: Vec<String>,
    closed: Vec<u32>,
    timers: Vec<Timer>,
    maker: Outputs,
    made: Arc<Recorder>,
    of: PhantomData<N>,
}

impl<N: Node> Harness<N> {
    /// Makes a node with all its declared ports connected, from a config as JSON (`{}` for none).
    ///
    /// # Errors
    /// Why it could not be made.
    pub fn new(config: &str) -> Result<Self, NodeFailure> {
        let names = |ports: &[Port]| {
            ports
                .iter()
                .map(|port| port.name.clone())
                .collect::<Vec<_>>()
        };
        let kind = N::kind();
        Self::with_ports(config, &names(&kind.inputs), &names(&kind.outputs))
    }

    /// As [`Harness::new`] with these inputs and outputs connected, for kinds that take any.
    ///
    /// # Errors
    /// Why it could not be made.
    pub fn with_ports(
        config: &str,
        inputs: &[String],
        outputs: &[String],
    ) -> Result<Self, NodeFailure> {
        let kind = N::kind();
        let declared = |name: &String| {
            let found = kind.outputs.iter().find(|port| port.name == *name);
            Port {
                name: name.clone(),
                ..found.cloned().unwrap_or_else(|| Port::new(name))
            }
        };
        let recorder = Recorder::new(outputs.iter().map(declared).collect());
        let table = table(&recorder);
        let with = CreateWith {
            inputs,
            outputs,
            config,
            node_id: "node",
            dataflow_id: "00000000-0000-0000-0000-000000000000",
            restart_count: 0,
        };
        let leaked = Box::leak(Box::new(export::kind::<N>()));
        let instance = Instance::create(KindTable::own(leaked), table, &with)
            .map_err(|status| failure_of(&recorder, status))?;
        let made = Recorder::new(vec![Port::new("made")]);
        let maker = maker(&made);
        Ok(Self {
            instance,
            recorder,
            inputs: inputs.to_vec(),
            closed: Vec::new(),
            timers: Vec::new(),
            maker,
            made,
            of: PhantomData,
        })
    }

    /// Feeds data into an input, without parameters.
    ///
    /// # Errors
    /// Why the node failed.
    ///
    /// # Panics
    /// The node has no such input.
    pub fn input(&mut self, input: &str, data: impl Payload) -> Result<Flow, NodeFailure> {
        self.input_with(input, data, &Parameters::new())
    }

    /// Feeds data with parameters into an input.
    ///
    /// # Errors
    /// Why the node failed.
    ///
    /// # Panics
    /// The node has no such input, or the data are no valid Arrow data.
    pub fn input_with(
        &mut self,
        input: &str,
        data: impl Payload,
        parameters: &Parameters,
    ) -> Result<Flow, NodeFailure> {
        self.made.record().now = self.recorder.record().now;
        let message = make(&self.maker, &self.made, data, parameters);
        let input = self.index(input);
        let status = self.instance.on_event(Event::Input {
            input,
            message: &message,
        });
        self.flow(status)
    }

    /// Closes an input; after the last one the node is told to stop, as by a host.
    ///
    /// # Errors
    /// Why the node failed.
    ///
    /// # Panics
    /// The node has no such input.
    pub fn close(&mut self, input: &str) -> Result<Flow, NodeFailure> {
        let index = self.index(input);
        if !self.closed.contains(&index) {
            self.closed.push(index);
        }
        let status = self.instance.on_event(Event::InputClosed { input: index });
        if status == ffi::OK && self.closed.len() == self.inputs.len() {
            return self.stop(Stop::InputsClosed);
        }
        self.flow(status)
    }

    /// Tells the node to stop.
    ///
    /// # Errors
    /// Why the node failed.
    pub fn stop(&mut self, why: Stop) -> Result<Flow, NodeFailure> {
        let status = self.instance.on_event(Event::Stop(why));
        self.flow(status)
    }

    /// Feeds an empty message into an input every `period`, from [`Harness::advance`] on.
    pub fn timer(&mut self, input: &str, period: Duration) {
        let next = self.recorder.record().now + period;
        self.timers.push(Timer {
            input: input.to_owned(),
            period,
            next,
        });
    }

    /// Lets time pass. Ticks come in the order of their times until the node is done.
    ///
    /// # Errors
    /// Why the node failed.
    pub fn advance(&mut self, by: Duration) -> Result<Flow, NodeFailure> {
        let end = self.recorder.record().now + by;
        while let Some(timer) = self
            .timers
            .iter_mut()
            .filter(|timer| timer.next <= end)
            .min_by_key(|timer| timer.next)
        {
            let (input, now) = (timer.input.clone(), timer.next);
            timer.next += timer.period.max(Duration::from_nanos(1));
            self.recorder.record().now = now;
            if self.input(&input, ())? == Flow::Done {
                return Ok(Flow::Done);
            }
        }
        self.recorder.record().now = end;
        Ok(Flow::Continue)
    }

    /// The simulated time: the epoch, and what has been advanced.
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + self.recorder.record().now
    }

    /// What was sent on an output since the last call, in order.
    pub fn take(&mut self, output: &str) -> Vec<Message> {
        let mut record = self.recorder.record();
        let taken = record.sent.extract_if(.., |(name, _)| name == output);
        taken.map(|(_, message)| message).collect()
    }

    /// The node's own errors of sending, and its lines that were logged through its outputs.
    pub fn log(&self) -> Vec<String> {
        self.recorder.record().log.clone()
    }

    /// Whether a thread of the node's own has ended it with [`Outputs::finish`].
    pub fn finished(&self) -> bool {
        self.recorder.stop.load(Ordering::Relaxed)
    }

    /// The node's state.
    ///
    /// # Errors
    /// Why the node failed; `Ok(None)` when the kind keeps no state.
    pub fn save_state(&mut self) -> Result<Option<Vec<u8>>, NodeFailure> {
        match self.instance.save_state() {
            Ok(state) => Ok(Some(state)),
            Err(SaveError::Unsupported) => Ok(None),
            Err(SaveError::Failed(status)) => Err(failure_of(&self.recorder, status)),
        }
    }

    /// Gives the node a saved state.
    ///
    /// # Errors
    /// Why the node does not take it.
    pub fn restore_state(&mut self, state: &[u8]) -> Result<(), NodeFailure> {
        match self.instance.restore_state(state) {
            ffi::OK => Ok(()),
            status => Err(failure_of(&self.recorder, status)),
        }
    }

    fn index(&self, input: &str) -> u32 {
        match self.inputs.iter().position(|name| name == input) {
            Some(index) => index as u32,
            None => panic!(
                "no input \"{input}\"; the node has: {}",
                self.inputs.join(", ")
            ),
        }
    }

    fn flow(&self, status: Status) -> Result<Flow, NodeFailure> {
        match status {
            ffi::OK => Ok(Flow::Continue),
            ffi::DONE => Ok(Flow::Done),
            status => Err(failure_of(&self.recorder, status)),
        }
    }
}

impl<N: Node> std::fmt::Debug for Harness<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness")
            .field("inputs", &self.inputs)
            .field("recorder", &self.recorder)
            .finish()
    }
}

fn failure_of(recorder: &Recorder, status: Status) -> NodeFailure {
    recorder
        .record()
        .failure
        .take()
        .unwrap_or_else(|| NodeFailure {
            panicked: status == ffi::ERR_PANICKED,
            ..NodeFailure::new(status_text(status))
        })
}

/// A message with data and parameters, as a node would send it, stamped with the epoch.
///
/// # Panics
/// The data are no valid Arrow data.
pub fn message(data: impl Payload, parameters: &Parameters) -> Message {
    let made = Recorder::new(vec![Port::new("made")]);
    make(&maker(&made), &made, data, parameters)
}

fn make(
    maker: &Outputs,
    made: &Arc<Recorder>,
    data: impl Payload,
    parameters: &Parameters,
) -> Message {
    if let Err(error) = maker.send_with("made", data, parameters) {
        panic!("no valid data for a message: {error}");
    }
    let made = made.record().sent.pop();
    let Some((_, message)) = made else {
        panic!("the data became no message")
    };
    message
}

fn table(recorder: &Arc<Recorder>) -> Arc<Table<Arc<Recorder>>> {
    let level = Arc::new(AtomicU32::new(5));
    let library = LibraryTable::new("", level.clone(), |_| {});
    Table::new(recorder.clone(), library, level)
}

/// Makes messages out of whatever a node could send.
fn maker(made: &Arc<Recorder>) -> Outputs {
    let table = table(made);
    // SAFETY: the table is alive, and retained by the handle.
    let host =
        NonNull::new(table.as_ptr().cast_mut()).map(|host| unsafe { HostRef::retained(host) });
    let Some(host) = host else {
        unreachable!("an Arc is never null")
    };
    Outputs::new(
        host,
        "test".into(),
        vec!["made".into()],
        Kind::new("test").output("made"),
    )
}
