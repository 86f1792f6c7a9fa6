//! The daemons that the coordinator knows. Pure.
//!
//! Invariant: a machine id belongs to one life of a daemon at a time; another life gets it only when the first has not
//! shown that it lives.

use super::claim::{Claim, Verdict};
use super::event::{Action, Note};
use super::probe::Probe;
use super::share::{Outgoing, Share};
use super::state::State;
use crate::control::{
    CallId, CoordinatorReply, CoordinatorRequest, Epoch, Fallen, Hello, MachineInfo, PROTOCOL,
    Reach, Register, Role, ShareStatus,
};
use crate::ids::{DataflowId, MachineId};
use std::collections::BTreeMap;
use std::time::Duration;

/// A machine's daemon.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub epoch: Epoch,
    pub info: MachineInfo,
    /// When it was heard of last.
    pub heard: Duration,
    /// Its token is gone.
    pub suspect: bool,
    pub lost: bool,
    /// Shares that it holds of dataflows that should not be there.
    pub leftovers: BTreeMap<DataflowId, Leftover>,
    pub claim: Option<Claim>,
    /// The order to end the process.
    pub exit: Outgoing,
    /// It has said that it ends.
    pub ends: bool,
    pub probe: Probe,
}

#[derive(Debug, Clone)]
pub(super) struct Leftover {
    pub status: ShareStatus,
    pub out: Outgoing,
}

impl Machine {
    pub fn reach(&self) -> Reach {
        match (self.lost, self.suspect) {
            (true, _) => Reach::Lost,
            (false, true) => Reach::Suspect,
            (false, false) => Reach::Connected,
        }
    }
}

impl State {
    /// A query of a daemon.
    pub(super) fn daemon(
        &mut self,
        call: CallId,
        request: CoordinatorRequest,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let reply = match request {
            CoordinatorRequest::Register(register) => self.register(*register, now, out),
            CoordinatorRequest::Report(report) => {
                let known = self.touch(&report.machine, report.epoch, now, out);
                match known && !self.is_deaf(&report.machine) {
                    true => {
                        for status in &report.changed {
                            self.hear(&report.machine, report.epoch, status, out);
                        }
                        let version = |it: &ShareStatus| (it.dataflow, it.version);
                        CoordinatorReply::Heard {
                            coordinator: self.epoch,
                            heard: report.changed.iter().map(version).collect(),
                        }
                    }
                    false => CoordinatorReply::NotRegistered,
                }
            }
            CoordinatorRequest::Leave { machine, epoch } => {
                if self.machines.get(&machine).map(|it| it.epoch) == Some(epoch) {
                    self.machines.remove(&machine);
                    self.gone(&machine, epoch);
                    out.push(Action::Note(Note::DaemonLeft(machine)));
                }
                CoordinatorReply::Left
            }
        };
        out.push(Action::ReplyDaemon { call, reply });
    }

    fn is_deaf(&self, machine: &MachineId) -> bool {
        let known = self.machines.get(machine);
        known.is_some_and(|known| known.probe.is_deaf())
    }

