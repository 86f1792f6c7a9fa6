//! Daemons whose workers die: what becomes of what ran in them, and what is told of it.

use crate::cluster::{Cluster, machine, ms, node};
use host::control::{Culprit, Epoch, Fallen, NodeEnd};
use host::coordinator::Note;
use host::daemon;
use host::ids::DataflowId;

/// A node that is started again after failures, one that always is, one that never is.
const FLOW: &str = "nodes: [{id: a, path: x, outputs: [out], restart_policy: on-failure, max_restarts: 2}, \
                    {id: b, path: x, restart_policy: always, inputs: {in: a/out}}, \
                    {id: c, path: x, inputs: {in: a/out}}]";

/// The daemon of a machine dies of this node, and has another life.
fn dies(cluster: &mut Cluster, name: &str, dataflow: DataflowId, culprit: &str) {
    let epoch = cluster.at(name).epoch;
    cluster.kill_daemon(name);
    let culprit = Culprit {
        dataflow,
        node: node(culprit),
        text: format!("crashed the daemon of machine `{name}`: SIGSEGV"),
        last_input: None,
    };
    let fallen = Fallen {
        epoch,
        how: "SIGSEGV".into(),
        culprit: Some(culprit),
    };
    cluster.start_daemon_after(name, vec![fallen]);
    cluster.pass(ms(2_000));
}

#[test]
fn those_that_may_begin_again_do_with_the_culprit_apart() {
    let mut cluster = Cluster::new(&["A"]);
    let id = cluster.run(FLOW, None);
    dies(&mut cluster, "A", id, "a");
    assert_eq!(cluster.at("A").did, ["prepare", "spawn", "go"]);
    let again = cluster.at("A").again.clone().expect("it begins again");
    assert_eq!(again.own, [node("a")].into());
    assert_eq!(again.restarts, [(node("a"), 1), (node("b"), 1)].into());
    let lost = NodeEnd::Lost {
        machine: machine("A"),
        why: Some("which node `a` crashed".into()),
    };
    assert_eq!(again.over, [(node("c"), lost)].into());
    let notes = &cluster.notes;
    let died = Note::DaemonDied(machine("A"), "SIGSEGV".into());
    let place = |note: &Note| notes.iter().position(|known| known == note);
    let died = place(&died).expect("its death is told");
    let again = place(&Note::Again(id, machine("A"))).expect("what goes on is told");
    assert!(died < again, "{notes:?}");
    let anew = Note::DaemonRestarted(machine("A"));
    assert!(!notes.contains(&anew), "{notes:?}");
    // The next time it is another one, and the first stays apart.
    dies(&mut cluster, "A", id, "b");
    let again = cluster.at("A").again.clone().expect("it begins again");
    assert_eq!(again.own, [node("a"), node("b")].into());
    assert_eq!(again.restarts, [(node("a"), 2), (node("b"), 2)].into());
    // Once too often for one of them.
    dies(&mut cluster, "A", id, "b");
    let again = cluster.at("A").again.clone().expect("it begins again");
    assert_eq!(again.restarts, [(node("b"), 3)].into());
    assert_eq!(again.own, [node("b")].into());
    assert_eq!(cluster.runs_on(id), ["A"]);
}

/// `d` is never made again, and the one on B goes on.
const FAR: &str = "nodes: [{id: a, path: x, outputs: [out], restart_policy: on-failure, deploy: {machine: A}}, \
                    {id: b, path: x, inputs: {in: a/out, late: d/out}, outputs: [back], restart_policy: always, \
                    deploy: {machine: B}}, \
                    {id: c, path: x, restart_policy: always, inputs: {in: b/back}, deploy: {machine: A}}, \
                    {id: d, path: x, inputs: {in: b/back}, outputs: [out], deploy: {machine: A}}]";

/// What a machine was told to connect with anew: the machine, its life, and the nodes there that are read and that read.
fn joined(cluster: &mut Cluster, name: &str) -> Vec<(String, Epoch, Vec<String>, Vec<String>)> {
    let joined = cluster.at(name).joined.iter();
    let names = joined.map(|(machine, life, edges)| {
        let read = edges.inputs.iter().map(|input| input.sender.to_string());
        let readers = edges.outputs.iter().flat_map(|output| &output.readers);
        let readers = readers.map(|reader| reader.node.to_string());
        (
            machine.to_string(),
            *life,
            read.collect(),
            readers.collect(),
        )
    });
    names.collect()
}

