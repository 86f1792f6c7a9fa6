//! Tells the crate which compiler and target it is built with: the handshake record names both.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let compiler = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "rustc".into(), |text| text.trim().to_owned());
    println!("cargo::rustc-env=PLUGIN_ABI_TARGET={target}");
    println!("cargo::rustc-env=PLUGIN_ABI_COMPILER={compiler}");
}
