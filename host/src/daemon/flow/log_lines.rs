//! Log lines between machines: those of nodes here that nodes elsewhere read, and the other way round.

use super::{Context, FlowError};
use crate::control::{LogSelection, RemoteEdges};
use crate::daemon::lines;
use crate::engine::{Dataflow, LogInput};
use crate::ids::MachineId;
use crate::link::{Arrived, DataKey, OutputSpec, Reader, ReaderSpec, Sender};
use crate::local::limit_of;
use crate::logs::Selection;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Lines that come and go while this lives.
pub(super) struct LogLines {
    /// With the machines whose lines they read.
    readers: RefCell<Vec<(MachineId, Reader)>>,
    inputs: Vec<LogInput>,
    published: JoinSet<()>,
    ended: watch::Sender<bool>,
}

impl LogLines {
    /// Begins both ways. Within a runtime.
    pub fn start(
        context: &Context,
        edges: &RemoteEdges,
        dataflow: &Dataflow,
        sender: &Sender,
    ) -> Result<Self, FlowError> {
        let (ended, _) = watch::channel(false);
        let mut lines = Self {
            readers: RefCell::default(),
            inputs: dataflow.log_inputs(),
            published: JoinSet::new(),
            ended,
        };
        lines.read(context, edges)?;
        for (selection, machines) in &edges.log_readers {
            lines.publish(context, sender, selection, machines)?;
        }
        Ok(lines)
    }

    /// The nodes of a machine have begun again: their lines are counted anew. Those who read here have missed none of what
    /// is published.
    pub fn again(
        &self,
        context: &Context,
        machine: &MachineId,
        edges: &RemoteEdges,
    ) -> Result<(), FlowError> {
        self.readers.borrow_mut().retain(|(of, _)| of != machine);
        self.read(context, edges)
    }

    fn read(&self, context: &Context, edges: &RemoteEdges) -> Result<(), FlowError> {
        for edge in &edges.logs {
            let input = self
                .inputs
                .iter()
                .find(|input| input.node == edge.node && input.input == edge.input);
            let Some(input) = input else {
                continue;
            };
            for machine in &edge.machines {
                let reader = read(context, machine, &edge.selection, input.clone())?;
                let reader = (machine.clone(), reader);
                self.readers.borrow_mut().push(reader);
            }
        }
        Ok(())
    }

    fn publish(
        &mut self,
        context: &Context,
        sender: &Sender,
        selection: &LogSelection,
        machines: &BTreeSet<MachineId>,
    ) -> Result<(), FlowError> {
        let readers = machines.iter().map(|machine| (machine.clone(), false));
        let spec = OutputSpec {
            key: key(&context.machine, context, selection),
            readers: readers.collect(),
            capacity: lines::WAITING,
            // A line about a line that was not sent would be one more to send.
            failed: Box::new(|_| ()),
        };
        let output = context.link.output(sender, spec)?;
        let wanted = context.hub.subscribe(Selection {
            limit: selection.level.and_then(limit_of),
            dataflow: Some(context.id.uuid()),
            node: selection.node.as_ref().map(ToString::to_string),
            except: None,
        });
        let (hub, mut ended) = (context.hub.clone(), self.ended.subscribe());
        self.published.spawn(async move {
            let ended = async {
                // Whoever could say so may be gone, which is the end too.
                let _ = ended.wait_for(|ended| *ended).await;
            };
            lines::publish(hub, wanted, output, ended).await;
        });
        Ok(())
    }

    /// Makes the readers known again.
    pub fn renew(&self) {
        for (_, reader) in &*self.readers.borrow() {
            // Where the network is closed nothing comes anyway.
            let _ = reader.renew();
        }
    }

    /// Publishes what has been said, then the end.
    pub async fn end(mut self, deadline: Duration) {
        self.ended.send_replace(true);
        let all = async { while self.published.join_next().await.is_some() {} };
        // What takes longer is dropped with the tasks.
        let _ = tokio::time::timeout(deadline, all).await;
    }
}

fn key(machine: &MachineId, context: &Context, selection: &LogSelection) -> DataKey {
    DataKey::logs(
        machine,
        context.id,
        selection.level,
        selection.node.as_ref(),
    )
}

fn read(
    context: &Context,
    machine: &MachineId,
    selection: &LogSelection,
    input: LogInput,
) -> Result<Reader, FlowError> {
    let spec = ReaderSpec {
        key: key(machine, context, selection),
        machine: context.machine.clone(),
        from_start: false,
        credits: Vec::new(),
    };
    let reader = context.link.read(&spec, move |arrived| {
        if let Arrived::Message(message) = arrived
            && let Ok(line) = message.text()
        {
            input.push(line);
        }
    });
    Ok(reader?)
}
