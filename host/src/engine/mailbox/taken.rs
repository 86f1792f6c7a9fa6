//! Who is told when messages leave an input: what makes senders elsewhere know that there is room.
//!
//! Invariant: told outside the mailbox's lock, of every message that went in once; an input without a listener costs a
//! look at an empty field. Absent: what is made of it.

use super::{Input, Mailbox, Slot};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What has happened to an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// So many messages have left it: its node has taken them, its policy has dropped them, or there was no room.
    Messages(u64),
    /// It takes nothing any more; what was in it is gone. Once.
    Closed,
}

/// Hears of messages that leave an input. Called on the threads of senders and of the node; must not wait.
pub type OnTaken = Arc<dyn Fn(Taken) + Send + Sync>;

/// The listener of an input.
#[derive(Clone)]
pub(super) struct Listener(pub(super) OnTaken);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

/// What a listener is to be told once the lock is released.
#[derive(Debug, Default)]
pub(super) struct ToTell(Option<(Listener, Taken)>);

impl ToTell {
    pub(super) fn tell(self) {
        if let Some((Listener(hear), taken)) = self.0 {
            hear(taken);
        }
    }
}

impl Input {
    /// Messages have left it.
    pub(super) fn left(&self, messages: u64) -> ToTell {
        let listener = self.listener.as_ref();
        ToTell(listener.map(|listener| (listener.clone(), Taken::Messages(messages))))
    }

    /// Nothing goes in any more.
    pub(super) fn shut(&mut self) -> ToTell {
        (self.shut, self.closing) = (true, false);
        let listener = self.listener.take();
        ToTell(listener.map(|listener| (listener, Taken::Closed)))
    }
}

/// Hears of messages after so many others, which come out first.
fn after(others: u64, listener: OnTaken) -> OnTaken {
    if others == 0 {
        return listener;
    }
    let left = AtomicU64::new(others);
    Arc::new(move |taken| {
        let Taken::Messages(messages) = taken else {
            return listener(taken);
        };
        let less = |left: u64| Some(left.saturating_sub(messages));
        let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let own = messages.saturating_sub(before.unwrap_or_default());
        if own > 0 {
            listener(Taken::Messages(own));
        }
    })
}

impl Mailbox {
    /// Tells somebody of the messages that leave an input from now on, instead of whoever was told before, but for those
    /// that are in: those are another's. That it is shut it tells also when it is so already.
    pub fn on_taken(&self, slot: Slot, listener: OnTaken) {
        let told = self.change(slot, |input| {
            if input.shut {
                return ToTell(Some((Listener(listener), Taken::Closed)));
            }
            let held = input.queue.len() + input.lent;
            input.listener = Some(Listener(after(held as u64, listener)));
            ToTell::default()
        });
        told.unwrap_or_default().tell();
    }
}
