//! What the daemon decides: pure `(event, now) -> actions`. `now` is the time since the daemon's start.
//!
//! Invariant: orders are obeyed only of the coordinator that the daemon is registered with, and however often or late
//! they come, nodes are made and let go at most once; what has changed is reported until it was heard. Absent: how an
//! action is carried out.

use super::ending::Ending;
use super::event::{Action, Event, Exit, Local, Note};
use super::link::{Due, Link};
use super::share::{Share, Turn};
use super::taps::Taps;
use crate::control::{
    CallId, CoordinatorReply, CoordinatorRequest, DaemonReply, DaemonRequest, Epoch, Fallen, Held,
    MachineInfo, Order, Register, RemoteEdges, Report, SendId, ShareEnd, ShareStatus, Timing,
};
use crate::ids::{DataflowId, MachineId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Ended shares that are remembered, so that a late order does not begin them again.
const MAX_ENDED: usize = 256;

/// Lost daemons that are remembered.
const MAX_PEERS: usize = 256;

/// The daemon's state.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) machine: MachineId,
    pub(super) epoch: Epoch,
    info: MachineInfo,
    pub(super) timing: Timing,
    pub(super) link: Link,
    pub(super) shares: BTreeMap<DataflowId, Share>,
    taps: Taps,
    /// Daemons that are gone.
    peers: BTreeMap<(MachineId, Epoch), Gone>,
    /// Lives before this one.
    fallen: Vec<Fallen>,
    next_send: u64,
    pub(super) ending: Option<Ending>,
    pub(super) exited: bool,
}

/// A daemon that is gone.
#[derive(Debug, Clone, Copy)]
struct Gone {
    since: Duration,
    /// Whether it counts as lost by now.
    lost: bool,
}

impl State {
    /// A daemon that nobody knows yet.
    pub fn new(machine: MachineId, epoch: Epoch, info: MachineInfo, timing: Timing) -> Self {
        Self {
            machine,
            epoch,
            info,
            timing,
            link: Link::new(),
            shares: BTreeMap::new(),
            taps: Taps::default(),
            peers: BTreeMap::new(),
            fallen: Vec::new(),
            next_send: 0,
            ending: None,
            exited: false,
        }
    }

    /// The same after lives of this daemon that have died.
    pub fn after(mut self, fallen: Vec<Fallen>) -> Self {
        self.fallen = fallen;
        self
    }

    /// The coordinator whose orders are obeyed.
    pub fn registered(&self) -> Option<Epoch> {
        self.link.registered
    }

    /// The shares that have not ended, or whose end is remembered.
    pub fn shares(&self) -> impl Iterator<Item = &ShareStatus> {
        self.shares.values().map(|share| &share.status)
    }

