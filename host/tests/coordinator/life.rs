//! Dataflows from start to end.

use crate::harness::{ONE, Running, TWO, all_run, machine, request, run, start};
use host::client::AskError;
use host::control::{Phase, Reach, StartError, Target, TargetError};
use std::time::Duration;

#[test]
fn a_dataflow_starts_is_seen_and_stops() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let (a, b) = (coordinator.daemon("A").await, coordinator.daemon("B").await);
        let client = coordinator.client().await;
        let started = start(&client, TWO, Some("arm")).await;
        assert_eq!(started.name.as_deref(), Some("arm"));
        let machines: Vec<_> = started.machines.keys().collect();
        assert_eq!(machines, [&machine("A"), &machine("B")]);
        all_run(&client, started.dataflow).await;
        let status = client.status().await.unwrap();
        assert_eq!(status.dataflows, 1);
        assert!(status.daemons.iter().all(|it| it.reach == Reach::Connected));
        let list = client.list().await.unwrap();
        assert_eq!((list.len(), list[0].phase), (1, Phase::Running));
        let topics = client.topics(None).await.unwrap();
        assert_eq!(topics.len(), 1);
        assert_eq!(topics[0].readers.len(), 1);
        // A second wait hears the same end as the stop.
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { client.wait(started.dataflow, |_| ()).await }
        });
        let name = || Target::parse("arm");
        let grace = Duration::from_secs(2);
        let stopped = client.stop(name(), grace, false, |_| ()).await;
        let ended = stopped.unwrap().unwrap();
        assert!(ended.stopped && !ended.is_failure());
        assert_eq!(ended.rows.len(), 2);
        assert_eq!(waiting.await.unwrap().unwrap(), ended);
        let again = client.stop(name(), grace, false, |_| ()).await;
        let over = again.unwrap_err();
        assert!(
            matches!(&over, AskError::Target(TargetError::Over { .. })),
            "{over}"
        );
        assert_eq!(client.clean().await.unwrap(), 1);
        assert!(client.list().await.unwrap().is_empty());
        let news = coordinator.news().join("\n");
        for expected in [
            "machine `A` is connected",
            "`arm` (",
            ": running",
            ": ended",
        ] {
            assert!(news.contains(expected), "{news}");
        }
        a.kill().await;
        b.kill().await;
        coordinator.kill().await;
    });
}

#[test]
fn a_restart_has_the_old_name_and_a_new_id() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let daemon = coordinator.daemon("A").await;
        let client = coordinator.client().await;
        let first = start(&client, ONE, Some("arm")).await;
        let second = client
            .restart(Target::Only, Duration::from_secs(2), false, |_| ())
            .await;
        let second = second.unwrap().unwrap();
        assert_eq!(second.name, first.name);
        assert_ne!(second.dataflow, first.dataflow);
        let over = client.wait(first.dataflow, |_| ()).await.unwrap();
        assert!(over.stopped);
        daemon.kill().await;
        coordinator.kill().await;
    });
}

#[test]
fn what_is_not_started_says_why() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let a = coordinator.daemon("A").await;
        let client = coordinator.client().await;
        let error = client.start(request(TWO, None), |_| ()).await.unwrap();
        let error = error.unwrap_err();
        assert!(matches!(error, StartError::NotPlaced { .. }), "{error}");
        let b = coordinator.daemon("B").await;
        b.refuse();
        let error = client.start(request(TWO, None), |_| ()).await.unwrap();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("a file is missing on B"), "{error}");
        start(&client, ONE, Some("arm")).await;
        let error = client.start(request(ONE, Some("arm")), |_| ()).await;
        let error = error.unwrap().unwrap_err();
        assert!(matches!(error, StartError::NameTaken { .. }), "{error}");
        a.kill().await;
        b.kill().await;
        coordinator.kill().await;
    });
}

#[test]
fn a_long_stop_tells_its_progress() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let daemon = coordinator.daemon("A").await;
        let client = coordinator.client().await;
        start(&client, ONE, None).await;
        daemon.stubborn();
        let mut told = Vec::new();
        let grace = Duration::from_millis(2_500);
        let stopped = client.stop(Target::Only, grace, false, |progress| {
            told.push(progress.clone());
        });
        stopped.await.unwrap().unwrap();
        assert!(!told.is_empty());
        assert_eq!(told[0].phase, Some(Phase::Stopping));
        assert_eq!(told[0].machines, [machine("A")]);
        daemon.kill().await;
        coordinator.kill().await;
    });
}
