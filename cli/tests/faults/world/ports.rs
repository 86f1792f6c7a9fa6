//! Somebody else takes the port of a coordinator that is away.

use super::{bystander, goes_on, missed_nothing};
use crate::cluster::{Cluster, DEADLINE, assert_fails};
use host_testing::{fault, wait_until};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Listens, answers nonsense and keeps every connection, until it is dropped.
struct Thief {
    quit: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Thief {
    fn at(port: u16) -> Self {
        let mut listener = None;
        wait_until("the port is free", DEADLINE, || {
            listener = TcpListener::bind(("127.0.0.1", port)).ok();
            listener.is_some()
        });
        let listener = listener.expect("just bound");
        listener.set_nonblocking(true).expect("a setting");
        let (quit, taken) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (ends, counts) = (quit.clone(), taken.clone());
        let thread = std::thread::spawn(move || {
            let mut kept: Vec<TcpStream> = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => {
                        // Whoever does not want it has gone.
                        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                        kept.push(stream);
                        counts.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
                }
            }
        });
        Self {
            quit,
            taken,
            thread: Some(thread),
        }
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok(), "it does nothing that could fail");
        }
    }
}

#[test]
fn a_stolen_port_is_told_and_left_when_it_is_free_again() {
    let checked = "dataflows go on; commands and the next coordinator say who has it; when it is free all are back";
    let _row = fault(
        "port stolen",
        "the coordinator's, while it is away",
        checked,
    );
    let mut cluster = Cluster::lasting(&["A"]);
    cluster.write("bystander.yml", bystander("A"));
    let running = cluster.start("bystander.yml", &["--name", "camera"]);
    goes_on(&cluster);
    cluster.take_coordinator().kill();
    let thief = Thief::at(cluster.port());
    wait_until(
        "the daemon looks for its coordinator there",
        DEADLINE,
        || thief.taken.load(Ordering::Relaxed) > 2,
    );
    let port = cluster.port().to_string();
    assert_fails(&cluster.dora(&["list"]), &["is no dora coordinator"]);
    let next = cluster.dora(&["coordinator", "--port", &port]);
    assert_fails(&next, &[&format!("port {port} of 127.0.0.1 is taken by")]);
    drop(thief);
    cluster.start_coordinator(&[]);
    cluster.until_status("camera", "running");
    goes_on(&cluster);
    missed_nothing(&cluster, &running);
}

/// The loopback port of a daemon for nodes of dora.
#[test]
fn a_daemon_whose_port_for_nodes_is_taken_uses_another_one() {
    let checked = "another one is used and said; what runs and what starts is not harmed";
    let _row = fault("port stolen", "a daemon's, for nodes of dora", checked);
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let mut cluster = Cluster::new(&[]);
    cluster.start_daemon("A", &["--local-listen-port", &port]);
    cluster.connected("A");
    let said = format!("Port {port} is in use, so process nodes are served on port ");
    cluster.daemon("A").complains(&said, DEADLINE);
    cluster.write("bystander.yml", bystander("A"));
    let running = cluster.start("bystander.yml", &[]);
    goes_on(&cluster);
    missed_nothing(&cluster, &running);
}
