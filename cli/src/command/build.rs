use crate::args::BuildArgs;
pub fn run(_: &BuildArgs) -> eyre::Result<std::process::ExitCode> {
    Ok(std::process::ExitCode::SUCCESS)
}
