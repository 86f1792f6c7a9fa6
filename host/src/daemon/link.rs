//! The daemon's side of its connection to a coordinator: registers, reports, notices that nobody answers. Pure.
//!
//! Invariant: one exchange at a time, so answers cannot be confused; whatever is not acknowledged is said again.

use super::event::Note;
use crate::control::{Epoch, SendId, Timing};
use std::time::Duration;

/// Changes that come closer together are told together.
const GATHER: Duration = Duration::from_millis(10);

#[derive(Debug, Clone)]
pub(super) struct Link {
    /// The coordinator whose orders are obeyed.
    pub registered: Option<Epoch>,
    /// The exchange under way.
    under_way: Option<SendId>,
    /// When the next is due even if there is nothing to say.
    next: Duration,
    /// Before that none begins, whatever there is to say.
    not_before: Duration,
    /// When the last answer came.
    heard: Duration,
    lost: bool,
}

/// What the next exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Register,
    Report,
}

impl Link {
    pub fn new() -> Self {
        Self {
            registered: None,
            under_way: None,
            next: Duration::ZERO,
            not_before: Duration::ZERO,
            heard: Duration::ZERO,
            lost: false,
        }
    }

    /// The exchange that is to begin now. `changed`: there is something to say.
    pub fn due(&self, now: Duration, changed: bool) -> Option<Due> {
        let at = self.next_deadline(changed)?;
        let due = match self.registered {
            None => Due::Register,
            Some(_) => Due::Report,
        };
        (now >= at).then_some(due)
    }

    /// When the next exchange is to begin, if none is under way.
    pub fn next_deadline(&self, changed: bool) -> Option<Duration> {
        let at = match changed && self.registered.is_some() {
            true => self.not_before,
            false => self.next.max(self.not_before),
        };
        self.under_way.is_none().then_some(at)
    }

    pub fn began(&mut self, send: SendId) {
        self.under_way = Some(send);
    }

    /// Whether this is the answer that is waited for; then nothing is under way any more.
    pub fn ends(&mut self, send: SendId) -> bool {
        let ends = self.under_way == Some(send);
        if ends {
            self.under_way = None;
        }
        ends
    }

    /// An answer came. `pause`: until the next exchange, unless there is something to say.
    pub fn heard(&mut self, now: Duration, pause: Duration) -> Option<Note> {
        self.heard = now;
        self.next = now + pause;
        self.not_before = now + GATHER;
        let back = std::mem::take(&mut self.lost);
        back.then_some(Note::CoordinatorBack)
    }

    /// No answer came.
    pub fn unheard(&mut self, now: Duration, timing: &Timing) -> Option<Note> {
        self.next = now + timing.retry;
        self.not_before = self.next;
        self.check_lost(now, timing)
    }

    fn check_lost(&mut self, now: Duration, timing: &Timing) -> Option<Note> {
        let lost = self.registered.is_some() && now >= self.heard + timing.lost;
        if lost && !self.lost {
            self.lost = true;
            return Some(Note::CoordinatorLost);
        }
        None
    }

    /// The coordinator does not know this daemon: registers at once.
    pub fn unknown(&mut self, now: Duration) {
        self.registered = None;
        self.appeared(now);
    }

    /// A coordinator has appeared: speaks to it at once.
    pub fn appeared(&mut self, now: Duration) {
        self.next = now;
        self.not_before = now;
    }
}