    fn register(
        &mut self,
        register: Register,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> CoordinatorReply {
        let here = Hello {
            role: Role::Coordinator,
            protocol: PROTOCOL,
            version: self.version.clone(),
            machine: None,
            epoch: Some(self.epoch),
        };
        let there = Hello {
            role: Role::Daemon,
            protocol: register.info.protocol,
            version: register.info.version.clone(),
            machine: Some(register.machine.clone()),
            epoch: Some(register.epoch),
        };
        if let Err(error) = here.agree(&there) {
            out.push(Action::Note(Note::Incompatible(error.clone())));
            return CoordinatorReply::Incompatible(Box::new(error.seen_from_there()));
        }
        let claim = self.timing.claim;
        match self.machines.get_mut(&register.machine) {
            // Its guard has seen it die.
            Some(known) if register.fallen.iter().any(|it| it.epoch == known.epoch) => {}
            Some(known) if known.epoch != register.epoch && !known.lost => {
                let verdict = known.claimed(register.epoch, now, claim);
                match verdict {
                    Verdict::Wait => return CoordinatorReply::Wait,
                    Verdict::Taken => {
                        let by = known.info.clone();
                        let machine = register.machine;
                        out.push(Action::Note(Note::MachineIdTaken(machine)));
                        return CoordinatorReply::MachineIdTaken { by };
                    }
                    Verdict::Free => {}
                }
            }
            _ => {}
        }
        self.accept(register, now, out)
    }

    fn accept(
        &mut self,
        register: Register,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> CoordinatorReply {
        let Register {
            machine,
            epoch,
            info,
            held,
            fallen,
        } = register;
        let known = self.machines.get(&machine).map(|known| known.epoch);
        match known {
            Some(old) if old != epoch => {
                self.machines.remove(&machine);
                let seen = fallen.iter().find(|fallen| fallen.epoch == old);
                out.push(Action::Note(match seen {
                    Some(fallen) => Note::DaemonDied(machine.clone(), fallen.how.clone()),
                    None => Note::DaemonRestarted(machine.clone()),
                }));
            }
            Some(_) => {
                self.touch(&machine, epoch, now, out);
            }
            None => out.push(Action::Note(Note::DaemonCame(machine.clone()))),
        }
        let entry = self.machines.entry(machine.clone());
        let known = entry.or_insert_with(|| Machine {
            epoch,
            info: info.clone(),
            heard: now,
            suspect: false,
            lost: false,
            leftovers: BTreeMap::new(),
            claim: None,
            exit: Outgoing::default(),
            ends: false,
            probe: Probe::default(),
        });
        known.probe.begin(now + self.timing.retry);
        known.info = info;
        known.suspect = false;
        self.returned(&machine, epoch);
        // Dataflows of a coordinator before this one may be placed on another life of this daemon.
        self.forget_other_lives(&machine, epoch);
        for fallen in fallen {
            self.fell(&machine, epoch, &fallen, out);
        }
        let heard = held
            .iter()
            .map(|held| (held.status.dataflow, held.status.version))
            .collect();
        for held in held {
            self.hold(&machine, epoch, held, now, out);
        }
        CoordinatorReply::Registered {
            coordinator: self.epoch,
            heard,
        }
    }

    /// Notes that a daemon has been heard of; whether it is the one that is registered.
    pub(super) fn touch(
        &mut self,
        machine: &MachineId,
        epoch: Epoch,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> bool {
        let known = self.machines.get_mut(machine);
        let Some(known) = known.filter(|known| known.epoch == epoch) else {
            return false;
        };
        known.heard = known.heard.max(now);
        known.suspect = false;
        if std::mem::take(&mut known.lost) {
            out.push(Action::Note(Note::DaemonBack(machine.clone())));
            self.returned(machine, epoch);
        }
        true
    }

    /// How far a share is, as its daemon says.
    pub(super) fn hear(
        &mut self,
        machine: &MachineId,
        epoch: Epoch,
        status: &ShareStatus,
        out: &mut Vec<Action>,
    ) {
        let id = status.dataflow;
        let share = self
            .live
            .get_mut(&id)
            .and_then(|it| it.shares.get_mut(machine));
        if let Some(share) = share.filter(|share| share.epoch == epoch) {
            share.hear(status);
            return;
        }
        if self.ledger.learn(machine, status) {
            out.push(Action::Persist);
        }
        let Some(known) = self.machines.get_mut(machine) else {
            return;
        };
        if status.stage.is_ended() {
            known.leftovers.remove(&id);
            return;
        }
        let leftover = known.leftovers.entry(id).or_insert_with(|| Leftover {
            status: status.clone(),
            out: Outgoing::default(),
        });
        if status.version > leftover.status.version {
            leftover.status.clone_from(status);
        }
    }

    /// That life of a daemon is over, and its nodes with it.
    fn gone(&mut self, machine: &MachineId, epoch: Epoch) {
        for share in self.shares_of(machine) {
            if share.epoch == epoch {
                share.gone = true;
            }
        }
    }

    /// As it is known now how that life of a daemon ended.
    fn fell(&mut self, machine: &MachineId, next: Epoch, fallen: &Fallen, out: &mut Vec<Action>) {
        let mut notes = Vec::new();
        for (id, dataflow) in &mut self.live {
            let again = dataflow.fell(machine, next, fallen);
            let culprit = fallen.culprit.as_ref().filter(|it| it.dataflow == *id);
            if let (Some(_), Some(culprit)) = (again, culprit) {
                notes.push(Note::Crashed(culprit.clone()));
            }
            if again == Some(true) {
                notes.push(Note::Again(*id, machine.clone()));
            }
        }
        out.extend(notes.into_iter().map(Action::Note));
    }

    fn forget_other_lives(&mut self, machine: &MachineId, epoch: Epoch) {
        for share in self.shares_of(machine) {
            if share.epoch != epoch {
                share.gone = true;
            }
        }
    }

    fn returned(&mut self, machine: &MachineId, epoch: Epoch) {
        for share in self.shares_of(machine) {
            if share.epoch == epoch {
                share.lost = None;
            }
        }
    }

    fn shares_of(&mut self, machine: &MachineId) -> impl Iterator<Item = &mut Share> {
        let shares = self.live.values_mut();
        shares.filter_map(move |it| it.shares.get_mut(machine))
    }

    /// Daemons that have been silent for too long are lost; those that nobody misses are forgotten.
    pub(super) fn lose_silent(&mut self, now: Duration, out: &mut Vec<Action>) {
        let (lost, give_up) = (self.timing.lost, self.timing.give_up);
        let silent = |known: &Machine| !known.lost && now >= known.heard + lost;
        let silent: Vec<(MachineId, Epoch)> = self
            .machines
            .iter()
            .filter(|(_, known)| silent(known))
            .map(|(machine, known)| (machine.clone(), known.epoch))
            .collect();
        for (machine, epoch) in silent {
            if let Some(known) = self.machines.get_mut(&machine) {
                known.lost = true;
            }
            for share in self.shares_of(&machine) {
                if share.epoch == epoch {
                    share.lost.get_or_insert(now);
                }
            }
            out.push(Action::Note(Note::DaemonLost(machine)));
        }
        self.machines
            .retain(|_, known| !known.lost || now < known.heard + give_up);
    }
}
