//! Daemons and coordinators that die, are cut off, freeze and come back.

use crate::cluster::{Cluster, Does, machine, ms};
use crate::{ONE, TWO};
use host::control::{
    ClientReply, CoordinatorReply, CoordinatorRequest, NodeEnd, Phase, Protocol, Reach, Register,
    Target, TargetError, Verb,
};
use host::coordinator::{Event, Note};
use host::daemon::{self, Exit};
use host::ids::DataflowId;

fn reach(cluster: &mut Cluster, name: &str) -> Option<Reach> {
    let Some(ClientReply::Status(status)) = cluster.ask(Verb::Status) else {
        panic!("no status");
    };
    let mut daemons = status.daemons.iter();
    daemons
        .find(|it| it.machine.as_str() == name)
        .map(|it| it.reach)
}

fn phase(cluster: &mut Cluster, id: DataflowId) -> Option<Phase> {
    let Some(ClientReply::List(list)) = cluster.ask(Verb::List) else {
        panic!("no list");
    };
    list.iter().find(|it| it.dataflow == id).map(|it| it.phase)
}

#[test]
fn a_daemon_that_is_silent_is_lost_after_three_seconds_and_its_nodes_are_shown_so() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.run(TWO, None);
    cluster.pass(ms(5000));
    let epoch = cluster.at("B").epoch;
    cluster.at("B").cut = true;
    assert_eq!(reach(&mut cluster, "B"), Some(Reach::Connected));
    cluster.coordinator(Event::TokenGone {
        machine: machine("B"),
        epoch,
    });
    assert_eq!(reach(&mut cluster, "B"), Some(Reach::Suspect));
    cluster.coordinator(Event::TokenSeen {
        machine: machine("B"),
        epoch,
    });
    assert_eq!(reach(&mut cluster, "B"), Some(Reach::Connected));
    cluster.pass(ms(3000));
    assert_eq!(reach(&mut cluster, "B"), Some(Reach::Lost));
    assert_eq!(cluster.nodes(), ["a@A: running", "b@B: unreachable"]);
}

#[test]
fn a_lost_daemon_that_comes_back_has_gone_on() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    cluster.at("B").cut = true;
    cluster.pass(ms(20_000));
    cluster.at("B").cut = false;
    cluster.pass(ms(2000));
    assert_eq!(cluster.nodes(), ["a@A: running", "b@B: running"]);
    assert!(cluster.notes.contains(&Note::DaemonBack(machine("B"))));
    assert_eq!(cluster.at("B").did, ["prepare", "spawn", "go"]);
    assert_eq!(cluster.runs_on(id), ["A", "B"]);
    // It is not given up later for having been lost once.
    cluster.pass(ms(700_000));
    assert_eq!(cluster.nodes(), ["a@A: running", "b@B: running"]);
}

#[test]
fn a_daemon_that_was_killed_and_started_again_runs_nothing_and_the_others_go_on() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    cluster.kill_daemon("B");
    cluster.pass(ms(4000));
    cluster.start_daemon("B");
    cluster.pass(ms(1000));
    assert_eq!(
        cluster.nodes(),
        ["a@A: running", "b@B: was lost with machine `B`"]
    );
    assert_eq!(phase(&mut cluster, id), Some(Phase::Running));
    assert!(cluster.at("B").did.is_empty());
    cluster.all_end("A", id, NodeEnd::Finished);
    let ClientReply::Ended(ended) = cluster.finish(Verb::Wait(id)) else {
        panic!("it is not over");
    };
    assert!(ended.is_failure());
}

