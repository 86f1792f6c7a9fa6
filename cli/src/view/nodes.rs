//! `dora node list`.

use super::ended::word;
use crate::table::Table;
use host::control::{NodeState, NodeSummary};
use serde_json::{Value, json};

/// A row per node.
pub fn table(nodes: &[NodeSummary]) -> String {
    let mut table = Table::new(["node", "machine", "state", ">restarts", "dataflow"]);
    for node in nodes {
        table.push([
            node.node.to_string(),
            node.machine.to_string(),
            match error(&node.state) {
                Some(error) => error,
                None => state(&node.state).to_owned(),
            },
            node.restarts.to_string(),
            node.name
                .clone()
                .unwrap_or_else(|| node.dataflow.to_string()),
        ]);
    }
    table.text("")
}

/// An object per node.
pub fn json(nodes: &[NodeSummary]) -> Value {
    let object = |node: &NodeSummary| {
        json!({
            "dataflow": node.dataflow,
            "name": node.name,
            "node": node.node,
            "machine": node.machine,
            "state": state(&node.state),
            "error": error(&node.state),
            "restarts": node.restarts,
        })
    };
    nodes.iter().map(object).collect()
}

fn state(state: &NodeState) -> &'static str {
    match state {
        NodeState::Starting => "starting",
        NodeState::Running => "running",
        NodeState::Restarting => "restarting",
        NodeState::Unreachable => "unreachable",
        NodeState::Ended(end) => word(end),
    }
}

/// Why it failed, if it has.
fn error(state: &NodeState) -> Option<String> {
    match state {
        NodeState::Ended(end) if end.is_failure() => Some(end.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_row_says_state_machine_and_restarts() {
        let expected = "\
node    machine  state                                      restarts  dataflow
random  A        running                                           0  camera
sink    B        failed: disk full (last input: `message`)         2  019a0000-0000-7000-8000-000000000001
";
        assert_eq!(table(&samples::nodes()), expected);
        let value = json(&samples::nodes());
        let expected = r#"{"dataflow":"019a0000-0000-7000-8000-000000000001","name":null,"node":"sink","machine":"B","state":"failed","error":"failed: disk full (last input: `message`)","restarts":2}"#;
        assert_eq!(value.get(1).unwrap().to_string(), expected);
    }
}
