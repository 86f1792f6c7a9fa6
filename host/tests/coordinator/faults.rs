//! Others that are not there, do not answer, or say nonsense.

use crate::harness::{HERE, LONG, ONE, Running, run, start, until};
use host::client::{AskError, CONNECT_DEADLINE, Client};
use host::control::{ClientReply, CoordinatorReply, Epoch, Hello, PROTOCOL, Reach, Role, Timing};
use host::coordinator::{Coordinator, Options};
use host::link::{Address, Call, CallError, Key, Link, MeetError, OpenError, Taker};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Errors must be there by then.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn nobody_there_is_said_at_once() {
    run(async {
        let free = TcpListener::bind((HERE, 0)).unwrap();
        let address = Address::from(free.local_addr().unwrap());
        drop(free);
        let began = Instant::now();
        let error = Client::connect(&address, CONNECT_DEADLINE).await;
        let error = error.unwrap_err();
        assert!(matches!(error, MeetError::Nobody { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn one_that_takes_connections_and_says_nothing_is_given_up() {
    run(async {
        // The system takes connections for it, as for a process that is stopped.
        let silent = TcpListener::bind((HERE, 0)).unwrap();
        let address = Address::from(silent.local_addr().unwrap());
        let began = Instant::now();
        let error = Client::connect(&address, CONNECT_DEADLINE).await;
        let error = error.unwrap_err();
        println!("{:?}: {error}", began.elapsed());
        assert!(matches!(error, MeetError::Silent { .. }), "{error}");
        assert!(began.elapsed() < SOON);
    });
}

fn hello(role: Role) -> Hello {
    Hello {
        role,
        protocol: PROTOCOL,
        version: "0.7.0".into(),
        machine: None,
        epoch: Some(Epoch::new()),
    }
}

#[test]
fn one_that_never_answers_is_given_up() {
    run(async {
        let (link, port) = Link::coordinator(HERE, 0, hello(Role::Coordinator))
            .await
            .unwrap();
        let (kept, mut calls) = tokio::sync::mpsc::unbounded_channel();
        let served = link.serve(
            &Key::for_clients(),
            "request",
            move |_: Result<serde_json::Value, _>, call: Call| kept.send(call).unwrap(),
        );
        let served = served.unwrap();
        let address = Address::new("127.0.0.1", port);
        let client = Client::connect(&address, CONNECT_DEADLINE).await.unwrap();
        let began = Instant::now();
        let error = client.list().await.unwrap_err();
        println!("{:?}: {error}", began.elapsed());
        assert!(began.elapsed() < SOON);
        assert!(matches!(
            &error,
            AskError::Silent { coordinator, last: CallError::TimedOut { .. }, .. } if *coordinator == address
        ));
        assert!(error.to_string().contains("has not answered for "));
        assert!(calls.try_recv().is_ok(), "it was asked");
        // One without ears is given up as well: it may just have been starting.
        drop(served);
        let began = Instant::now();
        let error = client.status().await.unwrap_err();
        println!("{:?}: {error}", began.elapsed());
        assert!(began.elapsed() < SOON);
        assert!(error.to_string().contains("is gone"), "{error}");
        link.close().await;
    });
}

#[test]
fn a_coordinator_that_ends_while_it_is_asked_is_told_of() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let daemon = coordinator.daemon("A").await;
        let client = coordinator.client().await;
        let started = start(&client, ONE, None).await;
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { client.wait(started.dataflow, |_| ()).await }
        });
        until("it waits", async || client.list().await.ok()).await;
        coordinator.kill().await;
        let began = Instant::now();
        let error = waiting.await.unwrap().unwrap_err();
        println!("{:?}: {error}", began.elapsed());
        assert!(matches!(error, AskError::Silent { .. }), "{error}");
        assert!(began.elapsed() < SOON);
        daemon.kill().await;
    });
}

#[test]
fn a_frozen_daemon_is_soon_lost_and_the_command_does_not_hang() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let daemon = coordinator.daemon("A").await;
        let client = coordinator.client().await;
        daemon.freeze();
        let began = Instant::now();
        until("it is lost", async || {
            let status = client.status().await.unwrap();
            (status.daemons[0].reach == Reach::Lost).then_some(())
        })
        .await;
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let error = client
            .start(crate::harness::request(ONE, None), |_| ())
            .await;
        let error = error.unwrap().unwrap_err().to_string();
        assert!(error.contains("no daemon is connected"), "{error}");
        daemon.kill().await;
        coordinator.kill().await;
    });
}

#[test]
fn a_taken_port_is_named_with_who_has_it() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let second = Coordinator::open(Options {
            interface: HERE,
            port: coordinator.address.port,
            state: None,
            timing: Timing::default(),
        });
        let error = second.await.unwrap_err();
        assert!(
            matches!(&error, OpenError::PortTaken { by: Taker::Dora(hello), .. } if hello.role == Role::Coordinator),
            "{error}"
        );
        coordinator.kill().await;
    });
}

#[test]
fn nonsense_is_answered_and_harms_nobody() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Running::open(0, folder.path()).await;
        let me = Hello {
            epoch: None,
            ..hello(Role::Client)
        };
        let (link, _) = Link::client(&coordinator.address, me, LONG).await.unwrap();
        let mut deep = serde_json::json!(1);
        for _ in 0..100 {
            deep = serde_json::json!([deep]);
        }
        let nonsense = [
            serde_json::json!(null),
            serde_json::json!({"request": "no id", "verb": "list"}),
            serde_json::json!({"request": Epoch::new(), "verb": "fly"}),
            serde_json::json!({"request": Epoch::new(), "verb": {"stop": {"grace": -1}}}),
            serde_json::json!("x".repeat(1_000_000)),
            deep,
        ];
        for value in &nonsense {
            let reply = link
                .call::<_, ClientReply>("it", &Key::for_clients(), value, LONG)
                .await;
            assert!(matches!(reply, Ok(ClientReply::NotUnderstood(_))));
            let reply = link
                .call::<_, CoordinatorReply>("it", &Key::for_daemons(), value, LONG)
                .await;
            assert!(matches!(reply, Ok(CoordinatorReply::NotUnderstood(_))));
        }
        let client = coordinator.client().await;
        assert!(client.list().await.unwrap().is_empty());
        link.close().await;
        coordinator.kill().await;
    });
}
