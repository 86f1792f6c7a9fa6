//! What more nodes and more readers cost: latency, throughput and memory, as tables, as plots, and as how fast they grow.
//!
//! Invariant: each figure is of a `dora` of its own, so that nothing of a larger dataflow is left in a smaller one's. Absent:
//! other placements than plugins on threads of their own in one daemon.

mod chart;
mod growth;
mod nodes;
mod readers;
mod runs;

use crate::args::Given;
use crate::built::Built;
use crate::programs::{Dora, Whose};
use chart::{Chart, svg};
use clap::Parser;
use eyre::WrapErr;
use runs::Runs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const NODES: [usize; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
const READERS: [usize; 7] = [1, 2, 5, 10, 20, 50, 100];
/// For how long one figure is measured.
const TIME: Duration = Duration::from_millis(1_000);

/// What more nodes and more readers cost: Markdown tables, and a plot of each.
#[derive(Debug, Parser)]
#[command(name = "benchmark scale")]
pub struct Args {
    /// Few nodes and little time: whether it works, not what it costs.
    #[arg(long)]
    quick: bool,
    /// Only `nodes`, or only `readers`.
    #[arg(value_name = "WHAT", value_parser = ["nodes", "readers"])]
    what: Option<String>,
    /// The folder for the plots.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    #[command(flatten)]
    given: Given,
}

/// Measures, prints and draws.
///
/// # Errors
/// Something cannot be built, a dataflow fails, or a plot cannot be written.
pub fn run(args: &Args) -> eyre::Result<ExitCode> {
    let built = Built::new(&args.given, &["stopwatch"], false)?;
    let runs = Runs {
        dora: Dora::new(built.dora, Whose::Ours),
        plugin: built.plugin,
        folder: host_testing::fresh_dir(),
        time: if args.quick { TIME / 5 } else { TIME },
    };
    let wanted = |what| args.what.as_deref().is_none_or(|only| only == what);
    std::fs::create_dir_all(&args.out).wrap_err("the folder for the plots")?;
    if wanted("nodes") {
        let counts = if args.quick { &NODES[..4] } else { &NODES[..] };
        let all = counts.iter().map(|count| nodes::measure(&runs, *count));
        let all: Vec<_> = all.collect::<eyre::Result<_>>()?;
        nodes::print(&all);
        draw(&args.out, nodes::charts(&all))?;
    }
    if wanted("readers") {
        let counts = if args.quick {
            &READERS[..3]
        } else {
            &READERS[..]
        };
        let all = counts.iter().map(|count| readers::measure(&runs, *count));
        let all: Vec<_> = all.collect::<eyre::Result<_>>()?;
        println!();
        readers::print(&all);
        draw(&args.out, readers::charts(&all))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn draw<'a>(
    folder: &Path,
    charts: impl IntoIterator<Item = (&'a str, Chart<'a>)>,
) -> eyre::Result<()> {
    for (name, chart) in charts {
        let file = folder.join(name).with_extension("svg");
        std::fs::write(&file, svg(&chart)).wrap_err_with(|| file.display().to_string())?;
    }
    Ok(())
}

/// A line of a plot: what there is of a figure, over the counts.
fn points<T>(all: &[T], figure: impl Fn(&T) -> Option<(f64, f64)>) -> Vec<(f64, f64)> {
    all.iter().filter_map(figure).collect()
}

/// A cell of a table.
fn cell(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), crate::figures::short)
}
