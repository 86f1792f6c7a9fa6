//! A runtime in the test's hands: one node whose events the test puts, and whose messages it reads.

use ::host::ids::{DataflowId, PortName};
use ::host::process::dora::host::{NodeEnd, NodeHost, Taken, Wake};
use ::host::process::dora::launch::{Launch, LaunchInput};
use ::host::process::dora::server::{NodeServer, ServerOptions};
use ::host::process::dora::sniff::{Hello, Versions};
use ::host::process::dora::words::NodeEvent;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Seen {
    pub hello: Option<Hello>,
    pub sent: Vec<(String, Message)>,
    pub closed: Vec<String>,
    pub faults: Vec<String>,
    pub refused: Vec<String>,
    pub subscribed: bool,
    pub outputs_done: bool,
    pub events_dropped: bool,
    pub detached: bool,
    pub start: Option<Result<(), String>>,
    queue: VecDeque<NodeEvent>,
    last: bool,
    wake: Option<Wake>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Seen>,
    changed: Condvar,
    launch: Mutex<Option<Launch>>,
}

/// Handles share their state: the runtime is the one end of its one node.
#[derive(Clone, Default)]
pub struct TestHost(Arc<State>);

/// The runtime and the port that it is found at.
pub struct Served {
    pub host: TestHost,
    pub launch: Launch,
    _server: NodeServer,
}

pub fn serve(versions: Versions) -> Served {
    serve_on(TcpListener::bind("127.0.0.1:0").expect("a port"), versions)
}

pub fn serve_on(listener: TcpListener, versions: Versions) -> Served {
    let host = TestHost::default();
    let options = ServerOptions {
        versions,
        clock: [7; 16],
    };
    let launch = Launch {
        dataflow: DataflowId::new(),
        node: "node".parse().expect("a name"),
        inputs: vec![
            LaunchInput {
                input: "tick".parse().expect("a name"),
                source: "dora/timer/millis/50".to_owned(),
                queue: 10,
            },
            LaunchInput {
                input: "data".parse().expect("a name"),
                source: "source/data".to_owned(),
                queue: 100,
            },
        ],
        outputs: vec!["out".parse().expect("a name")],
        address: listener.local_addr().expect("an address"),
        descriptor: serde_json::json!({"nodes": []}),
        dynamic: false,
        restarts: 0,
        direct: Default::default(),
    };
    *host.0.launch.lock().unwrap_or_else(|it| it.into_inner()) = Some(launch.clone());
    let server = NodeServer::start(listener, Arc::new(host.clone()), options).expect("a server");
    Served {
        host,
        launch,
        _server: server,
    }
}

impl TestHost {
    /// As if nothing had been.
    pub fn renew(&self) {
        self.look(|seen| *seen = Seen::default());
    }

    /// Waits until something is so.
    pub fn wait(&self, what: &str, so: impl Fn(&Seen) -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        let mut seen = self.0.seen.lock().unwrap_or_else(|it| it.into_inner());
        while !so(&seen) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "not in time: {what}; faults: {:?}",
                seen.faults
            );
            seen = self
                .0
                .changed
                .wait_timeout(seen, left)
                .unwrap_or_else(|it| it.into_inner())
                .0;
        }
    }

    pub fn look<T>(&self, with: impl FnOnce(&mut Seen) -> T) -> T {
        let mut seen = self.0.seen.lock().unwrap_or_else(|it| it.into_inner());
        let out = with(&mut seen);
        self.0.changed.notify_all();
        if let Some(wake) = &seen.wake {
            wake.wake();
        }
        out
    }

    pub fn start(&self) {
        self.look(|seen| seen.start = Some(Ok(())));
    }

    pub fn put(&self, event: NodeEvent) {
        self.look(|seen| seen.queue.push_back(event));
    }

    /// Nothing follows.
    pub fn end(&self) {
        self.look(|seen| seen.last = true);
    }
}

impl NodeHost for TestHost {
    fn attach(&self, hello: &Hello, wake: Wake) -> Result<Arc<dyn NodeEnd>, String> {
        self.look(|seen| {
            seen.hello = Some(hello.clone());
            seen.wake = Some(wake);
        });
        Ok(Arc::new(self.clone()))
    }

    fn configuration(&self, node: &str) -> Result<Launch, String> {
        let launch = self
            .0
            .launch
            .lock()
            .unwrap_or_else(|it| it.into_inner())
            .clone();
        launch
            .filter(|it| it.node.as_str() == node)
            .ok_or_else(|| format!("no node with ID `{node}`"))
    }

    fn refused(&self, _: &Hello, text: &str) {
        self.look(|seen| seen.refused.push(text.to_owned()));
    }

    fn stranger(&self, fault: &str) {
        self.look(|seen| seen.faults.push(fault.to_owned()));
    }
}

impl NodeEnd for TestHost {
    fn subscribed(&self) {
        self.look(|seen| seen.subscribed = true);
    }

    fn started(&self) -> Option<Result<(), String>> {
        self.0
            .seen
            .lock()
            .unwrap_or_else(|it| it.into_inner())
            .start
            .clone()
    }

    fn take(&self, most: usize) -> Taken {
        let mut seen = self.0.seen.lock().unwrap_or_else(|it| it.into_inner());
        let count = most.min(seen.queue.len());
        let events = seen.queue.drain(..count).collect();
        let last = seen.last && seen.queue.is_empty();
        self.0.changed.notify_all();
        Taken { events, last }
    }

    fn send(&self, output: &PortName, message: Message) {
        self.look(|seen| seen.sent.push((output.as_str().to_owned(), message)));
    }

    fn sent_directly(&self, _: &PortName) {}

    fn has_room(&self) -> bool {
        true
    }

    fn close_outputs(&self, outputs: &[PortName]) {
        let outputs = outputs.iter().map(|it| it.as_str().to_owned());
        self.look(|seen| seen.closed.extend(outputs));
    }

    fn outputs_done(&self) {
        self.look(|seen| seen.outputs_done = true);
    }

    fn events_dropped(&self) {
        self.look(|seen| seen.events_dropped = true);
    }

    fn fault(&self, text: &str) {
        self.look(|seen| seen.faults.push(text.to_owned()));
    }

    fn detached(&self) {
        self.look(|seen| seen.detached = true);
    }
}
