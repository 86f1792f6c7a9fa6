//! Log lines for whoever asks: the last ones from the files, and further ones as they come.
//!
//! Invariant: an answer is bounded in lines and bytes; who follows begins before what is there is read, so no line is
//! missing, though one may come both ways. Who does not ask again is forgotten. Absent: what becomes of the lines.

use super::lines;
use crate::control::{DaemonReply, LOGS_LEASE, LogsRequest, RequestId, TapError};
use crate::ids::{DataflowId, MachineId};
use crate::link::{Call, DataKey, Link, LinkError, OutputSpec, Sender};
use crate::logs::{Level, LogHub, Record, Selection, files, read};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// Most lines of an answer.
pub const MAX_LINES: usize = 2_000;
/// Most bytes of an answer, as JSON.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most who follow at one time.
const MAX_FOLLOWERS: usize = 64;
/// Most answers that are looked up at one time.
const READERS: usize = 4;
/// How long the last lines may take to be written.
const FLUSH: Duration = Duration::from_millis(500);

/// Who follows the log of what.
#[derive(Debug)]
pub(super) struct Following {
    followers: BTreeMap<RequestId, Follower>,
    readers: Arc<Semaphore>,
}

#[derive(Debug)]
struct Follower {
    dataflow: DataflowId,
    /// Until when it follows unless it asks again; the past for the end.
    until: watch::Sender<Instant>,
}

/// What is needed to answer.
pub(super) struct Means<'a> {
    pub machine: &'a MachineId,
    pub link: &'a Link,
    pub sender: &'a Sender,
    pub hub: &'a LogHub,
    pub out: &'a Arc<Path>,
}

impl Following {
    pub fn new() -> Self {
        Self {
            followers: BTreeMap::new(),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Answers a query, in its own time. `is_live` says whether the dataflow has not ended here.
    pub fn ask(
        &mut self,
        request: LogsRequest,
        is_live: bool,
        call: Call,
        means: &Means<'_>,
    ) -> Result<(), LinkError> {
        if let Some(id) = request.follow {
            self.followers
                .retain(|_, follower| !follower.until.is_closed());
            match self.followers.get(&id) {
                Some(follower) => drop(follower.until.send_replace(Instant::now() + LOGS_LEASE)),
                None if self.followers.len() >= MAX_FOLLOWERS => {
                    let limit = MAX_FOLLOWERS;
                    call.reply("reply", &DaemonReply::Tap(Err(TapError::TooMany { limit })));
                    return Ok(());
                }
                None => self.follow(id, &request, is_live, means)?,
            }
        }
        let (readers, hub, out) = (self.readers.clone(), means.hub.clone(), means.out.clone());
        tokio::spawn(async move {
            let _turn = readers.acquire().await;
            let found = background(move || last_lines(&out, &hub, &request)).await;
            call.reply("reply", &DaemonReply::Logs(found.unwrap_or_default()));
        });
        Ok(())
    }

    fn follow(
        &mut self,
        id: RequestId,
        request: &LogsRequest,
        is_live: bool,
        means: &Means<'_>,
    ) -> Result<(), LinkError> {
        let spec = OutputSpec {
            key: DataKey::tap(means.machine, id),
            readers: BTreeMap::new(),
            capacity: lines::WAITING,
            // Who follows sees the gap.
            failed: Box::new(|_| ()),
        };
        let output = means.link.output(means.sender, spec)?;
        if !is_live {
            output.close();
            return Ok(());
        }
        let wanted = means.hub.subscribe(Selection {
            dataflow: Some(request.dataflow.uuid()),
            node: request.node.as_ref().map(ToString::to_string),
            ..Selection::default()
        });
        let (until, lease) = watch::channel(Instant::now() + LOGS_LEASE);
        let follower = Follower {
            dataflow: request.dataflow,
            until,
        };
        self.followers.insert(id, follower);
        let hub = means.hub.clone();
        tokio::spawn(lines::publish(hub, wanted, output, over(lease)));
        Ok(())
    }

    /// All has been said of a dataflow.
    pub fn dataflow_ended(&mut self, dataflow: DataflowId) {
        self.followers
            .retain(|_, follower| follower.dataflow != dataflow);
    }
}

/// Waits until a lease is over, or nobody is left to prolong it.
async fn over(mut lease: watch::Receiver<Instant>) {
    loop {
        let until = *lease.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => return,
            changed = lease.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Runs something that may block on a thread of its own, so that a dead disk holds up nothing else, not even the end.
async fn background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("dora-log-read".into());
    thread
        .spawn(move || {
            // Nobody may wait for it any more.
            let _ = sender.send(work());
        })
        .ok()?;
    receiver.await.ok()
}

/// The last lines that were asked for, the oldest first.
fn last_lines(out: &Path, hub: &LogHub, request: &LogsRequest) -> Vec<serde_json::Value> {
    let most = request.tail.map_or(MAX_LINES, |tail| tail as usize);
    let most = most.min(MAX_LINES);
    if most == 0 {
        return Vec::new();
    }
    hub.flush(FLUSH);
    let dataflow = request.dataflow.uuid();
    let nodes = match &request.node {
        Some(node) => vec![node.to_string()],
        None => read::nodes(out, dataflow).unwrap_or_default(),
    };
    let mut records = Vec::new();
    let mut kept: VecDeque<(usize, String)> = VecDeque::new();
    for node in nodes {
        match read::tail(out, dataflow, &node, most) {
            Ok(found) => records.push(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => kept.push_back(unreadable(&node, &error)),
        }
    }
    let mut bytes = 0;
    for record in read::merge(records) {
        let line = match record {
            Ok(record) => record.to_json(),
            Err(error) => unreadable(files::RUNTIME, &error).1,
        };
        bytes += line.len();
        kept.push_back((line.len(), line));
        while kept.len() > most || (bytes > MAX_BYTES && kept.len() > 1) {
            bytes -= kept.pop_front().map_or(0, |(length, _)| length);
        }
    }
    let values = kept.into_iter();
    values
        .filter_map(|(_, line)| serde_json::from_str(&line).ok())
        .collect()
}

fn unreadable(node: &str, error: &io::Error) -> (usize, String) {
    let text = format!("the log of `{node}` cannot be read: {error}");
    (0, Record::new(Level::Warn, "dora", text).to_json())
}
