//! Starts: whole or not at all.

use crate::cluster::{Cluster, Does, machine, ms, node};
use crate::{ONE, TWO};
use host::control::{ClientReply, PlacementError, StartError, Started, Step, Target, Verb};
use host::ids::DataflowId;

fn start(cluster: &mut Cluster, text: &str, name: Option<&str>) -> Result<Started, StartError> {
    let start = cluster.start(text, name);
    match cluster.finish(Verb::Start(Box::new(start))) {
        ClientReply::Start(result) => result,
        other => panic!("no answer to a start: {other:?}"),
    }
}

#[test]
fn all_machines_go_through_all_steps_and_the_placement_is_told() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let started = start(&mut cluster, TWO, Some("arm")).unwrap();
    assert_eq!(started.name.as_deref(), Some("arm"));
    assert_eq!(started.machines[&machine("B")], [node("b")]);
    for name in ["A", "B"] {
        assert_eq!(cluster.at(name).did, ["prepare", "spawn", "go"], "{name}");
    }
    assert_eq!(cluster.nodes(), ["a@A: running", "b@B: running"]);
}

#[test]
fn a_node_without_a_machine_goes_to_the_first() {
    let mut cluster = Cluster::new(&["B", "A"]);
    let started = start(&mut cluster, ONE, None).unwrap();
    assert_eq!(started.machines.keys().collect::<Vec<_>>(), [&machine("A")]);
}

#[test]
fn labels_choose_the_machine() {
    let mut cluster = Cluster::new(&["A"]).with_labels("B", &[("gpu", "yes")]);
    let text = "nodes: [{id: a, path: x, deploy: {labels: {gpu: yes}}}]";
    let started = start(&mut cluster, text, None).unwrap();
    assert_eq!(started.machines.keys().collect::<Vec<_>>(), [&machine("B")]);
}

#[test]
fn an_unknown_machine_is_named_before_anything_is_done() {
    let mut cluster = Cluster::new(&["A"]);
    let Err(StartError::NotPlaced { errors, .. }) = start(&mut cluster, TWO, None) else {
        panic!("it starts");
    };
    let [
        PlacementError::UnknownMachine {
            machine: wanted,
            known,
            ..
        },
    ] = errors.as_slice()
    else {
        panic!("another error: {errors:?}");
    };
    assert_eq!(
        (wanted, known.as_slice()),
        (&machine("B"), [machine("A")].as_slice())
    );
    assert!(cluster.at("A").did.is_empty());
}

#[test]
fn refusals_of_all_machines_are_told_together_and_nothing_is_made() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.does("A", Does::Refuses);
    cluster.does("B", Does::Refuses);
    let error = start(&mut cluster, TWO, None).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("machine `A` refuses") && text.contains("a file is missing on B"),
        "{text}"
    );
    assert_eq!(cluster.at("A").did, ["prepare", "discard"]);
}

#[test]
fn what_goes_wrong_on_one_machine_undoes_the_others() {
    type Is = fn(&StartError) -> bool;
    let b = |name: &host::ids::MachineId| name.as_str() == "B";
    assert!(b(&machine("B")));
    let table: [(Does, Is, &[&str]); 5] = [
        (
            Does::Refuses,
            |error| matches!(error, StartError::Refused(machines) if machines.len() == 1),
            &["prepare", "discard"],
        ),
        (
            Does::HangsInCheck,
            |error| matches!(error, StartError::TimedOut { machines, step: Step::Check, .. } if machines[0].as_str() == "B"),
            &["prepare", "discard"],
        ),
        (
            Does::NotMade,
            |error| matches!(error, StartError::NotMade { machine, rows } if machine.as_str() == "B" && rows.len() == 1),
            &["prepare", "spawn", "stop in 2s"],
        ),
        (
            Does::HangsInMaking,
            |error| matches!(error, StartError::TimedOut { machines, step: Step::Make, .. } if machines[0].as_str() == "B"),
            &["prepare", "spawn", "stop in 2s"],
        ),
        (
            Does::NotLinked,
            |error| matches!(error, StartError::NotLinked { machine, missing } if machine.as_str() == "B" && missing.len() == 1),
            &["prepare", "spawn", "stop in 2s"],
        ),
    ];
    for (does, is, other) in table {
        let mut cluster = Cluster::new(&["A", "B"]);
        cluster.does("B", does);
        let error = start(&mut cluster, TWO, None).unwrap_err();
        assert!(is(&error), "{does:?}: {error:?}");
        cluster.pass(ms(10_000));
        assert_eq!(cluster.at("A").did, other, "{does:?}");
        assert!(!cluster.at("B").did.contains(&"go".to_owned()), "{does:?}");
        assert_eq!(cluster.nodes(), [""; 0], "{does:?}");
    }
}

