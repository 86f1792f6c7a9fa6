//! `dora validate`: everything that can be known before a start.

use clap::Args;
use eyre::Result;
use host::descriptor::resolve::Places;
use host::launch;
use host::plugin::describe;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `dora validate` takes.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// The descriptor.
    file: PathBuf,
}

/// Runs the command. Plugins are loaded in a process of their own, so that none can harm this one.
pub fn run(args: &ValidateArgs) -> Result<ExitCode> {
    let descriptor = super::read(&args.file)?;
    let places = Places::of_this_process(&[descriptor.folder()]);
    let load = |path: &std::path::Path| describe::describe(path).map_err(|error| error.to_string());
    let checked = launch::check(&descriptor, &places, load, Clone::clone).map_err(super::refused)?;
    super::print_warnings(&checked.problems);
    let nodes = descriptor.nodes.len();
    println!("{}: valid ({nodes} node{})", args.file.display(), if nodes == 1 { "" } else { "s" });
    Ok(ExitCode::SUCCESS)
}
