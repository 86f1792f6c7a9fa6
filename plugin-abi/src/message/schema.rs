//! Interned types: equal types of one process share one counted [`MsgSchema`] with one id.
//!
//! Invariant: an entry's count is raised from zero never, and lowered to zero only under the table's lock, so a
//! pointer found in the table is alive. Absent: what the type means (see `types`).

use crate::ffi::{ArrowSchema, MsgSchema};
use crate::types::{self, MAX_DEPTH, UnknownType};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CStr, c_char};
use std::mem::size_of;
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

/// A counted reference to an interned type. Any thread.
#[derive(Debug)]
pub struct Schema(NonNull<MsgSchema>);

// SAFETY: the schema behind it is immutable and its count is atomic.
unsafe impl Send for Schema {}
// SAFETY: as above.
unsafe impl Sync for Schema {}

/// What lies behind the pointer of a schema that this module made.
#[repr(C)]
struct Entry {
    schema: MsgSchema,
    count: AtomicUsize,
    /// A plain leaf is kept for good and not counted: senders and readers of numbers, bytes and text would otherwise
    /// fight for its count at every message.
    kept: bool,
    text: String,
    key: Vec<u8>,
}

/// An entry's address. The table owns no reference.
struct Address(*mut Entry);
// SAFETY: the table's lock guards every use.
unsafe impl Send for Address {}

static TABLE: LazyLock<Mutex<HashMap<Vec<u8>, Address>>> = LazyLock::new(Mutex::default);
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn table() -> std::sync::MutexGuard<'static, HashMap<Vec<u8>, Address>> {
    // Nothing panics while it holds the lock in a half-done state.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Schema {
    /// Interns a type and releases the schema that was passed.
    ///
    /// # Errors
    /// The type is none of Arrow's, or too deep; the schema is released all the same.
    ///
    /// # Safety
    /// `schema` is valid as the Arrow C Data Interface demands, and the caller's to give away.
    pub unsafe fn intern(schema: ArrowSchema) -> Result<Self, UnknownType> {
        let schema = OwnedSchema(schema);
        if schema.0.release.is_none() {
            return Err(UnknownType("it has been released already".into()));
        }
        // SAFETY: valid by the caller's promise.
        let text = unsafe { types::text(&schema.0) }?;
        let mut key = Vec::new();
        // SAFETY: as above.
        let n_nodes = unsafe { write_key(&schema.0, &mut key, 0) }?;
        let mut table = table();
        if let Some(&Address(entry)) = table.get(&key) {
            // SAFETY: what the table holds is alive while its lock is held.
            let (kept, count) = unsafe { ((*entry).kept, &(*entry).count) };
            if !kept {
                count.fetch_add(1, Ordering::Relaxed);
            }
            // SAFETY: a box is never null. The pointer is to the whole entry, which `retain` and `release` make of it.
            return Ok(Self(unsafe { NonNull::new_unchecked(entry.cast()) }));
        }
        let entry = Box::into_raw(Box::new(Entry {
            schema: MsgSchema {
                size: size_of::<MsgSchema>() as u32,
                n_nodes,
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                schema: schema.into_inner(),
                retain,
                release,
            },
            count: AtomicUsize::new(1),
            kept: is_plain_leaf(&key),
            text,
            key: key.clone(),
        }));
        table.insert(key, Address(entry));
        // SAFETY: a box is never null.
        Ok(Self(unsafe { NonNull::new_unchecked(entry.cast()) }))
    }

    /// The interned type of a leaf without parameters, such as `C` for bytes.
    ///
    /// # Errors
    /// No such format in Arrow.
    pub fn leaf(format: &'static CStr) -> Result<Self, UnknownType> {
        // SAFETY: the schema points to static text and owns nothing.
        unsafe {
            Self::intern(ArrowSchema {
                format: format.as_ptr(),
                name: c"".as_ptr(),
                metadata: null(),
                flags: 2,
                n_children: 0,
                children: null_mut(),
                dictionary: null_mut(),
                release: Some(release_nothing),
                private_data: null_mut(),
            })
        }
    }

    /// Takes over one reference.
    ///
    /// # Safety
    /// `pointer` is not null and its reference is the caller's to give.
    pub unsafe fn from_raw(pointer: *const MsgSchema) -> Self {
        // SAFETY: not null by the caller's promise.
        Self(unsafe { NonNull::new_unchecked(pointer.cast_mut()) })
    }

    /// A reference of its own to a borrowed schema.
    ///
    /// # Safety
    /// `pointer` is valid.
    pub unsafe fn retained(pointer: *const MsgSchema) -> Self {
        // SAFETY: valid by the caller's promise.
        unsafe {
            ((*pointer).retain)(pointer);
            Self::from_raw(pointer)
        }
    }

    /// The pointer, with its reference, for the other side.
    pub fn into_raw(self) -> *const MsgSchema {
        let pointer = self.0.as_ptr();
        std::mem::forget(self);
        pointer
    }

    /// The pointer, borrowed.
    pub fn as_ptr(&self) -> *const MsgSchema {
        self.0.as_ptr()
    }

    /// The type's unique number.
    pub fn id(&self) -> u64 {
        self.as_ref().id
    }

    /// The type in words (see [`crate::types`]); kept, if this copy of the crate interned it.
    pub fn text(&self) -> Cow<'_, str> {
        let schema = self.as_ref();
        if std::ptr::fn_addr_eq(
            schema.retain,
            retain as unsafe extern "C" fn(*const MsgSchema),
        ) {
            // SAFETY: only this module makes schemas with this function, each the first field of an `Entry`.
            return Cow::Borrowed(unsafe { &(*self.as_ptr().cast::<Entry>()).text });
        }
        // SAFETY: interned schemas are valid.
        let text = unsafe { types::text(&schema.schema) };
        Cow::Owned(text.unwrap_or_else(|error| error.to_string()))
    }
}

