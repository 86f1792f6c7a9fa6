//! The frames of the thread that asks: addresses in files, for `addr2line`.
//!
//! Invariant: takes no memory, and no lock but the loader's, so that a signal's handler may ask too. Absent: names of
//! functions, which need the debug information.

/// Deeper frames are left out.
pub const MOST: usize = 48;

/// A line for each frame of this thread, the innermost first, as soon as it is found: a stack may be no good further out.
pub fn each(each: &mut dyn FnMut(&Line)) {
    let mut number = 0;
    system::walk(&mut |address| {
        let more = number < MOST && address != 0;
        if more {
            each(&line(number, address));
            number += 1;
        }
        more
    });
}

fn line(number: usize, address: usize) -> Line {
    let mut line = Line::new();
    system::file(address, |file, offset| {
        line.push_frame(number, file, offset)
    });
    line.end()
}

/// The addresses of a thread's frames, the innermost first.
#[derive(Debug, Clone, Copy)]
pub struct Stack {
    addresses: [usize; MOST],
    count: usize,
}

impl Stack {
    /// Of this thread, here.
    pub fn here() -> Self {
        let mut stack = Self {
            addresses: [0; MOST],
            count: 0,
        };
        system::walk(&mut |address| stack.push(address));
        stack
    }

    fn push(&mut self, address: usize) -> bool {
        let place = self.addresses.get_mut(self.count);
        let Some(place) = place.filter(|_| address != 0) else {
            return false;
        };
        *place = address;
        self.count += 1;
        true
    }

    /// A line for each frame.
    pub fn lines(&self) -> Vec<String> {
        let addresses = self.addresses.iter().take(self.count);
        let lines = addresses.enumerate().map(|(number, address)| {
            let line = line(number, *address);
            String::from_utf8_lossy(line.as_bytes())
                .trim_end()
                .to_owned()
        });
        lines.collect()
    }
}

/// A line that is put together without memory of its own.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    bytes: [u8; 512],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            bytes: [0; 512],
            length: 0,
        }
    }

    /// What does not fit is left out, but for the end of the line.
    pub fn push(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(place) = self.bytes.get_mut(self.length)
                && self.length < 511
            {
                *place = *byte;
                self.length += 1;
            }
        }
    }

    /// A number behind `0x`.
    pub fn push_hex(&mut self, number: usize) {
        self.push(b"0x");
        let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            let value = (number >> (digit * 4)) & 0xf;
            let letters = b"0123456789abcdef";
            self.push(letters.get(value..=value).unwrap_or_default());
        }
    }

    /// With two digits at least, as frames are counted.
    fn push_count(&mut self, number: usize) {
        for unit in [10, 1] {
            let value = number / unit % 10;
            match (unit, value) {
                (10, 0) => self.push(b" "),
                _ => self.push(b"0123456789".get(value..=value).unwrap_or_default()),
            }
        }
    }

    /// One frame: its number, the file that it is in and where in it.
    fn push_frame(&mut self, number: usize, file: &[u8], offset: usize) {
        self.push(b"  ");
        self.push_count(number);
        self.push(b": ");
        self.push(if file.is_empty() { b"?" } else { file });
        self.push(b"+");
        self.push_hex(offset);
    }

    /// With the end of the line.
    #[must_use]
    pub fn end(mut self) -> Self {
        self.push(b"\n");
        if let Some(last) = self.bytes.get_mut(self.length.saturating_sub(1)) {
            *last = b'\n';
        }
        self
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(unix)]
mod system {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::ptr::null;

    unsafe extern "C" {
        /// Of the unwinder that every Rust program is linked with.
        fn _Unwind_Backtrace(
            each: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
            data: *mut c_void,
        ) -> c_int;
        fn _Unwind_GetIP(context: *mut c_void) -> usize;
        fn dladdr(address: *const c_void, info: *mut Info) -> c_int;
    }

    /// `Dl_info`, which is the same wherever there is `dladdr`.
    #[repr(C)]
    struct Info {
        file: *const c_char,
        base: *mut c_void,
        symbol: *const c_char,
        at: *mut c_void,
    }

    /// What is told of each frame's address, and says whether it wants more.
    type Take<'a> = &'a mut dyn FnMut(usize) -> bool;

