//! The descriptor of a run.
//!
//! Absent: running it.

use super::Files;
use crate::built::Built;
use crate::load::{Load, START_MILLIS};
use crate::way::{Place, Threads, Way};
use std::path::Path;

/// The text.
pub fn text(built: &Built, way: Way, load: Load, files: &Files) -> String {
    let (from, to) = places(way);
    let (tick, burst) = ticks(way, load);
    let sender = Node {
        built,
        place: from,
        part: "sender",
        file: &files.sent,
        settings: vec![
            ("bytes", load.bytes.to_string()),
            ("count", load.count.to_string()),
            ("micros", load.pace.as_micros().to_string()),
            ("millis", load.limit.as_millis().to_string()),
            ("burst", burst.to_string()),
            ("in_place", is_in_place(way).to_string()),
        ],
    };
    let reader = Node {
        built,
        place: to,
        part: "reader",
        file: &files.report,
        settings: vec![("latencies", load.is_timed().to_string())],
    };
    let [of_sender, of_reader] = keys(way);
    let (sender, reader, queue) = (sender.text(), reader.text(), queue(way, load));
    format!(
        "\
nodes:
  - id: sender
{sender}{of_sender}    inputs: {{start: {{source: dora/timer/millis/{tick}, queue_size: 1, queue_policy: drop_newest}}}}
    outputs: [out]
  - id: reader
{reader}{of_reader}    inputs: {{in: {{source: sender/out, {queue}}}}}
"
    )
}

fn places(way: Way) -> (Place, Place) {
    match way {
        Way::Places { from, to, .. } => (from, to),
        _ => (Place::Daemon, Place::Daemon),
    }
}

fn is_in_place(way: Way) -> bool {
    matches!(
        way,
        Way::Places { in_place: true, .. } | Way::Daemons { in_place: true, .. }
    )
}

/// Milliseconds between the sender's ticks, and how many messages it sends at each; none for all at the first. Where one
/// thread does both, the sender has to end its callback before the reader can begin.
fn ticks(way: Way, load: Load) -> (u64, u64) {
    match way {
        Way::Threads(Threads::Shared) => ((load.pace.as_millis() as u64).max(1), 1),
        _ => (START_MILLIS, 0),
    }
}

/// More keys of the sender and of the reader.
fn keys(way: Way) -> [&'static str; 2] {
    match way {
        Way::Threads(Threads::Shared) => ["    thread: both\n"; 2],
        Way::Threads(Threads::Sender) => ["", "    thread: sender\n"],
        Way::Daemons { .. } => ["    deploy: {machine: A}\n", "    deploy: {machine: B}\n"],
        _ => ["", ""],
    }
}

/// The queue of the reader. Messages that are timed wait for nobody.
fn queue(way: Way, load: Load) -> String {
    let size = load.queue();
    let waits = match way {
        // What a thread sends to itself cannot wait for it.
        Way::Threads(Threads::Shared | Threads::Sender) => false,
        // Through the daemon; these hand each other messages past it.
        Way::Places { from, to, .. } if from == Place::Python && to == Place::Python => false,
        Way::Daemons { waits, .. } => waits,
        _ => true,
    };
    match waits && !load.is_timed() {
        true => format!("queue_size: {size}, queue_policy: backpressure"),
        false => format!("queue_size: {size}"),
    }
}

/// One of the two nodes.
struct Node<'a> {
    built: &'a Built,
    place: Place,
    part: &'static str,
    file: &'a Path,
    settings: Vec<(&'static str, String)>,
}

impl Node<'_> {
    /// The keys that say what it is.
    fn text(&self) -> String {
        let (plugin, executable) = (self.built.plugin.display(), self.built.executable.display());
        match self.place {
            Place::Daemon => format!("    path: '{plugin}'\n{}", self.config()),
            Place::Host => format!("    path: '{plugin}'\n    process: own\n{}", self.config()),
            Place::Executable => format!("    path: '{executable}'\n{}", self.config()),
            Place::Python => format!(
                "    path: '{}'\n{}",
                self.built.script.display(),
                self.variables()
            ),
        }
    }

    fn config(&self) -> String {
        let settings = self
            .settings
            .iter()
            .map(|(key, value)| format!("{key}: {value}, "));
        let settings: String = settings.collect();
        let (part, file) = (self.part, self.file.display());
        format!("    kind: {part}\n    config: {{{settings}file: '{file}'}}\n")
    }

    fn variables(&self) -> String {
        let settings = self.settings.iter();
        let settings: String = settings
            .map(|(key, value)| format!(", {}: '{value}'", key.to_uppercase()))
            .collect();
        let (part, file) = (self.part, self.file.display());
        format!("    env: {{PART: {part}, REPORT: '{file}'{settings}}}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::way;
    use std::time::Duration;

    #[test]
    fn a_waiting_reader_is_one_of_its_own_and_only_where_nothing_is_timed() {
        let files = Files::new(Path::new("/folder"));
        let file = |name: &str| Path::new("/target/release").join(name);
        let built = Built {
            dora: file("dora"),
            nodes: file(""),
            plugin: file("libstopwatch.so"),
            executable: file("stopwatch-node"),
            script: file("node.py"),
            environment: None,
        };
        for (way, size) in way::all() {
            let timed = text(&built, way, Load::paced(&size, 1.0), &files);
            assert!(!timed.contains("backpressure"), "{way}: {timed}");
            let flood = text(&built, way, Load::flood(&size, 1.0), &files);
            let thread = matches!(way, Way::Threads(Threads::Shared | Threads::Sender));
            assert!(
                !(thread && flood.contains("backpressure")),
                "{way}: {flood}"
            );
            assert!(
                flood.contains(&format!(
                    "millis: {}",
                    Load::flood(&size, 1.0).limit.as_millis()
                )) || flood.contains("MILLIS")
            );
        }
        let (_, size) = way::all()[0];
        let load = Load {
            pace: Duration::ZERO,
            ..Load::paced(&size, 1.0)
        };
        let own = text(&built, Way::Threads(Threads::Own), load, &files);
        assert!(
            own.contains("queue_size: 1000, queue_policy: backpressure"),
            "{own}"
        );
    }
}
