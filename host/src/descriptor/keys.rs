//! Every key that a descriptor may hold, ours and dora's of both generations, and what becomes of it.
//! A key is never passed over in silence: it works, or a message names it and says why not.
//! The JSON schema describes exactly the keys that this page does not refuse (a test compares).

/// One key and what becomes of it.
pub(super) struct Key {
    pub name: &'static str,
    pub meaning: Meaning,
}

/// What becomes of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is read.
    Works,
    /// Another name of the key given here.
    Same(&'static str),
    /// A warning names it with this reason.
    NoEffect(&'static str),
    /// An error names it with this replacement.
    Refused(&'static str),
}

use Meaning::{NoEffect, Refused, Same, Works};

const fn key(name: &'static str, meaning: Meaning) -> Key {
    Key { name, meaning }
}

/// Keys at the top of the file.
pub(super) static ROOT: &[Key] = &[
    key("nodes", Works),
    key("env", Works),
    key("deploy", Works),
    key("exit_when_nodes_finish", Works),
    key("_unstable_deploy", Same("deploy")),
    key("communication", NoEffect(COMMUNICATION)),
    key("daemon_config", NoEffect(COMMUNICATION)),
    key("debug", NoEffect(DEBUG)),
    key("_unstable_debug", NoEffect(DEBUG)),
    key(
        "health_check_interval",
        NoEffect("each node is watched by its own `health_check_timeout`"),
    ),
    key(
        "strict_types",
        NoEffect("a node kind's declared port types are always checked"),
    ),
    key(
        "type_rules",
        NoEffect("the declared types of two connected ports must be equal"),
    ),
    key(
        "module",
        Refused("this file is a module, not a dataflow; put its nodes into the dataflow's `nodes`"),
    ),
];

const COMMUNICATION: &str =
    "nodes of one machine exchange pointers or shared memory, and machines are joined by zenoh";
const DEBUG: &str = "`dora topic echo` works on every dataflow";

/// Keys of a node.
pub(super) static NODE: &[Key] = &[
    key("id", Works),
    key("name", Works),
    key("description", Works),
    key("path", Works),
    key("load", Works),
    key("kind", Works),
    key("args", Works),
    key("env", Works),
    key("build", Works),
    key("config", Works),
    key("inputs", Works),
    key("outputs", Works),
    key("process", Works),
    key("thread", Works),
    key("deploy", Works),
    key("restart_policy", Works),
    key("max_restarts", Works),
    key("restart_delay", Works),
    key("max_restart_delay", Works),
    key("restart_window", Works),
    key("health_check_timeout", Works),
    key("send_stdout_as", Works),
    key("send_logs_as", Works),
    key("min_log_level", Works),
    key("max_log_size", Works),
    key("max_rotated_files", Works),
    key("cpu_affinity", Works),
    key("_unstable_deploy", Same("deploy")),
    key("envs", Same("env")),
    key("output_types", NoEffect(TYPES)),
    key("input_types", NoEffect(TYPES)),
    key(
        "output_framing",
        NoEffect("a message that leaves its process is always Arrow IPC"),
    ),
    key(
        "output_metadata",
        NoEffect("metadata keys are not checked before start"),
    ),
    key(
        "pattern",
        NoEffect("the metadata keys of services and actions are not checked before start"),
    ),
    key(
        "shared_memory_pool_size",
        NoEffect("shared memory grows and shrinks with the messages in it"),
    ),
    key(
        "startup_timeout",
        NoEffect("a start waits for all nodes and names those that are not ready"),
    ),
    key(
        "finish_grace_secs",
        NoEffect("a node whose inputs have closed may take its time"),
    ),
    key("git", Refused(GIT)),
    key("branch", Refused(GIT_PART)),
    key("tag", Refused(GIT_PART)),
    key("rev", Refused(GIT_PART)),
    key(
        "hub",
        Refused(
            "there is no package index here; fetch the node in `build` and name its file in `path`",
        ),
    ),
    key(
        "path_sha256",
        Refused("`path` is never downloaded here, so there is nothing to verify; remove the key"),
    ),
    key(
        "module",
        Refused("put the nodes of the module file into this file's `nodes`"),
    ),
    key(
        "params",
        Refused(
            "it belongs to `module`; put the nodes of the module file into this file's `nodes`",
        ),
    ),
    key(
        "ros2",
        Refused("there is no built-in ROS 2 bridge; name a bridge node of your own in `path`"),
    ),
    key("operator", Works),
    key(
        "operators",
        Refused("operators cannot run here; make each a node of its own"),
    ),
    key(
        "custom",
        Refused("its keys belong to the node itself; its `source` is now `path`"),
    ),
];

const TYPES: &str = "the types of a plugin's ports are declared in the plugin";
const GIT: &str = "repositories are not cloned here; clone it in `build` \
                   (such as `build: git clone URL repo`) and start `path` with that folder";

const GIT_PART: &str = "it belongs to `git`, and repositories are not cloned here";

/// Keys of `deploy`.
pub(super) static DEPLOY: &[Key] = &[
    key("machine", Works),
    key("labels", Works),
    key("working_dir", Works),
    key(
        "distribute",
        NoEffect("files are not copied; each machine takes the file that `path` names there"),
    ),
];

/// Keys of an input in its long form.
pub(super) static INPUT: &[Key] = &[
    key("source", Works),
    key("queue_size", Works),
    key("queue_policy", Works),
    key("input_timeout", Works),
];

/// The key of this name.
pub(super) fn find(table: &'static [Key], name: &str) -> Option<&'static Key> {
    table.iter().find(|key| key.name == name)
}

/// Names of the keys that are read, for lists and suggestions.
pub(super) fn working(table: &'static [Key]) -> impl Iterator<Item = &'static str> {
    table
        .iter()
        .filter(|key| key.meaning == Works)
        .map(|key| key.name)
}
