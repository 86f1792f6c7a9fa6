//! Our side: dataflows of a sender and a reader, run by the `dora` command.
//!
//! Invariant: each run has a descriptor, and reports, of its own. Absent: what is made of the reports.

mod descriptor;

use crate::built::Built;
use crate::child::finish;
use crate::load::Load;
use crate::outcome::Outcome;
use crate::programs::{Cluster, Dora, Whose};
use crate::way::Way;
use eyre::WrapErr;
use std::path::{Path, PathBuf};

/// Runs them.
pub struct Flows<'a> {
    built: &'a Built,
    dora: Dora,
    /// Made when it is first needed.
    machines: Option<Cluster>,
    folder: tempfile::TempDir,
}

/// The files of one run.
struct Files {
    descriptor: PathBuf,
    /// What the sender and the reader write.
    sent: PathBuf,
    report: PathBuf,
    /// What the command prints.
    printed: PathBuf,
}

impl<'a> Flows<'a> {
    /// Of what is built.
    ///
    /// # Errors
    /// When there is no folder to be had.
    pub fn new(built: &'a Built) -> eyre::Result<Self> {
        Ok(Self {
            built,
            dora: Dora::new(built.dora.clone(), Whose::Ours).with_python(built.environment.clone()),
            machines: None,
            folder: tempfile::Builder::new()
                .prefix("dora-benchmark-")
                .tempdir()?,
        })
    }

    /// Runs one to its end.
    ///
    /// # Errors
    /// When it fails, with what it has printed.
    pub fn run(&mut self, way: Way, load: Load) -> eyre::Result<Outcome> {
        let files = Files::new(self.folder.path());
        let text = descriptor::text(self.built, way, load, &files);
        std::fs::write(&files.descriptor, text)?;
        let descriptor = files.descriptor.display().to_string();
        let mut command = match way {
            Way::Daemons { .. } => self.machines().command(&["start", "--attach", &descriptor]),
            _ => self.dora.command(self.folder.path(), &["run", &descriptor]),
        };
        finish(&mut command, &files.printed)?;
        let sent = taken(&files.sent)?;
        let sent = sent
            .trim()
            .parse()
            .wrap_err_with(|| format!("the sender's report: {sent}"))?;
        Outcome::read(sent, &taken(&files.report)?)
    }

    fn machines(&mut self) -> &Cluster {
        self.machines
            .get_or_insert_with(|| Cluster::start(&self.dora, &["A", "B"]))
    }
}

impl Files {
    fn new(folder: &Path) -> Self {
        Self {
            descriptor: folder.join("dataflow.yml"),
            sent: folder.join("sent"),
            report: folder.join("report"),
            printed: folder.join("printed"),
        }
    }
}

/// The text of a report, which is removed: the next one is not to be taken for it.
fn taken(file: &Path) -> eyre::Result<String> {
    let text =
        std::fs::read_to_string(file).wrap_err_with(|| format!("no report {}", file.display()))?;
    std::fs::remove_file(file)?;
    Ok(text)
}
