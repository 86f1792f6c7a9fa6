//! The JSON schema of a descriptor, for editors. Generated from the types below, which exist for
//! nothing else: they hold the text that an editor shows. A test keeps their keys equal to those of
//! `keys`, so that a key cannot be read without being described, nor described without being read.
//! Says less than the checks do: it knows no graph.
#![allow(dead_code)] // The fields are read by the derive only.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

/// The JSON schema (draft 2020-12) of a descriptor.
pub fn json_schema() -> Value {
    schema_for!(Root).to_value()
}

/// A dataflow: its nodes, and who reads whose outputs.
#[derive(JsonSchema)]
#[schemars(title = "dora dataflow", deny_unknown_fields)]
struct Root {
    /// The nodes of the dataflow.
    #[schemars(length(min = 1))]
    nodes: Vec<NodeKeys>,
    /// Environment of all nodes; a node's own `env` comes before it.
    env: Option<BTreeMap<String, EnvText>>,
    /// Where nodes run that do not say it themselves.
    deploy: Option<DeployKeys>,
    /// End the dataflow when every node with an input from another node has finished, although
    /// timers still tick.
    exit_when_nodes_finish: Option<bool>,
    /// The older name of `deploy`.
    #[schemars(extend("deprecated" = true))]
    _unstable_deploy: Option<DeployKeys>,
    /// No effect: nodes exchange pointers or shared memory, and machines are joined by zenoh.
    #[schemars(extend("deprecated" = true))]
    communication: Option<Value>,
    /// No effect: nodes exchange pointers or shared memory, and machines are joined by zenoh.
    #[schemars(extend("deprecated" = true))]
    daemon_config: Option<Value>,
    /// No effect: `dora topic echo` works on every dataflow.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
    /// No effect: `dora topic echo` works on every dataflow.
    #[schemars(extend("deprecated" = true))]
    _unstable_debug: Option<Value>,
    /// No effect: each node is watched by its own `health_check_timeout`.
    #[schemars(extend("deprecated" = true))]
    health_check_interval: Option<Value>,
    /// No effect: a node kind's declared port types are always checked.
    #[schemars(extend("deprecated" = true))]
    strict_types: Option<Value>,
    /// No effect: the declared types of two connected ports must be equal.
    #[schemars(extend("deprecated" = true))]
    type_rules: Option<Value>,
}

/// One node of the dataflow.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("anyOf" = [{"required": ["path"]}, {"required": ["operator"]}])
)]
struct NodeKeys {
    /// Unique name of the node: letters, digits, `_`, `.` and `-`.
    #[schemars(extend("pattern" = NODE_ID), length(max = 128))]
    id: String,
    /// Name for people.
    name: Option<Label>,
    /// Description for people.
    description: Option<Label>,
    /// The node's plugin or executable: a file, or a stem such as `target/release/camera`, which is
    /// tried as `camera`, `camera.exe`, `libcamera.so`, `camera.dll` and `libcamera.dylib`. Starts from
    /// the descriptor's folder; a bare name is also looked up on PATH. `~`, `$VAR`, `${VAR}` and
    /// `${VAR:-default}` are replaced, `$$` is a dollar. `dynamic`: the node is started by hand.
    #[schemars(length(min = 1, max = 4096))]
    path: Option<String>,
    /// In place of `path`: a Python operator of dora, which runs as a node in a process of its own. Its `inputs`,
    /// `outputs` and other keys may stand here or at the node.
    operator: Option<OperatorKeys>,
    /// What `path` must be, when a stem matches both.
    load: Option<LoadValue>,
    /// The plugin's node kind, when it has several.
    kind: Option<String>,
    /// Arguments of an executable: a text that is split at white space (quotes keep it together), or a
    /// list.
    args: Option<Args>,
    /// Environment of the node and of its build. `$VAR`, `${VAR}` and `${VAR:-default}` are replaced.
    env: Option<BTreeMap<String, EnvText>>,
    /// Commands that `dora build` runs, one per line.
    build: Option<String>,
    /// The node's config, as its node kind declares it.
    config: Option<Value>,
    /// What the node reads, by input.
    #[schemars(extend("propertyNames" = {"pattern": PORT, "maxLength": 128}))]
    inputs: Option<BTreeMap<String, Input>>,
    /// What the node sends. May be left out for a plugin: then all outputs that it declares count.
    outputs: Option<Vec<Port>>,
    /// The process of a plugin: `daemon` (default), `own`, or any name, which all nodes that give it
    /// share.
    #[schemars(extend("pattern" = NAME), length(max = 128))]
    process: Option<String>,
    /// The thread of a plugin: `own` (default), `sender` (called by the node it reads from), or any
    /// name, which all nodes of the process that give it share.
    #[schemars(extend("pattern" = NAME), length(max = 128))]
    thread: Option<String>,
    /// Where the node runs.
    deploy: Option<DeployKeys>,
    /// After which endings the node is started again; `never` is the default.
    restart_policy: Option<RestartValue>,
    /// Most restarts; 0 (default) is without limit.
    max_restarts: Option<u32>,
    /// Seconds before the first restart, doubled each time.
    #[schemars(range(min = 0))]
    restart_delay: Option<f64>,
    /// Most seconds between two restarts.
    #[schemars(range(min = 0))]
    max_restart_delay: Option<f64>,
    /// Seconds after which restarts are counted anew.
    #[schemars(extend("exclusiveMinimum" = 0))]
    restart_window: Option<f64>,
    /// A node without a sign of life for so many seconds is ended and restarted by its policy.
    #[schemars(extend("exclusiveMinimum" = 0))]
    health_check_timeout: Option<f64>,
    /// Output on which each line of the node's standard output is sent.
    send_stdout_as: Option<Port>,
    /// Output on which each log line of the node is sent as JSON.
    send_logs_as: Option<Port>,
    /// Log lines below this level are dropped.
    min_log_level: Option<LevelValue>,
    /// Size at which the node's log file is rotated, in bytes or as `50MB`.
    max_log_size: Option<Size>,
    /// Rotated log files that are kept.
    #[schemars(range(max = 100))]
    max_rotated_files: Option<u32>,
    /// Processor cores the node may run on.
    cpu_affinity: Option<Vec<Core>>,
    /// The older name of `deploy`.
    #[schemars(extend("deprecated" = true))]
    _unstable_deploy: Option<DeployKeys>,
    /// The older name of `env`.
    #[schemars(extend("deprecated" = true))]
    envs: Option<BTreeMap<String, EnvText>>,
    /// No effect: the types of a plugin's ports are declared in the plugin.
    #[schemars(extend("deprecated" = true))]
    output_types: Option<Value>,
    /// No effect: the types of a plugin's ports are declared in the plugin.
    #[schemars(extend("deprecated" = true))]
    input_types: Option<Value>,
    /// No effect: a message that leaves its process is always Arrow IPC.
    #[schemars(extend("deprecated" = true))]
    output_framing: Option<Value>,
    /// No effect: metadata keys are not checked before start.
    #[schemars(extend("deprecated" = true))]
    output_metadata: Option<Value>,
    /// No effect: metadata keys are not checked before start.
    #[schemars(extend("deprecated" = true))]
    pattern: Option<Value>,
    /// No effect: shared memory grows and shrinks with the messages in it.
    #[schemars(extend("deprecated" = true))]
    shared_memory_pool_size: Option<Value>,
    /// No effect: a start waits for all nodes and names those that are not ready.
    #[schemars(extend("deprecated" = true))]
    startup_timeout: Option<Value>,
    /// No effect: a node whose inputs have closed may take its time.
    #[schemars(extend("deprecated" = true))]
    finish_grace_secs: Option<Value>,
}