#[test]
fn nodes_that_do_not_fit_across_machines_are_not_made() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.kind("A", "a", &[("out", "UInt64")], &[]);
    cluster.kind("B", "b", &[], &[("in", "Utf8")]);
    let error = start(&mut cluster, TWO, None).unwrap_err();
    let StartError::DoNotFit(problems) = &error else {
        panic!("another error: {error:?}");
    };
    assert!(
        problems
            .to_string()
            .contains("takes `Utf8`, but output `a/out` sends `UInt64`")
    );
    assert_eq!(cluster.at("A").did, ["prepare", "discard"]);
}

#[test]
fn a_machine_that_is_lost_during_the_start_undoes_it() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.does("B", Does::HangsInMaking);
    let start = cluster.start(TWO, None);
    let id = start.dataflow;
    assert_eq!(cluster.ask(Verb::Start(Box::new(start.clone()))), None);
    cluster.at("B").cut = true;
    let reply = cluster.finish(Verb::Start(Box::new(start)));
    assert_eq!(
        reply,
        ClientReply::Start(Err(StartError::MachineLost(machine("B"))))
    );
    assert!(cluster.runs_on(id).iter().all(|machine| machine == "B"));
    // What waits on B is stopped when it comes back.
    cluster.at("B").cut = false;
    cluster.pass(ms(3000));
    assert_eq!(cluster.runs_on(id), [""; 0]);
    assert!(!cluster.at("B").did.contains(&"go".to_owned()));
}

#[test]
fn names_are_unique_among_the_running() {
    let mut cluster = Cluster::new(&["A"]);
    let first = cluster.run(ONE, Some("arm"));
    let error = start(&mut cluster, ONE, Some("arm")).unwrap_err();
    assert_eq!(
        error,
        StartError::NameTaken {
            name: "arm".into(),
            by: first
        }
    );
    // The same descriptor twice, without a name, is nothing special.
    cluster.run(ONE, None);
    cluster.run(ONE, None);
    cluster.stop(Target::Name("arm".into()));
    assert_ne!(cluster.run(ONE, Some("arm")), first);
}

#[test]
fn a_name_that_is_an_id_is_refused() {
    let mut cluster = Cluster::new(&["A"]);
    let error = start(&mut cluster, ONE, Some(&DataflowId::new().to_string())).unwrap_err();
    assert!(matches!(error, StartError::InvalidName(_)), "{error:?}");
}

#[test]
fn a_repeated_start_is_the_same_start() {
    let mut cluster = Cluster::new(&["A"]);
    let start = cluster.start(ONE, None);
    let verb = Verb::Start(Box::new(start.clone()));
    let first = cluster.finish(verb.clone());
    assert_eq!(cluster.finish(verb.clone()), first);
    assert_eq!(cluster.at("A").did, ["prepare", "spawn", "go"]);
    cluster.stop(Target::Only);
    // Also after its end it is not begun again.
    let ClientReply::Start(Ok(started)) = cluster.finish(verb) else {
        panic!("it has not been started");
    };
    assert_eq!(started.dataflow, start.dataflow);
    assert_eq!(cluster.nodes(), [""; 0]);
}

#[test]
fn a_start_that_takes_long_is_answered_with_its_progress() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.does("B", Does::HangsInCheck);
    let start = cluster.start(TWO, None);
    assert_eq!(cluster.ask(Verb::Start(Box::new(start))), None);
    cluster.pass(ms(1100));
    let answers: Vec<ClientReply> = std::mem::take(&mut cluster.answers).into_values().collect();
    let [ClientReply::Pending(progress)] = answers.as_slice() else {
        panic!("no progress: {answers:?}");
    };
    assert_eq!(progress.phase, Some(host::control::Phase::Preparing));
    assert_eq!(progress.machines, [machine("B")]);
}

#[test]
fn a_start_that_is_stopped_midway_says_so() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.does("B", Does::HangsInMaking);
    let start = cluster.start(TWO, None);
    let verb = Verb::Start(Box::new(start));
    assert_eq!(cluster.ask(verb.clone()), None);
    assert!(matches!(
        cluster.stop(Target::Only),
        ClientReply::Stop(Ok(_))
    ));
    assert_eq!(
        cluster.finish(verb),
        ClientReply::Start(Err(StartError::Stopped))
    );
}
