//! Nodes whose code runs outside the process: here, on a thread of the test.

use crate::harness::{GRACE, descriptor, launch, plan};
use host::engine::{Body, Ending, Outside, OutsideEnd, OutsideEvent, Plan, PlannedCode};
use plugin_abi::hosting::{NodeFailure, Room};
use plugin_abi::message::Message;
use plugin_abi::wire::memory::Pool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// What reaches the other side.
#[derive(Debug)]
enum Heard {
    Go,
    Message(Message),
    Closed,
    Stop,
    Idle,
}

/// What the other side does with it.
type Life = fn(&OutsideEnd, &Receiver<Heard>) -> Result<(), NodeFailure>;

/// A node that lives on a thread of its own.
#[derive(Debug)]
struct Elsewhere {
    life: Life,
    refuse: Option<&'static str>,
    /// Where what is sent to it may be written.
    pool: Option<Pool>,
    seen: Mutex<Vec<String>>,
}

impl Elsewhere {
    fn new(life: Life) -> Arc<Self> {
        Arc::new(Self {
            life,
            refuse: None,
            pool: None,
            seen: Mutex::default(),
        })
    }

    fn saw(&self, what: String) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(what);
    }

    fn seen(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Outside for Elsewhere {
    fn create(&self, end: OutsideEnd) -> Result<Box<dyn Body>, NodeFailure> {
        self.saw(format!("create {}", end.restart_count()));
        if let Some(text) = self.refuse {
            return Err(NodeFailure::new(text));
        }
        let (tell, heard) = channel();
        let life = self.life;
        std::thread::spawn(move || end.ended(life(&end, &heard)));
        Ok(Box::new(Told(tell)))
    }

    fn stop(&self) {}

    fn retire(&self, ending: &Ending) {
        self.saw(format!("retire {ending}"));
    }

    fn wanted(&self, output: u32, wanted: bool) {
        self.saw(format!("wanted {output} {wanted}"));
    }

    fn room(&self, len: usize) -> Option<Box<dyn Room>> {
        self.pool.as_ref()?.room(len)
    }
}

struct Told(Sender<Heard>);

impl Told {
    fn tell(&self, heard: Heard) {
        // A node that has ended hears nothing more.
        let _ = self.0.send(heard);
    }
}

impl Body for Told {
    fn go(&mut self) {
        self.tell(Heard::Go);
    }

    fn event(&mut self, event: OutsideEvent<'_>) {
        self.tell(match event {
            OutsideEvent::Input { message, .. } => Heard::Message(message.clone()),
            OutsideEvent::InputClosed { .. } => Heard::Closed,
            OutsideEvent::Stop(_) => Heard::Stop,
        });
    }

    fn idle(&mut self) {
        self.tell(Heard::Idle);
    }
}

/// Sends on what it gets, until its inputs are closed or it is to stop.
fn relay(end: &OutsideEnd, heard: &Receiver<Heard>) -> Result<(), NodeFailure> {
    for heard in heard {
        match heard {
            Heard::Message(message) => {
                end.send(0, message);
            }
            Heard::Stop => break,
            Heard::Go | Heard::Closed | Heard::Idle => {}
        }
    }
    Ok(())
}

/// Puts a node of the plan outside.
fn place(plan: &mut Plan, node: usize, outside: &Arc<Elsewhere>) {
    plan.nodes[node].code = PlannedCode::Outside(outside.clone());
}

const THROUGH: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 1000, burst: 50}
    inputs: {tick: dora/timer/millis/1}
    outputs: [out]
  - id: middle
    kind: relay
    inputs: {in: {source: source/out, queue_policy: backpressure}}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {in: {source: middle/out, queue_policy: backpressure}}
";

