//! The descriptor: YAML text -> validated graph of nodes.
//!
//! [`Descriptor::parse`] finds all problems of a file at once, each with file, line, column, node and
//! what was expected; [`Descriptor::check_kinds`] adds what only the plugins' declarations can tell.
//! A [`Descriptor`] that exists is valid: ids are unique, inputs lead somewhere, threads can run.
//! Pure but for [`Descriptor::read`] and [`resolve`], which read files; starts nothing.

mod check;
mod config;
mod expand;
mod fields;
pub mod graph;
mod input;
mod keys;
mod legacy;
mod node;
mod problem;
pub mod resolve;
mod schema;
mod size;
mod source;
mod suggest;
mod types;
mod yaml;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub(crate) use expand::split_args;
pub use expand::{ExpandError, Lookup, expand};
pub(crate) use problem::quoted;
pub use problem::{MAX_KEPT, Position, Problem, Problems, Severity};
pub use schema::json_schema;
pub use types::{
    Config, DEFAULT_QUEUE_SIZE, Deploy, InputSpec, Load, LogLevel, LogSpec, MAX_QUEUE_SIZE, Node,
    NodePath, ProcessPlace, QueuePolicy, Restart, RestartPolicy, Source, Spanned, ThreadPlace,
};

use fields::{Fields, Scope, place};
use node::{Defaults, Draft};
use yaml::Value;

/// Largest file that is read.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A valid dataflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The file it was read from, as it was given; messages name it.
    pub file: PathBuf,
    /// The nodes in the file's order, at least one.
    pub nodes: Vec<Node>,
    /// End the dataflow when every node with an input from another node has finished, although
    /// timers still tick.
    pub exit_when_nodes_finish: bool,
    /// What the user should know although the dataflow may start. Holds no error.
    pub warnings: Problems,
}

impl Descriptor {
    /// Reads and checks a file. Variables in `env` come from this process's environment.
    ///
    /// # Errors
    /// All problems of the file; for a file that is missing, a folder, larger than
    /// [`MAX_FILE_BYTES`] or no UTF-8 text, that alone.
    pub fn read(file: &Path) -> Result<Self, Problems> {
        let text = read_text(file).map_err(|(at, text)| only(file, at, text))?;
        Self::parse(&text, file)
    }

