//! The commands that show what size and start cost, with few nodes and little time: whether they work.
//!
//! Absent: judging figures; a machine that is busy with other tests has none.

mod shared;

use host_testing::{fresh_dir, plugins, run};
use std::path::Path;
use std::process::Command;

/// What it prints, run with what tests build.
fn printed(args: &[&str]) -> String {
    let built = ["stopwatch", "random", "status", "sink"].map(plugins::plugin);
    let nodes = built[0].parent().expect("it is in a folder");
    let mut benchmark = Command::new(env!("CARGO_BIN_EXE_benchmark"));
    benchmark
        .args(args)
        .args(["--quick", "--dora"])
        .arg(shared::dora());
    run(benchmark.arg("--nodes").arg(nodes), shared::DEADLINE).success()
}

/// The tables in a text: rows without their heads, each of its cells.
fn tables(text: &str) -> Vec<Vec<Vec<&str>>> {
    let mut tables: Vec<Vec<Vec<&str>>> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        match line.starts_with("| ---") {
            true => tables.push(Vec::new()),
            false => tables
                .last_mut()
                .into_iter()
                .for_each(|table| table.push(shared::cells(line))),
        }
    }
    // The head of a table comes before its line, and so with the rows of the one before.
    let last = tables.len().saturating_sub(1);
    for table in tables.iter_mut().take(last) {
        table.pop();
    }
    tables
}

fn number(cell: &str) -> Option<f64> {
    let digits = cell.split(' ').next()?.replace(',', "");
    digits.parse().ok().filter(|number: &f64| *number > 0.0)
}

#[test]
fn scale_shows_nodes_and_readers_and_draws_them() {
    let folder = fresh_dir();
    let text = printed(&["scale", "--out", &folder.path().display().to_string()]);
    let [nodes, readers] = &tables(&text)[..] else {
        panic!("no two tables: {text}");
    };
    let counts = |table: &[Vec<&str>]| table.iter().map(|row| number(row[0])).collect::<Vec<_>>();
    assert_eq!(
        counts(nodes),
        [1, 2, 5, 10].map(|count| Some(f64::from(count))),
        "{text}"
    );
    assert_eq!(
        counts(readers),
        [1, 2, 5].map(|count| Some(f64::from(count))),
        "{text}"
    );
    // One node alone sends to nobody; and only Linux tells of memory, and of next to no time on a processor.
    let of_pairs = nodes.iter().skip(1).flat_map(|row| &row[4..]);
    let of_readers = readers.iter().flat_map(|row| &row[1..5]);
    for cell in of_pairs
        .chain(of_readers)
        .chain(nodes.iter().map(|row| &row[1]))
    {
        assert!(number(cell).is_some(), "{cell}: {text}");
    }
    if cfg!(target_os = "linux") {
        let memory = nodes
            .iter()
            .map(|row| row[2])
            .chain(readers.iter().map(|row| row[5]));
        assert!(memory.clone().all(|cell| number(cell).is_some()), "{text}");
    }
    for of in ["nodes", "readers"] {
        for what in ["latency", "throughput", "memory"] {
            let file = folder.path().join(format!("{of}-{what}.svg"));
            well_formed(&std::fs::read_to_string(&file).expect("a plot"), &file);
        }
    }
}

/// Every element ends, in the order in which they began, and no text has a character that stands for one.
fn well_formed(svg: &str, file: &Path) {
    let mut open = Vec::new();
    let mut drawn = 0;
    let mut rest = svg.trim();
    while let Some((text, after)) = rest.split_once('<') {
        let plain = text
            .replace("&lt;", "")
            .replace("&gt;", "")
            .replace("&amp;", "");
        assert!(!plain.contains(['&', '>']), "{}: {text}", file.display());
        let (tag, after) = after.split_once('>').expect("a tag ends");
        match (tag.strip_prefix('/'), tag.ends_with('/')) {
            (Some(name), _) => assert_eq!(open.pop(), Some(name), "{}", file.display()),
            (None, true) => drawn += usize::from(tag.starts_with("circle")),
            (None, false) => open.push(tag.split(' ').next().expect("a name")),
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{}: {tag}", file.display());
        rest = after;
    }
    assert!(
        open.is_empty() && rest.is_empty() && drawn > 0,
        "{}: {svg}",
        file.display()
    );
}

#[test]
fn startup_shows_each_way_to_start() {
    let text = printed(&["startup"]);
    let [rows] = &tables(&text)[..] else {
        panic!("no table: {text}");
    };
    let expected = [
        "`dora run`",
        "`dora start`",
        "plugin of 10 MB",
        "plugin of 10 MB",
        "plugin of 10 MB",
        "50 plugin nodes",
    ];
    for (row, expected) in rows.iter().zip(expected) {
        assert!(row[0].starts_with(expected), "{expected}: {text}");
        assert!(
            number(row[1]).is_some() && number(row[2]) >= number(row[1]),
            "{text}"
        );
    }
    assert_eq!(rows.len(), expected.len() + 2, "{text}");
}
