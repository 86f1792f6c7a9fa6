//! Sending: the handle [`Outputs`] and what can be sent with it.
//!
//! Invariant: the host's table is retained as long as a clone of the handle lives, so sending from a thread that
//! outlives its node is refused, not a crash. Absent: how the data become Arrow structs (`payload`).

use crate::ffi::{self, Host, HostBuf, Status, Str};
use crate::message::{Number, Schema};
use crate::meta::Parameters;
use crate::node::Kind;
use crate::payload::{self, Payload, Target};
use crate::scope::Scope;
use std::ptr::{NonNull, null, null_mut};
use std::sync::{Arc, OnceLock};

/// Sends a node's messages. Clone it for the node's own threads; any thread may send at any time.
#[derive(Clone)]
pub struct Outputs(Arc<Shared>);

struct Shared {
    host: HostRef,
    node_id: String,
    names: Vec<String>,
    kind: Kind,
    leaves: [OnceLock<Schema>; payload::LEAVES.len()],
    #[cfg(feature = "arrow")]
    arrays: std::sync::Mutex<Vec<(arrow_schema::DataType, Schema)>>,
}

/// A retained host table.
pub(crate) struct HostRef(NonNull<Host>);

// SAFETY: the table is immutable and each of its functions says "any thread".
unsafe impl Send for HostRef {}
// SAFETY: as above.
unsafe impl Sync for HostRef {}

impl HostRef {
    /// # Safety
    /// `host` is valid.
    pub(crate) unsafe fn retained(host: NonNull<Host>) -> Self {
        // SAFETY: valid by the caller's promise.
        unsafe { (host.as_ref().retain)(host.as_ptr()) };
        Self(host)
    }

    pub(crate) fn as_ptr(&self) -> *const Host {
        self.0.as_ptr()
    }

    pub(crate) fn table(&self) -> &Host {
        // SAFETY: retained.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for HostRef {
    fn drop(&mut self) {
        // SAFETY: gives back what `retained` took.
        unsafe { (self.table().release)(self.as_ptr()) }
    }
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The kind declares no such output.
    UnknownOutput {
        /// The name that was used.
        output: String,
        /// The outputs that the kind declares.
        declared: Vec<String>,
    },
    /// The data are not of the type that the output declares.
    WrongType {
        /// The output.
        output: String,
        /// The type that it declares.
        declared: String,
    },
    /// The data are no valid Arrow data; the host's log says why.
    InvalidData {
        /// The output.
        output: String,
    },
    /// The node has been told to stop. A callback may return it: the node then ends without a failure.
    Closed,
    /// The host has no memory for the message.
    NoMemory,
    /// The host failed, and its log says why.
    Host,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownOutput { output, declared } if declared.is_empty() => {
                write!(f, "unknown output \"{output}\": this node kind has none")
            }
            Self::UnknownOutput { output, declared } => {
                write!(
                    f,
                    "unknown output \"{output}\"; this node kind has: {}",
                    declared.join(", ")
                )
            }
            Self::WrongType { output, declared } => {
                write!(
                    f,
                    "output \"{output}\" is declared as {declared}; the data are of another type"
                )
            }
            Self::InvalidData { output } => {
                write!(
                    f,
                    "the data for output \"{output}\" are no valid Arrow data"
                )
            }
            Self::Closed => f.write_str("the node has been told to stop"),
            Self::NoMemory => f.write_str("the host has no memory for the message"),
            Self::Host => f.write_str("the host failed"),
        }
    }
}

impl std::error::Error for SendError {}

impl Outputs {
    pub(crate) fn new(host: HostRef, node_id: String, names: Vec<String>, kind: Kind) -> Self {
        Self(Arc::new(Shared {
            host,
            node_id,
            names,
            kind,
            leaves: [const { OnceLock::new() }; payload::LEAVES.len()],
            #[cfg(feature = "arrow")]
            arrays: std::sync::Mutex::default(),
        }))
    }

