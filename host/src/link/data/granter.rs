//! A thread that tells senders of credits, so that a node that takes a message does not wait for the network.
//!
//! Invariant: per reader only one credit waits, so what waits is bounded by the number of readers.

use super::credits::Credit;
use crate::link::keys::Key;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::{Session, Wait};

#[derive(Debug, Default)]
pub(in crate::link) struct Granter {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<String, Credit>,
    ended: bool,
}

impl Granter {
    /// Starts the thread, which holds the session until [`Granter::end`].
    pub fn start(session: Session) -> std::io::Result<Arc<Self>> {
        let granter = Arc::new(Self::default());
        let thread = granter.clone();
        let builder = std::thread::Builder::new().name("dora-credits".into());
        builder.spawn(move || thread.run(&session))?;
        Ok(granter)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the sender soon. Never waits.
    pub fn grant(&self, key: &Key, credit: Credit) {
        let mut state = self.state();
        match state.waiting.get_mut(key.as_str()) {
            Some(known) => known.join(credit),
            None => {
                state.waiting.insert(key.as_str().to_owned(), credit);
            }
        }
        drop(state);
        self.work.notify_one();
    }

    /// Ends the thread.
    pub fn end(&self) {
        self.state().ended = true;
        self.work.notify_one();
    }

    fn run(&self, session: &Session) {
        loop {
            let mut state = self.state();
            let (key, credit) = loop {
                if state.ended {
                    return;
                }
                if let Some(first) = state.waiting.pop_first() {
                    break first;
                }
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            let put = session.put(key, credit.encode()).express(true);
            let put = put.priority(Priority::InteractiveHigh);
            // A credit that does not arrive is asked for, but nobody is left to be asked for the last.
            let congestion = match credit == Credit::UNLIMITED {
                true => CongestionControl::Block,
                false => CongestionControl::Drop,
            };
            let _ = put.congestion_control(congestion).wait();
        }
    }
}
