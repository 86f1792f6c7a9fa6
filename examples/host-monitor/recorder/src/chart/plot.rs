//! One panel as SVG: marks, a band and a line per series, a dotted line for its rolling mean.
//!
//! Invariant: the drawing is 800 by 240 units and scales with the page. Absent: numbers beside the axes; the table
//! below has them.

use super::scale::{Axis, axis, quantity, time_axis};
use super::{COLOURS, Panel, escape};
use crate::history::{Bucket, Series};
use std::fmt::Write;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// Where times and values lie.
struct Area {
    from: i64,
    x: Axis,
    y: Axis,
}

impl Area {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + self.x.place(seconds) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// The middle of a bucket's time.
    fn at(&self, bucket: &Bucket) -> f64 {
        let middle = bucket.from / 2 + bucket.to / 2;
        self.x(middle.saturating_sub(self.from) as f64 / 1e9)
    }
}

/// Draws a panel over the time `span`, in nanoseconds. `heading` is escaped.
pub fn svg(panel: &Panel<'_>, span: (i64, i64), heading: &str) -> String {
    let drawn = panel
        .lines
        .iter()
        .flat_map(|line| [Some(line.series), line.means]);
    let extremes = drawn.flatten().filter_map(Series::summary);
    let (min, max) = extremes.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), all| {
        (min.min(all.min), max.max(all.max))
    });
    let area = Area {
        from: span.0,
        x: time_axis(span.1.abs_diff(span.0) as f64 / 1e9),
        y: axis(min, max, &panel.unit),
    };
    let (low, high) = (quantity(min, &panel.unit), quantity(max, &panel.unit));
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{heading}: from {} to {}\">\n",
        escape(&low),
        escape(&high)
    );
    out += &marks(&area);
    for (at, line) in panel.lines.iter().enumerate() {
        let colour = at % COLOURS;
        let runs = runs(line.series.buckets());
        path(&mut out, "band", "fill", colour, &band(&area, &runs));
        path(&mut out, "line", "stroke", colour, &course(&area, &runs));
        if let Some(means) = line.means {
            let runs = self::runs(means.buckets());
            path(&mut out, "mean", "stroke", colour, &course(&area, &runs));
        }
    }
    out + "</svg>"
}

fn marks(area: &Area) -> String {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut out = String::new();
    for (value, text) in &area.y.marks {
        let y = area.y(*value);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
            <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            escape(text)
        );
    }
    for (seconds, text) in &area.x.marks {
        let x = area.x(*seconds);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{}\"/>\
            <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
            bottom + 5.0,
            bottom + 20.0
        );
    }
    out
}

/// Stretches of buckets with values; a gap in the samples is a gap in the line.
fn runs(buckets: &[Bucket]) -> Vec<&[Bucket]> {
    let stretches = buckets.split(|bucket| bucket.count == 0);
    stretches.filter(|run| !run.is_empty()).collect()
}

/// A line through the buckets' means. A single one becomes a dot: a line of no length with round ends.
fn course(area: &Area, runs: &[&[Bucket]]) -> String {
    let mut out = String::new();
    for run in runs {
        let mut command = 'M';
        for bucket in *run {
            let (x, y) = (area.at(bucket), area.y(bucket.mean().unwrap_or_default()));
            let _ = write!(out, "{command}{x:.1} {y:.1}");
            command = 'L';
        }
        if run.len() == 1 {
            out += "h0";
        }
    }
    out
}

/// The area between the lowest and highest values, where they differ.
fn band(area: &Area, runs: &[&[Bucket]]) -> String {
    let mut out = String::new();
    for run in runs {
        if run.iter().all(|bucket| bucket.min == bucket.max) {
            continue;
        }
        let mut command = 'M';
        let above = run.iter().map(|bucket| (bucket, bucket.max));
        let below = run.iter().rev().map(|bucket| (bucket, bucket.min));
        for (bucket, value) in above.chain(below) {
            let (x, y) = (area.at(bucket), area.y(value));
            let _ = write!(out, "{command}{x:.1} {y:.1}");
            command = 'L';
        }
        out.push('Z');
    }
    out
}

fn path(out: &mut String, class: &str, paint: &str, colour: usize, data: &str) {
    if !data.is_empty() {
        let style = format!("{paint}:var(--c{colour})");
        let _ = writeln!(
            out,
            "<path class=\"{class}\" style=\"{style}\" d=\"{data}\"/>"
        );
    }
}
