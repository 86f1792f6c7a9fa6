//! Log lines of a dataflow from all its machines: what is there, and what follows.
//!
//! Invariant: whoever follows listens before it asks for what is there, so no line is missing, and none comes twice
//! (`overlap`). A stream that is not read costs the daemons nothing. Absent: how lines look.

use super::overlap::Overlap;
use super::queue::{Queue, Taken};
use super::{AskError, Client, DaemonError, LogsError};
use crate::control::{
    DaemonReply, DaemonRequest, Epoch, LOGS_LEASE, Located, LogsRequest, RequestId,
};
use crate::ids::{DataflowId, MachineId, NodeId};
use crate::link::{Arrived, CallError, DataKey, Reader, ReaderSpec};
use crate::logs::Record;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

/// Lines that wait to be read at most; the oldest go, and are counted.
const MOST_LINES: usize = 16_384;
/// Their size at most, about.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Daemons are asked to go on so often.
const PROLONG: Duration = Duration::from_secs(LOGS_LEASE.as_secs() / 5);
/// After the coordinator has said that the dataflow is over, the last lines have so long.
const LINGER: Duration = Duration::from_millis(2_000);

/// Which lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogsWanted {
    /// Only of this node; `None` for all, and for the daemons' own about the dataflow.
    pub node: Option<NodeId>,
    /// Only so many of the last lines of what is there; `None` for all.
    pub tail: Option<u32>,
    /// Also what follows, until the dataflow is over.
    pub follow: bool,
}

/// Log lines of a dataflow.
#[derive(Debug)]
pub struct Logs {
    /// What is there: by time, the lines of one node in their order.
    pub history: Vec<Record>,
    /// Machines that have not answered.
    pub failed: Vec<(MachineId, DaemonError)>,
    /// What follows, if it was asked for.
    pub stream: Option<LogStream>,
}

/// What a stream of log lines brings.
#[derive(Debug)]
pub enum LogEvent {
    /// A line; those of one node are in their order.
    Line(Box<Record>),
    /// So many lines were lost before the next: they came faster than they were read or could travel.
    Lost(u64),
    /// A machine does not answer any more; the others' lines go on.
    Gone {
        /// The machine.
        machine: MachineId,
        /// What came of asking it.
        error: DaemonError,
    },
    /// The coordinator does not answer any more, and all lines come by way of it: the stream ends.
    NoCoordinator(AskError),
}

/// Lines as they come. Dropping it ends it.
#[derive(Debug)]
pub struct LogStream {
    queue: Arc<Queue<LogEvent>>,
    keeper: JoinHandle<()>,
}

impl LogStream {
    /// The next; `None` when the dataflow is over and all was read. May be cancelled without loss.
    pub async fn next(&mut self) -> Option<LogEvent> {
        match self.queue.next().await? {
            Taken::Item(event) => Some(event),
            Taken::Lost(lines) => Some(LogEvent::Lost(lines)),
        }
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// A machine whose lines are asked for.
struct Place {
    machine: MachineId,
    epoch: Epoch,
    request: LogsRequest,
}

/// A machine whose lines are listened to.
struct Source {
    place: Place,
    overlap: Mutex<Overlap>,
    queue: Arc<Queue<LogEvent>>,
    ended: Notify,
}

impl Client {
    /// Log lines of a dataflow, from all machines that have some; see [`Client::locate`].
    ///
    /// # Errors
    /// There is no such node, no machine to ask, or none of them answers.
    pub async fn logs(&self, located: &Located, wanted: &LogsWanted) -> Result<Logs, LogsError> {
        let places = places(located, wanted)?;
        let queue = Arc::new(Queue::new(MOST_LINES, MOST_BYTES));
        let mut asked = JoinSet::new();
        for place in places {
            let (client, queue) = (self.clone(), queue.clone());
            asked.spawn(async move {
                let machine = place.machine.clone();
                (machine, client.logs_at(place, queue).await)
            });
        }
        let (mut histories, mut sources) = (Vec::new(), Vec::new());
        let mut failed = Vec::new();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((_, Ok((history, source)))) => {
                    histories.push(VecDeque::from(history));
                    sources.extend(source);
                }
                Ok((machine, Err(error))) => failed.push((machine, error)),
                // It is neither cancelled nor does it panic.
                Err(_) => {}
            }
        }
        if histories.is_empty() {
            return Err(LogsError::NoAnswer(failed));
        }
        let mut history = merged(histories);
        if let Some(tail) = wanted.tail {
            history.drain(..history.len().saturating_sub(tail as usize));
        }
        let stream = wanted.follow.then(|| LogStream {
            keeper: tokio::spawn(keep(self.clone(), located.dataflow, sources, queue.clone())),
            queue,
        });
        Ok(Logs {
            history,
            failed,
            stream,
        })
    }

    /// What one machine has, and what listens to its further lines.
    async fn logs_at(
        &self,
        place: Place,
        queue: Arc<Queue<LogEvent>>,
    ) -> Result<(Vec<Record>, Option<(Arc<Source>, Reader)>), DaemonError> {
        let source = Arc::new(Source {
            place,
            overlap: Mutex::new(Overlap::new()),
            queue,
            ended: Notify::new(),
        });
        let Place {
            machine,
            epoch,
            request,
        } = &source.place;
        let reader = match request.follow {
            Some(id) => {
                let spec = ReaderSpec {
                    key: DataKey::tap(machine, id),
                    machine: machine.clone(),
                    from_start: true,
                    credits: Vec::new(),
                };
                let listener = source.clone();
                let reading = self.link.read(&spec, move |arrived| listener.take(arrived));
                Some(reading.map_err(|error| DaemonError::Call(CallError::Link(error)))?)
            }
            None => None,
        };
        let asked = DaemonRequest::Logs(request.clone());
        let history = match self.ask_daemon(machine, *epoch, &asked).await? {
            DaemonReply::Logs(values) => records(values),
            other => return Err(DaemonError::unexpected(machine, other)),
        };
        source.was_there(&history);
        let listening = reader.map(|reader| (source.clone(), reader));
        Ok((history, listening))
    }

