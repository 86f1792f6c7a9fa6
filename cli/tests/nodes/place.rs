//! Where the node in the middle runs. Each place has the same kinds under the same names.

use host_testing::python::{Python, node_script};
use host_testing::{fixtures, skipped};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Where a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A plugin in the daemon.
    Daemon,
    /// A plugin in a host process of its own.
    Own,
    /// A plugin in a host process that another node shares.
    Shared,
    /// An executable that speaks the runtime's own wire.
    Executable,
    /// A Python node of this release of dora.
    Dora(&'static str),
    /// A Rust node of [`RUST_RELEASE`], where [`RUST_NODE`] says where it was built, as `.ci/deep` does.
    DoraRust,
}

/// The release of dora that the Rust node is built with.
pub const RUST_RELEASE: &str = "1.1.0";
/// The variable that names the Rust node.
const RUST_NODE: &str = "DORA_TEST_RUST_NODE";

/// All of them.
pub const ALL: [Place; 7] = [
    Place::Daemon,
    Place::Own,
    Place::Shared,
    Place::Executable,
    Place::Dora("1.1.0"),
    Place::Dora("0.4.1"),
    Place::DoraRust,
];

/// Those of processes other than the daemon's that run the kinds of the plugin.
#[cfg(target_os = "linux")]
pub const HOSTED: [Place; 3] = [Place::Own, Place::Shared, Place::Executable];

impl Place {
    /// What makes a node run here, with the settings of its kind and more variables, as lines of its keys.
    pub fn node(self, kind: &str, settings: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
        let mut keys = self.keys(kind, settings);
        let of_kind = self.variables(kind, settings);
        let of_kind = of_kind
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (count, (name, value)) in of_kind.chain(variables.iter().copied()).enumerate() {
            if count == 0 {
                keys += "    env:\n";
            }
            keys += &format!("      {name}: '{value}'\n");
        }
        keys
    }

    fn keys(self, kind: &str, settings: &[(&str, &str)]) -> String {
        let config: Vec<_> = settings
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        let config = config.join(", ");
        let of_plugin = |file: PathBuf| {
            let file = file.display();
            format!("    path: '{file}'\n    kind: {kind}\n    config: {{{config}}}\n")
        };
        match self {
            Place::Daemon => of_plugin(fixtures::path("flow")),
            Place::Own => of_plugin(fixtures::path("flow")) + "    process: own\n",
            Place::Shared => of_plugin(fixtures::path("flow")) + "    process: work\n",
            Place::Executable => of_plugin(fixtures::executable("flow-node")),
            Place::Dora(_) => format!("    path: '{}'\n", node_script().display()),
            Place::DoraRust => {
                let file = std::env::var(RUST_NODE).expect("it was asked for before");
                format!("    path: '{file}'\n")
            }
        }
    }

    /// The variables of such a node.
    fn variables(self, kind: &str, settings: &[(&str, &str)]) -> Vec<(String, String)> {
        if !self.is_dora() {
            return Vec::new();
        }
        let mut variables = vec![("KIND".to_owned(), kind.to_owned())];
        if let Place::Dora(release) = self {
            let python = python(release).expect("it was asked for before");
            let folder = python.folder().display().to_string();
            variables.push(("VIRTUAL_ENV".to_owned(), folder));
        }
        variables.extend(settings.iter().map(|(key, value)| {
            let value = value.trim_matches('\'');
            (key.to_ascii_uppercase(), value.to_owned())
        }));
        variables
    }

    /// Whether there is what it needs; says so when there is not.
    pub fn is_there(self) -> bool {
        let release = match self {
            Place::Dora(release) => release,
            Place::DoraRust => return std::env::var_os(RUST_NODE).is_some(),
            _ => return true,
        };
        match python(release) {
            Ok(_) => true,
            Err(reason) => {
                skipped(&format!("no PyPI: dora-rs {release}: {reason}"));
                false
            }
        }
    }

    /// Whether it runs a node of dora, which knows less of how it fails.
    pub fn is_dora(self) -> bool {
        self.release().is_some()
    }

    /// The release of dora that its node is of.
    pub fn release(self) -> Option<&'static str> {
        match self {
            Place::Dora(release) => Some(release),
            Place::DoraRust => Some(RUST_RELEASE),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Daemon => f.write_str("in the daemon"),
            Place::Own => f.write_str("process: own"),
            Place::Shared => f.write_str("process: work"),
            Place::Executable => f.write_str("executable"),
            Place::Dora(release) => write!(f, "dora {release}"),
            Place::DoraRust => write!(f, "dora {RUST_RELEASE}, Rust"),
        }
    }
}

/// Runs a test for each place that there is.
pub fn each(places: &[Place], test: impl Fn(Place)) {
    for place in places {
        if place.is_there() {
            eprintln!("--- {place}");
            test(*place);
        }
    }
}

/// An environment with this release; looked for once.
pub fn python(release: &'static str) -> Result<Python, String> {
    static FOUND: Mutex<BTreeMap<&str, Result<Python, String>>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    found
        .entry(release)
        .or_insert_with(|| Python::with_dora(release))
        .clone()
}
