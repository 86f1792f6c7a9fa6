//! Two dataflows in place of two machines, joined by outlets and inputs.

use super::{Wire, attach, input};
use crate::harness::{DEADLINE, Ended, GRACE, Live, among_others, launch_with, share};
use host_testing::fresh_dir;
use std::sync::Arc;
use std::time::Duration;

/// Runs `senders` in one dataflow and the rest in another, joined at `from` and `to`, whose queue holds `size`.
fn join(yaml: &str, [senders, readers]: [&[&str]; 2], edge: [(&str, &str); 2], size: u64) -> Pair {
    let [from, to] = edge;
    let (part, plan) = share(yaml, readers);
    let mut wire = None;
    let reading = launch_with(part, &plan, |dataflow| {
        wire = Some(Wire::new(input(dataflow, to.0, to.1), size));
    });
    let wire = wire.expect("it was made");
    let (part, mut plan) = share(yaml, senders);
    plan.patience = Duration::from_millis(20);
    let outlet = wire.clone();
    let sending = launch_with(part, &plan, |dataflow| {
        attach(dataflow, from.0, from.1, outlet);
    });
    Pair {
        sending,
        reading,
        wire,
    }
}

struct Pair {
    sending: Live,
    reading: Live,
    wire: Arc<Wire>,
}

impl Pair {
    fn end(self) -> (Ended, Ended) {
        let sending = self.sending.end();
        (sending, self.reading.end())
    }
}

#[test]
fn backpressure_goes_through_and_nothing_is_lost() {
    let _gate = among_others();
    for size in [1, 2, 7, 64] {
        let yaml = format!(
            "
            nodes:
              - id: source
                kind: source
                config: {{count: 2000, burst: 500}}
                inputs: {{tick: dora/timer/millis/1}}
              - id: slow
                kind: slow
                config: {{micros: 20}}
                inputs: {{in: {{source: source/out, queue_policy: backpressure, queue_size: {size}}}}}
              - id: checker
                kind: checker
                inputs: {{in: {{source: slow/out, queue_policy: backpressure, queue_size: 3}}}}
        "
        );
        let pair = join(
            &yaml,
            [&["source"], &["slow", "checker"]],
            [("source", "out"), ("slow", "in")],
            size,
        );
        let (sending, reading) = pair.end();
        assert_eq!(sending.endings(), ["source: finished"]);
        assert_eq!(sending.node("source").sent(), 2_000);
        assert_eq!(sending.node("source").unsent(), 0);
        assert_eq!(reading.checked("checker"), (2_000, 0), "size {size}");
        let count = reading.input("slow", "in");
        assert_eq!((count.taken, count.missed, count.dropped), (2_000, 0, 0));
        // The sender's end has come through, too.
        assert_eq!(
            reading.endings(),
            ["slow: finished", "checker: finished"],
            "size {size}"
        );
    }
}

#[test]
fn a_reader_that_is_made_again_keeps_its_sender_waiting() {
    let _gate = among_others();
    let pair = join(
        "
        nodes:
          - id: source
            kind: own-thread
            config: {count: 300}
          - id: reader
            kind: failing
            config: {at: 5, times: 3}
            restart_policy: on-failure
            restart_delay: 0.01
            inputs: {in: {source: source/out, queue_policy: backpressure, queue_size: 4}}
    ",
        [&["source"], &["reader"]],
        [("source", "out"), ("reader", "in")],
        4,
    );
    let (sending, reading) = pair.end();
    assert_eq!(sending.node("source").unsent(), 0);
    let count = reading.input("reader", "in");
    assert_eq!((count.taken, count.missed, count.discarded), (300, 0, 0));
    assert_eq!(reading.node("reader").restarts, 3);
}

#[test]
fn the_reader_of_a_waiting_sender_may_end_elsewhere() {
    let _gate = among_others();
    for how in ["done", "error"] {
        let yaml = format!(
            "
            nodes:
              - id: source
                kind: source
                config: {{count: 500, burst: 500}}
                inputs: {{tick: dora/timer/millis/1}}
              - id: reader
                kind: failing
                config: {{how: {how}, at: 3}}
                inputs: {{in: {{source: source/out, queue_policy: backpressure, queue_size: 2}}}}
        "
        );
        let pair = join(
            &yaml,
            [&["source"], &["reader"]],
            [("source", "out"), ("reader", "in")],
            2,
        );
        // While the reader's dataflow has not ended, late messages are counted there.
        let sending = pair.sending.end();
        assert_eq!(sending.endings(), ["source: finished"], "{how}");
        assert_eq!(super::lock(&pair.wire.state).limit, u64::MAX);
        let reading = pair.reading.end();
        assert_eq!(reading.input("reader", "in").taken, 3, "{how}");
        assert_eq!(reading.input("reader", "in").missed, 0, "{how}");
    }
}

#[test]
fn a_sender_that_waits_long_says_for_whom_and_wakes_on_a_stop() {
    let _gate = among_others();
    let folder = fresh_dir();
    let file = folder.path().join("go on");
    let yaml = format!(
        "
        nodes:
          - id: source
            kind: source
            config: {{count: 1000, burst: 1000}}
            inputs: {{tick: dora/timer/millis/1}}
          - id: reader
            kind: stubborn
            config: {{until: '{}'}}
            inputs: {{in: {{source: source/out, queue_policy: backpressure, queue_size: 3}}}}
    ",
        file.display()
    );
    let pair = join(
        &yaml,
        [&["source"], &["reader"]],
        [("source", "out"), ("reader", "in")],
        3,
    );
    let said = "has been waiting 20ms for room in input `reader/in` on machine `there`";
    pair.sending.log.wait_for("source", said, 1);
    pair.sending.stop(GRACE);
    let sending = pair.sending.end();
    assert_eq!(sending.endings(), ["source: stopped"]);
    assert_eq!(sending.log.matching("source", "waiting").len(), 1);
    let source = sending.node("source");
    // One was in the reader's hand, three in its queue, one in the sender's hand.
    assert_eq!((source.sent(), source.unsent()), (5, 1));
    std::fs::write(&file, "").expect("a fresh folder can be written");
    let reading = pair.reading.end();
    assert_eq!(reading.input("reader", "in").taken, 4);
    assert_eq!(reading.endings(), ["reader: finished"]);
}

#[test]
fn a_chain_goes_out_and_comes_back() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: source
            kind: own-thread
            config: {count: 500}
          - id: relay
            kind: relay
            inputs: {in: {source: source/out, queue_policy: backpressure, queue_size: 5}}
          - id: checker
            kind: checker
            inputs: {in: {source: relay/out, queue_policy: backpressure, queue_size: 5}}
    ";
    let (there, plan_there) = share(yaml, &["relay"]);
    let (here, mut plan_here) = share(yaml, &["source", "checker"]);
    plan_here.held = true;
    let mut back = None;
    let mut forth = None;
    let live_here = launch_with(here, &plan_here, |dataflow| {
        back = Some(Wire::new(input(dataflow, "checker", "in"), 5));
        let (part, plan) = (there, &plan_there);
        forth = Some(launch_with(part, plan, |other| {
            let wire = Wire::new(input(other, "relay", "in"), 5);
            attach(dataflow, "source", "out", wire);
            attach(other, "relay", "out", back.clone().expect("just made"));
        }));
    });
    live_here.command(host::engine::Command::Go);
    let here = live_here.end();
    assert_eq!(here.checked("checker"), (500, 0));
    let there = forth.expect("it was started").end();
    assert_eq!(there.node("relay").received, 500);
    assert!(here.report.took < DEADLINE);
}
