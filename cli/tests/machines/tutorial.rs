//! The tutorial word for word: a coordinator, two daemons, the example as it stands in the repository.

use crate::cluster::{Cluster, DEADLINE};
use host_testing::{Background, plugins, repo_root, wait_until};

/// The example where the tutorial has it, with the plugins where its descriptor looks for them.
fn example(cluster: &Cluster) {
    let file = "examples/multiple-daemons/dataflow.yml";
    let text = std::fs::read(repo_root().join(file)).expect("the example");
    cluster.write(file, text);
    for package in ["random", "status", "sink"] {
        let library = plugins::plugin(package);
        let name = library.file_name().expect("a file").to_str();
        let name = format!("target/release/{}", name.expect("text"));
        cluster.write(&name, std::fs::read(&library).expect("built"));
    }
}

#[test]
fn every_message_arrives() {
    let mut cluster = Cluster::new(&[]);
    example(&cluster);
    assert_eq!(
        cluster.coordinator().stdout(),
        format!(
            "Listening for incoming daemon connection on {}\n",
            cluster.port()
        )
    );
    cluster.start_daemon("A", &[]);
    cluster.connected("A");
    cluster.start_daemon("B", &[]);
    cluster.connected("B");
    // On a busy machine a thread may not run for longer than the ten messages that wait by default: what is lost then is
    // counted, and the next time nothing is.
    let lossless = (0..5).any(|_| lost(&cluster) == 0);
    assert!(lossless, "{cluster}");
    assert_eq!(printed(cluster.daemon("A")), 0, "{cluster}");
}

/// Starts the dataflow, and waits for its end: how many of the 100 messages were lost, by the count of those who lost
/// them. All others have arrived.
fn lost(cluster: &Cluster) -> u64 {
    let before = printed(cluster.daemon("B"));
    let port = cluster.port().to_string();
    let start = cluster.background(&[
        "start",
        "examples/multiple-daemons/dataflow.yml",
        "--coordinator-addr",
        "127.0.0.1",
        "--coordinator-port",
        &port,
    ]);
    let uuid = start.end(DEADLINE).success().trim().to_owned();
    let ended = cluster.until_status(&uuid, "finished");
    let rows = ended["ended"]["nodes"].as_array().expect("rows");
    let nodes: Vec<_> = rows
        .iter()
        .map(|row| (row["node"].as_str(), row["machine"].as_str()))
        .collect();
    let expected = [
        ("rust-node", "A"),
        ("rust-status-node", "A"),
        ("rust-sink", "B"),
    ];
    assert_eq!(
        nodes,
        expected.map(|(node, machine)| (Some(node), Some(machine)))
    );
    let number = |row: usize, key: &str| {
        ended["ended"]["nodes"][row][key]
            .as_u64()
            .expect("a number")
    };
    assert_eq!(number(0, "sent"), 100, "{ended:#}");
    let arrived = number(2, "received");
    // Those of its timer count, too.
    let lost = number(1, "dropped") + number(2, "dropped");
    assert!(
        arrived <= 100 && arrived + lost >= 100,
        "{ended:#}\n{cluster}"
    );
    wait_until("all that arrived is printed", DEADLINE, || {
        (printed(cluster.daemon("B")) - before) as u64 == arrived
    });
    100 - arrived
}

fn printed(daemon: &Background) -> usize {
    let out = daemon.stdout();
    out.matches("sink received message: operator received random value 0x")
        .count()
}
