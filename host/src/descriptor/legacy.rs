//! What only dora's own descriptors hold: `custom`, whose keys now belong to the node itself; a Python operator, which
//! runs as a node; and the other operators, which each get an error that names their replacement.

use super::{
    fields::{Scope, place},
    node::Draft,
    problem::quoted,
    types::{Load, Source},
    yaml::{Entry, Value, Yaml},
};
use crate::ids::{NodeId, PortName};
use std::collections::BTreeMap;

/// Replaces `custom: {source: PATH, ...}` by its keys.
pub(super) fn flatten_custom(scope: &mut Scope<'_>, entries: Vec<Entry>) -> Vec<Entry> {
    let mut flat = Vec::with_capacity(entries.len());
    for entry in entries {
        match (entry.key.as_str(), entry.value.value) {
            ("custom", Value::Map(inner)) => {
                scope.warn(
                    entry.key_at,
                    "`custom` is an old form; move its keys to the node itself (`source` becomes `path`)",
                );
                let has_path = inner.iter().any(|entry| entry.key == "path");
                flat.extend(inner.into_iter().filter_map(|e| modern(scope, e, has_path)));
            }
            (_, value) => flat.push(Entry {
                value: Yaml {
                    at: entry.value.at,
                    value,
                },
                ..entry
            }),
        }
    }
    flat
}

/// A key of `custom` under its name of today; `None` when it says nothing.
fn modern(scope: &mut Scope<'_>, mut entry: Entry, has_path: bool) -> Option<Entry> {
    if entry.key != "source" {
        return Some(entry);
    }
    match &entry.value.value {
        // In between the two forms, `source` told where `path` comes from.
        Value::Text(text) if has_path && text == "Local" => None,
        Value::Map(_) => {
            scope.error(
                place(&entry),
                "`source` must be a path: repositories are not cloned here; clone it in `build`",
            );
            None
        }
        _ => {
            entry.key = "path".into();
            Some(entry)
        }
    }
}

/// Replaces `operator: {python: FILE, ...}` by its keys, and says whether it did.
pub(super) fn flatten_operator(
    scope: &mut Scope<'_>,
    mut entries: Vec<Entry>,
) -> (Vec<Entry>, bool) {
    let is_python = |entry: &Entry| entry.key == "operator" && has_key(&entry.value, "python");
    let Some(index) = entries.iter().position(is_python) else {
        return (entries, false);
    };
    let Value::Map(inner) = entries.remove(index).value.value else {
        return (entries, false);
    };
    for entry in inner {
        let Some(entry) = of_node(scope, entry) else {
            continue;
        };
        if entries.iter().any(|other| other.key == entry.key) {
            let text = format!(
                "{} stands at the node and at its operator; keep one",
                quoted(&entry.key)
            );
            scope.error(entry.key_at, text);
        } else {
            entries.push(entry);
        }
    }
    (entries, true)
}

/// An operator's output is its node's, but in dora it may be read as `node/operator/output`.
pub(super) fn name_outputs_of_operators(drafts: &mut [Draft]) {
    let operators = drafts.iter().map(|draft| &draft.node);
    let operators = operators.filter(|node| node.load == Some(Load::Operator));
    let outputs: BTreeMap<NodeId, Vec<PortName>> = operators
        .map(|node| {
            let outputs = node.outputs.iter().flatten();
            let outputs = outputs.map(|output| output.value.clone());
            (node.id.clone(), outputs.collect())
        })
        .collect();
    let inputs = drafts
        .iter_mut()
        .flat_map(|draft| draft.node.inputs.values_mut());
    for input in inputs {
        let Source::Output { node, output } = &mut input.source else {
            continue;
        };
        let Some(outputs) = outputs.get(node).filter(|it| !it.contains(output)) else {
            continue;
        };
        let plain = output.as_str().split_once('/').map(|(_, plain)| plain);
        if let Some(plain) = outputs.iter().find(|it| Some(it.as_str()) == plain) {
            *output = plain.clone();
        }
    }
}

fn has_key(value: &Yaml, key: &str) -> bool {
    match &value.value {
        Value::Map(entries) => entries.iter().any(|entry| entry.key == key),
        _ => false,
    }
}

/// A key of an operator as one of its node; `None` when it says nothing, or nothing that may be said.
fn of_node(scope: &mut Scope<'_>, mut entry: Entry) -> Option<Entry> {
    match entry.key.as_str() {
        // The name by which others may call it beside the node's.
        "id" => return None,
        "python" => entry.key = "path".into(),
        _ => return Some(entry),
    }
    if let Value::Map(source) = entry.value.value {
        for other in source.iter().filter(|entry| entry.key != "source") {
            let text = format!(
                "{} is not supported: an operator runs with the Python of the virtual environment in force, or of the one \
                 that `VIRTUAL_ENV` in `env` names",
                quoted(&other.key)
            );
            scope.error(other.key_at, text);
        }
        let file = source.into_iter().find(|entry| entry.key == "source");
        entry.value = file?.value;
    }
    match &entry.value.value {
        Value::Text(file) if !file.ends_with(".py") => {
            let text = format!("{} must be a file of Python, such as `op.py`", quoted(file));
            scope.error(place(&entry), text);
        }
        _ => {}
    }
    Some(entry)
}

/// Reports each operator of a node with its replacement, and gives the entries that are no operators.
pub(super) fn explain_operators(scope: &mut Scope<'_>, entries: Vec<Entry>) -> Vec<Entry> {
    let (operators, rest): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|entry| matches!(entry.key.as_str(), "operator" | "operators"));
    for entry in &operators {
        match &entry.value.value {
            Value::List(items) => {
                for item in items {
                    scope.error(item.at, explain(&entry.key, item));
                }
            }
            _ => scope.error(entry.key_at, explain(&entry.key, &entry.value)),
        }
    }
    rest
}

fn explain(key: &str, operator: &Yaml) -> String {
    let entries = match &operator.value {
        Value::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    let text_of = |name: &str| {
        let entry = entries.iter().find(|entry| entry.key == name)?;
        match &entry.value.value {
            Value::Text(text) => Some(text.as_str()),
            Value::Map(inner) => inner.iter().find_map(|entry| match &entry.value.value {
                Value::Text(text) if entry.key == "source" => Some(text.as_str()),
                _ => None,
            }),
            _ => None,
        }
    };
    let name = match text_of("id") {
        Some(id) => format!("operator {}", quoted(id)),
        None => "an operator".into(),
    };
    let instead = match (
        text_of("python"),
        text_of("shared-library"),
        text_of("wasm"),
    ) {
        (Some(path), ..) => format!(
            "make it a node of its own: `operator: {{python: {}}}`, with its `inputs` and `outputs` in there",
            quoted(path).trim_matches('`')
        ),
        (_, Some(path), _) => format!(
            "make it a plugin (crate `plugin-abi`, or `dora_plugin.h`) and a node of its own: `path: {}`, \
             its `inputs` and `outputs` at the node",
            quoted(path).trim_matches('`')
        ),
        _ => "make it a node of its own, with a plugin or an executable in `path`".into(),
    };
    format!("`{key}` is not supported: {name} cannot run here; {instead}")
}
