//! One node of the descriptor: YAML mapping -> [`Node`]. Every key is read here and nowhere else.
//! Where something is wrong it is reported and a harmless value stands in, so that one reading finds
//! all problems; such a node never leaves `Descriptor::parse`.

mod env;
mod path;
mod policy;

use std::collections::BTreeMap;

use super::{
    config,
    expand::Lookup,
    fields::{Fields, Scope, refuse_nul, scalar_text, text, text_at},
    input::read_inputs,
    keys, legacy,
    problem::Position,
    types::{Deploy, Load, Node, ProcessPlace, Spanned, ThreadPlace},
    yaml::{Entry, Value, Yaml},
};
use crate::ids::{NodeId, PortName};

pub(super) use env::read_env;
pub(super) use policy::read_deploy;

/// A node as read, and what the checks of the whole graph must know beside it.
pub(super) struct Draft {
    pub node: Node,
    /// Its outputs are as written. When not, nothing can be said about inputs that read them.
    pub outputs_known: bool,
}

/// Defaults from the descriptor's root.
pub(super) struct Defaults {
    pub env: BTreeMap<String, String>,
    pub deploy: Deploy,
}

/// Reads the node at `index` (from 0) of the list. `None` when it has no usable id: then nothing
/// can refer to it.
pub(super) fn read_node(
    scope: &mut Scope<'_>,
    yaml: Yaml,
    index: usize,
    defaults: &Defaults,
    lookup: Lookup<'_>,
) -> Option<Draft> {
    let at = yaml.at;
    let number = format!("number {} of `nodes`", index + 1);
    let Value::Map(entries) = yaml.value else {
        let found = yaml.in_words();
        scope.error(
            at,
            format!("{number} must be a mapping with an `id` and a `path`, found {found}"),
        );
        return None;
    };
    let label = match entries.iter().find(|entry| entry.key == "id") {
        Some(entry) => scalar_text(&entry.value),
        None => None,
    };
    let label = label.filter(|label| !label.is_empty());
    let mut scope = match &label {
        Some(label) => scope.of_node(label),
        None => scope.inside(&number),
    };
    let scope = &mut scope;
    let entries = legacy::flatten_custom(scope, entries);
    let (entries, is_operator) = legacy::flatten_operator(scope, entries);
    // What stands in for `path` in dora and is refused here.
    let instead_of_path = ["operator", "operators", "hub", "module", "ros2"];
    let replaced = |entry: &Entry| instead_of_path.contains(&entry.key.as_str());
    let has_program = !entries.iter().any(replaced);
    let entries = legacy::explain_operators(scope, entries);
    let mut fields = Fields::sort(scope, entries, keys::NODE, "a node");
    let id = read_id(scope, &mut fields, at);
    let mut draft = read_keys(scope, &mut fields, id, has_program, defaults, lookup);
    debug_assert_eq!(fields.left(), Vec::<&str>::new(), "keys that nobody reads");
    if let Some(draft) = draft.as_mut().filter(|_| is_operator) {
        draft.node.load = Some(Load::Operator);
    }
    draft
}

fn read_id(scope: &mut Scope<'_>, fields: &mut Fields, at: Position) -> Option<Spanned<NodeId>> {
    match fields.take("id") {
        None => {
            scope.error(
                at,
                "`id` is missing; every node needs one, such as `id: camera`",
            );
            None
        }
        Some(entry) => {
            let at = entry.value.at;
            match text(scope, entry)?.parse() {
                Ok(value) => Some(Spanned { value, at }),
                Err(error) => {
                    scope.error(at, format!("{error}"));
                    None
                }
            }
        }
    }
}