#[test]
fn a_daemon_that_restarts_at_once_gets_its_machine_id_back() {
    let mut cluster = Cluster::new(&["A"]);
    cluster.run(ONE, None);
    // Nobody has noticed that the first life is over.
    cluster.start_daemon("A");
    cluster.pass(ms(2000));
    let epoch = cluster.at("A").epoch;
    let coordinator = cluster.coordinator.as_ref().map(|it| it.epoch());
    assert_eq!(cluster.at("A").state.registered(), coordinator);
    assert_eq!(cluster.at("A").exit, None);
    assert!(cluster.notes.contains(&Note::DaemonRestarted(machine("A"))));
    let Some(ClientReply::Status(status)) = cluster.ask(Verb::Status) else {
        panic!("no status");
    };
    assert_eq!(status.daemons[0].epoch, epoch);
}

#[test]
fn a_second_daemon_with_the_machine_id_of_one_that_lives_is_refused() {
    let mut cluster = Cluster::new(&["A"]);
    let info = cluster.info();
    let epoch = host::control::Epoch::new();
    let register = Register {
        machine: machine("A"),
        epoch,
        info: info.clone(),
        held: Vec::new(),
        fallen: Vec::new(),
    };
    let mut second = daemon::State::new(machine("A"), epoch, info.clone(), cluster.timing.clone());
    assert_eq!(second.handle(daemon::Event::Time, ms(0)).len(), 1);
    // The coordinator asks the first whether it lives, and knows when the second asks again.
    let call = host::control::CallId(u64::MAX);
    let ask = |cluster: &mut Cluster| {
        let request = CoordinatorRequest::Register(Box::new(register.clone()));
        cluster.coordinator_reply(call, request)
    };
    assert_eq!(ask(&mut cluster), CoordinatorReply::Wait);
    cluster.deliver();
    let reply = ask(&mut cluster);
    assert_eq!(reply, CoordinatorReply::MachineIdTaken { by: info.clone() });
    let send = host::control::SendId(0);
    let actions = second.handle(daemon::Event::Answered { send, reply }, ms(300));
    assert!(
        matches!(actions.as_slice(), [daemon::Action::Exit(Exit::MachineIdTaken(by))] if *by == info),
        "{actions:?}"
    );
    assert!(cluster.at("A").exit.is_none());
}

#[test]
fn a_daemon_of_another_version_is_refused_on_both_sides() {
    let mut cluster = Cluster::new(&[]);
    let mut info = cluster.info();
    info.protocol = Protocol { min: 7, max: 8 };
    info.version = "0.9.0".into();
    let register = Register {
        machine: machine("A"),
        epoch: host::control::Epoch::new(),
        info,
        held: Vec::new(),
        fallen: Vec::new(),
    };
    let request = CoordinatorRequest::Register(Box::new(register));
    let reply = cluster.coordinator_reply(host::control::CallId(u64::MAX), request);
    let CoordinatorReply::Incompatible(error) = reply else {
        panic!("it is accepted: {reply:?}");
    };
    assert!(error.to_string().starts_with("this daemon is dora 0.9.0"));
    let noted = cluster.notes.iter().any(|note| match note {
        Note::Incompatible(error) => error
            .to_string()
            .starts_with("this coordinator is dora 0.7.0"),
        _ => false,
    });
    assert!(noted);
}

#[test]
fn a_coordinator_that_was_frozen_does_not_blame_the_daemons() {
    let mut cluster = Cluster::new(&["A"]);
    let id = cluster.run(ONE, None);
    cluster.pass(ms(1000));
    // Nobody was there to hear anything for a minute.
    cluster.now += ms(60_000);
    cluster.coordinator(Event::Time);
    assert_eq!(reach(&mut cluster, "A"), Some(Reach::Connected));
    cluster.pass(ms(5000));
    assert_eq!(phase(&mut cluster, id), Some(Phase::Running));
    assert!(!cluster.notes.contains(&Note::DaemonLost(machine("A"))));
}

