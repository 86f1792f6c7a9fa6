//! A coordinator and daemons in tasks of one thread, each with a folder and a log of its own.

use host::client::{Client, StartRequest};
use host::control::{Ended, NodeRow, StartError, Started, Target, Timing};
use host::coordinator::{self, Coordinator};
use host::daemon::{self, Daemon, News, RunError};
use host::descriptor::Descriptor;
use host::ids::{DataflowId, MachineId};
use host::link::Address;
use host::logs::{LogHub, Selection, Settings, Subscription};
use host::process::LaunchOptions;
use host_testing::{Folder, fixtures, fresh_dir};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What takes longer has failed.
pub const LONG: Duration = Duration::from_secs(30);
/// What nodes have to stop.
pub const GRACE: Duration = Duration::from_secs(10);

pub fn machine(name: &str) -> MachineId {
    name.parse().unwrap()
}

/// Runs a test as the product runs: on a runtime of one thread.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    // Building them may take longer than any test.
    fixtures::path("flow");
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let outcome = tokio::time::timeout(4 * LONG, test).await;
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
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A coordinator and daemons.
pub struct Site {
    pub address: Address,
    pub client: Client,
    pub daemons: BTreeMap<String, Host>,
    folder: Folder,
    coordinator: Running,
}

/// A coordinator in a task.
struct Running {
    _shutdown: mpsc::Sender<bool>,
    task: JoinHandle<()>,
}

/// A coordinator on a port, 0 for any; it remembers in the folder.
async fn coordinate(port: u16, folder: &Path) -> (Running, Address) {
    let options = coordinator::Options {
        interface: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port,
        state: Some(folder.to_owned()),
        timing: Timing::default(),
    };
    let coordinator = Coordinator::open(options).await.unwrap();
    let address = Address::new("127.0.0.1", coordinator.port());
    let (shutdown, asked) = mpsc::channel(2);
    let task = tokio::spawn(coordinator.run(asked, |_| ()));
    let _shutdown = shutdown;
    (Running { _shutdown, task }, address)
}

/// A daemon in a task.
pub struct Host {
    pub lines: Subscription,
    news: Arc<Mutex<Vec<News>>>,
    shutdown: mpsc::Sender<Duration>,
    pub task: JoinHandle<Result<(), RunError>>,
}

impl Site {
    /// A coordinator, and daemons that have registered.
    pub async fn new(machines: &[&str]) -> Self {
        let folder = fresh_dir();
        let (coordinator, address) = coordinate(0, &folder.path().join("state")).await;
        let mut site = Self {
            client: Client::connect(&address, LONG).await.unwrap(),
            address,
            daemons: BTreeMap::new(),
            folder,
            coordinator,
        };
        for name in machines {
            site.add(name).await;
        }
        site
    }

    pub async fn add(&mut self, name: &str) {
        let out = self.folder.path().join(name);
        let host = Host::start(name, &self.address, &out).await;
        host.news("Connected to dora-coordinator").await;
        self.daemons.insert(name.to_owned(), host);
    }

    /// Ends the coordinator as a kill does.
    pub async fn kill_coordinator(&mut self) {
        self.client.close().await;
        self.coordinator.task.abort();
        until("the coordinator has ended", async || {
            self.coordinator.task.is_finished().then_some(())
        })
        .await;
    }

    /// Starts it again.
    pub async fn restart_coordinator(&mut self) {
        let port = self.address.port;
        until("the port is free", async || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
        })
        .await;
        let state = self.folder.path().join("state");
        (self.coordinator, self.address) = coordinate(port, &state).await;
        self.client = Client::connect(&self.address, LONG).await.unwrap();
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn host(&mut self, name: &str) -> &mut Host {
        self.daemons.get_mut(name).unwrap()
    }

    pub fn request(&self, text: &str) -> StartRequest {
        StartRequest {
            descriptor: descriptor(text),
            folder: self.folder().to_str().unwrap().to_owned(),
            name: None,
            env: BTreeMap::new(),
        }
    }

    pub async fn try_start(&self, text: &str) -> Result<Started, StartError> {
        let request = self.request(text);
        self.client.start(request, |_| ()).await.unwrap()
    }