    pub fn walk(mut take: Take<'_>) {
        // SAFETY: the callback gets what it is made for. The unwinder reads tables and stacks.
        unsafe { _Unwind_Backtrace(one, (&raw mut take).cast()) };
    }

    extern "C" fn one(context: *mut c_void, take: *mut c_void) -> c_int {
        // SAFETY: what `walk` has given, and the unwinder's own.
        let (take, address) = unsafe { (&mut *take.cast::<Take<'_>>(), _Unwind_GetIP(context)) };
        match take(address) {
            true => 0,
            // Any code but 0 ends it.
            false => 5,
        }
    }

    pub fn file(address: usize, tell: impl FnOnce(&[u8], usize)) {
        let mut info = Info {
            file: null(),
            base: std::ptr::null_mut(),
            symbol: null(),
            at: std::ptr::null_mut(),
        };
        // SAFETY: any address, and room for the answer.
        unsafe { dladdr(address as *const c_void, &raw mut info) };
        let file: &[u8] = match info.file.is_null() {
            true => b"",
            // SAFETY: a text of the loader's, which stays as long as the library.
            false => unsafe { CStr::from_ptr(info.file) }.to_bytes(),
        };
        tell(file, address.wrapping_sub(info.base as usize));
    }
}

#[cfg(windows)]
mod system {
    use super::MOST;
    use std::ffi::c_void;
    use std::ptr::null_mut;

    /// Room for a file's name, as long as the system's own names are.
    const NAME: usize = 260;
    /// The module of an address, which is not kept from being unloaded by that.
    const OF_ADDRESS: u32 = 4 | 2;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn RtlCaptureStackBackTrace(
            skip: u32,
            most: u32,
            addresses: *mut *mut c_void,
            hash: *mut u32,
        ) -> u16;
        fn GetModuleHandleExA(flags: u32, address: *const c_void, module: *mut *mut c_void) -> i32;
        fn GetModuleFileNameA(module: *mut c_void, name: *mut u8, size: u32) -> u32;
    }

    pub fn walk(take: &mut dyn FnMut(usize) -> bool) {
        let mut addresses = [null_mut::<c_void>(); MOST];
        // SAFETY: room for so many.
        let count =
            unsafe { RtlCaptureStackBackTrace(0, MOST as u32, addresses.as_mut_ptr(), null_mut()) };
        for address in addresses.iter().take(count.into()) {
            take(*address as usize);
        }
    }

    pub fn file(address: usize, tell: impl FnOnce(&[u8], usize)) {
        let mut module = null_mut::<c_void>();
        // SAFETY: with these flags any address, and room for the answer.
        unsafe { GetModuleHandleExA(OF_ADDRESS, address as *const c_void, &raw mut module) };
        let mut name = [0_u8; NAME];
        let length = match module.is_null() {
            true => 0,
            // SAFETY: a module, and room of that size.
            false => unsafe { GetModuleFileNameA(module, name.as_mut_ptr(), NAME as u32) },
        };
        let file = name.get(..length as usize).unwrap_or_default();
        tell(file, address.wrapping_sub(module as usize));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_numbered_and_lie_in_this_program() {
        let lines = Stack::here().lines();
        let this = std::env::current_exe().expect("this program");
        let name = this.file_name().expect("a name").to_string_lossy();
        let first = lines.first().expect("a frame");
        assert!(first.starts_with("   0: "), "{first}");
        assert!(first.contains(&format!("{name}+0x")), "{first}");
        assert!(lines.len() > 1 && lines.len() <= MOST, "{lines:?}");
        let mut seen = 0;
        each(&mut |_| seen += 1);
        assert!(seen > 1 && seen <= MOST, "{seen}");
    }

    #[test]
    fn lines_are_cut_and_end() {
        let text = |number, file: &[u8], offset| {
            let mut line = Line::new();
            line.push_frame(number, file, offset);
            String::from_utf8_lossy(line.end().as_bytes()).into_owned()
        };
        assert_eq!(text(7, b"/lib/x.so", 0), "   7: /lib/x.so+0x0\n");
        assert_eq!(text(12, b"", 0xab0), "  12: ?+0xab0\n");
        assert_eq!(
            text(0, b"", usize::MAX),
            format!("   0: ?+{:#x}\n", usize::MAX)
        );
        let long = text(0, &[b'x'; 4096], 1);
        assert!(long.len() <= 512 && long.ends_with("x\n"), "{long}");
    }
}
