//! The tutorial word for word: a coordinator, two daemons, the example as it stands in the repository.

use crate::cluster::{Cluster, DEADLINE};
use host_testing::{Background, plugins, repo_root};

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
    let port = cluster.port().to_string();
    let start = cluster.background(&[
        "start",
        "examples/multiple-daemons/dataflow.yml",
        "--coordinator-addr",
        "127.0.0.1",
        "--coordinator-port",
        &port,
    ]);
    let run = start.end(DEADLINE);
    let uuid = run.success().trim().to_owned();
    let ended = cluster.until_status(&uuid, "finished");
    let rows = &ended["ended"]["nodes"];
    let row = |index: usize| {
        let row = &rows[index];
        (
            row["node"].as_str(),
            row["machine"].as_str(),
            row["received"].as_u64(),
            row["sent"].as_u64(),
            row["dropped"].as_u64(),
        )
    };
    let found: Vec<_> = (0..3).map(row).collect();
    assert_eq!(found[0].0, Some("rust-node"), "{rows:#}");
    assert_eq!(found.len(), 3);
    assert_eq!(printed(cluster.daemon("B")), 100, "{cluster}");
    assert_eq!(printed(cluster.daemon("A")), 0, "{cluster}");
}

fn printed(daemon: &Background) -> usize {
    let out = daemon.stdout();
    out.matches("sink received message: operator received random value 0x")
        .count()
}
