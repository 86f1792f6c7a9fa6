//! The end of the coordinator.

use crate::harness::{ONE, Running, TWO, run, start};
use host::client::Client;
use host::control::Phase;
use std::time::{Duration, Instant};

#[test]
fn destroy_ends_everything_and_is_answered() {
    run(async {
        // The answer is the last thing that leaves: often enough to see one that does not.
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let coordinator = Running::open(0, folder.path()).await;
            let (a, b) = (coordinator.daemon("A").await, coordinator.daemon("B").await);
            let client = coordinator.client().await;
            start(&client, TWO, None).await;
            let began = Instant::now();
            client.destroy(|_| ()).await.unwrap().unwrap();
            println!("destroyed in {:?}", began.elapsed());
            a.ended().await;
            b.ended().await;
            let address = coordinator.address.clone();
            coordinator.ended().await;
            let gone = Client::connect(&address, Duration::from_secs(1)).await;
            gone.unwrap_err();
        }
    });
}

#[test]
fn a_shutdown_leaves_dataflows_or_stops_them() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let first = Running::open(0, folder.path()).await;
        let daemon = first.daemon("A").await;
        let client = first.client().await;
        let started = start(&client, ONE, None).await;
        let port = first.address.port;
        first.shut_down(false).await;
        first.ended().await;
        let second = Running::open(port, folder.path()).await;
        let client = second.client().await;
        crate::harness::all_run(&client, started.dataflow).await;
        second.shut_down(true).await;
        second.ended().await;
        let third = Running::open(port, folder.path()).await;
        let client = third.client().await;
        let list = client.list().await.unwrap();
        assert_eq!((list.len(), list[0].phase), (1, Phase::Ended));
        daemon.kill().await;
        third.kill().await;
    });
}

#[test]
fn the_second_wish_to_end_is_obeyed_at_once() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let daemon = coordinator.daemon("A").await;
        let client = coordinator.client().await;
        start(&client, ONE, None).await;
        daemon.stubborn();
        coordinator.shut_down(true).await;
        coordinator.shut_down(true).await;
        let began = Instant::now();
        coordinator.ended().await;
        assert!(began.elapsed() < Duration::from_secs(4));
        daemon.kill().await;
    });
}
