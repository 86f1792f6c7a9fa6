//! Mermaid flowchart. Ids are made up (`n0`), so that no name can be mistaken for syntax.

use std::fmt::Write;

use super::{BoxKind, Graph, GraphBox};

pub(super) fn render(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    for (machine, name) in graph.machines.iter().enumerate() {
        let _ = writeln!(out, "  subgraph m{machine} [\"machine {}\"]", escape(name));
        write_boxes(&mut out, graph, Some(machine), "    ");
        out.push_str("  end\n");
    }
    write_boxes(&mut out, graph, None, "  ");
    for line in &graph.lines {
        let labels: Vec<String> = line.labels.iter().map(|label| escape(label)).collect();
        let labels = labels.join("<br/>");
        let _ = writeln!(out, "  n{} -- \"{labels}\" --> n{}", line.from, line.to);
    }
    out
}

fn write_boxes(out: &mut String, graph: &Graph, machine: Option<usize>, indent: &str) {
    for (index, one) in graph.boxes.iter().enumerate() {
        if one.machine == machine {
            let _ = writeln!(out, "{indent}n{index}{}", shape(one));
        }
    }
}

fn shape(one: &GraphBox) -> String {
    let title = escape(&one.title);
    match one.kind {
        BoxKind::Node => format!("[\"<b>{title}</b><br/>{}\"]", escape(&one.place)),
        BoxKind::Timer => format!("([\"{title}\"])"),
        BoxKind::Logs => format!("[(\"{title}\")]"),
    }
}

/// Everything that Mermaid or HTML would read as more than a character becomes an entity of Mermaid.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | ';' | '\\' | '[' | ']' | '{' | '}' | '|' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
