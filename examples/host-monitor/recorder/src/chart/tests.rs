//! Pages are well-formed, whole and say what they were given.

use super::{escape, page};
use crate::history::History;
use arrow_array::{ArrayRef, Float64Array, StructArray, UInt64Array};
use arrow_schema::DataType;
use host_readings::{Statistic, field};
use std::sync::Arc;

const SECOND: i64 = 1_000_000_000;

fn sample(load: Option<f64>, sent: u64) -> StructArray {
    let fields = vec![
        field("cpu_total", DataType::Float64, "%", false),
        field("cpu_max", DataType::Float64, "%", false),
        field("sent", DataType::UInt64, "B", true),
        field("heat", DataType::Float64, "°C", false),
    ];
    let load: ArrayRef = Arc::new(Float64Array::from(vec![load]));
    let columns: Vec<ArrayRef> = vec![
        load.clone(),
        load,
        Arc::new(UInt64Array::from(vec![sent])),
        Arc::new(Float64Array::from(vec![None])),
    ];
    StructArray::new(fields.into(), columns, None)
}

fn statistic(column: &str, mean: f64, rate: f64) -> Statistic {
    Statistic {
        column: column.into(),
        samples: 2,
        mean: Some(mean),
        rate: Some(rate),
        p95: Some(mean),
    }
}

fn history() -> History {
    let mut history = History::default();
    for (at, load) in [Some(10.0), Some(30.0), None, Some(20.0)]
        .into_iter()
        .enumerate()
    {
        history.add_sample(at as i64 * SECOND, &sample(load, at as u64 * 2048));
    }
    let statistics = vec![
        statistic("cpu_total", 20.0, 1.5),
        statistic("sent", 9.0, 2048.0),
    ];
    history.add_statistics(4 * SECOND, statistics);
    history
}

/// What is wrong with a page: a link, a script, or a tag that stays open.
fn fault(page: &str) -> Option<String> {
    let lower = page
        .to_lowercase()
        .replace("http://www.w3.org/2000/svg", "");
    for link in [
        "http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link",
    ] {
        if lower.contains(link) {
            return Some(format!("it has {link}"));
        }
    }
    for tag in [
        "html", "head", "body", "main", "style", "section", "svg", "table", "div", "h1", "text",
    ] {
        let opened =
            lower.matches(&format!("<{tag}>")).count() + lower.matches(&format!("<{tag} ")).count();
        if opened != lower.matches(&format!("</{tag}>")).count() {
            return Some(format!("<{tag}> and </{tag}> differ in number"));
        }
    }
    ["NaN", "inf "]
        .iter()
        .find(|bad| page.contains(**bad))
        .map(|bad| format!("it has {bad}"))
}

#[test]
fn a_page_is_whole_and_asks_for_nothing() {
    for history in [History::default(), history()] {
        assert_eq!(fault(&page(&history)), None);
    }
    assert!(page(&History::default()).contains("No samples yet"));
    assert!(page(&history()).contains("prefers-color-scheme: dark"));
}

#[test]
fn a_page_says_numbers_units_and_time() {
    let page = page(&history()).replace('\u{a0}', " ");
    for text in [
        "4 samples in 4 s, from 1970-01-01 00:00:00 UTC",
        "<h2>cpu, %</h2>",
        "<h2>sent, B per second</h2>",
        "cpu_total<td>10 %<td>20 %<td>30 %<td>20 %<td>20 %<td>20 %<td>1.50 %/s",
        "cpu_max<td>10 %<td>20 %<td>30 %<td>20 %<td>–<td>–<td>–",
        "sent<td>2 KiB/s<td>2 KiB/s<td>2 KiB/s<td>2 KiB/s<td>–<td>–<td>2 KiB/s",
        "Without any value on this machine: heat.",
        "cpu, %: from 10 % to 30 %",
    ] {
        assert!(page.contains(text), "no \"{text}\" in {page}");
    }
    assert_eq!(page.matches("<svg ").count(), 2);
}

#[test]
fn a_gap_in_the_samples_is_a_gap_in_the_line() {
    let page = page(&history());
    let line = page
        .split("<path class=\"line\"")
        .nth(1)
        .unwrap_or_default();
    let data = line
        .split(" d=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    // Left edge at 84, 175 a second; 0 to 30 % over 200 from the bottom at 212.
    assert_eq!(data, Some("M84.0 145.3L259.0 12.0M609.0 78.7h0"));
}

#[test]
fn without_statistics_a_counter_is_drawn_as_it_is() {
    let mut history = History::default();
    history.add_sample(0, &sample(None, 2048));
    let page = page(&history).replace('\u{a0}', " ");
    assert!(
        page.contains("<h2>sent, B</h2>") && page.contains("2 KiB"),
        "{page}"
    );
    assert_eq!(fault(&page), None);
}

#[test]
fn texts_from_outside_are_escaped() {
    assert_eq!(
        escape("<a href='x'>&\"b"),
        "&lt;a href=&#39;x&#39;&gt;&amp;&quot;b"
    );
    let fields = vec![field("<script>", DataType::Float64, "<b>", false)];
    let columns: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(vec![1.0]))];
    let mut history = History {
        host: Some("<script>".into()),
        ..History::default()
    };
    history.add_sample(0, &StructArray::new(fields.into(), columns, None));
    let page = page(&history);
    assert_eq!(fault(&page), None);
    assert!(
        page.contains("&lt;script&gt;") && !page.contains("<b>"),
        "{page}"
    );
}

#[test]
fn extreme_numbers_do_not_break_a_page() {
    let mut history = History::default();
    for load in [f64::MIN, f64::MAX, 0.0] {
        history.add_sample(0, &sample(Some(load), u64::MAX));
    }
    assert_eq!(fault(&page(&history)), None);
}
