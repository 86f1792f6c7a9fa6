//! Log lines of all machines.

use crate::harness::{LONG, ONE, Running, TWO, run, start};
use host::client::{LogEvent, LogStream, Logs, LogsError, LogsWanted};
use host::control::Target;
use std::time::Duration;
use tokio::time::timeout;

fn texts(logs: &Logs) -> Vec<&str> {
    let lines = logs.history.iter();
    lines.map(|record| record.message.as_str()).collect()
}

async fn next(stream: &mut LogStream) -> Option<LogEvent> {
    timeout(LONG, stream.next()).await.expect("in time")
}

async fn line(stream: &mut LogStream) -> String {
    match next(stream).await {
        Some(LogEvent::Line(record)) => record.message,
        other => panic!("no line: {other:?}"),
    }
}

#[test]
fn history_comes_from_all_machines_by_time() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let (a, b) = (coordinator.daemon("A").await, coordinator.daemon("B").await);
        let client = coordinator.client().await;
        let id = start(&client, TWO, None).await.dataflow;
        for n in 0..3 {
            a.line(id, "a", &format!("a{n}"));
            b.line(id, "b", &format!("b{n}"));
        }
        let located = client.locate(Target::Only).await.unwrap();
        let logs = client.logs(&located, &LogsWanted::default()).await.unwrap();
        let times: Vec<_> = logs.history.iter().map(|record| record.time).collect();
        assert!(times.is_sorted());
        assert!(logs.stream.is_none() && logs.failed.is_empty());
        assert_eq!(logs.history.len(), 6);
        let wanted = LogsWanted {
            node: Some("b".parse().unwrap()),
            tail: Some(2),
            follow: false,
        };
        let logs = client.logs(&located, &wanted).await.unwrap();
        assert_eq!(texts(&logs), ["b1", "b2"]);
        let wanted = LogsWanted {
            node: Some("nobody".parse().unwrap()),
            ..LogsWanted::default()
        };
        let error = client.logs(&located, &wanted).await.unwrap_err();
        assert!(matches!(error, LogsError::NoNode { .. }));
        assert!(error.to_string().contains("it has `a`, `b`"), "{error}");
        // A machine that is cut off is told of, the others' lines are there.
        b.freeze();
        let logs = client.logs(&located, &LogsWanted::default()).await.unwrap();
        assert_eq!(texts(&logs), ["a0", "a1", "a2"]);
        assert_eq!(logs.failed.len(), 1);
        println!("{}", logs.failed[0].1);
        a.kill().await;
        b.kill().await;
        coordinator.kill().await;
    });
}

#[test]
fn whoever_follows_sees_every_line_once_to_the_last() {
    run(async {
        const LINES: usize = 500;
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let (a, b) = (coordinator.daemon("A").await, coordinator.daemon("B").await);
        let client = coordinator.client().await;
        let id = start(&client, TWO, None).await.dataflow;
        let located = client.locate(Target::Only).await.unwrap();
        // Lines come while it is asked for those that are there.
        let speaking = tokio::spawn(async move {
            for n in 0..LINES {
                a.line(id, "a", &n.to_string());
                b.line(id, "b", &n.to_string());
                tokio::task::yield_now().await;
                // Slow enough for a connection that drops what it cannot take.
                if n % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            (a, b)
        });
        let wanted = LogsWanted {
            follow: true,
            ..LogsWanted::default()
        };
        let logs = client.logs(&located, &wanted).await.unwrap();
        let (a, b) = speaking.await.unwrap();
        let mut lines: Vec<(String, String)> = Vec::new();
        let pair =
            |record: &host::logs::Record| (record.node.clone().unwrap(), record.message.clone());
        lines.extend(logs.history.iter().map(pair));
        println!("{} lines were there", lines.len());
        let mut stream = logs.stream.unwrap();
        let mut stopping = None;
        while let Some(event) = next(&mut stream).await {
            match event {
                LogEvent::Line(record) => lines.push(pair(&record)),
                other => panic!("{other:?}"),
            }
            if lines.len() == 2 * LINES {
                let client = client.clone();
                stopping = Some(tokio::spawn(async move {
                    let grace = Duration::from_secs(2);
                    client.stop(Target::Only, grace, false, |_| ()).await
                }));
            }
        }
        for node in ["a", "b"] {
            let of = lines
                .iter()
                .filter(|(it, text)| it == node && text != "the last words");
            let texts: Vec<usize> = of.map(|(_, text)| text.parse().unwrap()).collect();
            assert_eq!(texts, (0..LINES).collect::<Vec<_>>(), "{node}");
        }
        let last = lines.iter().filter(|(_, text)| text == "the last words");
        assert_eq!(last.count(), 2, "one of each machine");
        stopping.unwrap().await.unwrap().unwrap().unwrap();
        // Of one that is over the lines are still there, and nothing follows.
        let located = client.locate(Target::Id(id)).await.unwrap();
        let logs = client.logs(&located, &wanted).await.unwrap();
        assert_eq!(logs.history.len(), 2 * LINES + 2);
        assert!(next(&mut logs.stream.unwrap()).await.is_none());
        a.kill().await;
        b.kill().await;
        coordinator.kill().await;
    });
}

#[test]
fn a_machine_that_dies_is_told_of_and_the_stream_ends_without_a_coordinator() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let daemon = coordinator.daemon("A").await;
        let client = coordinator.client().await;
        let id = start(&client, ONE, None).await.dataflow;
        let located = client.locate(Target::Only).await.unwrap();
        let wanted = LogsWanted {
            tail: Some(0),
            follow: true,
            ..LogsWanted::default()
        };
        let follow = async || {
            let logs = client.logs(&located, &wanted).await.unwrap();
            logs.stream.unwrap()
        };
        let (mut first, mut second) = (follow().await, follow().await);
        daemon.line(id, "a", "hello");
        assert_eq!(line(&mut first).await, "hello");
        assert_eq!(line(&mut second).await, "hello");
        daemon.kill().await;
        match next(&mut first).await {
            Some(LogEvent::Gone { machine, error }) => println!("{machine}: {error}"),
            other => panic!("{other:?}"),
        }
        assert!(next(&mut first).await.is_none());
        coordinator.kill().await;
        loop {
            match next(&mut second).await {
                Some(LogEvent::Gone { .. }) => {}
                Some(LogEvent::NoCoordinator(error)) => println!("{error}"),
                None => break,
                other => panic!("{other:?}"),
            }
        }
    });
}
