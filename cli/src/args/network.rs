//! Where the coordinator is, and the commands about it. Absent: what the arguments lead to.

use super::parse;
use clap::Args as ClapArgs;
use host::ids::MachineId;
use host::link::Address;
use std::path::PathBuf;

/// Where the coordinator is.
#[derive(Debug, Clone, ClapArgs)]
pub struct WhereArgs {
    /// The host of the coordinator, by name or address.
    #[arg(
        long,
        help_heading = "Coordinator",
        value_name = "HOST",
        default_value = parse::COORDINATOR_HOST,
        env = "DORA_COORDINATOR_ADDR",
        value_parser = parse::host
    )]
    pub coordinator_addr: String,
    /// Its port.
    #[arg(
        long,
        help_heading = "Coordinator",
        value_name = "PORT",
        default_value_t = parse::COORDINATOR_PORT,
        env = "DORA_COORDINATOR_PORT",
        value_parser = parse::coordinator_port
    )]
    pub coordinator_port: u16,
}

impl WhereArgs {
    /// The address.
    pub fn address(&self) -> Address {
        Address::new(&self.coordinator_addr, self.coordinator_port)
    }
}

/// Start a coordinator and a daemon on this machine, in the background.
///
/// What runs already is left as it is. Both outlive the terminal; `dora down` ends them. Their log lines go to files.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora up
  dora up --machine-id A
  dora up --coordinator-port 53300       a second one, apart from the first")]
pub struct UpArgs {
    /// The name of this machine in descriptors [default: the host's name].
    #[arg(long, value_name = "ID")]
    pub machine_id: Option<MachineId>,
    /// Where log files and what is to be kept go [default: the user's data folder].
    #[arg(long, value_name = "DIR", env = "DORA_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}

/// Stop all dataflows, and end all daemons and the coordinator.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora down")]
pub struct DownArgs {
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}

/// Show the coordinator and its daemons.
///
/// The exit status is 1 if there is no coordinator.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora status
  dora status --json | jq '.daemons[].machine'")]
pub struct StatusArgs {
    /// Print a JSON object.
    #[arg(long)]
    pub json: bool,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}

/// Print a script that completes this command's arguments in a shell.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora completion bash > ~/.local/share/bash-completion/completions/dora
  dora completion zsh > \"${fpath[1]}/_dora\"
  dora completion fish > ~/.config/fish/completions/dora.fish
  dora completion powershell >> $PROFILE")]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
