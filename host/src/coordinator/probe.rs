//! Whether a daemon that reports also hears: after a connection was lost and has come back, one way may stay deaf until the
//! daemon takes queries anew, which it does when it registers. Pure.
//!
//! Invariant: after each registration a daemon is asked until it has answered once; one that goes on reporting while what it
//! is asked stays unanswered is told to register again.

use super::event::Action;
use super::state::{About, State};
use crate::control::{DaemonRequest, Epoch, SendId};
use crate::ids::MachineId;
use std::time::Duration;

/// So many queries in a row without an answer are no accident.
const DEAF: u32 = 2;

/// What is known of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe {
    send: Option<SendId>,
    /// When it is asked next; `None` when it need not be.
    next: Option<Duration>,
    /// Queries in a row that were not answered.
    unanswered: u32,
}

impl Probe {
    /// It has registered.
    pub fn begin(&mut self, now: Duration) {
        *self = Self {
            send: None,
            next: Some(now),
            unanswered: 0,
        };
    }

    /// What came of any query; `next` is when a further one may be sent.
    pub fn asked(&mut self, send: SendId, answered: bool, next: Duration) {
        let probed = self.send == Some(send);
        if probed {
            self.send = None;
        }
        if answered {
            self.next = None;
            self.unanswered = 0;
        } else {
            self.unanswered = self.unanswered.saturating_add(1);
            if probed {
                self.next = Some(next);
            }
        }
    }

    /// It reports; whether it is to register anew.
    pub fn is_deaf(&self) -> bool {
        self.unanswered >= DEAF
    }

    fn due(&self) -> Option<Duration> {
        self.next.filter(|_| self.send.is_none())
    }
}

impl State {
    /// Asks those that have registered and not answered yet.
    pub(super) fn probe(&mut self, now: Duration, out: &mut Vec<Action>) {
        let machines = self.machines.iter().filter(|(_, known)| !known.lost);
        let due = machines.filter(|(_, known)| known.probe.due().is_some_and(|at| now >= at));
        let due: Vec<(MachineId, Epoch)> = due
            .map(|(machine, known)| (machine.clone(), known.epoch))
            .collect();
        for (machine, epoch) in due {
            let send = self.send(&machine, epoch, About::Probe, DaemonRequest::Ping, out);
            if let Some(known) = self.machines.get_mut(&machine) {
                known.probe.send = Some(send);
            }
        }
    }

    /// When the first is to be asked.
    pub(super) fn next_probe(&self) -> Option<Duration> {
        let machines = self.machines.values().filter(|known| !known.lost);
        machines.filter_map(|known| known.probe.due()).min()
    }
}
