//! Coordinates: boxes with sizes and lines between them -> where each box stands and which points each
//! line passes. In pixels, x to the right, y down. Knows no text and no SVG.
#![allow(
    clippy::indexing_slicing,
    reason = "`layers` numbers vertices and rows, below the counts that the tables here have"
)]

use super::layers::{Layers, assign};

/// Free space between two boxes above each other.
const ROW_GAP: f64 = 26.0;
/// The same beside a bend, which is only a line.
const BEND_GAP: f64 = 12.0;
/// Most space between two lines that end at one side of a box, and what its corners keep free.
const PORT_GAP: f64 = 14.0;
const CORNER: f64 = 8.0;
/// Free space between two layers, without what labels need.
const LAYER_GAP: f64 = 56.0;
/// Rounds of pulling boxes towards what they are connected with.
const ROUNDS: usize = 8;

/// Width and height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    pub width: f64,
    pub height: f64,
}

/// A point; of a box its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
}

/// A line to be laid out.
pub(super) struct Wire {
    pub from: usize,
    pub to: usize,
    /// Space that its label needs.
    pub label: Size,
}

/// How a line is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    /// From the right side of the leftmost box to the left side of the rightmost one. A loop has
    /// only the right end of its box.
    pub points: Vec<Point>,
    /// It points to the left end.
    pub backward: bool,
}

/// The finished layout, starting at (0, 0).
pub(super) struct Layout {
    pub corners: Vec<Point>,
    pub paths: Vec<Path>,
    pub size: Size,
}

