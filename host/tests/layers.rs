//! The layers of ARCHITECTURE.md, policed: who may name whom, and which crate belongs where.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below a folder, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// Files below `folder` that contain one of the words outside comments.
fn naming(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in sources(folder) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words.iter().filter(|word| code.contains(*word)) {
                faults.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    faults
}

fn host() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn the_contract_knows_no_host_and_the_host_no_command_line() {
    let root = host_testing::repo_root();
    assert_eq!(
        naming(&root.join("plugin-abi/src"), &["host::", "dora::", "tokio"]),
        [""; 0]
    );
    assert_eq!(naming(&host(), &["clap::", "eyre::"]), [""; 0]);
}

#[test]
fn lower_modules_do_not_name_higher_ones() {
    let higher: [(&str, &[&str]); 9] = [
        (
            "descriptor",
            &[
                "crate::plugin::load",
                "crate::engine",
                "crate::launch",
                "crate::logs",
                "tokio",
            ],
        ),
        (
            "plugin",
            &[
                "crate::descriptor",
                "crate::engine",
                "crate::launch",
                "crate::logs",
                "tokio",
            ],
        ),
        (
            "engine",
            &[
                "crate::launch",
                "crate::logs",
                "std::fs",
                "std::net",
                "std::process",
            ],
        ),
        (
            "control",
            &[
                "crate::engine",
                "crate::launch",
                "crate::logs",
                "crate::coordinator",
                "crate::daemon",
                "tokio",
                "std::fs",
                "std::net",
            ],
        ),
        (
            "process",
            &[
                "crate::plugin::load",
                "crate::launch",
                "crate::local",
                "crate::control",
                "crate::coordinator",
                "crate::daemon",
                "crate::link",
            ],
        ),
        ("coordinator", &["crate::engine", "crate::daemon"]),
        ("daemon", &["crate::coordinator"]),
        (
            "client",
            &["crate::coordinator", "crate::daemon", "crate::engine"],
        ),
        (
            "sys",
            &[
                "crate::descriptor",
                "crate::plugin",
                "crate::engine",
                "crate::launch",
                "crate::logs",
                "tokio",
            ],
        ),
    ];
    for (module, words) in higher {
        assert_eq!(naming(&host().join(module), words), [""; 0], "{module}");
    }
}

#[test]
fn state_machines_have_no_clock_and_touch_nothing() {
    for (path, text) in sources(&host()) {
        let pure = ["coordinator/", "daemon/", "engine/"].map(|module| {
            let state = host().join(module).join("state.rs");
            path == state
        });
        if pure.contains(&true) {
            for word in ["Instant", "SystemTime", "tokio", "std::fs", "std::net"] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

#[test]
fn libraries_stay_behind_their_one_module() {
    let places: [(&str, &str); 7] = [
        ("zenoh::", "link"),
        ("saphyr_parser", "descriptor"),
        ("libloading", "plugin"),
        ("object::", "plugin"),
        ("windows_sys", "sys"),
        ("dora_message", "process"),
        ("bincode", "process"),
    ];
    for (library, module) in places {
        let inside = host().join(module);
        let outside: Vec<_> = naming(&host(), &[library])
            .into_iter()
            .filter(|fault| !Path::new(fault).starts_with(&inside))
            .collect();
        assert_eq!(outside, [""; 0], "{library} belongs to {module}");
    }
}

/// It must not crash of what the worker crashes of.
#[test]
fn the_guard_knows_the_system_and_nothing_else() {
    let inside = ["crate::guard", "crate::sys"];
    let others: Vec<_> = naming(&host().join("guard"), &["crate::"])
        .into_iter()
        .filter(|fault| {
            let (file, line) = fault.rsplit_once(": ").map_or(("", ""), |(place, _)| {
                place.rsplit_once(':').unwrap_or(("", ""))
            });
            let text = fs::read_to_string(file).expect("text");
            let number: usize = line.parse().expect("a number");
            let line = text.lines().nth(number - 1).unwrap_or_default();
            !inside.iter().any(|name| line.contains(name))
        })
        .collect();
    assert_eq!(others, [""; 0]);
}
