//! Rules of a daemon alone.

use crate::TWO;
use crate::cluster::{machine, ms, node};
use host::control::{
    CallId, CoordinatorReply, CoordinatorRequest, DaemonReply, DaemonRequest, Epoch, MachineInfo,
    NodeEnd, NodeRow, Order, PROTOCOL, Placement, Prepare, RequestId, SendId, ShareEnd,
    ShareStatus, Stage, TapError, TapRequest, Timing,
};
use host::daemon::{Action, Event, Exit, Local, Note, State};
use host::descriptor::{Descriptor, Problems};
use host::ids::DataflowId;
use host::plugin::info::KindInfo;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// A daemon on machine B, registered with a coordinator.
struct Bench {
    state: State,
    coordinator: Epoch,
    now: Duration,
    /// Everything it has done since it was registered.
    did: Vec<Action>,
    /// The query that waits for the coordinator's answer.
    asked: Option<(SendId, CoordinatorRequest)>,
    peer: Epoch,
}

impl Bench {
    fn new() -> Self {
        let info = MachineInfo {
            protocol: PROTOCOL,
            version: "0.7.0".into(),
            host: "somewhere".into(),
            pid: 7,
            address: String::new(),
            labels: BTreeMap::new(),
        };
        let state = State::new(machine("B"), Epoch::new(), info, Timing::default());
        let mut bench = Self {
            state,
            coordinator: Epoch::new(),
            now: ms(0),
            did: Vec::new(),
            asked: None,
            peer: Epoch::new(),
        };
        bench.on(Event::Time);
        bench.registered();
        bench.did.clear();
        bench
    }

    fn registered(&mut self) {
        let coordinator = self.coordinator;
        let heard = Vec::new();
        self.answer(CoordinatorReply::Registered { coordinator, heard });
    }

    fn on(&mut self, event: Event) {
        for action in self.state.handle(event, self.now) {
            if let Action::Send { send, request } = &action {
                self.asked = Some((*send, (**request).clone()));
            }
            self.did.push(action);
        }
    }

    /// The coordinator's answer to the query that waits.
    fn answer(&mut self, reply: CoordinatorReply) {
        let (send, _) = self.asked.take().expect("a query waits");
        self.on(Event::Answered { send, reply });
    }

    fn hear(&mut self) -> Option<Vec<ShareStatus>> {
        let (send, CoordinatorRequest::Report(report)) = self.asked.take()? else {
            panic!("no report");
        };
        let heard = report.changed.iter().map(|it| (it.dataflow, it.version));
        let reply = CoordinatorReply::Heard {
            coordinator: self.coordinator,
            heard: heard.collect(),
        };
        self.on(Event::Answered { send, reply });
        Some(report.changed)
    }

    /// Lets time pass without a coordinator that answers, or with one that hears reports.
    fn pass(&mut self, time: Duration, answers: bool) {
        let end = self.now + time;
        loop {
            match &self.asked {
                Some((send, _)) if !answers => {
                    let send = *send;
                    self.asked = None;
                    self.on(Event::Unanswered { send });
                }
                Some((_, CoordinatorRequest::Report(_))) => {
                    self.hear();
                }
                _ => {}
            }
            let Some(due) = self.state.next_deadline().filter(|due| *due <= end) else {
                break;
            };
            self.now = due.max(self.now + Duration::from_micros(1));
            self.on(Event::Time);
        }
        self.now = end;
    }

    fn prepare(&self, text: &str) -> Box<Prepare> {
        let descriptor = Descriptor::parse(text, Path::new("d.yml")).expect("a valid graph");
        let nodes = descriptor.nodes.iter();
        let nodes = nodes.map(|node| {
            let named = node.deploy.machine.as_ref().map(|it| it.value.clone());
            (node.id.clone(), named.expect("a machine"))
        });
        Box::new(Prepare {
            dataflow: DataflowId::new(),
            name: None,
            placement: Placement {
                nodes: nodes.collect(),
                machines: [(machine("A"), self.peer), (machine("B"), Epoch::new())].into(),
            },
            descriptor,
            folder: "/somewhere".into(),
            env: BTreeMap::new(),
            again: None,
        })
    }

    fn order_of(&mut self, coordinator: Epoch, order: Order) -> DaemonReply {
        let request = DaemonRequest::Order { coordinator, order };
        self.query(request)
    }

    fn query(&mut self, request: DaemonRequest) -> DaemonReply {
        let call = CallId(0);
        let before = self.did.len();
        self.on(Event::Query { call, request });
        let mut new = self.did[before..].iter();
        let reply = new.find_map(|action| match action {
            Action::Reply { reply, .. } => Some(reply.clone()),
            _ => None,
        });
        reply.expect("an answer")
    }

