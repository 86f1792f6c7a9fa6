//! Which messages 1.x nodes may hand each other past this process, as they do under dora's own daemon.
//!
//! An output may when all of its readers are dora nodes here that are started once, and whose queues the nodes' own can
//! stand for: nobody here needs its bytes. Its sender asks each reader over a session of its own whether it hears it, for
//! half a second; when all do, only notices come through here, else all messages do. Nodes of 0.x know nothing of this and
//! never answer. Invariant: either way a reader gets a message at most once, and in order. What the nodes' sessions drop
//! when they have no room, nobody counts: that is dora's own way. Absent: sessions, which are the nodes'.

use crate::descriptor::{Descriptor, Node, NodePath, QueuePolicy, RestartPolicy, Source};
use crate::ids::{NodeId, PortName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one node may hand over, and to whom.
#[derive(Debug, Clone, Default)]
pub struct Direct {
    /// By output that may: the inputs that read it.
    pub readers: BTreeMap<PortName, Vec<(NodeId, PortName)>>,
    /// The port of loopback where its session is found; none when it has nobody to talk to.
    pub port: Option<u16>,
    /// Those of the nodes that it talks to. Both sides look for each other: the later one finds the earlier at once.
    pub peers: Vec<u16>,
    /// By output: messages that were sent.
    pub sent: BTreeMap<PortName, Counter>,
    /// By input: messages that were sent to it.
    pub taken: BTreeMap<PortName, Counter>,
}

/// Counts messages. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the dora nodes among those of a descriptor may hand each other. `read_elsewhere` says which outputs have readers on
/// other machines.
pub fn plan(
    descriptor: &Descriptor,
    dora: &BTreeSet<NodeId>,
    read_elsewhere: &dyn Fn(&NodeId, &PortName) -> bool,
) -> BTreeMap<NodeId, Direct> {
    let mut plans: BTreeMap<NodeId, Direct> = BTreeMap::new();
    let mut links: BTreeSet<(&NodeId, &NodeId)> = BTreeSet::new();
    let started_once = |node: &Node| {
        let once = node.restart.policy == RestartPolicy::Never;
        once && dora.contains(&node.id) && node.path != NodePath::Dynamic
    };
    for node in descriptor.nodes.iter().filter(|node| started_once(node)) {
        for output in node.outputs.iter().flatten().map(|output| &output.value) {
            let readers = readers(descriptor, &node.id, output);
            let fits = |(reader, _, input): &(&Node, _, &crate::descriptor::InputSpec)| {
                started_once(reader)
                    && reader.id != node.id
                    && input.policy == QueuePolicy::DropOldest
                    && input.input_timeout.is_none()
            };
            let sent_here = node.runtime_outputs().any(|other| other == output);
            if readers.is_empty()
                || sent_here
                || !readers.iter().all(fits)
                || read_elsewhere(&node.id, output)
            {
                continue;
            }
            let counter = Counter::default();
            for (reader, input, _) in &readers {
                links.insert((&node.id, &reader.id));
                let plan = plans.entry(reader.id.clone()).or_default();
                plan.taken.insert((*input).clone(), counter.clone());
            }
            let names = readers
                .iter()
                .map(|(reader, input, _)| (reader.id.clone(), (*input).clone()));
            let plan = plans.entry(node.id.clone()).or_default();
            plan.readers.insert(output.clone(), names.collect());
            plan.sent.insert(output.clone(), counter);
        }
    }
    meet(&mut plans, &links);
    plans
}

fn readers<'a>(
    descriptor: &'a Descriptor,
    sender: &NodeId,
    sent: &PortName,
) -> Vec<(&'a Node, &'a PortName, &'a crate::descriptor::InputSpec)> {
    let of_node = |node: &'a Node| {
        node.inputs
            .iter()
            .map(move |(name, spec)| (node, name, spec))
    };
    let reads = |source: &Source| matches!(source, Source::Output { node, output } if node == sender && output == sent);
    let inputs = descriptor.nodes.iter().flat_map(of_node);
    inputs.filter(|(_, _, spec)| reads(&spec.source)).collect()
}

/// Gives everybody a port, and those of the others.
fn meet(plans: &mut BTreeMap<NodeId, Direct>, links: &BTreeSet<(&NodeId, &NodeId)>) {
    // All at once, so that none is found twice. Who comes too late for its port is not heard, which costs the short way.
    let held: Vec<_> = plans
        .values_mut()
        .filter_map(|plan| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
            plan.port = Some(listener.local_addr().ok()?.port());
            Some(listener)
        })
        .collect();
    drop(held);
    let ports: BTreeMap<_, _> = plans
        .iter()
        .map(|(id, plan)| (id.clone(), plan.port))
        .collect();
    for (one, other) in links.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]) {
        if let (Some(plan), Some(Some(port))) = (plans.get_mut(one), ports.get(other))
            && !plan.peers.contains(port)
        {
            plan.peers.push(*port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(yaml: &str) -> Descriptor {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("dataflow.yml");
        std::fs::write(&file, yaml).expect("it can be written");
        match Descriptor::read(&file) {
            Ok(descriptor) => descriptor,
            Err(problems) => panic!("{problems}"),
        }
    }

    #[test]
    fn only_outputs_whose_bytes_nobody_here_needs_go_past_it() {
        let descriptor = descriptor(
            "
nodes:
  - id: a
    path: a.py
    outputs: [direct, to-plugin, waits, watched, away, unread, to-restarting, to-itself, both, said]
    send_stdout_as: said
    inputs: {own: a/to-itself}
  - id: b
    path: b.py
    outputs: [out]
    inputs:
      direct: a/direct
      waits: {source: a/waits, queue_policy: backpressure}
      watched: {source: a/watched, input_timeout: 1}
      away: a/away
      both: a/both
      said: a/said
      back: restarting/out
  - id: c
    path: c.py
    inputs: {direct: a/direct, out: b/out}
  - id: restarting
    path: r.py
    restart_policy: always
    outputs: [out]
    inputs: {in: a/to-restarting}
  - id: plugin
    path: p.so
    inputs: {in: a/to-plugin, both: a/both}
",
        );
        let dora = ["a", "b", "c", "restarting"].map(|id| id.parse().expect("a name"));
        let plans = plan(&descriptor, &dora.into(), &|_, output| {
            output.as_str() == "away"
        });
        let routed: Vec<_> = plans
            .iter()
            .flat_map(|(id, plan)| {
                plan.readers
                    .keys()
                    .map(move |output| format!("{id}/{output}"))
            })
            .collect();
        assert_eq!(routed, ["a/direct", "b/out"]);
        let peers: Vec<_> = plans
            .iter()
            .map(|(id, plan)| (id.as_str(), plan.peers.len()))
            .collect();
        assert_eq!(peers, [("a", 2), ("b", 2), ("c", 2)]);
        let sent = &plans["a"].sent;
        sent.values().for_each(Counter::add);
        let taken = |id: &str| plans[id].taken.values().map(Counter::get).sum::<u64>();
        assert_eq!((taken("b"), taken("c")), (1, 1));
    }
}
