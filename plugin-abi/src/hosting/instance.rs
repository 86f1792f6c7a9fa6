//! Instances as the host calls them: create, events, state, destroy.
//!
//! Invariant: one call at a time, none after an error or after [`Instance`] is dropped. Absent: the decision when.

use super::{Callbacks, Table};
use crate::ffi::{self, Bytes, CreateArgs, Kind, Plugin, Port, Status, Str};
use crate::handshake::{ABI, AbiVersion};
use crate::message::{Message, bytes};
use crate::node::Stop;
use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// A node kind of a loaded plugin.
#[derive(Debug, Clone, Copy)]
pub struct KindTable(&'static Kind);

// SAFETY: a static table that nobody changes.
unsafe impl Send for KindTable {}
// SAFETY: as above.
unsafe impl Sync for KindTable {}

/// The kinds of a plugin's table.
///
/// # Errors
/// What is wrong with the table: null, too short, a kind or one of its functions missing.
///
/// # Safety
/// `plugin` came from the entry of a library that is never unloaded.
pub unsafe fn kinds(plugin: *const Plugin) -> Result<Vec<KindTable>, String> {
    // SAFETY: null or valid until the process ends, here and below.
    let plugin = unsafe { plugin.as_ref() }.ok_or("its entry refused (see the log)")?;
    if plugin.size < size_of::<Plugin>() {
        return Err(format!(
            "its table has {} bytes, expected {}",
            plugin.size,
            size_of::<Plugin>()
        ));
    }
    let says = [plugin.abi_major, plugin.abi_minor];
    let fits = AbiVersion {
        major: u16::try_from(says[0]).unwrap_or(u16::MAX),
        minor: u16::try_from(says[1]).unwrap_or(u16::MAX),
    };
    if !fits.fits(ABI) {
        return Err(format!(
            "its table is of plugin ABI {}.{}, expected {ABI}",
            says[0], says[1]
        ));
    }
    let kind = |i| {
        // SAFETY: `n_kinds` pointers, each null or valid.
        unsafe { kind(*plugin.kinds.add(i)) }
    };
    if plugin.n_kinds == 0 || plugin.kinds.is_null() {
        return Err("it exports no node kind".into());
    }
    (0..plugin.n_kinds).map(kind).collect()
}

/// One kind's table, which a plugin in another language may have left incomplete: until its functions are known to be
/// there, no reference to it may exist.
///
/// # Safety
/// `table` is null or as long as it says, until the process ends.
unsafe fn kind(table: *const Kind) -> Result<KindTable, String> {
    const FUNCTIONS: [(&str, usize); 5] = [
        ("create", offset_of!(Kind, create)),
        ("on_event", offset_of!(Kind, on_event)),
        ("save_state", offset_of!(Kind, save_state)),
        ("restore_state", offset_of!(Kind, restore_state)),
        ("destroy", offset_of!(Kind, destroy)),
    ];
    if table.is_null() {
        return Err("one of its node kinds is missing".into());
    }
    // SAFETY: the size comes first in every table.
    let size = unsafe { (&raw const (*table).size).read() };
    if size < size_of::<Kind>() {
        let expected = size_of::<Kind>();
        return Err(format!(
            "a node kind's table has {size} bytes, expected {expected}"
        ));
    }
    // SAFETY: within the size, and static text as the contract says.
    let name = static_text(unsafe { &(*table).name });
    for (function, at) in FUNCTIONS {
        // SAFETY: within the size.
        if unsafe { table.byte_add(at).cast::<*const c_void>().read() }.is_null() {
            return Err(format!("node kind \"{name}\" has no function `{function}`"));
        }
    }
    // SAFETY: valid, and nothing that may not be null is.
    Ok(KindTable(unsafe { &*table }))
}

impl KindTable {
    /// A kind of this process's own.
    pub(crate) fn own(kind: &'static Kind) -> Self {
        Self(kind)
    }

    /// The kind's name.
    pub fn name(&self) -> String {
        static_text(&self.0.name)
    }

    /// What it does.
    pub fn description(&self) -> String {
        static_text(&self.0.description)
    }

    /// JSON schema of the config; empty when anything will do.
    pub fn config_schema(&self) -> String {
        static_text(&self.0.config_schema)
    }

    /// The declared inputs: name, description, type.
    pub fn inputs(&self) -> Vec<[String; 3]> {
        ports(self.0.inputs, self.0.n_inputs)
    }

    /// The declared outputs: name, description, type.
    pub fn outputs(&self) -> Vec<[String; 3]> {
        ports(self.0.outputs, self.0.n_outputs)
    }
}

fn static_text(text: &Str) -> String {
    // SAFETY: static, as the contract says.
    String::from_utf8_lossy(unsafe { bytes(text) }.unwrap_or_default()).into_owned()
}

fn ports(list: *const *const Port, count: usize) -> Vec<[String; 3]> {
    (0..count)
        // SAFETY: `count` pointers, each null or to a static table, as the contract says.
        .filter_map(|i| unsafe { (*list.add(i)).as_ref() })
        .filter(|port| port.size >= size_of::<Port>())
        .map(|port| [&port.name, &port.description, &port.data_type].map(static_text))
        .collect()
}

/// What an instance is made from.
#[derive(Debug, Clone, Copy)]
pub struct CreateWith<'a> {
    /// Names of the connected inputs, in the order of their indices.
    pub inputs: &'a [String],
    /// Names of the outputs that may be sent on, in the order of their indices.
    pub outputs: &'a [String],
    /// The config: JSON text, `null` for none.
    pub config: &'a str,
    /// The node's id.
    pub node_id: &'a str,
    /// The dataflow's UUID.
    pub dataflow_id: &'a str,
    /// How often the node has been restarted.
    pub restart_count: u32,
}

