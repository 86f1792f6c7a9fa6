//! A reader that takes a thousand times as long for a message as its sender: whatever the policy of its queue, memory stays
//! bounded and every message is accounted for.

use crate::dataflow::{Ended, Running};
use crate::place::Place;
use crate::{DEADLINE, alone};
use host_testing::{fault, fixtures, fresh_dir, wait_until};

/// What the sender is able to do: a message of this size in some tens of microseconds.
const BYTES: u64 = 100_000;
/// Messages where those that find no room are dropped: 4 GB, if anybody kept them.
const FLOOD: u64 = 40_000;
/// How long all messages take the reader where the sender waits, in microseconds.
const AWAITED: u64 = 3_000_000;

/// What the reader takes for a message, in microseconds: from a process of its own one comes in four times the time.
fn slow(place: Place) -> u64 {
    match place {
        Place::Daemon => 20_000,
        _ => 80_000,
    }
}
/// What all processes of the run may have in memory of their own at any time, in KiB: 40 MiB were seen, most of which is the
/// memory that messages are in on their way from one process to another, and is bounded there.
const MOST_KIB: u64 = 128 << 10;

fn text(place: Place, policy: &str, count: u64) -> String {
    let flow = fixtures::path("flow").display().to_string();
    let (count, bytes, slow) = (count.to_string(), BYTES.to_string(), slow(place));
    let sender = place.node("own-thread", &[("count", &count), ("bytes", &bytes)], &[]);
    format!(
        "nodes:\n  - id: sender\n{sender}    outputs: [out]\n  - id: slow\n    path: '{flow}'\n    kind: slow\n    config: \
         {{micros: {slow}}}\n    inputs: {{in: {{source: sender/out, queue_size: 10, queue_policy: {policy}}}}}\n    outputs: \
         [out]\n"
    )
}

/// Runs it to its end; what came of it, and the most memory of their own that its processes were seen to have, in KiB.
fn run(place: Place, policy: &str, count: u64) -> (Ended, u64) {
    let mut running = Running::in_folder(fresh_dir(), &text(place, policy, count), &[]);
    let mut most = 0;
    wait_until("the end of the dataflow", DEADLINE, || {
        let processes = running.all();
        let memory = processes.into_iter().filter_map(crate::usage::Usage::of);
        most = memory.map(|usage| usage.memory).sum::<u64>().max(most);
        running.is_over()
    });
    let ended = running.end().exits(0);
    println!("{place}, {policy}: {} MiB at most", most >> 10);
    assert!(
        (1..MOST_KIB).contains(&most),
        "{place}, {policy}: {most} KiB"
    );
    let [_, sent, _] = ended.counts("sender");
    assert_eq!(sent, count, "{place}, {policy}: {}", ended.run());
    (ended, most)
}

#[test]
fn what_a_slow_reader_does_not_get_is_counted() {
    let _alone = alone();
    for place in [Place::Daemon, Place::Own] {
        for policy in ["drop_oldest", "drop_newest"] {
            let checked = "memory is bounded; what is dropped is counted, to the last message";
            let what = format!("a reader 1000 times slower than its sender, {policy}");
            let _row = fault(what, format!("sender: {place}"), checked);
            let (ended, _) = run(place, policy, FLOOD);
            let [received, _, dropped] = ended.counts("slow");
            println!(
                "{place}, {policy}: one of {} arrives",
                FLOOD / received.max(1)
            );
            assert_eq!(received + dropped, FLOOD, "{}", ended.run());
            assert!(dropped > 10 * received, "it was slow: {}", ended.run());
        }
    }
}

#[test]
fn a_slow_reader_that_is_waited_for_gets_everything() {
    let _alone = alone();
    for place in [Place::Daemon, Place::Own] {
        let checked = "memory is bounded; nothing is lost";
        let what = "a reader 1000 times slower than its sender, backpressure";
        let _row = fault(what, format!("sender: {place}"), checked);
        let count = AWAITED / slow(place);
        let (ended, _) = run(place, "backpressure", count);
        assert_eq!(ended.counts("slow"), [count, count, 0], "{}", ended.run());
    }
}
