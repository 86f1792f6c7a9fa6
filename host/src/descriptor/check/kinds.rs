//! What only the plugins' declarations can tell: which kind a node is, whether its ports exist and
//! their types agree, whether its config fits. Loads nothing: the declarations are given.

use std::collections::BTreeMap;

use super::{
    super::{
        Descriptor,
        fields::Scope,
        problem::{Problems, clean, listed, quoted},
        suggest::maybe_meant,
        types::{InputSpec, Node, ProcessPlace, Source},
    },
    config,
    wiring::unknown_output,
};
use crate::{
    ids::{NodeId, PortName},
    plugin::info::{KindInfo, PluginInfo, PortInfo},
};

/// Arrow type of a log line.
const LOG_TYPE: &str = "Utf8";
/// Arrow type of a message without data.
const NO_TYPE: &str = "Null";

impl Descriptor {
    /// The node kind of each node whose plugin is given. Nodes without a kind that fits are
    /// reported and left out.
    pub fn select_kinds(
        &self,
        plugins: &BTreeMap<NodeId, PluginInfo>,
    ) -> (BTreeMap<NodeId, KindInfo>, Problems) {
        let mut problems = Problems::new(&self.file);
        let mut scope = Scope::new(&mut problems);
        let mut kinds = BTreeMap::new();
        for node in &self.nodes {
            if let Some(plugin) = plugins.get(&node.id) {
                let mut scope = scope.of_node(node.id.as_str());
                if let Some(kind) = select(&mut scope, node, plugin) {
                    kinds.insert(node.id.clone(), kind.clone());
                }
            }
        }
        problems.sort();
        (kinds, problems)
    }

    /// Checks ports, port types and configs of the nodes whose kind is given, and the inputs of
    /// others that read them.
    pub fn check_kinds(&self, kinds: &BTreeMap<NodeId, KindInfo>) -> Problems {
        let mut problems = Problems::new(&self.file);
        let mut scope = Scope::new(&mut problems);
        let nodes: BTreeMap<&NodeId, &Node> = self.nodes.iter().map(|n| (&n.id, n)).collect();
        for node in &self.nodes {
            let mut scope = scope.of_node(node.id.as_str());
            let scope = &mut scope;
            let kind = kinds.get(&node.id);
            if let Some(kind) = kind {
                check_ports(scope, node, kind);
                config::check(scope, node, kind);
                warn_of_process_keys(scope, node);
            }
            for (input, spec) in &node.inputs {
                let sender = match &spec.source {
                    Source::Output { node, .. } => nodes.get(node).copied(),
                    Source::Timer { .. } | Source::Logs { .. } => None,
                };
                let sender = sender.map(|sender| (sender, kinds.get(&sender.id)));
                check_output(scope, input, spec, sender);
                if let Some(kind) = kind {
                    check_type(scope, kind, input, spec, sender);
                }
            }
        }
        problems.sort();
        problems
    }
}

fn select<'a>(scope: &mut Scope<'_>, node: &Node, plugin: &'a PluginInfo) -> Option<&'a KindInfo> {
    let names = || plugin.kinds.iter().map(|kind| kind.name.as_str());
    let name = quoted(&plugin.name);
    match (&node.kind, plugin.kinds.as_slice()) {
        (_, []) => {
            scope.error(node.at, format!("plugin {name} has no node kind"));
            None
        }
        (None, [only]) => Some(only),
        (None, _) => {
            let text = format!(
                "plugin {name} has several node kinds: {}; choose one, such as `kind: {}`",
                listed(names()),
                names().next().map(clean).unwrap_or_default(),
            );
            scope.error(node.at, text);
            None
        }
        (Some(wanted), _) => {
            let kind = plugin.kind(&wanted.value);
            if kind.is_none() {
                let text = format!(
                    "unknown node kind {} of plugin {name}{}; it has: {}",
                    quoted(&wanted.value),
                    maybe_meant(&wanted.value, names()),
                    listed(names())
                );
                scope.error(wanted.at, text);
            }
            kind
        }
    }
}

