//! From a descriptor to a plan: finds the nodes' files, says in which process each runs, loads the plugins of this one,
//! checks ports, types and configs.
//!
//! Invariant: every problem of the descriptor is found before any node is made, and all of them at once; no plugin of
//! another process is loaded here. Absent: running (`engine`), other machines, how processes are started (`process`).

use crate::descriptor::resolve::{Places, Program, shown};
use crate::descriptor::{Descriptor, Node, NodePath, Problem, Problems, ProcessPlace, Severity};
use crate::engine::{Chosen, ChosenCode, Plan, RemoteInputs};
use crate::ids::NodeId;
use crate::plugin::info::{KindInfo, PluginInfo};
use crate::plugin::preflight::{self, FileKind};
use crate::plugin::{Loader, Plugin};
use crate::process::{Launcher, OutsideNodes, Placed, ReadElsewhere, Runs};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A dataflow that may start, and what the user should know before.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What runs.
    pub plan: Plan,
    /// Each node's kind, as far as it declares one.
    pub kinds: BTreeMap<NodeId, KindInfo>,
    /// Warnings only.
    pub warnings: Problems,
}

/// What runs nodes: the plugins of this process, and other processes.
#[derive(Clone, Copy, Debug)]
pub struct Runtime<'a> {
    /// Loads the plugins of this process.
    pub loader: &'a Loader,
    /// Runs the others; without it every plugin runs here, and nothing else can.
    pub launcher: Option<&'a Launcher>,
}

/// Prepares a descriptor to run on this machine.
///
/// # Errors
/// All problems, if at least one is an error. Plugins that were loaded stay so.
pub fn prepare(
    descriptor: &Descriptor,
    runtime: Runtime<'_>,
    places: &Places<'_>,
) -> Result<Prepared, Problems> {
    prepare_share(descriptor, runtime, places, &Elsewhere::default())
}

/// The other ends of a share's edges, which are not in its descriptor because they run elsewhere.
#[derive(Clone, Copy)]
pub struct Elsewhere<'a> {
    /// The inputs here whose senders do.
    pub inputs: &'a RemoteInputs,
    /// Whether an output here has readers that do.
    pub reads: ReadElsewhere<'a>,
}

impl Default for Elsewhere<'_> {
    fn default() -> Self {
        static NONE: RemoteInputs = RemoteInputs::new();
        Self {
            inputs: &NONE,
            reads: &|_, _| false,
        }
    }
}

/// As [`prepare`] for this machine's share of a dataflow.
///
/// # Errors
/// All problems, if at least one is an error. Plugins that were loaded stay so.
pub fn prepare_share(
    descriptor: &Descriptor,
    runtime: Runtime<'_>,
    places: &Places<'_>,
    elsewhere: &Elsewhere<'_>,
) -> Result<Prepared, Problems> {
    let mut loaded: BTreeMap<PathBuf, Arc<Plugin>> = BTreeMap::new();
    let describe = |path: &Path, runs: &Runs| match runs {
        Runs::Here => {
            let plugin = runtime
                .loader
                .load(path)
                .map_err(|error| error.to_string())?;
            let info = plugin.info().clone();
            loaded.insert(path.to_owned(), plugin);
            Ok(info)
        }
        runs => match runtime.launcher {
            Some(launcher) => launcher.describe(path, runs),
            None => Err(ONLY_HERE.into()),
        },
    };
    let usual = runtime
        .launcher
        .map_or(&ProcessPlace::Daemon, Launcher::usual_place);
    let checked = check(descriptor, places, usual, describe)?;
    let mut problems = checked.problems;
    let mut chosen = BTreeMap::new();
    for (id, placed) in &checked.programs {
        let plugin = match (&placed.runs, &placed.file) {
            (Runs::Here, Some(file)) => loaded.get(file).cloned(),
            _ => None,
        };
        if let (Some(plugin), Some(kind)) = (plugin, checked.kinds.get(id).cloned()) {
            let code = ChosenCode::Plugin(plugin);
            chosen.insert(id.clone(), Chosen { code, kind });
        }
    }
    if let Some(launcher) = runtime.launcher {
        let outside = OutsideNodes {
            descriptor,
            programs: &checked.programs,
            kinds: &checked.kinds,
            places,
            read_elsewhere: elsewhere.reads,
        };
        match launcher.place(&outside) {
            Ok(outside) => chosen.extend(outside),
            Err(more) => problems.append(more),
        }
    }
    if problems.errors() > 0 {
        problems.sort();
        return Err(problems);
    }
    match Plan::share(descriptor, &chosen, elsewhere.inputs) {
        Ok(plan) => Ok(Prepared {
            plan,
            kinds: checked.kinds,
            warnings: problems,
        }),
        Err(error) => {
            problems.push(Problem {
                severity: Severity::Error,
                at: None,
                node: None,
                text: error.to_string(),
            });
            Err(problems)
        }
    }
}

