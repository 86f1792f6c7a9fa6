//! Checks that need more than one node. Each reports what it finds and changes nothing.

mod config;
mod cycles;
mod executables;
mod kinds;
mod threads;
mod wiring;

use std::collections::BTreeMap;

use super::{
    fields::Scope,
    node::Draft,
    types::{InputSpec, Node, Source},
};
use crate::ids::PortName;

/// All checks that need no plugin.
pub(super) fn graph(scope: &mut Scope<'_>, drafts: &[Draft]) {
    wiring::check(scope, drafts);
    let nodes: Vec<&Node> = drafts.iter().map(|draft| &draft.node).collect();
    threads::check(scope, &Edges::new(&nodes));
}

/// One input that reads another node, by indices into the node list.
struct Edge<'a> {
    from: usize,
    to: usize,
    input: &'a PortName,
    spec: &'a InputSpec,
}

/// The nodes and the edges between them. Of nodes with the same id the first counts; inputs that
/// lead nowhere make no edge.
struct Edges<'a> {
    nodes: &'a [&'a Node],
    edges: Vec<Edge<'a>>,
}

impl<'a> Edges<'a> {
    fn new(nodes: &'a [&'a Node]) -> Self {
        let mut index: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, node) in nodes.iter().enumerate() {
            index.entry(node.id.as_str()).or_insert(place);
        }
        let mut edges = Vec::new();
        for (to, node) in nodes.iter().enumerate() {
            for (input, spec) in &node.inputs {
                if let Source::Output { node, .. } = &spec.source
                    && let Some(from) = index.get(node.as_str())
                {
                    edges.push(Edge {
                        from: *from,
                        to,
                        input,
                        spec,
                    });
                }
            }
        }
        Self { nodes, edges }
    }

    #[allow(
        clippy::indexing_slicing,
        reason = "numbers of nodes come from `edges` and from counting the nodes"
    )]
    fn node(&self, index: usize) -> &'a Node {
        self.nodes[index]
    }
}
