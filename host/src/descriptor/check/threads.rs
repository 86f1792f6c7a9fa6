//! The rules of `process` and `thread`, and of `backpressure` between nodes that wait for each other.
//! Refuses what could only hang: a sender that waits for itself, directly or around a cycle.
#![allow(
    clippy::indexing_slicing,
    reason = "edges name nodes by their numbers, and all tables here have an entry for each node"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        fields::Scope,
        problem::listed,
        types::{Load, Node, NodePath, ProcessPlace, QueuePolicy, Source, ThreadPlace},
    },
    Edge, Edges, cycles,
};

/// The process a plugin runs in: its machine and the name of the process, or the node itself.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Process<'a> {
    OfNode(usize),
    Shared(Option<&'a str>, &'a ProcessPlace),
}

/// The thread a plugin's callbacks run on.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Thread<'a> {
    OfNode(usize),
    Shared(Process<'a>, &'a str),
}

pub(super) fn check(scope: &mut Scope<'_>, graph: &Edges<'_>) {
    let pairs: Vec<(usize, usize)> = graph.edges.iter().map(|e| (e.from, e.to)).collect();
    let component = cycles::components(graph.nodes.len(), &pairs);
    let mut incoming: Vec<Vec<&Edge<'_>>> = vec![Vec::new(); graph.nodes.len()];
    for edge in &graph.edges {
        incoming[edge.to].push(edge);
    }
    let cyclic: BTreeSet<usize> = graph
        .edges
        .iter()
        .filter(|edge| component[edge.from] == component[edge.to])
        .map(|edge| component[edge.to])
        .collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        if *node.thread_place() == ThreadPlace::Sender {
            let mut scope = scope.of_node(node.id.as_str());
            check_sender(&mut scope, graph, &incoming, index);
            if cyclic.contains(&component[index]) {
                check_sender_cycle(&mut scope, graph, &component, index);
            }
        }
    }
    check_waiting(scope, graph, &threads(graph, &incoming));
    check_backpressure_cycles(scope, graph);
    check_thread_names(scope, graph);
}

fn process<'a>(graph: &Edges<'a>, index: usize) -> Process<'a> {
    let node = graph.node(index);
    let place = node.process_place();
    let alone = *place == ProcessPlace::Own
        || node.load.is_some_and(Load::is_program)
        || node.path == NodePath::Dynamic;
    if alone {
        return Process::OfNode(index);
    }
    let machine = node.deploy.machine.as_ref();
    Process::Shared(machine.map(|machine| machine.value.as_str()), place)
}

