//! The summary at the end of a dataflow: a row per node.

use crate::table::Table;
use crate::terminal;
use crate::view::ended::restarts;
use host::engine::{Ending, NodeReport, Report};

/// Prints the summary to standard error: standard output belongs to the nodes.
pub fn print(report: &Report) {
    terminal::tell(format_args!("{}", text(report)));
}

fn text(report: &Report) -> String {
    let mut table = Table::new(["node", "ended", ">in", ">out", ">dropped"]);
    for node in &report.nodes {
        table.push(row(node));
    }
    let mut out = format!(
        "dataflow {} ended after {:.3} s\n{}",
        report.id,
        report.took.as_secs_f64(),
        table.text("  ")
    );
    for node in report.failures() {
        out.push_str(&format!("error: node `{}` {}\n", node.id, node.ending));
    }
    out
}

fn row(node: &NodeReport) -> [String; 5] {
    let restarts = restarts(node.restarts);
    let ended = match &node.ending {
        Ending::Finished => "finished",
        Ending::Stopped => "stopped",
        Ending::Failed { .. } | Ending::NotCreated(_) => "failed",
        Ending::Stuck => "did not stop",
    };
    [
        node.id.to_string(),
        format!("{ended}{restarts}"),
        node.received.to_string(),
        node.sent().to_string(),
        node.dropped().to_string(),
    ]
}
