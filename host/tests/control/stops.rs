//! Stops, restarts, and the end of everything.

use crate::cluster::{Cluster, Does, machine, ms};
use crate::{ONE, TWO};
use host::control::{
    ClientReply, DestroyError, NodeEnd, RequestId, StopError, Target, TargetError, Verb,
};
use host::coordinator::{Event, Standing};
use host::daemon::Exit;
use host::ids::DataflowId;

fn stop(target: Target, grace: u64, force: bool) -> Verb {
    Verb::Stop {
        target,
        grace: ms(grace),
        force,
    }
}

#[test]
fn a_stop_reaches_all_machines_and_tells_every_end() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, Some("arm"));
    let ClientReply::Stop(Ok(ended)) = cluster.stop(Target::Name("arm".into())) else {
        panic!("it does not stop");
    };
    assert_eq!(
        (ended.dataflow, ended.stopped, ended.is_failure()),
        (id, true, false)
    );
    let rows: Vec<String> = ended
        .rows
        .iter()
        .map(|it| format!("{} {}", it.node, it.end))
        .collect();
    assert_eq!(rows, ["a stopped", "b stopped"]);
    assert!(cluster.disk.get(id).is_some_and(|it| it.is_over()));
}

#[test]
fn the_ledger_knows_of_a_stop_before_any_daemon_does() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    assert_eq!(
        cluster.disk.get(id).map(|it| it.standing),
        Some(Standing::Runs)
    );
    cluster.at("A").cut = true;
    cluster.at("B").cut = true;
    assert_eq!(cluster.ask(stop(Target::Id(id), 100, false)), None);
    assert_eq!(
        cluster.disk.get(id).map(|it| it.standing),
        Some(Standing::Ending)
    );
}

#[test]
fn force_does_not_wait_for_the_nodes() {
    let mut cluster = Cluster::new(&["A"]);
    let id = cluster.run(ONE, None);
    cluster.does("A", Does::GoesOn);
    assert_eq!(cluster.ask(stop(Target::Only, 60_000, false)), None);
    cluster.pass(ms(2000));
    assert_eq!(cluster.runs_on(id), ["A"]);
    let reply = cluster.finish(stop(Target::Only, 0, true));
    let ClientReply::Stop(Ok(ended)) = reply else {
        panic!("it does not stop: {reply:?}");
    };
    assert_eq!(ended.rows[0].end, NodeEnd::Stuck);
    assert_eq!(cluster.at("A").did[3..], ["stop in 60s", "abandon"]);
}

#[test]
fn nodes_that_do_not_stop_are_abandoned_after_their_grace() {
    let mut cluster = Cluster::new(&["A"]);
    cluster.run(ONE, None);
    cluster.does("A", Does::GoesOn);
    let reply = cluster.stop(Target::Only);
    assert!(matches!(reply, ClientReply::Stop(Ok(_))), "{reply:?}");
    assert_eq!(cluster.at("A").did[3..], ["stop in 2s", "abandon"]);
}

#[test]
fn a_daemon_gives_up_nodes_that_never_end() {
    let mut cluster = Cluster::new(&["A"]);
    cluster.run(ONE, None);
    cluster.does("A", Does::Stuck);
    let ClientReply::Stop(Ok(ended)) = cluster.stop(Target::Only) else {
        panic!("it does not stop");
    };
    assert_eq!(ended.rows[0].end, NodeEnd::Stuck);
}

#[test]
fn a_stop_that_takes_too_long_names_the_machine() {
    let mut cluster = Cluster::new(&["A", "B"]);
    // So that the silence of B does not make it lost before.
    cluster.timing.lost = ms(60_000);
    cluster.start_coordinator();
    cluster.pass(ms(6000));
    let id = cluster.run(TWO, None);
    cluster.at("B").cut = true;
    let reply = cluster.stop(Target::Only);
    let ClientReply::Stop(Err(StopError::TimedOut {
        machines,
        dataflow,
        limit,
    })) = reply
    else {
        panic!("another answer: {reply:?}");
    };
    assert_eq!(
        (machines, dataflow, limit),
        (vec![machine("B")], id, ms(7000))
    );
    cluster.at("B").cut = false;
    cluster.pass(ms(3000));
    assert_eq!(cluster.runs_on(id), [""; 0]);
}

#[test]
fn a_repeated_stop_by_name_does_not_stop_the_next_of_that_name() {
    let mut cluster = Cluster::new(&["A"]);
    let first = cluster.run(ONE, Some("arm"));
    let request = RequestId::new();
    let verb = stop(Target::Name("arm".into()), 100, false);
    cluster.ask_as(request, verb.clone());
    cluster.pass(ms(100));
    let second = cluster.run(ONE, Some("arm"));
    let Some(ClientReply::Stop(Ok(ended))) = cluster.ask_as(request, verb) else {
        panic!("another answer");
    };
    assert_eq!(ended.dataflow, first);
    assert_eq!(cluster.runs_on(second), ["A"]);
}