    /// Sends data: bytes (`&[u8]`), text, a number, numbers (`&[f32]`; a `Vec` is moved, not copied), a
    /// [`Message`](crate::message::Message) to forward, an array of another library
    /// ([`CArray`](crate::payload::CArray)) or, with the feature `arrow`, an array. Waits while a reader with the policy
    /// `backpressure` is full. An output that nobody connected takes everything and drops it.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&self, output: &str, data: impl Payload) -> Result<(), SendError> {
        self.send_encoded(output, data, &[])
    }

    /// As [`Outputs::send`], with parameters in the message's metadata.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_with(
        &self,
        output: &str,
        data: impl Payload,
        parameters: &Parameters,
    ) -> Result<(), SendError> {
        self.send_encoded(output, data, &parameters.encode())
    }

    fn send_encoded(
        &self,
        output: &str,
        data: impl Payload,
        parameters: &[u8],
    ) -> Result<(), SendError> {
        let Some(index) = self.index(output)? else {
            return Ok(());
        };
        data.send_to(&Target {
            outputs: self,
            output,
            index,
            parameters,
        })
    }

    /// Room for `length` numbers in the host's memory, to be filled in place and sent without a copy. The numbers
    /// are zeros or leftovers.
    ///
    /// # Errors
    /// The kind declares no such output, or there is no memory.
    pub fn buffer<T: Number>(&self, output: &str, length: usize) -> Result<Buffer<T>, SendError> {
        // An output without readers still gives memory, so that a node need not know.
        let index = self.index(output)?.unwrap_or(u32::MAX);
        let bytes = length
            .checked_mul(size_of::<T>())
            .ok_or(SendError::NoMemory)?;
        let mut raw = HostBuf {
            ptr: null_mut(),
            len: 0,
            owner: null_mut(),
        };
        // SAFETY: `raw` is ours to fill.
        let status =
            unsafe { (self.host().alloc_output)(self.host_ptr(), index, bytes, &raw mut raw) };
        self.explain(status, output)?;
        Ok(Buffer {
            raw,
            length,
            index,
            output: output.to_owned(),
            outputs: self.clone(),
            of: std::marker::PhantomData,
        })
    }

    /// The node's id in its dataflow.
    pub fn node_id(&self) -> &str {
        &self.0.node_id
    }

    /// Makes this thread one of the node's own until the guard is dropped: its log lines carry the node's id.
    pub fn enter(&self) -> Scope {
        Scope::enter(self.clone())
    }

    /// Ends the node as if its next callback had returned [`Flow::Done`](crate::node::Flow::Done). For the node's own
    /// threads.
    pub fn finish(&self) {
        // SAFETY: the table is retained.
        unsafe { (self.host().request_stop)(self.host_ptr()) }
    }

    /// Ends the node with an error. For the node's own threads; a callback returns its error.
    pub fn fail(&self, error: &crate::node::Error) {
        crate::failure::report(
            self.host_ptr(),
            &crate::failure::Failure::from_error(error.as_ref()),
        );
    }

    /// Index of an output, `None` when the descriptor does not connect it.
    fn index(&self, output: &str) -> Result<Option<u32>, SendError> {
        match self.0.names.iter().position(|name| name == output) {
            Some(index) => Ok(u32::try_from(index).ok()),
            None if self.0.kind.has_output(output) => Ok(None),
            None => Err(SendError::UnknownOutput {
                output: output.to_owned(),
                declared: self
                    .0
                    .kind
                    .outputs
                    .iter()
                    .map(|port| port.name.clone())
                    .collect(),
            }),
        }
    }

    pub(crate) fn host(&self) -> &Host {
        self.0.host.table()
    }

    pub(crate) fn host_ptr(&self) -> *const Host {
        self.0.host.as_ptr()
    }

    pub(crate) fn explain(&self, status: Status, output: &str) -> Result<(), SendError> {
        let output = || output.to_owned();
        Err(match status {
            ffi::OK => return Ok(()),
            ffi::ERR_WRONG_TYPE => {
                let port = self
                    .0
                    .kind
                    .outputs
                    .iter()
                    .find(|port| port.name == output());
                let declared = port.map_or_else(String::new, |port| port.data_type.clone());
                SendError::WrongType {
                    output: output(),
                    declared,
                }
            }
            ffi::ERR_INVALID_DATA => SendError::InvalidData { output: output() },
            ffi::ERR_CLOSED => SendError::Closed,
            ffi::ERR_NO_MEMORY => SendError::NoMemory,
            _ => SendError::Host,
        })
    }

    /// The host's interned type of a leaf.
    pub(crate) fn leaf_schema(&self, leaf: usize, output: &str) -> Result<&Schema, SendError> {
        let slot = self.0.leaves.get(leaf).ok_or(SendError::Host)?;
        if let Some(schema) = slot.get() {
            return Ok(schema);
        }
        let schema = self.intern(payload::leaf_schema(leaf), output)?;
        Ok(slot.get_or_init(|| schema))
    }

    #[cfg(feature = "arrow")]
    pub(crate) fn array_schema(
        &self,
        data_type: &arrow_schema::DataType,
        schema: ffi::ArrowSchema,
        output: &str,
    ) -> Result<Schema, SendError> {
        let mut known = self
            .0
            .arrays
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, found)) = known.iter().find(|(of, _)| of == data_type) {
            drop(crate::message::OwnedSchema(schema));
            return Ok(found.clone());
        }
        let interned = self.intern(schema, output)?;
        // A node deals in a few types; one that makes up new ones must not fill the memory.
        if known.len() < 16 {
            known.push((data_type.clone(), interned.clone()));
        }
        Ok(interned)
    }

    pub(crate) fn intern(
        &self,
        mut schema: ffi::ArrowSchema,
        output: &str,
    ) -> Result<Schema, SendError> {
        let mut out = null();
        // SAFETY: the schema is ours to give, `out` ours to fill.
        let status =
            unsafe { (self.host().intern_schema)(self.host_ptr(), &raw mut schema, &raw mut out) };
        self.explain(status, output)?;
        if out.is_null() {
            return Err(SendError::Host);
        }
        // SAFETY: `OK` says that it holds a reference.
        Ok(unsafe { Schema::from_raw(out) })
    }
}

