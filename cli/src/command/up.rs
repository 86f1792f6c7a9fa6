//! `dora up`: a coordinator and a daemon on this machine, in the background.
//!
//! Invariant: what runs already is used, not started again; when this returns well, both answer. What does not come up is
//! told with the last lines that it has written. Absent: ending them, which is `dora down`.

use super::client::runtime;
use super::machine;
use crate::args::UpArgs;
use eyre::{Result, WrapErr, bail, eyre};
use host::client::{CONNECT_DEADLINE, Client};
use host::control::Reach;
use host::ids::MachineId;
use host::link::{Address, MeetError};
use host::sys::detached;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How long each of the two may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// As much of a log file is shown when its process has ended.
const SHOWN_BYTES: u64 = 2_000;

/// Runs the command.
pub fn run(args: &UpArgs) -> Result<ExitCode> {
    let up = Up {
        address: args.coordinator.address(),
        machine: machine::id(args.machine_id.as_ref()),
        folder: folder(args)?,
    };
    up.is_here()?;
    runtime()?.block_on(async {
        let client = up.coordinator().await?;
        let done = up.daemon(&client).await;
        client.close().await;
        done
    })?;
    eprintln!(
        "log files are in {}; `dora down` ends both",
        up.folder.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// A folder for each port: there may be several.
fn folder(args: &UpArgs) -> Result<PathBuf> {
    let state = machine::state_folder(args.state_dir.as_deref());
    let Some(state) = state else {
        bail!("this user has no folder for log files; name one with `--state-dir`");
    };
    let folder = state.join(format!("up-{}", args.coordinator.coordinator_port));
    let made = fs::create_dir_all(&folder).and_then(|()| std::path::absolute(&folder));
    made.wrap_err_with(|| {
        format!(
            "cannot make {}; name another folder with `--state-dir`",
            folder.display()
        )
    })
}

struct Up {
    address: Address,
    machine: MachineId,
    folder: PathBuf,
}

impl Up {
    /// Only what is on this machine can be started here.
    fn is_here(&self) -> Result<()> {
        let found = self.address.resolve();
        let found = found.wrap_err_with(|| format!("the host of {} is not known", self.address))?;
        if found
            .iter()
            .all(|address| address.ip().to_canonical().is_loopback())
        {
            return Ok(());
        }
        bail!(
            "`dora up` starts a coordinator on this machine's loopback only, and {} is elsewhere; start one there with \
             `dora coordinator --interface ADDR --insecure`, then `dora daemon` on each machine",
            self.address
        )
    }

    async fn coordinator(&self) -> Result<Client> {
        match Client::connect(&self.address, CONNECT_DEADLINE).await {
            Ok(client) => {
                println!("a coordinator runs at {}", self.address);
                return Ok(client);
            }
            // Its port is free.
            Err(MeetError::Nobody { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let port = self.address.port.to_string();
        let mut child = self.spawn(
            "coordinator",
            &["--port", &port, "--interface", &self.address.host],
        )?;
        let until = Instant::now() + DEADLINE;
        loop {
            // First, so that one that could not start is not taken for another that could.
            child.is_alive()?;
            match Client::connect(&self.address, CONNECT_DEADLINE).await {
                Ok(client) => {
                    println!("started a coordinator at {}", self.address);
                    return Ok(client);
                }
                Err(_) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(child.late(&error.to_string())),
            }
        }
    }

    async fn daemon(&self, client: &Client) -> Result<()> {
        if self.is_connected(client).await? {
            println!("a daemon runs as machine {}", self.machine);
            return Ok(());
        }
        let port = self.address.port.to_string();
        let arguments = [
            "--machine-id",
            self.machine.as_str(),
            "--coordinator-addr",
            &self.address.host,
            "--coordinator-port",
            &port,
        ];
        let mut child = self.spawn("daemon", &arguments)?;
        let until = Instant::now() + DEADLINE;
        loop {
            child.is_alive()?;
            if self.is_connected(client).await? {
                println!("started a daemon as machine {}", self.machine);
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(child.late("it has not registered with the coordinator"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn is_connected(&self, client: &Client) -> Result<bool> {
        let status = client.status().await?;
        let mut daemons = status.daemons.iter();
        Ok(daemons.any(|daemon| daemon.machine == self.machine && daemon.reach != Reach::Lost))
    }

    /// Starts this program with other arguments, apart from the terminal.
    fn spawn(&self, role: &'static str, arguments: &[&str]) -> Result<Background> {
        let log = self.folder.join(format!("{role}.log"));
        let open = || File::options().create(true).append(true).open(&log);
        let cannot = || format!("cannot write {}", log.display());
        let (out, err) = (open().wrap_err_with(cannot)?, open().wrap_err_with(cannot)?);
        let begin = out.metadata().map_or(0, |data| data.len());
        let program =
            std::env::current_exe().wrap_err("the file of this program is not to be had")?;
        let mut command = Command::new(program);
        command
            .arg(role)
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err);
        if let Some(state) = self.folder.parent() {
            command.env(host::coordinator::STATE_DIR_VARIABLE, state);
        }
        let child =
            detached::spawn(&mut command).wrap_err_with(|| format!("cannot start a {role}"))?;
        Ok(Background {
            role,
            child,
            log,
            begin,
        })
    }
}

/// A process that is coming up.
struct Background {
    role: &'static str,
    child: Child,
    log: PathBuf,
    /// Where its lines begin in the file.
    begin: u64,
}

impl Background {
    /// # Errors
    /// It has ended, with what it said last.
    fn is_alive(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(eyre!(
                "the {} has ended at once ({status}); {} says:\n{}",
                self.role,
                self.log.display(),
                said(&self.log, self.begin)
            )),
            Ok(None) => Ok(()),
            Err(error) => Err(eyre!("the {} cannot be watched: {error}", self.role)),
        }
    }

    fn late(&self, why: &str) -> eyre::Report {
        eyre!(
            "the {} has not come up within {} s: {why}; {} says:\n{}",
            self.role,
            DEADLINE.as_secs(),
            self.log.display(),
            said(&self.log, self.begin)
        )
    }
}

/// The end of what was written to a file since it had a length.
fn said(log: &Path, begin: u64) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            begin.max(length.saturating_sub(SHOWN_BYTES)),
        ))?;
        let mut bytes = Vec::new();
        file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let text = match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(error) => format!("({error})"),
    };
    let text = anstream::adapter::strip_str(&text).to_string();
    match text.is_empty() {
        true => "(nothing)".to_owned(),
        false => crate::terminal::safe(&text).into_owned(),
    }
}
