//! `dora validate`: everything that can be known before a start.

use super::print_warnings;
use crate::args::ValidateArgs;
use crate::terminal;
use eyre::Result;
use host::descriptor::resolve::Places;
use host::descriptor::{Descriptor, ProcessPlace};
use host::launch;
use host::plugin::describe::Describer;
use host::process::Runs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Runs the command. Plugins are loaded in a process of their own, so that none can harm this one.
pub fn run(args: &ValidateArgs) -> Result<ExitCode> {
    let descriptor = Descriptor::read(&args.descriptor)?;
    let places = Places::of_this_process(&[descriptor.folder()]);
    let describer = Describer::new()?;
    let describe = |path: &Path, _: &Runs| {
        let described = describer.describe(path);
        described.map_err(|error| error.to_string())
    };
    let checked = launch::check(&descriptor, &places, &ProcessPlace::Daemon, describe)?;
    print_warnings(&checked.problems);
    let nodes = descriptor.nodes.len();
    writeln!(
        terminal::stdout(),
        "{}: valid ({nodes} node{})",
        args.descriptor.display(),
        if nodes == 1 { "" } else { "s" }
    )?;
    Ok(ExitCode::SUCCESS)
}