#[test]
fn a_share_begins_again_beside_those_of_other_machines_which_go_on() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(FAR, None);
    let first = cluster.at("A").epoch;
    dies(&mut cluster, "A", id, "a");
    assert_eq!(cluster.at("A").did, ["prepare", "spawn", "go"]);
    assert_eq!(
        cluster.at("B").did,
        ["prepare", "spawn", "go", "again with A"]
    );
    let second = cluster.at("A").epoch;
    let of_a = (
        "A".to_owned(),
        second,
        vec!["a".to_owned()],
        vec!["c".to_owned()],
    );
    assert_eq!(joined(&mut cluster, "B"), std::slice::from_ref(&of_a));
    // The old life is not missed; what does not come again is over.
    let gone = daemon::Event::PeerGone {
        machine: machine("A"),
        epoch: first,
    };
    cluster.daemon(&machine("B"), gone);
    cluster.pass(ms(20_000));
    assert_eq!(cluster.at("B").closed, ["b/late"]);
    let nodes = cluster.nodes();
    for running in ["a@A: running", "b@B: running", "c@A: running"] {
        assert!(nodes.iter().any(|node| node == running), "{nodes:?}");
    }
    // The other way round: what began before it is not new to it.
    dies(&mut cluster, "B", id, "b");
    let of_b = (
        "B".to_owned(),
        cluster.at("B").epoch,
        vec!["b".to_owned()],
        vec!["b".to_owned()],
    );
    assert_eq!(joined(&mut cluster, "A"), [of_b]);
    assert_eq!(cluster.at("B").did, ["prepare", "spawn", "go"]);
    assert_eq!(joined(&mut cluster, "B"), []);
    let again = cluster.at("B").again.clone().expect("it begins again");
    assert_eq!(again.own, [node("b")].into());
    assert!(again.over.contains_key(&node("d")), "{again:?}");
}

#[test]
fn a_coordinator_that_restarts_meanwhile_has_the_others_connect_all_the_same() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(FAR, None);
    cluster.coordinator_misses_sends_to("B");
    dies(&mut cluster, "A", id, "a");
    assert_eq!(joined(&mut cluster, "B"), []);
    cluster.kill_coordinator();
    cluster.hears_again();
    cluster.start_coordinator();
    cluster.pass(ms(10_000));
    let life = cluster.at("A").epoch;
    let joined = joined(&mut cluster, "B");
    assert_eq!(joined.len(), 1, "{joined:?}");
    assert_eq!(joined[0].1, life);
    assert_eq!(cluster.runs_on(id), ["A", "B"]);
}

#[test]
fn a_share_does_not_begin_again_beside_a_machine_that_cannot_be_told() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(FAR, None);
    cluster.at("B").cut = true;
    cluster.pass(ms(5_000));
    dies(&mut cluster, "A", id, "a");
    assert_eq!(cluster.at("A").did, [""; 0]);
    let nodes = cluster.nodes();
    assert!(
        nodes.iter().any(|node| node.starts_with("c@A: was lost")),
        "{nodes:?}"
    );
}

#[test]
fn a_coordinator_that_restarts_learns_what_has_begun_again() {
    let mut cluster = Cluster::new(&["A"]);
    let id = cluster.run(FLOW, None);
    dies(&mut cluster, "A", id, "a");
    cluster.kill_coordinator();
    cluster.start_coordinator();
    cluster.pass(ms(10_000));
    assert_eq!(cluster.at("A").did, ["prepare", "spawn", "go"]);
    dies(&mut cluster, "A", id, "b");
    let again = cluster.at("A").again.clone().expect("it begins again");
    assert_eq!(again.restarts, [(node("a"), 2), (node("b"), 2)].into());
    assert!(again.over.contains_key(&node("c")));
}

#[test]
fn what_has_not_run_since_its_last_beginning_is_over() {
    let mut cluster = Cluster::new(&["A"]);
    let id = cluster.run(FLOW, None);
    let epoch = cluster.at("A").epoch;
    cluster.kill_daemon("A");
    let fallen = |epoch| Fallen {
        epoch,
        how: "SIGSEGV".into(),
        culprit: None,
    };
    // It registers, and hears nothing of what it is to do.
    cluster.coordinator_misses_sends_to("A");
    cluster.start_daemon_after("A", vec![fallen(epoch)]);
    cluster.pass(ms(500));
    cluster.hears_again();
    let second = cluster.at("A").epoch;
    cluster.kill_daemon("A");
    cluster.start_daemon_after("A", vec![fallen(epoch), fallen(second)]);
    cluster.pass(ms(2_000));
    assert_eq!(cluster.runs_on(id), [""; 0]);
    let ended = cluster.disk.get(id).expect("a record").ended.clone();
    assert_eq!(ended.rows.len(), 3);
    assert!(
        ended.rows.iter().all(|row| row.end.is_failure()),
        "{ended:?}"
    );
}
