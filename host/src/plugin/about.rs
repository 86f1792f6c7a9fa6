//! What a plugin's file says of itself, in lines for a report.
//!
//! Absent: whether it fits (`preflight`).

use super::preflight::{self, FileKind, Handshake};
use std::path::Path;

/// The file and its versions.
pub fn about(file: &Path, handshake: &Handshake) -> String {
    let mut text = format!("plugin: {}\n", file.display());
    if let Some(details) = &handshake.details {
        text.push_str(&format!(
            "plugin version: {} {}\nsdk: {}\ncompiler: {}\n",
            details.name, details.version, details.sdk, details.compiler
        ));
    }
    text.push_str(&format!(
        "abi: {}, message format {}\n",
        handshake.abi, handshake.message_format
    ));
    text
}

/// The same of a file as it is now, or of any other program.
pub fn about_file(file: &Path) -> String {
    let report = preflight::read_file(file).map(|report| report.kind);
    match report {
        Ok(FileKind::Plugin { handshake } | FileKind::NodeExecutable { handshake }) => {
            about(file, &handshake)
        }
        _ => format!("program: {}\n", file.display()),
    }
}