const NODE_ID: &str = "^(?!dora$)[a-zA-Z0-9_-][a-zA-Z0-9_.-]*$";
const NAME: &str = "^[a-zA-Z0-9_-][a-zA-Z0-9_.-]*$";
const PORT: &str = "^[a-zA-Z0-9_-][a-zA-Z0-9_.-]*(/[a-zA-Z0-9_-][a-zA-Z0-9_.-]*)*$";
const SOURCE: &str = "^(dora/timer/(secs|millis|micros|nanos)/[0-9]+|dora/timer/hz/[0-9.eE+-]+\
                      |dora/logs(/[a-zA-Z]+(/[a-zA-Z0-9_.-]+)?)?/?\
                      |(?!dora/)[a-zA-Z0-9_.-]+/[a-zA-Z0-9_./-]+)$";

/// Where a node runs.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct DeployKeys {
    /// Id of the machine: what its `dora daemon --machine-id` says.
    #[schemars(extend("pattern" = NAME), length(max = 128))]
    machine: Option<String>,
    /// Labels that the machine must have.
    labels: Option<BTreeMap<String, Label>>,
    /// Folder on that machine in which the node runs and from which its `path` starts. Starts from the
    /// descriptor's folder; replaced in it is what is replaced in `path`.
    #[schemars(length(min = 1, max = 4096))]
    working_dir: Option<String>,
    /// No effect: files are not copied; each machine takes the file that `path` names there.
    #[schemars(extend("deprecated" = true))]
    distribute: Option<Value>,
}

/// What an input reads: `NODE/OUTPUT`, a timer such as `dora/timer/millis/100` or `dora/timer/hz/30`,
/// or `dora/logs[/LEVEL[/NODE]]`; alone or with options.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Input {
    Source(SourceText),
    Long(InputKeys),
}

/// `NODE/OUTPUT`, `dora/timer/UNIT/N` (secs, millis, micros, nanos, hz), or `dora/logs[/LEVEL[/NODE]]`.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct SourceText(#[schemars(extend("pattern" = SOURCE))] String);

/// An input with options.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct InputKeys {
    /// What is read.
    source: SourceText,
    /// Most messages that wait; 10 is the default.
    #[schemars(range(min = 1, max = 1_000_000))]
    queue_size: Option<u64>,
    /// What happens when so many wait; `drop_oldest` is the default.
    queue_policy: Option<PolicyValue>,
    /// Seconds without a message after which the input counts as closed.
    #[schemars(extend("exclusiveMinimum" = 0))]
    input_timeout: Option<f64>,
}

