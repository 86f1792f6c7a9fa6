//! One query to the coordinator or a daemon, repeated until it is answered or nobody has answered for too long.

use super::{AskError, Client, DaemonError};
use crate::control::{
    ClientReply, ClientRequest, DaemonReply, DaemonRequest, Epoch, Progress, RequestId, Verb,
};
use crate::ids::MachineId;
use crate::link::{CallError, Key};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A single query is answered within this, or counts as lost: more than a coordinator takes to tell the progress.
const QUERY: Duration = Duration::from_millis(2_000);
/// Nobody who is there is silent for so long.
const SILENCE: Duration = Duration::from_millis(4_000);
/// Between two queries, at least.
const PAUSE: Duration = Duration::from_millis(100);
/// A command has failed by then.
const PROMISED: u128 = 5_000;
const _: () = assert!(SILENCE.as_millis() + PAUSE.as_millis() < PROMISED);

impl Client {
    /// Asks the coordinator until it has an answer other than the progress.
    pub(super) async fn ask(
        &self,
        verb: Verb,
        mut progress: impl FnMut(&Progress),
    ) -> Result<ClientReply, AskError> {
        let key = Key::for_clients();
        let request = ClientRequest {
            request: RequestId::new(),
            verb,
        };
        let mut heard = Instant::now();
        loop {
            let asked = Instant::now();
            let left = SILENCE.saturating_sub(heard.elapsed());
            let call = self
                .link
                .call("the coordinator", &key, &request, left.min(QUERY));
            match call.await {
                Ok(ClientReply::Pending(how_far)) => {
                    heard = Instant::now();
                    progress(&how_far);
                }
                Ok(ClientReply::NoTarget(error)) => return Err(AskError::Target(error)),
                Ok(ClientReply::NotUnderstood(fault)) => return Err(AskError::Fault(fault)),
                Ok(reply) => return Ok(reply),
                Err(CallError::Fault { fault, .. }) => return Err(AskError::Fault(fault)),
                Err(CallError::Link(error)) => return Err(AskError::Link(error)),
                Err(last) if heard.elapsed() + PAUSE >= SILENCE => {
                    return Err(AskError::Silent {
                        coordinator: self.address.clone(),
                        after: heard.elapsed(),
                        last,
                    });
                }
                Err(_) => {}
            }
            // One that has too many clients tells the progress at once.
            sleep(PAUSE.saturating_sub(asked.elapsed())).await;
        }
    }

    /// Asks a life of a daemon, again while it is not to be found: it may just be connecting.
    pub(super) async fn ask_daemon(
        &self,
        machine: &MachineId,
        epoch: Epoch,
        request: &DaemonRequest,
    ) -> Result<DaemonReply, DaemonError> {
        let target = format!("the daemon of machine `{machine}`");
        let key = Key::at_daemon(machine, epoch);
        let began = Instant::now();
        loop {
            let left = SILENCE.saturating_sub(began.elapsed());
            let call = self.link.call(&target, &key, request, left);
            match call.await {
                Err(CallError::Absent { .. } | CallError::Dropped { .. })
                    if began.elapsed() + PAUSE < SILENCE / 2 => {}
                Ok(DaemonReply::NotUnderstood(fault)) => {
                    return Err(DaemonError::Call(CallError::Fault { target, fault }));
                }
                other => return other.map_err(DaemonError::Call),
            }
            sleep(PAUSE).await;
        }
    }
}
