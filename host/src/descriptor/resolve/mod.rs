//! `path:` -> the file to load or to start. Which files are tried, and in which order, is decided in
//! `candidates` without touching a disk; here they are looked at. What a file is beyond
//! its name the caller tells through a closure. Opens, loads and starts nothing. For users the rules stand in README.md, "A
//! descriptor"; a path may lead anywhere.

mod candidates;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

pub use candidates::{Group, MAX_PATH_BYTES, Places, Platform, candidates, literally};

use super::{
    Descriptor,
    expand::ExpandError,
    fields::Scope,
    problem::{Problems, listed, quoted, shown_path},
    types::{Load, Node, NodePath},
};
use crate::ids::NodeId;

/// What a node's path led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A plugin, or a shared library that claims to be one; loading it says what is wrong with it.
    Plugin(PathBuf),
    /// Any other file.
    Executable(PathBuf),
    /// `path: dynamic`: somebody else starts the node.
    Dynamic,
}

/// Why a path led to nothing. Displays as one sentence with everything that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveError {
    /// A variable in the path has no value.
    Expand(ExpandError),
    /// A variable in the node's `working_dir` has no value.
    WorkingDir(ExpandError),
    /// The text of the key starts with `~` and there is no home folder.
    NoHome {
        /// `path` or `working_dir`.
        key: &'static str,
    },
    /// With its variables the text of the key is longer than [`MAX_PATH_BYTES`].
    TooLong {
        /// `path` or `working_dir`.
        key: &'static str,
    },
    /// On Windows: `C:x`, which starts from a folder of drive `C:` that whoever started the daemon happened to be in.
    OfDrive {
        /// `path` or `working_dir`.
        key: &'static str,
        /// The text as written.
        path: String,
    },
    /// No file at any of the places.
    NotFound {
        /// The path as written.
        path: String,
        /// Everything that was tried.
        tried: Vec<Group>,
        /// A folder that stands where the file should.
        folder: Option<PathBuf>,
        /// Whether the node has a `build`, which `dora build` would run.
        has_build: bool,
    },
    /// A stem that matches both a plugin and an executable.
    Ambiguous {
        /// The plugin.
        plugin: PathBuf,
        /// The executable.
        executable: PathBuf,
    },
    /// The node says `load: plugin` and there are only executables.
    NoPlugin(PathBuf),
    /// The node says `load: executable` and there are only libraries.
    NoExecutable(PathBuf),
}

impl std::error::Error for ResolveError {}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::Expand(error) => write!(f, "`path`: {error}"),
            ResolveError::WorkingDir(error) => write!(f, "`working_dir`: {error}"),
            ResolveError::NoHome { key } => write!(
                f,
                "`{key}` starts with `~`, and this process has no home folder; write the whole path"
            ),
            ResolveError::TooLong { key } => write!(
                f,
                "`{key}` is longer than {MAX_PATH_BYTES} bytes with the values of its variables"
            ),
            ResolveError::OfDrive { key, path } => write!(
                f,
                "`{key}`: {} starts from whatever folder is the drive's current one; write a `\\` behind the `:`, or leave the \
                 drive out",
                quoted(path)
            ),
            ResolveError::NotFound {
                path,
                tried,
                folder,
                has_build,
            } => {
                write!(f, "{} was not found", quoted(path))?;
                match in_words(tried).as_str() {
                    "" => {}
                    tried => write!(f, "; tried {tried}")?,
                }
                if let Some(folder) = folder {
                    write!(f, "; {} is a folder", shown(folder))?;
                }
                match has_build {
                    true => f.write_str("; the node has a `build`, run `dora build` first"),
                    false => f.write_str("; build it, or correct the path"),
                }
            }
            ResolveError::Ambiguous { plugin, executable } => write!(
                f,
                "`path` matches the plugin {} and the executable {}; add `load: plugin` or \
                 `load: executable`, or write the file's full name",
                shown(plugin),
                shown(executable)
            ),
            ResolveError::NoPlugin(path) => write!(
                f,
                "`load: plugin`, but {} is no plugin; remove `load`, or correct the path",
                shown(path)
            ),
            ResolveError::NoExecutable(path) => write!(
                f,
                "`load: executable`, but {} is a shared library; remove `load`, or correct the path",
                shown(path)
            ),
        }
    }
}

impl Descriptor {
    /// Resolves the paths of all nodes on this machine. Nodes whose path leads nowhere are reported
    /// at their path and left out. `is_plugin` looks into a file; it is only asked about files that
    /// exist.
    pub fn resolve(
        &self,
        places: &Places<'_>,
        is_plugin: &dyn Fn(&Path) -> bool,
    ) -> (BTreeMap<NodeId, Program>, Problems) {
        let mut problems = Problems::new(&self.file);
        let mut scope = Scope::new(&mut problems);
        let mut programs = BTreeMap::new();
        for node in &self.nodes {
            let program = match &node.deploy.working_dir {
                None => resolve(node, places, is_plugin),
                Some(text) => {
                    within(text, places).and_then(|places| resolve(node, &places, is_plugin))
                }
            };
            match program {
                Ok(program) => {
                    programs.insert(node.id.clone(), program);
                }
                Err(error) => {
                    let at = match &node.path {
                        NodePath::File(path) => path.at,
                        NodePath::Dynamic => node.at,
                    };
                    scope.of_node(node.id.as_str()).error(at, error.to_string());
                }
            }
        }
        (programs, problems)
    }
}

