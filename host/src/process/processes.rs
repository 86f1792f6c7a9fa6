//! The nodes of this process that run in others: where they connect, and who knows them.
//!
//! Invariant: nothing listens beyond loopback, and nothing at all before a node needs it. Absent: what is started, and
//! which nodes of a descriptor run so.

use super::child::Launch;
use super::dora::outside::{DoraNode, Port, Registry, Say};
use super::dora::server::{NodeServer, ServerOptions};
use super::dora::sniff::Versions;
use crate::descriptor::Node;
use crate::engine::Outside;
use crate::ids::{DataflowId, NodeId};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The port on which dynamic nodes look for their daemon.
pub const DYNAMIC_PORT: u16 = 53291;
/// The variable that names another one, to dynamic nodes of dora 1.x and here.
pub const DYNAMIC_PORT_VARIABLE: &str = "DORA_DAEMON_LOCAL_LISTEN_PORT";

/// What there is one of per process. Clones are the same. Any thread.
#[derive(Debug, Clone)]
pub struct Processes {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Arc<Registry>,
    options: ServerOptions,
    dynamic_port: u16,
    servers: Mutex<Vec<NodeServer>>,
}

impl Processes {
    /// Nodes of these versions; the clock's id is the process's own. `say` takes what concerns no node.
    pub fn new(versions: Versions, clock: [u8; 16], say: Say) -> Self {
        let port = std::env::var(DYNAMIC_PORT_VARIABLE).ok();
        let port = port.and_then(|port| port.parse().ok());
        Self {
            shared: Arc::new(Shared {
                registry: Arc::new(Registry::new(say)),
                options: ServerOptions { versions, clock },
                dynamic_port: port.unwrap_or(DYNAMIC_PORT),
                servers: Mutex::default(),
            }),
        }
    }

    /// Serves nodes on a listener from now on, instead of on a port that is found when the first node needs it.
    ///
    /// # Errors
    /// The listener cannot be used, or there is no thread to be had.
    pub fn serve(&self, listener: TcpListener) -> io::Result<SocketAddr> {
        self.shared.serve(&mut self.shared.servers(), listener)
    }

    /// A dora node that is run by `launch`, with its arguments and its own environment; without one somebody else starts
    /// it. `descriptor` is what [`dora_descriptor`](super::dora::outside::dora_descriptor) makes of the node's dataflow.
    pub fn dora_node(
        &self,
        node: &Node,
        launch: Option<Launch>,
        descriptor: Arc<serde_json::Value>,
    ) -> Arc<dyn Outside> {
        Arc::new(DoraNode::new(
            node,
            launch,
            descriptor,
            self.shared.registry.clone(),
            self.shared.clone(),
        ))
    }
}

impl Shared {
    fn servers(&self) -> MutexGuard<'_, Vec<NodeServer>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(
        &self,
        servers: &mut Vec<NodeServer>,
        listener: TcpListener,
    ) -> io::Result<SocketAddr> {
        let server = NodeServer::start(listener, self.registry.clone(), self.options)?;
        let address = server.address();
        servers.push(server);
        Ok(address)
    }
}

impl Port for Shared {
    fn address(&self, dynamic: bool) -> Result<SocketAddr, String> {
        let mut servers = self.servers();
        let mut known = servers.iter().map(NodeServer::address);
        let wanted = match dynamic {
            true => known.find(|address| address.port() == self.dynamic_port),
            false => known.next(),
        };
        if let Some(address) = wanted {
            return Ok(address);
        }
        let port = if dynamic { self.dynamic_port } else { 0 };
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        bound
            .and_then(|listener| self.serve(&mut servers, listener))
            .map_err(|error| match dynamic {
                true => format!(
                    "port {port} of 127.0.0.1, on which dynamic nodes look for their dataflow, cannot be used: {error}; \
                     end what has it, such as another daemon, or set {DYNAMIC_PORT_VARIABLE} here and for the node"
                ),
                false => format!("no port of 127.0.0.1 for the node to connect to: {error}"),
            })
    }

    fn dismiss(&self, dataflow: DataflowId, node: &NodeId) {
        for server in &*self.servers() {
            server.dismiss(dataflow, node);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
