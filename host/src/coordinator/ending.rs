//! The end of the coordinator: first the dataflows, then the daemons, then itself. Pure.

use super::event::Action;
use super::machine::Machine;
use super::state::{About, State};
use crate::control::{DaemonRequest, Epoch, StartError, Timing};
use crate::ids::MachineId;
use std::time::Duration;

/// The coordinator is to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// Whether daemons end as well.
    pub daemons: bool,
    /// Dataflows have until then, and after that the daemons.
    pub until: Duration,
    /// All dataflows are over.
    pub stopped: bool,
    /// Since when all daemons have ended, too.
    over: Option<Duration>,
}

impl Ending {
    /// When the next step is due.
    pub fn next_deadline(&self, timing: &Timing) -> Duration {
        match self.over {
            Some(since) => since + timing.poll,
            None => self.until,
        }
    }
}

impl State {
    pub(super) fn shutdown(&mut self, stop_dataflows: bool, now: Duration, out: &mut Vec<Action>) {
        if self.ending.is_some() || !stop_dataflows {
            self.exit(now, out);
        } else {
            self.begin_end(false, now);
        }
    }

    /// Begins to end: stops everything.
    pub(super) fn begin_end(&mut self, daemons: bool, now: Duration) {
        if let Some(ending) = &mut self.ending {
            ending.daemons |= daemons;
            return;
        }
        let grace = self.timing.grace;
        for dataflow in self.live.values_mut() {
            if let Some(then) = dataflow.then.take() {
                let error = StartError::CoordinatorEnds;
                self.clients.refuse(then.dataflow, error);
            }
            dataflow.ask_stop(grace, false, now, &self.timing);
        }
        self.ending = Some(Ending {
            daemons,
            until: now + grace + self.timing.stop,
            stopped: false,
            over: None,
        });
    }

    /// Tells the daemons to end once all dataflows have.
    pub(super) fn end(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        if !ending.stopped && (self.live.is_empty() || now >= ending.until) {
            ending.stopped = true;
            ending.until = now + self.timing.stop;
        }
        if !ending.stopped || !ending.daemons {
            return;
        }
        let due = self.exits().filter(|(.., at)| now >= *at);
        let due: Vec<(MachineId, Epoch)> = due.map(|(id, it, _)| (id.clone(), it.epoch)).collect();
        for (machine, epoch) in due {
            let coordinator = self.epoch;
            let request = DaemonRequest::Exit { coordinator };
            let send = self.send(&machine, epoch, About::Exit, request, out);
            if let Some(known) = self.machines.get_mut(&machine) {
                known.exit.send = Some(send);
            }
        }
    }

    /// Daemons that are to be told to end, and when.
    fn exits(&self) -> impl Iterator<Item = (&MachineId, &Machine, Duration)> {
        let told = |known: &Machine| known.lost || known.ends || known.exit.send.is_some();
        let machines = self.machines.iter().filter(move |(_, known)| !told(known));
        machines.map(|(machine, known)| (machine, known, known.exit.next))
    }

    pub(super) fn next_exit(&self) -> Option<Duration> {
        let daemons = self.ending.is_some_and(|it| it.stopped && it.daemons);
        self.exits().map(|(.., at)| at).min().filter(|_| daemons)
    }

    /// Daemons that are heard of and have not ended.
    pub(super) fn staying(&self) -> Vec<MachineId> {
        let stays = self.machines.iter().filter(|(_, known)| !known.lost);
        stays.map(|(machine, _)| machine.clone()).collect()
    }

    pub(super) fn ending_is_over(&mut self, now: Duration) -> bool {
        let staying = !self.staying().is_empty();
        let heard = self.clients.await_end();
        let poll = self.timing.poll;
        let Some(ending) = self.ending.as_mut().filter(|ending| ending.stopped) else {
            return false;
        };
        if !ending.daemons {
            return true;
        }
        if ending.over.is_none() && staying && now < ending.until {
            return false;
        }
        // The command that has asked for it is answered, if it is there.
        let since = *ending.over.get_or_insert(now);
        heard || now >= since + poll
    }

    pub(super) fn exit(&mut self, now: Duration, out: &mut Vec<Action>) {
        self.farewell(now, out);
        out.push(Action::Exit);
        self.exited = true;
    }
}
