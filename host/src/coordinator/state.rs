//! What the coordinator decides: pure `(event, now) -> actions`. `now` is the time since the coordinator's start.
//!
//! An event changes what is known; then everything that follows from what is known is done, whatever the event was.
//! Invariant: every query of a client is answered once; a dataflow is in the ledger before the first order to stop it
//! is sent. Absent: how an action is carried out.

use super::client::Clients;
use super::dataflow::Dataflow;
use super::ending::Ending;
use super::event::{Action, Event, Note};
use super::ledger::{Ledger, Record, Standing};
use super::machine::{Leftover, Machine};
use crate::control::{
    CallId, ClientReply, Epoch, Held, Phase, Progress, SendId, ShareStatus, Stage, Timing,
};
use crate::ids::{DataflowId, MachineId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Most dataflows that run at one time.
pub const MAX_LIVE: usize = 256;

/// A driver that is so much later than it was asked for was not running, or not the machine: silence meanwhile is not
/// the daemons'.
const LATE: Duration = Duration::from_millis(500);

/// The coordinator's state.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) epoch: Epoch,
    pub(super) version: String,
    pub(super) timing: Timing,
    pub(super) machines: BTreeMap<MachineId, Machine>,
    /// Dataflows that are not over.
    pub(super) live: BTreeMap<DataflowId, Dataflow>,
    pub(super) ledger: Ledger,
    pub(super) clients: Clients,
    pub(super) sent: BTreeMap<SendId, Sent>,
    pub(super) next_send: u64,
    /// Until all daemons of a coordinator before this one have had time to register.
    recovering: Option<Duration>,
    /// Until dataflows that nobody has told of are given up.
    missing: Option<Duration>,
    pub(super) ending: Option<Ending>,
    /// When the last event was handled, and when the next was due then.
    ran: Duration,
    promised: Option<Duration>,
    pub(super) exited: bool,
}

/// A query to a daemon that is under way.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub machine: MachineId,
    pub epoch: Epoch,
    pub about: About,
}

/// What a query to a daemon is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Ping,
    Probe,
    Exit,
    Share(DataflowId),
}

impl State {
    /// A coordinator that knows nothing but the ledger of those before it. `version` is that of dora.
    pub fn new(epoch: Epoch, version: String, timing: Timing, ledger: Ledger) -> Self {
        Self {
            epoch,
            version,
            recovering: Some(timing.recovery),
            missing: Some(timing.give_up),
            timing,
            machines: BTreeMap::new(),
            live: BTreeMap::new(),
            ledger,
            clients: Clients::default(),
            sent: BTreeMap::new(),
            next_send: 0,
            ending: None,
            ran: Duration::ZERO,
            promised: None,
            exited: false,
        }
    }

    /// This life of the coordinator.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What is to be written to disk at [`Action::Persist`].
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The dataflows that are not over, and their phases.
    pub fn phases(&self) -> impl Iterator<Item = (DataflowId, Phase)> {
        self.live.iter().map(|(id, dataflow)| (*id, dataflow.phase))
    }

    /// The names of the dataflows that are not over.
    pub fn live_names(&self) -> impl Iterator<Item = String> {
        let names = self.live.values().map(|it| it.prepare.name.clone());
        names.flatten()
    }

    /// The life of a daemon that runs a share of a dataflow that is not over, and how far it is; no stage when nothing
    /// was heard of it.
    pub fn share(
        &self,
        dataflow: DataflowId,
        machine: &MachineId,
    ) -> Option<(Epoch, Option<&Stage>)> {
        let share = self.live.get(&dataflow)?.shares.get(machine)?;
        Some((share.epoch, share.status.as_ref().map(|it| &it.stage)))
    }

