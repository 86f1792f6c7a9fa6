//! The end of a daemon: stops its nodes, tells the coordinator, leaves. Pure.

use super::event::{Action, Exit};
use super::share::Share;
use super::state::{State, turn};
use crate::control::{CoordinatorRequest, SendId};
use std::time::Duration;

/// The daemon is to end.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    why: Exit,
    /// Set once nothing runs: until when the coordinator is told.
    pub farewell: Option<Duration>,
    /// The farewell, once it was said.
    leave: Option<SendId>,
}

impl State {
    /// The coordinator will not have this daemon: nodes must not go on without anybody who can stop them.
    pub(super) fn refused(&mut self, why: Exit, now: Duration, out: &mut Vec<Action>) {
        self.link.registered = None;
        self.shutdown(self.timing.undo, why, now, out);
    }

    pub(super) fn shutdown(
        &mut self,
        grace: Duration,
        why: Exit,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let grace = match self.ending.is_none() {
            true => Some(grace),
            false => None,
        };
        let mut turn = turn(now, &self.timing, &self.machine, out);
        for share in self.shares.values_mut() {
            share.stop(0, grace, &mut turn);
        }
        if let Some(ending) = &mut self.ending {
            ending.farewell = Some(now);
            return;
        }
        self.ending = Some(Ending {
            why,
            farewell: None,
            leave: None,
        });
    }

    /// Ends once nothing runs and the coordinator knows, or cannot be told.
    pub(super) fn end(&mut self, now: Duration, out: &mut Vec<Action>) {
        if !self.shares.values().all(Share::is_ended) {
            return;
        }
        let unheard = self.changed().next().is_some();
        let registered = self.link.registered.is_some();
        let farewell = self.timing.farewell;
        let Some(ending) = &mut self.ending else {
            return;
        };
        let until = *ending.farewell.get_or_insert(now + farewell);
        if !registered || now >= until {
            self.exit(out);
        } else if !unheard && ending.leave.is_none() {
            let request = CoordinatorRequest::Leave {
                machine: self.machine.clone(),
                epoch: self.epoch,
            };
            let send = self.send(request, out);
            if let Some(ending) = &mut self.ending {
                ending.leave = Some(send);
            }
        }
    }

    /// Whether that was the farewell: then there is nothing left to do.
    pub(super) fn left(&mut self, send: SendId, out: &mut Vec<Action>) -> bool {
        let left = self
            .ending
            .as_ref()
            .is_some_and(|it| it.leave == Some(send));
        if left {
            self.exit(out);
        }
        left
    }

    fn exit(&mut self, out: &mut Vec<Action>) {
        if let Some(ending) = self.ending.take() {
            out.push(Action::Exit(ending.why));
            self.exited = true;
        }
    }
}
