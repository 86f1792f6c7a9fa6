//! The summary at the end of a dataflow: a row per node.

use host::engine::{Ending, NodeReport, Report};

/// Prints the summary to standard error: standard output belongs to the nodes.
pub fn print(report: &Report) {
    eprint!("{}", text(report));
}

fn text(report: &Report) -> String {
    let rows: Vec<[String; 5]> = report.nodes.iter().map(row).collect();
    let head = ["node", "ended", "in", "out", "dropped"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut out = format!(
        "dataflow {} ended after {:.3} s\n",
        report.id,
        report.took.as_secs_f64()
    );
    for row in [&head].into_iter().chain(&rows) {
        let [node, ended, received, sent, dropped] = row;
        let [w0, w1, w2, w3, w4] = widths;
        let line =
            format!("  {node:w0$}  {ended:w1$}  {received:>w2$}  {sent:>w3$}  {dropped:>w4$}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    for node in report.failures() {
        out.push_str(&format!("error: node `{}` {}\n", node.id, node.ending));
    }
    out
}

fn row(node: &NodeReport) -> [String; 5] {
    let restarts = match node.restarts {
        0 => String::new(),
        1 => " (1 restart)".to_owned(),
        n => format!(" ({n} restarts)"),
    };
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
