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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generation_reads_the_descriptor() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("dataflow.yml");
        let yaml = "
nodes:
  - id: a
    name: Ä
    path: a.py
    args: x
    env: {A: b}
    process: own
    outputs: [out]
    send_stdout_as: lines
    restart_policy: always
    inputs:
      tick: dora/timer/millis/20
      waits: {source: b/out, queue_policy: backpressure}
  - id: b
    path: dynamic
    outputs: [out]
";
        std::fs::write(&file, yaml).expect("it can be written");
        let descriptor = Descriptor::read(&file).expect("a descriptor");
        let value = dora_descriptor(&descriptor);
        let text = value.to_string();
        let old: dora_message_v0::descriptor::Descriptor =
            serde_yaml::from_str(&text).expect("0.x reads it");
        let new: dora_message::descriptor::Descriptor =
            serde_yaml::from_str(&text).expect("1.x reads it");
        assert_eq!((old.nodes.len(), new.nodes.len()), (2, 2));
        assert_eq!(new.nodes[0].outputs.len(), 2);
        assert_eq!(new.nodes[1].path.as_deref(), Some("dynamic"));
    }
}
