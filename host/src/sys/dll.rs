//! Where Windows looks for the DLLs that a plugin needs.

use std::ffi::OsString;
use std::os::windows::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf, Prefix};
use windows_sys::Win32::System::LibraryLoader::AddDllDirectory;

/// Lets libraries that are loaded with `LOAD_LIBRARY_SEARCH_USER_DIRS` find theirs in this folder too, for good. A
/// folder that cannot be added is left out; the loader's error then names what is missing.
pub fn search_also(folder: &Path) {
    let Ok(folder) = std::path::absolute(folder) else {
        return;
    };
    let folder = plain(&folder);
    let wide: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
    // SAFETY: a zero-terminated path that is borrowed for the call.
    unsafe { AddDllDirectory(wide.as_ptr()) };
}

/// The folders of the system's own libraries.
pub fn system_folders() -> Vec<PathBuf> {
    let root = std::env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
    let root = PathBuf::from(root);
    vec![root.join("System32"), root]
}

/// The path without the `\\?\` that canonical paths begin with: the list of folders does not take it.
fn plain(path: &Path) -> PathBuf {
    let mut components = path.components();
    let start: OsString = match components.next() {
        Some(Component::Prefix(prefix)) => match prefix.kind() {
            Prefix::VerbatimDisk(letter) => format!("{}:", char::from(letter)).into(),
            Prefix::VerbatimUNC(server, share) => {
                let mut start = OsString::from(r"\\");
                start.push(server);
                start.push(r"\");
                start.push(share);
                start
            }
            _ => return path.to_owned(),
        },
        _ => return path.to_owned(),
    };
    let mut plain = start;
    plain.push(components.as_path());
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::plain;
    use std::path::Path;

    #[test]
    fn canonical_paths_become_plain_ones() {
        for (path, expected) in [
            (r"\\?\C:\a b\c", r"C:\a b\c"),
            (r"\\?\UNC\server\share\c", r"\\server\share\c"),
            (r"C:\a", r"C:\a"),
            (r"\\server\share\c", r"\\server\share\c"),
        ] {
            assert_eq!(plain(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
