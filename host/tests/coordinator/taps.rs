//! Looking on at outputs.

use crate::harness::{LONG, ONE, Running, run, start};
use host::client::{DaemonError, Tap, TapEvent, TapFailure};
use host::control::{TapError, Target};
use std::time::Duration;
use tokio::time::timeout;

async fn next(tap: &mut Tap) -> Option<TapEvent> {
    timeout(LONG, tap.next()).await.expect("in time")
}

#[test]
fn messages_come_until_the_dataflow_is_over() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let daemon = coordinator.daemon("A").await;
        let client = coordinator.client().await;
        start(&client, ONE, None).await;
        let topics = client.topics(None).await.unwrap();
        let mut tap = client.tap(&topics[0]).await.unwrap();
        let mut unread = client.tap(&topics[0]).await.unwrap();
        for n in 0..100 {
            daemon.send(&n.to_string());
        }
        for n in 0..100 {
            match next(&mut tap).await {
                Some(TapEvent::Message { message, .. }) => {
                    assert_eq!(message.text().unwrap(), n.to_string());
                }
                other => panic!("{other:?}"),
            }
        }
        let mut unknown = topics[0].clone();
        unknown.output = "other".into();
        let error = client.tap(&unknown).await.unwrap_err();
        assert!(
            matches!(
                &error,
                TapFailure::Daemon(DaemonError::Refused(TapError::NoOutput { .. }))
            ),
            "{error}"
        );
        let grace = Duration::from_secs(2);
        let stopped = client.stop(Target::Only, grace, false, |_| ()).await;
        stopped.unwrap().unwrap();
        assert!(next(&mut tap).await.is_none());
        let mut count = 0;
        while let Some(event) = next(&mut unread).await {
            assert!(matches!(event, TapEvent::Message { .. }));
            count += 1;
        }
        assert_eq!(count, 100);
        let error = client.tap(&topics[0]).await.unwrap_err();
        assert!(
            matches!(
                &error,
                TapFailure::Daemon(DaemonError::Refused(TapError::NotRunning { .. }))
            ),
            "{error}"
        );
        daemon.kill().await;
        coordinator.kill().await;
    });
}

#[test]
fn a_daemon_that_dies_is_told_of() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let daemon = coordinator.daemon("A").await;
        let client = coordinator.client().await;
        start(&client, ONE, None).await;
        let topics = client.topics(None).await.unwrap();
        let mut tap = client.tap(&topics[0]).await.unwrap();
        daemon.kill().await;
        match next(&mut tap).await {
            Some(TapEvent::Gone(error)) => println!("{error}"),
            other => panic!("{other:?}"),
        }
        assert!(next(&mut tap).await.is_none());
        coordinator.kill().await;
    });
}
