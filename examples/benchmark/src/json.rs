//! The same as JSON, for programs.
//!
//! Absent: what the figures are made of.

use crate::row::{Row, floor_of};
use serde_json::{Value, json};

/// All rows, and what they were measured on.
pub fn text(rows: &[Row], rounds: usize) -> Value {
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "rounds": rounds,
        "rows": rows.iter().map(|row| object(row, floor_of(row, rows))).collect::<Vec<_>>(),
    })
}

fn object(row: &Row, floor: Option<&Row>) -> Value {
    let figures = row.figures();
    let latency = figures.latency.map(|[p50, p90, p99, p999]| {
        json!({"p50": p50, "p90": p90, "p99": p99, "p99_9": p999, "messages": figures.timed})
    });
    let losses = |[sent, lost]: [u64; 2]| json!({"sent": sent, "lost": lost});
    json!({
        "size_bytes": row.size.bytes,
        "way": row.way.to_string(),
        "latency_us": latency,
        "messages_per_second": figures.messages_per_second,
        "bytes_per_second": figures.bytes_per_second,
        "cpu_us_per_message": figures.cpu,
        "paced": losses(figures.paced),
        "fast": losses(figures.flood),
        "floor": floor.map(|floor| floor.way.to_string()),
        "p50_to_floor": floor.and_then(|floor| row.slower_than(floor)),
        "rate_to_floor": floor.and_then(|floor| row.faster_than(floor)),
    })
}
