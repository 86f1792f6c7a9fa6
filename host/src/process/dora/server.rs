//! The listener: connections of nodes, carried between their sockets, their sessions and the engine's ends.
//!
//! Invariant: strangers cost little: a connection that has not registered may hold one small frame, there are at most
//! [`MAX_UNREGISTERED`] of them, the oldest goes first, and a first frame that has begun must be whole in time. A node's
//! own connections wait as long as they like, as a stopped process does; the end of the node or the server wakes them.
//! Absent: decisions (`session`), encodings (`v0`, `v1`), processes.

mod connection;
mod node;

use super::host::NodeHost;
use super::segment::{Segments, SystemSegments};
use super::sniff::Versions;
use crate::ids::{DataflowId, NodeId};
use node::Node;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Most connections that have not registered. A 1.x node opens one early, and registers it after it has subscribed.
pub const MAX_UNREGISTERED: usize = 256;
/// How long after a failed accept it is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// What is served, and as whom.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerOptions {
    /// Which versions.
    pub versions: Versions,
    /// The id of this process's clock.
    pub clock: [u8; 16],
}

/// A thread that serves nodes; dropping this ends it and all connections.
#[derive(Debug)]
pub struct NodeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What all connections share.
struct Shared {
    host: Arc<dyn NodeHost>,
    options: ServerOptions,
    segments: Box<dyn Segments>,
    nodes: Mutex<HashMap<(DataflowId, NodeId), Arc<Node>>>,
    unregistered: Mutex<BTreeMap<u64, Arc<Notify>>>,
    next: AtomicU64,
    stop: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl NodeServer {
    /// Serves nodes on a listener, from a thread of its own, on which `host` and the ends it hands out are called.
    ///
    /// # Errors
    /// The listener cannot be used, or there is no thread to be had.
    pub fn start(
        listener: std::net::TcpListener,
        host: Arc<dyn NodeHost>,
        options: ServerOptions,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            host,
            options,
            segments: Box::new(SystemSegments),
            nodes: Mutex::default(),
            unregistered: Mutex::default(),
            next: AtomicU64::new(0),
            stop: Notify::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let serving = shared.clone();
        let thread = std::thread::Builder::new()
            .name("dora-nodes".into())
            .spawn(move || {
                runtime.block_on(serve(listener, serving.clone()));
                // Ends every connection, which ends the nodes' threads.
                drop(runtime);
                lock(&serving.nodes).clear();
            })?;
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Where nodes connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends a node's connections: its process has ended, and another one may register.
    pub fn dismiss(&self, dataflow: DataflowId, node: &NodeId) {
        // Not under the table's lock, which a node takes under its own.
        let node = lock(&self.shared.nodes).remove(&(dataflow, node.clone()));
        if let Some(node) = node {
            node.dismiss();
        }
    }
}

impl Drop for NodeServer {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.notified() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Without it only slower.
                let _ = stream.set_nodelay(true);
                let (id, evicted) = shared.admit();
                tokio::spawn(connection::run(stream, shared.clone(), id, evicted));
            }
            // Out of descriptors: not at full speed until there are some again.
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

impl Shared {
    /// A number for a new connection, and what tells it to go.
    fn admit(&self) -> (u64, Arc<Notify>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let evicted = Arc::new(Notify::new());
        let mut unregistered = lock(&self.unregistered);
        if unregistered.len() >= MAX_UNREGISTERED
            && let Some((_, oldest)) = unregistered.pop_first()
        {
            oldest.notify_one();
        }
        unregistered.insert(id, evicted.clone());
        (id, evicted)
    }

    fn registered(&self, id: u64) {
        lock(&self.unregistered).remove(&id);
    }
}

/// Nothing that holds these locks leaves half a change behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
