//! The `dora` command.
mod command;
use clap::Parser;
#[derive(Parser)]
enum Cli {
    Run(command::run::RunArgs),
    Graph(command::graph::GraphArgs),
    Schema,
}
fn main() -> std::process::ExitCode {
    let r = match Cli::parse() {
        Cli::Run(a) => command::run::run(&a),
        Cli::Graph(a) => command::graph::run(&a),
        Cli::Schema => command::schema::run(),
    };
    match r {
        Ok(c) => c,
        Err(e) => {
            eprintln!("error: {e:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
