//! Runs descriptors and checks what holds for every run.

use host::control::{Epoch, Placement, RemoteEdges, local_part};
use host::descriptor::resolve::Places;
use host::descriptor::{Descriptor, Source};
use host::engine::{
    Chosen, ChosenCode, Command, Dataflow, Ending, EngineLog, InputCount, NodeReport, Plan, Probe,
    Report,
};
use host::ids::{DataflowId, MachineId, NodeId};
use host::launch::{self, Elsewhere, Runtime};
use host::plugin::info::PluginInfo;
use host::plugin::preflight::Isolation;
use host::plugin::{Loader, LoaderOptions};
use host_testing::{fixtures, fresh_dir};
use plugin_abi::hosting::LogLine;
use plugin_abi::message::Message;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{
    Arc, Condvar, LazyLock, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::{Duration, Instant};

/// Nothing here waits longer.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What nodes are given to stop, in tests that do not mean them to fail at it.
pub const GRACE: Duration = Duration::from_secs(30);

static GATE: RwLock<()> = RwLock::new(());

/// For tests that look at the whole process: none other runs meanwhile.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    GATE.write().unwrap_or_else(PoisonError::into_inner)
}

/// For tests that may run beside others; once per test.
pub fn among_others() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

fn loader() -> &'static Loader {
    static LOADER: LazyLock<Loader> = LazyLock::new(|| {
        Loader::new(LoaderOptions {
            isolation: Isolation::Shared,
            in_place: true,
            level: Arc::new(AtomicU32::new(5)),
            log: Arc::new(|library, line| eprintln!("{library}: {}", line.message)),
        })
    });
    &LOADER
}

/// Plugins of this process, and nothing else.
fn only_here() -> Runtime<'static> {
    Runtime {
        loader: loader(),
        launcher: None,
    }
}

/// What the fixture declares.
pub fn flow_info() -> PluginInfo {
    let plugin = loader().load(&fixtures::path("flow")).expect("a plugin");
    plugin.info().clone()
}

/// Reads a descriptor whose nodes all come from the fixture: their `path` is filled in.
pub fn descriptor(yaml: &str) -> Descriptor {
    static FLOW: OnceLock<String> = OnceLock::new();
    let flow = FLOW.get_or_init(|| fixtures::path("flow").display().to_string());
    let mut text = String::new();
    for line in yaml.lines() {
        text.push_str(line);
        text.push('\n');
        if let Some((indent, _)) = line.split_once("- id:") {
            text.push_str(&format!("{indent}  path: '{flow}'\n"));
        }
    }
    let folder = fresh_dir();
    let file = folder.path().join("dataflow.yml");
    std::fs::write(&file, &text).expect("a fresh folder can be written");
    match Descriptor::read(&file) {
        Ok(descriptor) => descriptor,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// What the engine makes of a descriptor.
pub fn plan(descriptor: &Descriptor) -> Plan {
    let places = Places::of_this_process(&[descriptor.folder()]);
    match launch::prepare(descriptor, only_here(), &places) {
        Ok(prepared) => prepared.plan,
        Err(problems) => panic!("{problems}"),
    }
}

/// The kinds of a descriptor's nodes.
pub fn chosen(descriptor: &Descriptor) -> BTreeMap<NodeId, Chosen> {
    let plugin = loader().load(&fixtures::path("flow")).expect("a plugin");
    let nodes = descriptor.nodes.iter();
    let infos = nodes.map(|node| (node.id.clone(), plugin.info().clone()));
    let (kinds, _) = descriptor.select_kinds(&infos.collect());
    let kinds = kinds.into_iter();
    kinds
        .map(|(id, kind)| {
            let plugin = plugin.clone();
            let code = ChosenCode::Plugin(plugin);
            (id, Chosen { code, kind })
        })
        .collect()
}

/// The share of a machine that runs these nodes; another one runs the rest.
pub fn share(yaml: &str, here: &[&str]) -> (Descriptor, Plan) {
    let whole = descriptor(yaml);
    let machine = |name: &str| name.parse::<MachineId>().expect("a machine id");
    let place = |node: &NodeId| match here.contains(&node.as_str()) {
        true => machine("here"),
        false => machine("there"),
    };
    let nodes = whole.nodes.iter();
    let placement = Placement {
        nodes: nodes
            .map(|node| (node.id.clone(), place(&node.id)))
            .collect(),
        machines: ["here", "there"]
            .map(|name| (machine(name), Epoch::new()))
            .into(),
    };
    let inputs = RemoteEdges::of(&whole, &placement, &machine("here")).inputs;
    let inputs = inputs.into_iter();
    let remote = inputs.map(|input| (input.node, input.input)).collect();
    let part = local_part(&whole, &placement, &machine("here"));
    let places = Places::of_this_process(&[part.folder()]);
    let elsewhere = Elsewhere {
        inputs: &remote,
        ..Elsewhere::default()
    };
    match launch::prepare_share(&part, only_here(), &places, &elsewhere) {
        Ok(prepared) => (part, prepared.plan),
        Err(problems) => panic!("{problems}"),
    }
}

/// Runs a dataflow to the end that it comes to by itself.
pub fn run(yaml: &str) -> Ended {
    start(yaml).end()
}

/// Starts a dataflow.
pub fn start(yaml: &str) -> Live {
    start_with(yaml, |_| {})
}

/// As [`start`], with a change to the plan.
pub fn start_with(yaml: &str, change: impl FnOnce(&mut Plan)) -> Live {
    let gate = among_others();
    let descriptor = descriptor(yaml);
    let mut plan = plan(&descriptor);
    change(&mut plan);
    Live {
        gate: Some(gate),
        ..launch(descriptor, &plan)
    }
}

/// Starts a plan, among others or alone as the caller likes.
pub fn launch(descriptor: Descriptor, plan: &Plan) -> Live {
    launch_with(descriptor, plan, |_| {})
}

/// As [`launch`], with what is done before the first node is made.
pub fn launch_with(
    descriptor: Descriptor,
    plan: &Plan,
    before: impl FnOnce(&mut Dataflow),
) -> Live {
    let log = Arc::new(Log::default());
    let started = Dataflow::start(DataflowId::new(), plan, log.clone());
    let mut dataflow = started.expect("the system has threads");
    before(&mut dataflow);
    let probe = dataflow.probe();
    let (commands, receiver) = tokio::sync::mpsc::channel(4);
    let (tell, report) = channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let report = runtime.block_on(dataflow.run(receiver));
        // Nobody listens any more only after the test has failed.
        let _ = tell.send(report);
    });
    Live {
        gate: None,
        descriptor,
        probe,
        log,
        commands,
        report,
        thread,
    }
}

