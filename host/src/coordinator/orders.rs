//! Orders to daemons: what every share is wanted to do, said until it is done. Pure.
//!
//! Invariant: one order per share is under way; orders follow from what is wanted now, so none has to be remembered.

use super::dataflow::Dataflow;
use super::event::Action;
use super::machine::{Leftover, Machine};
use super::share::{Outgoing, Share, Wish};
use super::state::{About, Sent, State};
use crate::control::{DaemonReply, DaemonRequest, Epoch, Order, SendId, Stage, Timing};
use crate::ids::{DataflowId, MachineId};
use std::collections::BTreeMap;
use std::time::Duration;

type Machines = BTreeMap<MachineId, Machine>;

/// An order that is due.
struct Due {
    machine: MachineId,
    epoch: Epoch,
    dataflow: DataflowId,
    wish: Wish,
    order: Order,
}

impl State {
    /// Sends every order that is due.
    pub(super) fn order(&mut self, now: Duration, out: &mut Vec<Action>) {
        let mut due = Vec::new();
        for dataflow in self.live.values() {
            for (machine, share) in &dataflow.shares {
                let wish = wish(&self.machines, dataflow, machine, share);
                if let Some((wish, at)) = wish
                    && now >= at
                {
                    due.push(Due {
                        machine: machine.clone(),
                        epoch: share.epoch,
                        dataflow: dataflow.id(),
                        wish,
                        order: dataflow.order(share, wish),
                    });
                }
            }
        }
        for (machine, known) in self.machines.iter().filter(|(_, known)| !known.lost) {
            for (id, leftover) in &known.leftovers {
                if let Some((wish, at)) = leftover_wish(leftover)
                    && now >= at
                {
                    due.push(Due {
                        machine: machine.clone(),
                        epoch: known.epoch,
                        dataflow: *id,
                        wish,
                        order: leftover_order(*id, &self.timing),
                    });
                }
            }
        }
        for due in due {
            let about = About::Share(due.dataflow);
            let request = DaemonRequest::Order {
                coordinator: self.epoch,
                order: due.order,
            };
            let send = self.send(&due.machine, due.epoch, about, request, out);
            if let Some(outgoing) = self.outgoing(&due.machine, due.epoch, due.dataflow) {
                outgoing.send = Some(send);
                outgoing.wish = Some(due.wish);
            }
        }
    }

    fn outgoing(
        &mut self,
        machine: &MachineId,
        epoch: Epoch,
        dataflow: DataflowId,
    ) -> Option<&mut Outgoing> {
        let live = self.live.get_mut(&dataflow);
        let share = live.and_then(|it| it.shares.get_mut(machine));
        if let Some(share) = share.filter(|share| share.epoch == epoch) {
            return Some(&mut share.out);
        }
        let known = self.machines.get_mut(machine);
        let known = known.filter(|known| known.epoch == epoch)?;
        let leftover = known.leftovers.get_mut(&dataflow)?;
        Some(&mut leftover.out)
    }

    /// Sends a query to a daemon.
    pub(super) fn send(
        &mut self,
        machine: &MachineId,
        epoch: Epoch,
        about: About,
        request: DaemonRequest,
        out: &mut Vec<Action>,
    ) -> SendId {
        let send = SendId(self.next_send);
        self.next_send += 1;
        let sent = Sent {
            machine: machine.clone(),
            epoch,
            about,
        };
        self.sent.insert(send, sent);
        out.push(Action::Send {
            send,
            machine: machine.clone(),
            epoch,
            request: Box::new(request),
        });
        send
    }

    /// A query to a daemon was answered, or was not.
    pub(super) fn answered(
        &mut self,
        send: SendId,
        reply: Option<DaemonReply>,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let Some(sent) = self.sent.remove(&send) else {
            return;
        };
        let Sent {
            machine,
            epoch,
            about,
        } = sent;
        if reply.is_some() {
            self.touch(&machine, epoch, now, out);
        }
        let next = now + self.timing.retry;
        let known = self.machines.get_mut(&machine);
        if let Some(known) = known.filter(|known| known.epoch == epoch) {
            known.probe.asked(send, reply.is_some(), next);
        }
        match about {
            About::Probe => {}
            About::Ping => self.pinged(&machine, send, reply.as_ref(), now),
            About::Exit => {
                let known = self.machines.get_mut(&machine);
                if let Some(known) = known.filter(|known| known.epoch == epoch) {
                    known.exit.ended(send, next);
                    known.ends |= reply == Some(DaemonReply::Ending);
                }
            }
            About::Share(dataflow) => {
                if let Some(outgoing) = self.outgoing(&machine, epoch, dataflow) {
                    outgoing.ended(send, next);
                }
                if let Some(DaemonReply::Share(status)) = reply
                    && self.machines.get(&machine).map(|it| it.epoch) == Some(epoch)
                {
                    self.hear(&machine, epoch, &status, out);
                }
            }
        }
    }

    /// When the next order is due.
    pub(super) fn next_order(&self) -> Option<Duration> {
        let shares = self.live.values().flat_map(|dataflow| {
            let shares = dataflow.shares.iter();
            shares.filter_map(|(machine, share)| wish(&self.machines, dataflow, machine, share))
        });
        let machines = self.machines.values().filter(|known| !known.lost);
        let leftovers = machines.flat_map(|known| known.leftovers.values());
        shares
            .chain(leftovers.filter_map(leftover_wish))
            .map(|(_, at)| at)
            .min()
    }
}

/// What a share is wanted to do, and when it may be told so next; nothing while its daemon is not heard of.
fn wish(
    machines: &Machines,
    dataflow: &Dataflow,
    machine: &MachineId,
    share: &Share,
) -> Option<(Wish, Duration)> {
    let known = machines.get(machine)?;
    if known.lost || known.epoch != share.epoch {
        return None;
    }
    let wish = dataflow.wish(share)?;
    Some((wish, share.out.due(wish)?))
}

fn leftover_wish(leftover: &Leftover) -> Option<(Wish, Duration)> {
    if matches!(leftover.status.stage, Stage::Stopping { .. }) {
        return None;
    }
    let wish = Wish::Stop(1);
    Some((wish, leftover.out.due(wish)?))
}

fn leftover_order(dataflow: DataflowId, timing: &Timing) -> Order {
    Order::Stop {
        dataflow,
        serial: 1,
        grace: timing.grace,
        force: false,
    }
}
