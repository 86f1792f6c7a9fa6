//! The system's allocator, for programs that handle large messages.
//!
//! Invariant: blocks and errors are those of [`System`]; nothing here allocates or panics. Absent: systems other than Linux,
//! which choose the size of a page by themselves.
//!
//! A large block is fresh memory each time, and to touch each of its small pages first takes as long as to copy into it what
//! it is for: of a message of 40 MiB, which goes through a daemon in four such blocks, that was a third of the time.

use std::alloc::{GlobalAlloc, Layout, System};

/// Blocks of so many bytes have large pages. The GNU C library maps each of these afresh (mallopt(3), `M_MMAP_THRESHOLD`);
/// smaller ones lie in what it keeps, where large pages would hold on to memory that was given back.
const LARGE: usize = 32 << 20;

/// To be the program's `#[global_allocator]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allocator;

// SAFETY: all is done by the system's; advice changes no block's contents.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller has promised.
        advised(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        advised(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        advised(unsafe { System.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline]
fn advised(block: *mut u8, size: usize) -> *mut u8 {
    if size >= LARGE && !block.is_null() {
        ask_for_large_pages(block, size);
    }
    block
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn ask_for_large_pages(block: *mut u8, size: usize) {
    // SAFETY: it only answers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Ok(page @ 1..) = usize::try_from(page) else {
        return;
    };
    // With the pages that it begins and ends in: of a mapping of its own that is all, and a mapping in parts could not grow
    // without a copy.
    let before = block.addr() % page;
    let whole = (before + size).next_multiple_of(page);
    let start = block.wrapping_sub(before).cast();
    // SAFETY: the pages are in use by this block, and by others perhaps; all stay readable, writable and what they contain. A
    // system that has no large pages refuses, and all is as it was.
    unsafe { libc::madvise(start, whole, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code)]
    fn blocks_keep_their_contents_whatever_their_size() {
        for size in [1, LARGE - 1, LARGE, LARGE + (3 << 20) + 1] {
            for align in [1, 128, 1 << 22] {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                // SAFETY: the size is not zero; the block is written and read within it, and freed once, by its last layout.
                unsafe {
                    let block = Allocator.alloc_zeroed(layout);
                    assert!(!block.is_null() && block.addr().is_multiple_of(align));
                    assert_eq!(*block.add(size - 1), 0);
                    block.write_bytes(7, size);
                    let block = Allocator.realloc(block, layout, size * 3);
                    let kept = std::slice::from_raw_parts(block, size);
                    assert!(kept.iter().all(|byte| *byte == 7));
                    let layout = Layout::from_size_align(size * 3, align).expect("a layout");
                    Allocator.dealloc(block, layout);
                    let block = Allocator.alloc(layout);
                    assert!(!block.is_null());
                    Allocator.dealloc(block, layout);
                }
            }
        }
    }

    /// Else it could not grow where it is, or be moved without a copy.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    #[allow(unsafe_code)]
    fn a_large_block_lies_in_one_mapping() {
        let layout = Layout::from_size_align((40 << 20) + 5, 1).expect("a layout");
        // SAFETY: the size is not zero; the block is freed once, by its own layout.
        let block = unsafe { Allocator.alloc(layout) };
        let maps = std::fs::read_to_string("/proc/self/maps").expect("it is there");
        let holds = |line: &str| {
            let range = line.split_once(' ')?.0.split_once('-')?;
            let number = |hex| usize::from_str_radix(hex, 16).ok();
            let (start, end) = (number(range.0)?, number(range.1)?);
            (start <= block.addr() && block.addr() + layout.size() <= end).then_some(())
        };
        assert!(maps.lines().any(|line| holds(line).is_some()), "{maps}");
        // SAFETY: as above.
        unsafe { Allocator.dealloc(block, layout) };
    }
}
