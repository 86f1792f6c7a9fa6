//! What is shown.

use crate::cluster::{Cluster, machine, node};
use crate::{ONE, TWO};
use host::control::{ClientReply, NodeEnd, Phase, Target, Verb};

#[test]
fn the_list_counts_nodes_and_knows_what_is_over() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let first = cluster.run(TWO, Some("arm"));
    let failed = NodeEnd::Failed {
        text: "no".into(),
        last_input: None,
    };
    cluster.node_ends("B", first, "b", failed);
    let list = |cluster: &mut Cluster| match cluster.ask(Verb::List) {
        Some(ClientReply::List(list)) => list,
        other => panic!("no list: {other:?}"),
    };
    let shown = list(&mut cluster);
    let [arm] = shown.as_slice() else {
        panic!("another list: {shown:?}");
    };
    assert_eq!(
        (arm.phase, arm.nodes, arm.running, arm.failed),
        (Phase::Running, 2, 1, 1)
    );
    cluster.stop(Target::Id(first));
    let second = cluster.run(ONE, None);
    let shown: Vec<_> = list(&mut cluster)
        .iter()
        .map(|it| (it.dataflow, it.phase, it.ended.is_some()))
        .collect();
    assert_eq!(
        shown,
        [(first, Phase::Ended, true), (second, Phase::Running, false)]
    );
    assert_eq!(cluster.ask(Verb::Clean), Some(ClientReply::Cleaned(1)));
    assert_eq!(list(&mut cluster).len(), 1);
    assert!(cluster.disk.get(first).is_none());
}

#[test]
fn outputs_are_shown_with_types_and_readers() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.kind("A", "a", &[("out", "UInt64")], &[]);
    cluster.run(TWO, Some("arm"));
    let target = Some(Target::Name("arm".into()));
    let Some(ClientReply::Topics(topics)) = cluster.ask(Verb::Topics(target)) else {
        panic!("no outputs");
    };
    let [topic] = topics.as_slice() else {
        panic!("other outputs: {topics:?}");
    };
    assert_eq!((&topic.node, topic.output.as_str()), (&node("a"), "out"));
    assert_eq!(topic.data_type.as_deref(), Some("UInt64"));
    assert_eq!(topic.epoch, cluster.at("A").epoch);
    let reader = &topic.readers[0];
    assert_eq!((&reader.node, &reader.machine), (&node("b"), &machine("B")));
}

#[test]
fn the_next_coordinator_knows_the_types_as_well() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.kind("A", "a", &[("out", "UInt64")], &[]);
    cluster.run(TWO, None);
    cluster.kill_coordinator();
    cluster.start_coordinator();
    cluster.pass(crate::cluster::ms(2000));
    let Some(ClientReply::Topics(topics)) = cluster.ask(Verb::Topics(None)) else {
        panic!("no outputs");
    };
    assert_eq!(topics[0].data_type.as_deref(), Some("UInt64"));
}

#[test]
fn log_lines_are_found_also_after_the_end() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, Some("arm"));
    cluster.stop(Target::Id(id));
    cluster.kill_daemon("B");
    cluster.pass(crate::cluster::ms(4000));
    let target = Target::Name("arm".into());
    let Some(ClientReply::Located(located)) = cluster.ask(Verb::Locate(target)) else {
        panic!("not found");
    };
    assert_eq!(located.dataflow, id);
    let epoch = cluster.at("A").epoch;
    assert_eq!(located.machines[&machine("A")], (epoch, vec![node("a")]));
    assert_eq!(located.unreachable, [machine("B")]);
}
