//! What the macro [`export_plugin!`](crate::export_plugin) puts into a library: C functions around [`Node`]s.
//!
//! Invariant: no panic and no Rust type crosses. Absent: the record itself (`handshake`).

use crate::failure::{self, guarded_status};
use crate::ffi::{
    self, Bytes, CreateArgs, DONE, ERR_INVALID_DATA, ERR_UNSUPPORTED, Event, Host, Library, OK,
    Status, Str,
};
use crate::log;
use crate::message::Message;
use crate::node::{Context, Flow, Input, Node, Port, Result, Stop};
use crate::outputs::{HostRef, Outputs, SendError};
use crate::scope::InCallback;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::{NonNull, null};
use std::sync::OnceLock;

/// Exports node kinds from a library: the handshake record, the entry and the layout for the deep check.
///
/// ```text
/// plugin_abi::export_plugin!(Camera, Detector);
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($($node:ty),+ $(,)?) => {
        $crate::__record!();

        /// The plugin's entry; see `plugin_abi::ffi::Entry`.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn dora_plugin_entry(
            library: *const $crate::ffi::Library,
        ) -> *const $crate::ffi::Plugin {
            // SAFETY: the host passes a table that lives until the process ends.
            unsafe { $crate::export::entry(library, &[$($crate::export::kind::<$node>),+]) }
        }

        /// The layout of the contract as this library was compiled; see `plugin_abi::layout`.
        #[unsafe(no_mangle)]
        pub extern "C" fn dora_plugin_layout() -> *const ::core::ffi::c_void {
            $crate::layout::own()
        }
    };
}

/// The handshake record, under the crate's own name and version.
#[doc(hidden)]
#[macro_export]
macro_rules! __record {
    () => {
        /// What this file says of itself before any of its code runs; see `plugin_abi::handshake`.
        #[used]
        #[unsafe(no_mangle)]
        #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__dora"))]
        #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".dora"))]
        pub static DORA_PLUGIN_RECORD: $crate::handshake::Record = $crate::handshake::Record::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            // Asked here, in the plugin: profiles may differ from crate to crate.
            cfg!(panic = "unwind"),
            cfg!(debug_assertions),
        );
    };
}

/// A plugin's static table. Its pointers lead to leaked memory that nobody changes.
struct Table(ffi::Plugin);
// SAFETY: immutable once made.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// The entry behind the macro: takes over the library's log lines and makes the static table, once.
///
/// # Safety
/// `library` is valid until the process ends.
#[doc(hidden)]
pub unsafe fn entry(library: *const Library, kinds: &[fn() -> ffi::Kind]) -> *const ffi::Plugin {
    static TABLE: OnceLock<Table> = OnceLock::new();
    log::install(library);
    let made = failure::guarded(|| {
        let table = TABLE.get_or_init(|| {
            let kinds: Vec<*const ffi::Kind> = kinds
                .iter()
                .map(|kind| &raw const *Box::leak(Box::new(kind())))
                .collect();
            let kinds = kinds.leak();
            Table(ffi::Plugin {
                size: size_of::<ffi::Plugin>(),
                abi_major: crate::handshake::ABI.major.into(),
                abi_minor: crate::handshake::ABI.minor.into(),
                kinds: kinds.as_ptr(),
                n_kinds: kinds.len(),
            })
        });
        Ok(&raw const table.0)
    });
    made.unwrap_or_else(|failure| {
        log::panic_on_own_thread(&failure);
        null()
    })
}

/// The C table of a node kind. Its texts are leaked: it is made once per library.
#[doc(hidden)]
pub fn kind<N: Node>() -> ffi::Kind {
    let kind = N::kind();
    let schema = schemars::schema_for!(N::Config);
    let (inputs, outputs) = (ports(&kind.inputs), ports(&kind.outputs));
    ffi::Kind {
        size: size_of::<ffi::Kind>(),
        name: leak(kind.name),
        description: leak(kind.description),
        inputs: inputs.as_ptr(),
        n_inputs: inputs.len(),
        outputs: outputs.as_ptr(),
        n_outputs: outputs.len(),
        config_schema: leak(schema.as_value().to_string()),
        create: create::<N>,
        on_event: on_event::<N>,
        save_state: save_state::<N>,
        restore_state: restore_state::<N>,
        destroy: destroy::<N>,
    }
}