/// What happens to a message for a full queue.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum PolicyValue {
    /// The message that waited longest is dropped.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// The sender waits.
    Backpressure,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum LoadValue {
    /// A plugin.
    Plugin,
    /// An executable or a script.
    Executable,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum RestartValue {
    /// After none.
    Never,
    /// After an error, a panic or a crash.
    OnFailure,
    /// After every one, except a stop that was asked for.
    Always,
}

/// The least severe level that counts; `stdout` lets every line through.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct LevelValue(
    #[schemars(extend("enum" = ["stdout", "trace", "debug", "info", "warn", "error",
        "STDOUT", "TRACE", "DEBUG", "INFO", "WARN", "ERROR"]))]
    String,
);

/// Letters, digits, `_`, `.`, `-`, and `/` between parts.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Port(#[schemars(extend("pattern" = PORT), length(max = 128))] String);

/// A core number.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Core(#[schemars(range(max = 1023))] u32);

/// A text; numbers and booleans are taken as their text.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Label {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// A text in which variables are replaced, a number, a boolean, nothing (an empty text), or the value
/// of a variable of the machine that starts the dataflow.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum EnvText {
    Text(String),
    Number(f64),
    Bool(bool),
    Empty(()),
    Host(HostVariable),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HostVariable {
    /// Name of the variable.
    __dora_env: String,
}

/// A Python operator.
#[derive(JsonSchema)]
struct OperatorKeys {
    /// The file with the class `Operator`.
    python: PythonValue,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum PythonValue {
    File(String),
    Source(PythonSource),
}

#[derive(JsonSchema)]
struct PythonSource {
    /// The file with the class `Operator`.
    source: String,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Args {
    One(Label),
    List(Vec<Label>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Size {
    Bytes(#[schemars(range(min = 1))] u64),
    Text(#[schemars(extend("pattern" = "^ *[0-9.]+ *([bB]|[kKmMgG][bB]?)? *$"))] String),
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use crate::descriptor::{
        config,
        fields::Scope,
        keys::{self, Key, Meaning},
        problem::Problems,
        yaml,
    };

    /// The keys of a described mapping, and which of them are marked as deprecated.
    fn described(schema: &Value, definition: Option<&str>) -> BTreeSet<(String, bool)> {
        let mapping = match definition {
            None => schema,
            Some(name) => &schema["$defs"][name],
        };
        assert_eq!(
            mapping["additionalProperties"],
            Value::Bool(false),
            "{definition:?}"
        );
        let keys = mapping["properties"].as_object().expect("properties");
        keys.iter()
            .map(|(key, value)| (key.clone(), value["deprecated"] == Value::Bool(true)))
            .collect()
    }

    fn read(table: &'static [Key]) -> BTreeSet<(String, bool)> {
        let shown = table
            .iter()
            .filter(|key| !matches!(key.meaning, Meaning::Refused(_)));
        shown
            .map(|key| (key.name.to_owned(), key.meaning != Meaning::Works))
            .collect()
    }

    #[test]
    fn the_schema_describes_the_keys_that_are_read() {
        let schema = json_schema();
        assert_eq!(described(&schema, None), read(keys::ROOT));
        assert_eq!(described(&schema, Some("NodeKeys")), read(keys::NODE));
        assert_eq!(described(&schema, Some("DeployKeys")), read(keys::DEPLOY));
        assert_eq!(described(&schema, Some("InputKeys")), read(keys::INPUT));
    }

    fn as_json(file: &Path) -> Value {
        let text = fs::read_to_string(file).expect("a case");
        let tree = yaml::parse(&text).0.expect("a tree");
        let mut problems = Problems::new(file);
        config::read(&mut Scope::new(&mut problems), tree).value
    }

    #[test]
    fn the_schema_agrees_with_the_cases() {
        let validator = jsonschema::validator_for(&json_schema()).expect("a valid schema");
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/descriptors");
        let files = fs::read_dir(cases.join("good")).expect("cases");
        for file in files.map(|entry| entry.expect("an entry").path()) {
            let json = as_json(&file);
            let errors: Vec<String> = validator
                .iter_errors(&json)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{}: {errors:?}", file.display());
        }
        for name in [
            "unknown-keys",
            "wrong-types",
            "bad-ids",
            "bad-ports",
            "bad-inputs",
            "bad-restart",
            "bad-logs",
            "bad-timers",
            "bad-sources",
            "bad-deploy",
            "missing-path",
            "missing-id",
            "empty-nodes",
            "git",
            "operators",
            "not-a-list",
        ] {
            let json = as_json(&cases.join(format!("bad/{name}.yml")));
            assert!(!validator.is_valid(&json), "{name}");
        }
    }

    #[test]
    fn every_key_has_a_text() {
        fn check(value: &Value, path: &str) {
            for (key, inner) in value["properties"].as_object().into_iter().flatten() {
                let text = inner["description"].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{path}.{key} has no description");
            }
        }
        let schema = json_schema();
        check(&schema, "root");
        for (name, definition) in schema["$defs"].as_object().expect("definitions") {
            check(definition, name);
        }
    }
}
