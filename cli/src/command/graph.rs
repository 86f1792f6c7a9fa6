//! `dora graph`: draws a dataflow.

use clap::Args;
use eyre::{Result, WrapErr};
use host::descriptor::graph::Graph;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `dora graph` takes.
#[derive(Args, Debug)]
pub struct GraphArgs {
    /// The descriptor.
    file: PathBuf,
    /// As a Mermaid diagram, for Markdown pages (the default).
    #[arg(long, group = "form")]
    mermaid: bool,
    /// As one HTML file that works without a network.
    #[arg(long, group = "form")]
    html: bool,
    /// In Graphviz's language.
    #[arg(long, group = "form")]
    dot: bool,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &GraphArgs) -> Result<ExitCode> {
    let descriptor = super::read(&args.file)?;
    super::print_warnings(&descriptor.warnings);
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
