//! Copies of an output's messages, on any machine, while it runs.
//!
//! Invariant: looking on never slows the dataflow: whatever is not read in time is dropped here or on the way, and counted.

use super::queue::{Queue, Taken};
use super::{AskError, Client, DaemonError, TapFailure};
use crate::codec;
use crate::control::{DaemonReply, DaemonRequest, RequestId, TapError, TapRequest, TopicSummary};
use crate::ids::PortName;
use crate::link::{Arrived, DataKey, Reader, ReaderSpec};
use plugin_abi::message::Message;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Messages that wait to be read at most; the oldest go, and are counted.
const MOST_MESSAGES: usize = 4_096;
/// Their size at most, about; one is kept whatever its size.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// A daemon publishes for so long without being asked again.
const LEASE: Duration = Duration::from_secs(15);
/// It is asked again so often.
const PROLONG: Duration = Duration::from_secs(3);

/// What looking on at an output brings.
#[derive(Debug)]
pub enum TapEvent {
    /// A message.
    Message {
        /// It.
        message: Message,
        /// When it came here.
        at: Instant,
        /// The size of its data in bytes: the values of plain data, else as they travel.
        bytes: usize,
    },
    /// So many messages were lost before the next: they came faster than they were read or could travel.
    Lost(u64),
    /// A message could not be read.
    Broken(String),
    /// The daemon does not answer any more: the stream ends.
    Gone(DaemonError),
    /// The daemon refuses to go on: the stream ends.
    Refused(TapError),
    /// The coordinator does not answer any more, and all messages come by way of it: the stream ends.
    NoCoordinator(AskError),
}

/// Messages as they come. Dropping it ends it.
#[derive(Debug)]
pub struct Tap {
    queue: Arc<Queue<TapEvent>>,
    keeper: JoinHandle<()>,
}

impl Tap {
    /// The next; `None` when the dataflow is over or the node has ended, and all was read. May be cancelled without loss.
    pub async fn next(&mut self) -> Option<TapEvent> {
        match self.queue.next().await? {
            Taken::Item(event) => Some(event),
            Taken::Lost(messages) => Some(TapEvent::Lost(messages)),
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Client {
    /// Looks on at an output from now on; see [`Client::topics`].
    ///
    /// # Errors
    /// The daemon does not answer, or knows no such output.
    pub async fn tap(&self, topic: &TopicSummary) -> Result<Tap, TapFailure> {
        let output: PortName = topic
            .output
            .parse()
            .map_err(|error: crate::ids::InvalidName| TapFailure::Name(error.to_string()))?;
        let request = TapRequest {
            tap: RequestId::new(),
            dataflow: topic.dataflow,
            node: topic.node.clone(),
            output,
            lease: LEASE,
        };
        let queue = Arc::new(Queue::new(MOST_MESSAGES, MOST_BYTES));
        let ended = Arc::new(Notify::new());
        let spec = ReaderSpec {
            key: DataKey::tap(&topic.machine, request.tap),
            machine: topic.machine.clone(),
            from_start: false,
            credits: Vec::new(),
        };
        // Before it is asked for, so that the first message is not missed.
        let reader = {
            let (queue, ended) = (queue.clone(), ended.clone());
            let reading = self.link.read(&spec, move |arrived| {
                take(&queue, &ended, arrived);
            });
            reading.map_err(TapFailure::Link)?
        };
        self.tap_again(topic, &request)
            .await
            .map_err(TapFailure::Daemon)?;
        let keeper = {
            let (client, topic, queue) = (self.clone(), topic.clone(), queue.clone());
            tokio::spawn(async move {
                client
                    .keep_tap(&topic, &request, reader, &ended, &queue)
                    .await
            })
        };
        Ok(Tap { queue, keeper })
    }

    /// Asks the daemon to publish, or to go on.
    async fn tap_again(
        &self,
        topic: &TopicSummary,
        request: &TapRequest,
    ) -> Result<(), DaemonError> {
        let request = DaemonRequest::Tap(request.clone());
        let asked = self.ask_daemon(&topic.machine, topic.epoch, &request);
        match asked.await? {
            DaemonReply::Tap(tapped) => tapped.map_err(DaemonError::Refused),
            other => Err(DaemonError::unexpected(&topic.machine, other)),
        }
    }

    async fn keep_tap(
        &self,
        topic: &TopicSummary,
        request: &TapRequest,
        reader: Reader,
        ended: &Notify,
        queue: &Queue<TapEvent>,
    ) {
        let prolonging = async {
            loop {
                sleep(PROLONG).await;
                // Without the coordinator no daemon is reached, which is no fault of the daemon's.
                let (again, asked) = tokio::join!(self.tap_again(topic, request), self.status());
                match (again, asked) {
                    (Ok(()), _) => {}
                    (Err(failure @ DaemonError::Refused(_)), _) | (Err(failure), Ok(_)) => {
                        return ended_by(failure);
                    }
                    (Err(_), Err(error)) => return Some(TapEvent::NoCoordinator(error)),
                }
            }
        };
        tokio::select! {
            biased;
            () = ended.notified() => {}
            last = prolonging => {
                if let Some(last) = last {
                    queue.push(last, 0);
                }
            }
        }
        drop(reader);
        queue.close();
    }
}

/// What the stream ends with; nothing when the node has ended.
fn ended_by(failure: DaemonError) -> Option<TapEvent> {
    match failure {
        DaemonError::Refused(TapError::NotRunning { .. }) => None,
        DaemonError::Refused(error) => Some(TapEvent::Refused(error)),
        failure => Some(TapEvent::Gone(failure)),
    }
}

/// On the link's threads.
fn take(queue: &Queue<TapEvent>, ended: &Notify, arrived: Arrived) {
    match arrived {
        Arrived::Message(message) => {
            let bytes = data_size(&message);
            let size = size_of::<Message>() + message.parameter_bytes().len() + bytes;
            let at = Instant::now();
            queue.push(TapEvent::Message { message, at, bytes }, size);
        }
        Arrived::Lost(messages) => queue.lose(messages),
        Arrived::Broken(reason) => queue.push(TapEvent::Broken(reason), 0),
        Arrived::Ended => ended.notify_one(),
    }
}

fn data_size(message: &Message) -> usize {
    match message.plain() {
        Some((_, values)) => values.len(),
        None => codec::encode(message).map_or(0, |encoded| encoded.len()),
    }
}
