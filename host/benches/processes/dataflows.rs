//! Our side: dataflows of a sender and a meter, of which at least one has a process of its own.

use crate::Place;
use crate::rounds::{Load, Outcome};
use host::descriptor::Descriptor;
use host::descriptor::resolve::Places;
use host::ids::DataflowId;
use host::launch::{self, Runtime};
use host::local;
use host::logs::{LogHub, Settings};
use host::plugin::Loader;
use host::plugin::describe::this_program;
use host::process::{LaunchOptions, Launcher};
use host_testing::fixtures::{Profile, library, program};
use std::path::Path;
use std::time::Duration;

/// What takes longer has failed.
const LONG: Duration = Duration::from_secs(120);
/// Messages that wait: of those that come in their time none is to be lost, and those that come as fast as they go come
/// in batches.
const QUEUE: usize = 1_000;

/// Runs them.
pub struct Dataflows {
    hub: LogHub,
    loader: Loader,
    launcher: Launcher,
    runtime: tokio::runtime::Runtime,
    plugin: String,
    executable: String,
    folder: tempfile::TempDir,
}

impl Dataflows {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().expect("a runtime");
        let folder = host_testing::fresh_dir();
        let hub = LogHub::start(Settings::default()).expect("a log");
        let options = LaunchOptions::new(this_program().expect("this program has a file"));
        let launcher = runtime.block_on(async { local::launcher(options, &hub) });
        Self {
            loader: local::loader(&hub),
            launcher,
            hub,
            runtime,
            plugin: library("flow", Profile::Release).display().to_string(),
            executable: program("flow-node", Profile::Release).display().to_string(),
            folder,
        }
    }

    /// Sends from one place to another.
    pub fn run(&self, places: [Place; 2], in_place: bool, load: Load) -> Outcome {
        let file = self.folder.path().join("report");
        let text = self.descriptor(places, in_place, load, &file);
        let descriptor = Descriptor::parse(&text, &self.folder.path().join("bench.yml"));
        let descriptor = descriptor.unwrap_or_else(|problems| panic!("{problems}"));
        let runtime = Runtime {
            loader: &self.loader,
            launcher: Some(&self.launcher),
        };
        let prepared = launch::prepare(&descriptor, runtime, &Places::of_this_process(&[]));
        let prepared = prepared.unwrap_or_else(|problems| panic!("{problems}"));
        let report = self.runtime.block_on(async {
            let (_commands, receiver) = tokio::sync::mpsc::channel(1);
            let id = DataflowId::new();
            let ran = local::run(id, &descriptor, &prepared.plan, &self.hub, receiver);
            let ran = tokio::time::timeout(LONG, ran).await;
            ran.expect("it ends").expect("threads")
        });
        assert_eq!(report.failures().count(), 0, "{report:?}");
        let report = std::fs::read_to_string(&file).expect("the meter's report");
        std::fs::remove_file(&file).expect("it is there");
        let outcome =
            Outcome::read(report.lines()).unwrap_or_else(|| panic!("no report: {report}"));
        assert_eq!(outcome.received, load.count, "messages were lost");
        outcome
    }

    fn descriptor(&self, places: [Place; 2], in_place: bool, load: Load, file: &Path) -> String {
        let Load { bytes, count, pace } = load;
        let (file, micros) = (file.display(), pace.as_micros());
        let timed = !pace.is_zero();
        let policy = match timed {
            true => "",
            false => ", queue_policy: backpressure",
        };
        let [sender, meter] = places.map(|place| match place {
            Place::Daemon => format!("path: '{}'", self.plugin),
            Place::Host => format!("path: '{}'\n    process: own", self.plugin),
            Place::Executable => format!("path: '{}'", self.executable),
        });
        format!(
            "
nodes:
  - id: pacer
    {sender}
    kind: pacer
    config: {{count: {count}, bytes: {bytes}, micros: {micros}, written: true, in_place: {in_place}}}
    inputs: {{start: {{source: dora/timer/millis/1, queue_size: 1, queue_policy: drop_newest}}}}
    outputs: [out]
  - id: meter
    {meter}
    kind: meter
    config: {{latencies: {timed}, file: '{file}'}}
    inputs: {{in: {{source: pacer/out, queue_size: {QUEUE}{policy}}}}}
"
        )
    }
}
