//! Dataflows of plugins and real dora nodes, run by the engine.

use crate::python::Python;
use ::host::descriptor::{Descriptor, Node};
use ::host::engine::{
    Chosen, ChosenCode, Command, Dataflow, Ending, EngineLog, NodeReport, Plan, Probe, Report,
};
use ::host::ids::{DataflowId, NodeId};
use ::host::logs::Level;
use ::host::plugin::info::{ANY_PORT, KindInfo, PortInfo};
use ::host::plugin::preflight::Isolation;
use ::host::plugin::{Loader, LoaderOptions};
use ::host::process::child;
use ::host::process::dora::sniff::Versions;
use ::host::process::processes::Processes;
use host_testing::{Folder, fixtures, fresh_dir};
use plugin_abi::hosting::LogLine;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nothing here waits longer.
const DEADLINE: Duration = Duration::from_secs(120);
/// What nodes have for their end.
pub const GRACE: Duration = Duration::from_secs(30);

/// A node of a dataflow that is a dora node.
pub enum Is<'a> {
    /// A script, run by this Python.
    Script(&'a Python, &'a str),
    /// Started by the test.
    Dynamic,
}

/// A dataflow that runs.
pub struct Flow {
    pub log: Arc<Log>,
    pub probe: Probe,
    processes: Processes,
    commands: tokio::sync::mpsc::Sender<Command>,
    report: Receiver<Report>,
    thread: std::thread::JoinHandle<()>,
    _folder: Folder,
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

/// Nodes of these versions, on a port of their own.
pub fn processes(versions: Versions) -> Processes {
    let say = |level, text: &str| eprintln!("runtime, {level}: {text}");
    Processes::new(versions, [7; 16], Arc::new(say))
}

/// Starts a dataflow: its nodes that are not named in `dora` are plugins of the fixture.
pub fn start(yaml: &str, dora: &[(&str, Is<'_>)]) -> Flow {
    start_in(processes(Versions::All), yaml, dora, false)
}

/// As [`start`]; `direct` lets 1.x nodes hand each other messages past this process.
pub fn start_in(processes: Processes, yaml: &str, dora: &[(&str, Is<'_>)], direct: bool) -> Flow {
    let folder = fresh_dir();
    let descriptor = descriptor(yaml, dora, folder.path());
    let plugin = loader().load(&fixtures::path("flow")).expect("a plugin");
    let infos = descriptor.nodes.iter();
    let infos = infos.map(|node| (node.id.clone(), plugin.info().clone()));
    let (kinds, _) = descriptor.select_kinds(&infos.collect());
    let mut launches = BTreeMap::new();
    for node in &descriptor.nodes {
        if let Some((_, is)) = dora.iter().find(|(id, _)| *id == node.id.as_str()) {
            launches.insert(node.id.clone(), launch(is, node, folder.path()));
        }
    }
    let mut outside = processes.dora_nodes(&descriptor, launches, &|_, _| !direct);
    let mut chosen = BTreeMap::new();
    for node in &descriptor.nodes {
        let entry = match outside.remove(&node.id) {
            Some(outside) => Chosen {
                code: ChosenCode::Outside(outside, Default::default()),
                kind: any_kind(),
            },
            None => Chosen {
                code: ChosenCode::Plugin(plugin.clone()),
                kind: kinds[&node.id].clone(),
            },
        };
        chosen.insert(node.id.clone(), entry);
    }
    let plan = Plan::new(&descriptor, &chosen).expect("a plan");
    run(processes, &plan, folder)
}

fn run(processes: Processes, plan: &Plan, folder: Folder) -> Flow {
    let (id, log) = (DataflowId::new(), Arc::new(Log::default()));
    let dataflow = Dataflow::start(id, plan, log.clone()).expect("the system has threads");
    let probe = dataflow.probe();
    let (commands, receiver) = tokio::sync::mpsc::channel(4);
    let (tell, report) = channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        // Nobody listens any more only after the test has failed.
        let _ = tell.send(runtime.block_on(dataflow.run(receiver)));
    });
    Flow {
        log,
        probe,
        processes,
        commands,
        report,
        thread,
        _folder: folder,
    }
}

fn descriptor(yaml: &str, dora: &[(&str, Is<'_>)], folder: &Path) -> Descriptor {
    let plugin = fixtures::path("flow");
    let mut text = String::new();
    for line in yaml.lines() {
        text.push_str(&format!("{line}\n"));
        let Some((indent, id)) = line.split_once("- id:") else {
            continue;
        };
        let id = id.trim();
        let path = match dora.iter().find(|(name, _)| *name == id) {
            Some((_, Is::Dynamic)) => "dynamic".to_owned(),
            Some((_, Is::Script(..))) => format!("{id}.py"),
            None => plugin.display().to_string(),
        };
        text.push_str(&format!("{indent}  path: '{path}'\n"));
    }
    let file = folder.join("dataflow.yml");
    std::fs::write(&file, &text).expect("a fresh folder can be written");
    match Descriptor::read(&file) {
        Ok(descriptor) => descriptor,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

fn launch(is: &Is<'_>, node: &Node, folder: &Path) -> Option<child::Launch> {
    let Is::Script(python, script) = is else {
        return None;
    };
    let file = folder.join(format!("{}.py", node.id));
    std::fs::write(&file, script).expect("a fresh folder can be written");
    let mut args = vec![file.into_os_string()];
    args.extend(node.args.iter().map(Into::into));
    let program = python.program().to_owned();
    let mut launch = child::Launch::new(program, args, folder.to_owned());
    launch.set("PYTHONUNBUFFERED", "1");
    for (name, value) in &node.env {
        launch.set(name, value);
    }
    Some(launch)
}

fn any_kind() -> KindInfo {
    let any = PortInfo {
        name: ANY_PORT.to_owned(),
        description: String::new(),
        data_type: None,
    };
    KindInfo {
        name: String::new(),
        description: String::new(),
        inputs: vec![any.clone()],
        outputs: vec![any],
        config_schema: None,
    }
}

impl Flow {
    pub fn stop(&self, grace: Duration) {
        let stop = Command::Stop { grace };
        self.commands
            .blocking_send(stop)
            .expect("the dataflow runs");
    }

    /// Waits for the end.
    pub fn end(self) -> Ended {
        let Ok(report) = self.report.recv_timeout(DEADLINE) else {
            panic!("it does not end; its log:\n{}", self.log.all().join("\n"));
        };
        self.thread.join().expect("the engine does not panic");
        drop(self.processes);
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

    /// How every node ended, in words.
    pub fn endings(&self) -> Vec<String> {
        let nodes = self.report.nodes.iter();
        nodes
            .map(|node| format!("{}: {}", node.id, node.ending))
            .collect()
    }

    /// Every node did what it should.
    pub fn is_well(&self) {
        let well = |node: &NodeReport| matches!(node.ending, Ending::Finished | Ending::Stopped);
        assert!(
            self.report.nodes.iter().all(well),
            "{:#?}\n{}",
            self.endings(),
            self.log.all().join("\n")
        );
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

/// Every line of a dataflow.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<(String, String)>>,
    more: Condvar,
}

impl Log {
    fn put(&self, node: &str, text: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((node.to_owned(), text));
        self.more.notify_all();
    }

    pub fn all(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .map(|(node, text)| format!("{node}: {text}"))
            .collect()
    }

    /// The lines of a node, and those about it.
    pub fn of(&self, node: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = lines.iter().filter(|(of, _)| of == node);
        lines.map(|(_, text)| text.clone()).collect()
    }

    /// Waits for a line of a node that contains a text, or for the `count`th such line.
    pub fn wait(&self, node: &str, text: &str, count: usize) -> String {
        let end = Instant::now() + DEADLINE;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut found = lines
                .iter()
                .filter(|(of, line)| of == node && line.contains(text));
            if let Some((_, line)) = found.nth(count - 1) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "no `{text}` of {node} in time:\n{lines:#?}"
            );
            let waited = self.more.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl EngineLog for Log {
    fn node(&self, node: &NodeId, line: &LogLine<'_>) {
        self.put(node.as_str(), line.message.to_owned());
    }

    fn engine(&self, level: u32, node: Option<&NodeId>, text: &str) {
        let node = node.map_or("", NodeId::as_str);
        self.put(node, format!("[{:?}] {text}", Level::from_number(level)));
    }

    fn level(&self, _: &NodeId) -> Arc<AtomicU32> {
        Arc::new(AtomicU32::new(5))
    }
}
