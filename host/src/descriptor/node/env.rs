//! `args` and `env` of a node.

use std::collections::BTreeMap;

use super::super::{
    expand::{self, Lookup},
    fields::{Fields, Scope, place, refuse_nul, scalar_text},
    problem::quoted,
    yaml::{Entry, Value, Yaml},
};

pub(super) fn read_args(scope: &mut Scope<'_>, fields: &mut Fields) -> Vec<String> {
    let Some(entry) = fields.take("args") else {
        return Vec::new();
    };
    if let Value::List(items) = entry.value.value {
        return scalars(scope, "an item of `args`", items);
    }
    let at = entry.value.at;
    let Some(text) = scalar_text(&entry.value) else {
        let found = entry.value.in_words();
        scope.error(
            at,
            format!("`args` must be text or a list of texts, found {found}"),
        );
        return Vec::new();
    };
    refuse_nul(scope, "`args`", at, &text);
    expand::split_args(&text).unwrap_or_else(|| {
        scope.error(
            at,
            "`args` has a quote that is not closed; a list of texts needs no quotes",
        );
        Vec::new()
    })
}

fn scalars(scope: &mut Scope<'_>, name: &str, items: Vec<Yaml>) -> Vec<String> {
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match scalar_text(&item) {
            Some(text) => {
                refuse_nul(scope, name, item.at, &text);
                texts.push(text);
            }
            None => {
                let found = item.in_words();
                scope.error(item.at, format!("{name} must be text, found {found}"));
            }
        }
    }
    texts
}

/// `env` of the root or of a node, on top of `base`.
pub(in crate::descriptor) fn read_env(
    scope: &mut Scope<'_>,
    fields: &mut Fields,
    lookup: Lookup<'_>,
    base: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env = base.clone();
    for entry in fields
        .map(scope, "env", "variables to texts")
        .unwrap_or_default()
    {
        let shown = quoted(&entry.key);
        let unusable = |c: char| c == '=' || c == '\0' || c.is_whitespace();
        if entry.key.is_empty() || entry.key.contains(unusable) {
            let text = format!(
                "{shown} cannot name a variable: it is empty or has `=`, NUL or white space"
            );
            scope.error(entry.key_at, text);
            continue;
        }
        if RESERVED_ENV.contains(&entry.key.as_str()) {
            scope.warn(
                entry.key_at,
                format!("`env` {shown} is dropped: dora itself sets it"),
            );
            continue;
        }
        if let Some(value) = env_value(scope, &entry, lookup) {
            refuse_nul(scope, &format!("`env` {shown}"), place(&entry), &value);
            env.insert(entry.key, value);
        }
    }
    env
}

/// Set by the daemon for each node; another value would cut the node off.
const RESERVED_ENV: [&str; 5] = [
    "DORA_NODE_CONFIG",
    "DORA_RUNTIME_CONFIG",
    "DORA_ZENOH_LISTEN",
    "DORA_ZENOH_CONNECT",
    "DORA_ZENOH_MULTICAST",
];

fn env_value(scope: &mut Scope<'_>, entry: &Entry, lookup: Lookup<'_>) -> Option<String> {
    let name = quoted(&entry.key);
    let at = place(entry);
    if let Value::Text(text) = &entry.value.value {
        return match expand::expand(text, lookup) {
            Ok(text) => Some(text),
            Err(error) => {
                scope.error(at, format!("`env` {name}: {error}"));
                None
            }
        };
    }
    if let Value::Map(inner) = &entry.value.value
        && let [only] = inner.as_slice()
        && let ("__dora_env", Some(variable)) = (only.key.as_str(), scalar_text(&only.value))
    {
        let value = lookup(&variable);
        if value.is_none() {
            let text = format!(
                "`env` {name}: the variable {} is not set; set it",
                quoted(&variable)
            );
            scope.error(only.value.at, text);
        }
        return value;
    }
    if entry.value.value == Value::Null {
        return Some(String::new());
    }
    let text = scalar_text(&entry.value);
    if text.is_none() {
        let found = entry.value.in_words();
        let text = format!(
            "`env` {name} must be text, a number, a boolean or `__dora_env: VARIABLE`, found {found}"
        );
        scope.error(at, text);
    }
    text
}
