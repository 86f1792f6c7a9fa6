//! Finding the coordinator, and not finding it.

use super::*;
use std::io::Read;
use std::net::TcpListener;
use std::time::Instant;

#[test]
fn a_daemon_and_a_client_find_the_coordinator() {
    run(async {
        let began = Instant::now();
        let (coordinator, address) = coordinator(0).await;
        let opened = began.elapsed();
        let began = Instant::now();
        let daemon = daemon("A", &address).await;
        let found = daemon.meet(LONG).await.unwrap();
        let met = began.elapsed();
        assert_eq!(&found, coordinator.me());
        let began = Instant::now();
        let me = hello(Role::Client, None);
        let (client, found) = Link::client(&address, me, LONG).await.unwrap();
        let connected = began.elapsed();
        assert_eq!(&found, coordinator.me());
        println!("coordinator {opened:?}, daemon {met:?}, client {connected:?}");
        close([client, daemon, coordinator]).await;
    });
}

#[test]
fn a_taken_port_is_named_with_who_has_it() {
    run(async {
        let (first, address) = coordinator(0).await;
        let me = || hello(Role::Coordinator, None);
        let second = Link::coordinator(HERE, address.port, me()).await;
        assert_eq!(
            second.unwrap_err(),
            OpenError::PortTaken {
                address: SocketAddr::new(HERE, address.port),
                by: Taker::Dora(Box::new(first.me().clone())),
            }
        );
        first.close().await;
        let other = TcpListener::bind((HERE, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        // Ends the connection that asks who it is.
        let kept = other.try_clone().unwrap();
        std::thread::spawn(move || kept.accept().map(drop));
        let error = Link::coordinator(HERE, port, me()).await.unwrap_err();
        let text = error.to_string();
        let begin = format!("port {port} of 127.0.0.1 is taken by another program");
        let who = text.strip_prefix(&begin).unwrap();
        let who = who.strip_suffix("; end that one, or choose another port");
        let this = match cfg!(any(target_os = "linux", windows)) {
            true => format!(" (process {})", std::process::id()),
            false => String::new(),
        };
        assert!(who.unwrap().ends_with(&this), "{text}");
        let nowhere = IpAddr::from([192, 0, 2, 1]);
        let error = Link::coordinator(nowhere, 0, me()).await.unwrap_err();
        assert!(matches!(error, OpenError::Address { .. }), "{error}");
    });
}

#[test]
fn the_port_is_free_again_after_a_close() {
    run(async {
        let (first, address) = coordinator(0).await;
        let client = client(&address).await;
        first.close().await;
        let (second, again) = coordinator(address.port).await;
        assert_eq!(again, address);
        close([client, second]).await;
    });
}

#[test]
fn nobody_there_is_said_at_once() {
    run(async {
        let free = TcpListener::bind((HERE, 0)).unwrap();
        let address = Address::from(free.local_addr().unwrap());
        drop(free);
        let began = Instant::now();
        let error = Link::client(&address, hello(Role::Client, None), LONG).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(
                "no dora coordinator at {address} (connection refused); start one with `dora coordinator`"
            )),
            "{error}"
        );
        assert!(began.elapsed() < Duration::from_secs(2));
        let daemon = daemon("A", &address).await;
        let error = daemon.meet(Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(error, MeetError::Nobody { .. }), "{error}");
        daemon.close().await;
    });
}

#[test]
fn a_daemon_waits_for_a_coordinator_that_comes_later() {
    run(async {
        let free = TcpListener::bind((HERE, 0)).unwrap();
        let address = Address::from(free.local_addr().unwrap());
        drop(free);
        let daemon = daemon("A", &address).await;
        let waits = daemon.clone();
        let met = tokio::spawn(async move { waits.meet(LONG).await });
        let (coordinator, _) = coordinator(address.port).await;
        assert_eq!(&met.await.unwrap().unwrap(), coordinator.me());
        close([daemon, coordinator]).await;
    });
}

#[test]
fn what_hangs_and_what_is_no_dora_are_told_apart() {
    run(async {
        // Takes connections and says nothing, as a process does that was stopped.
        let silent = TcpListener::bind((HERE, 0)).unwrap();
        let address = Address::from(silent.local_addr().unwrap());
        let began = Instant::now();
        let error = Link::client(&address, hello(Role::Client, None), LONG).await;
        let error = error.unwrap_err();
        assert!(matches!(error, MeetError::Silent { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
        // Ends every connection at the first byte.
        let rude = TcpListener::bind((HERE, 0)).unwrap();
        let address = Address::from(rude.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in rude.incoming().flatten() {
                let _ = { stream }.read(&mut [0]);
            }
        });
        let error = Link::client(&address, hello(Role::Client, None), LONG).await;
        assert_eq!(error.unwrap_err(), MeetError::NotDora { address });
    });
}

#[test]
fn a_daemon_is_no_coordinator() {
    run(async {
        let (coordinator, address) = coordinator(0).await;
        let port = std::net::TcpListener::bind((HERE, 0)).unwrap();
        let listen = port.local_addr().unwrap();
        drop(port);
        let options = DaemonOptions {
            listen,
            ..options(&address)
        };
        // One whose coordinator is gone: otherwise the question would go through it.
        coordinator.close().await;
        let daemon = Link::daemon(&options, hello(Role::Daemon, Some("A")))
            .await
            .unwrap();
        let error = Link::client(&listen.into(), hello(Role::Client, None), LONG).await;
        let error = error.unwrap_err();
        assert!(
            error.to_string().starts_with(&format!(
                "what listens at {listen} is a dora daemon (dora 0.7.0), not the coordinator"
            )),
            "{error}"
        );
        daemon.close().await;
    });
}

#[test]
fn another_protocol_is_refused_with_both_versions() {
    run(async {
        let mut newer = hello(Role::Coordinator, None);
        newer.protocol = Protocol { min: 8, max: 9 };
        newer.version = "9.1.0".into();
        let (coordinator, port) = Link::coordinator(HERE, 0, newer.clone()).await.unwrap();
        let address = Address::new("127.0.0.1", port);
        let me = hello(Role::Client, None);
        let MeetError::Incompatible(error) =
            Link::client(&address, me.clone(), LONG).await.unwrap_err()
        else {
            panic!("another error");
        };
        assert_eq!((error.here, error.there), (me, newer));
        let daemon = daemon("A", &address).await;
        let error = daemon.meet(LONG).await.unwrap_err().to_string();
        assert!(
            error.starts_with("this daemon is dora 0.7.0 (protocol 1), the coordinator is dora 9.1.0 (protocol 8 to 9)"),
            "{error}"
        );
        close([daemon, coordinator]).await;
    });
}
