//! The rules one by one as scripts, and random schedules of a simulated world. Time is a number here.

use super::*;
use plugin_abi::hosting::NodeFailure;
use std::num::NonZeroU32;

mod random;

/// A node that is never restarted and reads no other.
fn plain() -> NodeSpec {
    NodeSpec {
        restart: Restart::default(),
        reads: false,
        optional: false,
        listens: false,
    }
}

fn reader() -> NodeSpec {
    NodeSpec {
        reads: true,
        ..plain()
    }
}

fn restarting(policy: RestartPolicy) -> NodeSpec {
    NodeSpec {
        restart: Restart {
            policy,
            ..Restart::default()
        },
        reads: false,
        optional: false,
        listens: false,
    }
}

fn failure() -> NodeFailure {
    NodeFailure::new("no camera")
}

fn failed() -> Ending {
    Ending::Failed {
        failure: Box::new(failure()),
        last_input: None,
    }
}

fn created(node: NodeIndex) -> Event {
    Event::Created(node)
}

fn ended(node: NodeIndex, ending: Ending) -> Event {
    Event::Ended(node, ending, false)
}

fn stop(grace_ms: u64) -> Event {
    Event::Stop {
        grace: Duration::from_millis(grace_ms),
    }
}

fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Finished => "finished",
        Ending::Stopped => "stopped",
        Ending::Failed { .. } => "failed",
        Ending::NotCreated(_) => "not created",
        Ending::Stuck => "stuck",
    }
}

/// An action in few words.
fn shown(action: &Action) -> String {
    match action {
        Action::Create {
            node,
            restart_count,
        } => format!("create {node}#{restart_count}"),
        Action::Go(node) => format!("go {node}"),
        Action::Made => "made".into(),
        Action::Started => "started".into(),
        Action::Stop(node) => format!("stop {node}"),
        Action::WillRestart {
            node,
            ending,
            after,
        } => format!("{} {node}: again in {}", word(ending), after.as_millis()),
        Action::Retire(node, ending) => format!("retire {node} {}", word(ending)),
        Action::Silence(node) => format!("silence {node}"),
        Action::Over => "over".into(),
    }
}

