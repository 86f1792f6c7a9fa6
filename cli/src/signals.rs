//! Ctrl-C and its relatives: SIGINT, SIGTERM and SIGHUP on Unix; Ctrl-C, Ctrl-Break and a closed console on Windows.
//!
//! Invariant: once watched, none of them ends the process by itself any more. Absent: what they lead to.

use std::io;
use std::thread;
use tokio::runtime;

/// Calls `act` in a thread of its own each time the user or the system asks this process to stop. For good.
///
/// # Errors
/// The system does not let signals be watched.
pub fn on_stop(mut act: impl FnMut() + Send + 'static) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let mut stops = {
        let _within = runtime.enter();
        system::Stops::new()?
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                loop {
                    stops.next().await;
                    act();
                }
            });
        })?;
    Ok(())
}

#[cfg(unix)]
mod system {
    use std::io;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub struct Stops {
        interrupt: Signal,
        terminate: Signal,
        hangup: Option<Signal>,
    }

    impl Stops {
        pub fn new() -> io::Result<Self> {
            let hangup = (!hangup_is_ignored()).then(|| signal(SignalKind::hangup()));
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: hangup.transpose()?,
            })
        }

        pub async fn next(&mut self) {
            let hangup = async {
                match &mut self.hangup {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = hangup => {}
            }
        }
    }

    /// Whether whoever started this process (`nohup`) wants it to go on when the terminal is closed. Systems that do
    /// not tell it in this file are taken to say no.
    fn hangup_is_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        // SIGHUP is the first signal, and the lowest bit.
        mask.is_some_and(|mask| mask & 1 != 0)
    }
}

#[cfg(windows)]
mod system {
    use std::io;
    use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};

    pub struct Stops(CtrlC, CtrlBreak, CtrlClose);

    impl Stops {
        pub fn new() -> io::Result<Self> {
            Ok(Self(ctrl_c()?, ctrl_break()?, ctrl_close()?))
        }

        pub async fn next(&mut self) {
            tokio::select! {
                _ = self.0.recv() => {}
                _ = self.1.recv() => {}
                _ = self.2.recv() => {}
            }
        }
    }
}
