//! Nodes whose files are named in every way in which Windows names files.
//!
//! Absent: shares of other computers, which Wine has not.

use crate::wine::{DEADLINE, Windows, assert_fails};
use host_testing::{Run, run};
use std::fs;

/// Runs a dataflow of one node with this path, whose descriptor is in `C:\\t…\\flows\\one`, from another folder.
fn with_path(windows: &Windows, path: &str) -> Run {
    let text = format!(
        "nodes: [{{id: n, path: '{path}', inputs: {{tick: dora/timer/millis/10}}, outputs: [random], config: {{count: 1}}}}]"
    );
    windows.write("flows/one/flow.yml", text);
    let mut command = windows.command("elsewhere", &["run", r"..\flows\one\flow.yml"]);
    run(command.env("ROOT", windows.name()), DEADLINE)
}

#[test]
fn a_file_is_found_in_whatever_way_it_is_named() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.install(&["random.dll", "random-node.exe"]);
    let beside = fs::read(windows.built("random-node.exe")).expect("built");
    windows.write("flows/one/beside.exe", beside);
    let here = windows.name();
    let (_, below) = here.split_once('\\').expect("a drive");
    for path in [
        "../../target/release/random",
        r"..\..\target\release\random",
        r"..\../target\release/random.dll",
        r"..\..\target\release\RANDOM.DLL",
        &format!(r"{here}\target\release\random"),
        &format!("C:/{below}/target/release/random"),
        &format!(r"c:\{below}\target\release\random.dll"),
        &format!(r"\\?\{here}\target\release\random"),
        &format!(r"\{below}\target\release\random"),
        r"$ROOT\target\release\random",
        "../../target/release/random-node",
        r"..\..\target\release\random-node.exe",
        "beside",
        r".\Beside.EXE",
    ] {
        let run = with_path(&windows, path);
        assert!(
            run.stderr.contains("n     finished   1    1"),
            "{path}: {run}"
        );
    }
}

#[test]
fn a_path_from_whatever_is_the_current_folder_of_a_drive_is_refused() {
    let Some(windows) = Windows::new() else {
        return;
    };
    let run = with_path(&windows, "C:random.dll");
    let why = "`path`: `C:random.dll` starts from whatever folder is the drive's current one";
    assert_fails(&run, &[why, r"write a `\` behind the `:`"]);
}

#[test]
fn what_is_not_found_is_told_with_the_suffixes_of_this_system() {
    let Some(windows) = Windows::new() else {
        return;
    };
    let run = with_path(&windows, r"D:\nodes\detector");
    // By PATHEXT, which is Wine's own.
    let tried = "tried detector, detector.exe, detector.com, detector.bat, detector.cmd, ";
    let libraries = r"libdetector.so, detector.dll, libdetector.dylib in `D:\nodes`";
    assert_fails(&run, &[tried, libraries, "build it, or correct the path"]);
}
