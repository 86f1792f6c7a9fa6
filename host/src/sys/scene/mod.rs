//! Who is in which callback, on which thread, and what a crash of this process has to say of it, in memory that a parent
//! process may share.
//!
//! Invariant: a callback costs a few stores; what is written when a process crashes takes no memory and no lock. Reading is
//! checked, for a process that crashes may have written anything. Absent: signals (`crash`), and what becomes of it.

mod found;
mod memory;

pub use found::{CAUSE, Crash, Life, Message, words};
pub use plugin_abi::wire::page::Callback;

use memory::{Region, Slot};
use plugin_abi::ffi::Msg;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What is shared with a parent process, if anything is.
static REGION: AtomicPtr<Region> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// The place whose callback runs on this thread.
    static HERE: Cell<*const Slot> = const { Cell::new(ptr::null()) };
}

/// How a process ends of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(windows, allow(dead_code))] // There nobody hears of an exit.
pub(super) enum How {
    /// By this signal, because a stack has overflowed or for another reason.
    Signal { number: i32, overflow: bool },
    /// Somebody has called `exit`.
    Exit,
}

fn region() -> Option<&'static Region> {
    // SAFETY: null, or a region that is never taken away.
    unsafe { REGION.load(Ordering::Acquire).as_ref() }
}

/// Makes the memory that copies of this process share with it; once, in a process of one thread.
///
/// # Errors
/// The system's; then nothing is shared.
#[cfg(unix)]
pub fn share() -> std::io::Result<()> {
    REGION.store(Region::shared()?, Ordering::Release);
    Ok(())
}

/// Forgets all that was written, before a new process that writes.
pub fn clear() {
    if let Some(region) = region() {
        region.clear();
    }
}

/// Says what this process is to whoever finds that it has crashed.
pub fn tell_life(life: &Life) {
    if let Some(region) = region() {
        region.life.clear();
        region.life.append(life.encode().as_bytes());
    }
}

/// What a process that has ended has left of its crash. `guess`: when nothing was written of one, it was the node that was
/// called, if only one was.
pub fn crash(guess: bool) -> Option<Crash> {
    Some(found::crash(region()?, guess))
}

/// What is told of a place.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The dataflow's UUID as text.
    pub dataflow: &'a str,
    /// The node.
    pub node: &'a str,
    /// Its inputs, in the order of their indices.
    pub inputs: &'a [String],
    /// What its code is: lines.
    pub code: &'a str,
}

/// A node that is called here, for as long as this lives.
pub struct Place {
    slot: Held,
    /// The place that called this one's node inline.
    before: AtomicPtr<Slot>,
}

enum Held {
    Shared(&'static Slot),
    /// No parent shares it, or there are very many.
    Own(Box<Slot>),
}

impl Deref for Held {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        match self {
            Self::Shared(slot) => slot,
            Self::Own(slot) => slot,
        }
    }
}

impl Place {
    /// A place for a node.
    pub fn new(about: About<'_>) -> Self {
        let slot = match region().and_then(Region::take) {
            Some(slot) => Held::Shared(slot),
            None => Held::Own(Slot::new()),
        };
        slot.about.clear();
        slot.about.append(found::encode(about).as_bytes());
        Self {
            slot,
            before: AtomicPtr::default(),
        }
    }

    /// A callback begins on this thread. What it is called with lives until its end.
    pub fn begin(&self, callback: Callback, message: *const Msg) {
        let slot: *const Slot = &raw const *self.slot;
        let before = HERE.replace(slot);
        self.before.store(before.cast_mut(), Ordering::Relaxed);
        self.slot.begin(callback, message);
    }

    /// It has returned.
    pub fn end(&self) {
        self.slot.end();
        HERE.set(self.before.load(Ordering::Relaxed));
    }

