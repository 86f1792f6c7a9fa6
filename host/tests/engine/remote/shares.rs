//! Which plans can be made of a part of a dataflow.

use crate::harness::{GRACE, among_others, chosen, descriptor, launch_with, share};
use host::engine::{Plan, PlanError, RemoteInputs};
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;

const FLOW: &str = "
    exit_when_nodes_finish: true
    nodes:
      - id: source
        kind: own-thread
        config: {count: 1000000000, micros: 1000}
      - id: reader
        kind: checker
        config: {expect: 3}
        inputs: {in: source/out, log: dora/logs}
      - id: other
        kind: checker
        inputs: {tick: dora/timer/millis/1}
";

#[test]
fn a_part_has_the_inputs_that_lead_elsewhere_and_no_others() {
    let _gate = among_others();
    let (part, plan) = share(FLOW, &["reader", "other"]);
    let mut names = Vec::new();
    let live = launch_with(part, &plan, |dataflow| {
        let inputs = dataflow.remote_inputs();
        names.extend(inputs.iter().map(|input| {
            let (node, name) = (&input.node, &input.input);
            format!("{node}/{name} from {}/{}", input.sender, input.output)
        }));
        assert_eq!(dataflow.log_inputs().len(), 1);
    });
    live.stop(GRACE);
    live.end();
    assert_eq!(names, ["reader/in from source/out"]);
}

#[test]
fn one_that_reads_only_elsewhere_counts_as_a_reader() {
    let _gate = among_others();
    let (part, mut plan) = share(FLOW, &["reader", "other"]);
    // A daemon leaves that to the coordinator unless it runs the whole dataflow.
    assert!(!plan.exit_when_nodes_finish);
    plan.exit_when_nodes_finish = true;
    let mut fed = None;
    let live = launch_with(part, &plan, |dataflow| {
        fed = Some(super::input(dataflow, "reader", "in"));
    });
    let fed = fed.expect("an input");
    for _ in 0..3 {
        fed.push(Message::from_text(Timestamp::default(), "", &[]).expect("memory"));
    }
    let ended = live.end();
    assert_eq!(ended.endings(), ["reader: finished", "other: stopped"]);
}

/// The refusal of a descriptor from which these nodes have been taken.
fn refused(yaml: &str, without: &str, remote: &RemoteInputs) -> Option<PlanError> {
    let mut part = descriptor(yaml);
    part.nodes.retain(|node| node.id.as_str() != without);
    Plan::share(&part, &chosen(&part), remote).err()
}

#[test]
fn inputs_that_nobody_announced_are_refused() {
    let listed = RemoteInputs::from([(super::node("reader"), super::port("in"))]);
    let no_source = PlanError::NoSource {
        node: super::node("reader"),
        from: "source/out".into(),
    };
    let none = RemoteInputs::new();
    assert_eq!(refused(FLOW, "source", &none), Some(no_source.clone()));
    assert_eq!(refused(FLOW, "source", &listed), None);
    let other = RemoteInputs::from([(super::node("reader"), super::port("log"))]);
    assert_eq!(refused(FLOW, "source", &other), Some(no_source));
}

#[test]
fn a_node_that_its_sender_calls_must_be_with_it() {
    let yaml = "
        nodes:
          - id: source
            kind: own-thread
          - id: reader
            kind: relay
            thread: sender
            inputs: {in: source/out}
    ";
    let listed = RemoteInputs::from([(super::node("reader"), super::port("in"))]);
    let error = refused(yaml, "source", &listed).expect("it is refused");
    let text = "node `reader` has `thread: sender`, and its sender `source` runs on another machine: use `thread: own`, \
                or place both on one machine";
    assert_eq!(error.to_string(), text);
}