#[test]
fn what_was_stopped_while_a_machine_was_away_is_stopped_when_it_returns() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    cluster.at("B").cut = true;
    cluster.pass(ms(5000));
    let ClientReply::Stop(Ok(ended)) = cluster.stop(Target::Id(id)) else {
        panic!("it does not stop");
    };
    assert_eq!(ended.unreachable, [machine("B")]);
    assert_eq!(cluster.runs_on(id), ["B"]);
    cluster.at("B").cut = false;
    cluster.pass(ms(3000));
    assert_eq!(cluster.runs_on(id), [""; 0]);
    // And its end is known then.
    let record = &cluster.disk.get(id).unwrap().ended;
    assert!(record.unreachable.is_empty());
    assert!(
        record.rows.iter().all(|row| row.end == NodeEnd::Stopped),
        "{record:?}"
    );
}

#[test]
fn a_machine_that_never_returns_is_given_up() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    cluster.kill_daemon("B");
    cluster.all_end("A", id, NodeEnd::Finished);
    cluster.pass(ms(60_000));
    assert_eq!(phase(&mut cluster, id), Some(Phase::Running));
    cluster.pass(ms(600_000));
    assert_eq!(phase(&mut cluster, id), Some(Phase::Ended));
    assert_eq!(reach(&mut cluster, "B"), None);
}

#[test]
fn a_daemon_that_ends_in_order_leaves_at_once() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    let grace = ms(1000);
    cluster.daemon(&machine("B"), daemon::Event::Shutdown { grace });
    cluster.pass(ms(100));
    assert_eq!(cluster.at("B").exit, Some(Exit::Stopped));
    assert_eq!(reach(&mut cluster, "B"), None);
    assert_eq!(cluster.nodes(), ["a@A: running", "b@B: stopped"]);
    assert_eq!(cluster.runs_on(id), ["A"]);
}

#[test]
fn dataflows_go_on_without_a_coordinator_and_the_next_one_knows_them() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let over = cluster.run(ONE, Some("first"));
    cluster.stop(Target::Id(over));
    let id = cluster.run(TWO, Some("arm"));
    cluster.kill_coordinator();
    cluster.pass(ms(10_000));
    assert_eq!(cluster.runs_on(id), ["A", "B"]);
    assert!(
        cluster
            .at("A")
            .notes
            .contains(&daemon::Note::CoordinatorLost)
    );
    cluster.start_coordinator();
    cluster.pass(ms(2000));
    let Some(ClientReply::List(list)) = cluster.ask(Verb::List) else {
        panic!("no list");
    };
    let list: Vec<_> = list
        .iter()
        .map(|it| (it.dataflow, it.name.as_deref(), it.phase, it.running))
        .collect();
    assert_eq!(
        list,
        [
            (over, Some("first"), Phase::Ended, 0),
            (id, Some("arm"), Phase::Running, 2)
        ]
    );
    assert!(
        cluster
            .at("A")
            .notes
            .contains(&daemon::Note::CoordinatorBack)
    );
    // The new one can do with it what the old one could.
    let ClientReply::Stop(Ok(ended)) = cluster.stop(Target::Name("arm".into())) else {
        panic!("it does not stop");
    };
    assert_eq!(ended.rows.len(), 2);
}

#[test]
fn a_start_that_lost_its_coordinator_is_undone() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.does("B", Does::HangsInMaking);
    let start = cluster.start(TWO, None);
    let id = start.dataflow;
    assert_eq!(cluster.ask(Verb::Start(Box::new(start.clone()))), None);
    cluster.kill_coordinator();
    cluster.pass(ms(500));
    cluster.start_coordinator();
    // Asked again by the command that has got no answer.
    let reply = cluster.finish(Verb::Start(Box::new(start)));
    let error = host::control::StartError::CoordinatorRestarted;
    assert_eq!(reply, ClientReply::Start(Err(error)));
    cluster.pass(ms(3000));
    assert_eq!(cluster.runs_on(id), [""; 0]);
}