/// A dataflow that runs.
pub struct Live {
    gate: Option<RwLockReadGuard<'static, ()>>,
    descriptor: Descriptor,
    pub probe: Probe,
    pub log: Arc<Log>,
    commands: tokio::sync::mpsc::Sender<Command>,
    report: Receiver<Report>,
    thread: std::thread::JoinHandle<()>,
}

impl Live {
    pub fn command(&self, command: Command) {
        self.commands
            .blocking_send(command)
            .expect("the dataflow runs");
    }

    pub fn stop(&self, grace: Duration) {
        self.command(Command::Stop { grace });
    }

    /// Waits for the end.
    pub fn end(self) -> Ended {
        let Ok(report) = self.report.recv_timeout(DEADLINE) else {
            panic!("it does not end; its log:\n{}", self.log.all().join("\n"));
        };
        self.thread.join().expect("the engine does not panic");
        account(&self.descriptor, &report);
        drop(self.gate);
        Ended {
            report,
            log: self.log,
        }
    }
}

/// A dataflow that has ended.
pub struct Ended {
    pub report: Report,
    pub log: Arc<Log>,
}

impl Ended {
    pub fn node(&self, id: &str) -> &NodeReport {
        let mut nodes = self.report.nodes.iter();
        nodes.find(|node| node.id.as_str() == id).expect(id)
    }

    pub fn input(&self, node: &str, input: &str) -> InputCount {
        self.node(node).inputs[input]
    }

    /// How every node ended, in words.
    pub fn endings(&self) -> Vec<String> {
        let nodes = self.report.nodes.iter();
        nodes
            .map(|node| format!("{}: {}", node.id, ending(&node.ending)))
            .collect()
    }

    /// What a checker says at its end: messages received, numbers missing.
    pub fn checked(&self, checker: &str) -> (u64, u64) {
        let lines = self.log.of(checker);
        let said = lines.iter().find_map(|line| {
            let (received, missing) = line.strip_prefix("received ")?.split_once(" missing ")?;
            Some((received.parse().ok()?, missing.parse().ok()?))
        });
        said.expect("a checker says so when it is dropped")
    }
}

