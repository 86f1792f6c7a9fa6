//! Outputs that are read outside.

use super::{Memory, Outlet, attach, input, node, port};
use crate::harness::{DEADLINE, GRACE, Live, Log, among_others, launch_with, number, share};
use host::engine::{Dataflow, Taken};
use host::ids::DataflowId;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

const FLOW: &str = "
    nodes:
      - id: source
        kind: own-thread
        config: {count: 1000}
      - id: here
        kind: checker
        inputs: {in: {source: source/out, queue_policy: backpressure}}
      - id: there
        kind: checker
        inputs: {in: {source: source/out, queue_policy: backpressure}}
";

fn start(yaml: &str, here: &[&str], outlets: &[Arc<Memory>]) -> Live {
    let (part, plan) = share(yaml, here);
    launch_with(part, &plan, |dataflow| {
        for outlet in outlets {
            attach(dataflow, "source", "out", outlet.clone());
        }
    })
}

#[test]
fn readers_here_and_there_get_the_same_in_order() {
    let _gate = among_others();
    let outlets = [Memory::new(3, true), Memory::new(50, true)];
    let live = start(FLOW, &["source", "here"], &outlets);
    let got = std::thread::scope(|scope| {
        let read = |outlet: &Arc<Memory>| {
            let outlet = outlet.clone();
            scope.spawn(move || outlet.rest())
        };
        let [one, two] = [read(&outlets[0]), read(&outlets[1])];
        [one, two].map(|thread| thread.join().expect("it does not panic"))
    });
    let ended = live.end();
    for got in &got {
        let numbers: Vec<_> = got.iter().map(number).collect();
        assert_eq!(numbers, Vec::from_iter(0..1_000));
    }
    assert_eq!(got[0][7].as_ptr(), got[1][7].as_ptr(), "the data is shared");
    assert_eq!(ended.checked("here"), (1_000, 0));
    assert_eq!(ended.node("source").sent(), 1_000);
    assert_eq!(ended.node("source").unsent(), 0);
}

#[test]
fn what_an_outlet_drops_is_counted_at_its_sender() {
    let _gate = among_others();
    let outlet = Memory::new(4, false);
    let live = start(FLOW, &["source", "here"], std::slice::from_ref(&outlet));
    let ended = live.end();
    let left: Vec<_> = outlet.rest().iter().map(number).collect();
    assert_eq!(left, [996, 997, 998, 999]);
    assert_eq!(ended.node("source").unsent["out"], 996);
    assert_eq!(ended.node("source").dropped(), 0, "its own inputs' only");
}

#[test]
fn an_outlet_that_is_closed_does_not_hold_its_sender() {
    let _gate = among_others();
    let outlet = Memory::new(4, true);
    let live = start(FLOW, &["source"], std::slice::from_ref(&outlet));
    drop(outlet.wait_for(|queue| queue.waiting == 1));
    outlet.close();
    let ended = live.end();
    assert_eq!(ended.endings(), ["source: finished"]);
    assert_eq!(ended.node("source").unsent(), 996);
}

#[test]
fn a_sender_that_waits_for_an_outlet_wakes_when_it_is_to_stop() {
    let _gate = among_others();
    let outlet = Memory::new(4, true);
    let live = start(FLOW, &["source"], std::slice::from_ref(&outlet));
    drop(outlet.wait_for(|queue| queue.waiting == 1));
    live.stop(GRACE);
    let ended = live.end();
    assert_eq!(ended.endings(), ["source: stopped"]);
    assert_eq!((ended.node("source").sent(), outlet.len()), (5, 4));
    assert_eq!(ended.node("source").unsent(), 1);
    let queue = outlet.wait_for(|queue| queue.closed);
    assert!(queue.nudged > 0 && queue.waiting == 0, "{queue:?}");
    // Not for the patience of five seconds.
    assert!(ended.report.took < Duration::from_secs(4));
}