    /// Handles an event; the first is [`Event::Time`]. Actions are to be carried out in their order.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let mut out = Vec::new();
        if self.exited {
            return out;
        }
        self.excuse(now);
        match event {
            Event::Client { call, request } => self.client(call, *request, now, &mut out),
            Event::Daemon { call, request } => self.daemon(call, request, now, &mut out),
            Event::Answered { send, reply } => self.answered(send, Some(reply), now, &mut out),
            Event::Unanswered { send } => self.answered(send, None, now, &mut out),
            Event::TokenGone { machine, epoch } => self.suspect(&machine, epoch, true),
            Event::TokenSeen { machine, epoch } => self.suspect(&machine, epoch, false),
            Event::Shutdown { stop_dataflows } => self.shutdown(stop_dataflows, now, &mut out),
            Event::Time => {}
        }
        if !self.exited {
            self.settle(now, &mut out);
            self.ran = now;
            self.promised = self.next_deadline();
        }
        out
    }

    /// When [`Event::Time`] is due.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.exited {
            return None;
        }
        let timing = &self.timing;
        let silence = self.machines.values().map(|known| match known.lost {
            true => known.heard + timing.give_up,
            false => known.heard + timing.lost,
        });
        let pings = self.machines.values().filter_map(Machine::ping_due);
        let phases = self.live.values().filter_map(|it| it.next_deadline(timing));
        silence
            .chain(pings)
            .chain(phases)
            .chain(self.recovering)
            .chain(self.missing)
            .chain(self.ending.map(|ending| ending.next_deadline(timing)))
            .chain(self.next_order())
            .chain(self.next_exit())
            .chain(self.next_probe())
            .chain(self.clients.next_deadline())
            .min()
    }

    /// Time in which the coordinator did not run does not count as silence of the daemons.
    fn excuse(&mut self, now: Duration) {
        if self.promised.is_none_or(|promised| now <= promised + LATE) {
            return;
        }
        let missed = now.saturating_sub(self.ran);
        for known in self.machines.values_mut().filter(|known| !known.lost) {
            known.heard = (known.heard + missed).min(now);
        }
    }

    fn suspect(&mut self, machine: &MachineId, epoch: Epoch, suspect: bool) {
        let known = self.machines.get_mut(machine);
        if let Some(known) = known.filter(|known| known.epoch == epoch) {
            known.suspect = suspect;
        }
    }

    /// Everything that is due, whatever has happened.
    fn settle(&mut self, now: Duration, out: &mut Vec<Action>) {
        self.lose_silent(now, out);
        self.ping_claimed(now, out);
        self.probe(now, out);
        self.advance(now, out);
        self.recovered(now, out);
        self.end(now, out);
        // After the ledger was written.
        self.order(now, out);
        match self.ending_is_over(now) {
            true => self.exit(now, out),
            false => self.answer_clients(now, out),
        }
    }

    /// Advances every dataflow; enters those that end into the ledger.
    fn advance(&mut self, now: Duration, out: &mut Vec<Action>) {
        let ids: Vec<DataflowId> = self.live.keys().copied().collect();
        for id in ids {
            let Some(dataflow) = self.live.get_mut(&id) else {
                continue;
            };
            let was_started = dataflow.started;
            let over = dataflow.advance(now, &self.timing);
            if dataflow.started && !was_started {
                self.ledger.enter(dataflow.unheard(), Standing::Runs);
                out.push(Action::Persist);
                out.push(Action::Note(Note::Started(id)));
            }
            if dataflow.phase == Phase::Stopping && !dataflow.recorded && !over {
                dataflow.recorded = true;
                self.ledger.enter(dataflow.ended(now), Standing::Ending);
                out.push(Action::Persist);
            }
            if over {
                self.finish(id, now, out);
            }
        }
    }

    fn finish(&mut self, id: DataflowId, now: Duration, out: &mut Vec<Action>) {
        let Some(dataflow) = self.live.remove(&id) else {
            return;
        };
        let ended = dataflow.ended(now);
        out.push(Action::Note(match &ended.error {
            Some(error) => Note::NotStarted(id, error.clone()),
            None => Note::Ended(id),
        }));
        self.ledger.enter(ended, Standing::Over);
        out.push(Action::Persist);
        for (machine, share) in dataflow.shares {
            let known = self.machines.get_mut(&machine);
            let known = known.filter(|known| known.epoch == share.epoch);
            // What was not heard to end is told to when its machine comes back.
            if let Some(known) = known.filter(|_| !share.is_ended()) {
                let status = share.status.unwrap_or_else(|| unheard_of(id));
                let out = share.out;
                known.leftovers.insert(id, Leftover { status, out });
            }
        }
        if let Some(then) = dataflow.then {
            self.begin(*then, now, out);
        }
    }

    /// A daemon says what it holds.
    pub(super) fn hold(
        &mut self,
        machine: &MachineId,
        epoch: Epoch,
        held: Held,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let id = held.status.dataflow;
        let record = self.ledger.get(id);
        let over = record.is_some_and(Record::is_over);
        if !self.live.contains_key(&id)
            && !over
            && let Some(mut prepare) = held.prepare.clone()
            && prepare.placement.machines.get(machine) == Some(&epoch)
        {
            prepare.again = None;
            let mut dataflow = Dataflow::new(prepare, now, &self.timing);
            dataflow.recover(now, &self.timing);
            dataflow.started = record.is_some_and(|record| record.ended.started);
            if let Some(record) = record.filter(|record| record.standing == Standing::Ending) {
                dataflow.resume_stop(&record.ended, now, &self.timing);
            }
            for (machine, share) in &mut dataflow.shares {
                let known = self.machines.get(machine);
                share.gone = known.is_some_and(|known| known.epoch != share.epoch);
                let heard_of = known.is_some_and(|known| !known.lost);
                share.lost = (!heard_of).then_some(now);
            }
            self.live.insert(id, dataflow);
            out.push(Action::Note(Note::Adopted(id)));
        }
        let again = held.prepare.and_then(|prepare| prepare.again);
        if let (Some(dataflow), Some(again)) = (self.live.get_mut(&id), again) {
            dataflow.has_begun_again(machine, epoch, *again);
        }
        if let Some(dataflow) = self.live.get_mut(&id) {
            let placed = dataflow.shares.get(machine);
            if placed.is_some_and(|share| share.epoch == epoch) {
                dataflow.kinds.extend(held.kinds);
            }
        }
        self.hear(machine, epoch, &held.status, out);
    }

    /// Once all daemons had time to register, what was being ended and nobody has told of is over. One that ran may be
    /// on a machine that is away, for as long as machines are waited for.
    fn recovered(&mut self, now: Duration, out: &mut Vec<Action>) {
        let live = &self.live;
        let is_live = |id| live.contains_key(&id);
        if self.recovering.is_some_and(|until| now >= until) {
            self.recovering = None;
            if self.ledger.close(Standing::Ending, is_live) {
                out.push(Action::Persist);
            }
        }
        if self.missing.is_some_and(|until| now >= until) {
            self.missing = None;
            if self.ledger.close(Standing::Runs, is_live) {
                out.push(Action::Persist);
            }
        }
    }

    /// Whether daemons of a coordinator before this one may still be about to register.
    pub(super) fn is_recovering(&self) -> bool {
        self.recovering.is_some()
    }

    /// How far a dataflow is; how far everything is without one.
    pub(super) fn progress(&self, dataflow: Option<DataflowId>) -> ClientReply {
        let dataflow = dataflow.and_then(|id| self.live.get(&id));
        ClientReply::Pending(Progress {
            phase: dataflow.map(|it| it.phase),
            machines: match dataflow {
                Some(dataflow) => dataflow.awaited(),
                None => self.staying(),
            },
        })
    }

    /// A query whose answer is there.
    pub(super) fn reply(call: CallId, reply: ClientReply, out: &mut Vec<Action>) {
        let reply = Box::new(reply);
        out.push(Action::ReplyClient { call, reply });
    }
}

/// A share that may or may not be there.
fn unheard_of(dataflow: DataflowId) -> ShareStatus {
    ShareStatus {
        dataflow,
        version: 0,
        stage: Stage::Preparing,
        went: false,
        nodes: BTreeMap::new(),
        ended_senders: BTreeSet::new(),
        lives: BTreeMap::new(),
    }
}
