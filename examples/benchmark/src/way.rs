//! Which way messages go: the placements of sender and reader, and the floor of each.
//!
//! Absent: how it is done.

use crate::load::{SIZES, Size};
use std::fmt;

/// Shorter messages lie in the frames of the wire: there is nothing to fill in place.
const IN_PLACE_FROM: usize = 40 << 10;
/// Shorter messages go from daemon to daemon over the connection, longer ones through shared memory.
const SHARED_FROM: usize = 400 << 10;

/// Where a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// As a plugin in the daemon.
    Daemon,
    /// As a plugin in a host process of its own.
    Host,
    /// As an executable that speaks the native wire.
    Executable,
    /// As a node of dora 1.1, in Python.
    Python,
}

/// How two plugins in the daemon share its threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One for both, under a name.
    Shared,
    /// The sender's, which calls the reader.
    Sender,
    /// One each.
    Own,
}

/// What a floor is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// A mutex and a condition variable between two threads, which are a futex below.
    Wake,
    /// A socket pair (on Windows a pipe) between two processes, each message written and read as a whole.
    Socket,
    /// The same over TCP on loopback.
    Tcp,
    /// zenoh's publisher and subscriber, two processes.
    Zenoh(Zenoh),
}

/// How zenoh sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zenoh {
    /// Over TCP, waiting for room.
    Tcp,
    /// Over TCP, dropping what finds no room.
    TcpDrop,
    /// Through its shared memory, which the publisher copies its data to.
    Copied,
    /// The same with data that are there from the beginning.
    InPlace,
}

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Without us.
    Floor(Floor),
    /// From plugin to plugin in the daemon.
    Threads(Threads),
    /// From process to process.
    Places {
        from: Place,
        to: Place,
        /// The data are filled in the host's memory; else they come from the node's own.
        in_place: bool,
    },
    /// From a plugin in one daemon to a plugin in another on this machine.
    Daemons {
        in_place: bool,
        /// With `backpressure`; else with the default, `drop_oldest`.
        waits: bool,
    },
}

impl Way {
    /// What to compare it with.
    pub fn floor(self, bytes: usize) -> Option<Floor> {
        Some(match self {
            Self::Floor(_) => return None,
            Self::Threads(_) => Floor::Wake,
            Self::Places { from, to, .. } if [from, to].contains(&Place::Python) => Floor::Tcp,
            Self::Places { .. } => Floor::Socket,
            Self::Daemons { waits: false, .. } => Floor::Zenoh(Zenoh::TcpDrop),
            Self::Daemons { .. } if bytes < SHARED_FROM => Floor::Zenoh(Zenoh::Tcp),
            Self::Daemons { in_place: true, .. } => Floor::Zenoh(Zenoh::InPlace),
            Self::Daemons {
                in_place: false, ..
            } => Floor::Zenoh(Zenoh::Copied),
        })
    }
}

/// Every row: by size, in each the floors first.
pub fn all() -> Vec<(Way, Size)> {
    let of_size = |size: Size| {
        let mut ways = floors(size.bytes);
        ways.extend(placements(size.bytes));
        ways.into_iter().map(move |way| (way, size))
    };
    SIZES.into_iter().flat_map(of_size).collect()
}

fn floors(bytes: usize) -> Vec<Way> {
    let mut floors = vec![
        Floor::Wake,
        Floor::Socket,
        Floor::Tcp,
        Floor::Zenoh(Zenoh::Tcp),
    ];
    if bytes == 8 {
        floors.push(Floor::Zenoh(Zenoh::TcpDrop));
    }
    if bytes >= SHARED_FROM {
        floors.extend([Zenoh::Copied, Zenoh::InPlace].map(Floor::Zenoh));
    }
    floors.into_iter().map(Way::Floor).collect()
}

fn placements(bytes: usize) -> Vec<Way> {
    use Place::{Daemon, Executable, Host, Python};
    let threads = [Threads::Shared, Threads::Sender, Threads::Own];
    let mut ways = threads.map(Way::Threads).to_vec();
    for (from, to) in [
        (Daemon, Host),
        (Host, Daemon),
        (Host, Host),
        (Daemon, Executable),
    ] {
        for in_place in [false, true] {
            if !in_place || bytes >= IN_PLACE_FROM {
                ways.push(Way::Places { from, to, in_place });
            }
        }
    }
    for (from, to) in [(Daemon, Python), (Python, Daemon), (Python, Python)] {
        let in_place = false;
        ways.push(Way::Places { from, to, in_place });
    }
    for in_place in [false, true] {
        if !in_place || bytes >= SHARED_FROM {
            let waits = true;
            ways.push(Way::Daemons { in_place, waits });
        }
    }
    // What is lost is a question of small messages.
    if bytes == 8 {
        let (in_place, waits) = (false, false);
        ways.push(Way::Daemons { in_place, waits });
    }
    ways
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wake => "futex wake",
            Self::Socket if cfg!(windows) => "pipe",
            Self::Socket => "Unix socket",
            Self::Tcp => "TCP",
            Self::Zenoh(Zenoh::Tcp) => "zenoh TCP",
            Self::Zenoh(Zenoh::TcpDrop) => "zenoh TCP, drop",
            Self::Zenoh(Zenoh::Copied) => "zenoh shared memory, by copy",
            Self::Zenoh(Zenoh::InPlace) => "zenoh shared memory, in place",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Daemon => "daemon",
            Self::Host => "host process",
            Self::Executable => "executable",
            Self::Python => "Python",
        })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Floor(floor) => write!(f, "floor: {floor}"),
            Self::Threads(Threads::Shared) => f.write_str("same thread"),
            Self::Threads(Threads::Sender) => f.write_str("thread: sender"),
            Self::Threads(Threads::Own) => f.write_str("own threads"),
            Self::Places { from, to, in_place } => {
                write!(f, "{from} to {to}{}", filled(*in_place))
            }
            Self::Daemons { in_place, waits } => {
                let policy = if *waits { "" } else { ", drop_oldest" };
                write!(f, "two daemons{}{policy}", filled(*in_place))
            }
        }
    }
}

fn filled(in_place: bool) -> &'static str {
    if in_place { ", in place" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placement_has_its_floor_among_the_rows() {
        let all = all();
        for (way, size) in &all {
            let floor = way.floor(size.bytes);
            let is_there = |floor| {
                let mut rows = all.iter();
                rows.any(|(other, of)| *other == Way::Floor(floor) && of.bytes == size.bytes)
            };
            assert!(
                floor.is_none_or(is_there),
                "{way}, {} B: {floor:?}",
                size.bytes
            );
        }
    }
}
