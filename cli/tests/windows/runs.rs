//! `dora run` of the same descriptors as on Linux: plugins in the daemon and in processes of their own, programs with
//! `.exe`, from any folder, with any script in names, paths and messages.

use crate::wine::{Windows, assert_fails};
use host_testing::Run;
use std::fs;

/// Messages have come, and all three nodes have ended well. How many have come tells how busy the machine was.
fn assert_ended_well(run: &Run) {
    let told = "sink received message: operator received random value 0x";
    assert!(run.stdout.contains(told), "{run}");
    for node in ["random  finished", "status  finished", "sink    finished"] {
        assert!(run.stderr.contains(node), "{run}");
    }
    assert!(run.status.is_some_and(|status| status.success()), "{run}");
}

#[test]
fn the_version_is_told() {
    let Some(windows) = Windows::new() else {
        return;
    };
    let text = windows.dora("", &["--version"]).success();
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
}

#[test]
fn the_quickstart_runs_from_its_folder_and_from_any_other() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.quickstart("examples");
    assert_ended_well(&windows.dora("examples/quickstart", &["run", "dataflow.yml"]));
    let file = format!(r"{}\examples\quickstart\dataflow.yml", windows.name());
    assert_ended_well(&windows.dora("elsewhere", &["run", &file]));
    assert_ended_well(&windows.dora("elsewhere", &["run", "../examples/quickstart/dataflow.yml"]));
    // Nothing but the logs is left where it ran, and nothing where the plugins are.
    let left = fs::read_dir(windows.path().join("target/release")).expect("a folder");
    assert_eq!(left.count(), 3);
}

#[test]
fn plugins_run_in_processes_and_as_programs() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.quickstart("examples");
    windows.install(&["random-node.exe", "status-node.exe", "sink-node.exe"]);
    let text = fs::read_to_string(windows.path().join("examples/quickstart/dataflow.yml"));
    let text = text.expect("written");
    let own = text.replace("    inputs:", "    process: own\n    inputs:");
    let shared = text.replace("    inputs:", "    process: vision\n    inputs:");
    let mut programs = text.clone();
    for node in ["random", "status", "sink"] {
        let path = format!("path: ../../target/release/{node}\n");
        programs = programs.replace(&path, &path.replace('\n', "-node\n"));
    }
    let mixed = programs.replace("sink-node", "sink-node.exe");
    let mixed = mixed.replace("release/status-node", "release/status\n    process: own");
    for (file, text) in [
        ("own.yml", own),
        ("shared.yml", shared),
        ("programs.yml", programs),
        ("mixed.yml", mixed),
    ] {
        windows.write(&format!("examples/quickstart/{file}"), text);
        assert_ended_well(&windows.dora("examples/quickstart", &["run", file]));
    }
}

#[test]
fn any_script_and_spaces_in_names_paths_and_messages() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.install(&["random.dll", "status.dll", "sink.dll"]);
    for (file, as_) in [
        ("random", "随机 数"),
        ("status", "状态"),
        ("sink", "接收 器"),
    ] {
        let built = fs::read(windows.built(&format!("{file}.dll"))).expect("built");
        windows.write(&format!("我的 机器人/插件/{as_}.dll"), built);
    }
    let text = "nodes:
  - {id: random, name: 随机数, path: 插件/随机 数, inputs: {tick: dora/timer/millis/10}, outputs: [random]}
  - id: status
    name: 状态
    path: 插件\\状态.dll
    process: own
    inputs: {tick: dora/timer/millis/100, random: random/random}
    outputs: [status]
  - {id: sink, name: 接收器, path: ./插件/接收 器, inputs: {message: status/status}}
";
    windows.write("我的 机器人/数据 流.yml", text);
    let run = windows.dora("我的 机器人", &["run", "数据 流.yml"]);
    assert_ended_well(&run);
    // A program that knows nothing of dora gets its arguments, and its words are shown, before it is refused as no node.
    windows.compile("says.c", "我的 机器人/插件/温度 计.exe");
    let text = "nodes: [{id: says, name: 温度计, path: 插件/温度 计, args: 21 \"二十 一\", outputs: [out]}]";
    windows.write("我的 机器人/说.yml", text);
    let run = windows.dora("我的 机器人", &["run", "说.yml"]);
    assert!(run.stdout.contains("温度：21 二十 一"), "{run}");
    assert_fails(&run, &["`says`"]);
    let graph = windows
        .dora("", &["graph", "我的 机器人/数据 流.yml"])
        .success();
    assert!(graph.contains("随机 数"), "{graph}");
}

#[test]
fn a_folder_may_be_deeper_than_old_limits() {
    let Some(windows) = Windows::new() else {
        return;
    };
    let deep = ["a-folder-with-a-long-name-of-some-fifty-characters"; 6].join("/");
    windows.quickstart(&format!("{deep}/examples"));
    let release = windows.path().join("target/release");
    for plugin in ["random.dll", "status.dll", "sink.dll"] {
        let bytes = fs::read(release.join(plugin)).expect("installed");
        windows.write(&format!("{deep}/target/release/{plugin}"), bytes);
    }
    let file = format!(
        r"{}\{deep}\examples\quickstart\dataflow.yml",
        windows.name()
    );
    assert_ended_well(&windows.dora("", &["run", &file.replace('/', "\\")]));
}