/// One step: when (in milliseconds), what happens, which actions are expected.
type Step<'a> = (u64, Event, &'a [&'a str]);

fn play(title: &str, state: &mut State, steps: &[Step<'_>]) {
    for (at, event, expected) in steps {
        let actions = state.handle(event.clone(), Duration::from_millis(*at));
        let actions: Vec<_> = actions.iter().map(shown).collect();
        assert_eq!(actions, *expected, "{title}, at {at} ms: {event:?}");
    }
}

/// Plays a script from the beginning of a dataflow of these nodes.
fn script(title: &str, nodes: &[NodeSpec], steps: &[Step<'_>]) -> State {
    let mut state = State::new(nodes.to_vec(), false, START_GRACE);
    play(title, &mut state, steps);
    state
}

#[test]
fn every_node_is_made_first() {
    let mut state = State::new(vec![plain(), plain()], false, START_GRACE);
    let begun: Vec<_> = state.begin().iter().map(shown).collect();
    assert_eq!(begun, ["create 0#0", "create 1#0"]);
    assert_eq!(state.next_deadline(), None);
}

#[test]
fn what_goes_on_after_another_state_machine_waits_for_its_delay_and_holds_up_nobody() {
    let restart = Restart {
        policy: RestartPolicy::Always,
        delay: Some(Duration::from_millis(100)),
        max_delay: Some(Duration::from_millis(250)),
        ..Restart::default()
    };
    let delayed = NodeSpec { restart, ..plain() };
    let nodes = [delayed.clone(), plain(), delayed.clone(), delayed];
    // The first for the second time, the last for the fifth; one has never been restarted.
    let new = || State::new(nodes.to_vec(), false, START_GRACE).after(&[2, 1, 0, 5]);
    let mut state = new();
    let begun: Vec<_> = state.begin().iter().map(shown).collect();
    assert_eq!(begun, ["create 1#1", "create 2#0"]);
    assert_eq!(state.waiting().collect::<Vec<_>>(), [0, 3]);
    play(
        "two that wait",
        &mut state,
        &[
            (1, created(1), &[]),
            (2, created(2), &["made", "go 1", "go 2", "started"]),
            (200, Event::Time, &["create 0#2"]),
            (201, created(0), &["go 0"]),
            (250, Event::Time, &["create 3#5"]),
            (251, created(3), &["go 3"]),
        ],
    );
    let mut all = State::new(vec![nodes[0].clone()], false, START_GRACE)
        .held(true)
        .after(&[1]);
    let begun: Vec<_> = all.begin().iter().map(shown).collect();
    assert_eq!(begun, ["made"]);
    play(
        "only one, which waits",
        &mut all,
        &[
            (10, Event::Go, &["started"]),
            (100, Event::Time, &["create 0#1"]),
            (101, created(0), &["go 0"]),
        ],
    );
}

#[test]
fn nodes_start_together_and_the_dataflow_ends_with_the_last() {
    script(
        "three nodes",
        &[plain(), plain(), plain()],
        &[
            (1, created(2), &[]),
            (2, created(0), &[]),
            (9, created(1), &["made", "go 0", "go 1", "go 2", "started"]),
            (10, ended(0, Ending::Finished), &["retire 0 finished"]),
            (11, ended(2, failed()), &["retire 2 failed"]),
            (
                12,
                ended(1, Ending::Finished),
                &["retire 1 finished", "over"],
            ),
        ],
    );
}

#[test]
fn a_node_that_ends_before_the_start_does_not_keep_the_others_from_it() {
    script(
        "finished while made",
        &[plain(), plain()],
        &[
            (1, created(0), &[]),
            (2, ended(0, Ending::Finished), &["retire 0 finished"]),
            (3, created(1), &["made", "go 1", "started"]),
        ],
    );
    script(
        "finished as the last to be awaited",
        &[plain(), restarting(RestartPolicy::Always)],
        &[
            (1, created(1), &[]),
            (2, ended(1, failed()), &["failed 1: again in 0"]),
            (3, created(0), &["made", "go 0", "started"]),
            (3, Event::Time, &["create 1#1"]),
            (4, created(1), &["go 1"]),
        ],
    );
}

#[test]
fn a_node_that_cannot_be_made_starts_nothing() {
    let not_created = || ended(1, Ending::NotCreated(failure()));
    script(
        "the others are ready, or still being made",
        &[plain(), restarting(RestartPolicy::Always), plain()],
        &[
            (1, created(0), &[]),
            (
                2,
                not_created(),
                &["retire 1 not created", "stop 0", "stop 2"],
            ),
            (3, created(2), &[]),
            (4, ended(0, Ending::Stopped), &["retire 0 stopped"]),
            (5, ended(2, Ending::Stopped), &["retire 2 stopped", "over"]),
        ],
    );
    let state = script(
        "two cannot be made",
        &[plain(), plain()],
        &[
            (1, not_created(), &["retire 1 not created", "stop 0"]),
            (
                2,
                ended(0, Ending::NotCreated(failure())),
                &["retire 0 not created", "over"],
            ),
        ],
    );
    assert!(state.is_stopping());
    script(
        "the others have the grace period to end",
        &[plain(), plain()],
        &[
            (5, not_created(), &["retire 1 not created", "stop 0"]),
            (10_004, Event::Time, &[]),
            (10_005, Event::Time, &["retire 0 stuck", "over"]),
        ],
    );
}

/// Plays a script from the beginning of a dataflow of these nodes that is held.
fn held(title: &str, nodes: &[NodeSpec], steps: &[Step<'_>]) -> State {
    let mut state = State::new(nodes.to_vec(), false, START_GRACE).held(true);
    play(title, &mut state, steps);
    state
}

#[test]
fn nobody_goes_before_somebody_says_so() {
    held(
        "after all have been made",
        &[plain(), plain()],
        &[
            (1, created(0), &[]),
            (2, created(1), &["made"]),
            (900, Event::Time, &[]),
            (901, Event::Go, &["go 0", "go 1", "started"]),
            (902, Event::Go, &[]),
        ],
    );
    held(
        "before the last has been made",
        &[plain(), plain()],
        &[
            (1, created(0), &[]),
            (2, Event::Go, &[]),
            (3, created(1), &["made", "go 0", "go 1", "started"]),
        ],
    );
    script(
        "nothing is held",
        &[plain(), plain()],
        &[
            (1, created(0), &[]),
            (2, Event::Go, &[]),
            (3, created(1), &["made", "go 0", "go 1", "started"]),
            (4, Event::Go, &[]),
        ],
    );
}

#[test]
fn nodes_may_end_while_they_are_held() {
    held(
        "one of two",
        &[plain(), plain()],
        &[
            (1, created(0), &[]),
            (2, created(1), &["made"]),
            (3, ended(0, failed()), &["retire 0 failed"]),
            (4, Event::Go, &["go 1", "started"]),
        ],
    );
    held(
        "both",
        &[plain(), plain()],
        &[
            (1, created(0), &[]),
            (2, created(1), &["made"]),
            (3, ended(0, Ending::Finished), &["retire 0 finished"]),
            (
                4,
                ended(1, Ending::Finished),
                &["retire 1 finished", "over"],
            ),
            (5, Event::Go, &[]),
        ],
    );
    held(
        "one is made again, before and after the others go",
        &[plain(), with(10, None, None, None)],
        &[
            (1, created(0), &[]),
            (2, created(1), &["made"]),
            (3, ended(1, failed()), &["failed 1: again in 10"]),
            (13, Event::Time, &["create 1#1"]),
            (14, created(1), &[]),
            (15, ended(1, failed()), &["failed 1: again in 20"]),
            (35, Event::Time, &["create 1#2"]),
            (36, Event::Go, &["go 0", "started"]),
            (37, created(1), &["go 1"]),
        ],
    );
    held(
        "one cannot be made again, which is no failure of the start any more",
        &[plain(), with(10, None, None, None)],
        &[
            (1, created(0), &[]),
            (2, created(1), &["made"]),
            (3, ended(1, failed()), &["failed 1: again in 10"]),
            (13, Event::Time, &["create 1#1"]),
            (
                14,
                ended(1, Ending::NotCreated(failure())),
                &["not created 1: again in 20"],
            ),
            (15, Event::Go, &["go 0", "started"]),
        ],
    );
}

#[test]
fn what_is_held_can_be_ended() {
    let begin: &[Step<'_>] = &[(1, created(0), &[]), (2, created(1), &["made"])];
    let nodes = [plain(), plain()];
    let mut state = held("a stop", &nodes, begin);
    play(
        "a stop",
        &mut state,
        &[
            (3, stop(100), &["stop 0", "stop 1"]),
            (4, Event::Go, &[]),
            (5, ended(0, Ending::Stopped), &["retire 0 stopped"]),
            (6, ended(1, Ending::Stopped), &["retire 1 stopped", "over"]),
        ],
    );
    let mut state = held("a stop that one does not obey", &nodes, begin);
    play(
        "a stop that one does not obey",
        &mut state,
        &[
            (3, stop(100), &["stop 0", "stop 1"]),
            (5, ended(0, Ending::Stopped), &["retire 0 stopped"]),
            (103, Event::Time, &["retire 1 stuck", "over"]),
        ],
    );
    let mut state = held("abandoned", &nodes, begin);
    let over: &[&str] = &["retire 0 stuck", "retire 1 stuck", "over"];
    play("abandoned", &mut state, &[(3, Event::Abandon, over)]);
    held(
        "a stop before all have been made: nothing is said to be made",
        &nodes,
        &[
            (1, created(0), &[]),
            (2, stop(100), &["stop 0", "stop 1"]),
            (3, created(1), &[]),
            (4, Event::Go, &[]),
            (5, ended(1, Ending::Stopped), &["retire 1 stopped"]),
            (6, ended(0, Ending::Stopped), &["retire 0 stopped", "over"]),
        ],
    );
    held(
        "a node cannot be made",
        &nodes,
        &[
            (1, created(0), &[]),
            (
                2,
                ended(1, Ending::NotCreated(failure())),
                &["retire 1 not created", "stop 0"],
            ),
            (3, Event::Go, &[]),
            (4, ended(0, Ending::Stopped), &["retire 0 stopped", "over"]),
        ],
    );
}

#[test]
fn restart_policies_say_after_which_endings() {
    use RestartPolicy::{Always, Never, OnFailure};
    let finished = || ended(0, Ending::Finished);
    let cases = [
        (Never, finished(), "retire 0 finished"),
        (Never, ended(0, failed()), "retire 0 failed"),
        (OnFailure, finished(), "retire 0 finished"),
        (OnFailure, ended(0, failed()), "failed 0: again in 0"),
        (
            OnFailure,
            Event::Ended(0, failed(), true),
            "retire 0 failed",
        ),
        (Always, finished(), "finished 0: again in 0"),
        (Always, ended(0, failed()), "failed 0: again in 0"),
        (Always, ended(0, Ending::Stopped), "retire 0 stopped"),
        (
            Always,
            Event::Ended(0, Ending::Finished, true),
            "retire 0 finished",
        ),
        (Always, Event::Lost(0, failed()), "retire 0 failed"),
    ];
    for (policy, event, expected) in cases {
        let title = format!("{policy:?}");
        script(
            &title,
            &[restarting(policy), plain()],
            &[
                (0, created(0), &[]),
                (0, created(1), &["made", "go 0", "go 1", "started"]),
                (1, event, &[expected]),
            ],
        );
    }
}

#[test]
fn a_restart_that_fails_is_tried_again() {
    let state = script(
        "not created at a restart",
        &[restarting(RestartPolicy::OnFailure)],
        &[
            (0, created(0), &["made", "go 0", "started"]),
            (1, ended(0, failed()), &["failed 0: again in 0"]),
            (1, Event::Time, &["create 0#1"]),
            (
                2,
                ended(0, Ending::NotCreated(failure())),
                &["not created 0: again in 0"],
            ),
            (2, Event::Time, &["create 0#2"]),
            (3, created(0), &["go 0"]),
            (
                4,
                ended(0, Ending::Finished),
                &["retire 0 finished", "over"],
            ),
        ],
    );
    assert_eq!(state.restarts(0), 2);
}

fn with(
    delay_ms: u64,
    max_delay_ms: Option<u64>,
    max: Option<u32>,
    window_ms: Option<u64>,
) -> NodeSpec {
    NodeSpec {
        restart: Restart {
            policy: RestartPolicy::OnFailure,
            max: max.and_then(NonZeroU32::new),
            delay: Some(Duration::from_millis(delay_ms)),
            max_delay: max_delay_ms.map(Duration::from_millis),
            window: window_ms.map(Duration::from_millis),
        },
        reads: false,
        optional: false,
        listens: false,
    }
}

/// Lets a node fail a while after it was made, again and again: the waits in milliseconds until it is not restarted.
fn waits(spec: NodeSpec, lives_ms: u64, most: usize) -> Vec<u128> {
    let mut state = State::new(vec![spec], false, START_GRACE);
    let mut now = Duration::ZERO;
    let mut waits = Vec::new();
    while waits.len() < most {
        state.handle(created(0), now);
        now += Duration::from_millis(lives_ms);
        match state.handle(ended(0, failed()), now).first() {
            Some(Action::WillRestart { after, .. }) => {
                waits.push(after.as_millis());
                let early = now + after.saturating_sub(Duration::from_millis(1));
                if !after.is_zero() {
                    assert_eq!(state.handle(Event::Time, early), [], "not before its time");
                }
                now += *after;
                assert_eq!(state.next_deadline(), Some(now));
                assert_eq!(state.handle(Event::Time, now).len(), 1);
            }
            _ => break,
        }
    }
    waits
}

#[test]
fn delays_double_up_to_the_longest_and_restarts_are_limited() {
    assert_eq!(
        waits(with(100, None, None, None), 5, 5),
        [100, 200, 400, 800, 1_600]
    );
    assert_eq!(
        waits(with(100, Some(350), None, None), 5, 4),
        [100, 200, 350, 350]
    );
    assert_eq!(waits(with(100, None, Some(2), None), 5, 9), [100, 200]);
    assert_eq!(waits(with(0, None, Some(3), None), 5, 9), [0, 0, 0]);
    let many = waits(with(1, Some(7), None, None), 5, 100);
    assert_eq!(many.get(50..52), Some([7, 7].as_slice()), "no overflow");
}

#[test]
fn a_window_begins_the_count_and_the_delay_anew() {
    // Each life takes 30 ms: failures at 30, 70, 120 and then 190, which is more than 100 after the first.
    let window = |ms| waits(with(10, None, Some(3), Some(ms)), 30, 6);
    assert_eq!(window(100), [10, 20, 40, 10, 20, 40]);
    assert_eq!(window(1_000), [10, 20, 40]);
    // Lives longer than the window: each failure is the first.
    assert_eq!(
        waits(with(10, None, Some(1), Some(100)), 200, 4),
        [10, 10, 10, 10]
    );
    // The end of the window still belongs to it.
    assert_eq!(waits(with(10, None, Some(1), Some(100)), 90, 4), [10]);
}

#[test]
fn the_dataflow_ends_with_its_readers_when_that_was_asked_for() {
    let nodes = vec![plain(), reader(), reader()];
    let mut state = State::new(nodes.clone(), true, Duration::from_millis(50));
    let begin: &[Step<'_>] = &[
        (0, created(0), &[]),
        (0, created(1), &[]),
        (0, created(2), &["made", "go 0", "go 1", "go 2", "started"]),
        (1, ended(1, Ending::Finished), &["retire 1 finished"]),
    ];
    play("one reader is left", &mut state, begin);
    play(
        "the last reader",
        &mut state,
        &[
            (2, ended(2, failed()), &["retire 2 failed", "stop 0"]),
            (51, Event::Time, &[]),
            (52, Event::Time, &["retire 0 stuck", "over"]),
        ],
    );
    let mut state = State::new(nodes, false, START_GRACE);
    play("not asked for", &mut state, begin);
    play(
        "the rest runs on",
        &mut state,
        &[(2, ended(2, failed()), &["retire 2 failed"])],
    );
    let mut state = State::new(vec![plain(), plain()], true, START_GRACE);
    play(
        "without a reader there is nothing to wait for",
        &mut state,
        &[
            (0, created(0), &[]),
            (0, created(1), &["made", "go 0", "go 1", "started"]),
            (1, ended(1, Ending::Finished), &["retire 1 finished"]),
        ],
    );
}

#[test]
fn the_dataflow_does_not_go_on_for_optional_nodes_alone() {
    let optional = || NodeSpec {
        optional: true,
        ..plain()
    };
    let nodes = [plain(), optional(), plain(), optional()];
    script(
        "one has ended before",
        &nodes,
        &[
            (1, created(0), &[]),
            (1, created(1), &[]),
            (1, created(2), &[]),
            (
                1,
                created(3),
                &["made", "go 0", "go 1", "go 2", "go 3", "started"],
            ),
            (2, ended(0, Ending::Finished), &["retire 0 finished"]),
            (3, ended(3, Ending::Finished), &["retire 3 finished"]),
            (4, ended(2, failed()), &["retire 2 failed", "stop 1"]),
            (5, ended(1, Ending::Stopped), &["retire 1 stopped", "over"]),
        ],
    );
    script(
        "there are no others",
        &[optional(), optional()],
        &[
            (1, created(0), &[]),
            (1, created(1), &["made", "go 0", "go 1", "started"]),
            (2, ended(0, Ending::Finished), &["retire 0 finished"]),
        ],
    );
}

#[test]
fn a_reader_that_waits_for_its_restart_has_not_finished() {
    let spec = NodeSpec {
        reads: true,
        ..with(100, None, None, None)
    };
    let mut state = State::new(vec![plain(), spec], true, START_GRACE);
    play(
        "restarting reader",
        &mut state,
        &[
            (0, created(0), &[]),
            (0, created(1), &["made", "go 0", "go 1", "started"]),
            (1, ended(1, failed()), &["failed 1: again in 100"]),
            (101, Event::Time, &["create 1#1"]),
            (102, created(1), &["go 1"]),
            (
                103,
                ended(1, Ending::Finished),
                &["retire 1 finished", "stop 0"],
            ),
        ],
    );
}

#[test]
fn a_stop_reaches_nodes_in_every_phase() {
    script(
        "while they are made",
        &[plain(), plain()],
        &[
            (0, created(0), &[]),
            (1, stop(100), &["stop 0", "stop 1"]),
            (2, ended(0, Ending::Stopped), &["retire 0 stopped"]),
            (3, created(1), &[]),
            (4, ended(1, Ending::Stopped), &["retire 1 stopped", "over"]),
        ],
    );
    script(
        "one of them cannot be made",
        &[plain()],
        &[
            (1, stop(100), &["stop 0"]),
            (
                2,
                ended(0, Ending::NotCreated(failure())),
                &["retire 0 not created", "over"],
            ),
        ],
    );
    script(
        "while one runs, one waits for its restart and one is made again",
        &[
            plain(),
            with(50, None, None, None),
            with(0, None, None, None),
        ],
        &[
            (0, created(0), &[]),
            (0, created(1), &[]),
            (0, created(2), &["made", "go 0", "go 1", "go 2", "started"]),
            (1, ended(1, failed()), &["failed 1: again in 50"]),
            (1, ended(2, failed()), &["failed 2: again in 0"]),
            (1, Event::Time, &["create 2#1"]),
            (2, stop(100), &["stop 0", "retire 1 stopped", "stop 2"]),
            (51, Event::Time, &[]),
            (60, created(2), &[]),
            (70, ended(2, Ending::Stopped), &["retire 2 stopped"]),
            (
                80,
                ended(0, Ending::Finished),
                &["retire 0 finished", "over"],
            ),
        ],
    );
}

#[test]
fn nobody_is_restarted_after_a_stop() {
    script(
        "failing while stopping",
        &[restarting(RestartPolicy::Always)],
        &[
            (0, created(0), &["made", "go 0", "started"]),
            (1, stop(100), &["stop 0"]),
            (2, ended(0, failed()), &["retire 0 failed", "over"]),
        ],
    );
}

#[test]
fn whoever_has_not_stopped_after_the_grace_period_is_stuck() {
    let mut state = script(
        "one of two",
        &[plain(), plain(), plain()],
        &[
            (0, created(0), &[]),
            (0, created(1), &[]),
            (0, created(2), &["made", "go 0", "go 1", "go 2", "started"]),
            (10, stop(100), &["stop 0", "stop 1", "stop 2"]),
            (20, ended(1, Ending::Stopped), &["retire 1 stopped"]),
            (109, Event::Time, &[]),
        ],
    );
    assert_eq!(state.next_deadline(), Some(Duration::from_millis(110)));
    play(
        "a shorter grace replaces the longer, a longer one does not",
        &mut state,
        &[
            (30, stop(20), &[]),
            (31, stop(5_000), &[]),
            (49, Event::Time, &[]),
            (
                50,
                Event::Time,
                &["retire 0 stuck", "retire 2 stuck", "over"],
            ),
        ],
    );
}

#[test]
fn abandoned_it_is_over_at_once() {
    for (title, before) in [("running", None), ("stopping", Some(stop(1_000)))] {
        let mut state = script(
            title,
            &[plain(), plain()],
            &[
                (0, created(0), &[]),
                (0, created(1), &["made", "go 0", "go 1", "started"]),
            ],
        );
        if let Some(event) = before {
            state.handle(event, Duration::from_millis(1));
        }
        play(
            title,
            &mut state,
            &[
                (
                    2,
                    Event::Abandon,
                    &["retire 0 stuck", "retire 1 stuck", "over"],
                ),
                (3, Event::Abandon, &[]),
            ],
        );
    }
}

#[test]
fn late_and_senseless_events_change_nothing() {
    let mut state = script(
        "before",
        &[plain(), with(50, None, None, None)],
        &[
            (0, created(0), &[]),
            (0, created(1), &["made", "go 0", "go 1", "started"]),
            (0, created(1), &[]),
            (1, ended(0, Ending::Finished), &["retire 0 finished"]),
            (2, ended(0, failed()), &[]),
            (2, created(0), &[]),
            (2, Event::Lost(0, failed()), &[]),
            (3, ended(1, failed()), &["failed 1: again in 50"]),
            (4, ended(1, failed()), &[]),
            (4, created(1), &[]),
            (5, created(7), &[]),
            (5, ended(7, failed()), &[]),
            (5, Event::Lost(7, failed()), &[]),
        ],
    );
    assert_eq!(state.restarts(7), 0);
    play(
        "the thread of a waiting node is gone",
        &mut state,
        &[
            (6, Event::Lost(1, failed()), &["retire 1 failed", "over"]),
            (7, stop(1), &[]),
            (60, Event::Time, &[]),
            (61, created(1), &[]),
        ],
    );
}

#[test]
fn endings_that_are_failures() {
    let failures = [failed(), Ending::NotCreated(failure()), Ending::Stuck];
    assert!(failures.iter().all(Ending::is_failure));
    assert!(
        ![Ending::Finished, Ending::Stopped]
            .iter()
            .any(Ending::is_failure)
    );
}

#[test]
fn readers_of_log_lines_hear_no_more_when_all_others_have_ended() {
    let listener = NodeSpec {
        listens: true,
        ..plain()
    };
    let mut state = State::new(vec![plain(), listener, plain()], false, START_GRACE);
    state.begin();
    for node in 0..3 {
        state.handle(Event::Created(node), Duration::ZERO);
    }
    let ended = |node| Event::Ended(node, Ending::Finished, node == 1);
    let first = state.handle(ended(0), Duration::ZERO);
    assert!(!first.contains(&Action::Silence(1)), "{first:?}");
    let second = state.handle(ended(2), Duration::ZERO);
    assert!(second.contains(&Action::Silence(1)), "{second:?}");
    let last = state.handle(ended(1), Duration::ZERO);
    assert!(last.contains(&Action::Over), "{last:?}");
}
