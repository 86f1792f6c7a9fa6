//! The nodes that may connect: by dataflow and id, those that somebody else starts also by their id alone.
//!
//! Invariant: a node is here from the start of an instance to the end of its seat; of two instances the later one.
//! Absent: sockets.

use super::super::host::{NodeEnd, NodeHost, Wake};
use super::super::launch::Launch;
use super::super::sniff::Hello;
use super::instance::Instance;
use crate::ids::{DataflowId, NodeId, PortName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Says something about the runtime itself: 1 error to 5 trace, and the text.
pub type Say = Arc<dyn Fn(u32, &str) + Send + Sync>;

/// All nodes that are expected. Any thread.
pub struct Registry {
    expected: Mutex<HashMap<(DataflowId, NodeId), Expected>>,
    say: Say,
}

#[derive(Debug)]
struct Expected {
    instance: Arc<Instance>,
    launch: Launch,
    /// Where its own session is found.
    session: Option<u16>,
}

impl Registry {
    /// Nobody is expected yet.
    pub fn new(say: Say) -> Self {
        Self {
            expected: Mutex::default(),
            say,
        }
    }

    /// From now on this instance may connect. Its own session listens on the port `session` of loopback.
    pub fn expect(&self, instance: Arc<Instance>, launch: Launch, session: Option<u16>) {
        let key = (launch.dataflow, launch.node.clone());
        let expected = Expected {
            instance,
            launch,
            session,
        };
        self.expected().insert(key, expected);
    }

    /// The port of loopback where a node's own session is found, if it may send this output over it.
    pub fn session(&self, dataflow: DataflowId, node: &NodeId, output: &PortName) -> Option<u16> {
        let expected = self.expected();
        let of_node = expected.get(&(dataflow, node.clone()))?;
        let direct = of_node.launch.direct.contains_key(output);
        of_node.session.filter(|_| direct)
    }

    /// It may not any more.
    pub fn forget(&self, instance: &Arc<Instance>) {
        let key = (instance.end.dataflow(), instance.end.node().clone());
        let mut expected = self.expected();
        if expected
            .get(&key)
            .is_some_and(|it| Arc::ptr_eq(&it.instance, instance))
        {
            expected.remove(&key);
        }
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<(DataflowId, NodeId), Expected>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn instance(&self, hello: &Hello) -> Option<Arc<Instance>> {
        let key = (hello.dataflow, hello.node.clone());
        self.expected().get(&key).map(|it| it.instance.clone())
    }
}

impl NodeHost for Registry {
    fn attach(&self, hello: &Hello, wake: Wake) -> Result<Arc<dyn NodeEnd>, String> {
        let Some(instance) = self.instance(hello) else {
            return Err(format!(
                "no node `{}` of dataflow {} is expected here: it has ended, or the node was started with an old \
                 configuration",
                hello.node, hello.dataflow
            ));
        };
        instance.attach(wake)?;
        Ok(instance)
    }

    fn configuration(&self, node: &str) -> Result<Launch, String> {
        let expected = self.expected();
        let mut found = expected
            .values()
            .map(|it| &it.launch)
            .filter(|launch| launch.node.as_str() == node);
        match (found.next(), found.next()) {
            (None, _) => Err(format!("no node with ID `{node}` runs here")),
            (Some(_), Some(_)) => Err(format!(
                "multiple dataflows contain a node with ID `{node}`: only one may run when it is started by hand"
            )),
            (Some(launch), None) if launch.dynamic => Ok(launch.clone()),
            (Some(launch), None) => Err(format!(
                "node with ID `{node}` in {} is not dynamic: it needs `path: dynamic`",
                launch.dataflow
            )),
        }
    }

    fn refused(&self, hello: &Hello, text: &str) {
        match self.instance(hello) {
            Some(instance) => instance.refuse(text),
            // Usually one that was stopped while it started; it says so itself, too.
            None => (self.say)(
                4,
                &format!(
                    "a process that says it is node `{}` was refused: {text}",
                    hello.node
                ),
            ),
        }
    }

    fn stranger(&self, fault: &str) {
        (self.say)(
            4,
            &format!("a connection to the port for process nodes was closed: {fault}"),
        );
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}