#[test]
fn a_start_that_had_gone_on_one_machine_is_completed_by_the_next_coordinator() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.does("B", Does::HangsInMaking);
    let start = cluster.start(TWO, None);
    let id = start.dataflow;
    assert_eq!(cluster.ask(Verb::Start(Box::new(start.clone()))), None);
    cluster.pass(ms(100));
    // B is ready, says so, and hears nothing more; A is let go.
    cluster.coordinator_misses_sends_to("B");
    cluster.local("B", id, host::daemon::Local::Made);
    cluster.pass(ms(100));
    assert_eq!(cluster.at("A").did, ["prepare", "spawn", "go"]);
    assert_eq!(cluster.at("B").did, ["prepare", "spawn"]);
    cluster.kill_coordinator();
    cluster.hears_again();
    // The command is faster than the daemons.
    for name in ["A", "B"] {
        cluster.at(name).cut = true;
    }
    cluster.start_coordinator();
    let verb = Verb::Start(Box::new(start));
    assert_eq!(cluster.ask(verb.clone()), None);
    for name in ["A", "B"] {
        cluster.at(name).cut = false;
    }
    let reply = cluster.finish(verb);
    assert!(matches!(reply, ClientReply::Start(Ok(_))), "{reply:?}");
    assert_eq!(cluster.at("B").did, ["prepare", "spawn", "go"]);
}

#[test]
fn a_stop_that_lost_its_coordinator_is_completed_by_the_next() {
    let mut cluster = Cluster::new(&["A", "B"]);
    let id = cluster.run(TWO, None);
    cluster.coordinator_misses_sends_to("B");
    let verb = Verb::Stop {
        target: Target::Id(id),
        grace: ms(100),
        force: false,
    };
    assert_eq!(cluster.ask(verb.clone()), None);
    assert_eq!(cluster.runs_on(id), ["B"]);
    cluster.kill_coordinator();
    cluster.hears_again();
    cluster.start_coordinator();
    let reply = cluster.finish(verb);
    // By the time it is asked again it may be over.
    let over = match &reply {
        ClientReply::Stop(Ok(ended)) => ended.dataflow,
        ClientReply::NoTarget(TargetError::Over { dataflow, .. }) => *dataflow,
        other => panic!("another answer: {other:?}"),
    };
    assert_eq!(over, id);
    assert_eq!(cluster.runs_on(id), [""; 0]);
}

#[test]
fn a_dataflow_that_was_lost_with_all_its_daemons_and_the_coordinator_is_remembered() {
    let mut cluster = Cluster::new(&["A"]);
    let id = cluster.run(ONE, Some("arm"));
    cluster.kill_daemon("A");
    cluster.kill_coordinator();
    cluster.start_coordinator();
    cluster.start_daemon("A");
    cluster.pass(ms(10_000));
    assert_eq!(phase(&mut cluster, id), Some(Phase::Recovering));
    // Whoever knows better than to wait for its machine says so.
    let ClientReply::Stop(Ok(ended)) = cluster.stop(Target::Name("arm".into())) else {
        panic!("it does not stop");
    };
    assert!(matches!(ended.rows[0].end, NodeEnd::Lost { .. }));
    assert_eq!(phase(&mut cluster, id), Some(Phase::Ended));
}

#[test]
fn a_daemon_that_reports_and_does_not_hear_is_made_to_register_until_it_does() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.pass(ms(3000));
    assert_eq!((cluster.at("A").served, cluster.at("B").served), (1, 1));
    cluster.kill_coordinator();
    cluster.coordinator_misses_sends_to("B");
    cluster.start_coordinator();
    cluster.pass(ms(4000));
    let served = cluster.at("B").served;
    assert!(served >= 3, "{served}");
    // Only as often as it reports.
    assert!(served <= 6, "{served}");
    assert_eq!(cluster.at("A").served, 2);
    cluster.hears_again();
    cluster.pass(ms(2000));
    let served = cluster.at("B").served;
    cluster.pass(ms(5000));
    assert_eq!(cluster.at("B").served, served);
    cluster.run(TWO, None);
}
