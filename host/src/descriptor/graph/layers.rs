//! Which layer (column) each vertex of a directed graph stands in, and in which order there.
//! Sugiyama's method: cycles are broken by turning edges round, layers follow the longest path, long
//! edges are cut into pieces by bends, and the order is improved by barycentres while it lessens the
//! crossings (Sugiyama, Tagawa, Toda 1981; Gansner et al. 1993). Knows no sizes and no coordinates.
#![allow(
    clippy::indexing_slicing,
    reason = "vertices, rows and edges are numbered here, below the counts that the tables have"
)]

use std::collections::VecDeque;

/// More bends than this are not made: then long edges are drawn straight.
const MAX_BENDS: usize = 20_000;
/// Sweeps over all layers in search of fewer crossings.
const SWEEPS: usize = 12;

/// The layers of a graph.
pub(super) struct Layers {
    /// Vertices of each layer in their order. Numbers from the count of the graph's own vertices on
    /// are bends.
    pub rows: Vec<Vec<usize>>,
    /// Edges in the order they were given.
    pub edges: Vec<Routed>,
    /// Vertices and bends.
    pub vertices: usize,
}

/// How an edge goes through the layers.
pub(super) struct Routed {
    /// Vertices from the leftmost to the rightmost, bends between. A loop has only its vertex.
    pub through: Vec<usize>,
    /// The edge goes from right to left.
    pub backward: bool,
}

/// Puts `count` vertices into layers. Edges are pairs of vertices below `count`.
pub(super) fn assign(count: usize, edges: &[(usize, usize)]) -> Layers {
    let backward = backward_edges(count, edges);
    let forward: Vec<(usize, usize)> = edges
        .iter()
        .zip(&backward)
        .map(|((from, to), back)| if *back { (*to, *from) } else { (*from, *to) })
        .collect();
    let layer = longest_paths(count, &forward);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); layer.iter().max().map_or(0, |max| max + 1)];
    for (vertex, layer) in layer.iter().enumerate() {
        rows[*layer].push(vertex);
    }
    let bends: usize = forward
        .iter()
        .map(|(from, to)| layer[*to].saturating_sub(layer[*from] + 1))
        .sum();
    let mut vertices = count;
    let mut routed = Vec::with_capacity(edges.len());
    for ((from, to), backward) in forward.into_iter().zip(backward) {
        let mut through = vec![from];
        if from != to {
            if bends <= MAX_BENDS {
                for row in &mut rows[layer[from] + 1..layer[to]] {
                    row.push(vertices);
                    through.push(vertices);
                    vertices += 1;
                }
            }
            through.push(to);
        }
        routed.push(Routed { through, backward });
    }
    let mut layers = Layers {
        rows,
        edges: routed,
        vertices,
    };
    layers.order();
    layers
}

/// Edges that lead back to a vertex on the path of a depth-first search. Loops are not among them.
fn backward_edges(count: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (edge, (from, _)) in edges.iter().enumerate() {
        next[*from].push(edge);
    }
    let mut entered = vec![false; count];
    for (_, to) in edges {
        entered[*to] = true;
    }
    // From the sources first, so that what flows forward is drawn forward.
    let sources = (0..count).filter(|vertex| !entered[*vertex]);
    let starts: Vec<usize> = sources.chain(0..count).collect();
    let mut backward = vec![false; edges.len()];
    let mut seen = vec![false; count];
    let mut on_path = vec![false; count];
    for start in starts {
        if seen[start] {
            continue;
        }
        let mut path = vec![(start, 0)];
        seen[start] = true;
        on_path[start] = true;
        while let Some((vertex, tried)) = path.last_mut() {
            let Some(edge) = next[*vertex].get(*tried) else {
                on_path[*vertex] = false;
                path.pop();
                continue;
            };
            *tried += 1;
            let to = edges[*edge].1;
            if on_path[to] {
                backward[*edge] = to != *vertex;
            } else if !seen[to] {
                seen[to] = true;
                on_path[to] = true;
                path.push((to, 0));
            }
        }
    }
    backward
}

/// Longest path from a source to each vertex; then sources move right, next to their first reader.
fn longest_paths(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut waiting = vec![0; count];
    for (from, to) in edges.iter().filter(|(from, to)| from != to) {
        next[*from].push(*to);
        waiting[*to] += 1;
    }
    let sources: Vec<usize> = (0..count).filter(|vertex| waiting[*vertex] == 0).collect();
    let mut layer = vec![0; count];
    let mut ready: VecDeque<usize> = sources.iter().copied().collect();
    while let Some(vertex) = ready.pop_front() {
        for to in &next[vertex] {
            layer[*to] = layer[*to].max(layer[vertex] + 1);
            waiting[*to] -= 1;
            if waiting[*to] == 0 {
                ready.push_back(*to);
            }
        }
    }
    for source in sources {
        if let Some(first) = next[source].iter().map(|to| layer[*to]).min() {
            layer[source] = first - 1;
        }
    }
    layer
}