impl AsRef<MsgSchema> for Schema {
    fn as_ref(&self) -> &MsgSchema {
        // SAFETY: alive while a reference is held.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for Schema {
    fn clone(&self) -> Self {
        // SAFETY: alive while a reference is held.
        unsafe { Self::retained(self.as_ptr()) }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that this value holds.
        unsafe { (self.as_ref().release)(self.as_ptr()) }
    }
}

unsafe extern "C" fn retain(schema: *const MsgSchema) {
    // SAFETY: the caller holds a reference, so the entry lives.
    let entry = unsafe { &*schema.cast::<Entry>() };
    if !entry.kept {
        entry.count.fetch_add(1, Ordering::Relaxed);
    }
}

unsafe extern "C" fn release(schema: *const MsgSchema) {
    let entry = schema.cast_mut().cast::<Entry>();
    // SAFETY: the caller holds a reference, so the entry lives until it is counted down below.
    let (kept, count) = unsafe { ((*entry).kept, &(*entry).count) };
    if kept {
        return;
    }
    let not_last = |n: usize| (n > 1).then(|| n - 1);
    if count
        .fetch_update(Ordering::Release, Ordering::Relaxed, not_last)
        .is_ok()
    {
        return;
    }
    let mut table = table();
    // Another thread may have found it in the table since.
    if count.fetch_sub(1, Ordering::AcqRel) > 1 {
        return;
    }
    // SAFETY: the last reference is gone and the lock keeps anybody from finding it.
    let entry = unsafe { Box::from_raw(entry) };
    table.remove(&entry.key);
    drop(table);
    let Entry { schema, .. } = *entry;
    drop(OwnedSchema(schema.schema));
}

/// A schema that is released when it goes out of scope.
pub(crate) struct OwnedSchema(pub(crate) ArrowSchema);

impl OwnedSchema {
    pub(crate) fn into_inner(self) -> ArrowSchema {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: moved out once; the wrapper's drop does not run.
        unsafe { std::ptr::read(&this.0) }
    }
}

impl Drop for OwnedSchema {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: the producer's own function, on a schema not yet released.
            unsafe { release(&mut self.0) }
        }
    }
}

unsafe extern "C" fn release_nothing(schema: *mut ArrowSchema) {
    // SAFETY: called with the schema that carries it.
    unsafe { (*schema).release = None }
}

/// Whether a key is that of a format of one letter, of which there are few, with nothing else said.
fn is_plain_leaf(key: &[u8]) -> bool {
    const NULLABLE: u8 = 2;
    // The letter, then the ends of format and name, no metadata, flags, no children, no dictionary.
    let mut plain = [0; 21];
    if let (Some(letter), Some(flags)) = (key.first(), key.get(4)) {
        (plain[0], plain[4]) = (*letter, flags & NULLABLE);
    }
    key == plain
}

