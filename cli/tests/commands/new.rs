//! `dora new`: what it makes builds, is tested and loads as it comes.

use super::{Place, assert_run};
use host_testing::{Run, repo_root, run, target_dir};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Dependencies may have to be compiled.
const COMPILING: Duration = Duration::from_secs(600);

/// The profile of the fixtures.
const PROFILE: [&str; 3] = [
    "profile.dev.debug = 'line-tables-only'",
    "profile.dev.package.'*'.opt-level = 1",
    "profile.dev.package.'*'.debug = false",
];

/// Cargo in the new crate, with the dependencies that the fixtures share and no network.
fn cargo(folder: &Path, command: &[&str]) -> Run {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(cargo);
    cargo
        .current_dir(folder)
        .args(command)
        .args(PROFILE.iter().flat_map(|setting| ["--config", setting]))
        .env("CARGO_TARGET_DIR", target_dir().join("fixtures"))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(&mut cargo, COMPILING)
}

#[test]
fn a_new_plugin_builds_passes_its_tests_and_loads() {
    let place = Place::new();
    let run = place.dora(&["new", "tried-out", "--kind", "plugin"]);
    let abi = repo_root().join("plugin-abi").display().to_string();
    let expected = format!(
        "\
made the plugin tried-out in tried-out: Cargo.toml, .gitignore, README.md, dataflow.yml, src/lib.rs, src/main.rs, src/node.rs
it depends on plugin-abi in {abi}

next:
  cd tried-out
  cargo test
  cargo build
  dora plugin check target/debug/tried-out
"
    );
    assert_run(&place, &run, 0, &expected, "");
    let folder = place.path().join("tried-out");
    // The versions that this repository was built with, so that nothing has to be downloaded.
    std::fs::copy(repo_root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
    let formatted = Command::new("cargo")
        .current_dir(&folder)
        .args(["fmt", "--check"])
        .status();
    assert!(formatted.expect("cargo").success(), "not formatted");
    let tested = cargo(&folder, &["test"]);
    assert!(!tested.stderr.contains("warning"), "{tested}");
    assert!(
        tested
            .success()
            .contains("test node::tests::counts_and_ends ... ok")
    );
    let built = cargo(&folder, &["build"]);
    assert!(!built.stderr.contains("warning"), "{built}");
    built.success();

    let built = target_dir().join("fixtures/debug");
    let stem = built.join("tried-out").display().to_string();
    let checked = place.dora(&["plugin", "check", &stem]).success();
    assert!(
        checked.ends_with(": ok (tried-out 0.1.0, 1 node kind)\n"),
        "{checked}"
    );
    let program = built.join(format!("tried-out-node{}", std::env::consts::EXE_SUFFIX));
    let told = host_testing::run(&mut Command::new(program), super::DEADLINE);
    assert!(
        told.stdout
            .starts_with("tried-out 0.1.0: a dora node as an executable\n"),
        "{told}"
    );
}

#[test]
fn nothing_is_overwritten_and_names_are_checked() {
    let place = Place::new();
    place
        .dora(&[
            "new",
            "x",
            "--kind",
            "plugin",
            "--path",
            "a b",
            "--plugin-abi",
            "0.7",
        ])
        .success();
    let again = place.dora(&["new", "x", "--kind", "plugin", "--path", "a b"]);
    assert!(
        again.stderr.starts_with("error: ") && again.stderr.contains("is not empty"),
        "{again}"
    );
    for (name, expected) in [
        (
            "match",
            "error: `match` is a keyword of Rust; use another name, such as `match-node`\n",
        ),
        ("My", "error: `My` has upper-case letters; use `my`\n"),
        (
            "../x",
            "error: `../x` contains '.'; lower-case letters, digits, `-` and `_` are possible\n",
        ),
    ] {
        let run = place.dora(&["new", name, "--kind", "plugin"]);
        assert_run(&place, &run, 1, "", expected);
    }
    let run = place.dora(&["new", "y", "--kind", "plugin", "--plugin-abi", "nowhere"]);
    let expected = "error: `nowhere` is neither a folder with the crate plugin-abi nor a version such as `0.7`\n";
    assert_run(&place, &run, 1, "", expected);
    assert!(!place.path().join("y").exists());
}
