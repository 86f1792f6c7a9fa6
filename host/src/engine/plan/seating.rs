//! Which node sits on which thread.
//!
//! Invariant: a node that is called inline sits on its sender's thread; inputs are numbered per thread, in the order of
//! the nodes. Pure.

use super::{From, NodeIndex, Plan, PlannedWorker};
use crate::descriptor::{Descriptor, ThreadPlace};
use std::collections::HashMap;

impl Plan {
    /// Gives every node a thread and every input its number there.
    pub(super) fn seat(&mut self, descriptor: &Descriptor) {
        let mut named: HashMap<String, usize> = HashMap::new();
        let mut worker_of: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for node in 0..self.nodes.len() {
            self.worker_for(node, descriptor, &mut worker_of, &mut named);
        }
        for (node, worker) in worker_of.into_iter().enumerate() {
            let worker = worker.unwrap_or_default();
            let taken: usize = self.workers.get(worker).map_or(0, |planned| {
                planned
                    .nodes
                    .iter()
                    .filter_map(|node| self.nodes.get(*node))
                    .map(|node| node.inputs.len())
                    .sum()
            });
            if let Some(planned) = self.workers.get_mut(worker) {
                planned.nodes.push(node);
            }
            if let Some(planned) = self.nodes.get_mut(node) {
                planned.worker = worker;
                for (i, input) in planned.inputs.iter_mut().enumerate() {
                    input.slot = taken + i;
                }
            }
        }
    }

    /// The thread of a node; one that is called inline has its sender's. The descriptor's checks exclude cycles of
    /// such nodes.
    fn worker_for(
        &mut self,
        node: NodeIndex,
        descriptor: &Descriptor,
        worker_of: &mut Vec<Option<usize>>,
        named: &mut HashMap<String, usize>,
    ) -> usize {
        if let Some(Some(known)) = worker_of.get(node) {
            return *known;
        }
        let Some(spec) = descriptor.nodes.get(node) else {
            return 0;
        };
        let sender = || {
            let inputs = self
                .nodes
                .get(node)
                .map(|node| node.inputs.as_slice())
                .unwrap_or_default();
            inputs.iter().find_map(|input| match input.from {
                From::Output { node, .. } => Some(node),
                _ => None,
            })
        };
        let worker = match spec.thread_place() {
            ThreadPlace::Sender => match sender() {
                Some(sender) => self.worker_for(sender, descriptor, worker_of, named),
                None => self.new_worker(spec.id.to_string(), &spec.cpu_affinity),
            },
            ThreadPlace::Own => self.new_worker(spec.id.to_string(), &spec.cpu_affinity),
            ThreadPlace::Shared(name) => match named.get(name.as_str()) {
                Some(worker) => *worker,
                None => {
                    let worker = self.new_worker(name.to_string(), &spec.cpu_affinity);
                    named.insert(name.to_string(), worker);
                    worker
                }
            },
        };
        if let Some(slot) = worker_of.get_mut(node) {
            *slot = Some(worker);
        }
        worker
    }

    fn new_worker(&mut self, name: String, cpu_affinity: &[usize]) -> usize {
        self.workers.push(PlannedWorker {
            name,
            nodes: Vec::new(),
            cpu_affinity: cpu_affinity.to_vec(),
        });
        self.workers.len() - 1
    }
}