    fn order(&mut self, order: Order) -> ShareStatus {
        match self.order_of(self.coordinator, order) {
            DaemonReply::Share(status) => status,
            other => panic!("another answer: {other:?}"),
        }
    }

    fn local(&mut self, dataflow: DataflowId, local: Local) {
        self.on(Event::Local { dataflow, local });
    }

    /// A share that is as far as [`Stage::Ready`].
    fn ready(&mut self, text: &str) -> DataflowId {
        let prepare = self.prepare(text);
        let id = prepare.dataflow;
        self.order(Order::Prepare(prepare));
        self.local(id, prepared());
        self.order(Order::Spawn(id));
        self.local(id, Local::Made);
        self.local(id, Local::Linked);
        assert_eq!(self.stage(id), Stage::Ready);
        id
    }

    fn running(&mut self, text: &str) -> DataflowId {
        let id = self.ready(text);
        self.order(Order::Go(id));
        assert_eq!(self.stage(id), Stage::Running);
        self.did.clear();
        id
    }

    fn stage(&self, id: DataflowId) -> Stage {
        let mut shares = self.state.shares();
        let share = shares.find(|it| it.dataflow == id);
        share.expect("a share").stage.clone()
    }

    fn over(&mut self, id: DataflowId) {
        let rows = vec![NodeRow::bare(node("b"), machine("B"), NodeEnd::Stopped)];
        let took = ms(5);
        self.local(id, Local::Over { rows, took });
    }

    fn has(&self, wanted: fn(&Action) -> bool) -> usize {
        self.did.iter().filter(|action| wanted(action)).count()
    }

    fn exit(&self) -> Option<&Exit> {
        self.did.iter().find_map(|action| match action {
            Action::Exit(exit) => Some(exit),
            _ => None,
        })
    }

    fn closed(&self) -> Vec<String> {
        let closed = self.did.iter().filter_map(|action| match action {
            Action::CloseInputs { inputs, .. } => Some(inputs),
            _ => None,
        });
        let inputs = closed.flatten();
        inputs
            .map(|(node, input)| format!("{node}/{input}"))
            .collect()
    }
}

/// Found again in whatever holds the kind of node `b`.
const ABOUT: &str = "what the kind says of itself";

