//! What is measured: the `dora` command, the nodes, and Python with dora in it.
//!
//! Invariant: it is built from the sources as they are, unless the user names other files. Absent: running it.

use crate::args::Given;
use eyre::{WrapErr, ensure};
use host_testing::python::Python;
use host_testing::{repo_root, target_dir};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of dora whose Python nodes are measured.
pub const RELEASE: &str = "1.1.0";

/// Where everything is.
pub struct Built {
    pub dora: PathBuf,
    /// The folder of all nodes.
    pub nodes: PathBuf,
    /// The nodes of the benchmark as a plugin.
    pub plugin: PathBuf,
    /// The nodes as an executable.
    pub executable: PathBuf,
    /// The nodes in Python, and the interpreter's environment, if it was asked for and can be had.
    pub script: PathBuf,
    pub environment: Option<PathBuf>,
}

impl Built {
    /// Builds what is not given, of plugins these packages, and makes an environment for Python nodes if they are wanted;
    /// without it, it says why.
    ///
    /// # Errors
    /// When something cannot be had, with the reason.
    pub fn new(given: &Given, plugins: &[&str], python: bool) -> eyre::Result<Self> {
        let release = target_dir().join("release");
        let mut packages = Vec::new();
        if given.dora.is_none() {
            packages.push("dora");
        }
        if given.nodes.is_none() {
            packages.extend(plugins);
        }
        build(&packages)?;
        let dora = given
            .dora
            .clone()
            .unwrap_or_else(|| release.join(format!("dora{EXE_SUFFIX}")));
        let nodes = std::path::absolute(given.nodes.clone().unwrap_or(release))?;
        let environment = python.then(|| Python::with_dora(RELEASE));
        let environment = environment.and_then(|made| {
            let made =
                made.inspect_err(|why| eprintln!("left out: rows with Python: no PyPI: {why}"));
            Some(made.ok()?.folder().to_owned())
        });
        Ok(Self {
            dora: there(&dora)?,
            nodes: nodes.clone(),
            plugin: there(&nodes.join(format!("{DLL_PREFIX}stopwatch{DLL_SUFFIX}")))?,
            executable: there(&nodes.join(format!("stopwatch-node{EXE_SUFFIX}")))?,
            script: Path::new(env!("CARGO_MANIFEST_DIR")).join("node.py"),
            environment,
        })
    }
}

fn build(packages: &[&str]) -> eyre::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(repo_root())
        .args(["build", "--release"])
        .args(packages);
    let status = command.status().wrap_err("cargo does not start")?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

fn there(file: &Path) -> eyre::Result<PathBuf> {
    let file = std::path::absolute(file)?;
    ensure!(file.is_file(), "there is no {}", file.display());
    Ok(file)
}
