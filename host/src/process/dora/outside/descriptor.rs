//! A descriptor in dora's own keys, which nodes may read.
//!
//! Invariant: only keys that dora 0.3.12 to 1.1 know alike: a 1.x node refuses others. Absent: what a node is started
//! with.

use crate::descriptor::{Descriptor, Node, NodePath};
use serde_json::{Map, Value, json};

/// What a dora node may read of its dataflow: nodes, paths, inputs, outputs.
pub fn dora_descriptor(descriptor: &Descriptor) -> Value {
    let nodes: Vec<_> = descriptor.nodes.iter().map(node).collect();
    json!({"nodes": nodes})
}

fn node(node: &Node) -> Value {
    let path = match &node.path {
        NodePath::File(path) => path.value.as_str(),
        NodePath::Dynamic => "dynamic",
    };
    let inputs = node.inputs.iter().map(|(name, spec)| {
        let input = json!({"source": spec.source.to_string(), "queue_size": spec.queue_size.get()});
        (name.to_string(), input)
    });
    let listed = node.outputs.iter().flatten().map(|output| &output.value);
    let outputs = listed.chain(node.runtime_outputs());
    let outputs: Vec<_> = outputs.map(ToString::to_string).collect();
    let mut fields = Map::new();
    fields.insert("id".to_owned(), node.id.as_str().into());
    fields.insert("path".to_owned(), path.into());
    fields.insert("inputs".to_owned(), Value::Object(inputs.collect()));
    fields.insert("outputs".to_owned(), outputs.into());
    for (key, text) in [("name", &node.name), ("description", &node.description)] {
        if let Some(text) = text {
            fields.insert(key.to_owned(), text.as_str().into());
        }
    }
    Value::Object(fields)
}