    /// Starts a dataflow that starts.
    pub async fn start(&self, text: &str) -> DataflowId {
        match self.try_start(text).await {
            Ok(started) => started.dataflow,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until it ends by itself.
    pub async fn end(&self, dataflow: DataflowId) -> Ended {
        let ended = self.client.wait(dataflow, |_| ());
        let ended = tokio::time::timeout(LONG, ended).await;
        ended.expect("it ends by itself").unwrap()
    }

    pub async fn stop(&self, dataflow: DataflowId) -> Ended {
        let target = Target::Id(dataflow);
        let stopped = self.client.stop(target, GRACE, false, |_| ()).await;
        stopped.unwrap().unwrap()
    }

    /// Ends the daemons in order.
    pub async fn close(self) {
        for (_, host) in self.daemons {
            host.end().await.unwrap();
        }
        self.client.close().await;
    }
}

impl Host {
    pub fn options(name: &str, coordinator: &Address, out: &Path) -> daemon::Options {
        daemon::Options {
            machine: machine(name),
            coordinator: coordinator.clone(),
            listen: None,
            local_port: 0,
            labels: BTreeMap::new(),
            wait: true,
            timing: Timing::default(),
            folder: out.to_owned(),
            out: out.to_owned(),
            launch: LaunchOptions::new("dora".into()),
        }
    }

    pub async fn start(name: &str, coordinator: &Address, out: &Path) -> Self {
        let options = Self::options(name, coordinator, out);
        let hub = LogHub::start(Settings {
            out: Some(out.to_owned()),
            ..Settings::default()
        });
        let hub = hub.unwrap();
        let lines = hub.subscribe(Selection::default());
        let daemon = Daemon::open(options, hub).await.unwrap();
        let (shutdown, asked) = mpsc::channel(2);
        let news = Arc::new(Mutex::new(Vec::new()));
        let told = news.clone();
        let run = daemon.run(asked, move |news| told.lock().unwrap().push(news));
        Self {
            lines,
            news,
            shutdown,
            task: tokio::spawn(run),
        }
    }

    pub fn all_news(&self) -> Vec<String> {
        let news = self.news.lock().unwrap();
        news.iter().map(ToString::to_string).collect()
    }

    /// Waits for a piece of news.
    pub async fn news(&self, part: &str) -> String {
        let end = Instant::now() + LONG;
        loop {
            let mut news = self.all_news().into_iter();
            if let Some(line) = news.find(|line| line.contains(part)) {
                return line;
            }
            let all = self.all_news();
            assert!(Instant::now() < end, "no {part:?} in {all:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for a line of the log, reading those before it.
    pub async fn line(&mut self, part: &str) -> String {
        let mut before = Vec::new();
        let line = async {
            loop {
                let record = self.lines.recv().await.expect("the log goes on");
                if record.message.contains(part) {
                    return record.message.clone();
                }
                before.push(record.message.clone());
            }
        };
        match tokio::time::timeout(LONG, line).await {
            Ok(line) => line,
            Err(_) => panic!("no line with {part:?} in {before:#?}"),
        }
    }

    pub async fn shut_down(&self, grace: Duration) {
        self.shutdown.send(grace).await.unwrap();
    }

    pub async fn ended(self) -> Result<(), RunError> {
        let ended = tokio::time::timeout(LONG, self.task).await;
        ended.expect("the daemon ends").unwrap()
    }

    /// As Ctrl-C does.
    pub async fn end(self) -> Result<(), RunError> {
        self.shut_down(GRACE).await;
        self.ended().await
    }

    /// Drops it: it says nothing more to the coordinator, and its nodes are abandoned.
    pub async fn vanish(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A descriptor whose nodes all come from the fixture: their `path` is filled in.
pub fn descriptor(yaml: &str) -> Descriptor {
    let flow = fixtures::path("flow").display().to_string();
    let mut text = String::new();
    for line in yaml.lines() {
        text.push_str(line);
        text.push('\n');
        if let Some((indent, _)) = line.split_once("- id:") {
            text.push_str(&format!("{indent}  path: '{flow}'\n"));
        }
    }
    match Descriptor::parse(&text, Path::new("d.yml")) {
        Ok(descriptor) => descriptor,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// The row of a node.
pub fn row<'a>(ended: &'a Ended, node: &str) -> &'a NodeRow {
    let row = ended.rows.iter().find(|row| row.node.as_str() == node);
    row.unwrap_or_else(|| panic!("no row of {node}: {ended:?}"))
}
