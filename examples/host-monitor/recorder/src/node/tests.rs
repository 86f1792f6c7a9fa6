//! What goes in is what is in the file, however the node ends.

use super::Recorder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{ArrayRef, Float64Array, StructArray, UInt64Array};
use arrow_ipc::reader::FileReader;
use arrow_schema::DataType;
use host_readings::{Statistic, field, to_array};
use plugin_abi::prelude::*;
use plugin_abi::testing::Harness;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Time, sequence, load and bytes of one sample.
type Row = (i64, Option<i64>, Option<f64>, Option<u64>);

struct Run {
    node: Harness<Recorder>,
    folder: tempfile::TempDir,
    fed: Vec<Row>,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = serde_json::json!({
            "file": folder.path().join("out/run.arrow"),
            "chart": folder.path().join("out/run.html"),
        });
        let node = Harness::new(&config.to_string()).expect("it starts");
        let fed = Vec::new();
        Self { node, folder, fed }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    /// Feeds that many samples, with a null now and then.
    fn feed(&mut self, count: i64) {
        for at in 0..count {
            self.node.advance(Duration::from_millis(250)).expect("time");
            let load = (at % 4 > 0).then_some(at as f64 / 3.0);
            let bytes = (at % 3 > 0).then_some((1 << 60) + at as u64);
            let parameters = Parameters::new().with("sequence", at).with("host", "here");
            let flow = self
                .node
                .input_with("sample", sample(load, bytes), &parameters);
            assert_eq!(flow, Ok(Flow::Continue));
            let quarter = 250_000_000;
            self.fed.push(((at + 1) * quarter, Some(at), load, bytes));
        }
    }

    fn page(&self) -> String {
        std::fs::read_to_string(self.path("run.html")).expect("a chart")
    }
}

fn sample(load: Option<f64>, bytes: Option<u64>) -> ArrayRef {
    let fields = vec![
        field("load", DataType::Float64, "%", false),
        field("bytes", DataType::UInt64, "B", true),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![load])),
        Arc::new(UInt64Array::from(vec![bytes])),
    ];
    Arc::new(StructArray::new(fields.into(), columns, None))
}

/// What the file holds.
fn recorded(run: &Run) -> Vec<Row> {
    let file = File::open(run.path("run.arrow")).expect("a file");
    let mut rows = Vec::new();
    for batch in FileReader::try_new(file, None).expect("a whole file") {
        let batch = batch.expect("a batch");
        let times = batch["time"].as_primitive::<TimestampNanosecondType>();
        let sequences = batch["sequence"].as_primitive::<Int64Type>();
        let loads = batch["load"].as_primitive::<Float64Type>();
        let bytes = batch["bytes"].as_primitive::<UInt64Type>();
        let columns = times.values().iter().zip(sequences).zip(loads).zip(bytes);
        rows.extend(
            columns.map(|(((time, sequence), load), bytes)| (*time, sequence, load, bytes)),
        );
    }
    rows
}

#[test]
fn the_file_equals_the_samples_when_the_inputs_close() {
    let mut run = Run::new();
    run.feed(120);
    assert_eq!(run.node.close("sample"), Ok(Flow::Continue));
    assert_eq!(run.node.close("statistics"), Ok(Flow::Done));
    assert_eq!(recorded(&run), run.fed);
    let page = run.page();
    assert!(page.contains("Host monitor: here") && page.contains("120 samples in 29.8 s"));
}

#[test]
fn the_file_is_readable_when_a_stop_is_requested() {
    for count in [0, 1, 51] {
        let mut run = Run::new();
        run.feed(count);
        assert_eq!(run.node.stop(Stop::Requested), Ok(Flow::Done));
        assert_eq!(recorded(&run), run.fed, "{count}");
    }
}

#[test]
fn the_file_is_readable_when_the_node_fails() {
    let mut run = Run::new();
    run.feed(3);
    let error = run.node.input("sample", 1_u64).expect_err("no struct");
    assert_eq!(error.text, "expected a struct, got UInt64");
    let statistics: ArrayRef = sample(None, None);
    let error = run
        .node
        .input("statistics", statistics)
        .expect_err("others");
    assert!(
        error.text.starts_with("expected Struct<column: Utf8"),
        "{error}"
    );
    let Run { node, folder, fed } = run;
    drop(node);
    let run = Run {
        node: Run::new().node,
        folder,
        fed,
    };
    assert_eq!(recorded(&run), run.fed);
    assert!(run.page().contains("3 samples"));
}

#[test]
fn statistics_are_drawn_and_not_recorded() {
    let mut run = Run::new();
    run.feed(2);
    let statistic = Statistic {
        column: "bytes".into(),
        samples: 2,
        mean: Some(1.0),
        rate: Some(2048.0),
        p95: Some(1.0),
    };
    let rows = to_array(&[statistic]);
    let flow = run.node.input("statistics", &rows);
    assert_eq!(flow, Ok(Flow::Continue));
    assert_eq!(run.node.stop(Stop::Requested), Ok(Flow::Done));
    assert_eq!(recorded(&run), run.fed);
    let page = run.page().replace('\u{a0}', " ");
    assert!(page.contains("<h2>bytes, B per second</h2>"), "{page}");
    assert!(page.contains("2 KiB/s"), "{page}");
}

#[test]
fn a_chart_that_cannot_be_written_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = serde_json::json!({
        "file": folder.path().join("run.arrow"),
        "chart": folder.path(),
    });
    let error = Harness::<Recorder>::new(&config.to_string()).expect_err("a folder");
    assert!(error.text.starts_with("cannot make "), "{error}");
}
