//! What is known after a restart.

use crate::harness::{ONE, Running, TWO, all_run, request, run, start, until};
use host::client::{AskError, LogsWanted};
use host::control::{Phase, Target};
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn a_new_coordinator_finds_what_runs_and_what_is_over() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let first = Running::open(0, folder.path()).await;
        let daemon = first.daemon("A").await;
        let client = first.client().await;
        let over = start(&client, ONE, Some("done")).await;
        let grace = Duration::from_secs(2);
        let stopped = client.stop(Target::Only, grace, false, |_| ()).await;
        stopped.unwrap().unwrap();
        let runs = start(&client, ONE, Some("arm")).await;
        let port = first.address.port;
        client.close().await;
        first.kill().await;
        let second = Running::open(port, folder.path()).await;
        let client = second.client().await;
        // At once, from its memory.
        let list = client.list().await.unwrap();
        let names: Vec<_> = list.iter().filter_map(|it| it.name.clone()).collect();
        assert_eq!(names, ["done", "arm"]);
        assert_eq!(list[0].phase, Phase::Ended);
        assert!(list[0].ended.as_ref().is_some_and(|ended| ended.stopped));
        all_run(&client, runs.dataflow).await;
        let error = client.start(request(ONE, Some("arm")), |_| ()).await;
        assert!(error.unwrap().is_err(), "the name is still taken");
        let waited = client.wait(over.dataflow, |_| ()).await.unwrap();
        assert_eq!(waited.name.as_deref(), Some("done"));
        let stopped = client.stop(Target::parse("arm"), grace, false, |_| ());
        assert!(stopped.await.unwrap().unwrap().stopped);
        assert!(
            second
                .news()
                .iter()
                .any(|it| it.contains("before this one"))
        );
        daemon.kill().await;
        second.kill().await;
    });
}

#[test]
fn a_wait_goes_on_over_a_restart() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let first = Running::open(0, folder.path()).await;
        let daemon = first.daemon("A").await;
        let client = first.client().await;
        let started = start(&client, ONE, None).await;
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { client.wait(started.dataflow, |_| ()).await }
        });
        let port = first.address.port;
        first.kill().await;
        let second = Running::open(port, folder.path()).await;
        let other = second.client().await;
        all_run(&other, started.dataflow).await;
        let grace = Duration::from_secs(2);
        let stopped = other.stop(Target::Only, grace, false, |_| ()).await;
        let ended = stopped.unwrap().unwrap();
        assert_eq!(waiting.await.unwrap().unwrap(), ended);
        daemon.kill().await;
        second.kill().await;
    });
}

#[test]
fn a_damaged_memory_is_set_aside_with_a_warning() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let first = Running::open(0, folder.path()).await;
        let port = first.address.port;
        first.kill().await;
        let file = folder.path().join(format!("coordinator-{port}.json"));
        fs::write(&file, "{\"form\": 1, \"ledger\": {\"rec").unwrap();
        let second = Running::open(port, folder.path()).await;
        let client = second.client().await;
        assert!(client.list().await.unwrap().is_empty());
        let news = second.news();
        assert!(news[0].contains("is damaged"), "{news:?}");
        let aside = format!("coordinator-{port}.json.set-aside");
        assert!(news[0].contains(&aside), "{news:?}");
        assert!(folder.path().join(aside).exists());
        second.kill().await;
    });
}

#[test]
fn a_start_meant_for_the_one_before_is_not_begun() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let first = Running::open(0, folder.path()).await;
        let daemon = first.daemon("A").await;
        let client = first.client().await;
        let port = first.address.port;
        first.kill().await;
        let second = Running::open(port, folder.path()).await;
        let other = second.client().await;
        second.registered(&other, "A").await;
        // The connection heals by itself; the answer is that of the new one.
        let answer = until("an answer", async || {
            match client.start(request(ONE, None), |_| ()).await {
                Err(AskError::Silent { .. }) => None,
                other => Some(other.unwrap()),
            }
        })
        .await;
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("restarted"), "{error}");
        daemon.kill().await;
        second.kill().await;
    });
}

#[test]
fn daemons_are_reached_after_every_restart() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut coordinator = Running::open(0, folder.path()).await;
        let port = coordinator.address.port;
        let (a, b) = (coordinator.daemon("A").await, coordinator.daemon("B").await);
        let client = coordinator.client().await;
        let id = start(&client, TWO, None).await.dataflow;
        // Whether the engine forgets a daemon is a matter of luck.
        for round in 0..6 {
            coordinator.kill().await;
            coordinator = Running::open(port, folder.path()).await;
            let client = coordinator.client().await;
            all_run(&client, id).await;
            let began = Instant::now();
            until("both machines answer", async || {
                let located = client.locate(Target::Only).await.ok()?;
                let logs = client.logs(&located, &LogsWanted::default()).await.ok()?;
                logs.failed.is_empty().then_some(())
            })
            .await;
            println!("round {round}: answered after {:?}", began.elapsed());
            client.close().await;
        }
        let client = coordinator.client().await;
        let grace = Duration::from_secs(2);
        let stopped = client.stop(Target::Only, grace, false, |_| ()).await;
        assert!(stopped.unwrap().unwrap().unreachable.is_empty());
        a.kill().await;
        b.kill().await;
        coordinator.kill().await;
    });
}
