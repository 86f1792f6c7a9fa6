//! What must hold when the storm is over.

use crate::world::{Chaos, World};
use host::control::{ClientReply, Phase, Stage, Verb};
use host::coordinator::Standing;
use host::ids::DataflowId;
use std::collections::BTreeMap;

/// Whether everybody has the same opinion of what runs, and nobody has anything left to do.
pub fn agree(world: &World) -> Result<(), String> {
    let Some(coordinator) = &world.coordinator else {
        return Err("there is no coordinator".into());
    };
    let state = &coordinator.state;
    let phases: BTreeMap<DataflowId, Phase> = state.phases().collect();
    for (id, phase) in &phases {
        if *phase != Phase::Running {
            return Err(format!("dataflow {id} is still {phase}"));
        }
        let record = state.ledger().get(*id);
        if record.is_none_or(|record| record.standing != Standing::Runs) {
            return Err(format!("dataflow {id} runs and is over"));
        }
    }
    for (index, client) in world.clients.iter().enumerate() {
        let waits = matches!(client.request.verb, Verb::Wait(id) if phases.contains_key(&id));
        if client.reply.is_none() && !waits {
            return Err(format!(
                "client {index} has no answer: {:?}",
                client.request.verb
            ));
        }
    }
    for daemon in &world.daemons {
        let Some(inner) = &daemon.state else {
            continue;
        };
        let machine = &daemon.machine;
        if inner.registered() != Some(state.epoch()) {
            return Err(format!("machine {machine} is not registered"));
        }
        for (id, run) in daemon.engine.runs.iter().filter(|(_, run)| run.lives()) {
            if !run.went {
                return Err(format!("nodes of {id} wait on machine {machine}"));
            }
            if !phases.contains_key(id) {
                return Err(format!("machine {machine} runs {id}, which is over"));
            }
            let share = state.share(*id, machine);
            if share.is_none_or(|(epoch, stage)| {
                epoch != daemon.epoch || !matches!(stage, Some(Stage::Running))
            }) {
                return Err(format!(
                    "the coordinator takes {id} on {machine} for {share:?}"
                ));
            }
        }
        for id in phases.keys() {
            let Some((epoch, Some(Stage::Running))) = state.share(*id, machine) else {
                continue;
            };
            let runs = daemon.engine.runs.get(id).is_some_and(|run| run.lives());
            if epoch == daemon.epoch && !runs {
                return Err(format!(
                    "{id} is believed to run on {machine}, and does not"
                ));
            }
        }
        let running = inner.shares().filter(|it| it.stage == Stage::Running);
        for (share, (other, life)) in running.flat_map(|it| it.lives.iter().map(move |of| (it, of)))
        {
            let there = state.share(share.dataflow, other);
            if let Some((epoch, Some(Stage::Running))) = there
                && epoch != *life
            {
                let id = share.dataflow;
                return Err(format!("{id} on {machine} is not connected with {other}"));
            }
        }
        if let Some(open) = inner
            .shares()
            .find(|share| !matches!(share.stage, Stage::Running | Stage::Ended(_)))
        {
            return Err(format!("machine {machine} is not done with {open:?}"));
        }
    }
    Ok(())
}

/// What was said to users is true in the end.
pub fn promises(world: &World) {
    let coordinator = world.coordinator.as_ref().expect("there is a coordinator");
    let runs = |id: &DataflowId| {
        let mut daemons = world.daemons.iter();
        daemons.any(|daemon| {
            let runs = &daemon.engine.runs;
            daemon.state.is_some() && runs.get(id).is_some_and(|run| run.lives())
        })
    };
    for (index, client) in world.clients.iter().enumerate() {
        let started = match &client.request.verb {
            Verb::Start(start) => Some(start.dataflow),
            Verb::Restart { dataflow, .. } => Some(*dataflow),
            _ => None,
        };
        match (&client.reply, started) {
            (Some(ClientReply::Start(Err(error))), Some(id)) => {
                assert!(
                    !runs(&id),
                    "client {index}: a start that failed runs: {error}"
                );
                assert!(
                    world.chaos != Chaos::Nothing || excused(error),
                    "client {index}: {error}"
                );
            }
            (Some(ClientReply::Start(Ok(started))), Some(_)) => {
                let id = started.dataflow;
                let known = coordinator.state.phases().any(|(live, _)| live == id);
                let over = coordinator.state.ledger().get(id);
                assert!(
                    known || over.is_some_and(|record| record.ended.started),
                    "client {index}: a dataflow that started is not known"
                );
            }
            (Some(ClientReply::Stop(Ok(ended))), _) => {
                assert!(
                    !runs(&ended.dataflow),
                    "client {index}: what was stopped runs"
                );
            }
            (Some(ClientReply::Ended(ended)), _) => {
                assert!(!runs(&ended.dataflow), "client {index}: what is over runs");
            }
            (Some(ClientReply::Start(_)), None) => panic!("client {index}: a wrong answer"),
            _ => {}
        }
    }
    names_are_unique(world);
}

/// Without faults a start fails only when users get in each other's way.
fn excused(error: &host::control::StartError) -> bool {
    use host::control::StartError::{NameTaken, Stopped};
    matches!(error, NameTaken { .. } | Stopped)
}

fn names_are_unique(world: &World) {
    if matches!(world.chaos, Chaos::Coordinator | Chaos::Everything) {
        return;
    }
    let coordinator = world.coordinator.as_ref().expect("there is a coordinator");
    let mut names: Vec<String> = coordinator.state.live_names().collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "two running dataflows have one name");
}
