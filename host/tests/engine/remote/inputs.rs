//! Inputs that are fed from outside.

use super::input;
use crate::harness::{Ended, GRACE, Live, among_others, launch_with, share};
use host::engine::{RemoteInput, Taken};
use host_testing::fresh_dir;
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

fn message(number: u64) -> Message {
    let stamp = Timestamp::default();
    Message::from_text(stamp, &number.to_string(), &[]).expect("memory")
}

fn number(message: &Message) -> u64 {
    let text = message.text().expect("text");
    text.parse().expect("a number")
}

/// Starts a share with a reader in it, and what it is fed by.
fn feed(yaml: &str, here: &[&str], listen: impl FnOnce(&RemoteInput)) -> (Live, RemoteInput) {
    let (part, plan) = share(yaml, here);
    let mut fed = None;
    let live = launch_with(part, &plan, |dataflow| {
        let input = input(dataflow, "reader", "in");
        listen(&input);
        fed = Some(input);
    });
    (live, fed.expect("an input"))
}

/// A reader that is blocked in its first message while a hundred more come: what is counted, what was told, what it got.
fn after_a_flood(policy: &str) -> (Ended, Vec<Taken>, Vec<u64>) {
    let _gate = among_others();
    let folder = fresh_dir();
    let file = folder.path().join("go on");
    let yaml = format!(
        "
        nodes:
          - id: source
            kind: own-thread
          - id: reader
            kind: stubborn
            config: {{until: '{}'}}
            inputs: {{in: {{source: source/out, queue_size: 5, queue_policy: {policy}}}}}
    ",
        file.display()
    );
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let (live, fed) = feed(&yaml, &["reader"], |input| {
        input.on_taken(Arc::new(move |taken| super::lock(&hears).push(taken)));
    });
    let tap = live.probe.tap("reader", "out", 200).expect("an output");
    fed.push(message(0));
    live.log.wait_for("reader", "blocks", 1);
    for i in 1..=100 {
        fed.push(message(i));
    }
    fed.close();
    std::fs::write(&file, "").expect("a fresh folder can be written");
    let ended = live.end();
    let got = tap.messages.iter().map(|message| number(&message));
    let got = got.collect();
    let heard = super::lock(&heard).clone();
    (ended, heard, got)
}

#[test]
fn policies_are_those_of_any_input() {
    let cases = [
        ("drop_oldest", (95, 0), [0, 96, 97, 98, 99, 100]),
        ("drop_newest", (95, 0), [0, 1, 2, 3, 4, 5]),
        // Nobody waits here: what has no room is missed. One that keeps to its credits never comes so far.
        ("backpressure", (0, 95), [0, 1, 2, 3, 4, 5]),
    ];
    for (policy, (dropped, missed), expected) in cases {
        let (ended, heard, got) = after_a_flood(policy);
        let count = ended.input("reader", "in");
        assert_eq!((count.dropped, count.missed), (dropped, missed), "{policy}");
        assert_eq!(got, expected, "{policy}");
        assert_eq!(ended.node("reader").dropped(), dropped);
        // Each of them has left, then there was nothing more.
        let (last, others) = heard.split_last().expect("something was told");
        assert_eq!(*last, Taken::Closed, "{policy}");
        assert_eq!(others, [Taken::Messages(1); 101], "{policy}");
        assert_eq!(ended.endings(), ["reader: finished"]);
    }
}

#[test]
fn losses_are_counted_where_the_summary_shows_them() {
    let yaml = "
        nodes:
          - id: source
            kind: own-thread
          - id: reader
            kind: checker
            inputs: {in: source/out}
    ";
    let _gate = among_others();
    let (live, fed) = feed(yaml, &["reader"], |_| {});
    assert_eq!(
        (fed.sender.as_str(), fed.output.as_str()),
        ("source", "out")
    );
    fed.push(message(1));
    fed.lost(3);
    fed.push(message(5));
    fed.lost(4);
    fed.close();
    fed.push(message(10));
    fed.close();
    let ended = live.end();
    let reader = ended.node("reader");
    assert_eq!(ended.input("reader", "in").lost, 7);
    assert_eq!((reader.lost(), reader.dropped()), (7, 7));
    // One that came between the close and its delivery is as good as the others.
    let count = ended.input("reader", "in");
    assert_eq!(count.taken + count.discarded, 3);
    assert_eq!(ended.log.matching("reader", "closed in").len(), 1);
}

#[test]
fn what_comes_after_the_readers_end_is_discarded() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: source
            kind: own-thread
          - id: reader
            kind: checker
            config: {expect: 1}
            inputs: {in: source/out}
          - id: other
            kind: checker
            inputs: {tick: dora/timer/millis/1}
    ";
    let closed = Arc::new(AtomicU64::new(0));
    let counts = closed.clone();
    let (live, fed) = feed(yaml, &["reader", "other"], |input| {
        input.on_taken(Arc::new(move |taken| {
            if taken == Taken::Closed {
                counts.fetch_add(1, Ordering::Relaxed);
            }
        }));
    });
    fed.push(message(0));
    live.log.wait_for("reader", "finished", 1);
    for i in 0..20 {
        fed.push(message(i));
    }
    live.stop(GRACE);
    let ended = live.end();
    let count = ended.input("reader", "in");
    // Some may have come before the queue was shut, and been dropped for others.
    assert_eq!((count.taken, count.discarded + count.dropped), (1, 20));
    assert_eq!(closed.load(Ordering::Relaxed), 1);
    // Whoever asks late is told at once.
    let late = closed.clone();
    fed.on_taken(Arc::new(move |taken| {
        assert_eq!(taken, Taken::Closed);
        late.fetch_add(1, Ordering::Relaxed);
    }));
    assert_eq!(closed.load(Ordering::Relaxed), 2);
    fed.push(message(1));
    fed.lost(1);
    fed.close();
}

#[test]
fn a_timeout_closes_it_as_any_other() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: source
            kind: own-thread
          - id: reader
            kind: checker
            inputs: {in: {source: source/out, input_timeout: 0.05, queue_policy: backpressure}}
    ";
    let closed = Arc::new(AtomicU64::new(0));
    let counts = closed.clone();
    let (live, fed) = feed(yaml, &["reader"], |input| {
        input.on_taken(Arc::new(move |taken| {
            counts.fetch_add(u64::from(taken == Taken::Closed), Ordering::Relaxed);
        }));
    });
    assert_eq!(live.end().endings(), ["reader: finished"]);
    assert_eq!(closed.load(Ordering::Relaxed), 1);
    fed.push(message(1));
}

#[test]
fn many_threads_feed_one_input() {
    let _gate = among_others();
    let yaml = "
        nodes:
          - id: source
            kind: own-thread
          - id: reader
            kind: checker
            inputs: {in: {source: source/out, queue_size: 10000}}
    ";
    let taken = Arc::new(AtomicU64::new(0));
    let counts = taken.clone();
    let (live, fed) = feed(yaml, &["reader"], |input| {
        input.on_taken(Arc::new(move |taken| {
            if let Taken::Messages(messages) = taken {
                counts.fetch_add(messages, Ordering::Relaxed);
            }
        }));
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let fed = fed.clone();
            scope.spawn(move || (0..1_000).for_each(|i| fed.push(message(i))));
        }
    });
    fed.close();
    let ended = live.end();
    assert_eq!(ended.node("reader").received, 4_000);
    assert_eq!(taken.load(Ordering::Relaxed), 4_000);
}
