//! Queries of the `dora` command: what they set in motion, and when they are answered. Pure.
//!
//! Invariant: a query is answered once; one that is repeated with the same request id sets nothing in motion again and
//! gets the answer of the first.

use super::event::Action;
use super::ledger::Standing;
use super::state::State;
use crate::control::{
    CallId, ClientReply, ClientRequest, DestroyError, Ended, RequestId, Start, StartError, Started,
    StopError, Target, TargetError, Verb,
};
use crate::ids::DataflowId;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Requests that are remembered, and starts that were refused.
const MAX_REMEMBERED: usize = 1024;

/// Clients that may wait at one time; others are told the progress at once.
const MAX_WAITING: usize = 1024;

/// What a client waits for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wait {
    Start(DataflowId),
    /// Until then it should have stopped.
    Stop(DataflowId, Duration),
    End(DataflowId),
    Destroy,
}

#[derive(Debug, Clone)]
struct Waiting {
    call: CallId,
    wait: Wait,
    /// When it is told the progress.
    until: Duration,
}

/// Clients that wait, and what they have asked before.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients {
    waiting: Vec<Waiting>,
    asked: BTreeMap<RequestId, Wait>,
    asked_order: VecDeque<RequestId>,
    refused: BTreeMap<DataflowId, StartError>,
}

impl Clients {
    /// When the first that waits is told the progress.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.waiting.iter().map(|it| it.until).min()
    }

    /// Remembers why a dataflow was not even begun.
    pub fn refuse(&mut self, dataflow: DataflowId, error: StartError) {
        self.refused.insert(dataflow, error);
        while self.refused.len() > MAX_REMEMBERED {
            // Ids are in the order of their time.
            self.refused.pop_first();
        }
    }

    /// Whether anybody waits for the end of everything.
    pub fn await_end(&self) -> bool {
        self.waiting.iter().any(|it| it.wait == Wait::Destroy)
    }

    /// Whether it was not even begun.
    pub fn has_refused(&self, dataflow: DataflowId) -> bool {
        self.refused.contains_key(&dataflow)
    }

    fn remember(&mut self, request: RequestId, wait: Wait) {
        if self.asked.insert(request, wait).is_none() {
            self.asked_order.push_back(request);
        }
        while self.asked_order.len() > MAX_REMEMBERED {
            if let Some(oldest) = self.asked_order.pop_front() {
                self.asked.remove(&oldest);
            }
        }
    }
}

impl State {
    /// A query of a client.
    pub(super) fn client(
        &mut self,
        call: CallId,
        request: ClientRequest,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let wait = match self.clients.asked.get(&request.request) {
            Some(wait) => Ok(wait.clone()),
            None => self.ask(request.verb, now, out),
        };
        match wait {
            Ok(wait) => {
                self.clients.remember(request.request, wait.clone());
                let until = match self.clients.waiting.len() < MAX_WAITING {
                    true => now + self.timing.poll,
                    false => now,
                };
                self.clients.waiting.push(Waiting { call, wait, until });
            }
            Err(reply) => Self::reply(call, *reply, out),
        }
    }

