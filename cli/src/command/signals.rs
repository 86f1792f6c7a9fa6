//! The signals by which a user or the system asks this process to end.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// How often this process itself was asked to end.
static OWN: AtomicU64 = AtomicU64::new(0);
/// How often that has been told by [`Signals::next`].
static TOLD: AtomicU64 = AtomicU64::new(0);

/// Ctrl-C and its relatives: SIGINT, SIGTERM and SIGHUP on Unix; Ctrl-C, Ctrl-Break, the console's closing, log-off and
/// shutdown on Windows. Those that the guard passes on count too; what both get is one.
pub struct Signals {
    inner: Inner,
    guard: watch::Receiver<u64>,
}

#[cfg(unix)]
struct Inner {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` when whoever started this process wants it to outlive the terminal.
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(windows)]
struct Inner {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    log_off: tokio::signal::windows::CtrlLogoff,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

impl Signals {
    /// Takes the signals over from here on.
    #[cfg(unix)]
    pub fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = (!hang_up_is_ignored()).then(|| signal(SignalKind::hangup()));
        Ok(Self::with(Inner {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: hang_up.transpose()?,
        }))
    }

    /// Takes the signals over from here on.
    #[cfg(windows)]
    pub fn new() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self::with(Inner {
            ctrl_c: windows::ctrl_c()?,
            ctrl_break: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
            log_off: windows::ctrl_logoff()?,
            shutdown: windows::ctrl_shutdown()?,
        }))
    }

    /// The guard passes signals on only when this process can take them.
    fn with(inner: Inner) -> Self {
        let guard = host::guard::requests();
        Self { inner, guard }
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        loop {
            let passed_on = *self.guard.borrow_and_update();
            let asked = passed_on.max(OWN.load(Ordering::Relaxed));
            if asked > TOLD.load(Ordering::Relaxed) {
                TOLD.fetch_add(1, Ordering::Relaxed);
                return;
            }
            tokio::select! {
                () = self.inner.next() => {
                    OWN.fetch_add(1, Ordering::Relaxed);
                }
                // The sender is never dropped.
                _ = self.guard.changed() => {}
            }
        }
    }
}

impl Inner {
    #[cfg(unix)]
    async fn next(&mut self) {
        let Inner {
            interrupt,
            terminate,
            hang_up,
        } = self;
        let hang_up = async {
            match hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up => {}
        }
    }

    #[cfg(windows)]
    async fn next(&mut self) {
        let Inner {
            ctrl_c,
            ctrl_break,
            close,
            log_off,
            shutdown,
        } = self;
        tokio::select! {
            _ = ctrl_c.recv() => {}
            _ = ctrl_break.recv() => {}
            _ = close.recv() => {}
            _ = log_off.recv() => {}
            _ = shutdown.recv() => {}
        }
    }
}

/// Whether this process was started to go on when the terminal is closed, as by `nohup`. Systems that do not tell it in
/// this file are taken to say no.
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is the first signal, and the lowest bit.
    mask.is_some_and(|mask| mask & 1 != 0)
}
