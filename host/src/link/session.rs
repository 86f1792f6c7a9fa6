//! One session per process, and how it is opened in each of the three roles.
//!
//! Invariant: the engine is opened and closed on threads of its own, because it refuses to wait within a runtime of one
//! thread, which ours is. A coordinator and a daemon answer the greeting from the moment they are open.

use super::address::{Address, is_free};
use super::data::{Granter, Room, SharedMemory};
use super::meet::{self, MeetError};
use super::refused::{OpenError, Taker};
use super::ways::Ways;
use super::{LinkError, config, quiet};
use crate::control::Hello;
use crate::sys::listener;
use serde_json::Value;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use zenoh::query::Queryable;
use zenoh::{Session, Wait};

/// A closed session is held for so long. The engine finds its routes anew a tenth of a second after each connection has
/// ended; a task of its own that lets go of the session last, at that moment, waits for itself for ten seconds and blocks a
/// thread that all sessions of the process share.
const UNWIND: Duration = Duration::from_millis(400);

/// How long the one who holds a port is given to say who it is.
const WHO_IS_IT: Duration = Duration::from_millis(1_000);

/// This process's place in the network. Clones are the same session; it ends with [`Link::close`] or the last clone.
/// Any thread.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

/// The session is dropped last of all that belongs to it: the engine refuses to end within a runtime of one thread, and
/// ends with the last that holds it. So what is declared on a session holds the link, too.
struct Inner {
    /// The greeting's answer; a client gives none.
    greeting: Mutex<Option<Queryable<()>>>,
    session: Held,
    me: Hello,
    /// Where a daemon looks for its coordinator.
    coordinator: Option<Address>,
    /// Where it listens, if it does.
    port: Option<u16>,
    ways: Arc<Ways>,
    memory: Arc<SharedMemory>,
    room: Arc<Room>,
    /// Started by the first reader that gives credits.
    granter: OnceLock<Arc<Granter>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(granter) = self.granter.get() {
            granter.end();
        }
    }
}

/// A session whose end never blocks whoever drops it.
pub(super) struct Held(pub(super) Option<Session>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            quiet::closing();
            // Without a thread it ends here.
            let _ = std::thread::Builder::new()
                .name("dora-link-close".into())
                .spawn(move || {
                    // What is wrong with a session that ends is of no use to anybody.
                    let _ = session.close().wait();
                    std::thread::sleep(UNWIND);
                    drop(session);
                });
        }
    }
}

/// How a daemon takes part.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// Where the coordinator is, or will be.
    pub coordinator: Address,
    /// The address that other daemons reach this one at; port 0 for any.
    pub listen: SocketAddr,
    /// Whether daemons may connect to each other directly; without it, data go through the coordinator.
    pub direct: bool,
    /// Whether large messages may go through shared memory to daemons on the same host.
    pub shared_memory: bool,
}

impl Link {
    /// Opens the coordinator's session on an address, port 0 for any free one, and says which port it is.
    ///
    /// # Errors
    /// The port is taken, the address is none of this machine's, or the engine refuses.
    pub async fn coordinator(
        address: IpAddr,
        port: u16,
        me: Hello,
    ) -> Result<(Self, u16), OpenError> {
        let address = SocketAddr::new(address, port);
        listenable(address).await?;
        let opened = open(config::coordinator(address)).await;
        let opened = opened.map_err(OpenError::Engine)?;
        let nowhere = || OpenError::Engine("it listens nowhere".into());
        let port = opened.port.ok_or_else(nowhere)?;
        let link = Self::answering(opened, me, None, SharedMemory::off())?;
        Ok((link, port))
    }

    /// Opens a daemon's session, which looks for its coordinator from now on; see [`Link::meet`].
    ///
    /// # Errors
    /// The address cannot be listened on, or the engine refuses.
    pub async fn daemon(options: &DaemonOptions, me: Hello) -> Result<Self, OpenError> {
        listenable(options.listen).await?;
        let config = config::daemon(&options.coordinator, options.listen, options.direct);
        let opened = open(config).await.map_err(OpenError::Engine)?;
        let memory = match options.shared_memory {
            true => SharedMemory::new(),
            false => SharedMemory::off(),
        };
        Self::answering(opened, me, Some(options.coordinator.clone()), memory)
    }

