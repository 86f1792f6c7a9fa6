//! `dora list`.

use super::{ended, reach, time};
use crate::table::Table;
use host::control::{DataflowSummary, Ended, NodeEnd, Phase, Reach};
use serde_json::{Value, json};
use std::time::SystemTime;

/// A row per dataflow.
pub fn table(dataflows: &[DataflowSummary], now: SystemTime) -> String {
    let mut table = Table::new([
        "uuid", "name", "status", "nodes", "machines", "started", "took",
    ]);
    for dataflow in dataflows {
        table.push([
            dataflow.dataflow.to_string(),
            dataflow.name.clone().unwrap_or_default(),
            status(dataflow).to_owned(),
            nodes(dataflow),
            machines(dataflow),
            format!("{} ago", time::since(time::started(dataflow.dataflow), now)),
            dataflow
                .ended
                .as_ref()
                .map_or_else(String::new, |ended| time::span(ended.took)),
        ]);
    }
    table.text("")
}

/// An object per dataflow.
pub fn json(dataflows: &[DataflowSummary]) -> Value {
    dataflows.iter().map(object).collect()
}

fn object(dataflow: &DataflowSummary) -> Value {
    let machines: serde_json::Map<String, Value> = dataflow
        .machines
        .iter()
        .map(|(machine, heard)| (machine.to_string(), reach(*heard).into()))
        .collect();
    json!({
        "uuid": dataflow.dataflow,
        "name": dataflow.name,
        "status": status(dataflow),
        "nodes": dataflow.nodes,
        "running": dataflow.running,
        "failed": dataflow.failed,
        "machines": machines,
        "started": time::rfc3339(time::started(dataflow.dataflow)),
        "ended": dataflow.ended.as_ref().map(ended::json),
    })
}

/// The phase, or how it ended.
fn status(dataflow: &DataflowSummary) -> &'static str {
    match (&dataflow.ended, dataflow.phase) {
        (Some(ended), _) => outcome(ended),
        (None, Phase::Preparing) => "preparing",
        (None, Phase::Spawning) => "spawning",
        (None, Phase::Starting) => "starting",
        (None, Phase::Running) => "running",
        (None, Phase::Recovering) => "recovering",
        (None, Phase::Stopping) => "stopping",
        (None, Phase::Ended) => "ended",
    }
}

/// How it ended, in a word or two.
pub fn outcome(ended: &Ended) -> &'static str {
    match ended {
        Ended { error: Some(_), .. } => "not started",
        ended if ended.is_failure() => "failed",
        Ended { stopped: true, .. } => "stopped",
        // Nobody has asked for it, but a daemon was told to end.
        ended if ended.rows.iter().any(|row| row.end == NodeEnd::Stopped) => "stopped",
        _ => "finished",
    }
}

/// `3`, `2 of 3` when not all run, `2 of 3, 1 failed`.
fn nodes(dataflow: &DataflowSummary) -> String {
    let all = dataflow.nodes;
    let failed = match dataflow.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    match dataflow.ended.is_some() || dataflow.running == all {
        true => format!("{all}{failed}"),
        false => format!("{} of {all}{failed}", dataflow.running),
    }
}

fn machines(dataflow: &DataflowSummary) -> String {
    let machines = dataflow
        .machines
        .iter()
        .map(|(machine, heard)| match heard {
            Reach::Connected => machine.to_string(),
            other => format!("{machine} ({})", reach(*other)),
        });
    machines.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_row_says_what_runs_where_and_how_it_ended() {
        let dataflows = samples::dataflows();
        let now = time::started(samples::id(0)) + Duration::from_secs(125);
        let expected = "\
uuid                                  name    status   nodes             machines     started      took
019a0000-0000-7000-8000-000000000000          failed   3, 1 failed       A, B         2 m 5 s ago  1.5 s
019a0000-0000-7000-8000-000000000001  camera  running  2 of 3, 1 failed  A, B (lost)  2 m 5 s ago
";
        assert_eq!(table(&dataflows, now), expected);
    }

    #[test]
    fn the_json_has_stable_names() {
        let value = json(&samples::dataflows());
        let running = value.get(1).unwrap();
        let expected = r#"{"uuid":"019a0000-0000-7000-8000-000000000001","name":"camera","status":"running","nodes":3,"running":2,"failed":1,"machines":{"A":"connected","B":"lost"},"started":"2025-10-20T05:03:11.360Z","ended":null}"#;
        assert_eq!(running.to_string(), expected);
        let ended = value.pointer("/0/ended").unwrap();
        assert_eq!(ended.get("outcome").unwrap(), "failed");
    }

    #[test]
    fn outcomes_have_words() {
        let mut ended = samples::ended();
        assert_eq!(outcome(&ended), "failed");
        ended.rows.retain(|row| !row.end.is_failure());
        // Its daemon was told to end.
        assert_eq!(outcome(&ended), "stopped");
        ended.rows.retain(|row| row.end == NodeEnd::Finished);
        assert_eq!(outcome(&ended), "finished");
        ended.stopped = true;
        assert_eq!(outcome(&ended), "stopped");
        ended.error = Some(host::control::StartError::Stopped);
        assert_eq!(outcome(&ended), "not started");
    }
}
