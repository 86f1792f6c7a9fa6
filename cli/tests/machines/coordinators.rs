//! `dora coordinator`: its port, its end, its memory, and who may reach it.

use crate::cluster::{Cluster, DEADLINE, assert_fails, endless, example, find};
use std::net::TcpListener;
use std::time::Duration;

/// What a listener does that is no coordinator: takes connections and ends them.
fn other_program() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    port
}

#[test]
fn a_taken_port_is_told_with_who_has_it() {
    let cluster = Cluster::new(&[]);
    let port = cluster.port().to_string();
    let run = cluster.dora(&["coordinator", "--port", &port]);
    let version = env!("CARGO_PKG_VERSION");
    assert_fails(
        &run,
        &[
            &format!("port {port} of 127.0.0.1 is taken by a dora coordinator (dora {version})"),
            "--port",
        ],
    );
    assert_eq!(run.stdout, "", "{run}");
    let port = other_program().to_string();
    let run = cluster.dora(&["coordinator", "--port", &port]);
    assert_fails(
        &run,
        &[
            &format!("port {port} of 127.0.0.1 is taken by another program"),
            "--port",
        ],
    );
}

#[test]
fn whoever_is_asked_at_a_wrong_port_is_no_coordinator() {
    let mut cluster = Cluster::without_coordinator();
    let other = Cluster::without_coordinator();
    let port = other_program().to_string();
    let run = cluster.dora(&["list", "--coordinator-port", &port]);
    assert_fails(
        &run,
        &[&format!(
            "what listens at 127.0.0.1:{port} is no dora coordinator; say where it is with `--coordinator-addr` and \
             `--coordinator-port`"
        )],
    );
    // The port of a daemon is as wrong, as long as it knows no coordinator.
    cluster.start_daemon("A", &["--listen", &other.address()]);
    cluster.daemon("A").complains("Waiting", DEADLINE);
    let run = other.dora(&["list"]);
    assert_fails(&run, &["is a dora daemon", "not the coordinator"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_and_another_one_takes_its_port_and_its_memory() {
    let mut cluster = Cluster::lasting(&["A", "B"]);
    cluster.write("dataflow.yml", example());
    cluster.write("endless.yml", endless());
    let over = cluster.start("dataflow.yml", &["--name", "over"]);
    cluster.until_status(&over, "finished");
    let running = cluster.start("endless.yml", &["--name", "camera"]);
    for _ in 0..2 {
        let coordinator = cluster.take_coordinator();
        coordinator.signal("INT");
        let run = coordinator.end(DEADLINE);
        let listening = format!(
            "Listening for incoming daemon connection on {}\n",
            cluster.port()
        );
        let expected = format!("{listening}received ctrlc signal\nstopped\n");
        assert_eq!(run.success(), expected);
        cluster.start_coordinator(&[]);
        // What has ended is known at once, what runs as soon as its daemons are back.
        let list = cluster.json(&["list", "--json"]);
        let ended = find(&list, &over).expect("history");
        assert_eq!(
            (&ended["name"], &ended["status"]),
            (&"over".into(), &"finished".into())
        );
        assert_eq!(ended["ended"]["nodes"][2]["received"], 100, "{ended:#}");
        let found = cluster.until_status(&running, "running");
        assert_eq!(found["name"], "camera");
    }
    assert_eq!(
        cluster.json(&["ps", "--json"]).as_array().map(Vec::len),
        Some(3)
    );
    cluster.dora(&["stop", "camera"]).success();
    assert_eq!(cluster.until_status(&running, "stopped")["running"], 0);
}

#[cfg(unix)]
#[test]
fn it_stops_the_dataflows_at_its_end_if_asked() {
    let mut cluster = Cluster::without_coordinator();
    cluster.start_coordinator(&["--stop-dataflows"]);
    cluster.start_daemon("A", &[]);
    cluster.start_daemon("B", &[]);
    cluster.connected("A");
    cluster.connected("B");
    cluster.write("endless.yml", endless());
    let uuid = cluster.start("endless.yml", &[]);
    let coordinator = cluster.take_coordinator();
    coordinator.signal("INT");
    let run = coordinator.end(DEADLINE);
    assert!(
        run.stderr.contains(&format!("dataflow {uuid}: ended")),
        "{run}"
    );
    cluster.daemon("B").complains("has ended here", DEADLINE);
    assert!(run.success().ends_with("received ctrlc signal\nstopped\n"));
}

#[test]
fn other_machines_are_let_in_only_when_asked_and_loudly() {
    let cluster = Cluster::without_coordinator();
    let run = cluster.dora(&["coordinator", "--interface", "0.0.0.0", "--port", "0"]);
    assert_fails(&run, &["--interface 0.0.0.0", "add `--insecure`"]);
    let run = cluster.dora(&["daemon", "--listen", "0.0.0.0", "--no-wait"]);
    assert_fails(&run, &["--listen 0.0.0.0", "add `--insecure`"]);
    let mut cluster = Cluster::without_coordinator();
    cluster.start_coordinator(&["--interface", "0.0.0.0", "--insecure"]);
    let loud = "WARNING: other machines can reach this one at 0.0.0.0: no password, no encryption (`--insecure`)\n";
    cluster.coordinator().complains(loud, DEADLINE);
    cluster.start_daemon("A", &["--listen", "0.0.0.0", "--insecure"]);
    cluster.daemon("A").complains(loud, DEADLINE);
    cluster.connected("A");
    // Loopback needs neither.
    cluster.start_daemon("B", &["--listen", "127.0.0.1"]);
    cluster.connected("B");
    assert!(
        !cluster.daemon("B").stderr().contains("WARNING"),
        "{cluster}"
    );
}

#[test]
fn quiet_says_only_where_it_listens() {
    let mut cluster = Cluster::without_coordinator();
    cluster.start_coordinator(&["--quiet"]);
    cluster.start_daemon("A", &["--quiet"]);
    cluster.connected("A");
    cluster.until(&["status", "--json"], |status| {
        status["daemons"][0]["state"] == "connected"
    });
    assert_eq!(cluster.coordinator().stderr(), "");
    assert_eq!(cluster.daemon("A").stderr(), "");
}

#[test]
fn without_a_coordinator_commands_say_where_they_looked_and_what_to_do() {
    let cluster = Cluster::without_coordinator();
    cluster.write("dataflow.yml", example());
    let address = format!("no dora coordinator at {}", cluster.address());
    let commands: [&[&str]; 13] = [
        &["start", "dataflow.yml", "--detach"],
        &["start", "dataflow.yml", "--attach"],
        &["stop"],
        &["restart"],
        &["list"],
        &["ps"],
        &["node", "list"],
        &["logs"],
        &["clean"],
        &["status"],
        &["topic", "list"],
        &["topic", "echo", "rust-node/random"],
        &["topic", "hz", "rust-node/random"],
    ];
    let begin = std::time::Instant::now();
    for args in commands {
        let run = cluster.dora(args);
        assert_fails(
            &run,
            &[
                &address,
                "start one with `dora coordinator`",
                "--coordinator-addr",
                "--coordinator-port",
            ],
        );
        assert_eq!(run.stdout, "", "{run}");
    }
    // Far from any time limit: nobody listens, and that is known at once.
    assert!(begin.elapsed() < Duration::from_secs(40));
    // Where nothing runs there is nothing to end.
    let run = cluster.dora(&["down"]);
    assert!(run.stderr.contains("no coordinator runs at"), "{run}");
    run.success();
    // The variable of the address is looked at too.
    let mut command = cluster.command("here", &["list"]);
    command.env("DORA_COORDINATOR_ADDR", "localhost");
    let run = host_testing::run(&mut command, DEADLINE);
    assert_fails(
        &run,
        &[&format!(
            "no dora coordinator at localhost:{}",
            cluster.port()
        )],
    );
}
