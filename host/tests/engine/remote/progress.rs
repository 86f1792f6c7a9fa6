//! What is told while a dataflow runs.

use crate::harness::{GRACE, Live, among_others, descriptor, launch_with, plan};
use host::engine::{Ending, NodeProgress, Progress};
use std::sync::mpsc::{Receiver, channel};

fn start(yaml: &str) -> (Live, Receiver<Progress>) {
    let descriptor = descriptor(yaml);
    let plan = plan(&descriptor);
    let (tell, told) = channel();
    let live = launch_with(descriptor, &plan, |dataflow| {
        dataflow.watch(Box::new(move |progress| {
            tell.send(progress).expect("the test listens");
        }));
    });
    (live, told)
}

/// In few words.
fn word(progress: Progress) -> String {
    match progress {
        Progress::Made => "made".into(),
        Progress::Node {
            node,
            state,
            restarts,
        } => {
            let state = match state {
                NodeProgress::Running => "runs",
                NodeProgress::Restarting => "will be made again",
                NodeProgress::Ended(Ending::Finished) => "finished",
                NodeProgress::Ended(Ending::Stopped) => "stopped",
                NodeProgress::Ended(_) => "failed",
            };
            format!("{node} {state} #{restarts}")
        }
    }
}

#[test]
fn restarts_and_ends_are_told_in_order() {
    let _gate = among_others();
    let (live, told) = start(
        "
        nodes:
          - id: relay
            kind: failing
            config: {at: 2, times: 2}
            restart_policy: on-failure
            inputs: {tick: dora/timer/millis/2}
    ",
    );
    live.log.wait_for("relay", "restart_count 2", 1);
    live.stop(GRACE);
    live.end();
    let told: Vec<_> = told.iter().map(word).collect();
    let expected = [
        "made",
        "relay runs #0",
        "relay will be made again #0",
        "relay runs #1",
        "relay will be made again #1",
        "relay runs #2",
        "relay stopped #2",
    ];
    // The stop may have come before the last instance was let go.
    let without_last_run: Vec<_> = [&expected[..5], &expected[6..]].concat();
    assert!(told == expected || told == without_last_run, "{told:?}");
}

#[test]
fn a_start_that_fails_is_no_start() {
    let _gate = among_others();
    let (live, told) = start(
        "
        nodes:
          - id: one
            kind: relay
            inputs: {tick: dora/timer/millis/1}
          - id: two
            kind: failing
            config: {how: create}
            inputs: {tick: dora/timer/millis/1}
    ",
    );
    live.end();
    let mut told: Vec<_> = told.iter().map(word).collect();
    told.sort();
    assert_eq!(told, ["one stopped #0", "two failed #0"]);
}

#[test]
fn every_node_runs_after_all_were_made() {
    let _gate = among_others();
    let (live, told) = start(
        "
        nodes:
          - id: source
            kind: own-thread
            config: {count: 3}
          - id: reader
            kind: checker
            inputs: {in: source/out}
    ",
    );
    live.end();
    let told: Vec<_> = told.iter().map(word).collect();
    let find = |text: &str| told.iter().position(|word| word == text);
    let at = |text: &str| find(text).expect(text);
    assert!(at("made") < at("reader runs #0"), "{told:?}");
    assert!(at("reader runs #0") < at("reader finished #0"));
    // One with a thread of its own may be done before the other is made, and then never runs together with it.
    let ended = at("source finished #0");
    if let Some(runs) = find("source runs #0") {
        assert!(at("made") < runs && runs < ended, "{told:?}");
    }
}
