//! The check of a share's nodes, on a thread of its own: files are found, plugins loaded, kinds compared.
//!
//! Invariant: a plugin that hangs while it is loaded holds up nobody but its own check. Absent: what becomes of the
//! answer.

use super::event::Local;
use crate::control::{Again, Prepare};
use crate::descriptor::resolve::Places;
use crate::descriptor::{Node, Problem, Problems, Severity};
use crate::engine::{Plan, RemoteInputs};
use crate::ids::MachineId;
use crate::launch::{self, Elsewhere, Prepared, Runtime};
use crate::plugin::Loader;
use crate::process::Launcher;
use std::path::Path;
use std::sync::Arc;

/// What a daemon checks nodes with.
#[derive(Clone)]
pub(super) struct Checker {
    pub machine: MachineId,
    /// The daemon's own folder.
    pub folder: Arc<Path>,
    pub loader: Arc<Loader>,
    pub launcher: Launcher,
}

/// Nodes that fit and wait to be made.
#[derive(Debug)]
pub(super) struct Checked {
    pub plan: Plan,
    pub nodes: Vec<Node>,
    /// What is different when they are made again.
    pub again: Option<Box<Again>>,
}

/// What came of a check.
pub(super) struct Outcome {
    pub checked: Option<Box<Checked>>,
    /// What the state machine is told.
    pub told: Local,
}

impl Checker {
    /// Checks in the background; `done` is called on that thread.
    ///
    /// # Errors
    /// The system gives no thread, said as a problem.
    pub fn start(
        &self,
        prepare: Box<Prepare>,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) -> Result<(), Problems> {
        let (checker, file) = (self.clone(), prepare.descriptor.file.clone());
        let thread = std::thread::Builder::new().name("dora-check".into());
        let started = thread.spawn(move || done(checker.check(&prepare)));
        started.map(drop).map_err(|error| {
            let text = format!("the daemon has no thread to check the nodes: {error}");
            let mut problems = Problems::new(&file);
            problems.push(whole(Severity::Error, text));
            problems
        })
    }

    fn check(&self, prepare: &Prepare) -> Outcome {
        match self.prepared(prepare) {
            Ok((nodes, prepared)) => {
                let mut plan = prepared.plan;
                plan.held = true;
                if let Some(again) = &prepare.again {
                    for node in &mut plan.nodes {
                        node.restarts = again.restarts.get(&node.id).copied().unwrap_or_default();
                    }
                }
                Outcome {
                    told: Local::Prepared {
                        kinds: prepared.kinds,
                        warnings: prepared.warnings,
                    },
                    checked: Some(Box::new(Checked {
                        plan,
                        nodes,
                        again: prepare.again.clone(),
                    })),
                }
            }
            Err(problems) => Outcome {
                checked: None,
                told: Local::Refused(problems),
            },
        }
    }

    fn prepared(&self, prepare: &Prepare) -> Result<(Vec<Node>, Prepared), Problems> {
        let mut local = prepare.part(&self.machine);
        // Whoever has read the file has shown them.
        local.warnings = Problems::new(&local.file);
        for node in &mut local.nodes {
            node.env.extend(prepare.env.clone());
        }
        let edges = prepare.edges(&self.machine);
        let inputs = edges.inputs.iter();
        let inputs = inputs.map(|input| (input.node.clone(), input.input.clone()));
        let remote: RemoteInputs = inputs.collect();
        let theirs = Path::new(&prepare.folder);
        let folders: &[&Path] = match theirs.is_dir() {
            true => &[theirs],
            // Named among the places that were tried.
            false => &[theirs, &self.folder],
        };
        let places = Places::of_this_process(folders);
        let runtime = Runtime {
            loader: &self.loader,
            launcher: Some(&self.launcher),
        };
        let elsewhere = Elsewhere {
            inputs: &remote,
            reads: &|node, output| {
                let mut read = edges.outputs.iter();
                read.any(|read| read.node == *node && read.output == *output)
            },
        };
        let mut prepared = launch::prepare_share(&local, runtime, &places, &elsewhere)?;
        if !prepare.env.is_empty() && !local.nodes.is_empty() {
            let text = "variables that are given with `--env` do not reach plugins that run inside the daemon; use \
                        `config`";
            prepared
                .warnings
                .push(whole(Severity::Warning, text.into()));
        }
        Ok((local.nodes, prepared))
    }
}

/// A problem of no node in particular.
fn whole(severity: Severity, text: String) -> Problem {
    Problem {
        severity,
        at: None,
        node: None,
        text,
    }
}
