//! What a seat calls: an instance of a plugin in this process, or one outside.
//!
//! Invariant: both get the same events in the same order. Absent: when they are called (`worker`).

use super::Calls;
use super::mailbox::Door;
use super::outside::{About, Body, Outside, OutsideEnd};
use super::seat::{SeatHandle, SeatShared};
use super::state::Ending;
use crate::sys::scene::Callback;
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::{
    CreateWith, Event, Instance, KindTable, LibraryTable, NodeFailure, Table, status_text,
};
use plugin_abi::message::Message;
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
                let made = told(calls.as_deref(), (Callback::Create, None), || {
                    plugin.create(shared, restart_count)
                });
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
                let message = match event {
                    Event::Input { message, .. } => Some(message),
                    Event::InputClosed { .. } | Event::Stop(_) => None,
                };
                told(calls.as_deref(), (callback_of(&event), message), || {
                    shared.called(|| instance.on_event(event))
                })
            }
            Self::Outside(body) => {
                body.event(event);
                ffi::OK
            }
        }
    }

    /// Drops it: a plugin's instance is called once more for that.
    pub fn destroy(self, shared: &SeatShared) {
        match self {
            Self::Plugin(instance, calls) => {
                told(calls.as_deref(), (Callback::Destroy, None), || {
                    shared.called(|| drop(instance))
                })
            }
            Self::Outside(body) => shared.called(|| drop(body)),
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

    /// What takes messages past the node's thread.
    pub fn door(&self) -> Option<Arc<dyn Door>> {
        match self {
            Self::Plugin(..) => None,
            Self::Outside(body) => body.door(),
        }
    }

    /// Whether it ends by saying so, and not with its last event.
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Outside(_))
    }
}

/// The callback that an event leads to.
pub fn callback_of(event: &Event<'_>) -> Callback {
    match *event {
        Event::Input { input, .. } => Callback::Input(input),
        Event::InputClosed { input } => Callback::InputClosed(input),
        Event::Stop(_) => Callback::Stop,
    }
}

/// A call, with a word before and after it for whoever wants to know.
fn told<T>(
    calls: Option<&dyn Calls>,
    (callback, message): (Callback, Option<&Message>),
    call: impl FnOnce() -> T,
) -> T {
    if let Some(calls) = calls {
        calls.begin(callback, message);
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
        ..NodeFailure::new(status_text(status))
    })
}