/// Reads all keys but `id`, also of a node without a usable id.
fn read_keys(
    scope: &mut Scope<'_>,
    fields: &mut Fields,
    id: Option<Spanned<NodeId>>,
    has_program: bool,
    defaults: &Defaults,
    lookup: Lookup<'_>,
) -> Option<Draft> {
    let at = id.as_ref().map(|id| id.at).unwrap_or_default();
    let path = path::read_path(scope, fields, id.as_ref(), has_program);
    let load = fields.choice(
        scope,
        "load",
        &[("plugin", Load::Plugin), ("executable", Load::Executable)],
    );
    let kind = fields.text(scope, "kind").map(spanned);
    let process = fields.parsed(scope, "process", parse_process).map(spanned);
    let thread = fields.parsed(scope, "thread", parse_thread).map(spanned);
    let name = fields.label(scope, "name");
    let description = fields.label(scope, "description");
    let args = env::read_args(scope, fields);
    let env_at = fields.position_of("env");
    let env = read_env(scope, fields, lookup, &defaults.env);
    let build = read_build(scope, fields);
    let config = fields
        .take("config")
        .map(|entry| config::read(scope, entry.value));
    let inputs = read_inputs(scope, fields);
    let errors_before = scope.errors();
    let outputs = read_outputs(scope, fields);
    let logs = policy::read_logs(scope, fields);
    let outputs_known = has_program && scope.errors() == errors_before;
    let deploy = read_deploy(scope, fields, &defaults.deploy);
    let restart = policy::read_restart(scope, fields);
    let health_check_timeout = fields.seconds(scope, "health_check_timeout", false);
    let cpu_affinity = policy::read_cores(scope, fields);
    let node = Node {
        id: id?.value,
        at,
        name,
        description,
        path,
        load,
        kind,
        args,
        env,
        env_at,
        build,
        config,
        inputs,
        outputs,
        process,
        thread,
        deploy,
        restart,
        health_check_timeout,
        logs,
        cpu_affinity,
    };
    Some(Draft {
        node,
        outputs_known,
    })
}

pub(super) fn spanned<T>((value, at): (T, Position)) -> Spanned<T> {
    Spanned { value, at }
}

/// The commands of `build`, one per line.
fn read_build(scope: &mut Scope<'_>, fields: &mut Fields) -> Vec<String> {
    let Some((text, at)) = fields.text(scope, "build") else {
        return Vec::new();
    };
    refuse_nul(scope, "`build`", at, &text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

fn parse_process(text: &str) -> Result<ProcessPlace, String> {
    match text {
        "daemon" => Ok(ProcessPlace::Daemon),
        "own" => Ok(ProcessPlace::Own),
        "sender" => Err("`sender` is a place for `thread`, not for `process`; \
                         `process` is daemon, own, or a name that nodes share"
            .into()),
        _ => match text.parse() {
            Ok(name) => Ok(ProcessPlace::Shared(name)),
            Err(error) => Err(error.to_string()),
        },
    }
}

fn parse_thread(text: &str) -> Result<ThreadPlace, String> {
    match text {
        "own" => Ok(ThreadPlace::Own),
        "sender" => Ok(ThreadPlace::Sender),
        "daemon" => Err("`daemon` is a place for `process`, not for `thread`; \
                         `thread` is own, sender, or a name that nodes share"
            .into()),
        _ => match text.parse() {
            Ok(name) => Ok(ThreadPlace::Shared(name)),
            Err(error) => Err(error.to_string()),
        },
    }
}

fn read_outputs(scope: &mut Scope<'_>, fields: &mut Fields) -> Option<Vec<Spanned<PortName>>> {
    let items = fields.list(scope, "outputs", "output names")?;
    let mut outputs: Vec<Spanned<PortName>> = Vec::with_capacity(items.len());
    let mut seen: BTreeMap<PortName, u32> = BTreeMap::new();
    for item in items {
        let at = item.at;
        let Some(text) = text_at(scope, "an item of `outputs`", at, item) else {
            continue;
        };
        match text.parse::<PortName>() {
            Ok(value) => match seen.get(&value) {
                Some(line) => scope.warn(
                    at,
                    format!("output `{value}` is listed a second time (first in line {line})"),
                ),
                None => {
                    seen.insert(value.clone(), at.line);
                    outputs.push(Spanned { value, at });
                }
            },
            Err(error) => scope.error(at, format!("`outputs`: {error}")),
        }
    }
    Some(outputs)
}