fn ports(ports: &[Port]) -> &'static [*const ffi::Port] {
    let leaked = ports.iter().map(|port| {
        let port = ffi::Port {
            size: size_of::<ffi::Port>(),
            name: leak(port.name.clone()),
            description: leak(port.description.clone()),
            data_type: leak(port.data_type.clone()),
        };
        &raw const *Box::leak(Box::new(port))
    });
    leaked.collect::<Vec<_>>().leak()
}

fn leak(text: String) -> Str {
    Str::from(&*text.leak())
}

/// Behind the host's pointer to an instance.
struct Instance<N> {
    node: N,
    inputs: Vec<String>,
    outputs: Outputs,
}

impl<N: Node> Instance<N> {
    fn handle(&mut self, event: &Event) -> Result<Flow> {
        let input = || {
            self.inputs
                .get(event.input as usize)
                .map(String::as_str)
                .ok_or("the host sent an unknown input")
        };
        match event.kind {
            ffi::EVENT_INPUT => {
                let message = NonNull::new(event.msg.cast_mut())
                    .ok_or("the host sent an input without a message")?;
                // SAFETY: borrowed for the call, as is what the node gets: no reference to take or to give back.
                let message = ManuallyDrop::new(unsafe { Message::from_raw(message) });
                self.node.on_input(
                    Input {
                        name: input()?,
                        message: &message,
                    },
                    &self.outputs,
                )
            }
            ffi::EVENT_INPUT_CLOSED => self.node.on_input_closed(input()?, &self.outputs),
            ffi::EVENT_STOP => {
                let asked = event.reason != ffi::STOP_INPUTS_CLOSED;
                let why = if asked {
                    Stop::Requested
                } else {
                    Stop::InputsClosed
                };
                self.node.on_stop(why, &self.outputs).map(|()| Flow::Done)
            }
            _ => Ok(Flow::Continue),
        }
    }
}

/// # Safety
/// `text` is valid for its length while the result is used.
unsafe fn text<'a>(text: &Str) -> Result<&'a str> {
    if text.ptr.is_null() {
        return Ok("");
    }
    // SAFETY: passed on to the caller.
    Ok(std::str::from_utf8(unsafe {
        std::slice::from_raw_parts(text.ptr, text.len)
    })?)
}

/// # Safety
/// `list` has `count` valid texts.
unsafe fn texts(list: *const Str, count: usize) -> Result<Vec<String>> {
    // SAFETY: passed on to the caller.
    (0..count)
        .map(|i| unsafe { text(&*list.add(i)) }.map(str::to_owned))
        .collect()
}

unsafe extern "C" fn create<N: Node>(
    _kind: *const ffi::Kind,
    host: *const Host,
    args: *const CreateArgs,
    out: *mut *mut c_void,
) -> Status {
    let _callback = InCallback::of(host);
    guarded_status(host, || {
        let host = NonNull::new(host.cast_mut()).ok_or("the host passed no table")?;
        // SAFETY: the host's tables and arguments are valid for the call, as the contract says.
        let (host, args) = unsafe { (HostRef::retained(host), &*args) };
        if host.table().size < size_of::<Host>() || (args.size as usize) < size_of::<CreateArgs>() {
            return Err("the host's tables are shorter than this plugin's".into());
        }
        // SAFETY: as above.
        let (inputs, outputs, config, node_id, dataflow_id, folder) = unsafe {
            (
                texts(args.inputs, args.n_inputs)?,
                texts(args.outputs, args.n_outputs)?,
                text(&args.config)?,
                text(&args.node_id)?,
                text(&args.dataflow_id)?,
                text(&(*host.table().library).folder)?,
            )
        };
        let outputs = Outputs::new(host, node_id.to_owned(), outputs, N::kind());
        let context = Context {
            node_id,
            dataflow_id,
            inputs: &inputs,
            folder,
            restart_count: args.restart_count,
            outputs: &outputs,
        };
        let node = N::create(config_from::<N::Config>(config)?, &context)?;
        let instance = Box::into_raw(Box::new(Instance {
            node,
            inputs,
            outputs,
        }));
        // SAFETY: the host's to receive.
        unsafe { out.write(instance.cast()) };
        Ok(OK)
    })
}