    /// Sets something in motion and says what to wait for, or answers.
    fn ask(
        &mut self,
        verb: Verb,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Result<Wait, Box<ClientReply>> {
        let reply = match verb {
            Verb::Start(start) => return Ok(self.ask_start(*start, now, out)),
            Verb::Stop {
                target,
                grace,
                force,
            } => {
                return self
                    .ask_stop(&target, grace, force, now, out)
                    .map_err(|error| Box::new(ClientReply::NoTarget(error)));
            }
            Verb::Restart {
                target,
                dataflow,
                grace,
                force,
            } => {
                return self
                    .ask_restart(&target, dataflow, (grace, force), now)
                    .map_err(|error| Box::new(ClientReply::NoTarget(error)));
            }
            Verb::Wait(dataflow) => match self.knows(dataflow) {
                true => return Ok(Wait::End(dataflow)),
                false => ClientReply::NoTarget(self.unknown(dataflow.to_string())),
            },
            Verb::Destroy => {
                self.begin_end(true, now);
                return Ok(Wait::Destroy);
            }
            Verb::List => ClientReply::List(self.list()),
            Verb::Nodes(target) => match self.targets(target.as_ref()) {
                Ok(targets) => ClientReply::Nodes(self.nodes(&targets)),
                Err(error) => ClientReply::NoTarget(error),
            },
            Verb::Status => ClientReply::Status(self.status(now)),
            Verb::Locate(target) => match self.locate(&target) {
                Ok(located) => ClientReply::Located(located),
                Err(error) => ClientReply::NoTarget(error),
            },
            Verb::Topics(target) => match self.targets(target.as_ref()) {
                Ok(targets) => ClientReply::Topics(self.topics(&targets)),
                Err(error) => ClientReply::NoTarget(error),
            },
            Verb::Clean => {
                let cleaned = self.ledger.clean();
                if cleaned > 0 {
                    out.push(Action::Persist);
                }
                ClientReply::Cleaned(cleaned)
            }
        };
        Err(Box::new(reply))
    }

    fn ask_start(&mut self, start: Start, now: Duration, out: &mut Vec<Action>) -> Wait {
        let id = start.dataflow;
        // One that was meant for a coordinator before this one may run, or may have been undone.
        if !self.knows(id) && start.coordinator == self.epoch {
            self.begin(start, now, out);
        }
        Wait::Start(id)
    }

    fn ask_stop(
        &mut self,
        target: &Target,
        grace: Duration,
        force: bool,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Result<Wait, TargetError> {
        let id = self.target(target)?;
        // Being ended since before this coordinator, and nobody has told of it yet.
        let mut until = now + grace + self.timing.stop;
        if let Some(dataflow) = self.live.get_mut(&id) {
            if let Some(then) = dataflow.then.take() {
                self.clients.refuse(then.dataflow, StartError::Stopped);
            }
            dataflow.ask_stop(grace, force, now, &self.timing);
            until = dataflow.stop.map_or(until, |stop| stop.until);
        } else if self.is_missing(id) {
            self.ledger.end(id);
            out.push(Action::Persist);
        }
        Ok(Wait::Stop(id, until))
    }

    fn ask_restart(
        &mut self,
        target: &Target,
        new: DataflowId,
        (grace, force): (Duration, bool),
        now: Duration,
    ) -> Result<Wait, TargetError> {
        if self.knows(new) {
            return Ok(Wait::Start(new));
        }
        let id = self.target(target)?;
        let epoch = self.epoch;
        let Some(dataflow) = self.live.get_mut(&id) else {
            return Err(self.over(target, id));
        };
        let then = dataflow.then.get_or_insert_with(|| {
            let old = &dataflow.prepare;
            Box::new(Start {
                dataflow: new,
                coordinator: epoch,
                descriptor: old.descriptor.clone(),
                folder: old.folder.clone(),
                name: old.name.clone(),
                env: old.env.clone(),
            })
        });
        let new = then.dataflow;
        dataflow.ask_stop(grace, force, now, &self.timing);
        Ok(Wait::Start(new))
    }

    /// Answers every client whose answer is there, and tells the progress to those that have waited long enough.
    pub(super) fn answer_clients(&mut self, now: Duration, out: &mut Vec<Action>) {
        let waiting = std::mem::take(&mut self.clients.waiting);
        for it in waiting {
            match self.answer(&it.wait, now, out) {
                Some(reply) => Self::reply(it.call, reply, out),
                None if now >= it.until => {
                    let progress = self.progress(it.wait.dataflow());
                    Self::reply(it.call, progress, out);
                }
                None => self.clients.waiting.push(it),
            }
        }
    }

    /// The coordinator ends: nobody is left waiting.
    pub(super) fn farewell(&mut self, now: Duration, out: &mut Vec<Action>) {
        for it in std::mem::take(&mut self.clients.waiting) {
            let reply = match it.wait {
                Wait::Destroy => ClientReply::Destroyed(self.destroyed()),
                ref wait => match self.answer(wait, now, out) {
                    Some(reply) => reply,
                    None => self.progress(wait.dataflow()),
                },
            };
            Self::reply(it.call, reply, out);
        }
    }

    fn destroyed(&self) -> Result<(), DestroyError> {
        let machines = self.staying();
        match machines.is_empty() {
            true => Ok(()),
            false => Err(DestroyError::TimedOut { machines }),
        }
    }

    fn answer(&mut self, wait: &Wait, now: Duration, out: &mut Vec<Action>) -> Option<ClientReply> {
        match wait {
            Wait::Start(id) => self.answer_start(*id, now, out).map(ClientReply::Start),
            Wait::Stop(id, until) => match self.live.get(id) {
                Some(dataflow) if now >= *until => {
                    let error = StopError::TimedOut {
                        dataflow: *id,
                        machines: dataflow.awaited(),
                        limit: dataflow.stop.map_or(Duration::ZERO, |stop| stop.grace)
                            + self.timing.stop,
                    };
                    Some(ClientReply::Stop(Err(error)))
                }
                _ => self.ended(*id).map(|ended| {
                    ended.map_or_else(ClientReply::NoTarget, |it| ClientReply::Stop(Ok(it)))
                }),
            },
            Wait::End(id) => self.ended(*id).map(|ended| {
                ended.map_or_else(ClientReply::NoTarget, |it| ClientReply::Ended(Box::new(it)))
            }),
            // With the farewell.
            Wait::Destroy => None,
        }
    }

    /// The end of a dataflow, if it is over; an error when nothing is known of it any more.
    fn ended(&self, id: DataflowId) -> Option<Result<Ended, TargetError>> {
        if let Some(record) = self.ledger.get(id) {
            return record.is_over().then(|| Ok(record.ended.clone()));
        }
        if let Some(error) = self.clients.refused.get(&id) {
            return Some(Ok(never_begun(id, error.clone())));
        }
        let unknown = !self.knows(id) && !self.is_recovering();
        unknown.then(|| Err(self.unknown(id.to_string())))
    }

    fn answer_start(
        &mut self,
        id: DataflowId,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Option<Result<Started, StartError>> {
        if let Some(dataflow) = self.live.get(&id) {
            let undone = dataflow.error.as_ref().filter(|_| {
                // Told once it is undone, but not too late.
                dataflow.stop.is_some_and(|stop| now >= stop.until)
            });
            if let Some(error) = undone {
                return Some(Err(error.clone()));
            }
            let started = dataflow.started && dataflow.error.is_none();
            return started.then(|| {
                let placed = |(machine, share): (&crate::ids::MachineId, &super::share::Share)| {
                    (machine.clone(), share.nodes.clone())
                };
                Ok(Started {
                    dataflow: id,
                    name: dataflow.prepare.name.clone(),
                    machines: dataflow.shares.iter().map(placed).collect(),
                    warnings: dataflow.warnings.clone(),
                })
            });
        }
        if let Some(error) = self.clients.refused.get(&id) {
            return Some(Err(error.clone()));
        }
        if let Some(record) = self.ledger.get(id) {
            let ended = &record.ended;
            return match (&ended.error, record.standing) {
                (Some(error), Standing::Over) => Some(Err(error.clone())),
                (None, Standing::Over | Standing::Runs) => Some(Ok(Started {
                    dataflow: id,
                    name: ended.name.clone(),
                    machines: ended
                        .machines
                        .iter()
                        .map(|machine| {
                            let nodes = ended.rows.iter().filter(|row| row.machine == *machine);
                            (machine.clone(), nodes.map(|row| row.node.clone()).collect())
                        })
                        .collect(),
                    warnings: crate::descriptor::Problems::default(),
                })),
                (_, Standing::Ending) | (Some(_), Standing::Runs) => None,
            };
        }
        if self.knows(id) || self.is_recovering() {
            return None;
        }
        // Nobody knows it: whatever of it comes up later is to be stopped.
        let error = StartError::CoordinatorRestarted;
        self.ledger
            .enter(never_begun(id, error.clone()), Standing::Over);
        out.push(Action::Persist);
        Some(Err(error))
    }
}

impl Wait {
    fn dataflow(&self) -> Option<DataflowId> {
        match self {
            Self::Start(id) | Self::Stop(id, _) | Self::End(id) => Some(*id),
            Self::Destroy => None,
        }
    }
}

fn never_begun(dataflow: DataflowId, error: StartError) -> Ended {
    Ended {
        dataflow,
        name: None,
        started: false,
        stopped: false,
        error: Some(error),
        rows: Vec::new(),
        took: Duration::ZERO,
        machines: Vec::new(),
        unreachable: Vec::new(),
    }
}
