//! The drawing of a graph as one `svg` element. Its colours are the page's.

use std::fmt::Write;

use super::{
    BoxKind, Graph, GraphBox, Line, curve,
    layout::{Layout, Point, Size, Wire, arrange},
    text::{cut, escape, width},
};

/// Widths of a character in pixels, of the page's fonts; wide scripts take twice as much.
const TITLE_CHAR: f64 = 8.2;
const SMALL_CHAR: f64 = 6.7;
const LINE_HEIGHT: f64 = 13.0;
const MARGIN: f64 = 24.0;
/// Free space for loops, which leave their box on the right and below.
const LOOPS: Size = Size {
    width: 40.0,
    height: 40.0,
};

/// Writes the `svg` element.
#[allow(
    clippy::indexing_slicing,
    reason = "the lines of a graph join its own boxes, and all tables here have an entry for each"
)]
pub(super) fn render(out: &mut String, graph: &Graph) {
    let sizes: Vec<Size> = graph.boxes.iter().map(size_of).collect();
    let wires: Vec<Wire> = graph.lines.iter().map(wire_of).collect();
    let layout = arrange(&sizes, &wires);
    let width = layout.size.width + 2.0 * MARGIN + LOOPS.width;
    let height = layout.size.height + 2.0 * MARGIN + LOOPS.height;
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"-{MARGIN} -{MARGIN} {width:.0} {height:.0}\" role=\"img\">"
    );
    for (id, class) in [("arrow", ""), ("arrow-back", "back")] {
        let _ = writeln!(
            out,
            "<defs><marker id=\"{id}\" class=\"{class}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" \
             markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\"><path d=\"M0 0L10 5L0 10z\"/>\
             </marker></defs>"
        );
    }
    let mut leaving = vec![0usize; graph.boxes.len()];
    let mut entering = leaving.clone();
    for (line, path) in graph.lines.iter().zip(&layout.paths) {
        let (left, right) = match path.backward {
            true => (line.to, line.from),
            false => (line.from, line.to),
        };
        leaving[left] += 1;
        entering[right] += 1;
    }
    for (line, path) in graph.lines.iter().zip(&layout.paths) {
        let crowd = match path.backward {
            true => (leaving[line.to], entering[line.from]),
            false => (leaving[line.from], entering[line.to]),
        };
        let tip = format!(
            "{} → {}\n{}",
            graph.boxes[line.from].title,
            graph.boxes[line.to].title,
            line.labels.join("\n")
        );
        let (d, label) = match path.points.as_slice() {
            [end] => curve::around(*end, sizes[line.from].height),
            _ => (curve::through(&path.points), curve::label(path, crowd)),
        };
        let class = if path.backward { "back" } else { "" };
        let end = match path.backward {
            true => "marker-start=\"url(#arrow-back)\"",
            false => "marker-end=\"url(#arrow)\"",
        };
        let _ = writeln!(
            out,
            "<g class=\"wire\"><title>{}</title><path class=\"{class}\" d=\"{d}\" {end}/>",
            escape(&tip)
        );
        labels(out, &line.labels, label);
        out.push_str("</g>\n");
    }
    boxes(out, graph, &layout, &sizes);
    out.push_str("</svg>\n");
}

fn wire_of(line: &Line) -> Wire {
    let widths = line
        .labels
        .iter()
        .map(|label| width(&cut(label), SMALL_CHAR));
    Wire {
        from: line.from,
        to: line.to,
        label: Size {
            width: widths.fold(0.0, f64::max),
            height: line.labels.len() as f64 * LINE_HEIGHT,
        },
    }
}

fn size_of(one: &GraphBox) -> Size {
    let title = width(&cut(&one.title), TITLE_CHAR);
    let lines = small_lines(one);
    let small = lines
        .iter()
        .map(|line| width(line, SMALL_CHAR))
        .fold(0.0, f64::max);
    Size {
        width: title.max(small) + 24.0,
        height: 28.0 + lines.len() as f64 * 15.0,
    }
}

/// The lines below the title of a box.
fn small_lines(one: &GraphBox) -> Vec<String> {
    let machine = one.facts.iter().find(|(name, _)| *name == "machine");
    let machine = machine.map(|(_, machine)| cut(&format!("on {machine}")));
    let place = Some(cut(&one.place)).filter(|place| !place.is_empty());
    place.into_iter().chain(machine).collect()
}

fn boxes(out: &mut String, graph: &Graph, layout: &Layout, sizes: &[Size]) {
    for ((one, corner), size) in graph.boxes.iter().zip(&layout.corners).zip(sizes) {
        let (class, radius) = match one.kind {
            BoxKind::Node => ("box", 6.0),
            BoxKind::Timer => ("box timer", size.height / 2.0),
            BoxKind::Logs => ("box logs", 2.0),
        };
        let _ = writeln!(
            out,
            "<g class=\"{class}\" transform=\"translate({:.1} {:.1})\"><title>{}</title>\
             <rect width=\"{:.1}\" height=\"{:.1}\" rx=\"{radius:.1}\"/>\
             <text class=\"title\" x=\"12\" y=\"19\">{}</text>",
            corner.x,
            corner.y,
            tooltip(one),
            size.width,
            size.height,
            escape(&cut(&one.title)),
        );
        for (index, line) in small_lines(one).iter().enumerate() {
            let y = 35.0 + index as f64 * 15.0;
            let _ = writeln!(
                out,
                "<text class=\"place\" x=\"12\" y=\"{y}\">{}</text>",
                escape(line)
            );
        }
        out.push_str("</g>\n");
    }
}

fn tooltip(one: &GraphBox) -> String {
    let facts = one
        .facts
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    let lines: Vec<String> = std::iter::once(one.title.clone()).chain(facts).collect();
    escape(&lines.join("\n"))
}

/// Several labels are centred on their point.
fn labels(out: &mut String, labels: &[String], at: Point) {
    let first = at.y - labels.len().saturating_sub(1) as f64 * LINE_HEIGHT / 2.0 + 4.0;
    for (index, text) in labels.iter().enumerate() {
        let y = first + index as f64 * LINE_HEIGHT;
        let _ = writeln!(
            out,
            "<text class=\"label\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            at.x,
            escape(&cut(text))
        );
    }
}