/// The folder that a node works in and that its path starts from: its `working_dir`, which starts from a folder of
/// `places`, or that folder itself. Of several the first that is there, else the first.
///
/// # Errors
/// A variable in it has no value, or it names no folder at all.
pub fn folder_of(node: &Node, places: &Places<'_>) -> Result<PathBuf, ResolveError> {
    let folders = match &node.deploy.working_dir {
        None => places.folders.clone(),
        Some(text) => candidates::working_folders(text, places)?,
    };
    let there = folders.iter().find(|folder| folder.is_dir());
    let folder = there.or(folders.first()).cloned();
    Ok(folder.unwrap_or_default())
}

/// The places of a node with a `working_dir`: that folder, from each folder where paths start.
fn within<'a>(working_dir: &str, places: &Places<'a>) -> Result<Places<'a>, ResolveError> {
    Ok(Places {
        folders: candidates::working_folders(working_dir, places)?,
        ..places.clone()
    })
}

/// Finds what a node's path names. The first place that has any of the candidates decides; among
/// the files there, those of this platform come first.
///
/// # Errors
/// [`ResolveError`]: nothing there, both a plugin and an executable, or not what `load` says.
pub fn resolve(
    node: &Node,
    places: &Places<'_>,
    is_plugin: &dyn Fn(&Path) -> bool,
) -> Result<Program, ResolveError> {
    let path = match &node.path {
        NodePath::Dynamic => return Ok(Program::Dynamic),
        NodePath::File(path) => &path.value,
    };
    let groups = candidates(path, places)?;
    let mut folder = None;
    for group in &groups {
        let (found, a_folder) = existing(group);
        folder = folder.or(a_folder);
        if !found.is_empty() {
            return choose(places.platform, found, node.load, is_plugin);
        }
    }
    Err(ResolveError::NotFound {
        path: path.clone(),
        tried: groups,
        folder,
        has_build: !node.build.is_empty(),
    })
}

/// The files of a group, and a folder that stands in their place.
fn existing(group: &Group) -> (Vec<PathBuf>, Option<PathBuf>) {
    let mut files = Vec::new();
    let mut folder = None;
    for path in group.paths() {
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => folder = folder.or(Some(path)),
            Ok(metadata) if !group.on_path || may_start(&metadata, &path) => files.push(path),
            Ok(_) | Err(_) => {}
        }
    }
    (files, folder)
}

/// Whether a file on PATH is meant to be started or loaded: on Unix a plain file beside programs is not.
#[cfg(unix)]
fn may_start(metadata: &std::fs::Metadata, path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0 || candidates::is_library(path)
}

#[cfg(not(unix))]
fn may_start(_: &std::fs::Metadata, _: &Path) -> bool {
    true
}

fn choose(
    platform: Platform,
    found: Vec<PathBuf>,
    load: Option<Load>,
    is_plugin: &dyn Fn(&Path) -> bool,
) -> Result<Program, ResolveError> {
    let (native, foreign): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|path| platform.is_native(path));
    let found = if native.is_empty() { foreign } else { native };
    let mut plugin = None;
    let mut library = None;
    let mut executable = None;
    for path in found {
        let place = match () {
            () if is_plugin(&path) => &mut plugin,
            () if candidates::is_library(&path) => &mut library,
            () => &mut executable,
        };
        place.get_or_insert(path);
    }
    let load = load.map(|load| match load {
        Load::Operator => Load::Executable,
        load => load,
    });
    match (load, plugin, executable, library) {
        (None, Some(plugin), Some(executable), _) => {
            Err(ResolveError::Ambiguous { plugin, executable })
        }
        (Some(Load::Executable), _, Some(executable), _) | (None, None, Some(executable), _) => {
            Ok(Program::Executable(executable))
        }
        (None | Some(Load::Plugin), Some(plugin), ..)
        | (None | Some(Load::Plugin), None, _, Some(plugin)) => Ok(Program::Plugin(plugin)),
        (Some(Load::Plugin), None, Some(other), None) => Err(ResolveError::NoPlugin(other)),
        (Some(Load::Executable), Some(other), None, _)
        | (Some(Load::Executable), None, None, Some(other)) => {
            Err(ResolveError::NoExecutable(other))
        }
        (_, None, None, None) | (Some(Load::Operator), ..) => {
            Err(ResolveError::NoPlugin(PathBuf::new()))
        }
    }
}

pub(crate) fn shown(path: &Path) -> String {
    format!("`{}`", shown_path(&candidates::tidy(path)))
}

/// `random, random.exe in ``/a/b``; random in the 5 folders of PATH`.
fn in_words(groups: &[Group]) -> String {
    let mut parts = Vec::new();
    let mut on_path = 0;
    for group in groups {
        match group.on_path {
            // The path of a folder, which names no file.
            _ if group.names.iter().all(String::is_empty) => {}
            true => on_path += 1,
            false => parts.push(format!(
                "{} in {}",
                listed(group.names.iter().map(String::as_str)),
                shown(&group.folder)
            )),
        }
    }
    let folders = match on_path {
        0 => None,
        1 => Some("in the folder of PATH".to_owned()),
        n => Some(format!("in the {n} folders of PATH")),
    };
    parts.extend(folders);
    parts.join("; and ")
}

#[cfg(test)]
mod tests;
