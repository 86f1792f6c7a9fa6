//! Three machines, each with a network of its own, and cables that are cut and healed.
//!
//! Where the system permits no network namespaces each test says `skipped: no network namespaces: …` and passes.

mod bad;
mod cuts;
mod namespaces;
mod relayed;

use crate::cluster::{Cluster, DEADLINE, find};
use host_testing::{Background, wait_until};
use namespaces::Network;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Where the coordinator listens.
const HERE: &str = "10.77.0.1";

/// The folder of commands that are given on machine B.
const THERE: &str = "there";

/// The processes and their networks. The processes end first.
struct Lab {
    cluster: Cluster,
    network: Network,
}

impl Lab {
    /// A coordinator beyond loopback; nothing else runs. `None` when that is not possible, and says so.
    fn new() -> Option<Self> {
        Self::on(Network::new())
    }

    /// On such a network, if there is one.
    fn on(network: Result<Network, String>) -> Option<Self> {
        let network = match network {
            Ok(network) => network,
            Err(reason) => {
                host_testing::skipped(&format!("no network namespaces: {reason}"));
                return None;
            }
        };
        let places = [
            ("coordinator", "c"),
            ("here", "c"),
            ("A", "a"),
            ("B", "b"),
            (THERE, "b"),
        ];
        let prefixes: BTreeMap<_, _> = places
            .map(|(folder, machine)| (folder.to_owned(), network.on(machine)))
            .into();
        let mut cluster = Cluster::elsewhere(HERE, prefixes);
        cluster.start_coordinator(&["--interface", HERE, "--insecure"]);
        Some(Self { cluster, network })
    }

    /// With daemons on A and B.
    fn with_daemons() -> Option<Self> {
        Some(Self::new()?.and_daemons())
    }

    fn and_daemons(mut self) -> Self {
        for machine in ["A", "B"] {
            self.start_daemon(machine, &[]);
        }
        self
    }

    /// With daemons on A and B, and a bad cable at B.
    fn with_bad_cable(delay: Duration, lost_of_1000: u32) -> Option<Self> {
        let network = Network::new().and_then(|mut network| {
            network.worsen(delay, lost_of_1000)?;
            Ok(network)
        });
        Some(Self::on(network)?.and_daemons())
    }

    fn start_daemon(&mut self, machine: &str, args: &[&str]) {
        let args = [&["--insecure"], args].concat();
        self.cluster.start_daemon(machine, &args);
        self.cluster.connected(machine);
    }

    /// Starts a dataflow and waits until a sink has received something.
    fn start(&self, name: &str, text: &str, sink: &str) -> String {
        let file = format!("{name}.yml");
        self.cluster.write(&file, text);
        let uuid = self.cluster.start(&file, &["--name", name]);
        self.flows(sink);
        uuid
    }

    /// Waits until the sink on a machine has received more than now; how long that took.
    fn flows(&self, machine: &str) -> Duration {
        let (daemon, began) = (self.cluster.daemon(machine), Instant::now());
        let before = received(daemon);
        wait_until("messages arrive", DEADLINE, || {
            received(daemon) > before + 20
        });
        began.elapsed()
    }

    /// How `dora list` shows a machine of a dataflow.
    fn reach(&self, dataflow: &str, machine: &str) -> String {
        let list = self.cluster.json(&["list", "--json"]);
        let found = find(&list, dataflow).expect("the dataflow");
        text(&found["machines"][machine])
    }

    /// Waits until it is shown so; how long that took.
    fn until_reach(&self, dataflow: &str, machine: &str, wanted: &str) -> Duration {
        let began = Instant::now();
        while self.reach(dataflow, machine) != wanted {
            assert!(began.elapsed() < DEADLINE, "{wanted}\n{}", self.cluster);
        }
        began.elapsed()
    }

    /// Waits until the coordinator has just heard of a machine.
    fn until_heard(&self, machine: &str) {
        self.cluster.until(&["status", "--json"], |status| {
            let mut daemons = status["daemons"].as_array().expect("an array").iter();
            let daemon = daemons.find(|daemon| daemon["machine"] == machine);
            let silent = daemon.and_then(|daemon| daemon["silent_seconds"].as_f64());
            silent.is_some_and(|seconds| seconds < 0.5)
        });
    }

    /// The states of a dataflow's nodes, in the order of its file.
    fn states(&self, dataflow: &str) -> Vec<String> {
        let nodes = self.cluster.json(&["node", "list", "--json"]);
        let nodes = nodes.as_array().expect("an array").iter();
        nodes
            .filter(|node| node["dataflow"] == dataflow)
            .map(|node| text(&node["state"]))
            .collect()
    }

    fn until_states(&self, dataflow: &str, wanted: [&str; 3]) {
        let began = Instant::now();
        while self.states(dataflow) != wanted {
            let found = self.states(dataflow);
            assert!(began.elapsed() < DEADLINE, "{found:?}\n{}", self.cluster);
        }
    }

    /// Stops a dataflow; what became of its nodes, as `dora list` shows it.
    fn stop(&self, dataflow: &str) -> Vec<Value> {
        self.cluster.dora(&["stop", dataflow]).success();
        let list = self.cluster.json(&["list", "--json"]);
        let nodes = &find(&list, dataflow).expect("history")["ended"]["nodes"];
        nodes.as_array().expect("an array").clone()
    }
}

/// What the sink on this machine has received so far.
fn received(daemon: &Background) -> usize {
    daemon.stdout().matches("sink received message: ").count()
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}