#[test]
fn a_sender_that_is_made_again_keeps_its_outlets() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: source
            kind: own-thread
            config: {count: 10, then: fail}
            restart_policy: on-failure
            max_restarts: 2
          - id: there
            kind: checker
            inputs: {in: source/out}
    ";
    let outlet = Memory::new(100, true);
    let live = start(yaml, &["source"], std::slice::from_ref(&outlet));
    let ended = live.end();
    assert_eq!(ended.node("source").restarts, 2);
    let numbers: Vec<_> = outlet.rest().iter().map(number).collect();
    let lives = (0..3_u64).flat_map(|life| (0..10).map(move |i| life << 40 | i));
    assert_eq!(numbers, Vec::from_iter(lives));
}

#[test]
fn outlets_are_found_by_node_and_output() {
    let _gate = among_others();
    let (part, plan) = share(FLOW, &["source"]);
    let outlet = Memory::new(1, true);
    let live = launch_with(part, &plan, |dataflow| {
        for (of, output) in [("nobody", "out"), ("source", "nothing"), ("there", "total")] {
            let found = dataflow.attach(&node(of), &port(output), "nobody".into(), outlet.clone());
            assert!(!found, "{of}/{output}");
        }
        assert!(dataflow.remote_inputs().is_empty());
    });
    live.end();
    assert_eq!(outlet.len(), 0);
}

#[test]
fn a_dataflow_that_is_dropped_lets_both_sides_go() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: before
            kind: own-thread
          - id: source
            kind: relay
            inputs: {in: {source: before/out, queue_policy: backpressure}}
          - id: there
            kind: checker
            inputs: {in: source/out}
    ";
    let (_, plan) = share(yaml, &["source"]);
    let started = Dataflow::start(DataflowId::new(), &plan, Arc::new(Log::default()));
    let dataflow = started.expect("the system has threads");
    let outlet = Memory::new(1, true);
    attach(&dataflow, "source", "out", outlet.clone());
    let (tell, told) = channel();
    input(&dataflow, "source", "in").on_taken(Arc::new(move |taken| {
        tell.send(taken).expect("the test listens");
    }));
    drop(dataflow);
    assert!(outlet.rest().is_empty(), "it was closed");
    assert_eq!(told.recv_timeout(DEADLINE), Ok(Taken::Closed));
}

#[test]
fn taps_look_on_beside_outlets_and_end_with_the_output() {
    let _gate = among_others();
    let outlet = Memory::new(10, true);
    let live = start(FLOW, &["source"], std::slice::from_ref(&outlet));
    let tap = live.probe.tap("source", "out", 2_000).expect("an output");
    let rest = std::thread::scope(|scope| {
        let reads = scope.spawn(|| outlet.rest());
        reads.join().expect("it does not panic")
    });
    assert_eq!(rest.len(), 1_000);
    let probe = live.probe.clone();
    live.end();
    let seen: Vec<_> = tap
        .messages
        .iter()
        .map(|message| number(&message))
        .collect();
    assert!(seen.windows(2).all(|two| two[1] == two[0] + 1), "{seen:?}");
    assert_eq!(seen.last(), Some(&999));
    let late = probe.tap("source", "out", 10).expect("an output");
    let nothing = late.messages.recv_timeout(DEADLINE);
    assert_eq!(nothing.err(), Some(RecvTimeoutError::Disconnected));
}

#[test]
fn log_lines_leave_without_waiting() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: source
            kind: inspect
            send_logs_as: lines
            inputs: {tick: dora/timer/millis/1}
          - id: there
            kind: checker
            inputs: {in: {source: source/lines, queue_policy: backpressure}}
    ";
    let (part, plan) = share(yaml, &["source"]);
    let outlet = Memory::new(2, true);
    let mut lines = Vec::new();
    let live = launch_with(part, &plan, |dataflow| {
        attach(dataflow, "source", "lines", outlet.clone());
        lines = dataflow.log_outputs();
    });
    for i in 0..5 {
        lines[0].send(&format!("line {i}"));
    }
    let tap = live.probe.tap("source", "lines", 5).expect("an output");
    lines[0].send("line 5");
    let seen = tap.messages.recv_timeout(DEADLINE).expect("a line");
    assert_eq!(seen.text().expect("text"), "line 5");
    live.stop(GRACE);
    let ended = live.end();
    assert_eq!(ended.node("source").unsent["lines"], 4);
    let got: Vec<_> = outlet.rest();
    assert_eq!(got[0].text().expect("text"), "line 0");
    assert_eq!(got.len(), 2);
}
