//! A node that sends as fast as it can to a reader that is slow: queues stay as long as they are told to, what is dropped is
//! counted, and whoever reads others gets everything.

use crate::DEADLINE;
use crate::dataflow::Running;
use crate::place::{Place, each};
use host_testing::{fault, fixtures, fresh_dir, wait_until};

/// What the flood is made of: 2 GB, if anybody kept it.
const COUNT: u64 = 20_000;
const BYTES: u64 = 100_000;
/// What all processes of the run may have had in memory, in KiB: nobody keeps a quarter of the flood, and most of this is
/// the programs themselves.
const MOST_KIB: u64 = 500 << 10;

const PLACES: [Place; 4] = [Place::Daemon, Place::Own, Place::Shared, Place::Executable];

/// The flood, a reader that takes a millisecond per message, and a source with a witness beside them.
fn text(place: Place) -> String {
    let flow = fixtures::path("flow").display().to_string();
    let (count, bytes) = (COUNT.to_string(), BYTES.to_string());
    let flood = place.node("own-thread", &[("count", &count), ("bytes", &bytes)], &[]);
    format!(
        "nodes:\n  - id: flood\n{flood}    outputs: [out]\n  - id: slow\n    path: '{flow}'\n    kind: slow\n    config: \
         {{micros: 1000}}\n    inputs: {{in: flood/out}}\n    outputs: [out]\n  - id: source\n    path: '{flow}'\n    kind: \
         source\n    config: {{count: 100}}\n    inputs: {{tick: dora/timer/millis/5}}\n    outputs: [out]\n  - id: witness\n    \
         path: '{flow}'\n    kind: checker\n    inputs: {{in: {{source: source/out, queue_size: 100, queue_policy: \
         backpressure}}}}\n"
    )
}

/// The most memory that these processes and their children have had, in KiB.
fn most_memory(processes: &[u32]) -> u64 {
    let of = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    processes.iter().filter_map(of).sum()
}

#[test]
fn a_flood_drowns_nobody() {
    each(&PLACES, |place| {
        let checked = "memory is bounded; what the reader does not get is counted; others get all";
        let _row = fault("a node floods its output", place, checked);
        let mut running = Running::in_folder(fresh_dir(), &text(place), &[]);
        let mut most = 0;
        wait_until("the end of the dataflow", DEADLINE, || {
            most = most_memory(&running.all()).max(most);
            running.is_over()
        });
        let ended = running.end().exits(0);
        println!("{place}: {} MiB at most", most >> 10);
        assert!((1..MOST_KIB).contains(&most), "{place}: {most} KiB");
        let [_, sent, _] = ended.counts("flood");
        assert_eq!(sent, COUNT, "{place}: {}", ended.run());
        let [received, _, dropped] = ended.counts("slow");
        assert_eq!(received + dropped, COUNT, "{place}: {}", ended.run());
        assert!(dropped > 0, "{place}: it was a flood: {}", ended.run());
        assert_eq!(
            ended.checked("witness"),
            (100, 0),
            "{place}: {}",
            ended.run()
        );
    });
}
