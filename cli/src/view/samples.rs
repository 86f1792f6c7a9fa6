//! Values for the tests of the views.

use host::control::{
    DaemonSummary, DataflowSummary, Ended, Epoch, MachineInfo, NodeEnd, NodeRow, NodeState,
    NodeSummary, PROTOCOL, Phase, Reach, Status, TopicReader, TopicSummary,
};
use host::ids::{DataflowId, MachineId, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;

pub fn id(last: u8) -> DataflowId {
    format!("019a0000-0000-7000-8000-0000000000{last:02x}")
        .parse()
        .unwrap()
}

fn machine(name: &str) -> MachineId {
    name.parse().unwrap()
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn failed() -> NodeEnd {
    NodeEnd::Failed {
        text: "disk full".into(),
        last_input: Some("message".into()),
    }
}

pub fn ended() -> Ended {
    let row = |name: &str, on: &str, end, received, sent| NodeRow {
        received,
        sent,
        ..NodeRow::bare(node(name), machine(on), end)
    };
    let mut rows = vec![
        row("random", "A", NodeEnd::Finished, 100, 99),
        row("status", "A", NodeEnd::Stopped, 99, 98),
        row("sink", "B", failed(), 98, 0),
    ];
    rows[1].restarts = 1;
    rows[1].dropped = 1;
    Ended {
        dataflow: id(0),
        name: None,
        started: true,
        stopped: false,
        error: None,
        rows,
        took: Duration::from_millis(1500),
        machines: vec![machine("A"), machine("B")],
        unreachable: Vec::new(),
    }
}

pub fn dataflows() -> Vec<DataflowSummary> {
    let machines = |b| BTreeMap::from([(machine("A"), Reach::Connected), (machine("B"), b)]);
    vec![
        DataflowSummary {
            dataflow: id(0),
            name: None,
            phase: Phase::Ended,
            machines: machines(Reach::Connected),
            nodes: 3,
            running: 0,
            failed: 1,
            ended: Some(ended()),
        },
        DataflowSummary {
            dataflow: id(1),
            name: Some("camera".into()),
            phase: Phase::Running,
            machines: machines(Reach::Lost),
            nodes: 3,
            running: 2,
            failed: 1,
            ended: None,
        },
    ]
}

pub fn nodes() -> Vec<NodeSummary> {
    let summary = |name: Option<&str>, of: &str, on: &str, state, restarts| NodeSummary {
        dataflow: id(1),
        name: name.map(str::to_owned),
        node: node(of),
        machine: machine(on),
        state,
        restarts,
    };
    vec![
        summary(Some("camera"), "random", "A", NodeState::Running, 0),
        summary(None, "sink", "B", NodeState::Ended(failed()), 2),
    ]
}

pub fn status() -> Status {
    let daemon = |name: &str, pid, address: &str, reach, nodes, silent| DaemonSummary {
        machine: machine(name),
        epoch: Epoch::new(),
        info: MachineInfo {
            protocol: PROTOCOL,
            version: "0.7.0".into(),
            host: "robot".into(),
            pid,
            address: address.into(),
            labels: BTreeMap::new(),
        },
        reach,
        silent: Duration::from_millis(silent),
        nodes,
    };
    let mut daemons = vec![
        daemon("A", 7, "tcp/127.0.0.1:40000", Reach::Connected, 2, 10),
        daemon("B", 8, "", Reach::Lost, 0, 4200),
    ];
    daemons[0].info.labels =
        BTreeMap::from([("gpu", "true"), ("arch", "arm64")].map(|(k, v)| (k.into(), v.into())));
    Status {
        coordinator: Epoch::new(),
        uptime: Duration::from_secs(61),
        daemons,
        dataflows: 1,
    }
}

pub fn topics() -> Vec<TopicSummary> {
    let reader = |name: &str, input: &str, on: &str| TopicReader {
        node: node(name),
        input: input.into(),
        machine: machine(on),
    };
    let topic = |name: Option<&str>, of: &str, data_type: Option<&str>, readers| TopicSummary {
        dataflow: id(1),
        name: name.map(str::to_owned),
        machine: machine("A"),
        epoch: Epoch::new(),
        node: node(of),
        output: of.into(),
        data_type: data_type.map(str::to_owned),
        readers,
    };
    let readers = vec![
        reader("status", "random", "A"),
        reader("sink", "noise", "B"),
    ];
    vec![
        topic(Some("camera"), "random", Some("UInt64"), readers),
        topic(None, "status", None, Vec::new()),
    ]
}
