//! Reports of crashes: `<out>/<dataflow id>/crash_<node>.txt`, of each node the last one.
//!
//! Invariant: a report is whole or not there: where it cannot be written the one before stays, and nothing of the new one
//! does. Its size is bounded, and nothing in it commands a terminal. Absent: what crashes, and who tells of it.

use super::{escape, files, time};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use uuid::Uuid;

/// Bytes of a report, about.
const MOST: usize = 64 * 1024;
/// Characters of one line.
const LINE: usize = 2_000;

/// What is known of a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashReport {
    /// The dataflow.
    pub dataflow: Uuid,
    /// The node.
    pub node: String,
    /// The machine, where there are several.
    pub machine: Option<String>,
    /// When it was noticed.
    pub time: SystemTime,
    /// What has happened, with the callback.
    pub how: String,
    /// What the node's code is, in lines.
    pub code: String,
    /// The message that it had got last.
    pub message: Option<String>,
    /// Frames, and what else there is.
    pub trace: Vec<String>,
}

/// Where the report of a node is.
fn crash_path(out: &Path, dataflow: Uuid, node: &str) -> PathBuf {
    files::folder(out, dataflow).join(format!("crash_{}.txt", files::file_name_part(node)))
}

impl CrashReport {
    /// Where it is once it is written.
    pub fn path(&self, out: &Path) -> PathBuf {
        crash_path(out, self.dataflow, &self.node)
    }

    /// Writes it, in place of the one before. Where that is.
    ///
    /// # Errors
    /// The system's; then there is nothing new.
    pub fn write(&self, out: &Path) -> io::Result<PathBuf> {
        let path = self.path(out);
        let new = path.with_extension("txt.new");
        fs::create_dir_all(files::folder(out, self.dataflow))?;
        let written = File::create(&new)
            .and_then(|mut file| file.write_all(self.text().as_bytes()))
            .and_then(|()| fs::rename(&new, &path));
        if written.is_err() {
            // What cannot be removed was not made.
            let _ = fs::remove_file(&new);
        }
        written.map(|()| path)
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        let trace = self.trace.iter().map(String::len).sum::<usize>();
        self.how.len() + self.code.len() + trace
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut add = |line: &str| {
            let line: String = line.chars().take(LINE).collect();
            if text.len() + line.len() < MOST {
                escape::push(&mut text, &line);
                text.push('\n');
            }
        };
        add(&format!("node: {}", self.node));
        add(&format!("dataflow: {}", self.dataflow));
        if let Some(machine) = &self.machine {
            add(&format!("machine: {machine}"));
        }
        add(&format!("time: {}", time::text(self.time)));
        add(&format!("host: dora {}", env!("CARGO_PKG_VERSION")));
        self.code.lines().for_each(&mut add);
        add(&format!(
            "last message: {}",
            self.message.as_deref().unwrap_or("none that is known")
        ));
        let mut how = self.how.lines();
        add(&format!("crash: {}", how.next().unwrap_or_default()));
        how.for_each(&mut add);
        if !self.trace.is_empty() {
            add("trace:");
        }
        for line in self.trace.iter().flat_map(|entry| entry.lines()) {
            add(&format!("  {line}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn report(how: &str, trace: Vec<String>) -> CrashReport {
        CrashReport {
            dataflow: Uuid::from_u128(7),
            node: "cam".into(),
            machine: Some("A".into()),
            time: UNIX_EPOCH,
            how: how.into(),
            code: "plugin: /x/libcam.so\nsdk: plugin-abi 0.7\n".into(),
            message: Some("on input `image`, 3 values".into()),
            trace,
        }
    }

    #[test]
    fn it_says_what_is_known_and_commands_no_terminal() {
        let out = tempfile::tempdir().unwrap();
        let trace = vec!["   0: /x\u{1b}[2J+0x1".into(), "a\nb".into()];
        let path = report("SIGSEGV in its callback", trace).write(out.path());
        let path = path.unwrap();
        assert_eq!(path, crash_path(out.path(), Uuid::from_u128(7), "cam"));
        let host = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "node: cam\ndataflow: 00000000-0000-0000-0000-000000000007\nmachine: A\ntime: 1970-01-01T00:00:00.000000Z\n\
             host: dora {host}\nplugin: /x/libcam.so\nsdk: plugin-abi 0.7\nlast message: on input `image`, 3 values\n\
             crash: SIGSEGV in its callback\ntrace:\n"
        );
        let text = fs::read_to_string(&path).unwrap();
        let rest = text.strip_prefix(&expected).expect(&text);
        assert!(!rest.contains('\u{1b}'), "{rest}");
        assert!(rest.ends_with("\n  a\n  b\n"), "{rest}");
    }

    #[test]
    fn the_last_one_stays_and_none_is_large() {
        let out = tempfile::tempdir().unwrap();
        report("first", Vec::new()).write(out.path()).unwrap();
        let long = vec!["x".repeat(3_000); 100];
        let path = report("second", long).write(out.path()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("crash: second\n") && text.len() <= MOST);
        let folder = path.parent().unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_changes_nothing() {
        let out = tempfile::tempdir().unwrap();
        let path = report("first", Vec::new()).write(out.path()).unwrap();
        // In the way, on every system and for every user.
        fs::create_dir(path.with_extension("txt.new")).unwrap();
        report("second", Vec::new()).write(out.path()).unwrap_err();
        assert!(fs::read_to_string(&path).unwrap().contains("crash: first"));
    }
}
