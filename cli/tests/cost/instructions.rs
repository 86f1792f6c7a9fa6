//! Instructions per message, counted by callgrind: a guard against what makes messages slower bit by bit and is too little
//! to be seen in times.
//!
//! `instructions.txt` has what was counted when it was last written, on x86_64, by the compiler that it names, in debug
//! builds: those are what tests build anyway, and no optimizer hides or makes a difference there. So a count says how much
//! more or less is done than before, not what a release takes. It may be a tenth higher, and three tenths where another
//! compiler has made other code. After a change that is worth what it costs, `UPDATE_GOLDEN=1 cargo test --package dora
//! --test cost instructions` writes the table anew; read the difference before you commit it.
//!
//! One message is on its way at a time, there and back, so that no chance decides who waits for whom and how many are
//! taken at once; and the link is counted without its engine, whose threads do what the clock says. The process is an
//! executable of ours, which speaks the wire of host processes: those valgrind cannot follow, as `dora` starts itself.

use super::Flow;
use host_testing::fixtures::{executable, path};
use host_testing::{fresh_dir, repo_root, run};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// All is some fifty times slower there.
const DEADLINE: Duration = Duration::from_secs(180);
/// How much a count may have grown: a tenth, and with another compiler three.
const GROWTH: [f64; 2] = [1.1, 1.3];
/// Messages of the shorter run. What begins and ends a dataflow differs from run to run by a million instructions or two, so
/// the longer one has so many more that this is little of what they take.
const FEW: u64 = 200;
/// What `dora` asks an executable before it starts it, which is no part of a message's way.
const NOT_COUNTED: &str = "--dora-describe";

/// What is counted: its name, how many more messages the longer run has, and what is run for so many.
type Case<'a> = (&'a str, u64, &'a (dyn Fn(u64, &Path) -> Command + Sync));

/// A message that goes to a relay and comes back, as often as is said.
fn there_and_back(count: u64, relay: &Path) -> String {
    let plugin = path("flow");
    let (plugin, relay) = (plugin.display(), relay.display());
    format!(
        "
nodes:
  - id: sender
    path: '{plugin}'
    kind: source
    config: {{count: {count}, in_create: 1, bytes: 64}}
    inputs: {{back: relay/out}}
  - id: relay
    path: '{relay}'
    kind: relay
    inputs: {{in: sender/out}}
"
    )
}

/// Runs a dataflow in a folder.
fn dora(folder: &Path, descriptor: &str) -> Command {
    std::fs::write(folder.join("dataflow.yml"), descriptor).expect("written");
    let mut command = counted(folder, Path::new(env!("CARGO_BIN_EXE_dora")));
    command.args(["run", "dataflow.yml"]);
    command.env("DORA_CACHE_DIR", folder.join("cache"));
    command
}

/// A program that is counted, with all that it starts.
fn counted(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command
        .current_dir(folder)
        .args(["--quiet", "--tool=callgrind", "--trace-children=yes"])
        .arg(format!("--trace-children-skip-by-arg={NOT_COUNTED}"))
        .arg(format!(
            "--callgrind-out-file={}/counts.%p",
            folder.display()
        ))
        .arg(program);
    command
}

/// All instructions of the processes that were counted in a folder.
fn instructions(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("a folder");
    let files = files.map(|file| file.expect("a file").path());
    let counts = files.filter(|file| {
        let name = file.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("counts."))
    });
    let counted = counts.map(|file| {
        let text = std::fs::read_to_string(&file).expect("read");
        let mut totals = text
            .lines()
            .filter_map(|line| line.strip_prefix("totals: "));
        let total = totals
            .next()
            .and_then(|total| total.trim().parse::<u64>().ok());
        total.unwrap_or_else(|| panic!("no total in {}", file.display()))
    });
    counted.sum()
}

/// Instructions per message.
fn per_message((name, more, command): &Case<'_>) -> f64 {
    let [few, many] = [FEW, FEW + more].map(|count| {
        let folder = fresh_dir();
        run(&mut command(count, folder.path()), DEADLINE).success();
        let all = instructions(folder.path());
        assert!(all > count, "{name}: nothing was counted");
        all
    });
    many.saturating_sub(few) as f64 / *more as f64
}

fn table() -> PathBuf {
    repo_root().join("cli/tests/cost/instructions.txt")
}

/// The compiler in the first words of a table, and its counts.
fn read(text: &str) -> (String, BTreeMap<String, f64>) {
    let mut lines = text.lines();
    let compiler = lines.next().unwrap_or_default().to_owned();
    let row = |line: &str| {
        let (count, name) = line.trim().split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    let rows = lines.map(|line| row(line).unwrap_or_else(|| panic!("no row: {line}")));
    (compiler, rows.collect())
}

fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = run(Command::new(rustc).arg("--version"), DEADLINE).success();
    let version = text
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ");
    format!("{version}, x86_64, debug")
}

#[test]
fn instructions_per_message_do_not_grow() {
    let cases: [Case<'_>; 4] = [
        (
            "plugin to plugin, own threads, there and back",
            2_500,
            &|count, folder| dora(folder, &there_and_back(count, &path("flow"))),
        ),
        (
            "plugin to plugin, thread: sender",
            10_000,
            &|count, folder| {
                let flow = Flow {
                    load: "bytes: 64",
                    queue: "queue_size: 10",
                    nodes: ["", "thread: sender"],
                };
                dora(folder, &flow.descriptor(count, &folder.join("received")))
            },
        ),
        ("plugin to a process and back", 1_500, &|count, folder| {
            dora(folder, &there_and_back(count, &executable("flow-node")))
        }),
        (
            "encoded and decoded for the link, 4096 bytes",
            4_000,
            &|count, folder| {
                let mut command = counted(folder, &executable("flow-encoding"));
                command.args([count.to_string(), "4096".into()]);
                command
            },
        ),
    ];
    let counts: BTreeMap<String, f64> = std::thread::scope(|scope| {
        let one = |case| scope.spawn(move || per_message(case));
        // Two at a time: more than a small machine has cores for would only wait.
        let counted = cases.chunks(2).flat_map(|cases| {
            let running: Vec<_> = cases.iter().map(one).collect();
            running
                .into_iter()
                .map(|it| it.join().expect("counted"))
                .collect::<Vec<_>>()
        });
        cases
            .iter()
            .map(|(name, ..)| (*name).to_owned())
            .zip(counted)
            .collect()
    });
    let mut text = format!("{}\n", compiler());
    for (name, count) in &counts {
        writeln!(text, "{count:8.0} {name}").expect("a text");
    }
    println!("{text}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(table(), text).expect("written");
        return;
    }
    compare(
        &std::fs::read_to_string(table()).expect("the table"),
        &counts,
    );
}

fn compare(expected: &str, counts: &BTreeMap<String, f64>) {
    let (with, expected) = read(expected);
    let growth = GROWTH[usize::from(with != compiler())];
    for (name, count) in counts {
        let known = expected.get(name);
        let known = known.unwrap_or_else(|| panic!("{name} is not in {}", table().display()));
        assert!(
            *count <= known * growth,
            "{name}: {count:.0} instructions per message, {known:.0} in {}",
            table().display()
        );
    }
}
