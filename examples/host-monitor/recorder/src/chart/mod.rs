//! The chart: one HTML page with everything in it, drawn from a [`History`].
//!
//! Columns of one unit whose names start with the same word share a panel. Invariant: the page asks for nothing from
//! a network, and texts from outside are escaped. Absent: scripts.

mod plot;
mod scale;

use crate::history::{History, Series, Track};
use scale::{duration, quantity};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// Colours that the style has.
const COLOURS: usize = 6;

/// One line of a panel.
struct Line<'a> {
    track: &'a Track,
    /// What is drawn: the values, or their rates.
    series: &'a Series,
    /// The rolling means, when the values are drawn.
    means: Option<&'a Series>,
}

/// Lines with one axis.
struct Panel<'a> {
    name: &'a str,
    unit: String,
    lines: Vec<Line<'a>>,
}

/// The page.
pub fn page(history: &History) -> String {
    let mut body = head(history);
    let (panels, silent) = panels(history);
    for panel in &panels {
        body += &section(panel, history.span.unwrap_or_default());
    }
    if !silent.is_empty() {
        let names = escape(&silent.join(", "));
        body += &format!("<p>Without any value on this machine: {names}.</p>\n");
    }
    if !panels.is_empty() {
        body += "<footer>Solid: the samples, or their rate where it says \"per second\". Shaded: from the lowest to \
            the highest where several samples share a place. Dotted: the rolling mean. Rolling mean, p95 and rate \
            are those of the last statistics that came.</footer>\n";
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
        <title>Host monitor</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn head(history: &History) -> String {
    let host = history.host.as_deref().map(escape).unwrap_or_default();
    let title = if host.is_empty() {
        host
    } else {
        format!(": {host}")
    };
    let what = match history.span.filter(|_| history.samples > 0) {
        Some((from, to)) => format!(
            "{} samples in {}, from {} UTC",
            history.samples,
            duration(to.abs_diff(from) as f64 / 1e9),
            moment(from)
        ),
        None => "No samples yet; this page is written anew when the dataflow ends.".to_owned(),
    };
    format!("<h1>Host monitor{title}</h1>\n<p>{what}</p>\n")
}

fn moment(nanoseconds: i64) -> String {
    let seconds = nanoseconds.div_euclid(1_000_000_000);
    arrow_array::temporal_conversions::timestamp_s_to_datetime(seconds)
        .map_or_else(|| format!("second {seconds}"), |time| time.to_string())
}

/// The panels, and the names of columns that have nothing to draw.
fn panels(history: &History) -> (Vec<Panel<'_>>, Vec<&str>) {
    let mut panels: Vec<Panel<'_>> = Vec::new();
    let mut silent = Vec::new();
    for track in &history.tracks {
        let rated = track.counter && track.rates.summary().is_some();
        let (series, unit) = if rated {
            (&track.rates, format!("{}/s", track.unit))
        } else {
            (&track.values, track.unit.clone())
        };
        if series.summary().is_none() {
            silent.push(track.name.as_str());
            continue;
        }
        let line = Line {
            track,
            series,
            means: (!track.counter).then_some(&track.means),
        };
        let name = track.name.split('_').next().unwrap_or(&track.name);
        match panels.iter_mut().find(|p| p.name == name && p.unit == unit) {
            Some(panel) => panel.lines.push(line),
            None => panels.push(Panel {
                name,
                unit,
                lines: vec![line],
            }),
        }
    }
    (panels, silent)
}

fn section(panel: &Panel<'_>, span: (i64, i64)) -> String {
    let name = escape(panel.name);
    let unit = match panel.unit.strip_suffix("/s") {
        Some(unit) => format!("{} per second", escape(unit)),
        None => escape(&panel.unit),
    };
    let heading = if unit.is_empty() {
        name
    } else {
        format!("{name}, {unit}")
    };
    let plot = plot::svg(panel, span, &heading);
    let table = table(panel);
    format!(
        "<section>\n<h2>{heading}</h2>\n<div class=\"wide\">{plot}</div>\n<div class=\"wide\">{table}</div>\n</section>\n"
    )
}

/// Lowest, mean, highest and last of what is drawn, then the last statistics.
fn table(panel: &Panel<'_>) -> String {
    let statistics = panel.lines.iter().any(|line| line.track.last.is_some());
    let mut out = "<table><tr><th>column<th>min<th>mean<th>max<th>last".to_owned();
    if statistics {
        out += "<th>rolling mean<th>p95<th>rate";
    }
    for (at, line) in panel.lines.iter().enumerate() {
        let cell = |value: Option<f64>, unit: &str| match value {
            Some(value) => escape(&quantity(value, unit)),
            None => "–".to_owned(),
        };
        let (unit, own) = (panel.unit.as_str(), line.track.unit.as_str());
        let all = line.series.summary();
        let values = [
            cell(all.map(|all| all.min), unit),
            cell(all.and_then(|all| all.mean()), unit),
            cell(all.map(|all| all.max), unit),
            cell(line.series.last(), unit),
        ];
        let name = escape(&line.track.name);
        let colour = at % COLOURS;
        let key = format!("<span class=\"key\" style=\"background:var(--c{colour})\"></span>");
        let _ = write!(out, "\n<tr><td>{key}{name}<td>{}", values.join("<td>"));
        if statistics {
            let last = line.track.last.as_ref();
            // Mean and percentile of a counter say nothing.
            let level = last.filter(|_| !line.track.counter);
            let values = [
                cell(level.and_then(|one| one.mean), own),
                cell(level.and_then(|one| one.p95), own),
                cell(last.and_then(|one| one.rate), &format!("{own}/s")),
            ];
            let _ = write!(out, "<td>{}", values.join("<td>"));
        }
    }
    out + "\n</table>"
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
