//! A plot as one SVG: lines over two logarithmic axes.
//!
//! Invariant: the file stands alone, is well-formed whatever the names are, and can be read on light and on dark pages.
//! Absent: numbers that are not above zero, which such an axis has no place for.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 44.0;
/// Room of a name in the legend, in units per character.
const LETTER: f64 = 6.6;
const COLOURS: [&str; 4] = ["#3b7dd8", "#d8703b", "#3ba55d", "#9a5bc9"];

/// A plot.
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What the numbers on the horizontal axis are.
    pub x: &'a str,
    /// The lines, each with its name.
    pub lines: Vec<(&'a str, Vec<(f64, f64)>)>,
    /// Whether a dashed line shows, from the first point of the first line on, what in step with the horizontal axis is.
    pub in_step: bool,
}

/// Where numbers lie: whole decades.
struct Axis {
    from: i32,
    to: i32,
}

impl Axis {
    fn over(numbers: impl Iterator<Item = f64>) -> Self {
        let (min, max) = numbers.fold((f64::INFINITY, 0.0), |(min, max): (f64, f64), number| {
            (min.min(number), max.max(number))
        });
        if max <= 0.0 {
            return Self { from: 0, to: 1 };
        }
        let (from, to) = (min.log10().floor() as i32, max.log10().ceil() as i32);
        let to = to.max(from + 1);
        Self { from, to }
    }

    /// From 0 to 1, for what is within.
    fn place(&self, number: f64) -> f64 {
        (number.log10() - f64::from(self.from)) / f64::from(self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.from..=self.to).map(|power| 10_f64.powi(power))
    }
}

/// The drawing.
pub fn svg(chart: &Chart<'_>) -> String {
    let points = || {
        let all = chart.lines.iter().flat_map(|(_, points)| points);
        all.copied().filter(|(x, y)| *x > 0.0 && *y > 0.0)
    };
    let x = Axis::over(points().map(|(x, _)| x));
    let y = Axis::over(points().map(|(_, y)| y));
    let at = |(number, value): (f64, f64)| {
        let across = LEFT + x.place(number) * (WIDTH - LEFT - RIGHT);
        let up = HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
        (across, up)
    };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#777\">\n<title>{0}</title>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">{0}</text>\n",
        escape(chart.title)
    );
    grid(&mut out, &x, &y, chart.x);
    if let Some(first) = points().next().filter(|_| chart.in_step) {
        step(&mut out, first, (&x, &y), at);
    }
    let mut legend = LEFT;
    for ((name, points), colour) in chart.lines.iter().zip(COLOURS.iter().cycle()) {
        line(&mut out, points, colour, at);
        let _ = writeln!(
            out,
            "<rect x=\"{legend:.0}\" y=\"29\" width=\"9\" height=\"9\" fill=\"{colour}\"/>\
             <text x=\"{:.0}\" y=\"38\">{}</text>",
            legend + 14.0,
            escape(name)
        );
        legend += 34.0 + name.chars().count() as f64 * LETTER;
    }
    out + "</svg>\n"
}

fn grid(out: &mut String, x: &Axis, y: &Axis, name: &str) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for number in y.decades() {
        let up = bottom - y.place(number) * (bottom - TOP);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {up:.1}H{right}\" stroke=\"#8884\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            up + 4.0,
            short(number)
        );
    }
    for number in x.decades() {
        let across = LEFT + x.place(number) * (right - LEFT);
        let _ = writeln!(
            out,
            "<path d=\"M{across:.1} {TOP}V{bottom}\" stroke=\"#8884\"/>\
             <text x=\"{across:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            short(number)
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
        (LEFT + right) / 2.0,
        bottom + 34.0,
        escape(name)
    );
}

/// The dashed line, as far as it lies on the drawing.
fn step(
    out: &mut String,
    first: (f64, f64),
    axes: (&Axis, &Axis),
    at: impl Fn((f64, f64)) -> (f64, f64),
) {
    let (x, y) = axes;
    let most = (10_f64.powi(x.to) / first.0).min(10_f64.powi(y.to) / first.1);
    let ((a, b), (c, d)) = (at(first), at((first.0 * most, first.1 * most)));
    let _ = writeln!(
        out,
        "<path d=\"M{a:.1} {b:.1}L{c:.1} {d:.1}\" stroke=\"#888\" stroke-dasharray=\"4 4\"/>"
    );
}

fn line(
    out: &mut String,
    points: &[(f64, f64)],
    colour: &str,
    at: impl Fn((f64, f64)) -> (f64, f64),
) {
    let mut path = String::new();
    let mut dots = String::new();
    for point in points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0) {
        let (x, y) = at(*point);
        let _ = write!(
            path,
            "{}{x:.1} {y:.1}",
            if path.is_empty() { 'M' } else { 'L' }
        );
        let _ = write!(dots, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
    }
    let _ = writeln!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/><g fill=\"{colour}\">{dots}</g>"
    );
}

/// A power of ten as one reads it.
fn short(number: f64) -> String {
    match number {
        1e9.. => format!("{} G", number / 1e9),
        1e6.. => format!("{} M", number / 1e6),
        1e3.. => format!("{} k", number / 1e3),
        _ => format!("{number}"),
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_numbers_are() {
        let chart = Chart {
            title: "a < b & c",
            x: "nodes",
            lines: vec![("one", vec![(1.0, 1.0), (10.0, 10.0), (100.0, 0.0)])],
            in_step: true,
        };
        let drawn = svg(&chart);
        assert!(drawn.contains("<title>a &lt; b &amp; c</title>"), "{drawn}");
        // From the lower left corner to the upper right one; what has no logarithm is left out.
        let corner = format!(
            "M{LEFT:.1} {:.1}L{:.1} {TOP:.1}\"",
            HEIGHT - BOTTOM,
            WIDTH - RIGHT
        );
        assert_eq!(drawn.matches(&corner).count(), 2, "{drawn}");
        assert_eq!(drawn.matches("<circle").count(), 2, "{drawn}");
    }

    #[test]
    fn nothing_to_draw_is_a_drawing_too() {
        let chart = Chart {
            title: "",
            x: "",
            lines: vec![("none", vec![(0.0, 0.0)])],
            in_step: true,
        };
        let drawn = svg(&chart);
        assert!(
            drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"),
            "{drawn}"
        );
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.1, 1.0, 1_000.0, 1e7].map(short);
        assert_eq!(numbers, ["0.1", "1", "1 k", "10 M"]);
    }
}
