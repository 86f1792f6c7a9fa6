//! Cycles in a directed graph given by edges between indices. Knows no nodes and no messages.
#![allow(
    clippy::indexing_slicing,
    reason = "vertices are numbered below the count that all tables here have"
)]

use std::collections::{BTreeMap, VecDeque};

/// For each vertex the number of its strongly connected component (Tarjan 1972, with a stack of
/// its own instead of recursion, so that a chain of any length is no danger).
pub(super) fn components(vertices: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut next = vec![Vec::new(); vertices];
    for (from, to) in edges {
        next[*from].push(*to);
    }
    let mut search = Search {
        order: vec![UNSEEN; vertices],
        low: vec![0; vertices],
        component: vec![UNSEEN; vertices],
        open: Vec::new(),
        seen: 0,
        found: 0,
    };
    for start in 0..vertices {
        if search.order[start] == UNSEEN {
            search.from(start, &next);
        }
    }
    search.component
}

const UNSEEN: usize = usize::MAX;

struct Search {
    /// When a vertex was first seen.
    order: Vec<usize>,
    /// The earliest open vertex that can be reached from it.
    low: Vec<usize>,
    component: Vec<usize>,
    open: Vec<usize>,
    seen: usize,
    found: usize,
}

impl Search {
    fn from(&mut self, start: usize, next: &[Vec<usize>]) {
        let mut path = vec![(start, 0)];
        self.enter(start);
        while let Some((vertex, tried)) = path.last_mut() {
            let vertex = *vertex;
            if let Some(to) = next[vertex].get(*tried) {
                *tried += 1;
                if self.order[*to] == UNSEEN {
                    self.enter(*to);
                    path.push((*to, 0));
                } else if self.component[*to] == UNSEEN {
                    self.low[vertex] = self.low[vertex].min(self.order[*to]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                self.low[*parent] = self.low[*parent].min(self.low[vertex]);
            }
            if self.low[vertex] == self.order[vertex] {
                self.leave(vertex);
            }
        }
    }

    fn enter(&mut self, vertex: usize) {
        self.order[vertex] = self.seen;
        self.low[vertex] = self.seen;
        self.seen += 1;
        self.open.push(vertex);
    }

    fn leave(&mut self, root: usize) {
        while let Some(vertex) = self.open.pop() {
            self.component[vertex] = self.found;
            if vertex == root {
                break;
            }
        }
        self.found += 1;
    }
}

/// A shortest cycle through `start` along the edges: its vertices from `start`, without the return.
pub(super) fn cycle_through(start: usize, edges: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut next: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(*from).or_default().push(*to);
    }
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(vertex) = queue.pop_front() {
        for to in next.get(&vertex).into_iter().flatten() {
            if *to == start {
                let mut cycle = vec![vertex];
                let mut at = vertex;
                while at != start {
                    at = *came_from.get(&at)?;
                    cycle.push(at);
                }
                cycle.reverse();
                return Some(cycle);
            }
            if !came_from.contains_key(to) {
                came_from.insert(*to, vertex);
                queue.push_back(*to);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_and_cycles() {
        let edges = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 4), (5, 3)];
        let of = components(6, &edges);
        assert!(of[0] == of[1] && of[1] == of[2]);
        let mut others = vec![of[0], of[3], of[4], of[5]];
        others.dedup();
        assert_eq!(others.len(), 4);
        assert_eq!(cycle_through(1, &edges), Some(vec![1, 2, 0]));
        assert_eq!(cycle_through(4, &edges), Some(vec![4]));
        assert_eq!(cycle_through(3, &edges), None);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let edges: Vec<_> = (0..200_000).map(|n| (n, n + 1)).collect();
        let mut of = components(200_001, &edges);
        of.sort_unstable();
        of.dedup();
        assert_eq!(of.len(), 200_001);
    }
}