fn ending(ending: &Ending) -> String {
    match ending {
        Ending::Finished => "finished".into(),
        Ending::Stopped => "stopped".into(),
        Ending::Stuck => "stuck".into(),
        Ending::NotCreated(failure) => format!("not created: {failure}"),
        Ending::Failed {
            failure,
            last_input,
        } => format!(
            "failed: {failure} ({})",
            last_input.as_deref().unwrap_or("-")
        ),
    }
}

/// All that was sent to an input was taken, dropped, discarded, is still in or was missed. What comes from outside is
/// accounted for by whoever sends it.
fn account(descriptor: &Descriptor, report: &Report) {
    let sent = |node: &NodeId, output: &str| {
        let node = report.nodes.iter().find(|of| of.id == *node)?;
        Some(node.outputs[output])
    };
    for (node, of) in descriptor.nodes.iter().zip(&report.nodes) {
        for (name, input) in &node.inputs {
            let count = of.inputs[name.as_str()];
            let sum = count.taken + count.dropped + count.discarded + count.queued;
            let sent = match &input.source {
                Source::Output { node, output } => match sent(node, output.as_str()) {
                    Some(sent) => sent,
                    None => continue,
                },
                Source::Timer { period } => {
                    let timer = report.timers.iter().find(|timer| timer.period == *period);
                    timer.map_or(0, |timer| timer.sent + timer.missed)
                }
                Source::Logs { .. } => continue,
            };
            let missed = count.missed;
            assert_eq!(sum + missed, sent, "{}/{name}: {count:?}", node.id);
        }
    }
}

/// Keeps every line.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<(String, String)>>,
    more: Condvar,
}

impl Log {
    fn add(&self, node: &str, text: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((node.to_owned(), text.to_owned()));
        self.more.notify_all();
    }

    /// The lines of one node, and of the engine about it.
    pub fn of(&self, node: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let of_node = lines.iter().filter(|(of, _)| of == node);
        of_node.map(|(_, text)| text.clone()).collect()
    }

    pub fn all(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .map(|(of, text)| format!("{of}: {text}"))
            .collect()
    }

    /// The lines of a node that contain a text.
    pub fn matching(&self, node: &str, text: &str) -> Vec<String> {
        let mut lines = self.of(node);
        lines.retain(|line| line.contains(text));
        lines
    }

    /// Waits until a node has said something `times` times.
    pub fn wait_for(&self, node: &str, text: &str, times: usize) {
        let until = Instant::now() + DEADLINE;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let said = lines
                .iter()
                .filter(|(of, line)| of == node && line.contains(text));
            if said.count() >= times {
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{node} never said `{text}`: {lines:#?}");
            lines = match self.more.wait_timeout(lines, left) {
                Ok((lines, _)) => lines,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl EngineLog for Log {
    fn node(&self, node: &NodeId, line: &LogLine<'_>) {
        self.add(node.as_str(), line.message);
    }

    fn engine(&self, _: u32, node: Option<&NodeId>, text: &str) {
        self.add(node.map_or("", NodeId::as_str), text);
    }

    fn level(&self, _: &NodeId) -> Arc<AtomicU32> {
        Arc::new(AtomicU32::new(5))
    }
}

/// The number of a message of a source: who sent it, and the restart count and the number there.
pub fn number(message: &Message) -> u64 {
    match message.values::<u64>() {
        Ok(&[_, number, ..]) => number,
        other => panic!("no number: {other:?}"),
    }
}

/// Starts a plan, waits until a node has sent something on `out`, and drops the dataflow without a stop.
pub fn drop_while_it_runs(plan: &Plan, node: &str) {
    let started = Dataflow::start(DataflowId::new(), plan, Arc::new(Log::default()));
    let dataflow = started.expect("the system has threads");
    let tap = dataflow.probe().tap(node, "out", 10).expect("an output");
    let (_commands, receiver) = tokio::sync::mpsc::channel(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut run = std::pin::pin!(dataflow.run(receiver));
        let until = Instant::now() + DEADLINE;
        while tap.messages.try_recv().is_err() {
            assert!(Instant::now() < until, "{node} sends nothing");
            let soon = Duration::from_millis(1);
            if tokio::time::timeout(soon, &mut run).await.is_ok() {
                panic!("it ended by itself");
            }
        }
    });
}
