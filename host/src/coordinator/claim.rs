//! Two daemons, one machine id: the first keeps it if it shows in time that it lives. Pure.

use super::event::Action;
use super::machine::Machine;
use super::state::{About, State};
use crate::control::{DaemonReply, DaemonRequest, Epoch, SendId};
use crate::ids::MachineId;
use std::time::Duration;

/// Another daemon wants the machine id.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub epoch: Epoch,
    /// When it gets it unless the present one shows that it lives.
    pub until: Duration,
    /// It has.
    pub refused: bool,
    ping: Option<SendId>,
    next: Duration,
}

impl State {
    /// Asks daemons whose machine id is claimed whether they live.
    pub(super) fn ping_claimed(&mut self, now: Duration, out: &mut Vec<Action>) {
        let due: Vec<(MachineId, Epoch)> = self
            .machines
            .iter()
            .filter(|(_, known)| known.ping_due().is_some_and(|at| now >= at))
            .map(|(machine, known)| (machine.clone(), known.epoch))
            .collect();
        for (machine, epoch) in due {
            let send = self.send(&machine, epoch, About::Ping, DaemonRequest::Ping, out);
            let known = self.machines.get_mut(&machine);
            if let Some(claim) = known.and_then(|known| known.claim.as_mut()) {
                claim.ping = Some(send);
            }
        }
    }

    /// What became of a ping.
    pub(super) fn pinged(
        &mut self,
        machine: &MachineId,
        send: SendId,
        reply: Option<&DaemonReply>,
        now: Duration,
    ) {
        let retry = self.timing.retry;
        let Some(known) = self.machines.get_mut(machine) else {
            return;
        };
        let suspect = known.suspect;
        let Some(claim) = known
            .claim
            .as_mut()
            .filter(|claim| claim.ping == Some(send))
        else {
            return;
        };
        claim.ping = None;
        claim.next = now + retry;
        match reply {
            Some(_) => claim.refused = true,
            // Its token is gone and it does not answer.
            None if suspect => claim.until = now,
            None => {}
        }
    }
}

/// Whether a machine id is free.
pub(super) enum Verdict {
    Wait,
    Taken,
    Free,
}

impl Machine {
    /// Another daemon asks for the machine id.
    pub fn claimed(&mut self, epoch: Epoch, now: Duration, limit: Duration) -> Verdict {
        let claim = match &mut self.claim {
            // One that has stopped to ask leaves its place.
            Some(claim) if claim.epoch == epoch || now < claim.until + limit => claim,
            other => other.insert(Claim {
                epoch,
                until: now + limit,
                refused: false,
                ping: None,
                next: now,
            }),
        };
        if claim.epoch != epoch {
            return Verdict::Wait;
        }
        if claim.refused {
            self.claim = None;
            return Verdict::Taken;
        }
        match now >= claim.until {
            true => Verdict::Free,
            false => Verdict::Wait,
        }
    }

    /// When the daemon is to be asked whether it lives.
    pub fn ping_due(&self) -> Option<Duration> {
        let claim = self.claim.as_ref()?;
        let asks = claim.ping.is_none() && !claim.refused && claim.next < claim.until;
        asks.then_some(claim.next)
    }
}
