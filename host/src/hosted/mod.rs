//! What a host process does: runs the plugins that its daemon tells it to, in an engine of its own, until the daemon ends
//! the control connection or is gone.
//!
//! Invariant: decides nothing; what its nodes send, log and come to goes to the daemon over each instance's own
//! connection, in order. Absent: the daemon's side (`process::host_process`).

mod alone;
mod bench;
mod outlet;
mod service;

use crate::descriptor::resolve::{self, Places};
use crate::descriptor::{NodePath, Spanned};
use crate::engine::{Dataflow, Drive, Ending, Plan, StartError};
use crate::launch::{self, Elsewhere, Runtime};
use crate::plugin::preflight::Isolation;
use crate::plugin::{Loader, LoaderOptions, in_place_wanted};
use crate::process::host_process::{HostSpec, ToHost};
use crate::sys::{crash, ending};
pub use alone::run as run_alone;
use bench::Bench;
use outlet::NodeOutlet;
use plugin_abi::hosting::LogLine;
use plugin_abi::wire::WireError;
use plugin_abi::wire::channel::{Channel, Incoming, Side};
use plugin_abi::wire::frame::{self, Control};
use plugin_abi::wire::memory::Pool;
use plugin_abi::wire::node::ServeError;
use plugin_abi::wire::stack;
use plugin_abi::wire::sys::{Stream, Wait};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use tokio::sync::mpsc;

/// Orders that wait.
const ORDERS: usize = 1_024;
/// How long nodes may take to end when the daemon has gone.
const ENDING: Duration = Duration::from_secs(5);

/// Why a host process cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum HostedError {
    /// Nobody has started it as a host process.
    #[error("this is started by a daemon, not by hand")]
    NoDaemon,
    /// The control connection.
    #[error("the connection to the daemon: {0}")]
    Wire(#[from] WireError),
    /// What came on it.
    #[error("the daemon says what is not understood: {0}")]
    Order(#[from] serde_json::Error),
    /// The nodes do not fit, though the daemon has checked them.
    #[error("{0}")]
    Refused(String),
    /// The system gives no threads.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The one node.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system's.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Is a host process that several nodes share until its daemon ends it.
///
/// # Errors
/// See [`HostedError`]; the daemon reads them from the standard error.
pub fn run() -> Result<(), HostedError> {
    report_crashes();
    let stream = Stream::take_stdin(frame::is_greeting).ok_or(HostedError::NoDaemon)?;
    let pool = Pool::default();
    let (_channel, mut control) = Channel::new(stream, Side::Node, pool.clone());
    let (ToHost::Spec(id, spec), _) = next(&mut control)? else {
        return Err(WireError::Malformed("the first order is no specification").into());
    };
    // Until the end: where a copy is gone, a panic's frames have no names.
    let loader = loader(Isolation::Shared, |library, line| {
        say(format_args!("{library}: {}", line.message));
    });
    let plan = plan(&spec, &loader)?;
    let bench = Arc::new(Bench::new(&plan, spec.window, pool));
    let dataflow = Dataflow::start(id, &plan, bench.clone())?;
    for (node, place) in plan.nodes.iter().zip(bench.places()) {
        for (port, output) in node.outputs.iter().enumerate() {
            let outlet = Arc::new(NodeOutlet::new(place.clone(), port as u32));
            // Names that come from a plan are those of ports.
            if let Ok(name) = output.name.parse() {
                dataflow.attach(&node.id, &name, "the daemon".into(), outlet);
            }
        }
    }
    bench.feed(dataflow.remote_inputs());
    let (orders, receiver) = mpsc::channel(ORDERS);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build()?;
    let obeying = bench.clone();
    let thread = std::thread::Builder::new().name("dora-orders".into());
    thread.spawn(move || obey(control, &obeying, &orders))?;
    runtime.block_on(dataflow.drive(receiver, |told| bench.tell(told)));
    Ok(())
}

/// A line on standard error, which the daemon reads while it is there.
fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// What a plugin crashes of is on standard error, which the daemon reads, and where it hangs, when the daemon asks.
fn report_crashes() {
    // Without handlers the process dies as well, and the daemon tells of that.
    let _ = crash::report();
    stack::answer();
}

/// Hands on what the daemon orders until it ends.
fn obey(mut control: Incoming, bench: &Bench, orders: &mpsc::Sender<Drive>) {
    while let Ok((order, connection)) = next(&mut control) {
        match order {
            ToHost::Spec(..) => {}
            ToHost::Serve(node) => match control.connection(connection) {
                Ok(stream) => service::start(stream, node, bench, orders),
                // The daemon sees that nobody speaks on the other end.
                Err(error) => say(format_args!(
                    "a connection of the daemon cannot be used: {error}"
                )),
            },
            ToHost::Retire(node) => {
                // An engine that has ended takes no orders.
                let _ = orders.blocking_send(Drive::Retire(node, Ending::Finished));
            }
        }
    }
    // One that has no room for it does not obey either. A node that hangs must not outlive its daemon.
    let _ = orders.try_send(Drive::End);
    std::thread::sleep(ENDING);
    ending::vanish();
}

/// The next order, and the name of the connection that comes along.
fn next(control: &mut Incoming) -> Result<(ToHost, u128), HostedError> {
    loop {
        let Some(raw) = control.next(Wait::Long)? else {
            continue;
        };
        if let Control::Order { connection, json } = raw.decode()? {
            return Ok((serde_json::from_slice(json)?, connection));
        }
    }
}

/// Loads the plugins and makes the plan, by the daemon's own rules.
fn plan(spec: &HostSpec, loader: &Loader) -> Result<Plan, HostedError> {
    let mut part = spec.part.clone();
    for (node, file) in part.nodes.iter_mut().zip(&spec.files) {
        node.process = None;
        node.load = None;
        // The daemon has found the file: nothing in its name is to be replaced once more.
        node.deploy.working_dir = None;
        let (value, at) = (resolve::literally(file), node.at);
        node.path = NodePath::File(Spanned { value, at });
    }
    let places = Places::of_this_process(&[]);
    let runtime = Runtime {
        loader,
        launcher: None,
    };
    let elsewhere = Elsewhere {
        inputs: &spec.fed,
        ..Elsewhere::default()
    };
    let prepared = launch::prepare_share(&part, runtime, &places, &elsewhere);
    let prepared = prepared.map_err(|problems| HostedError::Refused(problems.to_string()))?;
    let mut plan = prepared.plan;
    let window = spec.window as usize;
    for node in &mut plan.nodes {
        for input in &mut node.inputs {
            if spec.fed.contains(&(node.id.clone(), input.name.clone())) {
                // The daemon's queue rules; this one only has room for what is on the way.
                input.capacity = input.capacity.max(window);
            }
        }
    }
    Ok(plan)
}

fn loader(
    isolation: Isolation,
    log: impl Fn(&str, &LogLine<'_>) + Send + Sync + 'static,
) -> Loader {
    Loader::new(LoaderOptions {
        isolation,
        in_place: in_place_wanted(),
        level: Arc::new(AtomicU32::new(3)),
        log: Arc::new(log),
    })
}
