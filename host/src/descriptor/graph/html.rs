//! One HTML page: the drawing as inline SVG, below it a table of the nodes. No script, no network
//! (its content policy forbids both), every text escaped.

use std::fmt::Write;

use super::{BoxKind, Graph, svg, text::escape};

pub(super) fn render(graph: &Graph) -> String {
    let mut out = String::new();
    let title = escape(&graph.title);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    out.push_str("<div class=\"drawing\">\n");
    svg::render(&mut out, graph);
    out.push_str("</div>\n");
    table(&mut out, graph);
    out.push_str("</body>\n</html>\n");
    out
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #ffffff; --box: #f3f6fa;
  --edge: #7c8aa0; --line: #c9d2de; --timer: #fdf3dc; --logs: #e6f4ea; --back: #b4532a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b6; --paper: #14181f;
  --box: #202733; --edge: #7f8da3; --line: #36404f; --timer: #3a3220; --logs: #1f3327; --back: #e08a5f; } }
body { margin: 1.5rem; font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.15rem; margin: 0 0 1rem; }
.drawing { overflow: auto; max-height: 80vh; border: 1px solid var(--line); border-radius: 8px; }
svg { display: block; }
svg text { fill: var(--ink); font: 11px ui-monospace, monospace; }
svg .title { font: 600 13px ui-monospace, monospace; }
svg .place, svg .machine { fill: var(--soft); }
svg .label { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; text-anchor: middle; }
rect { fill: var(--box); stroke: var(--edge); }
.timer rect { fill: var(--timer); } .logs rect { fill: var(--logs); }
path { fill: none; stroke: var(--edge); stroke-width: 1.4; }
path.back { stroke: var(--back); stroke-dasharray: 5 3; }
marker path { fill: var(--edge); stroke: none; } marker.back path { fill: var(--back); }
g.wire:hover path { stroke-width: 3; } g.box:hover rect { stroke-width: 2.5; }
table { border-collapse: collapse; margin-top: 1.5rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; } th { font-weight: 600; } ul { margin: 0; padding-left: 1.1rem; }
";

#[allow(
    clippy::indexing_slicing,
    reason = "the lines of a graph join its own boxes"
)]
fn table(out: &mut String, graph: &Graph) {
    out.push_str("<table>\n<tr><th>Node</th><th>What it is</th><th>Reads</th></tr>\n");
    for (index, one) in graph.boxes.iter().enumerate() {
        if one.kind != BoxKind::Node {
            continue;
        }
        let _ = write!(out, "<tr><th>{}</th><td>", escape(&one.title));
        list(
            out,
            one.facts
                .iter()
                .map(|(name, value)| format!("{name}: {value}")),
        );
        out.push_str("</td><td>");
        let reads = graph.lines.iter().filter(|line| line.to == index);
        let reads = reads.flat_map(|line| {
            let from = graph.boxes[line.from].title.clone();
            line.labels
                .iter()
                .map(move |label| format!("{from}: {label}"))
        });
        list(out, reads);
        out.push_str("</td></tr>\n");
    }
    out.push_str("</table>\n");
}

fn list(out: &mut String, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    out.push_str("<ul>");
    for item in items {
        let _ = write!(out, "<li>{}</li>", escape(&item));
    }
    out.push_str("</ul>");
}