/// A new instance, or the status that refused it.
pub type Created<C> = Result<Instance<C>, Status>;

/// An event for an instance.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A message on an input.
    Input {
        /// The input's index.
        input: u32,
        /// The message.
        message: &'a Message,
    },
    /// Nothing will come on an input any more.
    InputClosed {
        /// The input's index.
        input: u32,
    },
    /// The last event.
    Stop(Stop),
}

/// Why a state was not saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveError {
    /// The kind keeps none.
    Unsupported,
    /// The node failed.
    Failed(Status),
}

/// A running node, destroyed when dropped. One thread at a time, not always the same.
#[derive(Debug)]
pub struct Instance<C: Callbacks> {
    kind: &'static Kind,
    pointer: *mut c_void,
    table: Arc<Table<C>>,
}

// SAFETY: the contract allows calls from changing threads, one at a time: they need `&mut`.
unsafe impl<C: Callbacks> Send for Instance<C> {}

impl<C: Callbacks> Instance<C> {
    /// Makes an instance.
    ///
    /// # Errors
    /// The plugin's status; the reason has gone to [`Callbacks::report`].
    pub fn create(kind: KindTable, table: Arc<Table<C>>, with: &CreateWith<'_>) -> Created<C> {
        let names = |names: &[String]| {
            names
                .iter()
                .map(|name| Str::from(name.as_str()))
                .collect::<Vec<_>>()
        };
        let (inputs, outputs) = (names(with.inputs), names(with.outputs));
        let args = CreateArgs {
            size: size_of::<CreateArgs>() as u32,
            restart_count: with.restart_count,
            inputs: inputs.as_ptr(),
            n_inputs: inputs.len(),
            outputs: outputs.as_ptr(),
            n_outputs: outputs.len(),
            config: with.config.into(),
            node_id: with.node_id.into(),
            dataflow_id: with.dataflow_id.into(),
        };
        let mut pointer = null_mut();
        // SAFETY: every pointer is valid for the call; the table is kept by this value and whoever retains it.
        let status =
            unsafe { (kind.0.create)(kind.0, table.as_ptr(), &raw const args, &raw mut pointer) };
        if status != ffi::OK {
            return Err(status);
        }
        Ok(Self {
            kind: kind.0,
            pointer,
            table,
        })
    }

    /// Hands over an event: [`ffi::OK`], [`ffi::DONE`] or an error, after which the instance takes no more.
    pub fn on_event(&mut self, event: Event<'_>) -> Status {
        let empty = ffi::Event {
            size: size_of::<ffi::Event>() as u32,
            kind: 0,
            input: 0,
            reason: 0,
            msg: null(),
        };
        let event = match event {
            Event::Input { input, message } => ffi::Event {
                kind: ffi::EVENT_INPUT,
                input,
                msg: message.as_ptr(),
                ..empty
            },
            Event::InputClosed { input } => ffi::Event {
                kind: ffi::EVENT_INPUT_CLOSED,
                input,
                ..empty
            },
            Event::Stop(why) => {
                let reason = if why == Stop::Requested {
                    ffi::STOP_REQUESTED
                } else {
                    ffi::STOP_INPUTS_CLOSED
                };
                ffi::Event {
                    kind: ffi::EVENT_STOP,
                    reason,
                    ..empty
                }
            }
        };
        // SAFETY: `&mut self` is the one caller; the event is borrowed for the call.
        unsafe { (self.kind.on_event)(self.pointer, &raw const event) }
    }

    /// The node's state.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub fn save_state(&mut self) -> Result<Vec<u8>, SaveError> {
        let mut out = Bytes {
            ptr: null(),
            len: 0,
            owner: null_mut(),
            release: None,
        };
        // SAFETY: `&mut self` is the one caller; `out` is ours to be filled.
        match unsafe { (self.kind.save_state)(self.pointer, &raw mut out) } {
            ffi::OK => {}
            ffi::ERR_UNSUPPORTED => return Err(SaveError::Unsupported),
            status => return Err(SaveError::Failed(status)),
        }
        // SAFETY: `OK` says that `out` holds bytes of the plugin's, which are given back here.
        unsafe {
            let state = bytes(&Str {
                ptr: out.ptr,
                len: out.len,
            })
            .unwrap_or_default()
            .to_vec();
            if let Some(release) = out.release {
                release(&raw mut out);
            }
            Ok(state)
        }
    }

    /// Gives the node a saved state, before its first event.
    pub fn restore_state(&mut self, state: &[u8]) -> Status {
        // SAFETY: `&mut self` is the one caller; the state is borrowed for the call.
        unsafe { (self.kind.restore_state)(self.pointer, state.into()) }
    }

    /// The table that the instance calls.
    pub fn table(&self) -> &Arc<Table<C>> {
        &self.table
    }
}

impl<C: Callbacks> Drop for Instance<C> {
    fn drop(&mut self) {
        // SAFETY: the last call. A failure in it was reported and leaves nothing else to do.
        unsafe { (self.kind.destroy)(self.pointer) };
    }
}
