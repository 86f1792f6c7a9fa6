//! The filter of exceptions that nobody has handled.

use super::{Line, OVERFLOW, frames, push_node};
use crate::sys::scene::{self, How};
use std::io;
use std::ptr;
use windows_sys::Win32::Foundation::EXCEPTION_STACK_OVERFLOW;
use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::Console::{GetStdHandle, STD_ERROR_HANDLE};
use windows_sys::Win32::System::Diagnostics::Debug::{
    EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS, SetUnhandledExceptionFilter,
};

pub(super) fn report() -> io::Result<()> {
    // SAFETY: a filter of the right form.
    unsafe { SetUnhandledExceptionFilter(Some(crashed)) };
    Ok(())
}

unsafe extern "system" fn crashed(exception: *const EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system gives a valid one.
    let (code, address) = unsafe {
        let record = &*(*exception).ExceptionRecord;
        (record.ExceptionCode, record.ExceptionAddress as usize)
    };
    let mut line = Line::new();
    line.push(b"crashed: exception ");
    line.push_hex(code.cast_unsigned() as usize);
    line.push(b" at ");
    line.push_hex(address);
    if code == EXCEPTION_STACK_OVERFLOW {
        line.push(OVERFLOW.as_bytes());
    }
    let how = How::Signal {
        number: code,
        overflow: code == EXCEPTION_STACK_OVERFLOW,
    };
    push_node(&mut line, scene::note(how));
    print(&line.end());
    frames::each(&mut print);
    EXCEPTION_CONTINUE_SEARCH
}

fn print(line: &Line) {
    let bytes = line.as_bytes();
    let mut written = 0;
    // SAFETY: borrowed for the call. Nothing can be done where nobody reads.
    unsafe {
        WriteFile(
            GetStdHandle(STD_ERROR_HANDLE),
            bytes.as_ptr(),
            bytes.len() as u32,
            &raw mut written,
            ptr::null_mut(),
        )
    };
}
