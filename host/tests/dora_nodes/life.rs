//! How nodes start, are refused, and end.

use crate::host::serve;
use crate::python::text;
use crate::{RELEASES, each};
use ::host::process::dora::sniff::Versions;
use ::host::process::dora::words::NodeEvent;
use arrow_array::{ArrayRef, UInt8Array};
use std::sync::Arc;
use std::time::Duration;

const END: Duration = Duration::from_secs(30);

const WAITING: &str = r#"
from dora import Node
node = Node()
print("started")
for event in node:
    print("event", event["type"])
print("the end")
"#;

#[test]
fn with_strict_versions_other_nodes_say_why_they_end() {
    each(|python, format| {
        let folder = host_testing::fresh_dir();
        let served = serve(Versions::Strict);
        let running = python.start(folder.path(), WAITING, &served.launch.yaml());
        let expected = format!(
            "version mismatch: message format v{format} is not compatible with expected message format v0.7.0"
        );
        if format.starts_with("0.7") {
            served.host.wait("it subscribes", |seen| seen.subscribed);
            return;
        }
        let output = running.ended(END).expect("it ends");
        assert!(!output.status.success());
        assert!(text(&output).contains(&expected), "{}", text(&output));
        served
            .host
            .look(|seen| assert!(seen.refused.contains(&expected)));
    });
}

#[test]
fn a_start_that_fails_is_told_to_the_nodes_that_wait() {
    each(|python, format| {
        let folder = host_testing::fresh_dir();
        let served = serve(Versions::All);
        let running = python.start(folder.path(), WAITING, &served.launch.yaml());
        served.host.wait("it subscribes", |seen| seen.subscribed);
        let reason = "Node camera exited before initializing dora";
        served
            .host
            .look(|seen| seen.start = Some(Err(reason.to_owned())));
        let output = running.ended(END).expect("it ends");
        assert!(
            text(&output).contains(reason),
            "{format}: {}",
            text(&output)
        );
        served.host.wait("it detaches", |seen| seen.detached);
    });
}

#[test]
fn a_node_whose_inputs_are_closed_ends() {
    each(|python, format| {
        let folder = host_testing::fresh_dir();
        let served = serve(Versions::All);
        let running = python.start(folder.path(), WAITING, &served.launch.yaml());
        served.host.wait("it subscribes", |seen| seen.subscribed);
        served.host.start();
        for input in ["tick", "data"] {
            let input = input.parse().expect("a name");
            served.host.put(NodeEvent::InputClosed { input });
        }
        served.host.put(NodeEvent::AllInputsClosed);
        served.host.end();
        let output = running.ended(END).expect("it ends");
        let printed = text(&output);
        assert!(output.status.success(), "{format}: {printed}");
        assert!(
            printed.contains("event INPUT_CLOSED"),
            "{format}: {printed}"
        );
        assert!(printed.contains("the end"), "{format}: {printed}");
    });
}

/// How many segments of this length there are; nodes and daemon make them as long as their data.
fn segments(length: u64) -> usize {
    let Ok(entries) = std::fs::read_dir("/dev/shm") else {
        return 0;
    };
    let metadata = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    metadata.filter(|it| it.len() == length).count()
}

#[test]
fn a_node_that_is_killed_detaches_and_no_shared_memory_stays() {
    // A length that nobody else has.
    const LENGTH: usize = 123_457;
    each(|python, format| {
        let folder = host_testing::fresh_dir();
        let (served, running) = crate::echo::started(python, folder.path());
        let array: ArrayRef = Arc::new(UInt8Array::from(vec![1; LENGTH]));
        served.host.put(crate::echo::input("data", &array));
        served.host.wait("it sends", |seen| seen.sent.len() == 1);
        if cfg!(target_os = "linux") && format.starts_with("0.") {
            assert!(segments(LENGTH as u64) > 0, "it is sent in shared memory");
        }
        drop(running);
        served.host.wait("it detaches", |seen| seen.detached);
        assert_eq!(segments(LENGTH as u64), 0, "{format}");
    });
}

const DYNAMIC: &str = r#"
import os, sys
from dora import Node
node = Node("node")
print("started")
for event in node:
    print("event", event["type"])
print("the end")
"#;

/// Tests of one process that need the port of dynamic nodes take turns.
pub fn dynamic_port() -> std::sync::MutexGuard<'static, ()> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    TURN.lock().unwrap_or_else(|it| it.into_inner())
}

#[test]
fn a_dynamic_node_finds_its_configuration() {
    let _turn = dynamic_port();
    // The releases look at this port and no other.
    let Ok(listener) = std::net::TcpListener::bind("127.0.0.1:53291") else {
        host_testing::skipped("port 53291 is taken");
        return;
    };
    let served = crate::host::serve_on(listener, Versions::All);
    each(|python, format| {
        let folder = host_testing::fresh_dir();
        served.host.renew();
        let running = python.start_alone(folder.path(), DYNAMIC);
        served.host.wait("it subscribes", |seen| seen.subscribed);
        served.host.start();
        served.host.put(NodeEvent::Stop);
        served.host.end();
        let output = running.ended(END).expect("it ends");
        let printed = text(&output);
        assert!(output.status.success(), "{format}: {printed}");
        assert!(printed.contains("event STOP"), "{format}: {printed}");
        served.host.wait("it detaches", |seen| seen.detached);
    });
    assert_eq!(RELEASES.len(), 3);
}
