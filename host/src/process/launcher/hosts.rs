//! Plugins in host processes: one alone, or several together.
//!
//! Absent: their connections (`host_process`).

use super::{Launcher, OutsideNodes, problem};
use crate::descriptor::resolve::shown;
use crate::descriptor::{Descriptor, InputSpec, Node, Problem, Problems, Source};
use crate::engine::{Chosen, Outside, OwnInputs};
use crate::ids::NodeId;
use crate::process::child::Launch;
use crate::process::host_process::{ALONE, HostSpec, SUBCOMMAND, SharedProcess};
use crate::process::native::{AHEAD, Native, OwnProcess};
use std::path::Path;
use std::sync::Arc;

impl Launcher {
    /// A plugin in a process of its own.
    pub(super) fn alone(
        &self,
        nodes: &OutsideNodes<'_>,
        node: &Node,
        file: &Path,
    ) -> Result<Arc<dyn Outside>, String> {
        let launch = self.host_launch(nodes, node, &[ALONE])?;
        let mut spec = self.native_spec(nodes, node, file.to_owned());
        spec.plugin = text_of(file)?;
        let logs = node.logs.clone();
        let process = OwnProcess { launch, logs };
        let native = Native::new(spec, Arc::new(process), self.0.pool.clone());
        Ok(Arc::new(native))
    }

    /// The plugins that share a process of that name.
    pub(super) fn together(
        &self,
        nodes: &OutsideNodes<'_>,
        name: &str,
        members: &[&Node],
    ) -> Result<Vec<(NodeId, Chosen)>, Problem> {
        let Some(first) = members.first() else {
            return Ok(Vec::new());
        };
        let launch = self.host_launch(nodes, first, &[]);
        let launch = launch.map_err(|text| problem(first, text))?;
        let own = members.iter().map(|node| own_inputs(node, members));
        let own: Vec<OwnInputs> = own.collect();
        let process = SharedProcess::new(
            name.to_owned(),
            host_spec(nodes, members, &own)?,
            launch,
            self.0.pool.clone(),
            self.0.printed.clone(),
        );
        let members = members.iter().zip(own).enumerate();
        let chosen = members.map(|(index, (node, own))| {
            let spec = self.native_spec(nodes, node, nodes.file(node).unwrap_or_default());
            let of = nodes.chosen(&node.id, process.node(index, spec), own);
            (node.id.clone(), of)
        });
        Ok(chosen.collect())
    }

    /// How a host process is started for a node.
    fn host_launch(
        &self,
        nodes: &OutsideNodes<'_>,
        node: &Node,
        flags: &[&str],
    ) -> Result<Launch, String> {
        let mut args = vec![SUBCOMMAND.into()];
        args.extend(flags.iter().map(Into::into));
        let program = self.0.options.program.clone();
        let mut launch = Launch::new(program, args, nodes.folder(node)?);
        for (name, value) in &node.env {
            launch.set(name, value);
        }
        Ok(launch)
    }
}

/// What the nodes of a process get without the daemon: timers, and each other's messages.
fn own_inputs(node: &Node, members: &[&Node]) -> OwnInputs {
    let own = |input: &InputSpec| match &input.source {
        Source::Timer { .. } => true,
        Source::Output { node, .. } => members.iter().any(|member| member.id == *node),
        Source::Logs { .. } => false,
    };
    let inputs = node.inputs.iter().filter(|(_, input)| own(input));
    inputs.map(|(name, _)| name.clone()).collect()
}

fn host_spec(
    nodes: &OutsideNodes<'_>,
    members: &[&Node],
    own: &[OwnInputs],
) -> Result<HostSpec, Problem> {
    let fed = members.iter().zip(own).flat_map(|(node, own)| {
        let fed = node.inputs.keys().filter(|input| !own.contains(*input));
        fed.map(|input| (node.id.clone(), input.clone()))
    });
    let mut files = Vec::new();
    for node in members {
        let file = nodes.file(node).unwrap_or_default();
        files.push(text_of(&file).map_err(|text| problem(node, text))?);
    }
    Ok(HostSpec {
        part: Descriptor {
            // As text, which every path can be: there it is only named.
            file: nodes.descriptor.file.display().to_string().into(),
            nodes: members.iter().map(|node| (*node).clone()).collect(),
            exit_when_nodes_finish: false,
            warnings: Problems::new(&nodes.descriptor.file),
        },
        files,
        fed: fed.collect(),
        window: AHEAD,
    })
}

/// The path as it is told to another process.
fn text_of(file: &Path) -> Result<String, String> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let text = file.to_str().map(ToOwned::to_owned);
    text.ok_or_else(|| {
        let file = shown(&file);
        format!("{file}: a plugin whose path is not UTF-8 runs in the daemon only; rename it")
    })
}
