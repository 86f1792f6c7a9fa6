//! The loopback port on which process nodes find their daemon.
//!
//! Invariant: it never listens beyond loopback. Absent: what nodes say there (`process`).

use crate::logs::{Level, LogHub, Record};
use crate::process::dora::sniff::Versions;
use crate::process::processes::Processes;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

/// The nodes of this daemon in processes of their own, and where they connect. Dropping this ends that.
#[derive(Debug)]
pub(super) struct LocalPort {
    pub address: SocketAddr,
    #[allow(dead_code)] // Held for its end only.
    pub processes: Processes,
}

impl LocalPort {
    /// Listens on a port of loopback, or on another one when that one is taken.
    pub fn open(port: u16, hub: &LogHub) -> io::Result<Self> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = match bind(port) {
            Ok(listener) => listener,
            Err(_) if port != 0 => bind(0)?,
            Err(error) => return Err(error),
        };
        let hub = hub.clone();
        let say = move |level, text: &str| {
            hub.submit(Record::new(Level::from_number(level), "dora", text));
        };
        let processes = Processes::new(Versions::All, false, Arc::new(say));
        let address = processes.serve(listener)?;
        Ok(Self { address, processes })
    }
}
