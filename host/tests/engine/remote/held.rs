//! Nodes that have been made and wait for the rest of their dataflow.

use super::{Memory, attach, input};
use crate::harness::{
    DEADLINE, GRACE, Live, among_others, descriptor, launch_with, number, plan, share,
};
use host::descriptor::Descriptor;
use host::engine::{Command, Dataflow, Plan, Progress};
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Nothing comes within this time before the nodes go; without the hold something would within a hundredth of it.
const QUIET: Duration = Duration::from_millis(100);

/// Starts a plan that is held, and waits until all its nodes have been made.
fn hold(
    (part, mut plan): (Descriptor, Plan),
    before: impl FnOnce(&mut Dataflow),
) -> (Live, Receiver<Progress>) {
    plan.held = true;
    let (tell, told) = channel();
    let live = launch_with(part, &plan, |dataflow| {
        dataflow.watch(Box::new(move |progress| {
            // Nobody listens any more when the test has seen enough.
            let _ = tell.send(progress);
        }));
        before(dataflow);
    });
    (live, told)
}

fn made(told: &Receiver<Progress>) {
    assert_eq!(told.recv_timeout(DEADLINE), Ok(Progress::Made));
}

fn whole(yaml: &str) -> (Descriptor, Plan) {
    let descriptor = descriptor(yaml);
    let plan = plan(&descriptor);
    (descriptor, plan)
}

const SOURCES: &str = "
    nodes:
      - id: ticked
        kind: source
        config: {count: 50, origin: 1}
        inputs: {tick: dora/timer/millis/1}
      - id: thread
        kind: own-thread
        config: {count: 50, origin: 2}
      - id: early
        kind: source
        config: {count: 60, in_create: 20, origin: 3}
        inputs: {tick: dora/timer/millis/1}
      - id: checker
        kind: checker
        inputs:
          ticked: {source: ticked/out, queue_size: 100}
          thread: {source: thread/out, queue_size: 100}
          early: {source: early/out, queue_size: 100}
";

#[test]
fn nothing_is_sent_before_they_go_and_everything_after() {
    let _gate = among_others();
    let outlets = ["ticked", "thread", "early"].map(|id| (id, Memory::new(200, true)));
    let (live, told) = hold(whole(SOURCES), |dataflow| {
        for (id, outlet) in &outlets {
            attach(dataflow, id, "out", outlet.clone());
        }
    });
    made(&told);
    // A message would be seen by the tap; none comes although its sender's thread has long begun.
    let tap = live.probe.tap("thread", "out", 100).expect("an output");
    assert!(tap.messages.recv_timeout(QUIET).is_err());
    for (id, outlet) in &outlets {
        assert_eq!(outlet.len(), 0, "{id}");
    }
    assert!(told.try_recv().is_err(), "nobody runs");
    live.command(Command::Go);
    let ended = live.end();
    assert_eq!(ended.checked("checker"), (160, 0));
    for ((id, outlet), expected) in outlets.iter().zip([50, 50, 60]) {
        let numbers: Vec<_> = outlet.rest().iter().map(number).collect();
        assert_eq!(numbers, Vec::from_iter(0..expected), "{id}");
        assert_eq!(ended.node(id).unsent(), 0, "{id}");
    }
    assert_eq!(tap.messages.iter().count(), 50);
}

#[test]
fn what_comes_from_outside_waits_in_the_queue() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: source
            kind: own-thread
          - id: reader
            kind: checker
            inputs: {in: {source: source/out, queue_size: 20}}
    ";
    let mut fed = None;
    let (live, told) = hold(share(yaml, &["reader"]), |dataflow| {
        fed = Some(input(dataflow, "reader", "in"));
    });
    let fed = fed.expect("an input");
    for i in 0..20 {
        let text = i.to_string();
        fed.push(Message::from_text(Timestamp::default(), &text, &[]).expect("memory"));
    }
    fed.close();
    made(&told);
    assert!(told.recv_timeout(QUIET).is_err(), "it has not begun");
    assert_eq!(live.log.matching("reader", "closed").len(), 0);
    live.command(Command::Go);
    let ended = live.end();
    assert_eq!(ended.node("reader").received, 20);
    assert_eq!(ended.endings(), ["reader: finished"]);
}

