//! The nodes of this process that run in others: where they connect, and who knows them.
//!
//! Invariant: nothing listens beyond loopback, and nothing at all before a node needs it. Absent: what is started, and
//! which nodes of a descriptor run so.

use super::child::Launch;
use super::dora::outside::{
    Direct, DoraNode, Port, Registry, START, Say, direct_plan, dora_descriptor,
};
use super::dora::server::{NodeServer, ServerOptions};
use super::dora::sniff::Versions;
use crate::descriptor::{Descriptor, Node};
use crate::engine::Outside;
use crate::ids::{DataflowId, NodeId, PortName};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The port on which dynamic nodes look for their daemon.
pub const DYNAMIC_PORT: u16 = 53291;
/// The variable that names another one, to dynamic nodes of dora 1.x and here.
pub const DYNAMIC_PORT_VARIABLE: &str = "DORA_DAEMON_LOCAL_LISTEN_PORT";

/// What there is one of per process. Clones are the same. Any thread.
#[derive(Debug, Clone)]
pub struct Processes {
    shared: Arc<Shared>,
    start: Duration,
}

struct Shared {
    registry: Arc<Registry>,
    options: ServerOptions,
    dynamic_port: u16,
    servers: Mutex<Servers>,
}

#[derive(Default)]
struct Servers {
    /// For all nodes.
    given: Option<NodeServer>,
    /// For those that are told its address.
    free: Option<NodeServer>,
    /// For dynamic ones.
    dynamic: Option<NodeServer>,
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
            start: START,
        }
    }

    /// The same with another time for a process to become a node; the usual one is [`START`].
    pub fn starting_within(self, start: Duration) -> Self {
        Self { start, ..self }
    }

    /// Serves nodes on a listener from now on, dynamic ones too, instead of on ports that are found when the first node
    /// needs one.
    ///
    /// # Errors
    /// The listener cannot be used, or there is no thread to be had.
    pub fn serve(&self, listener: TcpListener) -> io::Result<SocketAddr> {
        let server = self.shared.start(listener)?;
        let address = server.address();
        self.shared.servers().given = Some(server);
        Ok(address)
    }

    /// The dora nodes of a dataflow, or of this machine's share of it, each with what runs it, with its arguments and its
    /// own environment; without one somebody else starts it. Those of 1.x hand each other messages past this process where
    /// nobody here needs them: what their sessions drop is not counted. `read_elsewhere` says which outputs are read on
    /// other machines.
    pub fn dora_nodes(
        &self,
        descriptor: &Descriptor,
        mut launches: BTreeMap<NodeId, Option<Launch>>,
        read_elsewhere: &dyn Fn(&NodeId, &PortName) -> bool,
    ) -> BTreeMap<NodeId, Arc<dyn Outside>> {
        let ids = launches.keys().cloned().collect();
        let mut direct = direct_plan(descriptor, &ids, read_elsewhere);
        let for_nodes = Arc::new(dora_descriptor(descriptor));
        let nodes = descriptor.nodes.iter().filter_map(|node| {
            let launch = launches.remove(&node.id)?;
            let direct = direct.remove(&node.id).unwrap_or_default();
            let made = self.made(node, launch, for_nodes.clone(), direct);
            Some((node.id.clone(), made))
        });
        nodes.collect()
    }

    /// The port of loopback where a node's own session is found, if it may send this output past this process.
    pub fn session(&self, dataflow: DataflowId, node: &NodeId, output: &PortName) -> Option<u16> {
        self.shared.registry.session(dataflow, node, output)
    }

    fn made(
        &self,
        node: &Node,
        launch: Option<Launch>,
        descriptor: Arc<serde_json::Value>,
        direct: Direct,
    ) -> Arc<dyn Outside> {
        let made = DoraNode::new(
            node,
            launch,
            descriptor,
            direct,
            self.shared.registry.clone(),
            self.shared.clone(),
        );
        Arc::new(made.starting_within(self.start))
    }
}

impl Shared {
    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, listener: TcpListener) -> io::Result<NodeServer> {
        NodeServer::start(listener, self.registry.clone(), self.options)
    }
}

impl Port for Shared {
    fn address(&self, dynamic: bool) -> Result<SocketAddr, String> {
        let mut servers = self.servers();
        if let Some(server) = &servers.given {
            return Ok(server.address());
        }
        let (place, port) = match dynamic {
            true => (&mut servers.dynamic, self.dynamic_port),
            false => (&mut servers.free, 0),
        };
        if let Some(server) = place {
            return Ok(server.address());
        }
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let server = bound
            .and_then(|listener| self.start(listener))
            .map_err(|error| match dynamic {
                true => format!(
                    "port {port} of 127.0.0.1, on which dynamic nodes look for their dataflow, cannot be used: {error}; \
                     end what has it, such as another daemon, or set {DYNAMIC_PORT_VARIABLE} here and for the node"
                ),
                false => format!("no port of 127.0.0.1 for the node to connect to: {error}"),
            })?;
        Ok(place.insert(server).address())
    }

    fn dismiss(&self, dataflow: DataflowId, node: &NodeId) {
        let servers = self.servers();
        let all = [&servers.given, &servers.free, &servers.dynamic];
        for server in all.into_iter().flatten() {
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
