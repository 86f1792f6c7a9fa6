//! What only older descriptors hold: `custom`, whose keys now belong to the node itself, and
//! operators, which each get an error that names their replacement.

use super::{
    fields::{Scope, place},
    problem::quoted,
    yaml::{Entry, Value, Yaml},
};

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
            "make it a node of its own: `path: {}`, its `inputs` and `outputs` at the node, and a loop \
             over `dora.Node()` in place of the class `Operator`",
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
