//! The direct connections of this process: since when they have been the same, and which were lost and came back.
//!
//! Why that matters: the engine finds its routes anew a tenth of a second after a connection has changed. A message that
//! is sent before goes the old way and may come after one that goes the new way; and what was declared before a connection
//! was lost and back within that time is not told to the other end; nor to one that came when another had just gone, which
//! it may take for that one. Absent: what is sent or declared.

use super::LinkError;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use zenoh::config::{WhatAmI, ZenohId};
use zenoh::sample::SampleKind;
use zenoh::{Session, Wait};

/// Routes are found by then: twice the engine's own pause, and a moment.
const SETTLED: Duration = Duration::from_millis(250);
/// Processes that are remembered; with more, all are taken for new.
const MAX_KNOWN: usize = 1_024;

#[derive(Debug)]
pub(super) struct Ways {
    state: Mutex<State>,
    again: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    changed: Instant,
    /// The last time that a connection was lost.
    lost: Option<Instant>,
    /// Routers that this process has been connected to.
    known: BTreeSet<ZenohId>,
}

impl Ways {
    /// Watches the connections of a session for as long as that is open.
    pub fn of(session: &Session) -> Result<Arc<Self>, LinkError> {
        let ways = Arc::new(Self {
            state: Mutex::new(State {
                changed: Instant::now(),
                lost: None,
                known: BTreeSet::new(),
            }),
            again: watch::Sender::new(0),
        });
        let watching = ways.clone();
        let info = session.info();
        let listener = info.transport_events_listener().history(true);
        let listener = listener.callback(move |event| {
            let way = event.transport();
            if way.whatami() == WhatAmI::Router {
                watching.changed(*way.zid(), event.kind() == SampleKind::Put);
            }
        });
        let listening = listener.background().wait();
        listening.map_err(|error| LinkError::new("cannot watch", "the connections", error))?;
        Ok(ways)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, there: ZenohId, connected: bool) {
        let mut state = self.state();
        let now = Instant::now();
        state.changed = now;
        if !connected {
            state.lost = Some(now);
            return;
        }
        let in_place = state.lost.is_some_and(|lost| now < lost + SETTLED);
        if state.known.len() >= MAX_KNOWN {
            state.known.clear();
        }
        let again = !state.known.insert(there) || in_place;
        drop(state);
        if again {
            self.again.send_modify(|count| *count += 1);
        }
    }

    /// Waits until routes are as the connections are, or until the deadline.
    pub async fn settled(&self, until: Instant) {
        loop {
            let due = self.state().changed + SETTLED;
            let due = due.min(until);
            if Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due.into()).await;
        }
    }

    /// Counts connections that were lost and came back, or came in place of another.
    pub fn again(&self) -> watch::Receiver<u64> {
        self.again.subscribe()
    }
}
