//! What a run leaves behind: no thread, no message, no memory. These tests look at the whole process, alone.

use crate::harness::{DEADLINE, Ended, alone, descriptor, launch, launch_with, plan};
use std::time::Instant;

/// Nodes that run on threads of every kind, fail and are made again.
const FLOW: &str = "
    nodes:
      - id: source
        kind: source
        config: {count: 200, burst: 50, bytes: 10000}
        inputs: {tick: dora/timer/micros/200}
      - id: thread
        kind: own-thread
        config: {count: 200, bytes: 10000}
        outputs: [out]
      - id: bad
        kind: failing
        config: {how: panic, at: 30, times: 3}
        restart_policy: on-failure
        inputs: {in: {source: source/out, queue_policy: backpressure}}
        outputs: [out]
      - id: inline
        kind: relay
        thread: sender
        inputs: {in: bad/out}
        outputs: [out]
      - id: reader
        kind: checker
        inputs:
          one: {source: inline/out, queue_policy: backpressure}
          two: {source: thread/out, queue_size: 3}
";

fn run_alone(yaml: &str) -> Ended {
    let descriptor = descriptor(yaml);
    let plan = plan(&descriptor);
    launch(descriptor, &plan).end()
}

#[test]
fn every_message_is_freed() {
    let _alone = alone();
    let descriptor = descriptor(FLOW);
    let plan = plan(&descriptor);
    let mut taps = None;
    let live = launch_with(descriptor, &plan, |dataflow| {
        let probe = dataflow.probe();
        let outputs = ["source", "thread", "bad", "inline"];
        taps = Some(outputs.map(|node| probe.tap(node, "out", 1_000).expect("an output")));
    });
    let ended = live.end();
    drop(ended);
    let mut messages = Vec::new();
    for tap in taps.expect("they were made") {
        assert_eq!(tap.dropped(), 0);
        messages.extend(tap.messages.iter());
    }
    assert!(messages.len() > 100, "{}", messages.len());
    messages.sort_by_key(plugin_abi::message::Message::as_ptr);
    for same in messages.chunk_by(|a, b| a.as_ptr() == b.as_ptr()) {
        // A message that was passed on is held by the one that passes it on; nobody else holds any.
        let references = same[0].references().expect("made by the host");
        assert!(
            (same.len()..=same.len() + 2).contains(&references),
            "{references}"
        );
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use std::fs;

    fn threads() -> usize {
        fs::read_dir("/proc/self/task").expect("proc").count()
    }

    /// Memory of this process in bytes.
    fn memory() -> usize {
        let pages = fs::read_to_string("/proc/self/statm").expect("proc");
        let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        resident.map_or(0, |pages: usize| pages * 4_096)
    }

    /// A thread that has been joined may be listed for a moment.
    fn settle_at(expected: usize) {
        let until = Instant::now() + DEADLINE;
        while threads() > expected {
            assert!(
                Instant::now() < until,
                "{} threads, not {expected}",
                threads()
            );
            std::thread::yield_now();
        }
    }

    #[test]
    fn fifty_dataflows_leave_no_thread_and_no_memory() {
        let _alone = alone();
        // What is made once and kept: the library, the pools of the allocator.
        for _ in 0..10 {
            run_alone(FLOW);
        }
        let (threads_before, memory_before) = (threads(), memory());
        for _ in 0..50 {
            let ended = run_alone(FLOW);
            assert_eq!(ended.node("bad").restarts, 3);
        }
        settle_at(threads_before);
        let grown = memory().saturating_sub(memory_before);
        // Fifty runs pass 500 messages of 10 kB each: 250 MB.
        assert!(grown < 8 << 20, "{grown} bytes more");
    }

    #[test]
    fn threads_of_a_dataflow_that_is_dropped_end() {
        let _alone = alone();
        run_alone(FLOW);
        let before = threads();
        let descriptor = descriptor(
            "
            nodes:
              - id: source
                kind: own-thread
                config: {count: 1000000000}
              - id: reader
                kind: slow
                config: {micros: 100}
                inputs: {in: {source: source/out, queue_policy: backpressure}}
              - id: ticked
                kind: relay
                inputs: {tick: dora/timer/millis/1, in: reader/out}
        ",
        );
        let plan = plan(&descriptor);
        crate::harness::drop_while_it_runs(&plan, "ticked");
        settle_at(before);
    }
}
