//! The inputs of a node, in their short form (`tick: dora/timer/hz/10`) and their long one.

use std::{collections::BTreeMap, num::NonZeroUsize};

use super::{
    fields::{Fields, Scope, place},
    keys,
    problem::{Position, quoted},
    source::parse_source,
    types::{DEFAULT_QUEUE_SIZE, InputSpec, MAX_QUEUE_SIZE, QueuePolicy},
    yaml::{Entry, Value},
};
use crate::ids::PortName;

const POLICIES: [(&str, QueuePolicy); 3] = [
    ("drop_oldest", QueuePolicy::DropOldest),
    ("drop_newest", QueuePolicy::DropNewest),
    ("backpressure", QueuePolicy::Backpressure),
];

/// Reads `inputs`. Inputs with faults are reported and left out.
pub(super) fn read_inputs(
    scope: &mut Scope<'_>,
    fields: &mut Fields,
) -> BTreeMap<PortName, InputSpec> {
    let mut inputs = BTreeMap::new();
    let entries = fields.map(scope, "inputs", "input names to sources");
    for entry in entries.unwrap_or_default() {
        let name = entry.key.parse::<PortName>();
        if let Err(error) = &name {
            scope.error(entry.key_at, format!("`inputs`: {error}"));
        }
        let mut scope = scope.inside(&format!("input {}", quoted(&entry.key)));
        let spec = read_input(&mut scope, entry);
        if let (Ok(name), Some(spec)) = (name, spec) {
            inputs.insert(name, spec);
        }
    }
    inputs
}

fn read_input(scope: &mut Scope<'_>, entry: Entry) -> Option<InputSpec> {
    let at = place(&entry);
    match entry.value.value {
        Value::Text(text) => {
            let source = parse_source(&text);
            let source = source.map_err(|error| scope.error(at, error)).ok()?;
            Some(InputSpec {
                source,
                at,
                name_at: entry.key_at,
                queue_size: DEFAULT_QUEUE_SIZE,
                policy: QueuePolicy::default(),
                input_timeout: None,
            })
        }
        Value::Map(entries) => {
            let mut fields = Fields::sort(scope, entries, keys::INPUT, "an input");
            if fields.position_of("source").is_none() {
                scope.error(
                    entry.key_at,
                    "`source` is missing; it names what is read, such as `source: camera/image`",
                );
            }
            long_form(scope, &mut fields, entry.key_at)
        }
        _ => {
            let found = entry.value.in_words();
            scope.error(
                at,
                format!("expected `NODE/OUTPUT`, a `dora/timer/...`, `dora/logs`, or a mapping with `source`, found {found}"),
            );
            None
        }
    }
}

/// Reads all keys before giving up, so that all their faults are reported.
fn long_form(scope: &mut Scope<'_>, fields: &mut Fields, name_at: Position) -> Option<InputSpec> {
    let largest = u64::try_from(MAX_QUEUE_SIZE).unwrap_or(u64::MAX);
    let queue_size = fields
        .whole(scope, "queue_size", 1..=largest)
        .and_then(|size| NonZeroUsize::new(usize::try_from(size).ok()?))
        .unwrap_or(DEFAULT_QUEUE_SIZE);
    let policy = fields.choice(scope, "queue_policy", &POLICIES);
    let input_timeout = fields.seconds(scope, "input_timeout", false);
    let (source, at) = fields.parsed(scope, "source", parse_source)?;
    Some(InputSpec {
        source,
        at,
        name_at,
        queue_size,
        policy: policy.unwrap_or_default(),
        input_timeout,
    })
}
