//! Which machine runs which node.
//!
//! The rule: `deploy.machine` names the machine, which must have the node's labels as well. A node without a machine
//! goes to the first machine, in the order of their ids, that has all its labels. So nodes that say nothing are all on
//! the same machine, and the same machines always give the same placement. Pure.

use crate::control::PlacementError;
use crate::descriptor::{Descriptor, Node, Source, ThreadPlace};
use crate::ids::{MachineId, NodeId};
use std::collections::BTreeMap;

/// A machine that may run nodes.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its id.
    pub machine: &'a MachineId,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// Gives every node a machine.
///
/// # Errors
/// One per node that gets none, all of them.
pub fn place(
    descriptor: &Descriptor,
    machines: &[Candidate<'_>],
) -> Result<BTreeMap<NodeId, MachineId>, Vec<PlacementError>> {
    let mut sorted = machines.to_vec();
    sorted.sort_by_key(|candidate| candidate.machine);
    if sorted.is_empty() {
        return Err(vec![PlacementError::NoMachine]);
    }
    let mut placed = BTreeMap::new();
    let mut errors = Vec::new();
    for node in &descriptor.nodes {
        match place_node(node, &sorted) {
            Ok(machine) => {
                placed.insert(node.id.clone(), machine.clone());
            }
            Err(error) => errors.push(error),
        }
    }
    errors.extend(
        descriptor
            .nodes
            .iter()
            .filter_map(|node| apart(node, &placed)),
    );
    match errors.is_empty() {
        true => Ok(placed),
        false => Err(errors),
    }
}

fn place_node<'a>(
    node: &Node,
    machines: &[Candidate<'a>],
) -> Result<&'a MachineId, PlacementError> {
    let labels = &node.deploy.labels;
    let known = || machines.iter().map(|it| it.machine.clone()).collect();
    let Some(wanted) = &node.deploy.machine else {
        let fits = |it: &&Candidate<'_>| lacking(labels, it.labels).is_empty();
        let found = machines.iter().find(fits).map(|it| it.machine);
        return found.ok_or_else(|| PlacementError::NoMachineWithLabels {
            node: node.id.clone(),
            at: node.at,
            labels: labels.clone(),
            known: known(),
        });
    };
    let Some(found) = machines.iter().find(|it| *it.machine == wanted.value) else {
        return Err(PlacementError::UnknownMachine {
            node: node.id.clone(),
            at: wanted.at,
            machine: wanted.value.clone(),
            known: known(),
        });
    };
    let lacking = lacking(labels, found.labels);
    match lacking.is_empty() {
        true => Ok(found.machine),
        false => Err(PlacementError::WithoutLabels {
            node: node.id.clone(),
            at: wanted.at,
            machine: wanted.value.clone(),
            labels: lacking,
        }),
    }
}

fn lacking(
    wanted: &BTreeMap<String, String>,
    has: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let lacks = |(key, value): &(&String, &String)| has.get(*key) != Some(*value);
    let lacking = wanted.iter().filter(lacks);
    lacking
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A node that its sender calls inline cannot be on another machine.
fn apart(node: &Node, placed: &BTreeMap<NodeId, MachineId>) -> Option<PlacementError> {
    if *node.thread_place() != ThreadPlace::Sender {
        return None;
    }
    let machine = placed.get(&node.id)?;
    node.inputs.values().find_map(|input| {
        let Source::Output { node: sender, .. } = &input.source else {
            return None;
        };
        let sender_machine = placed.get(sender).filter(|on| *on != machine)?;
        Some(PlacementError::ApartFromSender {
            node: node.id.clone(),
            at: node.at,
            machine: machine.clone(),
            sender: sender.clone(),
            sender_machine: sender_machine.clone(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Machines with labels, such as `A gpu=yes`.
    fn run(nodes: &str, machines: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let text = format!("nodes:\n{nodes}");
        let descriptor = Descriptor::parse(&text, Path::new("d.yml")).unwrap();
        let machines: Vec<(MachineId, BTreeMap<String, String>)> = machines
            .iter()
            .map(|text| {
                let mut words = text.split(' ');
                let id = words.next().unwrap().parse().unwrap();
                let label = |word: &str| {
                    let (key, value) = word.split_once('=').unwrap();
                    (key.to_owned(), value.to_owned())
                };
                (id, words.map(label).collect())
            })
            .collect();
        let candidates: Vec<Candidate<'_>> = machines
            .iter()
            .map(|(machine, labels)| Candidate { machine, labels })
            .collect();
        let placed = place(&descriptor, &candidates);
        let in_words = |placed: BTreeMap<NodeId, MachineId>| {
            placed.iter().map(|(n, m)| format!("{n}@{m}")).collect()
        };
        placed
            .map(in_words)
            .map_err(|errors| errors.iter().map(PlacementError::to_string).collect())
    }

    fn node(id: &str, deploy: &str) -> String {
        format!("  - {{id: {id}, path: x, deploy: {{{deploy}}}}}\n")
    }

    #[test]
    fn the_rule() {
        let a = node("a", "machine: A");
        let b = node("b", "machine: B");
        let free = node("free", "");
        let gpu = node("gpu", "labels: {gpu: yes}");
        let both = node("both", "machine: A, labels: {gpu: yes}");
        type Row<'a> = (
            Vec<&'a String>,
            &'a [&'a str],
            Result<Vec<&'a str>, &'a str>,
        );
        let table: Vec<Row<'_>> = vec![
            (vec![&a, &b], &["B", "A"], Ok(vec!["a@A", "b@B"])),
            (vec![&free], &["B", "A"], Ok(vec!["free@A"])),
            (vec![&free], &["B"], Ok(vec!["free@B"])),
            (
                vec![&gpu, &free],
                &["A", "B gpu=yes x=y"],
                Ok(vec!["free@A", "gpu@B"]),
            ),
            (vec![&both], &["A gpu=yes"], Ok(vec!["both@A"])),
            (vec![&a], &[], Err("no daemon is connected")),
            (
                vec![&a],
                &["B", "C"],
                Err("machine `A` is not connected; connected: `B` and `C`"),
            ),
            (
                vec![&gpu],
                &["A gpu=no"],
                Err("no machine has the labels `gpu=yes`"),
            ),
            (
                vec![&both],
                &["A"],
                Err("machine `A` does not have the labels `gpu=yes`"),
            ),
        ];
        for (nodes, machines, expected) in table {
            let text: String = nodes.iter().map(|node| node.as_str()).collect();
            match (run(&text, machines), expected) {
                (Ok(placed), Ok(expected)) => assert_eq!(placed, expected, "{text}"),
                (Err(errors), Err(part)) => {
                    assert_eq!(errors.len(), 1);
                    assert!(errors[0].contains(part), "{errors:?}");
                }
                (got, _) => panic!("{text} on {machines:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn all_nodes_at_fault_are_named() {
        let text = node("a", "machine: X") + &node("b", "machine: Y");
        assert_eq!(run(&text, &["A"]).unwrap_err().len(), 2);
    }

    #[test]
    fn a_node_is_not_parted_from_the_sender_that_calls_it() {
        let text = "  - {id: s, path: x, outputs: [out], deploy: {labels: {gpu: yes}}}\n  \
                    - {id: r, path: x, thread: sender, inputs: {in: s/out}}\n";
        let errors = run(text, &["A", "B gpu=yes"]).unwrap_err();
        assert!(
            errors[0].contains("placed on machine `A` and its sender `s` on `B`"),
            "{errors:?}"
        );
        assert!(run(text, &["A gpu=yes", "B"]).is_ok());
    }
}
