//! `dora up`: a coordinator and a daemon on this machine, in the background.
//!
//! Invariant: what runs already is used, not started again; when this returns well, both answer. What does not come up is
//! told with the last lines that it has written. Absent: ending them, which is `dora down`.

use super::client::runtime;
use super::machine;
use crate::args::UpArgs;
use crate::terminal::{answer, say};
use eyre::{Result, WrapErr, bail, eyre};
use host::client::{CONNECT_DEADLINE, Client};
use host::control::Reach;
use host::ids::MachineId;
use host::link::{Address, MeetError};
use host::sys::detached;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long each of the two may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// As much of a log file is shown when its process has ended.
const SHOWN_BYTES: u64 = 2_000;

/// Runs the command.
pub fn run(args: &UpArgs) -> Result<ExitCode> {
    let address = args.coordinator.address();
    let up = Up {
        ip: loopback(&address)?,
        address,
        machine: machine::id(args.machine_id.as_ref()),
        folder: folder(args)?,
    };
    runtime()?.block_on(async {
        let client = up.coordinator().await?;
        let done = up.daemon(&client).await;
        client.close().await;
        done
    })?;
    say!(
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
    let folder = std::path::absolute(folder).wrap_err("the current folder is not to be had")?;
    made(folder)
}

fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).wrap_err_with(|| {
        format!(
            "cannot make {}; name another folder with `--state-dir`",
            folder.display()
        )
    })?;
    Ok(folder)
}

/// The loopback address that is meant: only what is on this machine can be started here.
fn loopback(address: &Address) -> Result<IpAddr> {
    let found = address.resolve();
    let found = found.wrap_err_with(|| format!("the host of {address} is not known"))?;
    let mut here = found.iter().map(|found| found.ip());
    match here.find(|ip| ip.to_canonical().is_loopback()) {
        Some(ip) => Ok(ip),
        None => bail!(
            "`dora up` starts a coordinator on this machine's loopback only, and {address} is elsewhere; start one there \
             with `dora coordinator --interface ADDR --insecure`, then `dora daemon` on each machine"
        ),
    }
}

struct Up {
    address: Address,
    /// That of the address.
    ip: IpAddr,
    machine: MachineId,
    folder: PathBuf,
}

impl Up {
    async fn coordinator(&self) -> Result<Client> {
        match Client::connect(&self.address, CONNECT_DEADLINE).await {
            Ok(client) => {
                answer(format_args!("a coordinator runs at {}", self.address));
                return Ok(client);
            }
            // Its port is free.
            Err(MeetError::Nobody { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let port = self.address.port.to_string();
        let ip = self.ip.to_string();
        let arguments = ["--port", &port, "--interface", &ip];
        let mut child = self.spawn("coordinator", &self.folder, &arguments)?;
        let until = Instant::now() + DEADLINE;
        loop {
            // Asked before the connection: another one may have been faster to the port, which serves as well.
            let ended = child.ended()?;
            match Client::connect(&self.address, CONNECT_DEADLINE).await {
                Ok(client) => {
                    answer(format_args!("started a coordinator at {}", self.address));
                    return Ok(client);
                }
                Err(_) if ended.is_some() => return Err(child.dead(ended)),
                Err(_) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(child.late(&error.to_string())),
            }
        }
    }

    async fn daemon(&self, client: &Client) -> Result<()> {
        if self.connected(client).await?.is_some() {
            answer(format_args!("a daemon runs as machine {}", self.machine));
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
        // Where its nodes' log files go, too.
        let folder = made(self.folder.join(self.machine.as_str()))?;
        let mut child = self.spawn("daemon", &folder, &arguments)?;
        let until = Instant::now() + DEADLINE;
        loop {
            // As above: another one may have taken the machine id.
            let ended = child.ended()?;
            match self.connected(client).await? {
                Some(process) if process == child.child.id() => {
                    answer(format_args!("started a daemon as machine {}", self.machine));
                    return Ok(());
                }
                Some(_) => {
                    // Ours would wait to be refused, and for ever if the coordinator ends before that.
                    child.end();
                    answer(format_args!("a daemon runs as machine {}", self.machine));
                    return Ok(());
                }
                None if ended.is_some() => return Err(child.dead(ended)),
                None => {}
            }
            if Instant::now() >= until {
                return Err(child.late("it has not registered with the coordinator"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The process of the daemon that has the machine id, if one is connected.
    async fn connected(&self, client: &Client) -> Result<Option<u32>> {
        let status = client.status().await?;
        let mut daemons = status.daemons.iter();
        let found =
            daemons.find(|daemon| daemon.machine == self.machine && daemon.reach != Reach::Lost);
        Ok(found.map(|daemon| daemon.info.pid))
    }

    /// Starts this program with other arguments in a folder, apart from the terminal.
    fn spawn(&self, role: &'static str, folder: &Path, arguments: &[&str]) -> Result<Background> {
        let log = folder.join(format!("{role}.log"));
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
            .current_dir(folder)
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
    /// How it ended, if it has.
    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let ended = self.child.try_wait();
        ended.wrap_err_with(|| format!("the {} cannot be watched", self.role))
    }

    /// Ends it, unless it has ended.
    fn end(&mut self) {
        // The only failure is that it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn dead(&self, ended: Option<ExitStatus>) -> eyre::Report {
        let how = ended.map_or_else(String::new, |status| format!(" ({status})"));
        eyre!(
            "the {} has ended at once{how}; {} says:\n{}",
            self.role,
            self.log.display(),
            said(&self.log, self.begin)
        )
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
