//! Curves of lines: smooth, level where they meet a box or a bend. Knows no boxes.

use std::fmt::Write;

use super::layout::{Path, Point};

/// SVG path data of the curve through the points.
pub(super) fn through(points: &[Point]) -> String {
    let [first, rest @ ..] = points else {
        return String::new();
    };
    let mut d = format!("M{:.1} {:.1}", first.x, first.y);
    let mut from = *first;
    for to in rest {
        let middle = (from.x + to.x) / 2.0;
        let _ = write!(
            d,
            "C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}",
            from.y, to.y, to.x, to.y
        );
        from = *to;
    }
    d
}

/// A loop: out on the right of a box of this height, round below, back to its lower side. And where its
/// label stands.
pub(super) fn around(end: Point, height: f64) -> (String, Point) {
    let (x, y, low) = (end.x, end.y, end.y + height / 2.0);
    let d = format!(
        "M{x:.1} {y:.1}C{:.1} {y:.1} {:.1} {:.1} {:.1} {low:.1}",
        x + 44.0,
        x + 10.0,
        low + 50.0,
        x - 24.0
    );
    let label = Point {
        x: x + 8.0,
        y: low + 26.0,
    };
    (d, label)
}

/// Where a label stands: on the piece beside the sender, away from the end where more lines meet.
/// `crowd` counts the lines at the left end and at the right end of the whole path.
pub(super) fn label(path: &Path, crowd: (usize, usize)) -> Point {
    let last = path.points.len().saturating_sub(2);
    let start = if path.backward { last } else { 0 };
    let (Some(a), Some(b)) = (path.points.get(start), path.points.get(start + 1)) else {
        return Point { x: 0.0, y: 0.0 };
    };
    let left = if start == 0 { crowd.0 } else { 1 };
    let right = if start == last { crowd.1 } else { 1 };
    let t = match left.cmp(&right) {
        std::cmp::Ordering::Less => 0.36,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Greater => 0.64,
    };
    // The cubic of `through` at t, both of whose control points have the x of the middle.
    let near = 1.0 - t;
    let inner = 3.0 * near * t;
    let middle = (a.x + b.x) / 2.0;
    Point {
        x: near * near * near * a.x + inner * middle + t * t * t * b.x,
        y: a.y + (b.y - a.y) * t * t * (3.0 - 2.0 * t),
    }
}
