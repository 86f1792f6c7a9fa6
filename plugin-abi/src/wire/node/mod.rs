//! The process's side: makes the node that the daemon asks for and calls it for each event.
//!
//! Invariant: the node is called by one thread, exactly as a plugin is in a daemon, and gets nothing after its last event.
//! When the daemon is gone the node is told to stop. Absent: which kinds there are, which the caller knows.

mod callbacks;
mod inbox;

use super::WireError;
use super::channel::{Channel, Incoming};
use super::frame::{Create, Ended, FromNode, Greeting, How, ToNode};
use super::page::{Callback, Page};
use super::sys::Wait;
use crate::ffi::{self, Status};
use crate::handshake::{ABI, MESSAGE_FORMAT, Record, Versions};
use crate::hosting::{
    CreateWith, Event, Instance, KindTable, LibraryTable, LogLine, NodeFailure, Table, status_text,
};
use crate::message::Message;
use crate::node::Stop;
use callbacks::{Handle, Shared, lock};
use inbox::Inbox;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Finds the kind that is to be made, and the table of its library.
pub type Find<'a> =
    &'a mut dyn FnMut(&Create) -> Result<(KindTable, &'static LibraryTable), NodeFailure>;

/// Why a process ran no node to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The daemon speaks another version.
    #[error("{0}")]
    Version(String),
    /// The connection.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Runs one node over a connection, to its end. `level` is set as the daemon wants it. Says whether it went well; what
/// went wrong with the node has been told to the daemon.
///
/// # Errors
/// See [`ServeError`].
pub fn serve(
    record: &Record,
    incoming: Incoming,
    level: Arc<AtomicU32>,
    find: Find<'_>,
) -> Result<bool, ServeError> {
    let mut incoming = incoming;
    let channel = incoming.channel().clone();
    greet(record, &mut incoming, &channel)?;
    let create = match next(&mut incoming)? {
        ToNode::Create(create) => create,
        _ => return Err(WireError::Malformed("no node to be made").into()),
    };
    let page = incoming.page(create.page)?;
    level.store(create.level, Ordering::Relaxed);
    let (kind, library) = match find(&create) {
        Ok(found) => found,
        Err(failure) => return Ok(not_created(&channel, failure)?),
    };
    let shared = Shared::new(Inbox::new(incoming), &create, &kind, level);
    let instance = match make(&shared, kind, library, &create, &page) {
        Ok(instance) => instance,
        Err(failure) => return Ok(not_created(&channel, failure)?),
    };
    let mut node = Running {
        closed: vec![false; create.inputs.len()],
        window: create.window.max(1),
        taken: 0,
        shared,
        instance: Some(instance),
        page,
    };
    Ok(node.run()?)
}

fn not_created(channel: &Channel, failure: NodeFailure) -> Result<bool, WireError> {
    channel.send(&FromNode::NotCreated(failure))?;
    Ok(false)
}

/// Tells the daemon this process's versions, and compares the daemon's.
fn greet(record: &Record, incoming: &mut Incoming, channel: &Channel) -> Result<(), ServeError> {
    let hello = Greeting {
        wire: super::VERSION,
        record: record.as_bytes(),
    };
    // First, so that the daemon can say what does not fit, whatever this end thinks of it.
    channel.send(&FromNode::Hello(hello))?;
    match next(incoming)? {
        ToNode::Greeting(greeting) => fits(&greeting).map_err(ServeError::Version),
        _ => Err(WireError::Malformed("no greeting").into()),
    }
}

/// Whether the other side's versions fit this one's; the message format first, as it is what a user knows of.
fn fits(greeting: &Greeting<'_>) -> Result<(), String> {
    let Some(theirs) = Versions::read(greeting.record) else {
        return Err("version mismatch: the daemon's greeting has no handshake record".into());
    };
    if !MESSAGE_FORMAT.fits(theirs.message_format) {
        return Err(format!(
            "version mismatch: message format {MESSAGE_FORMAT} is not compatible with expected message format {}; rebuild it with plugin-abi {}",
            theirs.message_format, theirs.abi
        ));
    }
    if !ABI.fits(theirs.abi) {
        return Err(format!(
            "built for plugin ABI {ABI}, this dora speaks {}; rebuild it with plugin-abi {0}",
            theirs.abi
        ));
    }
    wire_fits(greeting.wire)
}

/// Whether a version of the frames is this crate's.
///
/// # Errors
/// What a user reads behind the file's name.
pub fn wire_fits(version: u16) -> Result<(), String> {
    let here = super::VERSION;
    if version == here {
        return Ok(());
    }
    Err(format!(
        "version mismatch: node wire {version} is not compatible with node wire {here}; build node and dora from one release"
    ))
}

fn next(incoming: &mut Incoming) -> Result<ToNode<'_>, WireError> {
    match incoming.next(Wait::Long)? {
        Some(raw) => raw.decode(),
        None => Err(WireError::Ended),
    }
}

fn make(
    shared: &Arc<Shared>,
    kind: KindTable,
    library: &'static LibraryTable,
    create: &Create,
    page: &Page,
) -> Result<Instance<Handle>, NodeFailure> {
    let table = Table::new(Handle(shared.clone()), library, shared.level.clone());
    let with = CreateWith {
        inputs: &create.inputs,
        outputs: &create.outputs,
        config: &create.config,
        node_id: &create.node_id,
        dataflow_id: &create.dataflow_id,
        restart_count: create.restart_count,
    };
    page.begin(Callback::Create);
    let made = shared.called(|| Instance::create(kind, table, &with));
    page.end();
    made.map_err(|status| failure(shared, status))
}

