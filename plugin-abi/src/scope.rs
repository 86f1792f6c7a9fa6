//! For which node a thread speaks: that of the callback that it is in, or one whose scope it has entered.
//!
//! Invariant: a table that is pointed to lives: a callback's as long as the callback, a scope's because the scope keeps
//! it, in whatever order scopes end. Absent: what is said (`log`).

use crate::ffi::Host;
use crate::outputs::Outputs;
use std::cell::{Cell, RefCell};
use std::ptr::null;

thread_local! {
    static CALLBACK: CallbackNow = const {
        CallbackNow {
            number: Cell::new(0),
            host: Cell::new(null()),
            last: Cell::new(0),
        }
    };
    /// The scopes that this thread is in. They need not end in the order in which they began.
    static SCOPES: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// The callback that this thread is in.
struct CallbackNow {
    /// Its number on this thread; 0 outside every callback.
    number: Cell<u64>,
    /// Its instance's table, which lives as long as the callback; null outside.
    host: Cell<*const Host>,
    /// The last number that was given away.
    last: Cell<u64>,
}

/// Makes this thread speak for a node until the callback returns. Callbacks end in the reverse order of their
/// beginnings, so this is all that most callbacks cost.
pub(crate) struct InCallback {
    number: u64,
    host: *const Host,
}

impl InCallback {
    /// `host` lives until the guard is dropped.
    pub(crate) fn of(host: *const Host) -> Self {
        CALLBACK.with(|now| {
            now.last.set(now.last.get().wrapping_add(1));
            Self {
                number: now.number.replace(now.last.get()),
                host: now.host.replace(host),
            }
        })
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        CALLBACK.with(|now| {
            now.number.set(self.number);
            now.host.set(self.host);
        });
    }
}

/// A scope that a thread is in.
struct Entered {
    /// Its address is the scope's name.
    outputs: Box<Outputs>,
    /// The callback that it was entered in: the scope ends with it at the latest.
    callback: u64,
}

/// Makes a thread one of a node's own while it lives; see [`Outputs::enter`].
#[derive(Debug)]
pub struct Scope {
    outputs: *const Outputs,
}

impl Scope {
    pub(crate) fn enter(outputs: Outputs) -> Self {
        let outputs = Box::new(outputs);
        let scope = Self {
            outputs: &raw const *outputs,
        };
        let callback = CALLBACK.with(|now| now.number.get());
        // A thread that is ending has no scopes any more: its lines name the library.
        let _ = SCOPES.try_with(|scopes| scopes.borrow_mut().push(Entered { outputs, callback }));
        scope
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let gone = SCOPES.try_with(|scopes| {
            let mut scopes = scopes.borrow_mut();
            let at = scopes
                .iter()
                .rposition(|entered| std::ptr::eq(&raw const *entered.outputs, self.outputs))?;
            Some(scopes.remove(at))
        });
        // Giving the table back may run the host's code: outside the borrow.
        drop(gone);
    }
}

/// The table of the node that this thread speaks for, valid until the thread leaves the scope or the callback that it
/// is in.
pub(crate) fn host() -> Option<*const Host> {
    let (callback, host) = CALLBACK.with(|now| (now.number.get(), now.host.get()));
    let entered = SCOPES.try_with(|scopes| {
        let scopes = scopes.borrow();
        let last = scopes
            .last()
            .filter(|entered| entered.callback == callback)?;
        Some(last.outputs.host_ptr())
    });
    let host = entered.ok().flatten().unwrap_or(host);
    (!host.is_null()).then_some(host)
}
