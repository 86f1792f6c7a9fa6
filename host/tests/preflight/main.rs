//! The file check: every refusal with its exact text, on all three formats, and no crash whatever the bytes are.
//!
//! Plugins of this system are built; those of others are written byte by byte in `images`.

mod bytes;
mod cut;
mod files;
mod images;
mod linked;
mod mutated;
mod other_systems;
mod patched;
mod shapes;

use host::plugin::preflight::{FileReport, Isolation, Machine, PreflightError, check, read};
use host_testing::fixtures;
use std::sync::OnceLock;

/// A plugin that passes, of the system that the tests run on.
fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| file(&fixtures::path("good-plugin")))
}

fn file(path: &std::path::Path) -> Vec<u8> {
    match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Reads and checks for this machine and the daemon.
fn verdict(bytes: &[u8]) -> Result<FileReport, PreflightError> {
    let report = read(bytes)?;
    check(&report, &Machine::this(), Isolation::Shared)?;
    Ok(report)
}

/// What the user reads when the file is refused, or `ok`.
fn text(bytes: &[u8]) -> String {
    match verdict(bytes) {
        Ok(_) => "ok".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_good_plugin_passes_and_says_what_it_is() {
    let report = match verdict(good()) {
        Ok(report) => report,
        Err(error) => panic!("{error}"),
    };
    let json = serde_json::to_value(&report).unwrap_or_default();
    for (pointer, expected) in [
        ("/kind", "plugin"),
        ("/handshake/name", "good-plugin"),
        ("/handshake/version", "0.1.0"),
        ("/handshake/abi", "0.7"),
        ("/handshake/message_format", "0.7.0"),
        ("/handshake/language", "rust"),
        ("/handshake/target", plugin_abi::handshake::TARGET),
        ("/handshake/sdk", "plugin-abi 0.7.0"),
        ("/handshake/compiler", plugin_abi::handshake::COMPILER),
        ("/handshake/abi_stable", plugin_abi::handshake::ABI_STABLE),
        ("/arch", std::env::consts::ARCH),
    ] {
        let found = json.pointer(pointer).and_then(|value| value.as_str());
        assert_eq!(found, Some(expected), "{pointer} in {json:#}");
    }
    assert_eq!(json["handshake"]["unwind"], true);
    assert_eq!(json["handshake"]["debug"], true);
    assert_eq!(json["size"], good().len());
}
