//! `dora graph`: draws a dataflow.

use super::print_warnings;
use crate::args::GraphArgs;
use eyre::{Result, WrapErr};
use host::descriptor::Descriptor;
use host::descriptor::graph::Graph;
use std::io::Write;
use std::process::ExitCode;

/// Runs the command.
pub fn run(args: &GraphArgs) -> Result<ExitCode> {
    let descriptor = Descriptor::read(&args.descriptor)?;
    print_warnings(&descriptor.warnings);
    let graph = Graph::new(&descriptor);
    let text = match (args.html, args.dot) {
        (true, _) => graph.to_html(),
        (_, true) => graph.to_dot(),
        _ => graph.to_mermaid(),
    };
    match &args.output {
        Some(file) => std::fs::write(file, text)
            .wrap_err_with(|| format!("cannot write {}", file.display()))?,
        None => std::io::stdout()
            .write_all(text.as_bytes())
            .wrap_err("cannot write to standard output")?,
    }
    Ok(ExitCode::SUCCESS)
}
