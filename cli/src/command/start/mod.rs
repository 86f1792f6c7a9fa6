//! `dora start`: a dataflow on the machines that its nodes name.

mod attach;

use super::{build, client};
use crate::args::StartArgs;
use crate::terminal::say;
use eyre::{Result, WrapErr, bail, eyre};
use host::client::StartRequest;
use host::control::{Started, check_dataflow_name};
use host::descriptor::Descriptor;
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;

/// Runs the command.
pub fn run(args: &StartArgs) -> Result<ExitCode> {
    // Its warnings come back with the start: every machine tells them.
    let mut descriptor = Descriptor::read(&args.descriptor)?;
    if let Some(name) = &args.name {
        check_dataflow_name(name).map_err(|error| eyre!("{error}"))?;
    }
    if args.build {
        build::build(&descriptor, NonZeroUsize::MIN, false)?;
    }
    let folder = folder(&descriptor)?;
    // It goes to other machines as text, which every path can be; there it is only named.
    descriptor.file = descriptor.file.display().to_string().into();
    let request = StartRequest {
        folder,
        descriptor,
        name: args.name.clone(),
        env: args.env.iter().cloned().collect(),
    };
    match is_attached(args) {
        true => attach::run(args, request),
        false => detached(args, request),
    }
}

/// As asked for; else whether somebody sits at the terminal.
fn is_attached(args: &StartArgs) -> bool {
    if args.attach || args.detach {
        return args.attach;
    }
    let attach = std::io::stdin().is_terminal();
    say!(
        "{}",
        match attach {
            true => "attached to the dataflow until it ends (`--detach` leaves it when it runs)",
            false =>
                "no terminal: leaving the dataflow when it runs (`--attach` stays until it ends)",
        }
    );
    attach
}

/// The folder of the descriptor as text: it goes to machines that write paths in another way.
fn folder(descriptor: &Descriptor) -> Result<String> {
    let folder = descriptor.folder();
    let absolute = std::path::absolute(folder).wrap_err_with(|| {
        format!(
            "the folder of {} is not to be had",
            descriptor.file.display()
        )
    })?;
    match without_dots(&absolute) {
        Some(text) => Ok(text),
        None => bail!(
            "the folder {} cannot be told to other machines: its name is no Unicode text; rename it",
            absolute.display()
        ),
    }
}

/// `/a/.` and `/a/b/../` as `/a`: the text is shown in messages. Links in between are the user's to know.
fn without_dots(path: &Path) -> Option<String> {
    let mut plain = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            // With a link before it, `..` may lead elsewhere than to the parent's name: it stays.
            other => plain.push(other),
        }
    }
    plain.into_os_string().into_string().ok()
}

fn detached(args: &StartArgs, request: StartRequest) -> Result<ExitCode> {
    client::with(&args.coordinator, async |client| {
        let started = client.start(request, client::tell_progress()).await??;
        tell(&started);
        let mut out = std::io::stdout();
        writeln!(out, "{}", started.dataflow)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Says on standard error what runs where.
pub fn tell(started: &Started) {
    // Every machine warns of what it sees, and most of that all see.
    let warnings = &started.warnings;
    let lines: BTreeSet<String> = warnings.iter().map(|it| warnings.line(it)).collect();
    for line in lines {
        say!("{line}");
    }
    say!("{}", words(started));
}

fn words(started: &Started) -> String {
    let name = match &started.name {
        Some(name) => format!("{name} ({})", started.dataflow),
        None => started.dataflow.to_string(),
    };
    let mut text = format!("dataflow {name} runs");
    for (index, (machine, nodes)) in started.machines.iter().enumerate() {
        let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
        let joint = if index == 0 { ": " } else { "; " };
        text.push_str(&format!("{joint}{} on {machine}", nodes.join(", ")));
    }
    crate::terminal::safe(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_start_says_what_runs_where() {
        let nodes = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let mut started = Started {
            dataflow: "019a0000-0000-7000-8000-000000000000".parse().unwrap(),
            name: Some("camera".into()),
            machines: BTreeMap::from([
                ("A".parse().unwrap(), nodes(&["random", "status"])),
                ("B".parse().unwrap(), nodes(&["sink"])),
            ]),
            warnings: host::descriptor::Problems::default(),
        };
        assert_eq!(
            words(&started),
            "dataflow camera (019a0000-0000-7000-8000-000000000000) runs: random, status on A; sink on B"
        );
        started.name = None;
        started.machines.clear();
        assert_eq!(
            words(&started),
            "dataflow 019a0000-0000-7000-8000-000000000000 runs"
        );
    }

    #[cfg(unix)]
    #[test]
    fn folders_are_told_without_dots() {
        assert_eq!(without_dots(Path::new("/a/./b/.")).unwrap(), "/a/b");
        assert_eq!(without_dots(Path::new("/a/../b")).unwrap(), "/a/../b");
    }
}
