//! The commands by which dataflows start.
//!
//! Absent: dataflows of its own: they are those of the examples.

use crate::programs::{Cluster, DEADLINE, Dora};
use eyre::{WrapErr, ensure};
use host_testing::{Background, Folder, repo_root};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// What the node `sink` of the examples says of each message.
const MESSAGE: &str = "sink received message: ";

/// What they are run with.
pub struct Commands {
    pub dora: Dora,
    /// The folder with the plugins of the examples.
    pub plugins: PathBuf,
    pub folder: Folder,
}

impl Commands {
    /// `dora run`, to the first message.
    ///
    /// # Errors
    /// There is no such example.
    pub fn run(&self) -> eyre::Result<Duration> {
        let text = self.example("quickstart")?;
        let file = self.folder.path().join("quickstart.yml");
        std::fs::write(&file, text)?;
        let file = file.display().to_string();
        let (took, _) = until_message(&mut self.dora.command(self.folder.path(), &["run", &file]));
        Ok(took)
    }

    /// `dora start` on a daemon for each machine of the example, to the first message as the command shows it.
    ///
    /// # Errors
    /// There is no such example, or it does not end well.
    pub fn start(&self, rounds: usize) -> eyre::Result<Vec<Duration>> {
        let cluster = Cluster::start(&self.dora, &["A", "B"]);
        let text = self.example("multiple-daemons")?;
        let file = cluster.folder().join("multiple-daemons.yml");
        std::fs::write(&file, text)?;
        let file = file.display().to_string();
        let mut all = Vec::new();
        for _ in 0..rounds {
            let (took, program) =
                until_message(&mut cluster.command(&["start", "--attach", &file]));
            let ended = program.end(DEADLINE);
            ensure!(
                ended.status.is_some_and(|status| status.success()),
                "{ended}"
            );
            all.push(took);
        }
        Ok(all)
    }

    /// The text of an example, with the plugins that are measured.
    fn example(&self, name: &str) -> eyre::Result<String> {
        let file = repo_root().join("examples").join(name).join("dataflow.yml");
        let text = std::fs::read_to_string(&file).wrap_err_with(|| file.display().to_string())?;
        let stem = "path: ../../target/release/";
        ensure!(
            text.contains(stem),
            "{}: no plugin of target/release",
            file.display()
        );
        let ours = format!("path: {}/", self.plugins.display());
        Ok(text.replace(stem, &ours))
    }
}

/// Starts a command; how long it takes until it shows the first message.
fn until_message(command: &mut Command) -> (Duration, Background) {
    let began = Instant::now();
    let program = Background::start(command);
    program.says(MESSAGE, DEADLINE);
    (began.elapsed(), program)
}
