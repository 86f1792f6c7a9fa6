//! What is known once it is known which nodes are executables.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        Descriptor,
        fields::Scope,
        problem::Problems,
        types::{Node, ProcessPlace, Source, ThreadPlace},
    },
    wiring::{listed_outputs, unknown_output},
};
use crate::ids::NodeId;

impl Descriptor {
    /// Checks the nodes whose path turned out to be an executable: keys that place a plugin, inputs
    /// that read outputs they do not list, and nodes that they would have to call inline.
    pub fn check_executables(&self, executables: &BTreeSet<NodeId>) -> Problems {
        let mut problems = Problems::new(&self.file);
        let mut scope = Scope::new(&mut problems);
        let known: BTreeMap<&NodeId, &Node> = self
            .nodes
            .iter()
            .filter(|node| executables.contains(&node.id))
            .map(|node| (&node.id, node))
            .collect();
        for node in &self.nodes {
            let mut scope = scope.of_node(node.id.as_str());
            if known.contains_key(&node.id) {
                check_places(&mut scope, node);
            }
            for (input, spec) in &node.inputs {
                let Source::Output { node: from, output } = &spec.source else {
                    continue;
                };
                let Some(sender) = known.get(from) else {
                    continue;
                };
                if sender.lists_output(output).is_none() {
                    let names: Vec<&str> = listed_outputs(sender).collect();
                    let text = unknown_output(input, from.as_str(), output, &names);
                    let hint = "an executable must list its `outputs`";
                    scope.error(spec.at, format!("{text}; {hint}"));
                }
                if *node.thread_place() == ThreadPlace::Sender {
                    let text = format!(
                        "`thread: sender` needs its sender in the same process, and `{from}` is an \
                         executable; use `thread: own`"
                    );
                    scope.error(node.thread.as_ref().map_or(node.at, |t| t.at), text);
                }
            }
        }
        problems.sort();
        problems
    }
}

fn check_places(scope: &mut Scope<'_>, node: &Node) {
    if let Some(process) = &node.process
        && process.value != ProcessPlace::Own
    {
        let text = format!(
            "`process: {}` places a plugin, and `path` is an executable, which always has a process of \
             its own; remove the key",
            process.value
        );
        scope.error(process.at, text);
    }
    if let Some(thread) = &node.thread
        && thread.value != ThreadPlace::Own
    {
        let text = format!(
            "`thread: {}` places a plugin, and `path` is an executable; remove the key",
            thread.value
        );
        scope.error(thread.at, text);
    }
}
