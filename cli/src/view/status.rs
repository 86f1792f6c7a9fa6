//! `dora status`.

use super::{reach, time};
use crate::table::Table;
use host::control::{DaemonSummary, Reach, Status};
use host::link::Address;
use serde_json::{Value, json};

/// A line about the coordinator, a row per daemon.
pub fn text(status: &Status, at: &Address, version: &str) -> String {
    let mut out = format!(
        "coordinator at {at}: dora {version}, up {}, {} running\n",
        time::span(status.uptime),
        counted(status.dataflows, "dataflow"),
    );
    if status.daemons.is_empty() {
        out.push_str("no daemon is connected; start one with `dora daemon --machine-id A`\n");
        return out;
    }
    let mut table = Table::new([
        "machine", "state", ">nodes", "version", "host", "pid", "address", "labels",
    ]);
    for daemon in &status.daemons {
        let info = &daemon.info;
        table.push([
            daemon.machine.to_string(),
            state(daemon),
            daemon.nodes.to_string(),
            info.version.clone(),
            info.host.clone(),
            info.pid.to_string(),
            match info.address.is_empty() {
                true => "relayed".into(),
                false => info.address.clone(),
            },
            labels(daemon),
        ]);
    }
    out + &table.text("")
}

fn state(daemon: &DaemonSummary) -> String {
    match daemon.reach {
        Reach::Connected => "connected".into(),
        other => format!("{} for {}", reach(other), time::span(daemon.silent)),
    }
}

fn labels(daemon: &DaemonSummary) -> String {
    let labels = daemon.info.labels.iter();
    labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// The same as an object.
pub fn json(status: &Status, at: &Address, version: &str) -> Value {
    let daemon = |daemon: &DaemonSummary| {
        json!({
            "machine": daemon.machine,
            "state": reach(daemon.reach),
            "silent_seconds": daemon.silent.as_secs_f64(),
            "nodes": daemon.nodes,
            "version": daemon.info.version,
            "host": daemon.info.host,
            "pid": daemon.info.pid,
            "address": daemon.info.address,
            "labels": daemon.info.labels,
            "epoch": daemon.epoch,
        })
    };
    let daemons: Vec<Value> = status.daemons.iter().map(daemon).collect();
    json!({
        "coordinator": {
            "address": at.to_string(),
            "version": version,
            "uptime_seconds": status.uptime.as_secs_f64(),
            "epoch": status.coordinator,
        },
        "dataflows": status.dataflows,
        "daemons": daemons,
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_row_per_daemon() {
        let at = Address::new("127.0.0.1", 53290);
        let mut status = samples::status();
        let expected = "\
coordinator at 127.0.0.1:53290: dora 0.7.0, up 1 m 1 s, 1 dataflow running
machine  state           nodes  version  host   pid  address              labels
A        connected           2  0.7.0    robot  7    tcp/127.0.0.1:40000  arch=arm64,gpu=true
B        lost for 4.2 s      0  0.7.0    robot  8    relayed
";
        assert_eq!(text(&status, &at, "0.7.0"), expected);
        let value = json(&status, &at, "0.7.0");
        assert_eq!(value.pointer("/daemons/1/state").unwrap(), "lost");
        assert_eq!(value.pointer("/daemons/0/labels/gpu").unwrap(), "true");
        status.daemons.clear();
        status.dataflows = 0;
        let expected = "\
coordinator at 127.0.0.1:53290: dora 0.7.0, up 1 m 1 s, 0 dataflows running
no daemon is connected; start one with `dora daemon --machine-id A`
";
        assert_eq!(text(&status, &at, "0.7.0"), expected);
    }
}