fn check_ports(scope: &mut Scope<'_>, node: &Node, kind: &KindInfo) {
    for (input, spec) in &node.inputs {
        if kind.input(input.as_str()).is_none() {
            let text = unknown_port("input", input, kind, &kind.inputs);
            scope.error(spec.name_at, text);
        }
    }
    for output in node.outputs.iter().flatten() {
        let made_for_it = node.runtime_outputs().any(|own| *own == output.value);
        if !made_for_it && kind.output(output.value.as_str()).is_none() {
            let text = unknown_port("output", &output.value, kind, &kind.outputs);
            scope.error(output.at, text);
        }
    }
}

fn unknown_port(what: &str, port: &PortName, kind: &KindInfo, known: &[PortInfo]) -> String {
    let names = || known.iter().map(|port| port.name.as_str());
    let has = match known {
        [] => format!("it has no {what}s"),
        _ => format!("it has: {}", listed(names())),
    };
    format!(
        "unknown {what} `{port}` of node kind {}{}; {has}",
        quoted(&kind.name),
        maybe_meant(port.as_str(), names())
    )
}

/// Whether a plugin without `outputs` list declares the output that is read.
fn check_output(
    scope: &mut Scope<'_>,
    input: &PortName,
    spec: &InputSpec,
    sender: Option<(&Node, Option<&KindInfo>)>,
) {
    let (Source::Output { output, .. }, Some((sender, Some(kind)))) = (&spec.source, sender) else {
        return;
    };
    if sender.lists_output(output).is_none() && kind.output(output.as_str()).is_none() {
        let declared = kind.outputs.iter().map(|port| port.name.as_str());
        let own = sender.runtime_outputs().map(PortName::as_str);
        let names: Vec<&str> = declared.chain(own).collect();
        scope.error(
            spec.at,
            unknown_output(input, sender.id.as_str(), output, &names),
        );
    }
}

/// Whether the type of what is read is the one the input declares, which may leave out what is in brackets.
fn check_type(
    scope: &mut Scope<'_>,
    kind: &KindInfo,
    input: &PortName,
    spec: &InputSpec,
    sender: Option<(&Node, Option<&KindInfo>)>,
) {
    let declared = kind.input(input.as_str());
    let Some(wanted) = declared.and_then(|port| port.data_type.as_deref()) else {
        return;
    };
    let (what, given) = match (&spec.source, sender) {
        (Source::Timer { .. }, _) => ("a timer".to_owned(), NO_TYPE),
        (Source::Logs { .. }, _) => ("the log".to_owned(), LOG_TYPE),
        (Source::Output { node, output }, Some((_, Some(sender)))) => {
            let port = sender.output(output.as_str());
            match port.and_then(|port| port.data_type.as_deref()) {
                Some(given) => (format!("output `{node}/{output}`"), given),
                None => return,
            }
        }
        (Source::Output { .. }, _) => return,
    };
    if plugin_abi::types::accepts(wanted, given) {
        return;
    }
    let sends = match given {
        NO_TYPE => "sends no data".to_owned(),
        _ => format!("sends {}", quoted(given)),
    };
    let text = format!(
        "input `{input}` takes {}, but {what} {sends}",
        quoted(wanted)
    );
    scope.error(spec.at, text);
}

/// Keys that only a process of its own can honour.
fn warn_of_process_keys(scope: &mut Scope<'_>, node: &Node) {
    if !node.args.is_empty() {
        scope.warn(node.at, "`args` has no effect on a plugin; use `config`");
    }
    if *node.process_place() == ProcessPlace::Own {
        return;
    }
    if let Some(at) = node.env_at {
        scope.warn(
            at,
            "`env` reaches only the build of a plugin that shares its process; use `config`, or \
             `process: own`",
        );
    }
    if node.health_check_timeout.is_some() && *node.process_place() == ProcessPlace::Daemon {
        scope.warn(
            node.at,
            "a plugin in the daemon that exceeds its `health_check_timeout` is only told of, because a callback cannot \
             be ended there; use `process: own`",
        );
    }
    if node.logs.stdout_as.is_some() {
        scope.warn(
            node.at,
            "`send_stdout_as` has no effect on a plugin that shares its process, because the plugins of \
             a process have one standard output; use `send_logs_as`, or `process: own`",
        );
    }
}