#[test]
fn targets() {
    let mut cluster = Cluster::new(&["A"]);
    let none = |cluster: &mut Cluster, target: Target| match cluster.ask(stop(target, 100, false)) {
        Some(ClientReply::NoTarget(error)) => error,
        other => panic!("another answer: {other:?}"),
    };
    assert_eq!(none(&mut cluster, Target::Only), TargetError::NoneRuns);
    let id = cluster.run(ONE, Some("arm"));
    cluster.run(ONE, None);
    let TargetError::Unknown { running, .. } = none(&mut cluster, Target::parse("leg")) else {
        panic!("it is known");
    };
    assert!(running.contains(&"arm".to_owned()));
    let TargetError::Several { among } = none(&mut cluster, Target::Only) else {
        panic!("one of two is chosen");
    };
    assert_eq!(among.len(), 2);
    cluster.stop(Target::parse(&id.to_string()));
    for text in ["arm".to_owned(), id.to_string()] {
        let error = none(&mut cluster, Target::parse(&text));
        assert_eq!(
            error,
            TargetError::Over {
                target: text,
                dataflow: id
            }
        );
    }
}

#[test]
fn a_restart_keeps_the_name_and_is_a_new_dataflow() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let old = cluster.run(TWO, Some("arm"));
    let new = DataflowId::new();
    let restart = Verb::Restart {
        target: Target::Name("arm".into()),
        dataflow: new,
        grace: ms(100),
        force: false,
    };
    let ClientReply::Start(Ok(started)) = cluster.finish(restart.clone()) else {
        panic!("it does not start");
    };
    assert_eq!(
        (started.dataflow, started.name.as_deref()),
        (new, Some("arm"))
    );
    assert!(cluster.runs_on(old).is_empty());
    assert_eq!(cluster.runs_on(new), ["A", "B"]);
    // Asked again by a command that has not heard the answer.
    assert_eq!(cluster.finish(restart), ClientReply::Start(Ok(started)));
}

#[test]
fn a_dataflow_whose_nodes_have_ended_is_over() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    cluster.all_end("A", id, NodeEnd::Finished);
    assert_eq!(cluster.ask(Verb::Wait(id)), None);
    cluster.all_end(
        "B",
        id,
        NodeEnd::Failed {
            text: "panicked".into(),
            last_input: None,
        },
    );
    let ClientReply::Ended(ended) = cluster.finish(Verb::Wait(id)) else {
        panic!("it is not over");
    };
    assert!(ended.is_failure() && ended.started && !ended.stopped);
    assert_eq!(ended.rows.len(), 2);
}

#[test]
fn when_all_readers_have_ended_the_sources_are_stopped() {
    for (key, stops) in [("exit_when_nodes_finish: true", true), ("", false)] {
        let mut cluster = Cluster::new(&["A", "B"]);
        let id = cluster.run(&format!("{key}{TWO}"), None);
        cluster.all_end("B", id, NodeEnd::Finished);
        cluster.pass(ms(2000));
        assert_eq!(cluster.runs_on(id).is_empty(), stops, "{key}");
    }
}

#[test]
fn inputs_that_read_a_node_that_has_ended_elsewhere_are_closed() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    cluster.node_ends("A", id, "a", NodeEnd::Finished);
    assert!(
        cluster.at("B").closed.is_empty(),
        "messages may still be under way"
    );
    cluster.pass(ms(2000));
    assert_eq!(cluster.at("B").closed, ["b/in"]);
    assert!(cluster.at("A").closed.is_empty());
    // Once, however long it goes on.
    cluster.pass(ms(5000));
    assert_eq!(cluster.at("B").closed, ["b/in"]);
}

#[test]
fn the_end_of_everything_stops_dataflows_then_daemons_then_the_coordinator() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    let reply = cluster.finish(Verb::Destroy);
    assert_eq!(reply, ClientReply::Destroyed(Ok(())));
    assert!(cluster.runs_on(id).is_empty() && cluster.coordinator_ended);
    for name in ["A", "B"] {
        assert_eq!(cluster.at(name).exit, Some(Exit::Stopped), "{name}");
    }
    assert!(cluster.disk.get(id).is_some_and(|it| it.is_over()));
}

#[test]
fn the_end_of_everything_names_daemons_that_do_not_answer() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.timing.lost = ms(60_000);
    cluster.start_coordinator();
    cluster.pass(ms(6000));
    cluster.at("B").cut = true;
    let reply = cluster.finish(Verb::Destroy);
    let machines = vec![machine("B")];
    assert_eq!(
        reply,
        ClientReply::Destroyed(Err(DestroyError::TimedOut { machines }))
    );
    assert!(cluster.coordinator_ended);
}

#[test]
fn a_coordinator_that_is_interrupted_stops_dataflows_if_asked() {
    for stop_dataflows in [true, false] {
        let mut cluster = Cluster::new(&["A"]);
        let id = cluster.run(ONE, None);
        cluster.coordinator(Event::Shutdown { stop_dataflows });
        cluster.pass(ms(100));
        assert!(cluster.coordinator_ended);
        assert_eq!(cluster.runs_on(id).is_empty(), stop_dataflows);
        assert_eq!(cluster.at("A").exit, None);
    }
}

#[test]
fn a_second_interrupt_does_not_wait() {
    let mut cluster = Cluster::new(&["A"]);
    cluster.run(ONE, None);
    cluster.does("A", Does::GoesOn);
    let stop_dataflows = true;
    cluster.coordinator(Event::Shutdown { stop_dataflows });
    cluster.deliver();
    assert!(!cluster.coordinator_ended);
    cluster.coordinator(Event::Shutdown { stop_dataflows });
    assert!(cluster.coordinator_ended);
}
