//! One dataflow whose nodes are named in every way in which Windows names files.

use crate::wine::{DEADLINE, Windows};
use host_testing::run;

#[test]
fn a_file_is_found_in_whatever_way_it_is_named() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.install(&["random.dll", "sink.dll", "random-node.exe"]);
    let here = windows.name();
    let forward = here.replace('\\', "/");
    let lower = here.replacen('C', "c", 1);
    let (_, below) = here.split_once('\\').expect("a drive");
    let paths = [
        "../../target/release/random".to_owned(),
        r"..\..\target\release\random".to_owned(),
        r"..\../target\release/random.dll".to_owned(),
        r"..\..\target\release\RANDOM.DLL".to_owned(),
        format!(r"{here}\target\release\random"),
        format!("{forward}/target/release/random"),
        format!(r"{lower}\target\release\random.dll"),
        format!(r"\\?\{here}\target\release\random.dll"),
        format!(r"\\?\{here}\target\release\random"),
        format!(r"\\localhost\C$\{below}\target\release\random"),
        format!(r"\{below}\target\release\random"),
        r"$ROOT\target\release\random".to_owned(),
        r"~\random".to_owned(),
        "../../target/release/random-node".to_owned(),
        r"..\..\target\release\random-node.exe".to_owned(),
        "random-node".to_owned(),
    ];
    for path in paths {
        let text = format!(
            "nodes: [{{id: n, path: '{path}', inputs: {{tick: dora/timer/millis/10}}, outputs: [random], config: {{count: 1}}}}]"
        );
        windows.write("flows/one/flow.yml", text);
        let mut c = windows.command("elsewhere", &["run", r"..\flows\one\flow.yml"]);
        c.env("ROOT", &here);
        let r = run(&mut c, DEADLINE);
        println!("{path} -> {:?} {}", r.status, r.stderr);
    }
}
