//! Who a daemon is, and whether there is a coordinator for it.

use crate::harness::*;
use host::daemon::{Daemon, OpenError, RunError};
use host::link::Address;
use host::logs::{LogHub, Settings};
use host_testing::fresh_dir;
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[test]
fn a_second_daemon_of_one_machine_id_is_refused_and_the_first_goes_on() {
    run(async {
        let site = Site::new(&["A"]).await;
        let second = Host::start("A", &site.address, &site.folder().join("second")).await;
        let news = second
            .news("Another daemon may have the machine id \"A\"")
            .await;
        assert!(!news.is_empty());
        let error = second.ended().await.unwrap_err();
        assert!(matches!(error, RunError::MachineIdTaken { .. }));
        let said = error.to_string();
        assert!(
            said.starts_with("machine id \"A\" is already taken by the daemon at 127.0.0.1:"),
            "{said}"
        );
        assert_eq!(site.client.status().await.unwrap().daemons.len(), 1);
        site.close().await;
    });
}

#[test]
fn a_daemon_is_ready_at_once() {
    const AT_ONCE: Duration = Duration::from_millis(400);
    run(async {
        let mut site = Site::new(&[]).await;
        // The first daemon of a process also opens what is opened once.
        site.add("A").await;
        let mut took = Vec::new();
        // Of several, because this machine may have other things to do. Looking for others in the network before anything
        // else, as zenoh does by default, would take half a second.
        for name in ["B", "C", "D", "E", "F", "G", "H", "I"] {
            let began = Instant::now();
            site.add(name).await;
            took.push(began.elapsed());
            if began.elapsed() < AT_ONCE {
                break;
            }
        }
        let is_at_once = took.last().is_some_and(|took| *took < AT_ONCE);
        assert!(is_at_once, "{took:?}");
        site.close().await;
    });
}

#[test]
fn a_daemon_waits_for_its_coordinator_and_says_so_once() {
    run(async {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let nobody = Address::new("127.0.0.1", port);
        let folder = fresh_dir();
        let host = Host::start("A", &nobody, folder.path()).await;
        host.news("Waiting for a coordinator: no dora coordinator at 127.0.0.1:")
            .await;
        host.shut_down(GRACE).await;
        host.ended().await.unwrap();
        let hub = LogHub::start(Settings::default()).unwrap();
        let mut options = Host::options("A", &nobody, folder.path());
        options.wait = false;
        let began = Instant::now();
        let error = Daemon::open(options, hub).await.unwrap_err();
        assert!(matches!(error, OpenError::NoCoordinator(_)), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_local_port_that_is_taken_is_told_and_another_one_used() {
    run(async {
        let site = Site::new(&[]).await;
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut options = Host::options("A", &site.address, site.folder());
        options.local_port = taken.local_addr().unwrap().port();
        let wanted = options.local_port;
        let hub = LogHub::start(Settings::default()).unwrap();
        let daemon = Daemon::open(options, hub).await.unwrap();
        let used = daemon.local_port();
        assert!(used != wanted && used != 0);
        let (tell, asked) = tokio::sync::mpsc::channel(1);
        tell.send(GRACE).await.unwrap();
        let mut news = Vec::new();
        daemon
            .run(asked, |item| news.push(item.to_string()))
            .await
            .unwrap();
        let expected = format!(
            "Port {wanted} is in use, so process nodes are served on port {used}; tell dynamic nodes"
        );
        assert!(news.contains(&expected), "{news:?}");
        site.close().await;
    });
}
