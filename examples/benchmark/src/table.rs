//! The Markdown table.
//!
//! Absent: what the figures are made of.

use crate::figures::{short, size, thousands};
use crate::row::{Figures, Row, floor_of};

const HEAD: &str = "\
| size | way | p50 us | p90 us | p99 us | p99.9 us | p50 to floor | messages/s | GB/s | rate to floor | CPU us | lost |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// All rows.
pub fn text(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    for row in rows {
        text += &line(row, floor_of(row, rows));
    }
    text
}

fn line(row: &Row, floor: Option<&Row>) -> String {
    let figures = row.figures();
    let cell = |number: Option<f64>| number.map_or(String::new(), short);
    let latency = figures.latency.map(|of| of.map(short)).unwrap_or_default();
    let [p50, p90, p99, p999] = latency;
    let slower = cell(floor.and_then(|floor| row.slower_than(floor)));
    let faster = cell(floor.and_then(|floor| row.faster_than(floor)));
    let rate = figures.messages_per_second.map_or(String::new(), thousands);
    let bytes = cell(figures.bytes_per_second.map(|bytes| bytes / 1e9));
    format!(
        "| {} | {} | {p50} | {p90} | {p99} | {p999} | {slower} | {rate} | {bytes} | {faster} | {} | {} |\n",
        size(row.size.bytes),
        row.way,
        cell(figures.cpu),
        lost(&figures),
    )
}

/// At their pace, and as fast as they go.
fn lost(figures: &Figures) -> String {
    let share = |[sent, lost]: [u64; 2]| match lost {
        0 => "0".to_owned(),
        lost => format!("{:.1} %", 100.0 * lost as f64 / sent as f64),
    };
    match (figures.paced, figures.flood) {
        ([0, _], [0, _]) => "failed".to_owned(),
        ([_, 0], [_, 0]) => "0".to_owned(),
        (paced, flood) => format!("{}, {}", share(paced), share(flood)),
    }
}
