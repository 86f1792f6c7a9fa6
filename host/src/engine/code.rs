//! What a seat calls: an instance of a plugin in this process, or one outside.
//!
//! Invariant: both get the same events in the same order. Absent: when they are called (`worker`).

use super::Calls;
use super::outside::{About, Body, Outside, OutsideEnd};
use super::seat::{SeatHandle, SeatShared};
use super::state::Ending;
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::{
    CreateWith, Event, Instance, KindTable, LibraryTable, NodeFailure, Table, status_text,
};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// What a node's instances are made from.
pub enum Code {
    /// A plugin.
    Plugin(PluginCode),
    /// Somebody else runs it.
    Outside(Arc<dyn Outside>, Arc<About>),
}

/// A kind of a plugin and what its instances are told.
pub struct PluginCode {
    /// The kind to make.
    pub kind: KindTable,
    /// The library that the kind comes from.
    pub library: &'static LibraryTable,
    /// Log level of this node; may change at any time.
    pub level: Arc<AtomicU32>,
    /// The dataflow's UUID as text.
    pub dataflow: String,
    /// The config: JSON text.
    pub config: String,
    /// Names of its inputs, in the order of their indices.
    pub inputs: Vec<String>,
    /// Names of its outputs, in the order of their indices.
    pub outputs: Vec<String>,
    /// Who is told of each call.
    pub calls: Option<Arc<dyn Calls>>,
}

/// An instance.
pub enum Made {
    /// In this process, and who is told of its calls.
    Plugin(Instance<SeatHandle>, Option<Arc<dyn Calls>>),
    /// Outside.
    Outside(Box<dyn Body>),
}

impl Code {
    /// Whether somebody else runs it.
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Outside(..))
    }

    /// Makes an instance.
    pub fn create(&self, shared: &Arc<SeatShared>, restart_count: u32) -> Result<Made, Ending> {
        match self {
            Self::Plugin(plugin) => {
                let calls = plugin.calls.clone();
                let made = told(
                    calls.as_deref(),
                    |calls| calls.create(),
                    || plugin.create(shared, restart_count),
                );
                Ok(Made::Plugin(made?, calls))
            }
            Self::Outside(outside, about) => {
                let end = OutsideEnd::new(shared.clone(), restart_count, about.clone());
                match outside.create(end) {
                    Ok(body) => Ok(Made::Outside(body)),
                    Err(_) if shared.is_stopping() => Err(Ending::Stopped),
                    Err(failure) => Err(Ending::NotCreated(failure)),
                }
            }
        }
    }
}

impl PluginCode {
    fn create(
        &self,
        shared: &Arc<SeatShared>,
        restart_count: u32,
    ) -> Result<Instance<SeatHandle>, Ending> {
        let handle = SeatHandle::new(shared.clone(), restart_count);
        let table = Table::new(handle, self.library, self.level.clone());
        let with = CreateWith {
            inputs: &self.inputs,
            outputs: &self.outputs,
            config: &self.config,
            node_id: shared.id.as_str(),
            dataflow_id: &self.dataflow,
            restart_count,
        };
        match shared.called(|| Instance::create(self.kind, table, &with)) {
            Ok(instance) => Ok(instance),
            // Its sending was refused because a stop has been requested meanwhile.
            Err(ffi::ERR_CLOSED) => Err(Ending::Stopped),
            Err(status) => Err(Ending::NotCreated(failure(shared, status))),
        }
    }
}

impl Made {
    /// Hands over an event. One outside says by itself when it has ended.
    pub fn on_event(&mut self, shared: &SeatShared, event: Event<'_>) -> Status {
        match self {
            Self::Plugin(instance, None) => shared.called(|| instance.on_event(event)),
            Self::Plugin(instance, calls) => {
                let call = |calls: &dyn Calls| calls.event(&event);
                told(calls.as_deref(), call, || {
                    shared.called(|| instance.on_event(event))
                })
            }
            Self::Outside(body) => {
                body.event(event);
                ffi::OK
            }
        }
    }

    /// The node may begin.
    pub fn go(&mut self) {
        if let Self::Outside(body) = self {
            body.go();
        }
    }

    /// Nothing else waits for it now.
    pub fn idle(&mut self) {
        if let Self::Outside(body) = self {
            body.idle();
        }
    }

    /// Whether it ends by saying so, and not with its last event.
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Outside(_))
    }
}

/// A call, with a word before and after it for whoever wants to know.
fn told<T>(
    calls: Option<&dyn Calls>,
    before: impl FnOnce(&dyn Calls),
    call: impl FnOnce() -> T,
) -> T {
    if let Some(calls) = calls {
        before(calls);
    }
    let result = call();
    if let Some(calls) = calls {
        calls.returned();
    }
    result
}

/// The failure that an instance has reported, or what its status says.
pub fn failure(shared: &SeatShared, status: Status) -> NodeFailure {
    shared.take_failure().unwrap_or_else(|| NodeFailure {
        panicked: status == ffi::ERR_PANICKED,
        text: status_text(status).to_owned(),
        causes: Vec::new(),
        place: None,
    })
}
