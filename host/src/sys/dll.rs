//! Where Windows looks for the DLLs that a plugin needs.

use std::os::windows::ffi::OsStrExt;
use std::path::Path;
use windows_sys::Win32::System::LibraryLoader::AddDllDirectory;

/// Lets libraries that are loaded with `LOAD_LIBRARY_SEARCH_USER_DIRS` find theirs in this folder too, for good. A
/// folder that cannot be added is left out; the loader's error then names what is missing.
pub fn search_also(folder: &Path) {
    let Ok(folder) = std::path::absolute(folder) else {
        return;
    };
    let wide: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
    // SAFETY: a zero-terminated path that is borrowed for the call.
    unsafe { AddDllDirectory(wide.as_ptr()) };
}
