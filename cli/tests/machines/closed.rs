//! Commands whose output nobody reads any more: what they are to do they do all the same, and none of them panics.

use crate::cluster::{Cluster, DEADLINE, endless};
use host_testing::wait_until;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// Starts a command both of whose streams lead to nobody.
fn unheard(command: &mut Command) -> Child {
    let (reading, writing) = std::io::pipe().expect("a pipe");
    drop(reading);
    let other = writing.try_clone().expect("another one");
    command.stdin(Stdio::null()).stdout(writing).stderr(other);
    command.spawn().expect("it starts")
}

fn ended(mut child: Child, what: &str) -> ExitStatus {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what} does not end");
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Runs one to its end: it is not to panic, which is 101, nor to be ended by a signal.
fn does_not_panic(cluster: &Cluster, args: &[&str]) {
    let status = ended(unheard(&mut cluster.command("here", args)), &args.join(" "));
    let code = status.code();
    assert!(matches!(code, Some(0..=2)), "{args:?}: {status}\n{cluster}");
}

#[test]
fn no_command_panics_when_nobody_reads() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    cluster.start("endless.yml", &["--name", "it"]);
    for args in [
        &["list"][..],
        &["ps"],
        &["node", "list"],
        &["status"],
        &["logs", "it"],
        &["logs", "nobody"],
        &["topic", "echo", "nobody/out"],
        &["validate", "endless.yml"],
        &["validate", "nothing.yml"],
        &["graph", "endless.yml"],
        &["schema"],
        &["--help"],
        &["start", "nothing.yml"],
        &["up"],
        &["stop", "nobody"],
        &["stop", "it"],
        &["stop"],
        &["clean"],
        &["down"],
    ] {
        does_not_panic(&cluster, args);
    }
}

#[cfg(unix)]
#[test]
fn an_attached_start_is_stopped_when_nobody_reads() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let args = ["start", "--attach", "--name", "it", "endless.yml"];
    let child = unheard(&mut cluster.command("here", &args));
    cluster.until_status("it", "running");
    let script = format!("kill -s TERM {}", child.id());
    let kill = Command::new("sh").args(["-c", &script]).status();
    assert!(kill.expect("a shell").success());
    let status = ended(child, "start");
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    wait_until("its end", DEADLINE, || {
        let list = cluster.json(&["list", "--json"]);
        let it = crate::cluster::find(&list, "it");
        it.is_some_and(|it| it["status"] != "running" && it["status"] != "stopping")
    });
}