    /// Checks the text of a descriptor; `file` is only named in messages. Variables in `env` come
    /// from this process's environment.
    ///
    /// # Errors
    /// All problems, warnings included, if at least one is an error.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Problems> {
        Self::parse_with(text, file, &|name| std::env::var(name).ok())
    }

    /// [`Descriptor::parse`] with variables from elsewhere than the environment.
    ///
    /// # Errors
    /// As [`Descriptor::parse`].
    pub fn parse_with(text: &str, file: &Path, lookup: Lookup<'_>) -> Result<Self, Problems> {
        if u64::try_from(text.len()).is_ok_and(|len| len > MAX_FILE_BYTES) {
            return Err(only(file, None, too_big()));
        }
        let mut problems = Problems::new(file);
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (tree, faults) = yaml::parse(text);
        let broken = tree.is_none() && !faults.is_empty();
        let mut scope = Scope::new(&mut problems);
        for fault in faults {
            scope.error(fault.at, fault.text);
        }
        let mut read = Root::default();
        match tree {
            _ if broken => {}
            None => scope.error(START, EMPTY),
            Some(tree) if tree.value == Value::Null => scope.error(START, EMPTY),
            Some(tree) => read = read_root(&mut scope, tree, lookup),
        }
        legacy::name_outputs_of_operators(&mut read.drafts);
        check::graph(&mut scope, &read.drafts);
        problems.sort();
        if problems.errors() > 0 {
            return Err(problems);
        }
        Ok(Self {
            file: file.to_owned(),
            nodes: read.drafts.into_iter().map(|draft| draft.node).collect(),
            exit_when_nodes_finish: read.exit_when_nodes_finish,
            warnings: problems,
        })
    }

    /// The node of this id.
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id.as_str() == id)
    }

    /// The folder from which relative paths start: the one of the descriptor's file.
    pub fn folder(&self) -> &Path {
        match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

const START: Position = Position { line: 1, column: 1 };

const EMPTY: &str = "the file is empty; a descriptor needs at least `nodes` with one node, such as \
                     `nodes: [{id: camera, path: target/release/camera}]`";

/// What the root holds.
#[derive(Default)]
struct Root {
    drafts: Vec<Draft>,
    exit_when_nodes_finish: bool,
}

fn read_root(scope: &mut Scope<'_>, tree: yaml::Yaml, lookup: Lookup<'_>) -> Root {
    let Value::Map(entries) = tree.value else {
        let found = tree.in_words();
        let text = format!("a descriptor must be a mapping with the key `nodes`, found {found}");
        scope.error(tree.at, text);
        return Root::default();
    };
    let mut fields = Fields::sort(scope, entries, keys::ROOT, "a descriptor");
    let defaults = Defaults {
        env: node::read_env(scope, &mut fields, lookup, &BTreeMap::new()),
        deploy: node::read_deploy(scope, &mut fields, &Deploy::default()),
    };
    let exit_when_nodes_finish = fields.boolean(scope, "exit_when_nodes_finish");
    let drafts = match fields.take("nodes") {
        None => {
            scope.error(
                START,
                "`nodes` is missing or empty; a descriptor needs at least one node",
            );
            Vec::new()
        }
        Some(entry) => {
            let at = place(&entry);
            match entry.value.value {
                Value::List(items) if !items.is_empty() => items
                    .into_iter()
                    .enumerate()
                    .filter_map(|(i, item)| node::read_node(scope, item, i, &defaults, lookup))
                    .collect(),
                Value::List(_) => {
                    scope.error(at, "`nodes` has no node; a descriptor needs at least one");
                    Vec::new()
                }
                _ => {
                    let found = entry.value.in_words();
                    let text = format!(
                        "`nodes` must be a list, each item starting with `- id: NAME`, found {found}"
                    );
                    scope.error(at, text);
                    Vec::new()
                }
            }
        }
    };
    Root {
        drafts,
        exit_when_nodes_finish: exit_when_nodes_finish.unwrap_or(false),
    }
}

fn only(file: &Path, at: Option<Position>, text: String) -> Problems {
    let mut problems = Problems::new(file);
    problems.push(Problem {
        severity: Severity::Error,
        at,
        node: None,
        text,
    });
    problems
}

fn too_big() -> String {
    let mib = MAX_FILE_BYTES / (1024 * 1024);
    format!("the file is larger than {mib} MiB, which no descriptor needs to be")
}

type ReadFault = (Option<Position>, String);

fn read_text(file: &Path) -> Result<String, ReadFault> {
    let whole = |text: String| (None, text);
    let opened = || -> io::Result<(File, std::fs::Metadata)> {
        let opened = File::open(file)?;
        let metadata = opened.metadata()?;
        Ok((opened, metadata))
    };
    // A folder first: opening one fails on Windows with "access denied".
    if file.is_dir() {
        return Err(whole(
            "this is a folder; name the descriptor's file in it, such as `dataflow.yml`".into(),
        ));
    }
    let (opened, metadata) = opened().map_err(|error| {
        whole(match error.kind() {
            io::ErrorKind::NotFound => "there is no such file; check the path".into(),
            _ => format!("cannot read the file: {error}"),
        })
    })?;
    if metadata.len() > MAX_FILE_BYTES {
        return Err(whole(too_big()));
    }
    // A pipe has no length, so what is read is bounded as well.
    let mut bytes = Vec::new();
    let read = opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    let read = read.map_err(|error| whole(format!("cannot read the file: {error}")))?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_FILE_BYTES) {
        return Err(whole(too_big()));
    }
    String::from_utf8(bytes)
        .map_err(|error| not_utf8(error.as_bytes(), error.utf8_error().valid_up_to()))
}

/// What to say of a file that is no UTF-8 text, of which the first `valid` bytes are.
fn not_utf8(bytes: &[u8], valid: usize) -> ReadFault {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return (
            Some(START),
            "the file is UTF-16 text; save it as UTF-8".into(),
        );
    }
    let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default());
    let line = before.rsplit('\n').next().unwrap_or_default();
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let at = Position {
        line: small(before.matches('\n').count() + 1),
        column: small(line.chars().count() + 1),
    };
    let byte = bytes.get(valid).copied().unwrap_or_default();
    let text = format!("the file is not UTF-8 text (byte 0x{byte:02x} here); save it as UTF-8");
    (Some(at), text)
}
