//! Commands that ask once and show the answer: `dora list`, `node list`, `status`, `topic list`, `clean`.

use super::client;
use crate::args::{CleanArgs, ListArgs, NodeListArgs, StatusArgs, TopicListArgs};
use crate::terminal::say;
use crate::view;
use eyre::Result;
use host::control::Target;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

/// `dora list`.
pub fn dataflows(args: &ListArgs) -> Result<ExitCode> {
    let dataflows = client::with(&args.coordinator, async |client| Ok(client.list().await?))?;
    match args.json {
        true => json(&view::dataflows::json(&dataflows)),
        false if dataflows.is_empty() => nothing("no dataflow has run since the last `dora clean`"),
        false => text(&view::dataflows::table(&dataflows, SystemTime::now())),
    }
}

/// `dora node list`.
pub fn nodes(args: &NodeListArgs) -> Result<ExitCode> {
    let target = args.dataflow.as_deref().map(Target::parse);
    let nodes = client::with(&args.coordinator, async |client| {
        Ok(client.nodes(target).await?)
    })?;
    match args.json {
        true => json(&view::nodes::json(&nodes)),
        false if nodes.is_empty() => nothing("no dataflow runs"),
        false => text(&view::nodes::table(&nodes)),
    }
}

/// `dora topic list`.
pub fn topics(args: &TopicListArgs) -> Result<ExitCode> {
    let target = args.dataflow.as_deref().map(Target::parse);
    let topics = client::with(&args.coordinator, async |client| {
        Ok(client.topics(target).await?)
    })?;
    match args.json {
        true => json(&view::topics::json(&topics)),
        false if topics.is_empty() => nothing("no node that runs has outputs"),
        false => text(&view::topics::table(&topics)),
    }
}

/// `dora status`.
pub fn status(args: &StatusArgs) -> Result<ExitCode> {
    let (status, version) = client::with(&args.coordinator, async |client| {
        let version = client.coordinator().version.clone();
        Ok((client.status().await?, version))
    })?;
    let at = args.coordinator.address();
    match args.json {
        true => json(&view::status::json(&status, &at, &version)),
        false => text(&view::status::text(&status, &at, &version)),
    }
}

/// `dora clean`.
pub fn clean(args: &CleanArgs) -> Result<ExitCode> {
    let forgotten = client::with(&args.coordinator, async |client| Ok(client.clean().await?))?;
    let dataflows = if forgotten == 1 {
        "dataflow"
    } else {
        "dataflows"
    };
    text(&format!("forgot {forgotten} {dataflows}\n"))
}

fn json(value: &Value) -> Result<ExitCode> {
    text(&format!("{value:#}\n"))
}

fn text(text: &str) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Standard output stays empty for scripts.
fn nothing(words: &str) -> Result<ExitCode> {
    say!("{words}");
    Ok(ExitCode::SUCCESS)
}
