//! The loopback port on which process nodes find their daemon.
//!
//! Invariant: it never listens beyond loopback. As long as no process nodes are served, whoever connects is sent away.

use crate::logs::{Level, LogHub, Record};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the thread that accepts may take to notice its end.
const WAKE: Duration = Duration::from_millis(500);

/// A thread that accepts connections; dropping this ends it.
#[derive(Debug)]
pub(super) struct LocalPort {
    pub address: SocketAddr,
    ended: Arc<AtomicBool>,
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
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let (stop, hub) = (ended.clone(), hub.clone());
        std::thread::Builder::new()
            .name("dora-local".into())
            .spawn(move || send_away(&listener, &stop, &hub))?;
        Ok(Self { address, ended })
    }
}

fn send_away(listener: &TcpListener, stop: &AtomicBool, hub: &LogHub) {
    let mut said = false;
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            Ok((connection, _)) => drop(connection),
            // Out of descriptors: not at full speed until there are some again.
            Err(_) => std::thread::sleep(WAKE),
        }
        if !std::mem::replace(&mut said, true) {
            let text =
                "a process has connected to the port for process nodes, which are not served yet";
            hub.submit(Record::new(Level::Debug, "dora", text));
        }
    }
}

impl Drop for LocalPort {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread. Where this fails, it ends with the process.
        let _ = TcpStream::connect_timeout(&self.address, WAKE);
    }
}
