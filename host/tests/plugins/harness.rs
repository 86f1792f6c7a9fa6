//! Loads plugins without a daemon, and runs their nodes by hand with a host that writes everything down.
//!
//! Invariant: every wait has a deadline; nothing but what a test asks for is sent to a node.

use host::plugin::info::KindInfo;
use host::plugin::preflight::Isolation;
use host::plugin::{Copies, LoadError, Loader, LoaderOptions, Plugin};
use host_testing::{Folder, cc, fixtures, fresh_dir, repo_root};
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::{
    Callbacks, CreateWith, Event, Heap, Instance, LogLine, NodeFailure, Room, SaveError, Table,
};
use plugin_abi::message::{MakeError, Memory, Message, Schema};
use plugin_abi::meta::{Parameters, Timestamp};
use plugin_abi::node::Stop;
use plugin_abi::payload::Payload;
use plugin_abi::{testing, types};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// No wait takes longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The node id of every instance.
pub const NODE: &str = "the-node";
/// The dataflow of every instance.
pub const DATAFLOW: &str = "0198a000-0000-7000-8000-000000000000";

/// A line of the log, written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub level: u32,
    pub target: String,
    pub message: String,
    pub fields: String,
    pub spans: String,
    pub file: String,
    pub line: u32,
}

impl Line {
    fn of(line: &LogLine<'_>) -> Self {
        Self {
            level: line.level,
            target: line.target.into(),
            message: line.message.into(),
            fields: line.fields.into(),
            spans: line.spans.into(),
            file: line.file.into(),
            line: line.line,
        }
    }
}

/// A loader with a cache folder of its own.
pub struct Bench {
    pub loader: Loader,
    /// The most verbose level of the libraries' lines.
    pub level: Arc<AtomicU32>,
    lines: Arc<Mutex<Vec<(String, Line)>>>,
    /// Behind the loader, which removes what it has put there.
    cache: Folder,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With other options than a daemon's.
    pub fn with(change: impl FnOnce(&mut LoaderOptions)) -> Self {
        let lines = Arc::<Mutex<Vec<_>>>::default();
        let level = Arc::new(AtomicU32::new(5));
        let mut options = options(&lines, &level);
        change(&mut options);
        let cache = fresh_dir();
        let copies = Copies::below(cache.path()).expect("a folder for copies");
        Self {
            loader: Loader::with_copies(options, copies),
            level,
            lines,
            cache,
        }
    }

