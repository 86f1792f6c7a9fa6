//! How a dataflow's threads are started, each with the seats that the plan gives it.
//!
//! Invariant: what has been started ends again when a later thread cannot be. Absent: what happens then (`dataflow`).

use super::clock::Clock;
use super::code::{Code, PluginCode};
use super::dataflow::{Dataflow, Running, RunningInput, Worker};
use super::mailbox::{Mailbox, Slot};
use super::outside::About;
use super::plan::{From, NodeIndex, Plan, PlannedCode, PlannedNode, PlannedWorker};
use super::route::Route;
use super::seat::{Output, SeatShared};
use super::state::State;
use super::wiring::{self, Wiring};
use super::worker::{self, SeatSpec};
use super::{EngineLog, SeatId, StartError, Told};
use crate::ids::DataflowId;
use crate::plugin::about;
use crate::sys::{affinity, crash};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::mpsc::{self, Sender};

/// Events that threads may have told before the engine takes them; they wait for room.
const TOLD: usize = 1_024;

impl Dataflow {
    /// Starts a dataflow's threads; nodes are made when [`Dataflow::run`] is called.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(id: DataflowId, plan: &Plan, log: Arc<dyn EngineLog>) -> Result<Self, StartError> {
        let clock = Arc::new(Clock::default());
        let (tell, told) = mpsc::channel(TOLD);
        let Wiring {
            mailboxes,
            workers,
            routes,
            timers,
            log_inputs,
            log_outputs,
            remote_inputs,
        } = Wiring::new(plan, &clock);
        let restarts: Vec<u32> = plan.nodes.iter().map(|node| node.restarts).collect();
        let mut dataflow = Self {
            id,
            state: State::new(
                wiring::node_specs(plan),
                plan.exit_when_nodes_finish,
                plan.grace,
            )
            .held(plan.held)
            .after(&restarts),
            nodes: Vec::new(),
            workers: Vec::new(),
            timer_routes: timers,
            log_inputs,
            log_outputs,
            remote_inputs,
            watcher: None,
            timers: None,
            told,
            clock,
            log,
            patience: plan.patience,
            began: Instant::now(),
        };
        let mut seats: Vec<Vec<SeatSpec>> = plan.workers.iter().map(|_| Vec::new()).collect();
        for (index, (planned, routes)) in plan.nodes.iter().zip(routes).enumerate() {
            let (Some(specs), Some(mailbox)) =
                (seats.get_mut(planned.worker), mailboxes.get(planned.worker))
            else {
                continue;
            };
            let (running, spec) =
                dataflow.node(index, planned, routes, SeatId(specs.len()), mailbox);
            if plan.held {
                running.shared.hold();
            }
            dataflow.nodes.push(running);
            specs.push(spec);
        }
        for (((planned, specs), mailbox), worker) in
            plan.workers.iter().zip(seats).zip(mailboxes).zip(workers)
        {
            let thread = dataflow.spawn(planned, specs, &mailbox, worker, tell.clone());
            dataflow.workers.push(Worker {
                mailbox,
                thread: None,
            });
            let thread = thread.map_err(|source| StartError::Thread {
                name: planned.name.clone(),
                source,
            });
            if let Some(last) = dataflow.workers.last_mut() {
                // On an error the drop below ends the threads that have been started.
                last.thread = Some(thread?);
            }
        }
        Ok(dataflow)
    }

    fn node(
        &self,
        index: NodeIndex,
        planned: &PlannedNode,
        routes: Vec<Arc<Route>>,
        seat: SeatId,
        mailbox: &Arc<Mailbox>,
    ) -> (Running, SeatSpec) {
        let outputs = planned.outputs.iter().zip(routes);
        let outputs = outputs
            .map(|(port, route)| Output::new(port.name.clone(), port.data_type.clone(), route));
        let shared = SeatShared::new(
            planned.id.clone(),
            outputs.collect(),
            (seat, mailbox.clone()),
            self.clock.clone(),
            self.log.clone(),
            self.patience,
        );
        if let PlannedCode::Outside(outside) = &planned.code {
            for (index, output) in shared.outputs.iter().enumerate() {
                let outside = outside.clone();
                let tell = move |wanted| outside.wanted(index as u32, wanted);
                output.route.watch(tell);
            }
        }
        let inputs = planned.inputs.iter();
        let spec = SeatSpec {
            node: index,
            shared: shared.clone(),
            code: self.code(planned),
            inputs: inputs
                .clone()
                .map(|input| (input.name.to_string(), Slot(input.slot), input.timeout))
                .collect(),
        };
        let inputs = inputs.map(|input| RunningInput {
            name: input.name.to_string(),
            slot: Slot(input.slot),
            timer: match input.from {
                From::Timer(period) => Some(period),
                _ => None,
            },
            reads: match input.from {
                From::Output { node, .. } => Some(node),
                _ => None,
            },
        });
        (
            Running {
                shared,
                worker: planned.worker,
                seat,
                inputs: inputs.collect(),
                outside: match &planned.code {
                    PlannedCode::Outside(outside) => Some(outside.clone()),
                    PlannedCode::Plugin { .. } => None,
                },
                ending: None,
            },
            spec,
        )
    }

    fn code(&self, planned: &PlannedNode) -> Code {
        let level = self.log.level(&planned.id);
        let inputs = planned.inputs.iter();
        let inputs: Vec<String> = inputs.map(|input| input.name.to_string()).collect();
        let outputs = planned.outputs.iter();
        let outputs = outputs.map(|output| output.name.clone()).collect();
        match &planned.code {
            PlannedCode::Plugin {
                plugin,
                kind,
                config,
            } => {
                let code = about(plugin.path(), plugin.handshake());
                self.log.hosts(&planned.id, &inputs, &code);
                Code::Plugin(PluginCode {
                    kind: *kind,
                    library: plugin.library(),
                    level,
                    dataflow: self.id.to_string(),
                    config: config.clone(),
                    inputs,
                    outputs,
                    calls: self.log.calls(&planned.id),
                })
            }
            PlannedCode::Outside(outside) => {
                let about = About {
                    dataflow: self.id,
                    inputs,
                    outputs,
                    level,
                };
                Code::Outside(outside.clone(), Arc::new(about))
            }
        }
    }

    fn spawn(
        &self,
        planned: &PlannedWorker,
        specs: Vec<SeatSpec>,
        mailbox: &Arc<Mailbox>,
        worker: u64,
        tell: Sender<Told>,
    ) -> std::io::Result<JoinHandle<()>> {
        let (mailbox, log, cores) = (
            mailbox.clone(),
            self.log.clone(),
            planned.cpu_affinity.clone(),
        );
        let nodes: Vec<NodeIndex> = specs.iter().map(|spec| spec.node).collect();
        let first = specs.first().map(|spec| spec.shared.id.clone());
        let run = move || {
            // Without one a stack that overflows may not be told.
            let _stack = crash::Stack::of_this_thread();
            if !cores.is_empty()
                && let Err(error) = affinity::pin_this_thread(&cores)
            {
                log.engine(
                    2,
                    first.as_ref(),
                    &format!("cpu_affinity has no effect: {error}"),
                );
            }
            // Nodes' panics never come this far; this is for a fault of the engine itself, which must not hang.
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                worker::run(worker, &mailbox, specs, tell.clone())
            }));
            if outcome.is_err() {
                for node in nodes {
                    let _ = tell.blocking_send(Told::Lost { node });
                }
            }
        };
        // Linux cuts names of threads at 15 bytes itself.
        std::thread::Builder::new()
            .name(planned.name.clone())
            .spawn(run)
    }
}
