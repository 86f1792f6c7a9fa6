//! The picture of a dataflow: boxes and lines, as Mermaid, as Graphviz dot, or as one HTML page that
//! needs no network. Deterministic: the same descriptor gives the same text. Checks nothing.

mod curve;
mod dot;
mod html;
mod layers;
mod layout;
mod mermaid;
mod svg;
mod text;

use std::collections::BTreeMap;

use super::{
    Descriptor,
    types::{InputSpec, Node, NodePath, QueuePolicy, Source},
};

/// Boxes and the lines between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Name of the whole, for titles.
    title: String,
    boxes: Vec<GraphBox>,
    lines: Vec<Line>,
    /// Machines that nodes name, in the order of their first node; boxes refer to them.
    machines: Vec<String>,
}

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BoxKind {
    Node,
    Timer,
    Logs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct GraphBox {
    kind: BoxKind,
    title: String,
    /// Shorter text below the title: where it runs.
    place: String,
    /// What a reader may want to know beside; for people.
    facts: Vec<(&'static str, String)>,
    /// Index into the machines.
    machine: Option<usize>,
}

/// All messages from one box to another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    from: usize,
    to: usize,
    /// One per input, in the order of the inputs.
    labels: Vec<String>,
}

impl Graph {
    /// The picture of a descriptor.
    pub fn new(descriptor: &Descriptor) -> Self {
        let name = descriptor.file.file_name().unwrap_or_default();
        let mut graph = Self {
            title: name.to_string_lossy().into_owned(),
            boxes: Vec::new(),
            lines: Vec::new(),
            machines: Vec::new(),
        };
        let mut index = BTreeMap::new();
        for node in &descriptor.nodes {
            index.insert(node.id.to_string(), graph.boxes.len());
            graph.add_node(node);
        }
        let mut lines: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        for (to, node) in descriptor.nodes.iter().enumerate() {
            for (input, spec) in &node.inputs {
                let from = match &spec.source {
                    Source::Output { node, .. } => index.get(node.as_str()).copied(),
                    source => Some(graph.virtual_box(&mut index, source)),
                };
                let Some(from) = from else { continue };
                let label = label(input.as_str(), spec);
                lines.entry((from, to)).or_default().push(label);
            }
        }
        graph.lines = lines
            .into_iter()
            .map(|((from, to), labels)| Line { from, to, labels })
            .collect();
        graph
    }

    /// A Mermaid flowchart, for Markdown.
    pub fn to_mermaid(&self) -> String {
        mermaid::render(self)
    }

    /// A Graphviz digraph.
    pub fn to_dot(&self) -> String {
        dot::render(self)
    }

    /// One HTML page with a drawing and a table of the nodes; it loads nothing.
    pub fn to_html(&self) -> String {
        html::render(self)
    }

    fn add_node(&mut self, node: &Node) {
        let machine = node.deploy.machine.as_ref().map(|machine| {
            let name = machine.value.as_str();
            let known = self.machines.iter().position(|known| known == name);
            known.unwrap_or_else(|| {
                self.machines.push(name.to_owned());
                self.machines.len() - 1
            })
        });
        self.boxes.push(GraphBox {
            kind: BoxKind::Node,
            title: node.id.to_string(),
            place: place(node),
            facts: facts(node),
            machine,
        });
    }

    /// The box of a timer or of the log, made when it is first read.
    fn virtual_box(&mut self, index: &mut BTreeMap<String, usize>, source: &Source) -> usize {
        let title = source.to_string();
        if let Some(known) = index.get(&title) {
            return *known;
        }
        let kind = match source {
            Source::Logs { .. } => BoxKind::Logs,
            Source::Timer { .. } | Source::Output { .. } => BoxKind::Timer,
        };
        index.insert(title.clone(), self.boxes.len());
        self.boxes.push(GraphBox {
            kind,
            title,
            place: String::new(),
            facts: Vec::new(),
            machine: None,
        });
        self.boxes.len() - 1
    }
}

/// `output -> input`, or one name when both are the same; then what the queue does beyond the usual.
fn label(input: &str, spec: &InputSpec) -> String {
    let mut label = match &spec.source {
        Source::Output { output, .. } if output.as_str() != input => format!("{output} → {input}"),
        _ => input.to_owned(),
    };
    match spec.policy {
        QueuePolicy::DropOldest => {}
        QueuePolicy::DropNewest => label.push_str(" (drop newest)"),
        QueuePolicy::Backpressure => label.push_str(" (backpressure)"),
    }
    label
}

/// What says best what runs there: the kind, else the end of the path.
fn place(node: &Node) -> String {
    let program = match (&node.kind, &node.path) {
        (Some(kind), _) => kind.value.clone(),
        (None, NodePath::Dynamic) => "dynamic".to_owned(),
        (None, NodePath::File(path)) => {
            let end = path.value.rsplit(['/', '\\']).find(|part| !part.is_empty());
            end.unwrap_or(&path.value).to_owned()
        }
    };
    let mut parts = vec![program];
    if let Some(process) = &node.process {
        parts.push(format!("process {}", process.value));
    }
    if let Some(thread) = &node.thread {
        parts.push(format!("thread {}", thread.value));
    }
    parts.join(" · ")
}

fn facts(node: &Node) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut fact = |name, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.push((name, value));
        }
    };
    fact("name", node.name.clone());
    fact("description", node.description.clone());
    fact(
        "path",
        Some(match &node.path {
            NodePath::File(path) => path.value.clone(),
            NodePath::Dynamic => "dynamic".to_owned(),
        }),
    );
    fact("kind", node.kind.as_ref().map(|kind| kind.value.clone()));
    fact(
        "machine",
        node.deploy
            .machine
            .as_ref()
            .map(|machine| machine.value.to_string()),
    );
    fact(
        "process",
        node.process
            .as_ref()
            .map(|process| process.value.to_string()),
    );
    fact(
        "thread",
        node.thread.as_ref().map(|thread| thread.value.to_string()),
    );
    let outputs = node
        .outputs
        .iter()
        .flatten()
        .map(|output| output.value.to_string());
    let outputs = outputs.chain(node.runtime_outputs().map(|output| output.to_string()));
    fact("outputs", Some(outputs.collect::<Vec<_>>().join(", ")));
    facts
}

#[cfg(test)]
mod tests;