fn prepared() -> Local {
    let kind = KindInfo {
        name: "kind".into(),
        description: ABOUT.into(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        config_schema: None,
    };
    Local::Prepared {
        kinds: [(node("b"), kind)].into(),
        warnings: Problems::default(),
    }
}

fn stop(dataflow: DataflowId, serial: u32, grace: u64) -> Order {
    Order::Stop {
        dataflow,
        serial,
        grace: ms(grace),
        force: false,
    }
}

#[test]
fn repeated_orders_do_everything_once() {
    let mut bench = Bench::new();
    let prepare = bench.prepare(TWO);
    let id = prepare.dataflow;
    for _ in 0..2 {
        bench.order(Order::Prepare(prepare.clone()));
    }
    bench.local(id, prepared());
    for _ in 0..2 {
        bench.order(Order::Spawn(id));
    }
    bench.local(id, Local::Made);
    bench.local(id, Local::Linked);
    for _ in 0..2 {
        bench.order(Order::Go(id));
    }
    bench.order(Order::Prepare(prepare));
    bench.order(Order::Spawn(id));
    for _ in 0..2 {
        bench.order(stop(id, 1, 1000));
    }
    bench.over(id);
    bench.order(Order::Go(id));
    assert_eq!(bench.has(|action| matches!(action, Action::Prepare(_))), 1);
    assert_eq!(
        bench.has(|action| matches!(action, Action::Spawn { .. })),
        1
    );
    assert_eq!(bench.has(|action| matches!(action, Action::Go(_))), 1);
    assert_eq!(bench.has(|action| matches!(action, Action::Stop { .. })), 1);
    assert!(matches!(
        bench.stage(id),
        Stage::Ended(ShareEnd::Over { .. })
    ));
}

#[test]
fn orders_out_of_turn_do_nothing() {
    let mut bench = Bench::new();
    let prepare = bench.prepare(TWO);
    let id = prepare.dataflow;
    bench.order(Order::Prepare(prepare));
    assert_eq!(bench.order(Order::Spawn(id)).stage, Stage::Preparing);
    assert_eq!(bench.order(Order::Go(id)).stage, Stage::Preparing);
    bench.local(id, prepared());
    assert!(matches!(
        bench.order(Order::Go(id)).stage,
        Stage::Prepared { .. }
    ));
}

#[test]
fn what_was_stopped_before_it_was_prepared_is_never_prepared() {
    let mut bench = Bench::new();
    let prepare = bench.prepare(TWO);
    bench.order(stop(prepare.dataflow, 1, 0));
    let status = bench.order(Order::Prepare(prepare));
    assert_eq!(status.stage, Stage::Ended(ShareEnd::Dropped));
    assert_eq!(bench.has(|action| matches!(action, Action::Prepare(_))), 0);
    let unknown = DataflowId::new();
    assert_eq!(
        bench.order(Order::Go(unknown)).stage,
        Stage::Ended(ShareEnd::Forgotten)
    );
}

#[test]
fn a_check_that_ends_after_the_stop_does_not_count() {
    let mut bench = Bench::new();
    let prepare = bench.prepare(TWO);
    let id = prepare.dataflow;
    bench.order(Order::Prepare(prepare));
    bench.order(stop(id, 1, 0));
    assert_eq!(bench.has(|action| matches!(action, Action::Discard(_))), 1);
    bench.local(id, prepared());
    assert_eq!(bench.stage(id), Stage::Ended(ShareEnd::Dropped));
}

#[test]
fn only_the_coordinator_it_is_registered_with_is_obeyed() {
    let mut bench = Bench::new();
    let prepare = bench.prepare(TWO);
    let other = Epoch::new();
    let reply = bench.order_of(other, Order::Prepare(prepare));
    assert_eq!(reply, DaemonReply::NotYours(Some(bench.coordinator)));
    assert_eq!(bench.state.shares().count(), 0);
    let reply = bench.query(DaemonRequest::Exit { coordinator: other });
    assert_eq!(reply, DaemonReply::NotYours(Some(bench.coordinator)));
    assert_eq!(bench.query(DaemonRequest::Ping), DaemonReply::Pong);
}

#[test]
fn what_nobody_asks_for_any_more_is_given_up() {
    let mut bench = Bench::new();
    let prepare = bench.prepare(TWO);
    let waiting = prepare.dataflow;
    bench.order(Order::Prepare(prepare));
    bench.local(waiting, prepared());
    let ready = bench.ready(TWO);
    let running = bench.running(TWO);
    bench.pass(ms(61_000), true);
    assert_eq!(bench.stage(waiting), Stage::Ended(ShareEnd::Expired));
    bench.over(ready);
    assert_eq!(bench.stage(ready), Stage::Ended(ShareEnd::Expired));
    assert_eq!(bench.stage(running), Stage::Running);
    let noted = bench.has(|action| matches!(action, Action::Note(Note::Expired(_))));
    assert_eq!(noted, 2);
}

#[test]
fn a_stricter_stop_shortens_the_wait_a_repeated_one_does_not_prolong_it() {
    let mut bench = Bench::new();
    let id = bench.running(TWO);
    bench.order(stop(id, 1, 5000));
    bench.pass(ms(3000), true);
    bench.order(stop(id, 1, 5000));
    bench.pass(ms(3900), true);
    assert_eq!(bench.has(|action| matches!(action, Action::Abandon(_))), 0);
    bench.pass(ms(200), true);
    assert_eq!(bench.has(|action| matches!(action, Action::Abandon(_))), 1);
    assert_eq!(bench.stage(id), Stage::Stopping { serial: 1 });
    bench.pass(ms(2100), true);
    let Stage::Ended(ShareEnd::Over { rows, .. }) = bench.stage(id) else {
        panic!("it is not over");
    };
    assert_eq!(rows[0].end, NodeEnd::Stuck);

    let id = bench.running(TWO);
    bench.order(stop(id, 1, 60_000));
    bench.order(stop(id, 2, 1000));
    assert_eq!(bench.has(|action| matches!(action, Action::Stop { .. })), 2);
    bench.pass(ms(3100), true);
    assert_eq!(bench.has(|action| matches!(action, Action::Abandon(_))), 1);
}

#[test]
fn inputs_from_a_lost_machine_are_closed_after_a_while() {
    let restarts = TWO.replace("outputs: [out]", "outputs: [out], restart_policy: always");
    for (text, returns, closed) in [
        (TWO, false, vec!["b/in"]),
        (TWO, true, vec![]),
        (restarts.as_str(), false, vec![]),
    ] {
        let mut bench = Bench::new();
        bench.running(text);
        let (machine, epoch) = (machine("A"), bench.peer);
        let (gone, seen) = (
            Event::PeerGone {
                machine: machine.clone(),
                epoch,
            },
            Event::PeerSeen { machine, epoch },
        );
        bench.on(gone);
        bench.pass(ms(2000), true);
        assert!(bench.closed().is_empty());
        if returns {
            bench.on(seen);
        }
        bench.pass(ms(5000), true);
        assert_eq!(bench.closed(), closed);
    }
}

#[test]
fn nobody_waits_for_the_readers_on_a_lost_machine() {
    const OUT: &str = "
nodes:
  - {id: b, path: x, outputs: [out], deploy: {machine: B}}
  - {id: a, path: x, inputs: {in: {source: b/out, queue_policy: backpressure}}, deploy: {machine: A}}
";
    for (same_life, returns, forgotten) in [(true, false, 1), (true, true, 0), (false, false, 0)] {
        let mut bench = Bench::new();
        let id = bench.running(OUT);
        let machine = machine("A");
        let epoch = match same_life {
            true => bench.peer,
            false => Epoch::new(),
        };
        let seen = Event::PeerSeen {
            machine: machine.clone(),
            epoch,
        };
        bench.on(Event::PeerGone { machine, epoch });
        bench.pass(ms(2000), true);
        let forgets = |action: &&Action| matches!(action, Action::PeerLost { dataflow, machine, .. } if *dataflow == id && machine.as_str() == "A");
        assert_eq!(bench.did.iter().filter(forgets).count(), 0);
        if returns {
            bench.on(seen);
        }
        bench.pass(ms(5000), true);
        assert_eq!(bench.did.iter().filter(forgets).count(), forgotten);
    }
}

#[test]
fn another_life_of_a_machine_is_another_peer() {
    let mut bench = Bench::new();
    bench.running(TWO);
    bench.on(Event::PeerGone {
        machine: machine("A"),
        epoch: Epoch::new(),
    });
    bench.pass(ms(5000), true);
    assert!(bench.closed().is_empty());
}

#[test]
fn changes_are_told_until_they_are_heard_of() {
    let mut bench = Bench::new();
    let id = bench.running(TWO);
    bench.pass(ms(100), true);
    bench.over(id);
    // Nobody answers for a while, which is noted once.
    bench.pass(ms(10_000), false);
    assert_eq!(
        bench.has(|it| matches!(it, Action::Note(Note::CoordinatorLost))),
        1
    );
    bench.pass(ms(600), false);
    bench.now += ms(1000);
    bench.on(Event::Time);
    let told = bench.hear().expect("a report");
    assert!(
        told.iter()
            .any(|it| it.dataflow == id && it.stage.is_ended())
    );
    assert_eq!(
        bench.has(|it| matches!(it, Action::Note(Note::CoordinatorBack))),
        1
    );
    // Then it is a sign of life only.
    bench.now += ms(1000);
    bench.on(Event::Time);
    assert_eq!(bench.hear().expect("a report"), []);
}

#[test]
fn of_an_end_that_was_heard_of_little_is_kept() {
    let mut bench = Bench::new();
    let id = bench.running(TWO);
    let holds = |bench: &Bench, text: &str| format!("{:?}", bench.state).contains(text);
    assert!(holds(&bench, ABOUT) && holds(&bench, "/somewhere"));
    bench.over(id);
    assert!(holds(&bench, ABOUT), "nobody has heard of it");
    bench.pass(ms(3000), true);
    assert!(bench.stage(id).is_ended());
    assert!(!holds(&bench, ABOUT) && !holds(&bench, "/somewhere"));
}

#[test]
fn a_coordinator_that_knows_nothing_is_told_everything() {
    let mut bench = Bench::new();
    let running = bench.running(TWO);
    let over = bench.running(TWO);
    bench.over(over);
    bench.pass(ms(3000), true);
    let late = bench.running(TWO);
    bench.over(late);
    bench.coordinator = Epoch::new();
    let mut waits = bench.asked.is_some();
    while !waits {
        bench.now += ms(100);
        bench.on(Event::Time);
        waits = bench.asked.is_some();
    }
    bench.answer(CoordinatorReply::NotRegistered);
    let Some((_, CoordinatorRequest::Register(register))) = bench.asked.clone() else {
        panic!("it does not register");
    };
    // Not what an earlier coordinator has heard to be over.
    let held: Vec<DataflowId> = register.held.iter().map(|it| it.status.dataflow).collect();
    assert_eq!(held, [running, late]);
    assert!(register.held.iter().all(|it| it.prepare.is_some()));
    bench.registered();
    assert_eq!(bench.state.registered(), Some(bench.coordinator));
    assert_eq!(bench.stage(running), Stage::Running);
}

#[test]
fn an_end_in_order_stops_tells_and_leaves() {
    let mut bench = Bench::new();
    let id = bench.running(TWO);
    bench.pass(ms(100), true);
    bench.on(Event::Shutdown { grace: ms(500) });
    let prepare = bench.prepare(TWO);
    let status = bench.order(Order::Prepare(prepare));
    assert_eq!(status.stage, Stage::Ended(ShareEnd::DaemonEnds));
    bench.over(id);
    assert_eq!(bench.exit(), None);
    bench.pass(ms(100), true);
    let Some((send, CoordinatorRequest::Leave { .. })) = bench.asked.take() else {
        panic!("no farewell: {:?}", bench.did.last());
    };
    let reply = CoordinatorReply::Left;
    bench.on(Event::Answered { send, reply });
    assert_eq!(bench.exit(), Some(&Exit::Stopped));
}

#[test]
fn an_end_does_not_wait_for_a_coordinator_that_is_not_there() {
    let mut bench = Bench::new();
    let id = bench.running(TWO);
    bench.on(Event::Shutdown { grace: ms(500) });
    bench.over(id);
    bench.pass(ms(2500), false);
    assert_eq!(bench.exit(), Some(&Exit::Stopped));
}

#[test]
fn a_second_interrupt_abandons_the_nodes() {
    let mut bench = Bench::new();
    bench.running(TWO);
    bench.on(Event::Shutdown { grace: ms(60_000) });
    bench.on(Event::Shutdown { grace: ms(60_000) });
    assert_eq!(bench.has(|action| matches!(action, Action::Abandon(_))), 1);
}

#[test]
fn a_daemon_that_is_refused_stops_its_nodes_before_it_ends() {
    let mut bench = Bench::new();
    let id = bench.running(TWO);
    bench.pass(ms(2000), false);
    while bench.asked.is_none() {
        bench.now += ms(50);
        bench.on(Event::Time);
    }
    let by = MachineInfo {
        protocol: PROTOCOL,
        version: "0.7.0".into(),
        host: "elsewhere".into(),
        pid: 9,
        address: String::new(),
        labels: BTreeMap::new(),
    };
    bench.answer(CoordinatorReply::MachineIdTaken { by: by.clone() });
    assert_eq!(bench.has(|action| matches!(action, Action::Stop { .. })), 1);
    assert_eq!(bench.exit(), None);
    bench.over(id);
    assert_eq!(bench.exit(), Some(&Exit::MachineIdTaken(by)));
}

#[test]
fn outputs_can_be_looked_at_for_a_while() {
    let mut bench = Bench::new();
    let text = TWO.replace(
        "inputs: {in: a/out}",
        "inputs: {in: a/out}, outputs: [seen]",
    );
    let id = bench.running(&text);
    let request = |node: &str, output: &str| TapRequest {
        tap: RequestId::new(),
        dataflow: id,
        node: node.parse().unwrap(),
        output: output.parse().unwrap(),
        lease: ms(5000),
    };
    let tap = request("b", "seen");
    for _ in 0..2 {
        let reply = bench.query(DaemonRequest::Tap(tap.clone()));
        assert_eq!(reply, DaemonReply::Tap(Ok(())));
        bench.pass(ms(4000), true);
    }
    assert_eq!(bench.has(|action| matches!(action, Action::Tap(_))), 1);
    assert_eq!(bench.has(|action| matches!(action, Action::Untap(_))), 0);
    bench.pass(ms(1100), true);
    assert_eq!(bench.has(|action| matches!(action, Action::Untap(_))), 1);

    let refused =
        |bench: &mut Bench, request: TapRequest| match bench.query(DaemonRequest::Tap(request)) {
            DaemonReply::Tap(Err(error)) => error,
            other => panic!("another answer: {other:?}"),
        };
    let error = refused(&mut bench, request("b", "sen"));
    assert_eq!(
        error.to_string(),
        "node `b` has no output `sen`; it has `seen`"
    );
    assert!(matches!(
        refused(&mut bench, request("a", "out")),
        TapError::NoNode { .. }
    ));
    bench.query(DaemonRequest::Tap(request("b", "seen")));
    bench.over(id);
    assert_eq!(bench.has(|action| matches!(action, Action::Untap(_))), 2);
    assert!(matches!(
        refused(&mut bench, request("b", "seen")),
        TapError::NotRunning { .. }
    ));
}

#[test]
fn ends_are_not_remembered_without_limit() {
    let mut bench = Bench::new();
    for _ in 0..400 {
        bench.order(stop(DataflowId::new(), 1, 0));
    }
    assert!(bench.state.shares().count() <= 257);
}
