//! Our side: a coordinator and two daemons, and dataflows from one to the other.

use crate::child::{Part, when_input_ends};
use crate::rounds::{Load, Outcome};
use host::client::{Client, StartRequest};
use host::control::Timing;
use host::coordinator::{self, Coordinator};
use host::daemon::{self, Daemon, News};
use host::descriptor::Descriptor;
use host::link::Address;
use host::logs::{LogHub, Settings};
use host::process::LaunchOptions;
use host_testing::fixtures::{Profile, library};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// What takes longer has failed.
const LONG: Duration = Duration::from_secs(120);
/// What daemons have for their end.
const GRACE: Duration = Duration::from_secs(2);
/// Messages that wait: of those that come in their time none is to be lost, and those that come as fast as they go come
/// in batches.
const QUEUE: usize = 1_000;

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.enable_all().build().expect("a runtime")
}

/// The part of the coordinator: says its port.
pub fn be_coordinator() {
    runtime().block_on(async {
        let coordinator = Coordinator::open(coordinator::Options {
            interface: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            state: None,
            timing: Timing::default(),
        });
        let coordinator = coordinator.await.expect("a coordinator");
        println!("{}", coordinator.port());
        let (end, shutdown) = mpsc::channel(1);
        when_input_ends(move || {
            // A coordinator that has ended hears nothing.
            let _ = end.blocking_send(false);
        });
        coordinator.run(shutdown, |_| ()).await;
    });
}

/// The part of a daemon: says when it is connected.
pub fn be_daemon(machine: &str, port: &str, folder: &str) {
    let folder = PathBuf::from(folder);
    let hub = LogHub::start(Settings::default()).expect("a log");
    let options = daemon::Options {
        machine: machine.parse().expect("a machine id"),
        coordinator: Address::new("127.0.0.1", port.parse().expect("a port")),
        listen: None,
        local_port: 0,
        labels: BTreeMap::new(),
        wait: true,
        timing: Timing::default(),
        out: folder.join("out"),
        folder,
        launch: LaunchOptions::new("dora".into()),
    };
    runtime().block_on(async {
        let daemon = Daemon::open(options, hub).await.expect("a daemon");
        let (end, shutdown) = mpsc::channel(1);
        when_input_ends(move || {
            // As above.
            let _ = end.blocking_send(GRACE);
        });
        let news = |news| {
            if let News::Connected(_) = news {
                println!("connected");
            }
        };
        daemon.run(shutdown, news).await.expect("a good end");
    });
}

/// The three processes, and the connection of the one who starts dataflows. They end in the order of the fields.
pub struct Daemons {
    client: Client,
    runtime: Runtime,
    _daemons: [Part; 2],
    _coordinator: Part,
    plugin: String,
    folder: tempfile::TempDir,
}

impl Daemons {
    /// Starts them.
    pub fn start() -> Self {
        let plugin = library("flow", Profile::Release).display().to_string();
        let folder = host_testing::fresh_dir();
        let coordinator = Part::start(&["coordinator"]);
        let port = coordinator.ready();
        let daemons = ["A", "B"].map(|machine| {
            let folder = folder.path().join(machine).display().to_string();
            Part::start(&["daemon", machine, &port, &folder])
        });
        for daemon in &daemons {
            daemon.ready();
        }
        let runtime = runtime();
        let address = Address::new("127.0.0.1", port.parse().expect("a port"));
        let client = runtime.block_on(Client::connect(&address, LONG));
        Self {
            client: client.expect("a connection"),
            runtime,
            _daemons: daemons,
            _coordinator: coordinator,
            plugin,
            folder,
        }
    }

    /// Sends from A to B.
    pub fn run(&self, load: Load, waits: bool) -> Option<Outcome> {
        let file = self.folder.path().join("report");
        let text = self.descriptor(load, waits, &file);
        let descriptor = Descriptor::parse(&text, Path::new("bench.yml"));
        let request = StartRequest {
            descriptor: descriptor.unwrap_or_else(|problems| panic!("{problems}")),
            folder: self.folder.path().display().to_string(),
            name: None,
            env: BTreeMap::new(),
        };
        let ended = self.runtime.block_on(async {
            let started = self.client.start(request, |_| ()).await;
            let started = started.unwrap_or_else(|error| panic!("{error}"));
            let started = started.unwrap_or_else(|error| panic!("{error}"));
            let ended = self.client.wait(started.dataflow, |_| ());
            let ended = tokio::time::timeout(LONG, ended).await;
            ended.expect("it ends").expect("an answer")
        });
        assert!(!ended.is_failure(), "{ended:?}");
        let report = std::fs::read_to_string(&file).expect("the meter's report");
        std::fs::remove_file(&file).expect("it is there");
        Outcome::read(report.lines())
    }

    fn descriptor(&self, load: Load, waits: bool, file: &Path) -> String {
        let Load { bytes, count, pace } = load;
        let (plugin, file, micros) = (&self.plugin, file.display(), pace.as_micros());
        let timed = !pace.is_zero();
        let policy = match waits {
            true => ", queue_policy: backpressure",
            false => "",
        };
        format!(
            "
nodes:
  - id: pacer
    path: '{plugin}'
    kind: pacer
    deploy: {{machine: A}}
    config: {{count: {count}, bytes: {bytes}, micros: {micros}, written: true}}
    inputs: {{start: {{source: dora/timer/millis/1, queue_size: 1, queue_policy: drop_newest}}}}
    outputs: [out]
  - id: meter
    path: '{plugin}'
    kind: meter
    deploy: {{machine: B}}
    config: {{latencies: {timed}, file: '{file}'}}
    inputs: {{in: {{source: pacer/out, queue_size: {QUEUE}{policy}}}}}
"
        )
    }
}
