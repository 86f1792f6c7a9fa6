//! The log files of all dataflows: `<out>/<dataflow id>/log_<node>.txt`, the older ones `log_<node>.txt.1` and so on.
//!
//! Invariant: at most 64 files are open at a time, however many nodes there are; each trouble is told once
//! per dataflow. Lines that belong to no dataflow have no file; those of this runtime about a dataflow go to
//! `log_dora.txt`, a name that no node can have. On file systems that ignore case, two nodes whose ids differ only
//! by case share a file. Absent: a thread, a clock and the console.

use super::crash::CrashReport;
use super::file::{LogFile, Rotation};
use super::level::Level;
use super::line;
use super::record::Record;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;
use uuid::Uuid;

/// Name in place of a node's, for lines of this runtime.
pub const RUNTIME: &str = "dora";

/// Far below the 1024 files that a process may have open on an ordinary Linux.
const MAX_OPEN: usize = 64;

/// Path of a node's log file; [`RUNTIME`] for the runtime's own. `out` is the folder of [`super::choose`].
pub fn path(out: &Path, dataflow: Uuid, node: &str) -> PathBuf {
    folder(out, dataflow).join(format!("log_{}.txt", file_name_part(node)))
}

/// The folder with the log files of a dataflow.
pub fn folder(out: &Path, dataflow: Uuid) -> PathBuf {
    out.join(dataflow.hyphenated().to_string())
}

/// Node ids are file names as they are; this holds for whatever else a record may carry.
pub(super) fn file_name_part(node: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    node.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(128)
        .collect()
}

/// A file that could not be written.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) dataflow: Uuid,
    pub(super) path: PathBuf,
    pub(super) error: io::Error,
}

/// All files that have been written.
#[derive(Debug)]
pub(super) struct Files {
    out: PathBuf,
    rotation: Rotation,
    /// By dataflow and node: other sizes than the usual ones.
    rotations: HashMap<Uuid, HashMap<String, Rotation>>,
    nodes: HashMap<Uuid, HashMap<String, Used>>,
    told: HashSet<Uuid>,
    text: String,
    /// Counts uses, to find the file that was not used for longest.
    clock: u64,
    open: usize,
}

#[derive(Debug)]
struct Used {
    file: LogFile,
    at: u64,
}

impl Files {
    pub(super) fn new(out: PathBuf, rotation: Rotation) -> Self {
        Self {
            out,
            rotation,
            rotations: HashMap::new(),
            nodes: HashMap::new(),
            told: HashSet::new(),
            text: String::new(),
            clock: 0,
            open: 0,
        }
    }

    /// Sets how large the files of a node become, before its first line.
    pub(super) fn set_rotation(&mut self, dataflow: Uuid, node: String, rotation: Rotation) {
        self.rotations
            .entry(dataflow)
            .or_default()
            .insert(node, rotation);
    }

    /// Writes a report of a crash, where it belongs.
    pub(super) fn report(&self, report: &CrashReport) -> Option<Trouble> {
        let error = report.write(&self.out).err()?;
        Some(Trouble {
            dataflow: report.dataflow,
            path: report.path(&self.out),
            error,
        })
    }

    /// Takes a record; it is in its file after the next flush, an error at once. Gives the first trouble of each
    /// dataflow.
    pub(super) fn write(&mut self, record: &Record, now: Instant) -> Option<Trouble> {
        let dataflow = record.dataflow?;
        let node = record.node.as_deref().unwrap_or(RUNTIME);
        self.text.clear();
        line::write(record, &mut self.text);
        if self.open >= MAX_OPEN && !self.is_open(dataflow, node) {
            self.close_oldest(now);
        }
        self.clock += 1;
        let files = self.nodes.entry(dataflow).or_default();
        // Looked up twice rather than with a key of its own for each line.
        if !files.contains_key(node) {
            let rotation = self
                .rotations
                .get(&dataflow)
                .and_then(|nodes| nodes.get(node));
            let rotation = rotation.copied().unwrap_or(self.rotation);
            let file = LogFile::new(path(&self.out, dataflow, node), rotation);
            files.insert(node.to_owned(), Used { file, at: 0 });
        }
        let used = files.get_mut(node)?;
        used.at = self.clock;
        let before = used.file.is_open();
        let mut outcome = used.file.append(self.text.as_bytes(), now);
        if record.level == Level::Error {
            outcome = outcome.and(used.file.flush(now));
        }
        let after = used.file.is_open();
        let trouble = outcome.err().map(|error| Trouble {
            dataflow,
            path: used.file.path().to_owned(),
            error,
        });
        self.count_open(before, after);
        trouble.filter(|trouble| self.told.insert(trouble.dataflow))
    }

