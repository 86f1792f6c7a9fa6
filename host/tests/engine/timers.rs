//! Timers in real time.

use crate::harness::{DEADLINE, GRACE, start};
use std::time::{Duration, Instant};

#[test]
fn sent_and_missed_ticks_are_those_that_were_due() {
    let live = start(
        "
        nodes:
          - id: fast
            kind: relay
            inputs: {tick: {source: dora/timer/millis/10, queue_size: 1000}}
          - id: slow
            kind: relay
            inputs:
              tick: {source: dora/timer/millis/10, queue_size: 1000}
              other: {source: dora/timer/hz/50, queue_size: 1000}
    ",
    );
    let tap = live.probe.tap("fast", "out", 1_000).expect("an output");
    tap.messages.recv_timeout(DEADLINE).expect("the first tick");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        tap.messages.recv_timeout(DEADLINE).expect("a tick");
    }
    let least = began.elapsed();
    live.stop(GRACE);
    let ended = live.end();
    let most = ended.report.took;
    let periods: Vec<_> = ended
        .report
        .timers
        .iter()
        .map(|timer| timer.period)
        .collect();
    assert_eq!(periods, [10, 20].map(Duration::from_millis));
    for timer in &ended.report.timers {
        let due = |time: Duration| (time.as_nanos() / timer.period.as_nanos()) as u64;
        let ticks = timer.sent + timer.missed;
        // The first tick was due one period after the start.
        let (least, most) = (due(least), due(most) + 1);
        assert!(
            (least..=most).contains(&ticks),
            "{ticks}, not {least} to {most}"
        );
    }
    // All readers of one timer get the same ticks; that they add up is checked after every run.
    let late = ended.report.timers[0].missed;
    assert_eq!(ended.input("fast", "tick").missed, late);
    assert_eq!(ended.input("slow", "tick").missed, late);
    assert_eq!(
        ended.node("slow").missed(),
        late + ended.report.timers[1].missed
    );
}

#[test]
fn ticks_for_which_a_waiting_queue_has_no_room_are_missed() {
    let folder = host_testing::fresh_dir();
    let go_on = folder.path().join("go on");
    let yaml = format!(
        "
        nodes:
          - id: reader
            kind: stubborn
            config: {{until: '{}'}}
            inputs:
              tick: {{source: dora/timer/millis/1, queue_policy: backpressure, queue_size: 2}}
          - id: other
            kind: relay
            inputs: {{tick: {{source: dora/timer/millis/1, queue_size: 100000}}}}
    ",
        go_on.display()
    );
    let live = start(&yaml);
    live.log.wait_for("reader", "blocks", 1);
    let tap = live.probe.tap("other", "out", 1_000).expect("an output");
    for _ in 0..20 {
        tap.messages
            .recv_timeout(DEADLINE)
            .expect("the timer waits for nobody");
    }
    std::fs::write(&go_on, "").expect("a fresh folder can be written");
    live.stop(GRACE);
    let ended = live.end();
    let late = ended.report.timers[0].missed;
    let count = ended.input("reader", "tick");
    assert!(count.missed >= late + 15, "{count:?}, late {late}");
    assert_eq!(ended.input("other", "tick").missed, late);
}
