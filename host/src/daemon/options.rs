//! What a daemon is started with, where it listens, and why it cannot start.
//!
//! Invariant: nothing listens beyond loopback unless the coordinator is beyond it or the user says so. Absent: the
//! command line, and whether the user is allowed to.

use crate::control::Timing;
use crate::ids::MachineId;
use crate::link::{self, Address, MeetError, local_address_towards};
use crate::process::LaunchOptions;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Where process nodes find their daemon, unless it is taken.
pub const LOCAL_PORT: u16 = 53291;

/// What a daemon is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Under which name it registers.
    pub machine: MachineId,
    /// Where the coordinator is, or will be.
    pub coordinator: Address,
    /// Where other daemons reach it; `None` for [`listening`]'s choice.
    pub listen: Option<SocketAddr>,
    /// The loopback port for process nodes, usually [`LOCAL_PORT`]; 0 for any. When it is taken, another one is used.
    pub local_port: u16,
    /// Labels for placing nodes.
    pub labels: BTreeMap<String, String>,
    /// Whether to wait for a coordinator as long as it takes. Without it, [`super::Daemon::open`] fails when none
    /// answers within a few seconds.
    pub wait: bool,
    /// The time limits.
    pub timing: Timing,
    /// The daemon's own folder, absolute: where relative paths of nodes start when the descriptor's folder is not on
    /// this machine.
    pub folder: PathBuf,
    /// The folder of the log files, as the log hub uses it.
    pub out: PathBuf,
    /// How nodes outside the daemon are run.
    pub launch: LaunchOptions,
}

/// Why a daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The network.
    #[error(transparent)]
    Link(#[from] link::OpenError),
    /// No coordinator answers, and it is not to be waited for.
    #[error(transparent)]
    NoCoordinator(#[from] MeetError),
    /// No port of loopback can be listened on.
    #[error("cannot listen for process nodes on 127.0.0.1: {0}")]
    Local(io::Error),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Where a daemon listens for other daemons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// The address; port 0 for any.
    pub address: SocketAddr,
    /// Why other daemons cannot reach it there, so that its data go through the coordinator.
    pub relayed: Option<Relayed>,
}

/// Why a daemon's data go through the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Relayed {
    /// It was told to listen on loopback, and the coordinator is on another machine.
    #[error(
        "it listens on loopback only, where daemons of other machines cannot reach it; see `--listen`"
    )]
    Loopback,
    /// Its address towards the coordinator is not known.
    #[error(
        "the address of this machine that leads to {coordinator} is not known ({reason}); see `--listen`"
    )]
    NoAddress {
        /// The coordinator.
        coordinator: Address,
        /// The system's words.
        reason: String,
    },
}

/// Where a daemon listens: as it is told, else on loopback when the coordinator is there, else on the address of this
/// machine that leads to the coordinator. Asks the system's resolver, which may take seconds.
pub fn listening(coordinator: &Address, listen: Option<SocketAddr>) -> Listening {
    let found = coordinator.resolve();
    let local = match &found {
        Ok(found) => found.iter().find(|address| !is_beyond_loopback(**address)),
        Err(_) => None,
    };
    let reached = |address: SocketAddr| Listening {
        address,
        relayed: None,
    };
    match (listen, local) {
        (Some(listen), None) if !is_beyond_loopback(listen) => Listening {
            address: listen,
            relayed: Some(Relayed::Loopback),
        },
        (Some(listen), _) => reached(listen),
        (None, Some(there)) => reached(SocketAddr::new(loopback(there.is_ipv6()), 0)),
        (None, None) => match local_address_towards(coordinator) {
            Ok(here) => reached(SocketAddr::new(here, 0)),
            Err(error) => Listening {
                address: SocketAddr::new(loopback(false), 0),
                relayed: Some(Relayed::NoAddress {
                    coordinator: coordinator.clone(),
                    reason: error.to_string(),
                }),
            },
        },
    }
}

/// Whether others than this machine can reach what listens there.
pub fn is_beyond_loopback(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn loopback(v6: bool) -> IpAddr {
    match v6 {
        true => Ipv6Addr::LOCALHOST.into(),
        false => Ipv4Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_listens_where_its_coordinator_is() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let here = |host: &str, listen: Option<&str>| {
            listening(&Address::new(host, 53290), listen.map(at))
        };
        let table = [
            ("127.0.0.1", None, "127.0.0.1:0", false),
            ("::1", None, "[::1]:0", false),
            ("127.0.0.1", Some("0.0.0.0:7"), "0.0.0.0:7", false),
            ("192.0.2.1", Some("127.0.0.1:7"), "127.0.0.1:7", true),
            ("192.0.2.1", Some("192.0.2.2:0"), "192.0.2.2:0", false),
        ];
        for (host, listen, address, relayed) in table {
            let found = here(host, listen);
            assert_eq!(found.address, at(address), "{host} {listen:?}");
            assert_eq!(found.relayed.is_some(), relayed, "{host} {listen:?}");
        }
    }

    #[test]
    fn loopback_is_known_in_all_its_forms() {
        let table = [
            ("127.0.0.1:1", false),
            ("127.9.9.9:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("10.0.0.1:1", true),
        ];
        for (address, beyond) in table {
            assert_eq!(
                is_beyond_loopback(address.parse().unwrap()),
                beyond,
                "{address}"
            );
        }
    }
}
