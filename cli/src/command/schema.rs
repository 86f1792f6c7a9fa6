//! `dora schema`: the descriptor's JSON schema, for editors.

use eyre::{Result, WrapErr};
use std::io::Write;
use std::process::ExitCode;

/// Runs the command.
pub fn run() -> Result<ExitCode> {
    let text = serde_json::to_string_pretty(&host::descriptor::json_schema())?;
    writeln!(std::io::stdout(), "{text}").wrap_err("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
