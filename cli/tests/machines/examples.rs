//! Examples of nodes in processes, as they stand in the repository, on two machines.

use crate::cluster::{Cluster, DEADLINE};
use host_testing::python::Python;
use host_testing::{plugins, repo_root, skipped};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Copies a file of the repository to the same place in the folder of the test.
fn copy(cluster: &Cluster, file: &str) {
    let content = std::fs::read(repo_root().join(file)).expect("a file of the example");
    cluster.write(file, content);
}

/// Puts what a test has built to where examples look for it. Executables stay so.
fn built(cluster: &Cluster, file: &Path) {
    let name = file.file_name().expect("a file");
    let folder = cluster.here().join("target/release");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::copy(file, folder.join(name)).expect("copied");
}

/// Starts a dataflow, attached to it, and waits for its end: its object of `dora list`, and the lines of the sink on `B`
/// as they were printed.
fn ended(cluster: &Cluster, file: &str, sink: &str) -> (Value, Vec<String>) {
    let start = cluster.background(&["start", "--attach", "--name", "example", file]);
    let run = start.end(DEADLINE);
    let begin = format!("{sink}@B: sink received message: ");
    let lines = run.stdout.lines().chain(run.stderr.lines());
    let lines = lines.filter_map(|line| Some(line.split_once(&begin)?.1.to_owned()));
    let lines: Vec<_> = lines.collect();
    run.success();
    (cluster.until_status("example", "finished"), lines)
}

/// A count of a node in what `dora list` knows of an ended dataflow.
fn count(ended: &Value, node: &str, key: &str) -> u64 {
    let rows = ended["ended"]["nodes"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["node"] == node);
    let count = row.and_then(|row| row[key].as_u64());
    count.unwrap_or_else(|| panic!("{node} has no {key}: {ended:#}"))
}

/// Where a node ran.
fn machine<'a>(ended: &'a Value, node: &str) -> Option<&'a str> {
    let rows = ended["ended"]["nodes"].as_array().expect("rows");
    rows.iter().find(|row| row["node"] == node)?["machine"].as_str()
}

#[test]
fn a_python_node_a_plugin_and_an_executable_on_two_machines() {
    for release in ["1.1.0", "0.4.1"] {
        let python = match Python::with_dora(release) {
            Ok(python) => python,
            Err(reason) => {
                skipped(&format!("no PyPI: dora-rs {release}: {reason}"));
                continue;
            }
        };
        let mut cluster = Cluster::without_coordinator();
        // As users activate it.
        cluster.set("VIRTUAL_ENV", python.folder());
        cluster.start_coordinator(&[]);
        for machine in ["A", "B"] {
            cluster.start_daemon(machine, &[]);
            cluster.connected(machine);
        }
        for file in ["dataflow.yml", "status.py"] {
            copy(&cluster, &format!("examples/python-mixed/{file}"));
        }
        built(&cluster, &plugins::plugin("random"));
        built(&cluster, &plugins::program("sink"));
        let (ended, lines) = ended(&cluster, "examples/python-mixed/dataflow.yml", "sink");
        // All that waits has room.
        assert_eq!(lines.len(), 100, "{release}: {ended:#}\n{cluster}");
        for (number, line) in lines.iter().enumerate() {
            let value = line.strip_prefix("operator received random value 0x");
            let ticks = value.and_then(|value| value.split_once(" after "));
            let wanted = format!("{number} ticks");
            assert_eq!(ticks.map(|(_, ticks)| ticks), Some(&*wanted), "{line}");
        }
        for (node, on) in [("random", "A"), ("status", "A"), ("sink", "B")] {
            assert_eq!(machine(&ended, node), Some(on), "{ended:#}");
        }
        assert_eq!(count(&ended, "sink", "received"), 100, "{ended:#}");
    }
}

#[test]
fn three_executables_on_two_machines() {
    let cluster = Cluster::new(&["A", "B"]);
    let file = "examples/multiple-daemons/dataflow-process.yml";
    copy(&cluster, file);
    let programs = ["random", "status", "sink"].map(plugins::program);
    programs.iter().for_each(|it: &PathBuf| built(&cluster, it));
    let (ended, lines) = ended(&cluster, file, "rust-sink");
    assert_eq!(count(&ended, "rust-node", "sent"), 100, "{ended:#}");
    let arrived = count(&ended, "rust-sink", "received");
    // On a busy machine ten messages that wait may be too few; those of the status node's timer count, too.
    let dropped =
        count(&ended, "rust-status-node", "dropped") + count(&ended, "rust-sink", "dropped");
    assert!(
        arrived > 0 && arrived + dropped >= 100,
        "{ended:#}\n{cluster}"
    );
    assert_eq!(lines.len() as u64, arrived, "{ended:#}\n{cluster}");
}
