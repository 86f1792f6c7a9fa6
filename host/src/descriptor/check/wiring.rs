//! Whether ids are unique and every input leads to a node and an output that exist.
//! What only a plugin's declaration can tell is left to the check of kinds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::{
    fields::Scope,
    node::Draft,
    problem::{listed, quoted},
    suggest::{did_you_mean, maybe_meant},
    types::{InputSpec, Node, Source},
};
use crate::ids::{NodeId, PortName};

/// A node by its id. A set of its outputs, so that many readers of many outputs cost little.
struct Known<'a> {
    node: &'a Node,
    /// `None` when nothing can be said about them yet.
    outputs: Option<BTreeSet<&'a str>>,
}

pub(super) fn check(scope: &mut Scope<'_>, drafts: &[Draft]) {
    let known = check_ids(scope, drafts);
    for draft in drafts {
        let mut scope = scope.of_node(draft.node.id.as_str());
        for (input, spec) in &draft.node.inputs {
            check_input(&mut scope, &known, input, spec);
        }
    }
}

/// Reports ids that stand twice, or that differ only in case.
fn check_ids<'a>(scope: &mut Scope<'_>, drafts: &'a [Draft]) -> BTreeMap<&'a str, Known<'a>> {
    let mut known: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    let mut folded: HashMap<String, &Node> = HashMap::new();
    for draft in drafts {
        let node = &draft.node;
        let id = node.id.as_str();
        let mut scope = scope.of_node(id);
        if let Some(first) = known.get(id) {
            let line = first.node.at.line;
            let text =
                format!("the id `{id}` is taken by the node in line {line}; ids must be unique");
            scope.error(node.at, text);
            continue;
        }
        let outputs = match draft.outputs_known {
            true => node
                .outputs
                .as_ref()
                .map(|_| listed_outputs(node).collect()),
            false => None,
        };
        known.insert(id, Known { node, outputs });
        if let Some(other) = folded.insert(id.to_lowercase(), node) {
            let text = format!(
                "its id differs from `{}` in line {} only in case; on Windows and macOS both would \
                 write one log file",
                other.id, other.at.line
            );
            scope.warn(node.at, text);
        }
    }
    known
}

fn check_input(
    scope: &mut Scope<'_>,
    known: &BTreeMap<&str, Known<'_>>,
    input: &PortName,
    spec: &InputSpec,
) {
    let (node, output) = match &spec.source {
        Source::Output { node, output } => (node, Some(output)),
        Source::Logs {
            node: Some(node), ..
        } => (node, None),
        Source::Timer { .. } | Source::Logs { .. } => return,
    };
    let Some(sender) = known.get(node.as_str()) else {
        let text = unknown_node(scope, known, input, node);
        scope.error(spec.at, text);
        return;
    };
    if let (Some(output), Some(outputs)) = (output, &sender.outputs)
        && !outputs.contains(output.as_str())
    {
        let names: Vec<&str> = outputs.iter().copied().collect();
        let text = unknown_output(input, sender.node.id.as_str(), output, &names);
        scope.error(spec.at, text);
    }
}

/// Outputs that the descriptor itself names.
pub(super) fn listed_outputs(node: &Node) -> impl Iterator<Item = &str> {
    let listed = node.outputs.iter().flatten().map(|output| &output.value);
    listed.chain(node.runtime_outputs()).map(PortName::as_str)
}

fn unknown_node(
    scope: &Scope<'_>,
    known: &BTreeMap<&str, Known<'_>>,
    input: &PortName,
    node: &NodeId,
) -> String {
    if scope.is_full() {
        return String::new();
    }
    let hint = did_you_mean(node.as_str(), known.keys().copied());
    let names = match hint.as_str() {
        "" => format!("; the nodes are: {}", listed(known.keys().copied())),
        _ => hint,
    };
    format!(
        "input `{input}` reads from unknown node {}{names}",
        quoted(node.as_str())
    )
}

/// ``input `i` reads unknown output "x" of node "y"; it has: ...``
pub(super) fn unknown_output(
    input: &PortName,
    node: &str,
    output: &PortName,
    names: &[&str],
) -> String {
    let hint = match names.len() {
        0 | 1 => String::new(),
        _ => maybe_meant(output.as_str(), names.iter().copied()),
    };
    let has = match names {
        [] => "it has no outputs".to_owned(),
        names => format!("it has: {}", listed(names.iter().copied())),
    };
    format!("input `{input}` reads unknown output \"{output}\" of node \"{node}\"{hint}; {has}")
}
