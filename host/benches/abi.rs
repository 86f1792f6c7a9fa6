//! What the bare contract costs: calls into a loaded plugin, and what the plugin does there, without queues and threads.
//!
//! The plugin is the fixture `features`, built in release. Its node repeats one thing within one callback, so that
//! each figure is the cost of that thing alone.

use arrow_array::{ArrayRef, Float64Array, StructArray};
use arrow_schema::Field;
use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use host::plugin::preflight::Isolation;
use host::plugin::{Copies, Loader, LoaderOptions, Plugin};
use host_testing::fixtures::{self, Profile};
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::{
    Callbacks, CreateWith, Event, Heap, Instance, LogLine, NodeFailure, Room, Table,
};
use plugin_abi::message::{MakeError, Message, Schema};
use plugin_abi::meta::{Parameters, Timestamp};
use plugin_abi::payload::Payload;
use plugin_abi::prelude::{Context, Flow, Input, Kind, NoConfig, Node, Outputs, Result};
use plugin_abi::testing::{self, Harness};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// A host that throws everything away.
struct Void;

impl Callbacks for Void {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn admit(&self, _: u32, _: &Schema) -> Status {
        ffi::OK
    }

    fn room(&self, _: u32, len: usize) -> Option<Box<dyn Room>> {
        Some(Box::new(Heap::new(len)?))
    }

    fn send(&self, _: u32, message: Message) -> Status {
        drop(message);
        ffi::OK
    }

    fn refuse(&self, _: u32, error: &MakeError) {
        panic!("{error}");
    }

    fn log(&self, _: &LogLine<'_>) {}

    fn report(&self, failure: NodeFailure) {
        panic!("{failure}");
    }

    fn request_stop(&self) {}
}

fn load() -> Arc<Plugin> {
    let folder = host_testing::fresh_dir();
    let options = LoaderOptions {
        isolation: Isolation::Shared,
        in_place: false,
        level: Arc::default(),
        log: Arc::new(|_, _| {}),
    };
    let copies = Copies::below(folder.path()).expect("a folder for the copy");
    let path = fixtures::library("features", Profile::Release);
    Loader::with_copies(options, copies)
        .load(&path)
        .expect("a plugin")
}

fn start(plugin: &Plugin, kind: &str, config: &str) -> Instance<Void> {
    let table = Table::new(Void, plugin.library(), Arc::new(AtomicU32::new(3)));
    let with = CreateWith {
        inputs: &["in".into(), "times".into()],
        outputs: &["out".into()],
        config,
        node_id: "node",
        dataflow_id: "",
        restart_count: 0,
    };
    let kind = plugin.kind(kind).expect("a kind");
    Instance::create(kind, table, &with).expect("an instance")
}

fn message(data: impl Payload) -> Message {
    testing::message(data, &Parameters::new())
}

fn give(node: &mut Instance<Void>, input: u32, message: &Message) {
    assert_eq!(node.on_event(Event::Input { input, message }), ffi::OK);
}

/// A struct array with five children.
fn five_children() -> ArrayRef {
    let columns = (0..5).map(|i| {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![1.0; 100]));
        let field = Field::new(format!("column-{i}"), column.data_type().clone(), true);
        (Arc::new(field), column)
    });
    Arc::new(StructArray::from(columns.collect::<Vec<_>>()))
}

/// Times what the fixture's kind `repeats` does with a message.
fn repeat(
    group: &mut BenchmarkGroup<'_, WallTime>,
    plugin: &Plugin,
    name: &str,
    what: &str,
    message: &Message,
) {
    let mut node = start(plugin, "repeats", &format!(r#"{{"what": "{what}"}}"#));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            give(&mut node, 1, &self::message(times));
            let start = Instant::now();
            give(&mut node, 0, message);
            start.elapsed()
        });
    });
}

/// Sends an array as often as it is told.
struct Exports(ArrayRef);

impl Node for Exports {
    type Config = NoConfig;

    fn kind() -> Kind {
        Kind::new("exports").input("times").output("out")
    }

    fn create(_: NoConfig, _: &Context<'_>) -> Result<Self> {
        Ok(Self(five_children()))
    }

    fn on_input(&mut self, input: Input<'_>, outputs: &Outputs) -> Result<Flow> {
        for _ in 0..input.value::<u64>()? {
            outputs.send("out", &self.0)?;
        }
        Ok(Flow::Continue)
    }
}

/// In rounds, so that the messages that the test host keeps do not fill the memory.
fn export(times: u64) -> Duration {
    const ROUND: u64 = 10_000;
    let mut node = Harness::<Exports>::new("{}").expect("a node");
    let mut took = Duration::ZERO;
    for done in (0..times).step_by(ROUND as usize) {
        let start = Instant::now();
        let flow = node.input("times", ROUND.min(times - done));
        took += start.elapsed();
        assert!(flow.is_ok());
        node.take("out");
    }
    took
}

fn abi(criterion: &mut Criterion) {
    let plugin = load();
    let mut group = criterion.benchmark_group("abi");
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let bytes = message(vec![0_u8; 1000]);
    let nested = message(five_children());

    let mut idle = start(&plugin, "idle", "{}");
    group.bench_function("call into on_event", |bencher| {
        bencher.iter(|| give(&mut idle, 0, &bytes));
    });
    repeat(&mut group, &plugin, "send of 8 bytes", "send", &bytes);
    repeat(
        &mut group,
        &plugin,
        "send of 8 bytes in the host's memory",
        "send-buffer",
        &bytes,
    );
    repeat(
        &mut group,
        &plugin,
        "clone and drop of a message",
        "clone",
        &bytes,
    );
    repeat(&mut group, &plugin, "view of a leaf", "view", &bytes);
    repeat(
        &mut group,
        &plugin,
        "view of five children",
        "view",
        &nested,
    );
    repeat(&mut group, &plugin, "reading &[u8]", "bytes", &bytes);
    repeat(
        &mut group,
        &plugin,
        "log line below the level",
        "log",
        &bytes,
    );

    group.bench_function("arrow import of numbers", |bencher| {
        bencher.iter(|| black_box(bytes.array()).is_ok());
    });
    let text = message("text");
    group.bench_function("arrow import of a text", |bencher| {
        bencher.iter(|| black_box(text.array()).is_ok());
    });
    group.bench_function("arrow import of five children", |bencher| {
        bencher.iter(|| black_box(nested.array()).is_ok());
    });
    group.bench_function("arrow export and send of five children", |bencher| {
        bencher.iter_custom(export);
    });
    group.finish();
}

criterion_group!(benches, abi);
criterion_main!(benches);
