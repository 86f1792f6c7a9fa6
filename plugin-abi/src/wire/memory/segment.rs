//! Memory that several processes have mapped: this one's own, or another's that this one was announced.
//!
//! Invariant: a segment stays mapped as long as somebody here has it, whatever becomes of its maker. Absent: what lies in
//! it.

use super::Inner;
use crate::wire::sys::{Mapping, Object};
use std::fmt::Debug;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// Memory that can be mapped by others.
#[derive(Debug)]
pub(in crate::wire) struct Segment {
    /// Its id in this process.
    pub id: u64,
    /// What others map; nothing where they cannot.
    object: Option<Object>,
    mapping: Mapping,
    /// Whether another process has made it.
    foreign: bool,
    pool: Weak<Inner>,
}

/// Bytes in a segment that others read: they stay as they are as long as somebody has this. Any thread.
pub(in crate::wire) trait Lent: Debug + Send + Sync {
    /// What they lie in.
    fn segment(&self) -> &Arc<Segment>;

    /// A reader is gone without giving them back, and may read them all the same: this memory is never used again.
    fn spoil(&self);
}

impl Segment {
    pub(super) fn own(id: u64, object: Object, mapping: Mapping, pool: Weak<Inner>) -> Self {
        Self {
            id,
            object: Some(object),
            mapping,
            foreign: false,
            pool,
        }
    }

    pub(super) fn foreign(
        id: u64,
        object: Option<Object>,
        mapping: Mapping,
        pool: Weak<Inner>,
    ) -> Self {
        Self {
            id,
            object,
            mapping,
            foreign: true,
            pool,
        }
    }

    /// Its length in bytes.
    pub fn size(&self) -> usize {
        self.mapping.size()
    }

    /// What others map; nothing where they cannot.
    pub fn object(&self) -> Option<&Object> {
        self.object.as_ref()
    }

    /// First byte. Another process's is not to be written.
    pub fn as_ptr(&self) -> *mut u8 {
        self.mapping.as_ptr()
    }

    /// The address of the first byte.
    pub fn start(&self) -> usize {
        self.mapping.as_ptr().addr()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let (Some(_), Some(pool)) = (&self.object, self.pool.upgrade()) else {
            return;
        };
        if self.foreign {
            pool.foreign.fetch_sub(1, Ordering::Relaxed);
        }
        // Nobody gets it any more, so whoever sees the new number finds it gone.
        pool.dropped.fetch_add(1, Ordering::Relaxed);
    }
}
