//! Three machines in three network namespaces: one for the coordinator and for commands, one for A, one for B; and a
//! switch between them, in a namespace of its own, whose ways can be cut and healed.
//!
//! Invariant: a cut loses what is sent, as an unplugged cable does, and tells nobody. What was made is removed when the
//! value is dropped; what a killed process of tests left behind, by the next one. Slow and lossy cables are a program
//! (`cable.c`) between two taps: not every kernel has a queue that delays and loses. Absent: dora.

use host_testing::{Background, Folder, cc_program, repo_root};
use std::fmt::Write;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Names of namespaces begin with this, the process and a number.
const NAME: &str = "dora-test-";
/// The names of the machines within the namespaces' names, in the order of their addresses.
const MACHINES: [&str; 3] = ["c", "a", "b"];

/// How long a cable may take to be there.
const LIMIT: Duration = Duration::from_secs(20);

/// The networks of one test.
pub struct Network {
    name: String,
    cable: Option<Cable>,
}

/// A program that stands for a cable, and the folder that it lies in.
struct Cable {
    program: Background,
    _folder: Folder,
}

impl Network {
    /// Makes them.
    ///
    /// # Errors
    /// The system does not permit it, in its words.
    pub fn new() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        remove_stale();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Removed also when only half of it could be made.
        let network = Self {
            name: format!("{NAME}{}-{number}", std::process::id()),
            cable: None,
        };
        let switch = network.switch();
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "switch", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "switch", "up"])?;
        for (index, machine) in MACHINES.iter().enumerate() {
            network.add(machine, index + 1)?;
        }
        // That it was made does not mean that programs may run in it.
        ip(&["netns", "exec", &network.of("a"), "true"])?;
        Ok(network)
    }

    fn add(&self, machine: &str, index: usize) -> Result<(), String> {
        let (inside, switch) = (self.of(machine), self.switch());
        ip(&["netns", "add", &inside])?;
        ip(&["-n", &inside, "link", "set", "lo", "up"])?;
        let pair = ["link", "add", "eth0", "type", "veth", "peer", "name"];
        let end = format!("to-{machine}");
        ip(&[&["-n", &inside], &pair[..], &[&end, "netns", &switch]].concat())?;
        self.plug(machine, index)
    }

    /// Takes both ends of a cable into use.
    fn plug(&self, machine: &str, index: usize) -> Result<(), String> {
        let (inside, switch) = (self.of(machine), self.switch());
        let (end, address) = (format!("to-{machine}"), format!("10.77.0.{index}/24"));
        let port = ["link", "set", "dev", &end, "master", "switch", "up"];
        ip(&[&["-n", &switch], &port[..]].concat())?;
        ip(&["-n", &inside, "address", "add", &address, "dev", "eth0"])?;
        ip(&["-n", &inside, "link", "set", "eth0", "up"])?;
        Ok(())
    }

    fn switch(&self) -> String {
        self.of("s")
    }

    fn of(&self, machine: &str) -> String {
        format!("{}-{machine}", self.name)
    }

    /// The words that run a program on a machine: `c`, `a` or `b`.
    pub fn on(&self, machine: &str) -> Vec<String> {
        let name = self.of(machine);
        ["ip", "netns", "exec", &name].map(str::to_owned).to_vec()
    }

    /// Gives B a cable that delays each frame by so long, in each direction, and loses so many of a thousand.
    ///
    /// # Errors
    /// The system does not permit it, in its words.
    pub fn worsen(&mut self, delay: Duration, lost_of_1000: u32) -> Result<(), String> {
        let tun = OpenOptions::new().write(true).open("/dev/net/tun");
        tun.map_err(|error| format!("/dev/net/tun: {error}"))?;
        let folder = host_testing::fresh_dir();
        let program = folder.path().join("cable");
        let source = repo_root().join("cli/tests/faults/networks/cable.c");
        cc_program(&source, &program, &["-O1"]);
        let (inside, switch) = (self.of("b"), self.switch());
        ip(&["-n", &inside, "link", "delete", "eth0"])?;
        let mut command = Command::new(program);
        command.args([&inside, "eth0", &switch, "to-b"]);
        command.args([delay.as_millis().to_string(), lost_of_1000.to_string()]);
        let program = Background::start(&mut command);
        program.line("ready", LIMIT);
        self.cable = Some(Cable {
            program,
            _folder: folder,
        });
        self.plug("b", MACHINES.len())
    }

    /// How many frames that cable has lost.
    pub fn lost(&self) -> usize {
        let cable = self.cable.as_ref();
        cable.map_or(0, |cable| cable.program.stdout().matches("lost").count())
    }

    /// Cuts or heals the way between A and B; both still reach the coordinator.
    pub fn between_a_and_b(&self, open: bool) {
        let isolated = if open { "off" } else { "on" };
        for machine in ["a", "b"] {
            self.port(machine, &["type", "bridge_slave", "isolated", isolated]);
        }
    }

    /// Cuts a machine off from all others, or connects it again.
    pub fn of_machine(&self, machine: &str, open: bool) {
        self.port(machine, &[if open { "up" } else { "down" }]);
    }

    fn port(&self, machine: &str, set: &[&str]) {
        let (switch, end) = (self.switch(), format!("to-{machine}"));
        let command = ["-n", &switch, "link", "set", "dev", &end];
        ip(&[&command[..], set].concat()).expect("what could be made can be changed");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.cable = None;
        for machine in MACHINES.iter().chain(&["s"]) {
            // What could not be made cannot be removed.
            ip(&["netns", "delete", &self.of(machine)]).ok();
        }
    }
}

/// Removes the namespaces of processes that are dead.
fn remove_stale() {
    let Ok(names) = ip(&["netns", "list"]) else {
        return;
    };
    for line in names.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let process = name
            .strip_prefix(NAME)
            .and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another process may do the same.
            ip(&["netns", "delete", name]).ok();
        }
    }
}

/// Runs `ip`; what it prints, or why it failed.
fn ip(args: &[&str]) -> Result<String, String> {
    let mut shown = "ip".to_owned();
    for arg in args {
        write!(shown, " {arg}").ok();
    }
    let output = Command::new("ip").args(args).output();
    let output = output.map_err(|error| format!("{shown}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let reason = String::from_utf8_lossy(&output.stderr);
            Err(format!("{shown}: {}", reason.trim().replace('\n', "; ")))
        }
    }
}
