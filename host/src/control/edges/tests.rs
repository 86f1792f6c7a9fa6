use super::*;
use crate::control::Epoch;
use crate::plugin::info::PortInfo;
use std::path::Path;

const GRAPH: &str = "
exit_when_nodes_finish: true
nodes:
  - id: source
    path: source
    outputs: [out, other]
  - id: near
    path: near
    inputs: {in: source/out, tick: dora/timer/millis/10}
    outputs: [out]
  - id: far
    path: far
    inputs:
      in: {source: source/out, queue_size: 7, queue_policy: backpressure}
      back: near/out
      log: dora/logs
      mine: dora/logs/info/far
  - id: third
    path: third
    inputs: {in: source/out}
";

fn graph() -> (Descriptor, Placement) {
    let descriptor = Descriptor::parse(GRAPH, Path::new("d.yml")).unwrap();
    let place = |node: &str, machine: &str| (node.parse().unwrap(), machine.parse().unwrap());
    let placement = Placement {
        nodes: [
            place("source", "A"),
            place("near", "A"),
            place("far", "B"),
            place("third", "C"),
        ]
        .into(),
        machines: ["A", "B", "C"]
            .map(|machine| (machine.parse().unwrap(), Epoch::new()))
            .into(),
    };
    (descriptor, placement)
}

fn edges(machine: &str) -> RemoteEdges {
    let (descriptor, placement) = graph();
    RemoteEdges::of(&descriptor, &placement, &machine.parse().unwrap())
}

#[test]
fn only_what_crosses_machines_is_listed() {
    let a = edges("A");
    let outputs: Vec<String> = a
        .outputs
        .iter()
        .map(|o| {
            let readers = o.readers.iter();
            let readers = readers.map(|r| format!("{}:{}/{}", r.machine, r.node, r.input));
            format!(
                "{}/{} -> {}",
                o.node,
                o.output,
                readers.collect::<Vec<_>>().join(" ")
            )
        })
        .collect();
    assert_eq!(
        outputs,
        [
            "near/out -> B:far/back",
            "source/out -> B:far/in C:third/in"
        ]
    );
    assert_eq!((a.inputs.len(), a.logs.len()), (0, 0));
    let reader = &a.outputs[1].readers[0];
    assert_eq!(
        (reader.policy, reader.queue_size),
        (QueuePolicy::Backpressure, 7)
    );
}

#[test]
fn both_ends_agree() {
    let (descriptor, placement) = graph();
    let mut sent = Vec::new();
    let mut read = Vec::new();
    for machine in placement.machines.keys() {
        let edges = RemoteEdges::of(&descriptor, &placement, machine);
        for output in edges.outputs {
            for reader in output.readers {
                sent.push((
                    (output.node.clone(), output.output.clone()),
                    (reader.node, reader.input),
                    (reader.policy, reader.queue_size),
                ));
            }
        }
        for input in edges.inputs {
            read.push((
                (input.sender, input.output),
                (input.node, input.input),
                (input.policy, input.queue_size),
            ));
        }
    }
    sent.sort_by(|a, b| a.1.cmp(&b.1));
    read.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(sent, read);
    assert_eq!(sent.len(), 3);
}

#[test]
fn log_inputs_name_the_other_machines_they_read() {
    let b = edges("B");
    assert_eq!(b.logs.len(), 1);
    assert_eq!(b.logs[0].input.as_str(), "log");
    let machines: Vec<_> = b.logs[0].machines.iter().map(MachineId::as_str).collect();
    assert_eq!(machines, ["A", "C"]);
}

#[test]
fn the_local_part_ends_by_itself_only_when_it_is_the_whole() {
    let (descriptor, mut placement) = graph();
    let a: MachineId = "A".parse().unwrap();
    let part = local_part(&descriptor, &placement, &a);
    let nodes: Vec<_> = part.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(nodes, ["source", "near"]);
    assert!(!part.exit_when_nodes_finish);
    for on in placement.nodes.values_mut() {
        *on = a.clone();
    }
    assert_eq!(local_part(&descriptor, &placement, &a), descriptor);
}

fn kind(name: &str, inputs: &[(&str, &str)], outputs: &[(&str, &str)]) -> KindInfo {
    let ports = |ports: &[(&str, &str)]| {
        let port = |(name, data_type): &(&str, &str)| PortInfo {
            name: (*name).into(),
            description: String::new(),
            data_type: Some((*data_type).into()),
        };
        ports.iter().map(port).collect()
    };
    KindInfo {
        name: name.into(),
        description: String::new(),
        inputs: ports(inputs),
        outputs: ports(outputs),
        config_schema: None,
    }
}

#[test]
fn a_wrong_type_between_machines_is_found_only_together() {
    let (descriptor, placement) = graph();
    let source = kind("s", &[], &[("out", "UInt64"), ("other", "Utf8")]);
    let third = kind("t", &[("in", "Utf8")], &[]);
    let id = |text: &str| text.parse::<NodeId>().unwrap();
    let alone = local_part(&descriptor, &placement, &"C".parse().unwrap());
    let apart = alone.check_kinds(&[(id("third"), third.clone())].into());
    assert_eq!(apart.errors(), 0, "{apart}");
    let kinds = [(id("source"), source), (id("third"), third)].into();
    let together = check_together(&descriptor, &kinds);
    assert_eq!(together.errors(), 1, "{together}");
    assert!(
        together
            .to_string()
            .contains("input `in` takes `Utf8`, but output `source/out` sends `UInt64`"),
        "{together}"
    );
}

#[test]
fn outputs_are_listed_declared_or_made() {
    let (descriptor, _) = graph();
    let names = |node: &Node, kind: Option<&KindInfo>| -> Vec<(String, Option<String>)> {
        let outputs = declared_outputs(node, kind).into_iter();
        outputs.map(|o| (o.name, o.data_type)).collect()
    };
    let declared = kind("s", &[], &[("out", "UInt64"), ("*", "Utf8")]);
    let text = |text: &str| Some(text.to_owned());
    let source = descriptor.node("source").unwrap();
    assert_eq!(
        names(source, Some(&declared)),
        [
            ("out".into(), text("UInt64")),
            ("other".into(), text("Utf8"))
        ]
    );
    assert_eq!(
        names(source, None),
        [("out".into(), None), ("other".into(), None)]
    );
    let third = descriptor.node("third").unwrap();
    assert_eq!(
        names(third, Some(&declared)),
        [("out".into(), text("UInt64"))]
    );
    assert_eq!(names(third, None), []);
}