fn failure(shared: &Shared, status: Status) -> NodeFailure {
    shared.take_failure().unwrap_or_else(|| NodeFailure {
        panicked: status == ffi::ERR_PANICKED,
        ..NodeFailure::new(status_text(status))
    })
}

/// A node that has been made.
struct Running {
    shared: Arc<Shared>,
    /// `None` once it has been destroyed.
    instance: Option<Instance<Handle>>,
    page: Page,
    /// By input.
    closed: Vec<bool>,
    window: u32,
    /// Messages that it is done with and that the daemon has not been told of.
    taken: u32,
}

impl Running {
    /// To the end, and whether it was a good one.
    fn run(&mut self) -> Result<bool, WireError> {
        self.shared.channel.put(&FromNode::Created)?;
        self.shared.channel.put(&FromNode::Ready(self.window))?;
        let (how, gone) = match self.events() {
            Ok(how) => (how, None),
            Err(error) => {
                // A process without a daemon ends, and its node may have something to switch off.
                self.shared.stop_sending();
                let how = self.last_event(Stop::Requested);
                (how, Some(error))
            }
        };
        let good = !matches!(how, How::Failed(_));
        let inputs_closed = !self.closed.is_empty() && self.closed.iter().all(|closed| *closed);
        self.end(Ended { how, inputs_closed })?;
        match gone {
            Some(error) => Err(error),
            None => Ok(good),
        }
    }

    fn events(&mut self) -> Result<How, WireError> {
        loop {
            let event = lock(&self.shared.inbox).next(&self.shared);
            if self.shared.is_over() {
                return Ok(self.ended_by_itself());
            }
            if let Some(how) = self.event(event?)? {
                return Ok(how);
            }
            if self.shared.is_over() {
                return Ok(self.ended_by_itself());
            }
        }
    }

    /// One of its own threads has ended it.
    fn ended_by_itself(&self) -> How {
        match self.shared.take_failure() {
            Some(failure) => How::Failed(failure),
            None if self.shared.is_stopping() => How::Stopped,
            None => How::Done,
        }
    }

    fn event(&mut self, event: inbox::Event) -> Result<Option<How>, WireError> {
        match event {
            inbox::Event::Go => {
                self.shared.go()?;
                Ok(None)
            }
            inbox::Event::Input(input, message) => self.input(input, message),
            inbox::Event::Closed(input) => {
                if let Some(closed) = self.closed.get_mut(input as usize) {
                    *closed = true;
                }
                Ok(self.call(Callback::InputClosed(input), Event::InputClosed { input }))
            }
            inbox::Event::Stop(why) => Ok(Some(self.last_event(why))),
        }
    }

    fn input(&mut self, input: u32, message: Message) -> Result<Option<How>, WireError> {
        let event = Event::Input {
            input,
            message: &message,
        };
        let how = self.call(Callback::Input(input), event);
        drop(message);
        self.taken += 1;
        // Often enough for the daemon to send on, and no more often.
        if how.is_none() && self.taken * 2 >= self.window {
            self.shared.channel.put(&FromNode::Ready(self.taken))?;
            self.taken = 0;
        }
        Ok(how)
    }

    fn last_event(&mut self, why: Stop) -> How {
        match self.call(Callback::Stop, Event::Stop(why)) {
            Some(How::Failed(failure)) => How::Failed(failure),
            _ if why == Stop::Requested => How::Stopped,
            _ => How::Done,
        }
    }

    /// Calls the node; `Some` when that was its last call.
    fn call(&mut self, callback: Callback, event: Event<'_>) -> Option<How> {
        let instance = self.instance.as_mut()?;
        self.page.begin(callback);
        let status = self.shared.called(|| instance.on_event(event));
        self.page.end();
        match status {
            // It may have reported a failure although it went on.
            ffi::OK | ffi::DONE if self.shared.has_failed() => {
                Some(How::Failed(failure(&self.shared, ffi::ERR_FAILED)))
            }
            ffi::OK => None,
            ffi::DONE if self.shared.is_stopping() => Some(How::Stopped),
            ffi::DONE => Some(How::Done),
            status => Some(How::Failed(failure(&self.shared, status))),
        }
    }

    /// Destroys the node, then tells the daemon.
    fn end(&mut self, ended: Ended) -> Result<(), WireError> {
        let shared = self.shared.clone();
        shared.stop_sending();
        self.page.begin(Callback::Destroy);
        let instance = self.instance.take();
        shared.called(|| drop(instance));
        self.page.end();
        if let Some(failure) = shared.take_failure() {
            shared.log(&LogLine {
                level: 2,
                target: "plugin_abi",
                message: &format!("failed while it was dropped: {failure}"),
                fields: "",
                spans: "",
                file: "",
                line: 0,
            });
        }
        for (output, messages) in shared.unread() {
            shared.channel.put(&FromNode::Unread { output, messages })?;
        }
        shared.channel.send(&FromNode::Ended(ended))
    }
}

#[cfg(test)]
mod tests;