    /// Keeps a machine publishing until it has ended or does not answer any more.
    async fn follow(&self, source: &Source) -> Result<(), DaemonError> {
        let place = &source.place;
        let again = DaemonRequest::Logs(LogsRequest {
            tail: Some(0),
            ..place.request.clone()
        });
        let prolonging = async {
            loop {
                sleep(PROLONG).await;
                let reply = self.ask_daemon(&place.machine, place.epoch, &again).await;
                match reply {
                    Ok(DaemonReply::Logs(_)) => {}
                    Ok(other) => return DaemonError::unexpected(&place.machine, other),
                    Err(error) => return error,
                }
            }
        };
        tokio::select! {
            biased;
            () = source.ended.notified() => Ok(()),
            error = prolonging => Err(error),
        }
    }
}

/// The machines to ask, and what.
fn places(located: &Located, wanted: &LogsWanted) -> Result<Vec<Place>, LogsError> {
    if located.machines.is_empty() {
        return Err(LogsError::Unreachable(located.unreachable.clone()));
    }
    let has = |nodes: &[NodeId]| wanted.node.as_ref().is_none_or(|node| nodes.contains(node));
    let machines = located.machines.iter();
    let places: Vec<Place> = machines
        .filter(|(_, (_, nodes))| has(nodes))
        .map(|(machine, (epoch, _))| Place {
            machine: machine.clone(),
            epoch: *epoch,
            request: LogsRequest {
                dataflow: located.dataflow,
                node: wanted.node.clone(),
                tail: wanted.tail,
                follow: wanted.follow.then(RequestId::new),
            },
        })
        .collect();
    match (places.is_empty(), &wanted.node) {
        (true, Some(node)) => Err(LogsError::NoNode {
            node: node.clone(),
            known: located
                .machines
                .values()
                .flat_map(|(_, nodes)| nodes.clone())
                .collect(),
            unreachable: located.unreachable.clone(),
        }),
        _ => Ok(places),
    }
}

impl Source {
    /// On the link's threads.
    fn take(&self, arrived: Arrived) {
        match arrived {
            Arrived::Message(message) => {
                let record = message
                    .text()
                    .ok()
                    .and_then(|it| Record::from_json(it).ok());
                let Some(record) = record else {
                    return self.queue.lose(1);
                };
                let mut overlap = self.overlap.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(record) = overlap.published(record) {
                    // Under the lock, which keeps the order.
                    self.hand_over(record);
                }
            }
            Arrived::Lost(lines) => self.queue.lose(lines),
            Arrived::Broken(_) => self.queue.lose(1),
            Arrived::Ended => self.ended.notify_one(),
        }
    }

    fn was_there(&self, history: &[Record]) {
        let mut overlap = self.overlap.lock().unwrap_or_else(PoisonError::into_inner);
        let (new, lost) = overlap.was_there(history);
        if lost > 0 {
            self.queue.lose(lost);
        }
        for record in new {
            self.hand_over(record);
        }
    }

    fn hand_over(&self, record: Record) {
        let bytes = size_of::<Record>() + record.message.len() + record.target.len();
        self.queue.push(LogEvent::Line(Box::new(record)), bytes);
    }
}

/// Keeps all machines publishing, and ends the stream when the dataflow is over.
async fn keep(
    client: Client,
    dataflow: DataflowId,
    sources: Vec<(Arc<Source>, Reader)>,
    queue: Arc<Queue<LogEvent>>,
) {
    let mut following = JoinSet::new();
    for (source, reader) in sources {
        let client = client.clone();
        following.spawn(async move {
            let followed = client.follow(&source).await;
            drop(reader);
            followed.map_err(|error| (source.place.machine.clone(), error))
        });
    }
    let mut over = std::pin::pin!(client.wait(dataflow, |_| ()));
    loop {
        tokio::select! {
            followed = following.join_next() => match followed {
                Some(Ok(Err((machine, error)))) => {
                    queue.push(LogEvent::Gone { machine, error }, 0);
                }
                Some(_) => {}
                None => break,
            },
            ended = &mut over => {
                match ended {
                    Ok(_) | Err(AskError::Target(_)) => {
                        let until = Instant::now() + LINGER;
                        // Those that have not ended by then have nothing more to say.
                        while let Ok(Some(_)) = timeout_at(until, following.join_next()).await {}
                    }
                    Err(error) => queue.push(LogEvent::NoCoordinator(error), 0),
                }
                break;
            }
        }
    }
    queue.close();
}

/// What is no record is left out: it comes from a version that knows more.
fn records(values: Vec<serde_json::Value>) -> Vec<Record> {
    let records = values.into_iter();
    records
        .filter_map(|value| serde_json::from_value(value).ok())
        .collect()
}

/// Lines of several machines by their times; those of one keep their order.
fn merged(mut machines: Vec<VecDeque<Record>>) -> Vec<Record> {
    let mut all = Vec::with_capacity(machines.iter().map(VecDeque::len).sum());
    loop {
        let heads = machines.iter_mut().filter(|lines| !lines.is_empty());
        let first = heads.min_by_key(|lines| lines.front().map(|record| record.time));
        match first.and_then(VecDeque::pop_front) {
            Some(record) => all.push(record),
            None => return all,
        }
    }
}