    pub fn load(&self, path: &Path) -> Arc<Plugin> {
        match self.loader.load(path) {
            Ok(plugin) => plugin,
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    /// Why a file is not loaded.
    pub fn refusal(&self, path: &Path) -> String {
        match self.loader.load(path) {
            Ok(_) => "loaded".into(),
            Err(error) => error.to_string(),
        }
    }

    /// Lines of libraries, by plugin, since the last call.
    pub fn lines(&self) -> Vec<(String, Line)> {
        std::mem::take(&mut *lock(&self.lines))
    }

    /// Private copies that there are now.
    pub fn copies(&self) -> Vec<PathBuf> {
        files_below(self.cache.path())
            .into_iter()
            .filter(|path| path.file_name().is_some_and(|name| name != "lock"))
            .collect()
    }
}

fn options(lines: &Arc<Mutex<Vec<(String, Line)>>>, level: &Arc<AtomicU32>) -> LoaderOptions {
    let lines = lines.clone();
    LoaderOptions {
        isolation: Isolation::Shared,
        in_place: false,
        level: level.clone(),
        log: Arc::new(move |plugin, line| {
            lock(&lines).push((plugin.to_owned(), Line::of(line)));
        }),
    }
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The fixture with a kind for everything, loaded once for all tests that do not mind its statics.
pub fn features() -> &'static Arc<Plugin> {
    static FEATURES: OnceLock<Arc<Plugin>> = OnceLock::new();
    FEATURES.get_or_init(|| Bench::new().load(&fixtures::path("features")))
}

/// What a host has to say to an instance that misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panics {
    Never,
    Admit,
    Room,
    Send,
    Log,
}

/// What an instance did.
#[derive(Debug, Default)]
pub struct Seen {
    pub sent: Vec<(String, Message)>,
    pub lines: Vec<Line>,
    pub failures: Vec<NodeFailure>,
    pub refused: Vec<String>,
    pub stops: usize,
}

/// The host of one instance.
pub struct Recorder {
    outputs: Vec<(String, String)>,
    seen: Mutex<Seen>,
    changed: Condvar,
    closed: AtomicBool,
    panics: Mutex<Panics>,
    /// Blocks of memory for outputs' data that are alive.
    pub rooms: Arc<AtomicUsize>,
}

impl Recorder {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// Waits until something is seen.
    pub fn wait<T>(&self, what: &str, mut find: impl FnMut(&mut Seen) -> Option<T>) -> T {
        let until = Instant::now() + DEADLINE;
        let mut seen = self.seen();
        loop {
            if let Some(found) = find(&mut seen) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what}: {seen:?}");
            let waited = self.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a message on an output.
    pub fn next(&self, output: &str) -> Message {
        self.wait(output, |seen| {
            let at = seen.sent.iter().position(|(name, _)| name == output)?;
            Some(seen.sent.remove(at).1)
        })
    }

    /// Refuses to send from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Panics in one of the callbacks from now on.
    pub fn panic_in(&self, panics: Panics) {
        *lock(&self.panics) = panics;
    }

    fn maybe_panic(&self, here: Panics) {
        let panics = *lock(&self.panics);
        assert_ne!(panics, here, "as the test wants it");
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.changed.notify_all();
    }
}

/// The callbacks, behind a pointer that the test keeps, too.
pub struct Shared(Arc<Recorder>);

impl Callbacks for Shared {
    fn now(&self) -> Timestamp {
        Timestamp {
            time: 42,
            clock: [7; 16],
        }
    }

    fn admit(&self, output: u32, schema: &Schema) -> Status {
        self.0.maybe_panic(Panics::Admit);
        if self.0.closed.load(Ordering::SeqCst) {
            return ffi::ERR_CLOSED;
        }
        match self.0.outputs.get(output as usize) {
            None => ffi::ERR_UNKNOWN_OUTPUT,
            Some((_, declared)) if types::accepts(declared, &schema.text()) => ffi::OK,
            Some(_) => ffi::ERR_WRONG_TYPE,
        }
    }

    fn room(&self, _: u32, len: usize) -> Option<Box<dyn Room>> {
        self.0.maybe_panic(Panics::Room);
        let heap = Heap::new(len)?;
        self.0.rooms.fetch_add(1, Ordering::SeqCst);
        Some(Box::new(Counted(heap, self.0.rooms.clone())))
    }

    fn send(&self, output: u32, message: Message) -> Status {
        self.0.maybe_panic(Panics::Send);
        let name = self.0.outputs.get(output as usize).map(|(name, _)| name);
        let name = name.cloned().unwrap_or_default();
        self.0.change(|seen| seen.sent.push((name, message)));
        ffi::OK
    }

    fn refuse(&self, _: u32, error: &MakeError) {
        self.0.change(|seen| seen.refused.push(error.to_string()));
    }

    fn log(&self, line: &LogLine<'_>) {
        self.0.maybe_panic(Panics::Log);
        self.0.change(|seen| seen.lines.push(Line::of(line)));
    }

    fn report(&self, failure: NodeFailure) {
        self.0.change(|seen| seen.failures.push(failure));
    }