/// The thread of every node. `sender` is followed from node to node; where the senders form a cycle,
/// each counts as its own.
fn threads<'a>(graph: &Edges<'a>, incoming: &[Vec<&Edge<'_>>]) -> Vec<Thread<'a>> {
    let mut threads: Vec<Option<Thread<'a>>> = vec![None; graph.nodes.len()];
    for start in 0..graph.nodes.len() {
        let mut chain = Vec::new();
        let mut on_chain = BTreeSet::new();
        let mut at = start;
        let found = loop {
            if let Some(known) = threads[at] {
                break known;
            }
            if !on_chain.insert(at) {
                break Thread::OfNode(at);
            }
            chain.push(at);
            match (graph.node(at).thread_place(), incoming[at].first()) {
                (ThreadPlace::Shared(name), _) => {
                    break Thread::Shared(process(graph, at), name.as_str());
                }
                (ThreadPlace::Sender, Some(edge)) => at = edge.from,
                (ThreadPlace::Own, _) | (ThreadPlace::Sender, None) => break Thread::OfNode(at),
            }
        };
        for index in chain {
            threads[index] = Some(found);
        }
    }
    let own =
        |(index, thread): (usize, Option<Thread<'a>>)| thread.unwrap_or(Thread::OfNode(index));
    threads.into_iter().enumerate().map(own).collect()
}

/// `thread: sender` needs all inputs from one node of the same process.
fn check_sender(
    scope: &mut Scope<'_>,
    graph: &Edges<'_>,
    incoming: &[Vec<&Edge<'_>>],
    index: usize,
) {
    let node = graph.node(index);
    let Some(at) = node.thread.as_ref().map(|thread| thread.at) else {
        return;
    };
    if node.inputs.is_empty() {
        scope.error(
            at,
            "`thread: sender` needs an input: without one, nobody calls the node",
        );
        return;
    }
    for (input, spec) in &node.inputs {
        let what = match spec.source {
            Source::Timer { .. } => "a timer",
            Source::Logs { .. } => "the log",
            Source::Output { .. } => continue,
        };
        let text = format!(
            "`thread: sender` needs all inputs from one node, and input `{input}` reads {what}; \
             use `thread: own`, or remove the input"
        );
        scope.error(spec.at, text);
    }
    let senders: BTreeSet<usize> = incoming[index].iter().map(|edge| edge.from).collect();
    if senders.len() > 1 {
        let names = senders.iter().map(|sender| graph.node(*sender).id.as_str());
        let text = format!(
            "`thread: sender` needs all inputs from one node, and they come from: {}; use \
             `thread: own`, or one name as `thread` of all of them",
            listed(names)
        );
        scope.error(at, text);
    }
    for sender in senders {
        if sender != index && process(graph, sender) != process(graph, index) {
            let other = graph.node(sender);
            let text = format!(
                "`thread: sender` needs its sender in the same process, and this node is in {} while \
                 `{}` is in {}",
                in_words(node),
                other.id,
                in_words(other)
            );
            scope.error(at, text);
        }
    }
}

fn in_words(node: &Node) -> String {
    let process = match node.process_place() {
        _ if node.path == NodePath::Dynamic => "a process started by hand".into(),
        _ if node.load.is_some_and(Load::is_program) => "a process of its own".into(),
        ProcessPlace::Daemon => "the daemon".into(),
        ProcessPlace::Own => "a process of its own".into(),
        ProcessPlace::Shared(name) => format!("process `{name}`"),
    };
    match &node.deploy.machine {
        Some(machine) => format!("{process} on machine `{}`", machine.value),
        None => process,
    }
}

fn check_sender_cycle(scope: &mut Scope<'_>, graph: &Edges<'_>, component: &[usize], index: usize) {
    let node = graph.node(index);
    if scope.is_full() {
        scope.error(node.at, "");
        return;
    }
    let inside: Vec<(usize, usize)> = graph
        .edges
        .iter()
        .map(|edge| (edge.from, edge.to))
        .filter(|(from, to)| {
            component[*from] == component[index] && component[*to] == component[index]
        })
        .collect();
    if let Some(cycle) = cycles::cycle_through(index, &inside) {
        let at = node.thread.as_ref().map_or(node.at, |thread| thread.at);
        let text = format!(
            "`thread: sender` cannot be in a cycle, and this node is: {}; it would call itself without \
             end. Use `thread: own`",
            cycle_in_words(graph, &cycle)
        );
        scope.error(at, text);
    }
}

/// `a -> b -> a`, cut in the middle when long.
fn cycle_in_words(graph: &Edges<'_>, cycle: &[usize]) -> String {
    const SHOWN: usize = 12;
    let name = |index: &usize| graph.node(*index).id.to_string();
    let mut names: Vec<String> = cycle.iter().take(SHOWN).map(name).collect();
    if cycle.len() > SHOWN {
        names.push(format!("({} more)", cycle.len() - SHOWN));
    }
    names.extend(cycle.first().map(name));
    names.join(" -> ")
}

/// `backpressure` between nodes of one thread: the sender would wait for itself.
fn check_waiting(scope: &mut Scope<'_>, graph: &Edges<'_>, threads: &[Thread<'_>]) {
    for edge in &graph.edges {
        if edge.spec.policy != QueuePolicy::Backpressure {
            continue;
        }
        let (from, to) = (graph.node(edge.from), graph.node(edge.to));
        let why = if edge.from == edge.to {
            "a node that reads its own output would wait for itself".to_owned()
        } else if threads[edge.from] != threads[edge.to] {
            continue;
        } else {
            let thread = match to.thread_place() {
                ThreadPlace::Sender => "`thread: sender`".to_owned(),
                place => format!("thread `{place}`"),
            };
            format!(
                "it shares its thread with `{}` ({thread}), which would wait for itself",
                from.id
            )
        };
        let text = format!(
            "input `{}` cannot have `queue_policy: backpressure`: {why}; use drop_oldest or \
             drop_newest, or threads of their own",
            edge.input
        );
        scope.of_node(to.id.as_str()).error(edge.spec.at, text);
    }
}

/// A cycle made only of `backpressure` inputs: with all its queues full, every node waits.
fn check_backpressure_cycles(scope: &mut Scope<'_>, graph: &Edges<'_>) {
    let waiting: Vec<&Edge<'_>> = graph
        .edges
        .iter()
        .filter(|edge| edge.spec.policy == QueuePolicy::Backpressure && edge.from != edge.to)
        .collect();
    let pairs: Vec<(usize, usize)> = waiting.iter().map(|edge| (edge.from, edge.to)).collect();
    let component = cycles::components(graph.nodes.len(), &pairs);
    let mut reported = BTreeSet::new();
    for edge in waiting {
        let number = component[edge.to];
        if component[edge.from] != number || !reported.insert(number) || scope.is_full() {
            continue;
        }
        let inside: Vec<(usize, usize)> = pairs
            .iter()
            .copied()
            .filter(|(from, to)| component[*from] == number && component[*to] == number)
            .collect();
        let cycle = cycles::cycle_through(edge.from, &inside).unwrap_or_default();
        let text = format!(
            "input `{}` closes a cycle made only of `backpressure` inputs: {}; once their queues are \
             full, every node waits for the next. Give one of them another `queue_policy`",
            edge.input,
            cycle_in_words(graph, &cycle)
        );
        let node = graph.node(edge.to);
        scope.of_node(node.id.as_str()).error(edge.spec.at, text);
    }
}

/// A thread is shared within a process only.
fn check_thread_names(scope: &mut Scope<'_>, graph: &Edges<'_>) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let (Some(thread), ThreadPlace::Shared(name)) = (&node.thread, node.thread_place()) else {
            continue;
        };
        let other = *first.entry(name.as_str()).or_insert(index);
        if process(graph, other) != process(graph, index) {
            let other = graph.node(other);
            let text = format!(
                "`thread: {name}` is not shared with node `{}`: this node is in {}, that one in {}",
                other.id,
                in_words(node),
                in_words(other)
            );
            scope.of_node(node.id.as_str()).warn(thread.at, text);
        }
    }
}
