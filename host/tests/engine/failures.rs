//! Nodes that fail: how they are named, and who goes on.

use crate::harness::run;

fn failing(how: &str, more: &str) -> String {
    format!(
        "
        nodes:
          - id: source
            kind: source
            config: {{count: 20}}
            inputs: {{tick: dora/timer/millis/1}}
          - id: bad
            kind: failing
            config: {{how: {how}, at: 3}}
            {more}
            inputs: {{other: dora/timer/secs/100, in: {{source: source/out, queue_size: 20}}}}
          - id: reader
            kind: checker
            inputs: {{in: {{source: bad/out, queue_size: 20}}}}
          - id: bystander
            kind: checker
            inputs: {{in: {{source: source/out, queue_size: 20}}}}
    "
    )
}

#[test]
fn an_error_is_named_with_its_causes_and_the_last_input() {
    let ended = run(&failing("error", ""));
    assert_eq!(
        ended.endings(),
        [
            "source: finished",
            "bad: failed: no picture: the lens is covered (in)",
            "reader: finished",
            "bystander: finished"
        ]
    );
    assert_eq!(ended.report.failures().count(), 1);
    let said = "failed: no picture: the lens is covered (last input: `in`)";
    assert_eq!(ended.log.matching("bad", said).len(), 1);
    // Its reader hears that nothing more comes; whoever does not depend on it goes on.
    assert_eq!(ended.log.matching("reader", "closed in").len(), 1);
    assert_eq!(ended.checked("reader"), (2, 0));
    assert_eq!(ended.checked("bystander"), (20, 0));
}

#[test]
fn a_panic_is_named_with_file_and_line() {
    let ended = run(&failing("panic", ""));
    let ending = &ended.endings()[1];
    let (before, after) = ending.split_once("failing.rs:").expect(ending);
    assert!(before.starts_with("bad: failed: panicked at "), "{ending}");
    let (line, text) = after.split_once(": ").expect(ending);
    assert!(line.parse::<u32>().is_ok_and(|line| line > 1), "{ending}");
    assert_eq!(text, "no picture at message 3 (in)");
    assert_eq!(ended.checked("reader"), (2, 0));
    assert_eq!(ended.checked("bystander"), (20, 0));
}

#[test]
fn a_failure_that_a_callback_reports_ends_the_node_although_it_goes_on() {
    let ended = run(&failing("reported", ""));
    assert_eq!(
        ended.endings()[1],
        "bad: failed: no picture: the lens is covered (in)"
    );
    assert_eq!(ended.checked("reader"), (3, 0));
}

#[test]
fn a_node_that_cannot_be_made_starts_nothing() {
    let ended = run(&failing("create", "restart_policy: always"));
    assert_eq!(
        ended.endings(),
        [
            "source: stopped",
            "bad: not created: no picture: the lens is covered",
            "reader: stopped",
            "bystander: stopped"
        ]
    );
    assert_eq!(ended.node("source").received, 0);
    assert_eq!(ended.report.timers, []);
    let said = "could not be made: no picture: the lens is covered";
    assert_eq!(ended.log.matching("bad", said).len(), 1);
}

#[test]
fn a_failure_at_the_stop_counts() {
    let live = crate::harness::start(
        "
        nodes:
          - id: bad
            kind: failing
            config: {how: stop}
            inputs: {tick: dora/timer/secs/100}
    ",
    );
    live.stop(crate::harness::GRACE);
    assert_eq!(live.end().endings(), ["bad: failed: cannot park (-)"]);
}

#[test]
fn a_panic_in_a_drop_is_reported_and_ends_nothing_else() {
    let ended = run("
        nodes:
          - id: source
            kind: own-thread
            config: {count: 5}
          - id: bad
            kind: failing
            config: {how: drop}
            inputs: {in: source/out}
          - id: reader
            kind: checker
            inputs: {in: bad/out}
    ");
    assert_eq!(ended.endings()[1], "bad: finished");
    assert_eq!(ended.checked("reader"), (5, 0));
    let said = ended
        .log
        .matching("bad", "failed while it was dropped: panicked at ");
    assert_eq!(said.len(), 1);
    assert!(said[0].ends_with(": dropped badly"), "{said:?}");
}

#[test]
fn threads_of_a_nodes_own_may_end_it() {
    let ended = run("
        nodes:
          - id: done
            kind: own-thread
            config: {count: 10, origin: 1}
          - id: bad
            kind: own-thread
            config: {count: 10, origin: 2, then: fail}
          - id: reader
            kind: checker
            inputs: {done: done/out, bad: bad/out}
    ");
    assert_eq!(
        ended.endings(),
        [
            "done: finished",
            "bad: failed: the thread has failed (-)",
            "reader: finished"
        ]
    );
    assert_eq!(ended.checked("reader"), (20, 0));
}
