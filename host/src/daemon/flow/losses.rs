//! Losses, said at most once a second for each place where they happen.

use crate::ids::NodeId;
use crate::local::DataflowLog;
use crate::logs::Level;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts what goes wrong at one place and says so.
pub(super) struct Losses {
    log: DataflowLog,
    node: NodeId,
    state: Mutex<State>,
}

impl std::fmt::Debug for Losses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Losses").field(&self.node).finish()
    }
}

#[derive(Default)]
struct State {
    said: Option<Instant>,
    /// Not said yet: how many, and what came last.
    unsaid: u64,
    text: String,
}

impl Losses {
    pub fn new(log: DataflowLog, node: NodeId) -> Self {
        Self {
            log,
            node,
            state: Mutex::default(),
        }
    }

    /// Counts `messages` and says so unless something was said just now. Any thread; does not wait. `text` follows the
    /// number of messages.
    pub fn count(&self, messages: u64, text: &str) {
        // Nothing panics while it holds the lock.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid += messages;
        text.clone_into(&mut state.text);
        if state.said.is_none_or(|said| said.elapsed() >= PAUSE) {
            self.say(&mut state);
        }
    }

    /// Says what was not said yet.
    pub fn flush(&self) {
        // As above.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.unsaid > 0 {
            self.say(&mut state);
        }
    }

    fn say(&self, state: &mut State) {
        let messages = match std::mem::take(&mut state.unsaid) {
            1 => "1 message".to_owned(),
            number => format!("{number} messages"),
        };
        state.said = Some(Instant::now());
        let text = format!("{messages} {}", state.text);
        self.log.say(Level::Warn, Some(&self.node), text);
    }
}