/// Why a node of another process cannot run where there are none.
const ONLY_HERE: &str = "runs in a process of its own, and here is none that starts it";

/// A descriptor whose nodes all fit.
#[derive(Debug)]
pub struct Checked {
    /// What runs each node.
    pub programs: BTreeMap<NodeId, Placed>,
    /// Each node's kind, as far as it declares one.
    pub kinds: BTreeMap<NodeId, KindInfo>,
    /// Warnings only.
    pub problems: Problems,
}

/// Checks all that can be known before the start: files, handshakes, ports, types, configs. `describe` says what a plugin
/// or an executable of ours declares, or why it is refused, in the words that follow its path; it is asked once per
/// file and runner. `usual` is where plugins run that do not say so.
///
/// # Errors
/// All problems, if at least one is an error.
pub fn check(
    descriptor: &Descriptor,
    places: &Places<'_>,
    usual: &ProcessPlace,
    mut describe: impl FnMut(&Path, &Runs) -> Result<PluginInfo, String>,
) -> Result<Checked, Problems> {
    let files = Files::default();
    let is_plugin = |path: &Path| files.look(path) == What::Plugin;
    let (resolved, mut problems) = descriptor.resolve(places, &is_plugin);
    problems.append(descriptor.warnings.clone());
    let mut asked: BTreeMap<(PathBuf, bool), Result<PluginInfo, String>> = BTreeMap::new();
    let mut programs = BTreeMap::new();
    let mut infos = BTreeMap::new();
    for node in &descriptor.nodes {
        // One that leads nowhere has been reported by `resolve`.
        let Some(program) = resolved.get(&node.id) else {
            continue;
        };
        let program = placed(node, program, usual, &files);
        if let Some(file) = program.file.as_ref().filter(|_| program.runs.declares()) {
            let key = (file.clone(), program.runs == Runs::Here);
            match asked
                .entry(key)
                .or_insert_with(|| describe(file, &program.runs))
            {
                Ok(info) => {
                    infos.insert(node.id.clone(), info.clone());
                }
                Err(why) => problems.push(problem(node, format!("{}: {why}", shown(file)))),
            }
        }
        programs.insert(node.id.clone(), program);
    }
    let (kinds, more) = descriptor.select_kinds(&infos);
    problems.append(more);
    // Without every plugin's declaration its readers' inputs would be called unknown.
    if problems.errors() == 0 {
        problems.append(descriptor.check_kinds(&kinds));
        let executables = programs
            .iter()
            .filter(|(_, program)| !program.runs.is_plugin());
        let executables: BTreeSet<_> = executables
            .map(|(id, _)| id.clone())
            .filter(|id| !kinds.contains_key(id))
            .collect();
        problems.append(descriptor.check_executables(&executables));
    }
    problems.sort();
    if problems.errors() > 0 {
        Err(problems)
    } else {
        Ok(Checked {
            programs,
            kinds,
            problems,
        })
    }
}

fn placed(node: &Node, program: &Program, usual: &ProcessPlace, files: &Files) -> Placed {
    let (file, runs) = match program {
        Program::Plugin(file) => {
            let place = node.process.as_ref().map_or(usual, |place| &place.value);
            let runs = match place {
                ProcessPlace::Daemon => Runs::Here,
                ProcessPlace::Own => Runs::Host(None),
                ProcessPlace::Shared(name) => Runs::Host(Some(name.to_string())),
            };
            (Some(file.clone()), runs)
        }
        Program::Executable(file) => match files.look(file) {
            What::NodeExecutable => (Some(file.clone()), Runs::Executable),
            What::Plugin | What::Other => (Some(file.clone()), Runs::Foreign),
        },
        Program::Dynamic => (None, Runs::Dynamic),
    };
    Placed { file, runs }
}

fn problem(node: &Node, text: String) -> Problem {
    let at = match &node.path {
        NodePath::File(path) => path.at,
        NodePath::Dynamic => node.at,
    };
    Problem {
        severity: Severity::Error,
        at: Some(at),
        node: Some(node.id.to_string()),
        text,
    }
}

/// What the files of a descriptor are, by their content: each is looked into once, however many nodes it runs.
#[derive(Default)]
struct Files(RefCell<BTreeMap<PathBuf, What>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Plugin,
    NodeExecutable,
    Other,
}

impl Files {
    fn look(&self, path: &Path) -> What {
        let known = self.0.borrow().get(path).copied();
        known.unwrap_or_else(|| {
            let what = what(path);
            self.0.borrow_mut().insert(path.to_owned(), what);
            what
        })
    }
}

fn what(path: &Path) -> What {
    match preflight::read_file(path).map(|report| report.kind) {
        Ok(FileKind::Plugin { .. }) => What::Plugin,
        Ok(FileKind::NodeExecutable { .. }) => What::NodeExecutable,
        Ok(_) | Err(_) => What::Other,
    }
}
