//! The filter of exceptions that nobody has handled.

use super::{Line, MOST_FRAMES, frame};
use std::ffi::c_void;
use std::io;
use std::ptr;
use windows_sys::Win32::Foundation::{HMODULE, MAX_PATH};
use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::Console::{GetStdHandle, STD_ERROR_HANDLE};
use windows_sys::Win32::System::Diagnostics::Debug::{
    EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS, RtlCaptureStackBackTrace,
    SetUnhandledExceptionFilter,
};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
    GetModuleFileNameA, GetModuleHandleExA,
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
    print(&line.end());
    let mut frames = [ptr::null_mut::<c_void>(); MOST_FRAMES];
    // SAFETY: room for so many.
    let count = unsafe {
        RtlCaptureStackBackTrace(0, MOST_FRAMES as u32, frames.as_mut_ptr(), ptr::null_mut())
    };
    for (number, address) in frames.iter().take(count.into()).enumerate() {
        one_frame(number, *address);
    }
    EXCEPTION_CONTINUE_SEARCH
}

fn one_frame(number: usize, address: *mut c_void) {
    let mut module: HMODULE = ptr::null_mut();
    let flags =
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    // SAFETY: with these flags any address, and room for the answer.
    unsafe { GetModuleHandleExA(flags, address.cast(), &raw mut module) };
    let mut name = [0_u8; MAX_PATH as usize];
    let length = match module.is_null() {
        true => 0,
        // SAFETY: a module, and room of that size.
        false => unsafe { GetModuleFileNameA(module, name.as_mut_ptr(), MAX_PATH) },
    };
    let file = name.get(..length as usize).unwrap_or_default();
    let offset = (address as usize).wrapping_sub(module as usize);
    print(&frame(number, file, offset));
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
