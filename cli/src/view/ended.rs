//! How a dataflow ended: the summary of `dora stop` and of an attached `dora start`.

use super::dataflows::outcome;
use crate::table::Table;
use host::control::{Ended, NodeEnd, NodeRow};
use serde_json::{Value, json};

/// A line about the dataflow, a row per node, a line per failure, a line per machine that was not reached.
pub fn text(ended: &Ended) -> String {
    let name = match &ended.name {
        Some(name) => format!("{name} ({})", ended.dataflow),
        None => ended.dataflow.to_string(),
    };
    let mut out = format!(
        "dataflow {name} {} after {:.3} s\n",
        outcome(ended),
        ended.took.as_secs_f64()
    );
    out.push_str(&rows(&ended.rows));
    for row in ended.rows.iter().filter(|row| row.end.is_failure()) {
        out.push_str(&format!(
            "error: node `{}` on machine `{}` {}\n",
            row.node, row.machine, row.end
        ));
    }
    for machine in &ended.unreachable {
        out.push_str(&format!(
            "warning: machine `{machine}` was not reached; what still runs there is stopped when it comes back\n"
        ));
    }
    out
}

fn rows(rows: &[NodeRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["node", "machine", "ended", ">in", ">out", ">dropped"]);
    for row in rows {
        table.push([
            row.node.to_string(),
            row.machine.to_string(),
            format!("{}{}", word(&row.end), restarts(row.restarts)),
            row.received.to_string(),
            row.sent.to_string(),
            row.dropped.to_string(),
        ]);
    }
    table.text("  ")
}

/// How a node ended, in a word or two.
pub fn word(end: &NodeEnd) -> &'static str {
    match end {
        NodeEnd::Finished => "finished",
        NodeEnd::Stopped => "stopped",
        NodeEnd::Failed { .. } | NodeEnd::NotMade { .. } => "failed",
        NodeEnd::Stuck => "did not stop",
        NodeEnd::Lost { .. } => "lost",
    }
}

/// ` (2 restarts)`, or nothing.
pub fn restarts(count: u32) -> String {
    match count {
        0 => String::new(),
        1 => " (1 restart)".to_owned(),
        n => format!(" ({n} restarts)"),
    }
}

/// The same as an object.
pub fn json(ended: &Ended) -> Value {
    let nodes: Vec<Value> = ended.rows.iter().map(row).collect();
    json!({
        "outcome": outcome(ended),
        "error": ended.error.as_ref().map(ToString::to_string),
        "took_seconds": ended.took.as_secs_f64(),
        "nodes": nodes,
        "unreachable": ended.unreachable,
    })
}

fn row(row: &NodeRow) -> Value {
    json!({
        "node": row.node,
        "machine": row.machine,
        "ended": word(&row.end),
        "error": row.end.is_failure().then(|| row.end.to_string()),
        "received": row.received,
        "sent": row.sent,
        "dropped": row.dropped,
        "restarts": row.restarts,
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn the_summary_has_a_row_per_node_and_says_why_nodes_failed() {
        let expected = "\
dataflow 019a0000-0000-7000-8000-000000000000 failed after 1.500 s
  node    machine  ended                 in  out  dropped
  random  A        finished             100   99        0
  status  A        stopped (1 restart)   99   98        1
  sink    B        failed                98    0        0
error: node `sink` on machine `B` failed: disk full (last input: `message`)
";
        assert_eq!(text(&samples::ended()), expected);
    }

    #[test]
    fn a_machine_that_was_not_reached_is_named() {
        let mut ended = samples::ended();
        ended.name = Some("camera".into());
        ended.rows.clear();
        ended.unreachable = vec!["B".parse().unwrap()];
        let expected = "\
dataflow camera (019a0000-0000-7000-8000-000000000000) finished after 1.500 s
warning: machine `B` was not reached; what still runs there is stopped when it comes back
";
        assert_eq!(text(&ended), expected);
    }
}
