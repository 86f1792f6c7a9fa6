//! The report of a crash that has taken this process's predecessor along, or the child of this guard.
//!
//! Invariant: what the dead process has left is not believed: it is decoded with checks, and bounded. Absent: who dies
//! (`guard`), and where the report goes.

use crate::engine::LastMessage;
use crate::guard::Death;
use crate::logs::CrashReport;
use plugin_abi::meta::{HEADER, Timestamp};
use std::path::Path;
use std::time::SystemTime;

/// What is known, if it is known which node it was.
pub fn report_of(death: &Death) -> Option<CrashReport> {
    let crash = death.crash.as_ref()?;
    let (node, how) = death.of_node()?;
    let message = crash.message.as_ref().map(|message| {
        let sent = Timestamp::from_bytes(&message.meta);
        let parameters = message.meta.get(HEADER..).unwrap_or_default();
        let input = crash.input().unwrap_or("?");
        LastMessage::of_meta(input, message.values, sent, parameters)
    });
    Some(CrashReport {
        dataflow: crash.dataflow.parse().ok()?,
        node: node.to_owned(),
        machine: None,
        time: SystemTime::now(),
        how,
        code: crash.code.join("\n"),
        message: message.map(|message| message.to_string()),
        trace: crash.report.clone(),
    })
}

/// A text, with where there is more to read.
pub fn pointing(text: &str, path: Option<&Path>) -> String {
    match path {
        Some(path) => format!("{text}: see {}", path.display()),
        None => text.to_owned(),
    }
}