/// Lays out boxes of these sizes and the wires between them.
pub(super) fn arrange(boxes: &[Size], wires: &[Wire]) -> Layout {
    let edges: Vec<(usize, usize)> = wires.iter().map(|wire| (wire.from, wire.to)).collect();
    let layers = assign(boxes.len(), &edges);
    let lefts = columns(&layers, boxes, wires);
    let centres = heights(&layers, boxes, wires);
    let row_of = rows_of(&layers);
    let top = boxes
        .iter()
        .zip(&centres)
        .map(|(size, centre)| centre - size.height / 2.0)
        .chain(centres[boxes.len()..].iter().copied())
        .fold(f64::INFINITY, f64::min);
    let left = |vertex: usize| lefts[row_of[vertex]].x;
    let corner = |vertex: usize| Point {
        x: left(vertex) + (lefts[row_of[vertex]].width - boxes[vertex].width) / 2.0,
        y: centres[vertex] - boxes[vertex].height / 2.0 - top,
    };
    let corners: Vec<Point> = (0..boxes.len()).map(corner).collect();
    let mut paths: Vec<Path> = layers
        .edges
        .iter()
        .map(|edge| {
            let mut points = Vec::with_capacity(edge.through.len() * 2);
            for (index, vertex) in edge.through.iter().enumerate() {
                let y = centres[*vertex] - top;
                let column = lefts[row_of[*vertex]];
                if *vertex >= boxes.len() {
                    // A bend goes straight through its column.
                    points.push(Point { x: column.x, y });
                    points.push(Point {
                        x: column.x + column.width,
                        y,
                    });
                } else {
                    let width = if index == 0 {
                        boxes[*vertex].width
                    } else {
                        0.0
                    };
                    points.push(Point {
                        x: corners[*vertex].x + width,
                        y,
                    });
                }
            }
            Path {
                points,
                backward: edge.backward,
            }
        })
        .collect();
    spread(&mut paths, &layers, boxes, Side::Right);
    spread(&mut paths, &layers, boxes, Side::Left);
    let size = extent(boxes, &corners, &paths);
    Layout {
        corners,
        paths,
        size,
    }
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// Moves the ends of lines at one side of each box apart, in the order of where they come from.
fn spread(paths: &mut [Path], layers: &Layers, boxes: &[Size], side: Side) {
    let mut ends: Vec<Vec<(f64, usize)>> = vec![Vec::new(); boxes.len()];
    for (index, (path, edge)) in paths.iter().zip(&layers.edges).enumerate() {
        let (vertex, beside) = match (side, path.points.as_slice()) {
            (_, [] | [_]) => continue,
            (Side::Right, [_, next, ..]) => (edge.through.first(), next),
            (Side::Left, [.., next, _]) => (edge.through.last(), next),
        };
        if let Some(ends) = vertex.and_then(|vertex| ends.get_mut(*vertex)) {
            ends.push((beside.y, index));
        }
    }
    for (mut ends, size) in ends.into_iter().zip(boxes) {
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let spaces = ends.len().saturating_sub(1) as f64;
        let gap = PORT_GAP.min((size.height - 2.0 * CORNER) / spaces.max(1.0));
        for (place, (_, index)) in ends.into_iter().enumerate() {
            let points = &mut paths[index].points;
            let end = match side {
                Side::Left => points.last_mut(),
                Side::Right => points.first_mut(),
            };
            if let Some(end) = end {
                end.y += (place as f64 - spaces / 2.0) * gap;
            }
        }
    }
}

fn extent(boxes: &[Size], corners: &[Point], paths: &[Path]) -> Size {
    let ends = boxes.iter().zip(corners);
    let ends = ends.map(|(size, at)| (at.x + size.width, at.y + size.height));
    let points = paths.iter().flat_map(|path| &path.points);
    let all = ends.chain(points.map(|point| (point.x, point.y)));
    let (width, height) = all.fold((0.0, 0.0), |(x, y): (f64, f64), end| {
        (x.max(end.0), y.max(end.1))
    });
    Size { width, height }
}

#[derive(Clone, Copy)]
struct Column {
    x: f64,
    width: f64,
}

/// Each layer's column; the gap behind it has room for the labels of the lines that start there.
fn columns(layers: &Layers, boxes: &[Size], wires: &[Wire]) -> Vec<Column> {
    let row_of = rows_of(layers);
    let mut gaps = vec![LAYER_GAP; layers.rows.len()];
    for (edge, wire) in layers.edges.iter().zip(wires) {
        if let [first, _, ..] = edge.through.as_slice() {
            let gap = &mut gaps[row_of[*first]];
            *gap = gap.max(wire.label.width + LAYER_GAP);
        }
    }
    let mut x = 0.0;
    let mut columns = Vec::with_capacity(layers.rows.len());
    for (row, gap) in layers.rows.iter().zip(gaps) {
        let widths = row.iter().filter_map(|vertex| boxes.get(*vertex));
        let width = widths.map(|size| size.width).fold(0.0, f64::max);
        columns.push(Column { x, width });
        x += width + gap;
    }
    columns
}

fn rows_of(layers: &Layers) -> Vec<usize> {
    let mut row_of = vec![0; layers.vertices];
    for (row, vertices) in layers.rows.iter().enumerate() {
        for vertex in vertices {
            row_of[*vertex] = row;
        }
    }
    row_of
}

/// The middle of each vertex: in turns, each row moves as close as its order allows to the middle of
/// what it is connected with on the left, then on the right.
fn heights(layers: &Layers, boxes: &[Size], wires: &[Wire]) -> Vec<f64> {
    // A bend is as high as the label of its line, which may stand there.
    let mut high: Vec<f64> = boxes.iter().map(|size| size.height).collect();
    high.resize(layers.vertices, 0.0);
    for (edge, wire) in layers.edges.iter().zip(wires) {
        for bend in edge.through.iter().filter(|vertex| **vertex >= boxes.len()) {
            high[*bend] = wire.label.height;
        }
    }
    let mut beside: [Vec<Vec<usize>>; 2] = [0, 1].map(|_| vec![Vec::new(); layers.vertices]);
    for edge in &layers.edges {
        for pair in edge.through.windows(2) {
            beside[0][pair[1]].push(pair[0]);
            beside[1][pair[0]].push(pair[1]);
        }
    }
    let height = |vertex: usize| high[vertex];
    let gap = |vertex: usize| {
        if vertex < boxes.len() {
            ROW_GAP
        } else {
            BEND_GAP
        }
    };
    let mut centres = vec![0.0; layers.vertices];
    for row in &layers.rows {
        place(row, &mut centres, &height, &gap, |_, _| 0.0);
    }
    for round in 0..ROUNDS {
        let beside = &beside[round % 2];
        let wish = |vertex: usize, centres: &[f64]| {
            let neighbours = &beside[vertex];
            match neighbours.len() {
                0 => centres[vertex],
                n => neighbours.iter().map(|other| centres[*other]).sum::<f64>() / n as f64,
            }
        };
        let count = layers.rows.len();
        for step in 0..count {
            let row = if round % 2 == 0 {
                step
            } else {
                count - 1 - step
            };
            place(&layers.rows[row], &mut centres, &height, &gap, wish);
        }
    }
    centres
}

/// Sets the middles of one row: least squares to the wishes under the row's order and distances, by
/// pooling neighbours that would overlap (isotonic regression).
fn place(
    row: &[usize],
    centres: &mut [f64],
    height: &dyn Fn(usize) -> f64,
    gap: &dyn Fn(usize) -> f64,
    wish: impl Fn(usize, &[f64]) -> f64,
) {
    // With the distances taken off, the order alone is left to keep.
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(row.len());
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (index, vertex) in row.iter().enumerate() {
        if let Some(above) = index.checked_sub(1).and_then(|above| row.get(above)) {
            let free = gap(*above).min(gap(*vertex));
            offset += (height(*above) + height(*vertex)) / 2.0 + free;
        }
        offsets.push(offset);
        let mut pool = (wish(*vertex, centres) - offset, 1);
        while let Some(last) = pools.last() {
            if last.0 <= pool.0 {
                break;
            }
            let count = last.1 + pool.1;
            let sum = last.0 * last.1 as f64 + pool.0 * pool.1 as f64;
            pool = (sum / count as f64, count);
            pools.pop();
        }
        pools.push(pool);
    }
    let placed = pools
        .iter()
        .flat_map(|(y, count)| std::iter::repeat_n(*y, *count));
    for ((vertex, offset), y) in row.iter().zip(offsets).zip(placed) {
        centres[*vertex] = y + offset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Size = Size {
        width: 100.0,
        height: 40.0,
    };

    fn layout(count: usize, edges: &[(usize, usize)]) -> Layout {
        let wires = edges.iter().map(|(from, to)| Wire {
            from: *from,
            to: *to,
            label: Size {
                width: 30.0,
                height: 13.0,
            },
        });
        arrange(&vec![BOX; count], &wires.collect::<Vec<_>>())
    }

    fn overlap(a: Point, b: Point) -> bool {
        (a.x - b.x).abs() < BOX.width && (a.y - b.y).abs() < BOX.height
    }

    #[test]
    fn nothing_overlaps_and_all_is_inside() {
        let chain: Vec<_> = (0..199).map(|n| (n, n + 1)).collect();
        let fan: Vec<_> = (1..200).map(|n| (0, n)).collect();
        let grid: Vec<_> = (0..180)
            .flat_map(|n| [(n, n + 20), (n, (n * 7 + 20) % 200)])
            .collect();
        let cases: [(usize, &[(usize, usize)]); 6] = [
            (0, &[]),
            (1, &[(0, 0)]),
            (5, &[]),
            (200, &chain),
            (200, &fan),
            (200, &grid),
        ];
        for (count, edges) in cases {
            let layout = layout(count, edges);
            assert_eq!(layout.paths.len(), edges.len());
            for (index, a) in layout.corners.iter().enumerate() {
                assert!(a.x >= 0.0 && a.y >= 0.0, "{a:?}");
                assert!(
                    a.x + BOX.width <= layout.size.width && a.y + BOX.height <= layout.size.height
                );
                assert!(
                    layout.corners[..index].iter().all(|b| !overlap(*a, *b)),
                    "{index}"
                );
            }
            for point in layout.paths.iter().flat_map(|path| &path.points) {
                assert!(point.x.is_finite() && point.y >= 0.0, "{point:?}");
            }
        }
    }

    #[test]
    fn a_chain_is_straight() {
        let layout = layout(4, &[(0, 1), (1, 2), (2, 3)]);
        assert!(layout.corners.iter().all(|corner| corner.y == 0.0));
        assert!(layout.corners.is_sorted_by(|a, b| a.x < b.x));
    }
}
