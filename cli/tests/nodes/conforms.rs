//! What every place does alike: messages of all types and sizes, order, queues and their policies.

use crate::dataflow::{Dataflow, Running};
use crate::place::{ALL, Place, each};
use host_testing::fixtures;

#[test]
fn all_messages_arrive_in_order() {
    each(&ALL, |place| {
        let mut dataflow = Dataflow::new(place, "relay", &[]);
        dataflow.source = "count: 300, burst: 3";
        let ended = dataflow.run().exits(0);
        assert_eq!(ended.checked("checker"), (300, 0), "{place}");
        // In, out, dropped. The source may miss ticks of its timer; the checker says its total at the end.
        assert_eq!(ended.counts("source")[1], 300, "{place}");
        assert_eq!(ended.counts("subject"), [300, 300, 0], "{place}");
        assert_eq!(ended.counts("checker"), [300, 1, 0], "{place}");
        if place == Place::Shared {
            assert_eq!(ended.counts("other"), [300, 300, 0]);
        }
        ended.row("subject", "finished").row("checker", "finished");
    });
}

#[test]
fn a_slow_reader_with_backpressure_loses_nothing() {
    each(&ALL, |place| {
        let mut dataflow = Dataflow::new(place, "slow", &[("micros", "500")]);
        dataflow.source = "count: 400, burst: 200";
        dataflow.input = "queue_size: 2, queue_policy: backpressure";
        let ended = dataflow.run().exits(0);
        assert_eq!(ended.checked("checker"), (400, 0), "{place}");
    });
}

#[test]
fn a_queue_of_one_drops_the_oldest_and_the_newest_arrives() {
    each(&ALL, |place| {
        let mut dataflow = Dataflow::new(place, "slow", &[("micros", "20000")]);
        dataflow.source = "count: 100, burst: 100";
        dataflow.input = "queue_size: 1";
        let ended = dataflow.run().exits(0);
        let (received, missing) = ended.checked("checker");
        // Only numbers before the last one that came are counted as missing.
        assert_eq!(received + missing, 100, "{place}: {}", ended.run());
        assert!(missing > 0, "{place}: {}", ended.run());
    });
}

#[test]
fn arrays_of_all_types_and_sizes_come_back_as_they_were() {
    let gallery = fixtures::path("other-arrow").display().to_string();
    each(&ALL, |place| {
        // Frames of dora 1.x have an end, and a message is not all that is in them.
        let largest = match place.release() {
            Some(release) if release.starts_with('1') => (56 << 20) - 1024,
            _ => 64 << 20,
        };
        // What has no bytes has no length in messages of dora 0.x.
        let nulls = match place.release() {
            Some(release) if release.starts_with('0') => 0,
            _ => 3,
        };
        let config = format!("config: {{largest: {largest}, nulls: {nulls}}}");
        let waits = "queue_size: 2, queue_policy: backpressure";
        let text = format!(
            "nodes:\n  - id: gallery\n    path: '{gallery}'\n    kind: gallery\n    {config}\n    \
             inputs: {{next: dora/timer/millis/2}}\n    outputs: [out]\n  - id: subject\n{}    inputs: {{in: {{source: \
             gallery/out, {waits}}}}}\n    outputs: [out]\n  - id: visitor\n    path: '{gallery}'\n    kind: visitor\n    \
             {config}\n    inputs: {{in: {{source: subject/out, {waits}}}}}\n",
            place.node("relay", &[], &[])
        );
        Running::of(|_| text.clone(), &[])
            .end()
            .exits(0)
            .says("right, all");
    });
}

/// A gallery and a node of dora 1.x that reads it, of one message too long for that.
#[test]
fn what_is_too_long_for_a_node_of_dora_is_dropped_and_said() {
    each(&[Place::Dora("1.1.0"), Place::DoraRust], |place| {
        let mut dataflow = Dataflow::new(place, "relay", &[]);
        let source = format!("count: 2, bytes: {}", 80 << 20);
        (dataflow.source, dataflow.tick) = (&source, 50);
        let ended = dataflow
            .run()
            .exits(0)
            .says("bytes is dropped: dora 1.x nodes read at most");
        assert_eq!(ended.checked("checker").0, 0, "{}", ended.run());
        assert_eq!(ended.checked("witness"), (2, 0), "{}", ended.run());
    });
}

/// What a node of dora itself cannot send it says in its own words.
#[test]
fn what_a_node_of_dora_cannot_send_is_its_own_error() {
    each(&[Place::Dora("1.1.0"), Place::DoraRust], |place| {
        let dataflow = Dataflow::new(place, "large", &[("bytes", "83886080")]);
        dataflow
            .run()
            .exits(1)
            .row("subject", "failed")
            .says("exceeding the 67108864-byte daemon transport limit");
    });
}
