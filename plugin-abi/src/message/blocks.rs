//! Memory for small messages, kept for the next ones.
//!
//! A message is made on its sender's thread and freed on its reader's. Allocators pay for that with a lock, which two
//! busy threads fight for: measured, it was two thirds of the cost of a small message. Here blocks of one size go round
//! in batches. Invariant: a block is used by one message, or lies in one stack; what is kept is bounded: two batches per
//! thread, and [`MOST_SPARE`] for all. Absent: large messages, and what is in a block.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::mem::align_of;
use std::ptr::{NonNull, null_mut};
use std::sync::{Mutex, PoisonError};

/// Size of a block: a message with a few numbers or words and a few parameters.
const SIZE: usize = 384;
/// That of a cache line, so that a small message takes as few of them as can be.
const ALIGN: usize = 64;
/// Blocks that change hands at once.
const BATCH: usize = 32;
/// Batches that lie ready for any thread: 384 KiB.
const MOST_SPARE: usize = 32;

const BLOCK: Layout = match Layout::from_size_align(SIZE, ALIGN) {
    Ok(layout) => layout,
    Err(_) => panic!("a constant layout"),
};

/// What a free block holds.
struct Free {
    next: *mut Free,
}

const _: () = assert!(size_of::<Free>() <= SIZE && align_of::<Free>() <= ALIGN);

/// Free blocks, one below the other.
struct Stack {
    top: *mut Free,
    count: usize,
}

// SAFETY: the blocks belong to the stack alone.
unsafe impl Send for Stack {}

impl Stack {
    const EMPTY: Self = Self {
        top: null_mut(),
        count: 0,
    };

    fn push(&mut self, block: NonNull<u8>) {
        let free = block.cast::<Free>();
        // SAFETY: the block is given to the stack, and has room for a `Free`.
        unsafe { free.write(Free { next: self.top }) };
        self.top = free.as_ptr();
        self.count += 1;
    }

    fn pop(&mut self) -> Option<NonNull<u8>> {
        let free = NonNull::new(self.top)?;
        // SAFETY: `push` wrote it, and nobody else has it.
        self.top = unsafe { free.read() }.next;
        self.count -= 1;
        Some(free.cast())
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::EMPTY)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        while let Some(block) = self.pop() {
            // SAFETY: every block in a stack was allocated with this layout.
            unsafe { dealloc(block.as_ptr(), BLOCK) };
        }
    }
}

/// Batches that lie ready for any thread.
static SPARE: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// A thread's own blocks: the one it works with, and a full batch or none.
struct Own {
    open: Stack,
    full: Stack,
}

thread_local! {
    static OWN: RefCell<Own> = const { RefCell::new(Own { open: Stack::EMPTY, full: Stack::EMPTY }) };
}

fn spare() -> std::sync::MutexGuard<'static, Vec<Stack>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Own {
    fn pop(&mut self) -> Option<NonNull<u8>> {
        if self.open.count == 0 {
            self.open = self.full.take();
        }
        if self.open.count == 0
            && let Some(batch) = spare().pop()
        {
            self.open = batch;
        }
        self.open.pop()
    }

    fn push(&mut self, block: NonNull<u8>) {
        if self.open.count == BATCH {
            let batch = std::mem::replace(&mut self.full, self.open.take());
            if batch.count > 0 {
                let mut spare = spare();
                if spare.len() < MOST_SPARE {
                    spare.push(batch);
                } else {
                    // Freed without the lock.
                    drop(spare);
                    drop(batch);
                }
            }
        }
        self.open.push(block);
    }
}

/// Whether memory of this layout comes in blocks.
fn is_small(layout: Layout) -> bool {
    layout.size() <= SIZE && layout.align() <= ALIGN
}

/// Memory for a message; `None` when there is none.
///
/// # Safety
/// The layout's size is not zero.
pub(super) unsafe fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    if !is_small(layout) {
        // SAFETY: passed on to the caller.
        return NonNull::new(unsafe { alloc(layout) });
    }
    // A thread that is ending has none of its own any more.
    let kept = OWN.try_with(|own| own.try_borrow_mut().ok()?.pop());
    // SAFETY: the size is not zero.
    kept.ok()
        .flatten()
        .or_else(|| NonNull::new(unsafe { alloc(BLOCK) }))
}

/// Gives memory back.
///
/// # Safety
/// It came from [`allocate`] with this layout, and nobody uses it any more.
pub(super) unsafe fn free(block: NonNull<u8>, layout: Layout) {
    if !is_small(layout) {
        // SAFETY: passed on to the caller.
        return unsafe { dealloc(block.as_ptr(), layout) };
    }
    let kept = OWN.try_with(|own| match own.try_borrow_mut() {
        Ok(mut own) => {
            own.push(block);
            true
        }
        Err(_) => false,
    });
    if kept != Ok(true) {
        // SAFETY: small blocks are all allocated with this layout.
        unsafe { dealloc(block.as_ptr(), BLOCK) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    const SMALL: Layout = Layout::new::<[u64; 30]>();

    /// One that is used, and may be freed by any thread.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Used(NonNull<u8>);

    // SAFETY: it belongs to whoever has it.
    unsafe impl Send for Used {}

    fn allocated(layout: Layout) -> Used {
        // SAFETY: not zero.
        let block = unsafe { allocate(layout) }.expect("memory");
        // SAFETY: at least a byte.
        unsafe { block.write(7) };
        Used(block)
    }

    fn freed(Used(block): Used, layout: Layout) {
        // SAFETY: from `allocated`, with the same layout.
        unsafe { free(block, layout) };
    }

    #[test]
    fn a_thread_uses_its_blocks_again_and_never_twice_at_once() {
        let first: Vec<_> = (0..100).map(|_| allocated(SMALL)).collect();
        let mut sorted = first.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 100);
        let last = first[99];
        first.into_iter().for_each(|block| freed(block, SMALL));
        let again = allocated(SMALL);
        assert_eq!(again, last);
        freed(again, SMALL);
    }

    #[test]
    fn large_memory_is_not_kept() {
        let layout = Layout::new::<[u64; 1_000]>();
        freed(allocated(layout), layout);
    }

    #[test]
    fn blocks_go_round_between_threads() {
        let (to_reader, blocks) = sync_channel(64);
        let reader = std::thread::spawn(move || {
            for block in blocks {
                freed(block, SMALL);
            }
            OWN.with_borrow(|own| own.open.count + own.full.count)
        });
        let many = if cfg!(miri) { 300 } else { 100_000 };
        for _ in 0..many {
            to_reader.send(allocated(SMALL)).expect("it reads");
        }
        drop(to_reader);
        assert!(reader.join().expect("it ends") <= 2 * BATCH);
        assert!(spare().len() <= MOST_SPARE);
    }
}
