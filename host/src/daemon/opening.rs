//! How a daemon is opened: where it listens, who it says it is.

use super::act::Parts;
use super::check::Checker;
use super::driver::Daemon;
use super::fallen;
use super::inbox;
use super::latest::Latest;
use super::local_port;
use super::news::News;
use super::options::{Listening, OpenError, Options, is_beyond_loopback, listening};
use super::state::State;
use crate::control::{Epoch, Hello, MachineInfo, PROTOCOL, Role};
use crate::guard::{self, Life};
use crate::link::{Address, DaemonOptions, Link, Sender, has_shared_memory, local_address_towards};
use crate::local;
use crate::logs::{Level, LogHub, Record};
use crate::sys::host_name;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How long a coordinator that is not waited for has to answer.
const ANSWER: Duration = Duration::from_secs(3);

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// See [`Daemon::open`].
pub(super) async fn open(options: Options, hub: LogHub) -> Result<Daemon, OpenError> {
    let epoch = Epoch::new();
    let fallen = fallen::lives(&options.machine, &hub);
    guard::tell_life(&Life {
        who: format!("the daemon of machine `{}`", options.machine),
        epoch: epoch.uuid().to_string(),
        out: Some(options.out.clone()),
    });
    let (listening, reached) = place(&options).await.map_err(OpenError::Thread)?;
    let me = Hello {
        role: Role::Daemon,
        protocol: PROTOCOL,
        version: VERSION.into(),
        machine: Some(options.machine.clone()),
        epoch: Some(epoch),
    };
    let link_options = DaemonOptions {
        coordinator: options.coordinator.clone(),
        listen: listening.address,
        direct: listening.relayed.is_none(),
        shared_memory: shares_memory(&hub),
    };
    let link = Link::daemon(&link_options, me).await?;
    let opened = finish(options, hub, &link, epoch, &listening, reached).await;
    let opened = opened.map(|daemon| daemon.after(fallen));
    if opened.is_err() {
        link.close().await;
    }
    opened
}

/// Whether large messages may go through shared memory, for which there must be room.
fn shares_memory(hub: &LogHub) -> bool {
    let shares = has_shared_memory();
    if !shares {
        let text =
            "there is no room for shared memory: large messages to daemons on this host are copied";
        hub.submit(Record::new(Level::Warn, "dora", text));
    }
    shares
}

async fn finish(
    options: Options,
    hub: LogHub,
    link: &Link,
    epoch: Epoch,
    listening: &Listening,
    reached: IpAddr,
) -> Result<Daemon, OpenError> {
    if !options.wait {
        link.meet(ANSWER).await?;
    }
    let launcher = local::launcher(options.launch, &hub);
    let port = local_port::open(options.local_port);
    let local = port.and_then(|listener| launcher.nodes().serve(listener));
    let local = local.map_err(OpenError::Local)?;
    let at = SocketAddr::new(reached, link.port().unwrap_or_default());
    let info = MachineInfo {
        protocol: PROTOCOL,
        version: VERSION.into(),
        host: host_name::get(),
        pid: crate::guard::process_id(),
        address: match listening.relayed {
            None => format!("tcp/{at}"),
            Some(_) => String::new(),
        },
        labels: options.labels,
    };
    let news = first_news(options.local_port, local, listening, at);
    let state = State::new(options.machine.clone(), epoch, info, options.timing.clone());
    Ok(Daemon {
        checker: Checker {
            machine: options.machine.clone(),
            folder: options.folder.into(),
            loader: Arc::new(local::loader(&hub)),
            launcher,
        },
        machine: options.machine,
        epoch,
        coordinator: options.coordinator,
        query: options.timing.query,
        search: options.timing.spawn,
        out: options.out.into(),
        hub,
        link: link.clone(),
        state,
        sender: Sender::new("dora-looks").map_err(OpenError::Thread)?,
        inbox: mpsc::channel(inbox::WAITING),
        members: Arc::new(Latest::new(super::driver::MEMBERS)),
        local,
        news,
        born: Instant::now(),
        parts: Parts::new(),
    })
}

fn first_news(wanted: u16, local: SocketAddr, listening: &Listening, at: SocketAddr) -> Vec<News> {
    let mut news = Vec::new();
    if is_beyond_loopback(listening.address) {
        news.push(News::Listening(at));
    }
    news.extend(listening.relayed.clone().map(News::Relayed));
    let used = local.port();
    if wanted != 0 && used != wanted {
        news.push(News::LocalPort { wanted, used });
    }
    news
}

/// Where it listens, and by which address others reach it there. Asks the resolver, on a thread of its own.
async fn place(options: &Options) -> io::Result<(Listening, IpAddr)> {
    let (coordinator, listen) = (options.coordinator.clone(), options.listen);
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("dora-resolve".into());
    thread.spawn(move || {
        let listening = listening(&coordinator, listen);
        let reached = reached(listening.address.ip(), &coordinator);
        // Nobody may wait for it any more.
        let _ = sender.send((listening, reached));
    })?;
    receiver.await.map_err(io::Error::other)
}

fn reached(listens: IpAddr, coordinator: &Address) -> IpAddr {
    match listens.is_unspecified() {
        true => local_address_towards(coordinator).unwrap_or(listens),
        false => listens,
    }
}