impl Layers {
    /// Orders each row so that few edges cross.
    fn order(&mut self) {
        let mut left: Vec<Vec<usize>> = vec![Vec::new(); self.vertices];
        let mut right: Vec<Vec<usize>> = vec![Vec::new(); self.vertices];
        for edge in &self.edges {
            for pair in edge.through.windows(2) {
                left[pair[1]].push(pair[0]);
                right[pair[0]].push(pair[1]);
            }
        }
        let mut position = vec![0; self.vertices];
        self.number(&mut position);
        let mut best = self.rows.clone();
        let mut fewest = self.crossings(&right, &position);
        for sweep in 0..SWEEPS {
            if fewest == 0 {
                break;
            }
            let count = self.rows.len();
            for step in 0..count {
                let (row, beside) = match sweep % 2 {
                    0 => (step, &left),
                    _ => (count - 1 - step, &right),
                };
                sort_by_barycentre(&mut self.rows[row], beside, &mut position);
            }
            let crossings = self.crossings(&right, &position);
            if crossings < fewest {
                fewest = crossings;
                best.clone_from(&self.rows);
            }
        }
        self.rows = best;
    }

    fn number(&self, position: &mut [usize]) {
        for row in &self.rows {
            for (place, vertex) in row.iter().enumerate() {
                position[*vertex] = place;
            }
        }
    }

    /// Crossings between neighbouring rows, counted as inversions with a Fenwick tree.
    fn crossings(&self, right: &[Vec<usize>], position: &[usize]) -> usize {
        let mut total = 0;
        for row in &self.rows {
            let mut ends: Vec<usize> = Vec::new();
            for vertex in row {
                let mut targets: Vec<usize> =
                    right[*vertex].iter().map(|to| position[*to]).collect();
                targets.sort_unstable();
                ends.extend(targets);
            }
            total += inversions(&ends);
        }
        total
    }
}

fn sort_by_barycentre(row: &mut [usize], beside: &[Vec<usize>], position: &mut [usize]) {
    let centre = |vertex: &usize| {
        let neighbours = &beside[*vertex];
        if neighbours.is_empty() {
            return position[*vertex] as f64;
        }
        let sum: usize = neighbours.iter().map(|n| position[*n]).sum();
        sum as f64 / neighbours.len() as f64
    };
    let mut keyed: Vec<(f64, usize)> = row.iter().map(|vertex| (centre(vertex), *vertex)).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (place, (_, vertex)) in keyed.into_iter().enumerate() {
        row[place] = vertex;
        position[vertex] = place;
    }
}

/// Pairs in the wrong order.
fn inversions(values: &[usize]) -> usize {
    let size = values.iter().max().map_or(0, |max| max + 1);
    let mut tree = vec![0usize; size + 1];
    let mut total = 0;
    for (before, value) in values.iter().enumerate() {
        let mut at = value + 1;
        let mut not_above = 0;
        while at > 0 {
            not_above += tree[at];
            at &= at - 1;
        }
        total += before - not_above;
        let mut at = value + 1;
        while at <= size {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer_of(layers: &Layers, vertex: usize) -> usize {
        let row = layers.rows.iter().position(|row| row.contains(&vertex));
        row.expect("every vertex has a layer")
    }

    #[test]
    fn edges_go_right_and_cycles_are_turned() {
        let layers = assign(4, &[(0, 1), (1, 2), (2, 0), (0, 3), (3, 3)]);
        assert_eq!([0, 1, 2, 3].map(|v| layer_of(&layers, v)), [0, 1, 2, 1]);
        let backward: Vec<bool> = layers.edges.iter().map(|edge| edge.backward).collect();
        assert_eq!(backward, [false, false, true, false, false]);
        // The turned edge from layer 2 to layer 0 bends once; the loop has only its vertex.
        assert_eq!(layers.edges[2].through, [0, 4, 2]);
        assert_eq!(layers.edges[4].through, [3]);
    }

    #[test]
    fn sources_stand_beside_their_reader() {
        let layers = assign(4, &[(0, 1), (1, 2), (3, 2)]);
        assert_eq!(layer_of(&layers, 3), 1);
    }

    #[test]
    fn crossings_that_can_go_do() {
        let layers = assign(6, &[(0, 5), (1, 4), (2, 3)]);
        let mut position = vec![0; layers.vertices];
        layers.number(&mut position);
        let mut right = vec![Vec::new(); layers.vertices];
        for edge in &layers.edges {
            right[edge.through[0]].push(edge.through[1]);
        }
        assert_eq!(layers.crossings(&right, &position), 0);
        assert_eq!(inversions(&[2, 1, 0]), 3);
        assert_eq!(inversions(&[0, 0, 1]), 0);
    }
}