    /// The callback waits for a reader now, or goes on: in turn.
    pub fn held_up(&self) {
        self.slot.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// The callback that has begun and has not returned.
    pub fn within(&self) -> Option<Callback> {
        self.slot.within()
    }

    /// The system's number of the thread that calls the node, once it has been made.
    pub fn thread(&self) -> Option<u32> {
        let thread = self.slot.thread.load(Ordering::Relaxed);
        (thread != 0).then_some(thread)
    }

    /// How many callbacks have begun.
    pub fn begun(&self) -> u64 {
        self.slot.begun.load(Ordering::Relaxed)
    }

    /// How often it has begun to wait, and has gone on: odd while it waits.
    pub fn waits(&self) -> u32 {
        self.slot.waits.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Held::Shared(slot) = self.slot {
            slot.give_back();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("within", &self.within())
            .finish_non_exhaustive()
    }
}

/// This process ends so, on this thread: writes down who was called. From a signal's handler too. The node's id.
pub(super) fn note<'a>(how: How) -> Option<&'a [memory::Byte]> {
    let here = HERE.get();
    // SAFETY: a place lives at least as long as its callback.
    let slot = unsafe { here.as_ref() };
    if let Some(region) = region() {
        region.note(how, slot);
    }
    slot.map(|slot| found::node(slot.about.bytes()))
}

/// A part of the report of the crash that was noted.
#[cfg(unix)]
pub(super) fn report(text: &[u8]) {
    if let Some(region) = region() {
        region.report.append(text);
    }
}

/// Whether a callback runs on this thread.
#[cfg(any(unix, test))]
pub(super) fn is_called() -> bool {
    !HERE.get().is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about<'a>(node: &'a str, inputs: &'a [String]) -> About<'a> {
        About {
            dataflow: "00000000-0000-0000-0000-000000000007",
            node,
            inputs,
            code: "plugin: /x/liby.so\nsdk: z 1",
        }
    }

    #[test]
    fn callbacks_nest_and_are_counted() {
        let inputs = ["a".to_owned(), "b".to_owned()];
        let (outer, inner) = (
            Place::new(about("outer", &inputs)),
            Place::new(about("inner", &inputs)),
        );
        assert!(!is_called());
        outer.begin(Callback::Input(1), ptr::null());
        inner.begin(Callback::Stop, ptr::null());
        assert_eq!(outer.within(), Some(Callback::Input(1)));
        assert_eq!(inner.within(), Some(Callback::Stop));
        inner.end();
        assert!(is_called());
        assert_eq!((inner.within(), inner.begun()), (None, 1));
        outer.held_up();
        outer.end();
        assert!(!is_called());
        outer.begin(Callback::Create, ptr::null());
        assert_eq!(outer.within(), Some(Callback::Create));
        outer.end();
        assert_eq!((outer.begun(), outer.waits()), (2, 1));
    }

    #[test]
    fn what_is_noted_is_found() {
        let region = Region::own();
        let nobody = found::crash(region, true);
        assert_eq!(nobody.node, None);
        let inputs = ["image".to_owned()];
        let slot = region.take().expect("a place");
        slot.about
            .append(found::encode(about("cam", &inputs)).as_bytes());
        let life = Life {
            who: "the daemon of machine `A`".into(),
            epoch: "7".into(),
            out: Some("/out".into()),
        };
        region.life.append(life.encode().as_bytes());
        slot.begin(Callback::Input(0), ptr::null());
        // Nothing was written of a crash.
        assert_eq!(found::crash(region, false).node, None);
        let guessed = found::crash(region, true);
        assert_eq!(guessed.words(), " in its callback for input `image`");
        let other = region.take().expect("another place");
        other.begin(Callback::Stop, ptr::null());
        assert_eq!(found::crash(region, true).node, None);
        let how = How::Signal {
            number: 11,
            overflow: true,
        };
        region.note(how, Some(slot));
        region.report.append(b"one\ntw");
        region.report.append(b"o\n\x1b[2Jx\xff\n");
        let crash = found::crash(region, true);
        assert_eq!(crash.node.as_deref(), Some("cam"));
        assert_eq!(crash.callback, Some(Callback::Input(0)));
        assert_eq!(crash.words(), " in its callback for input `image`");
        assert_eq!(crash.code, ["plugin: /x/liby.so", "sdk: z 1"]);
        assert_eq!(crash.life, life);
        assert!(crash.overflow && crash.signal == Some(11));
        assert_eq!(crash.report, ["one", "two", "?[2Jx\u{fffd}"]);
        region.clear();
        assert_eq!(found::crash(region, true), nobody);
    }

    #[test]
    fn whatever_is_in_it_can_be_read() {
        let region = Region::own();
        let mut seed = 7_u64;
        for _ in 0..200 {
            region.scribble(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) as u8
            });
            let crash = found::crash(region, true);
            assert!(crash.report.len() + crash.words().len() < 1 << 15);
        }
    }
}
