//! The benchmark runs, with few rows and little time, and prints what its README says.

mod shared;

use host_testing::{plugins, python::Python, run, skipped};
use serde_json::Value;
use shared::{DEADLINE, cells, dora};
use std::process::Command;

/// What it prints for these rows.
fn printed(args: &[&str]) -> String {
    let nodes = plugins::plugin("stopwatch");
    let nodes = nodes.parent().expect("it is in a folder");
    let mut benchmark = Command::new(env!("CARGO_BIN_EXE_benchmark"));
    benchmark.args(["--quick", "--dora"]).arg(dora());
    benchmark.arg("--nodes").arg(nodes).args(args);
    run(&mut benchmark, DEADLINE).success()
}

#[test]
fn a_table_has_a_row_for_each_way_and_its_floors() {
    let table = printed(&["8 B", "same thread,own threads,daemon to host,two daemons"]);
    let mut lines = table.lines();
    let head: Vec<_> = cells(lines.next().expect("a head"));
    assert_eq!(
        (head[0], head[2], head[11]),
        ("size", "p50 us", "lost"),
        "{table}"
    );
    let rows: Vec<_> = lines.skip(1).map(cells).collect();
    let ways: Vec<_> = rows.iter().map(|row| row[1]).collect();
    let socket = if cfg!(windows) {
        "floor: pipe"
    } else {
        "floor: Unix socket"
    };
    let expected = [
        "floor: futex wake",
        socket,
        "floor: zenoh TCP",
        "floor: zenoh TCP, drop",
        "same thread",
        "own threads",
        "daemon to host process",
        "two daemons",
        "two daemons, drop_oldest",
    ];
    assert_eq!(ways, expected, "{table}");
    for row in &rows {
        let mut columns = vec![2, 3, 4, 5];
        let is_floor = row[1].starts_with("floor");
        let is_alone = row[1] == "same thread";
        columns.extend((!is_floor).then_some(6));
        columns.extend((!is_alone).then_some(7));
        columns.extend((!is_floor && !is_alone).then_some(9));
        for column in columns {
            let number = row[column].replace(',', "").parse();
            assert!(
                number.is_ok_and(|number: f64| number > 0.0),
                "{column}: {row:?}: {table}"
            );
        }
        assert!(row[1].contains("drop") || row[11] == "0", "{table}");
    }
}

#[test]
fn json_has_the_figures_of_all_sides() {
    let mut ways = vec![
        "thread: sender",
        "daemon to executable",
        "daemon to executable, in place",
    ];
    match Python::with_dora("1.1.0") {
        Ok(_) => ways.extend(["daemon to Python", "Python to daemon"]),
        Err(why) => skipped(&format!("no PyPI: {why}")),
    }
    let words = "sender,to executable,daemon to python,python to daemon";
    let json: Value = serde_json::from_str(&printed(&["--json", "40 KiB", words])).expect("JSON");
    let rows = json["rows"].as_array().expect("rows");
    for way in ways {
        let mut found = rows.iter().filter(|row| row["way"] == way);
        let row = found.next().unwrap_or_else(|| panic!("no {way}: {json:#}"));
        assert_eq!(
            (found.count(), &row["size_bytes"]),
            (0, &Value::from(40_960)),
            "{json:#}"
        );
        let is_positive = |figure: &Value| figure.as_f64().is_some_and(|figure| figure > 0.0);
        for percentile in ["p50", "p90", "p99", "p99_9", "messages"] {
            assert!(
                is_positive(&row["latency_us"][percentile]),
                "{way}, {percentile}: {json:#}"
            );
        }
        for figure in [
            "messages_per_second",
            "bytes_per_second",
            "p50_to_floor",
            "rate_to_floor",
        ] {
            assert!(is_positive(&row[figure]), "{way}, {figure}: {json:#}");
        }
        // Where few messages go, as on a busy machine, they may take less than starts differ by.
        let cpu = &row["cpu_us_per_message"];
        assert!(is_positive(cpu) || cpu.is_null(), "{way}: {json:#}");
        for load in ["paced", "fast"] {
            assert!(is_positive(&row[load]["sent"]), "{way}, {load}: {json:#}");
            assert_eq!(row[load]["lost"], 0, "{way}, {load}: {json:#}");
        }
    }
}

#[test]
fn rows_are_listed_and_what_is_none_is_refused() {
    let benchmark = |args: &[&str]| {
        let mut benchmark = Command::new(env!("CARGO_BIN_EXE_benchmark"));
        run(benchmark.args(args), DEADLINE)
    };
    let listed = benchmark(&["--list", "4 MiB", "in place"]).success();
    assert!(
        listed
            .lines()
            .any(|row| row == "4 MiB, host process to daemon, in place"),
        "{listed}"
    );
    assert!(
        listed.lines().all(|row| row.starts_with("4 MiB, ")),
        "{listed}"
    );
    let refused = benchmark(&["own thraeds"]);
    assert!(
        refused.stderr.contains("no row has all of these words"),
        "{refused}"
    );
    assert!(
        refused.status.is_some_and(|status| !status.success()),
        "{refused}"
    );
}