#[test]
fn early_messages_wait_for_the_outlet_after_they_go() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: early
            kind: source
            config: {count: 30, in_create: 20}
            inputs: {tick: dora/timer/millis/1}
          - id: reader
            kind: checker
            inputs: {in: {source: early/out, queue_policy: backpressure, queue_size: 2}}
    ";
    let outlet = Memory::new(2, true);
    let (live, told) = hold(share(yaml, &["early"]), |dataflow| {
        attach(dataflow, "early", "out", outlet.clone());
    });
    made(&told);
    live.command(Command::Go);
    drop(outlet.wait_for(|queue| queue.waiting == 1));
    let numbers: Vec<_> = outlet.rest().iter().map(number).collect();
    assert_eq!(numbers, Vec::from_iter(0..30));
    assert_eq!(live.end().node("early").unsent(), 0);
}

#[test]
fn early_messages_are_kept_up_to_a_limit() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: early
            kind: source
            config: {count: 1500, in_create: 1400, burst: 100}
            inputs: {tick: dora/timer/millis/1}
    ";
    let outlet = Memory::new(2_000, true);
    let (live, told) = hold(whole(yaml), |dataflow| {
        attach(dataflow, "early", "out", outlet.clone());
    });
    made(&told);
    live.command(Command::Go);
    let ended = live.end();
    let numbers: Vec<_> = outlet.rest().iter().map(number).collect();
    assert_eq!(numbers, Vec::from_iter(400..1_500));
    assert_eq!(ended.node("early").unsent(), 400);
}

#[test]
fn a_node_that_ends_before_it_goes_has_sent_what_it_sent() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: broken
            kind: failing
            config: {how: create}
            inputs: {tick: dora/timer/millis/1}
          - id: source
            kind: source
            config: {count: 30, in_create: 3}
            inputs: {tick: dora/timer/millis/1}
    ";
    let outlet = Memory::new(2, true);
    let (live, told) = hold(whole(yaml), |dataflow| {
        attach(dataflow, "source", "out", outlet.clone());
    });
    let ended = live.end();
    assert_eq!(
        ended.endings()[0],
        "broken: not created: no picture: the lens is covered"
    );
    assert!(!told.iter().any(|progress| progress == Progress::Made));
    // The stop may have come before it was made, or in the middle.
    let source = ended.node("source");
    let left = outlet.rest().len() as u64;
    assert_eq!(source.sent(), left + source.unsent());
    assert_eq!(left, source.sent().min(2));
}

#[test]
fn what_is_held_can_be_stopped() {
    let _gate = among_others();
    let outlet = Memory::new(200, true);
    let (live, told) = hold(whole(SOURCES), |dataflow| {
        attach(dataflow, "thread", "out", outlet.clone());
    });
    made(&told);
    live.stop(GRACE);
    let ended = live.end();
    let stopped = ["ticked", "thread", "early", "checker"].map(|id| format!("{id}: stopped"));
    assert_eq!(ended.endings(), stopped);
    assert_eq!((outlet.rest().len(), ended.node("thread").sent()), (0, 0));
    assert_eq!(ended.node("ticked").received, 0, "no timer has begun");
}

#[test]
fn what_is_held_can_be_abandoned() {
    let _gate = among_others();
    let (live, told) = hold(whole(SOURCES), |_| {});
    made(&told);
    live.command(Command::Abandon);
    assert_eq!(live.end().endings().len(), 4);
}

#[test]
fn to_go_before_all_have_been_made_is_to_go_when_they_have() {
    let _gate = among_others();
    let (live, told) = hold(whole(SOURCES), |_| {});
    live.command(Command::Go);
    made(&told);
    let ended = live.end();
    assert_eq!(ended.checked("checker"), (160, 0));
}

#[test]
fn a_node_may_be_made_again_while_it_is_held() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: source
            kind: own-thread
            config: {count: 0, then: fail}
            restart_policy: on-failure
            restart_delay: 0.001
            max_restarts: 3
          - id: other
            kind: checker
            inputs: {in: source/out}
    ";
    let (live, told) = hold(whole(yaml), |_| {});
    live.log
        .wait_for("source", "failed: the thread has failed", 4);
    while told.recv_timeout(DEADLINE).expect("they are made") != Progress::Made {}
    live.command(Command::Go);
    let ended = live.end();
    assert_eq!(ended.node("source").restarts, 3);
    assert_eq!(ended.endings()[1], "other: finished");
}