/// Writes what tells types apart, and counts the descendants.
unsafe fn write_key(
    schema: &ArrowSchema,
    key: &mut Vec<u8>,
    depth: usize,
) -> Result<u32, UnknownType> {
    if depth > MAX_DEPTH {
        return Err(UnknownType(format!("nested deeper than {MAX_DEPTH}")));
    }
    // SAFETY: valid by the caller's promise, here and below.
    unsafe {
        write_text(schema.format, key);
        write_text(schema.name, key);
        write_metadata(schema.metadata, key)?;
    }
    key.extend_from_slice(&schema.flags.to_le_bytes());
    key.extend_from_slice(&schema.n_children.to_le_bytes());
    let mut nodes = 0_u32;
    // SAFETY: as above.
    for child in unsafe { types::children_of(schema) }? {
        // SAFETY: as above.
        nodes = nodes.saturating_add(1 + unsafe { write_key(child, key, depth + 1) }?);
    }
    key.push(u8::from(!schema.dictionary.is_null()));
    // SAFETY: as above.
    if let Some(values) = unsafe { schema.dictionary.as_ref() } {
        // SAFETY: as above.
        nodes = nodes.saturating_add(1 + unsafe { write_key(values, key, depth + 1) }?);
    }
    Ok(nodes)
}

unsafe fn write_text(text: *const c_char, key: &mut Vec<u8>) {
    if !text.is_null() {
        // SAFETY: zero-terminated by the caller's promise.
        key.extend_from_slice(unsafe { CStr::from_ptr(text) }.to_bytes());
    }
    key.push(0);
}

/// Arrow's binary key-value form: `i32` count, then for each pair `i32` length and bytes, twice.
unsafe fn write_metadata(metadata: *const c_char, key: &mut Vec<u8>) -> Result<(), UnknownType> {
    if metadata.is_null() {
        key.push(0);
        return Ok(());
    }
    key.push(1);
    let bad = || UnknownType("its metadata have a negative length".into());
    let mut at = metadata.cast::<u8>();
    // SAFETY: the form is the producer's promise; lengths are read before what they cover.
    let mut take = |length: usize, key: &mut Vec<u8>| unsafe {
        key.extend_from_slice(std::slice::from_raw_parts(at, length));
        at = at.add(length);
    };
    take(4, key);
    let pairs = last_i32(key);
    for _ in 0..u32::try_from(pairs).map_err(|_| bad())?.saturating_mul(2) {
        take(4, key);
        let length = usize::try_from(last_i32(key)).map_err(|_| bad())?;
        take(length, key);
    }
    Ok(())
}

fn last_i32(bytes: &[u8]) -> i32 {
    bytes
        .last_chunk()
        .map_or(0, |chunk| i32::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_types_share_one_entry_until_the_last_is_dropped() {
        let a = Schema::leaf(c"tDs").expect("a type");
        let b = Schema::leaf(c"tDs").expect("a type");
        assert_eq!(a.as_ptr(), b.as_ptr());
        assert_ne!(a.id(), Schema::leaf(c"tDm").expect("a type").id());
        let id = a.id();
        drop((a, b));
        assert_ne!(Schema::leaf(c"tDs").expect("a type").id(), id);
        assert!(Schema::leaf(c"?").is_err());
    }

    #[test]
    fn plain_leaves_are_kept() {
        let id = Schema::leaf(c"L").expect("a type").id();
        assert_eq!(Schema::leaf(c"L").expect("a type").id(), id);
        let kept = |schema: &Schema| {
            // SAFETY: made by this module.
            unsafe { (*schema.as_ptr().cast::<Entry>()).kept }
        };
        assert!(kept(&Schema::leaf(c"u").expect("a type")));
        assert!(!kept(&Schema::leaf(c"tDs").expect("a type")));
    }

    #[test]
    fn threads_that_intern_and_drop_the_same_type_agree() {
        let often = if cfg!(miri) { 20 } else { 2_000 };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..often {
                        let schema = Schema::leaf(c"tDn").expect("a type");
                        assert_eq!(schema.clone().id(), schema.id());
                    }
                });
            }
        });
    }
}