impl std::fmt::Debug for Outputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outputs")
            .field("node_id", &self.0.node_id)
            .field("names", &self.0.names)
            .finish()
    }
}

/// Numbers in the host's memory that become a message without a copy. Dropped without being sent, it goes back.
pub struct Buffer<T: Number> {
    raw: HostBuf,
    length: usize,
    index: u32,
    output: String,
    outputs: Outputs,
    of: std::marker::PhantomData<T>,
}

// SAFETY: plain memory that this value alone owns.
unsafe impl<T: Number> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Number> Sync for Buffer<T> {}

impl<T: Number> Buffer<T> {
    /// Sends the numbers on the output that the buffer was made for.
    ///
    /// # Errors
    /// See [`SendError`]; the buffer is gone all the same.
    pub fn send(self) -> Result<(), SendError> {
        self.send_encoded(&[])
    }

    /// As [`Buffer::send`], with parameters in the message's metadata.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_with(self, parameters: &Parameters) -> Result<(), SendError> {
        self.send_encoded(&parameters.encode())
    }

    fn send_encoded(mut self, parameters: &[u8]) -> Result<(), SendError> {
        if self.index == u32::MAX {
            return Ok(());
        }
        let schema = self
            .outputs
            .leaf_schema(payload::leaf_of::<T>(), &self.output)?
            .as_ptr();
        let host = self.outputs.host();
        let length = i64::try_from(self.length).map_err(|_| SendError::NoMemory)?;
        // SAFETY: the buffer came from this host, holds `length` values and is taken over.
        let status = unsafe {
            (host.send_buf)(
                self.outputs.host_ptr(),
                self.index,
                schema,
                &raw mut self.raw,
                length,
                Str::from(parameters),
            )
        };
        self.outputs.explain(status, &self.output)
    }
}

impl<T: Number> std::ops::Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the host gave that many bytes, initialised and 64-aligned; every bit pattern is a number.
        unsafe { std::slice::from_raw_parts(self.raw.ptr.cast(), self.length) }
    }
}

impl<T: Number> std::ops::DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and this value alone owns the memory.
        unsafe { std::slice::from_raw_parts_mut(self.raw.ptr.cast(), self.length) }
    }
}

impl<T: Number> Drop for Buffer<T> {
    fn drop(&mut self) {
        if !self.raw.owner.is_null() {
            // SAFETY: not sent, so still ours to give back.
            unsafe { (self.outputs.host().free_buf)(self.outputs.host_ptr(), &raw mut self.raw) }
        }
    }
}

impl<T: Number> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer")
            .field("output", &self.output)
            .field("length", &self.length)
            .finish()
    }
}
