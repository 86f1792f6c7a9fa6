//! The loopback port on which process nodes find their daemon.
//!
//! Invariant: it never listens beyond loopback. Absent: who serves them (`process`).

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Listens on a port of loopback, or on another one when that one is taken.
pub(super) fn open(port: u16) -> io::Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match bind(port) {
        Err(_) if port != 0 => bind(0),
        bound => bound,
    }
}