    /// Writes everything that waits. Gives the first trouble of each dataflow.
    pub(super) fn flush(&mut self, now: Instant) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        for (dataflow, files) in &mut self.nodes {
            for used in files.values_mut().filter(|used| used.file.is_dirty()) {
                let outcome = used.file.flush(now);
                // A file that fails closes itself.
                self.open -= usize::from(!used.file.is_open());
                if let Err(error) = outcome
                    && self.told.insert(*dataflow)
                {
                    troubles.push(Trouble {
                        dataflow: *dataflow,
                        path: used.file.path().to_owned(),
                        error,
                    });
                }
            }
        }
        troubles
    }

    /// Closes the files of a dataflow and says which nodes lost how many lines.
    pub(super) fn close(&mut self, dataflow: Uuid, now: Instant) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::new();
        self.told.remove(&dataflow);
        self.rotations.remove(&dataflow);
        for (node, mut used) in self.nodes.remove(&dataflow).unwrap_or_default() {
            let before = used.file.is_open();
            // What fails here is counted as lost, and that is told.
            let _ = used.file.close(now);
            self.count_open(before, false);
            if used.file.lost() > 0 {
                lost.insert(node, used.file.lost());
            }
        }
        lost
    }

    /// The dataflows that have files.
    pub(super) fn dataflows(&self) -> Vec<Uuid> {
        self.nodes.keys().copied().collect()
    }

    fn is_open(&self, dataflow: Uuid, node: &str) -> bool {
        let file = self.nodes.get(&dataflow).and_then(|files| files.get(node));
        file.is_some_and(|used| used.file.is_open())
    }

    fn close_oldest(&mut self, now: Instant) {
        let open = self
            .nodes
            .values_mut()
            .flat_map(HashMap::values_mut)
            .filter(|used| used.file.is_open());
        if let Some(used) = open.min_by_key(|used| used.at) {
            // A failure is counted by the file, and told when it fails again at its next line.
            let _ = used.file.close(now);
            self.count_open(true, false);
        }
    }

    fn count_open(&mut self, before: bool, after: bool) {
        self.open = self.open + usize::from(after) - usize::from(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::record::Origin;
    use std::fs;

    const FLOW: Uuid = Uuid::from_u128(7);

    fn record(node: Option<&str>, message: &str) -> Record {
        Record::new(Level::Info, "", message).by(Origin {
            dataflow: Some(FLOW),
            node: node.map(str::to_owned),
            ..Origin::default()
        })
    }

    fn messages(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let message = |line: &str| line.split_at(34).1.to_owned();
        text.lines().map(message).collect()
    }

    #[test]
    fn each_node_has_a_file() {
        let out = tempfile::tempdir().unwrap();
        let mut files = Files::new(out.path().to_owned(), Rotation::default());
        let now = Instant::now();
        let nobody = Record::new(Level::Error, "", "about no dataflow");
        for record in [
            record(Some("a"), "1"),
            record(Some("b"), "2"),
            record(None, "3"),
            record(Some("../x y"), "4"),
            record(Some("a"), "5"),
            nobody,
        ] {
            assert!(files.write(&record, now).is_none());
        }
        assert!(files.flush(now).is_empty());
        let folder = out.path().join("00000000-0000-0000-0000-000000000007");
        assert_eq!(messages(&folder.join("log_a.txt")), ["1", "5"]);
        assert_eq!(messages(&folder.join("log_b.txt")), ["2"]);
        assert_eq!(messages(&folder.join("log_dora.txt")), ["3"]);
        assert_eq!(messages(&folder.join("log_.._x_y.txt")), ["4"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
        assert_eq!(files.open, 4);
        assert_eq!(files.dataflows(), [FLOW]);
        assert!(files.close(FLOW, now).is_empty());
        assert_eq!((files.open, files.dataflows().len()), (0, 0));
    }

    #[test]
    fn few_files_are_open_for_many_nodes() {
        let out = tempfile::tempdir().unwrap();
        let mut files = Files::new(out.path().to_owned(), Rotation::default());
        let now = Instant::now();
        let nodes: Vec<_> = (0..MAX_OPEN * 3).map(|n| format!("n{n}")).collect();
        for round in ["1", "2"] {
            for node in &nodes {
                assert!(files.write(&record(Some(node), round), now).is_none());
                assert!(files.open <= MAX_OPEN);
            }
        }
        assert_eq!(files.open, MAX_OPEN);
        assert!(files.flush(now).is_empty());
        for node in &nodes {
            assert_eq!(messages(&path(out.path(), FLOW, node)), ["1", "2"]);
        }
    }

    #[test]
    fn an_error_is_written_at_once() {
        let out = tempfile::tempdir().unwrap();
        let mut files = Files::new(out.path().to_owned(), Rotation::default());
        let now = Instant::now();
        files.write(&record(Some("a"), "before"), now);
        let path = path(out.path(), FLOW, "a");
        assert!(messages(&path).is_empty());
        let mut failed = record(Some("a"), "failed");
        failed.level = Level::Error;
        files.write(&failed, now);
        assert_eq!(messages(&path), ["before", "failed"]);
    }

    #[test]
    fn trouble_is_told_once_and_losses_at_the_end() {
        let out = tempfile::tempdir().unwrap();
        let blocked = folder(out.path(), FLOW);
        fs::write(&blocked, "a file where the folder should be").unwrap();
        let mut files = Files::new(out.path().to_owned(), Rotation::default());
        let now = Instant::now();
        let trouble = files.write(&record(Some("a"), "1"), now).unwrap();
        assert_eq!(trouble.path, path(out.path(), FLOW, "a"));
        assert!(files.write(&record(Some("a"), "2"), now).is_none());
        assert!(files.write(&record(Some("b"), "3"), now).is_none());
        assert!(files.flush(now).is_empty());
        let lost = files.close(FLOW, now);
        let expected = [("a".to_owned(), 2), ("b".to_owned(), 1)];
        assert_eq!(lost, BTreeMap::from(expected));
        assert_eq!(files.open, 0);
    }
}