    /// Connects to a coordinator as the `dora` command and greets it.
    ///
    /// # Errors
    /// There is no coordinator of a fitting version that answers before the deadline.
    pub async fn client(
        coordinator: &Address,
        me: Hello,
        deadline: Duration,
    ) -> Result<(Self, Hello), MeetError> {
        let began = Instant::now();
        let until = began + deadline;
        let opened = tokio::time::timeout(deadline, open(config::client(coordinator))).await;
        let Opened { session, ways, .. } = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) | Err(_) => {
                return Err(meet::explain(coordinator, began.elapsed(), until).await);
            }
        };
        let link = Self(Arc::new(Inner {
            session,
            me,
            greeting: Mutex::new(None),
            coordinator: Some(coordinator.clone()),
            port: None,
            ways,
            memory: Arc::new(SharedMemory::off()),
            room: Arc::new(Room::new()),
            granter: OnceLock::new(),
        }));
        let hello = link.greet(coordinator, until).await;
        match hello {
            Ok(hello) => Ok((link, hello)),
            Err(error) => {
                link.close().await;
                Err(error)
            }
        }
    }

    /// Waits until the daemon's coordinator answers, and says who it is. May be called again whenever it is gone.
    ///
    /// # Errors
    /// There is no coordinator of a fitting version that answers before the deadline.
    pub async fn meet(&self, deadline: Duration) -> Result<Hello, MeetError> {
        let Some(coordinator) = &self.0.coordinator else {
            return Err(MeetError::Engine("this process has no coordinator".into()));
        };
        meet::daemon(self, coordinator, Instant::now() + deadline).await
    }

    /// Ends the session: everything that was declared on it is gone for the others when this returns.
    pub async fn close(&self) {
        if let Some(session) = self.0.session.0.clone() {
            quiet::closing();
            // Other clones of the link may live on; they only get errors.
            apart(move || drop(session.close().wait())).await;
        }
    }

    /// The port that others reach this process on; `None` for a client.
    pub fn port(&self) -> Option<u16> {
        self.0.port
    }

    /// Who this process says it is.
    pub fn me(&self) -> &Hello {
        &self.0.me
    }

    /// Whether a connection goes straight to another process.
    #[cfg(test)]
    pub(super) async fn is_linked_to(&self, other: &Self) -> bool {
        let (Ok(here), Ok(there)) = (self.session(), other.session()) else {
            return false;
        };
        let (here, there) = (here.clone(), there.clone());
        let linked = apart(move || {
            let id = there.info().zid().wait();
            here.info().routers_zid().wait().any(|router| router == id)
        });
        linked.await.unwrap_or_default()
    }

    pub(super) fn session(&self) -> Result<&Session, LinkError> {
        let open = self
            .0
            .session
            .0
            .as_ref()
            .filter(|session| !session.is_closed());
        open.ok_or_else(|| LinkError::new("cannot use", "the network", "it was closed"))
    }

    /// A count that rises when a connection to a coordinator or daemon was lost and came back, or came when another had
    /// just been lost. What was declared before may be unknown at the other end then; a quarter of a second later it can
    /// be declared anew.
    pub fn reconnections(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.ways.again()
    }

    /// Waits until messages take the ways that they will keep while no connection changes, or until the deadline.
    pub(super) async fn settled(&self, until: Instant) {
        self.0.ways.settled(until).await;
    }

    /// What answers greetings; see [`Link::renew_greeting`].
    pub(super) fn greeting(&self) -> MutexGuard<'_, Option<Queryable<()>>> {
        let greeting = self.0.greeting.lock();
        greeting.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn memory(&self) -> &Arc<SharedMemory> {
        &self.0.memory
    }

    pub(super) fn room(&self) -> &Arc<Room> {
        &self.0.room
    }

    pub(super) fn granter(&self) -> Result<&Arc<Granter>, LinkError> {
        if let Some(granter) = self.0.granter.get() {
            return Ok(granter);
        }
        let started = Granter::start(self.session()?.clone());
        let started = started.map_err(|error| LinkError::new("cannot start", "a thread", error))?;
        let granter = self.0.granter.get_or_init(|| started.clone());
        if !Arc::ptr_eq(granter, &started) {
            // Another thread was faster.
            started.end();
        }
        Ok(granter)
    }

    fn answering(
        opened: Opened,
        me: Hello,
        coordinator: Option<Address>,
        memory: SharedMemory,
    ) -> Result<Self, OpenError> {
        let Opened {
            session,
            port,
            ways,
        } = opened;
        let link = Self(Arc::new(Inner {
            session,
            me,
            greeting: Mutex::new(None),
            coordinator,
            port,
            ways,
            memory: Arc::new(memory),
            room: Arc::new(Room::new()),
            granter: OnceLock::new(),
        }));
        let greeted = link.renew_greeting();
        greeted.map_err(|error| OpenError::Engine(error.to_string()))?;
        Ok(link)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.0.me).finish()
    }
}

/// Runs something that may block, on a thread of its own. `None` when it panicked or there is no thread.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("dora-link".into());
    thread
        .spawn(move || {
            // Nobody may wait for it any more.
            let _ = sender.send(work());
        })
        .ok()?;
    receiver.await.ok()
}

/// A session that was just opened.
struct Opened {
    session: Held,
    /// Where it listens, if it does.
    port: Option<u16>,
    ways: Arc<Ways>,
}

async fn open(config: Value) -> Result<Opened, String> {
    let opened = apart(move || {
        let config = config::parsed(&config)?;
        let session = zenoh::open(config)
            .wait()
            .map_err(|error| error.to_string())?;
        let locators = session.info().locators().wait();
        let port = locators.iter().find_map(|locator| {
            let address = locator.address();
            address.as_str().rsplit_once(':')?.1.parse().ok()
        });
        let ways = Ways::of(&session).map_err(|error| error.to_string())?;
        Ok(Opened {
            session: Held(Some(session)),
            port,
            ways,
        })
    });
    opened
        .await
        .unwrap_or_else(|| Err("no thread for it".into()))
}

async fn listenable(address: SocketAddr) -> Result<(), OpenError> {
    let Err(error) = is_free(address) else {
        return Ok(());
    };
    if error.kind() != io::ErrorKind::AddrInUse {
        return Err(OpenError::Address {
            address,
            reason: error.to_string(),
        });
    }
    let by = meet::who_is_at(&Address::from(address), WHO_IS_IT).await;
    let by = match by {
        Some(hello) => Taker::Dora(Box::new(hello)),
        None => Taker::Other(listener::at(address)),
    };
    Err(OpenError::PortTaken { address, by })
}