    /// Handles an event; the first is [`Event::Time`]. Actions are to be carried out in their order.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let mut out = Vec::new();
        if self.exited {
            return out;
        }
        match event {
            Event::Query { call, request } => self.query(call, request, now, &mut out),
            Event::Answered { send, reply } => self.answered(send, reply, now, &mut out),
            Event::Unanswered { send } => self.unanswered(send, now, &mut out),
            Event::CoordinatorSeen => self.link.appeared(now),
            Event::PeerGone { machine, epoch } => self.peer_gone(machine, epoch, now),
            Event::PeerSeen { machine, epoch } => {
                self.peers.remove(&(machine, epoch));
            }
            Event::Local { dataflow, local } => self.local(dataflow, local, now, &mut out),
            Event::Shutdown { grace } => self.shutdown(grace, Exit::Stopped, now, &mut out),
            Event::Time => {}
        }
        self.settle(now, &mut out);
        out
    }

    /// When [`Event::Time`] is due.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.exited {
            return None;
        }
        let shares = self.shares.values().filter_map(Share::next_deadline);
        let gone = self.peers.values().filter(|gone| !gone.lost);
        let peers = gone.map(|gone| gone.since + self.timing.peer);
        let changed = self.changed().next().is_some();
        let farewell = self.ending.as_ref().and_then(|ending| ending.farewell);
        // One that ends does not register any more.
        let silent = self.ending.is_some() && self.link.registered.is_none();
        let link = self.link.next_deadline(changed).filter(|_| !silent);
        shares
            .chain(peers)
            .chain(link)
            .chain(self.taps.next_deadline())
            .chain(farewell)
            .min()
    }

    fn query(
        &mut self,
        call: CallId,
        request: DaemonRequest,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let reply = match request {
            DaemonRequest::Ping => DaemonReply::Pong,
            DaemonRequest::Order { coordinator, order } => match self.obeys(coordinator) {
                true => DaemonReply::Share(self.order(order, now, out)),
                false => DaemonReply::NotYours(self.link.registered),
            },
            DaemonRequest::Exit { coordinator } => match self.obeys(coordinator) {
                true => {
                    if self.ending.is_none() {
                        self.shutdown(self.timing.grace, Exit::Stopped, now, out);
                    }
                    DaemonReply::Ending
                }
                false => DaemonReply::NotYours(self.link.registered),
            },
            DaemonRequest::Tap(request) => {
                let share = self.shares.get(&request.dataflow);
                DaemonReply::Tap(self.taps.ask(request, share, &self.machine, now, out))
            }
            DaemonRequest::Logs(request) => {
                out.push(Action::Logs { call, request });
                return;
            }
        };
        out.push(Action::Reply { call, reply });
    }

    fn obeys(&self, coordinator: Epoch) -> bool {
        self.link.registered == Some(coordinator)
    }

    fn order(&mut self, order: Order, now: Duration, out: &mut Vec<Action>) -> ShareStatus {
        let dataflow = order.dataflow();
        let ending = self.ending.is_some();
        let mut turn = turn(now, &self.timing, &self.machine, out);
        let share = match self.shares.get_mut(&dataflow) {
            Some(share) => {
                share.order(order, &mut turn);
                share
            }
            None => {
                let new = match order {
                    Order::Prepare(_) if ending => Share::never(dataflow, ShareEnd::DaemonEnds),
                    Order::Prepare(prepare) => Share::begin(prepare, &mut turn),
                    Order::Stop { .. } => Share::never(dataflow, ShareEnd::Dropped),
                    Order::Spawn(_)
                    | Order::Go(_)
                    | Order::Senders { .. }
                    | Order::Begun { .. } => Share::never(dataflow, ShareEnd::Forgotten),
                };
                self.shares.entry(dataflow).or_insert(new)
            }
        };
        share.status.clone()
    }

    fn local(&mut self, dataflow: DataflowId, local: Local, now: Duration, out: &mut Vec<Action>) {
        let mut turn = turn(now, &self.timing, &self.machine, out);
        if let Some(share) = self.shares.get_mut(&dataflow) {
            share.local(local, &mut turn);
        }
    }

    fn answered(
        &mut self,
        send: SendId,
        reply: CoordinatorReply,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        if self.left(send, out) || !self.link.ends(send) {
            return;
        }
        let pause = match reply {
            CoordinatorReply::Wait => self.timing.retry,
            _ => self.timing.beat,
        };
        out.extend(self.link.heard(now, pause).map(Action::Note));
        match reply {
            CoordinatorReply::Registered { coordinator, heard } => {
                self.link.registered = Some(coordinator);
                self.mark_heard(&heard);
                out.push(Action::Serve { coordinator });
                out.push(Action::Note(Note::Registered));
            }
            CoordinatorReply::Heard { coordinator, heard } => {
                self.mark_heard(&heard);
                if !self.obeys(coordinator) {
                    self.link.unknown(now);
                }
            }
            CoordinatorReply::Wait => out.push(Action::Note(Note::MachineIdChecked)),
            CoordinatorReply::NotRegistered => self.link.unknown(now),
            CoordinatorReply::MachineIdTaken { by } => {
                self.refused(Exit::MachineIdTaken(by), now, out)
            }
            CoordinatorReply::Incompatible(why) => self.refused(Exit::Incompatible(why), now, out),
            // Of use to nobody here; the next exchange tells more.
            CoordinatorReply::Left | CoordinatorReply::NotUnderstood(_) => {}
        }
    }

    fn unanswered(&mut self, send: SendId, now: Duration, out: &mut Vec<Action>) {
        if !self.left(send, out) && self.link.ends(send) {
            out.extend(self.link.unheard(now, &self.timing).map(Action::Note));
        }
    }

    fn mark_heard(&mut self, heard: &[(DataflowId, u64)]) {
        for (dataflow, version) in heard {
            if let Some(share) = self.shares.get_mut(dataflow) {
                share.heard = share.heard.max(*version);
                if share.is_ended() && share.heard == share.status.version {
                    share.prepare = None;
                    // The schemas of the kinds are most of what a share takes.
                    share.kinds = BTreeMap::new();
                    share.edges = RemoteEdges::default();
                }
            }
        }
    }

    fn peer_gone(&mut self, machine: MachineId, epoch: Epoch, now: Duration) {
        if self.peers.len() >= MAX_PEERS
            && let Some(oldest) = self.peers.iter().min_by_key(|(_, gone)| gone.since)
        {
            let oldest = oldest.0.clone();
            self.peers.remove(&oldest);
        }
        let gone = Gone {
            since: now,
            lost: false,
        };
        self.peers.entry((machine, epoch)).or_insert(gone);
    }

    /// Everything that is due, whatever has happened.
    fn settle(&mut self, now: Duration, out: &mut Vec<Action>) {
        self.lose_peers(now, out);
        let mut turn = turn(now, &self.timing, &self.machine, out);
        for share in self.shares.values_mut() {
            share.time(&mut turn);
        }
        let shares = &self.shares;
        let is_live = |dataflow| shares.get(&dataflow).is_some_and(|share| !share.is_ended());
        self.taps.time(now, is_live, out);
        self.forget(out);
        if self.ending.is_some() {
            self.end(now, out);
        }
        if !self.exited {
            self.talk(now, out);
        }
    }

    fn lose_peers(&mut self, now: Duration, out: &mut Vec<Action>) {
        for ((machine, epoch), gone) in &mut self.peers {
            if now < gone.since + self.timing.peer {
                continue;
            }
            let newly = !std::mem::replace(&mut gone.lost, true);
            let with_it = |share: &Share| {
                let prepare = share.prepare.as_ref();
                let life = prepare.and_then(|prepare| prepare.placement.machines.get(machine));
                life == Some(epoch)
            };
            for share in self.shares.values_mut() {
                if with_it(share) {
                    share.peer_lost(machine, now);
                    if newly && share.is_made() {
                        out.push(Action::PeerLost {
                            dataflow: share.status.dataflow,
                            machine: machine.clone(),
                        });
                    }
                }
            }
        }
    }

    /// Keeps the number of remembered ends bounded: first goes what has been heard of, the oldest first.
    fn forget(&mut self, out: &mut Vec<Action>) {
        let ended = self.shares.values().filter(|share| share.is_ended());
        if ended.count() <= MAX_ENDED {
            return;
        }
        let unheard = |share: &Share| share.heard < share.status.version;
        let ended = self.shares.iter().filter(|(_, share)| share.is_ended());
        let first = ended
            .min_by_key(|(id, share)| (unheard(share), **id))
            .map(|(id, share)| (*id, unheard(share)));
        if let Some((id, unheard)) = first {
            self.shares.remove(&id);
            if unheard {
                out.push(Action::Note(Note::Unheard(id)));
            }
        }
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = &Share> {
        let unheard = |share: &&Share| share.heard < share.status.version;
        self.shares.values().filter(unheard)
    }

    fn talk(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some(due) = self.link.due(now, self.changed().next().is_some()) else {
            return;
        };
        let request = match due {
            // It has been refused, or nothing is left to be told.
            Due::Register if self.ending.is_some() => return,
            Due::Register => CoordinatorRequest::Register(Box::new(self.register())),
            Due::Report => CoordinatorRequest::Report(Report {
                machine: self.machine.clone(),
                epoch: self.epoch,
                changed: self.changed().map(|share| share.status.clone()).collect(),
            }),
        };
        let send = self.send(request, out);
        self.link.began(send);
    }

    fn register(&self) -> Register {
        let told = |share: &&Share| !share.is_ended() || share.heard < share.status.version;
        let held = self.shares.values().filter(told).map(|share| Held {
            prepare: share.prepare.clone(),
            kinds: share.kinds.clone(),
            status: share.status.clone(),
        });
        Register {
            machine: self.machine.clone(),
            epoch: self.epoch,
            info: self.info.clone(),
            held: held.collect(),
            fallen: self.fallen.clone(),
        }
    }

    pub(super) fn send(&mut self, request: CoordinatorRequest, out: &mut Vec<Action>) -> SendId {
        let send = SendId(self.next_send);
        self.next_send += 1;
        out.push(Action::Send {
            send,
            request: Box::new(request),
        });
        send
    }
}

pub(super) fn turn<'a>(
    now: Duration,
    timing: &'a Timing,
    machine: &'a MachineId,
    out: &'a mut Vec<Action>,
) -> Turn<'a> {
    Turn {
        now,
        timing,
        machine,
        out,
    }
}
