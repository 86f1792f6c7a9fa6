//! Graphviz dot. Ids are made up (`n0`); all names stand in quoted labels.

use std::fmt::Write;

use super::{BoxKind, Graph};

pub(super) fn render(graph: &Graph) -> String {
    let mut out = String::from("digraph dataflow {\n");
    out.push_str("  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    out.push_str("  edge [fontname=\"sans-serif\", fontsize=10];\n");
    let _ = writeln!(out, "  label=\"{}\";", escape(&graph.title));
    for (machine, name) in graph.machines.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{machine} {{");
        let _ = writeln!(out, "    label=\"machine {}\";", escape(name));
        write_boxes(&mut out, graph, Some(machine), "    ");
        out.push_str("  }\n");
    }
    write_boxes(&mut out, graph, None, "  ");
    for line in &graph.lines {
        let labels: Vec<String> = line.labels.iter().map(|label| escape(label)).collect();
        let labels = labels.join("\\n");
        let _ = writeln!(
            out,
            "  n{} -> n{} [label=\"{labels}\"];",
            line.from, line.to
        );
    }
    out.push_str("}\n");
    out
}

fn write_boxes(out: &mut String, graph: &Graph, machine: Option<usize>, indent: &str) {
    for (index, one) in graph.boxes.iter().enumerate() {
        if one.machine != machine {
            continue;
        }
        let title = escape(&one.title);
        let _ = match one.kind {
            BoxKind::Node => {
                let place = escape(&one.place);
                writeln!(out, "{indent}n{index} [label=\"{title}\\n{place}\"];")
            }
            BoxKind::Timer => {
                writeln!(out, "{indent}n{index} [label=\"{title}\", shape=ellipse];")
            }
            BoxKind::Logs => {
                writeln!(out, "{indent}n{index} [label=\"{title}\", shape=cylinder];")
            }
        };
    }
}

/// For a quoted string of dot, where a backslash also starts escapes such as `\N`.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
