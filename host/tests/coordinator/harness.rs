//! A coordinator in a task, on a port of its own, with a folder of its own.

use crate::daemon::Daemon;
use host::client::{Client, StartRequest};
use host::control::{NodeState, Started, Target, Timing};
use host::coordinator::{Coordinator, News, Options};
use host::descriptor::Descriptor;
use host::ids::{DataflowId, MachineId};
use host::link::Address;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What takes longer has failed.
pub const LONG: Duration = Duration::from_secs(20);

/// A source on A that a sink on B reads.
pub const TWO: &str = "
nodes:
  - {id: a, path: x, outputs: [out], deploy: {machine: A}}
  - {id: b, path: x, inputs: {in: a/out}, deploy: {machine: B}}
";

/// One node that says nothing about its place.
pub const ONE: &str = "nodes: [{id: a, path: x, outputs: [out]}]";

pub fn machine(name: &str) -> MachineId {
    name.parse().unwrap()
}

/// Runs a test as the product runs: on a runtime of one thread.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let outcome = tokio::time::timeout(3 * LONG, test).await;
        outcome.expect("the test ends")
    })
}

/// Looks again and again until something is so.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub struct Running {
    pub address: Address,
    shutdown: mpsc::Sender<bool>,
    task: JoinHandle<()>,
    news: Arc<Mutex<Vec<News>>>,
}

impl Running {
    /// A coordinator on a port, 0 for any.
    pub async fn open(port: u16, state: &Path) -> Self {
        let options = Options {
            interface: HERE,
            port,
            state: Some(state.to_owned()),
            timing: Timing::default(),
        };
        let coordinator = Coordinator::open(options).await.unwrap();
        let address = Address::new("127.0.0.1", coordinator.port());
        let (shutdown, asked) = mpsc::channel(2);
        let news = Arc::new(Mutex::new(Vec::new()));
        let told = news.clone();
        let task =
            tokio::spawn(coordinator.run(asked, move |news| told.lock().unwrap().push(news)));
        Self {
            address,
            shutdown,
            task,
            news,
        }
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.address, LONG).await.unwrap()
    }

    pub async fn daemon(&self, name: &str) -> Daemon {
        let daemon = Daemon::start(name, &self.address).await;
        let client = self.client().await;
        self.registered(&client, name).await;
        client.close().await;
        daemon
    }

    pub async fn registered(&self, client: &Client, name: &str) {
        until("the daemon registers", async || {
            let status = client.status().await.unwrap();
            let known = status.daemons.iter().any(|it| it.machine == machine(name));
            known.then_some(())
        })
        .await;
    }

    pub fn news(&self) -> Vec<String> {
        let news = self.news.lock().unwrap();
        news.iter().map(ToString::to_string).collect()
    }

    /// Asks it to end, as Ctrl-C does.
    pub async fn shut_down(&self, stop_dataflows: bool) {
        self.shutdown.send(stop_dataflows).await.unwrap();
    }

    /// Waits until it has ended.
    pub async fn ended(self) {
        self.task.await.unwrap();
    }

    /// Ends it as a kill does: no more word, nothing written. Returns when the port is free again.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        until("the port is free", async || {
            TcpListener::bind((HERE, self.address.port)).ok()
        })
        .await;
    }
}

pub fn request(text: &str, name: Option<&str>) -> StartRequest {
    StartRequest {
        descriptor: Descriptor::parse(text, Path::new("d.yml")).unwrap(),
        folder: "/somewhere".into(),
        name: name.map(str::to_owned),
        env: BTreeMap::new(),
    }
}

/// Starts a dataflow that starts.
pub async fn start(client: &Client, text: &str, name: Option<&str>) -> Started {
    let started = client.start(request(text, name), |_| ()).await;
    started.unwrap().unwrap()
}

/// Waits until all nodes of a dataflow run.
pub async fn all_run(client: &Client, dataflow: DataflowId) {
    until("all nodes run", async || {
        let nodes = client.nodes(Some(Target::Id(dataflow))).await.ok()?;
        let run = nodes.iter().all(|node| node.state == NodeState::Running);
        (run && !nodes.is_empty()).then_some(())
    })
    .await;
}
