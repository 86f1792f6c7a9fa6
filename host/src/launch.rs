//! From a descriptor to a plan: finds the nodes' files, loads the plugins, checks ports, types and configs.
//!
//! Invariant: every problem of the descriptor is found before any node is made, and all of them at once. Absent:
//! running (`engine`), other machines, processes.

use crate::descriptor::resolve::{Places, Program};
use crate::descriptor::{Descriptor, Node, NodePath, Problem, Problems, ProcessPlace, Severity};
use crate::engine::{Chosen, ChosenCode, Plan, RemoteInputs};
use crate::ids::NodeId;
use crate::plugin::info::{KindInfo, PluginInfo};
use crate::plugin::preflight::{self, FileKind};
use crate::plugin::{Loader, Plugin};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A dataflow that may start, and what the user should know before.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What runs.
    pub plan: Plan,
    /// Each node's kind.
    pub kinds: BTreeMap<NodeId, KindInfo>,
    /// Warnings only.
    pub warnings: Problems,
}

/// Prepares a descriptor to run in this process.
///
/// # Errors
/// All problems, if at least one is an error. Plugins that were loaded stay so.
pub fn prepare(
    descriptor: &Descriptor,
    loader: &Loader,
    places: &Places<'_>,
) -> Result<Prepared, Problems> {
    prepare_share(descriptor, loader, places, &RemoteInputs::new())
}

/// As [`prepare`] for this process's share of a dataflow: `remote` names the inputs whose senders are not in the
/// descriptor because they run elsewhere.
///
/// # Errors
/// All problems, if at least one is an error. Plugins that were loaded stay so.
pub fn prepare_share(
    descriptor: &Descriptor,
    loader: &Loader,
    places: &Places<'_>,
    remote: &RemoteInputs,
) -> Result<Prepared, Problems> {
    let load = |path: &Path| loader.load(path).map_err(|error| error.to_string());
    let checked = check(descriptor, places, load, |plugin: &Arc<Plugin>| {
        plugin.info().clone()
    })?;
    let kinds = checked.kinds;
    let chosen = kinds.iter().filter_map(|(id, kind)| {
        let (plugin, kind) = (checked.plugins.get(id)?.clone(), kind.clone());
        let code = ChosenCode::Plugin(plugin);
        Some((id.clone(), Chosen { code, kind }))
    });
    match Plan::share(descriptor, &chosen.collect(), remote) {
        Ok(plan) => Ok(Prepared {
            plan,
            kinds,
            warnings: checked.problems,
        }),
        Err(error) => {
            let mut problems = checked.problems;
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

/// A descriptor whose nodes all fit.
#[derive(Debug)]
pub struct Checked<P> {
    /// Each node's plugin, as `load` gave it.
    pub plugins: BTreeMap<NodeId, P>,
    /// Each node's kind.
    pub kinds: BTreeMap<NodeId, KindInfo>,
    /// Warnings only.
    pub problems: Problems,
}

/// Checks all that can be known before the start: files, handshakes, ports, types, configs. `load` says what a plugin
/// file holds, or why it is refused, in the words that follow its path; it is asked once per file.
///
/// # Errors
/// All problems, if at least one is an error.
pub fn check<P: Clone>(
    descriptor: &Descriptor,
    places: &Places<'_>,
    load: impl Fn(&Path) -> Result<P, String>,
    info: impl Fn(&P) -> PluginInfo,
) -> Result<Checked<P>, Problems> {
    let (programs, mut problems) = descriptor.resolve(places, &is_plugin);
    problems.append(descriptor.warnings.clone());
    let mut loaded: BTreeMap<&Path, Result<P, String>> = BTreeMap::new();
    let mut plugins = BTreeMap::new();
    for node in &descriptor.nodes {
        let path = match programs.get(&node.id) {
            Some(Program::Plugin(path)) => path.as_path(),
            Some(other) => {
                problems.push(problem(node, unsupported(other)));
                continue;
            }
            // Reported by `resolve`.
            None => continue,
        };
        if *node.process_place() != ProcessPlace::Daemon {
            let text = "`process`: this version of dora runs plugins in its own process only; remove the key";
            problems.push(problem(node, text.to_owned()));
        }
        match loaded.entry(path).or_insert_with(|| load(path)) {
            Ok(plugin) => {
                plugins.insert(node.id.clone(), plugin.clone());
            }
            Err(reason) => problems.push(problem(node, format!("`{}`: {reason}", path.display()))),
        }
    }
    let infos = plugins
        .iter()
        .map(|(id, plugin)| (id.clone(), info(plugin)))
        .collect();
    let (kinds, more) = descriptor.select_kinds(&infos);
    problems.append(more);
    // Without every plugin's declaration its readers' inputs would be called unknown.
    if problems.errors() == 0 {
        problems.append(descriptor.check_kinds(&kinds));
    }
    problems.sort();
    if problems.errors() > 0 {
        Err(problems)
    } else {
        Ok(Checked {
            plugins,
            kinds,
            problems,
        })
    }
}

fn unsupported(program: &Program) -> String {
    match program {
        Program::Executable(path) => format!(
            "`{}` is an executable; this version of dora runs plugins only: name the node's shared library",
            path.display()
        ),
        _ => "`path: dynamic`: this version of dora runs plugins only".to_owned(),
    }
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

/// Whether a file is a plugin by its content.
fn is_plugin(path: &Path) -> bool {
    match preflight::read_file(path) {
        Ok(report) => matches!(report.kind, FileKind::Plugin { .. }),
        Err(_) => false,
    }
}
