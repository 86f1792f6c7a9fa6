//! `dora coordinator` and `dora daemon`. Absent: what the arguments lead to.

use super::log::LogArgs;
use super::network::WhereArgs;
use super::parse;
use super::process::ProcessArgs;
use clap::Args as ClapArgs;
use host::ids::MachineId;
use host::logs::{Format, Limit};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Join the daemons of several machines.
///
/// Prints the port that daemons and commands connect to, then lines about daemons and dataflows on standard error.
/// Dataflows go on when it ends, unless `--stop-dataflows` is given; a coordinator that is started again knows them.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora coordinator
  dora coordinator --port 0                                  any free port, which is printed
  dora coordinator --interface 192.168.1.7 --insecure        for other machines")]
pub struct CoordinatorArgs {
    /// The address to listen on. One that other machines reach needs `--insecure`.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub interface: IpAddr,
    /// The port to listen on, 0 for any free one.
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = parse::COORDINATOR_PORT,
        env = "DORA_COORDINATOR_PORT",
        value_parser = parse::port
    )]
    pub port: u16,
    /// Let other machines connect: whoever reaches the port may run any program, and nothing is encrypted.
    #[arg(long)]
    pub insecure: bool,
    /// Stop all dataflows when this ends.
    #[arg(long)]
    pub stop_dataflows: bool,
    /// Where is kept which dataflows ran and how they ended [default: the user's data folder].
    #[arg(long, value_name = "DIR", env = "DORA_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Show no lines about daemons and dataflows.
    #[arg(long)]
    pub quiet: bool,
    /// Least severe lines to show: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: Limit,
    /// How lines look: pretty, compact or json.
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    pub log_format: Format,
}

/// Run this machine's share of dataflows.
///
/// Waits for a coordinator that is not there yet, and goes on with what runs when one is gone. Ctrl-C stops the nodes in
/// order; a second one ends them at once.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora daemon --machine-id A
  dora daemon --machine-id B --coordinator-addr 192.168.1.7 --insecure
  dora daemon --machine-id C --labels gpu=true,arch=arm64")]
pub struct DaemonArgs {
    /// The name of this machine in descriptors, unique among the daemons of a coordinator [default: the host's name].
    #[arg(long, value_name = "ID")]
    pub machine_id: Option<MachineId>,
    /// Labels by which nodes can choose this machine.
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = parse::pair, value_delimiter = ',')]
    pub labels: Vec<(String, String)>,
    /// Where other daemons reach this one [default: loopback, or with a coordinator elsewhere the address that routes
    /// to it, any free port]. One beyond loopback needs `--insecure`.
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = parse::listen)]
    pub listen: Option<SocketAddr>,
    /// The port on loopback for nodes that are processes of their own; any free one if it is taken.
    #[arg(long, value_name = "PORT", default_value_t = host::daemon::LOCAL_PORT)]
    pub local_listen_port: u16,
    /// Let other machines connect: whoever reaches the port may send data to nodes, and nothing is encrypted.
    #[arg(long)]
    pub insecure: bool,
    /// Wait for a coordinator that is not there yet (the default).
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    /// Fail when there is no coordinator.
    #[arg(long, overrides_with = "wait")]
    pub no_wait: bool,
    /// How long nodes have to stop after Ctrl-C before they are given up.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub grace: Duration,
    /// Show no log lines; they are in the files.
    #[arg(long)]
    pub quiet: bool,
    /// How nodes in processes of their own are run.
    #[command(flatten)]
    pub processes: ProcessArgs,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
    /// Where lines go and which are wanted.
    #[command(flatten)]
    pub logs: LogArgs,
}