#[test]
fn messages_pass_through_it_and_it_ends_when_its_inputs_are_closed() {
    let descriptor = descriptor(THROUGH);
    let mut plan = plan(&descriptor);
    let outside = Elsewhere::new(relay);
    place(&mut plan, 1, &outside);
    let ended = launch(descriptor, &plan).end();
    assert_eq!(ended.checked("checker"), (1000, 0));
    assert_eq!(ended.node("middle").ending, Ending::Finished);
    assert_eq!(ended.node("middle").outputs["out"], 1000);
    assert_eq!(
        outside.seen(),
        ["wanted 0 true", "create 0", "retire finished"]
    );
}

#[test]
fn it_is_stopped_when_it_says_so() {
    let descriptor = descriptor(
        "
nodes:
  - id: source
    kind: source
    config: {count: 1000000}
    outputs: [out]
    inputs: {tick: dora/timer/millis/10}
  - id: middle
    kind: relay
    inputs: {in: source/out}
    outputs: [out]
",
    );
    let mut plan = plan(&descriptor);
    let outside = Elsewhere::new(relay);
    place(&mut plan, 1, &outside);
    let live = launch(descriptor, &plan);
    let tap = live.probe.tap("middle", "out", 10).expect("an output");
    tap.messages
        .recv_timeout(crate::harness::DEADLINE)
        .expect("a message");
    live.stop(GRACE);
    let ended = live.end();
    assert_eq!(ended.node("middle").ending, Ending::Stopped);
    let seen = outside.seen();
    assert_eq!(seen[0], "wanted 0 false");
    for what in ["create 0", "wanted 0 true", "retire stopped"] {
        assert!(seen.contains(&what.into()), "{what}: {seen:?}");
    }
}

#[test]
fn one_that_cannot_be_made_keeps_the_dataflow_from_starting() {
    let descriptor = descriptor(THROUGH);
    let mut plan = plan(&descriptor);
    let mut outside = Elsewhere::new(relay);
    Arc::get_mut(&mut outside)
        .expect("nobody else has it")
        .refuse = Some("no such program");
    place(&mut plan, 1, &outside);
    let ended = launch(descriptor, &plan).end();
    assert_eq!(ended.endings()[1], "middle: not created: no such program");
    assert_eq!(ended.node("source").outputs["out"], 0);
}

#[test]
fn one_that_fails_is_made_again_as_its_policy_says() {
    let text = THROUGH.replace(
        "    kind: relay\n",
        "    kind: relay\n    restart_policy: on-failure\n",
    );
    let descriptor = descriptor(&text);
    let mut plan = plan(&descriptor);
    let outside = Elsewhere::new(|end, heard| {
        if end.restart_count() == 0 {
            return Err(NodeFailure::new("was killed by SIGKILL"));
        }
        relay(end, heard)
    });
    place(&mut plan, 1, &outside);
    let ended = launch(descriptor, &plan).end();
    assert_eq!(ended.node("middle").restarts, 1);
    assert_eq!(ended.node("middle").ending, Ending::Finished);
    let said = ended.log.matching("middle", "was killed by SIGKILL");
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn what_a_plugin_fills_in_place_lies_in_shared_memory_if_it_is_read_outside() {
    static POOL: LazyLock<Pool> = LazyLock::new(Pool::default);
    let descriptor = descriptor(
        "
nodes:
  - id: pacer
    kind: pacer
    config: {count: 1, bytes: 100000, micros: 1, in_place: true}
    inputs: {start: dora/timer/millis/1}
    outputs: [out]
  - id: reader
    kind: relay
    inputs: {in: {source: pacer/out, queue_policy: backpressure}}
    outputs: [out]
",
    );
    let mut plan = plan(&descriptor);
    let mut outside = Elsewhere::new(|_, heard| {
        for heard in heard {
            if let Heard::Message(message) = heard {
                return match POOL.holds(&message) {
                    true => Ok(()),
                    false => Err(NodeFailure::new("it would be copied")),
                };
            }
        }
        Err(NodeFailure::new("no message"))
    });
    let reader = Arc::get_mut(&mut outside).expect("nobody else has it");
    reader.pool = Some(POOL.clone());
    place(&mut plan, 1, &outside);
    let ended = launch(descriptor, &plan).end();
    assert_eq!(ended.node("reader").ending, Ending::Finished);
}