/// No config at all is the same as an empty map, so that defaults apply.
fn config_from<C: serde::de::DeserializeOwned>(json: &str) -> Result<C> {
    let json = if matches!(json, "" | "null") {
        "{}"
    } else {
        json
    };
    serde_json::from_str(json).map_err(|error| format!("config: {error}").into())
}

unsafe extern "C" fn on_event<N: Node>(instance: *mut c_void, event: *const Event) -> Status {
    // SAFETY: the host passes what `create` stored, to one thread at a time, and an event valid for the call.
    let (instance, event) = unsafe { (&mut *instance.cast::<Instance<N>>(), &*event) };
    let host = instance.outputs.host_ptr();
    let _callback = InCallback::of(host);
    guarded_status(host, || match instance.handle(event) {
        Ok(Flow::Continue) => Ok(OK),
        Ok(Flow::Done) => Ok(DONE),
        // Sending failed because the node is to stop: that is no failure of the node.
        Err(error) if says_closed(error.as_ref()) => Ok(DONE),
        Err(error) => Err(error),
    })
}

/// Whether an error, or one of its causes, is that the node has been told to stop.
fn says_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    failure::chain(error).any(|error| error.downcast_ref() == Some(&SendError::Closed))
}

unsafe extern "C" fn save_state<N: Node>(instance: *mut c_void, out: *mut Bytes) -> Status {
    // SAFETY: as in `on_event`.
    let instance = unsafe { &mut *instance.cast::<Instance<N>>() };
    let host = instance.outputs.host_ptr();
    let _callback = InCallback::of(host);
    guarded_status(host, || {
        let Some(state) = instance.node.save_state()? else {
            return Ok(ERR_UNSUPPORTED);
        };
        let state = Box::new(state.into_boxed_slice());
        let bytes = Bytes {
            ptr: state.as_ptr(),
            len: state.len(),
            owner: Box::into_raw(state).cast(),
            release: Some(release_state),
        };
        // SAFETY: the host's to receive.
        unsafe { out.write(bytes) };
        Ok(OK)
    })
}

unsafe extern "C" fn release_state(bytes: *mut Bytes) {
    // SAFETY: called once, with the bytes that `save_state` made.
    unsafe {
        (*bytes).release = None;
        drop(Box::from_raw((*bytes).owner.cast::<Box<[u8]>>()));
    }
}

unsafe extern "C" fn restore_state<N: Node>(instance: *mut c_void, state: Str) -> Status {
    // SAFETY: as in `on_event`.
    let instance = unsafe { &mut *instance.cast::<Instance<N>>() };
    let host = instance.outputs.host_ptr();
    let _callback = InCallback::of(host);
    guarded_status(host, || {
        // SAFETY: borrowed for the call.
        let bytes = unsafe { crate::message::bytes(&state) };
        instance.node.restore_state(bytes.unwrap_or_default())?;
        Ok(OK)
    })
}

unsafe extern "C" fn destroy<N: Node>(instance: *mut c_void) -> Status {
    if instance.is_null() {
        return ERR_INVALID_DATA;
    }
    // SAFETY: what `create` stored, and this is its last call.
    let instance = unsafe { Box::from_raw(instance.cast::<Instance<N>>()) };
    // Keeps the host's table until the node and its own handle are gone.
    let outputs = instance.outputs.clone();
    let _callback = InCallback::of(outputs.host_ptr());
    guarded_status(outputs.host_ptr(), || {
        drop(instance);
        Ok(OK)
    })
}