    fn request_stop(&self) {
        self.0.change(|seen| seen.stops += 1);
    }
}

/// Memory whose end is seen.
struct Counted(Heap, Arc<AtomicUsize>);

impl Memory for Counted {
    fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Room for Counted {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    fn freeze(self: Box<Self>) -> Box<dyn Memory> {
        self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A running instance with all its declared ports connected; an input or output of any name is called `any`.
pub struct Running {
    instance: Option<Instance<Shared>>,
    pub recorder: Arc<Recorder>,
    inputs: Vec<String>,
    /// The most verbose level of its lines.
    pub level: Arc<AtomicU32>,
}

impl Running {
    /// # Panics
    /// When the node refuses.
    pub fn start(plugin: &Plugin, kind: &str, config: &str) -> Self {
        match Self::create(plugin, kind, config) {
            Ok(running) => running,
            Err((status, recorder)) => panic!("{kind}: {status} {:?}", recorder.seen().failures),
        }
    }

    /// A new instance, or the status that refused it and what it did.
    pub fn create(
        plugin: &Plugin,
        kind: &str,
        config: &str,
    ) -> Result<Self, (Status, Arc<Recorder>)> {
        let info = kind_info(plugin, kind);
        let (inputs, outputs) = (names(&info.inputs), names(&info.outputs));
        let types = info.outputs.iter();
        let types = types.map(|port| port.data_type.clone().unwrap_or_default());
        let recorder = Arc::new(Recorder {
            outputs: outputs.iter().cloned().zip(types).collect(),
            seen: Mutex::default(),
            changed: Condvar::new(),
            closed: AtomicBool::new(false),
            panics: Mutex::new(Panics::Never),
            rooms: Arc::default(),
        });
        let level = Arc::new(AtomicU32::new(5));
        let table = Table::new(Shared(recorder.clone()), plugin.library(), level.clone());
        let with = CreateWith {
            inputs: &inputs,
            outputs: &outputs,
            config,
            node_id: NODE,
            dataflow_id: DATAFLOW,
            restart_count: 3,
        };
        let Some(kind) = plugin.kind(kind) else {
            panic!("no kind {kind}");
        };
        match Instance::create(kind, table, &with) {
            Ok(instance) => Ok(Self {
                instance: Some(instance),
                recorder,
                inputs,
                level,
            }),
            Err(status) => Err((status, recorder)),
        }
    }

    fn instance(&mut self) -> &mut Instance<Shared> {
        self.instance.as_mut().expect("not destroyed")
    }

    fn index(&self, input: &str) -> u32 {
        let index = self.inputs.iter().position(|name| name == input);
        index.unwrap_or_else(|| panic!("no input {input}")) as u32
    }

    /// Hands over a message.
    pub fn give(&mut self, input: &str, message: &Message) -> Status {
        let input = self.index(input);
        self.instance().on_event(Event::Input { input, message })
    }

    /// Hands over data.
    pub fn input(&mut self, input: &str, data: impl Payload) -> Status {
        self.give(input, &message(data))
    }

    pub fn close(&mut self, input: &str) -> Status {
        let input = self.index(input);
        self.instance().on_event(Event::InputClosed { input })
    }

    pub fn stop(&mut self, why: Stop) -> Status {
        self.instance().on_event(Event::Stop(why))
    }

    pub fn save(&mut self) -> Result<Vec<u8>, SaveError> {
        self.instance().save_state()
    }

    pub fn restore(&mut self, state: &[u8]) -> Status {
        self.instance().restore_state(state)
    }

    /// Closes its outputs and destroys it.
    pub fn destroy(&mut self) {
        self.recorder.close();
        drop(self.instance.take());
    }

    /// What it sent on an output since the last call.
    pub fn take(&self, output: &str) -> Vec<Message> {
        let mut seen = self.recorder.seen();
        let taken = seen.sent.extract_if(.., |(name, _)| name == output);
        taken.map(|(_, message)| message).collect()
    }

    /// The one message that it sent on an output since the last call.
    pub fn one(&self, output: &str) -> Message {
        let mut all = self.take(output);
        match (all.pop(), all.len()) {
            (Some(message), 0) => message,
            (_, more) => panic!("{more} or no messages on {output}, not one"),
        }
    }

    /// The one text that it sent on an output since the last call.
    pub fn text(&self, output: &str) -> String {
        self.one(output).text().expect("a text").to_owned()
    }

    /// The one number that it sent on an output since the last call.
    pub fn number(&self, output: &str) -> u64 {
        self.one(output).value().expect("a number")
    }

    /// Its lines since the last call.
    pub fn lines(&self) -> Vec<Line> {
        std::mem::take(&mut self.recorder.seen().lines)
    }

    /// The one failure that it has reported since the last call.
    pub fn failure(&self) -> NodeFailure {
        one_failure(&self.recorder)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.destroy();
    }
}

pub fn one_failure(recorder: &Recorder) -> NodeFailure {
    let mut failures = std::mem::take(&mut recorder.seen().failures);
    match (failures.pop(), failures.len()) {
        (Some(failure), 0) => failure,
        (last, _) => panic!("not one failure: {failures:?} {last:?}"),
    }
}

fn names(ports: &[host::plugin::info::PortInfo]) -> Vec<String> {
    let name = |name: &str| if name == "*" { "any" } else { name }.to_owned();
    ports.iter().map(|port| name(&port.name)).collect()
}

pub fn kind_info(plugin: &Plugin, kind: &str) -> KindInfo {
    match plugin.info().kind(kind) {
        Some(info) => info.clone(),
        None => panic!("no kind {kind} in {:?}", plugin.info()),
    }
}

/// A message as a node would send it, without parameters.
pub fn message(data: impl Payload) -> Message {
    testing::message(data, &Parameters::new())
}

/// Where a message's values lie, as an address.
pub fn address(message: &Message) -> u64 {
    message.bytes().expect("bytes").as_ptr().addr() as u64
}

/// A copy of a fixture in a folder of its own.
pub struct Installed {
    pub folder: Folder,
    pub path: PathBuf,
}

impl Installed {
    pub fn new(fixture: &str) -> Self {
        Self::of(&fixtures::path(fixture))
    }

    pub fn of(library: &Path) -> Self {
        let folder = fresh_dir();
        let name = library.file_name().expect("a file");
        let path = folder.path().join(name);
        std::fs::copy(library, &path).expect("copied");
        Self { folder, path }
    }

    /// Writes a file beside the plugin.
    pub fn beside(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("written");
    }
}

/// The refusal as its type, for those that have one.
pub fn error(loader: &Loader, path: &Path) -> LoadError {
    match loader.load(path) {
        Ok(_) => panic!("{} was loaded", path.display()),
        Err(error) => error,
    }
}

/// A folder in which plugins in C are compiled.
pub struct Workshop {
    pub folder: Folder,
}

impl Workshop {
    pub fn new() -> Self {
        Self {
            folder: fresh_dir(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Compiles C to a library of this name in a folder of this name, with the contract's header.
    pub fn library(&self, name: &str, code: &str, args: &[&str]) -> PathBuf {
        let library = self.path(&format!("{name}/lib{name}{}", std::env::consts::DLL_SUFFIX));
        let source = library.with_extension("c");
        std::fs::create_dir_all(self.path(name)).expect("a folder");
        std::fs::write(&source, code).expect("written");
        let include = repo_root().join("plugin-abi/include");
        let include = format!("-I{}", include.display());
        let args: Vec<&str> = [include.as_str(), "-std=gnu11"]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        cc(&source, &library, &args);
        library
    }

    /// The fixture in C, with more code behind it.
    pub fn echo(&self, name: &str, more: &str, args: &[&str]) -> PathBuf {
        let fixture = repo_root().join("host/testing/fixtures/c/echo.c");
        let fixture = fixture.display().to_string().replace('\\', "/");
        self.library(name, &format!("#include \"{fixture}\"\n{more}"), args)
    }
}
