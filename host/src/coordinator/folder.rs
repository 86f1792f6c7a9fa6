//! Where a coordinator's memory lies: `DORA_STATE_DIR`, else the user's folder for states. Knows no process environment:
//! it is passed in.

use std::ffi::OsString;
use std::path::PathBuf;

/// The variable that names the folder.
pub const STATE_DIR_VARIABLE: &str = "DORA_STATE_DIR";

/// The folder by the rules of a system, an absolute path unless the variable names another; `None` when the user has
/// none. `os` is named as in [`std::env::consts::OS`]. Makes nothing.
pub fn state_folder(os: &str, variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(folder) = set(STATE_DIR_VARIABLE) {
        return Some(folder.into());
    }
    // Variables that are not absolute do not count.
    let folder = |name: &str| {
        set(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = match os {
        "windows" => folder("LOCALAPPDATA")?,
        "macos" => folder("HOME")?.join("Library/Application Support"),
        _ => match folder("XDG_STATE_HOME") {
            Some(state) => state,
            None => folder("HOME")?.join(".local/state"),
        },
    };
    Some(base.join("dora"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(os: &str, variables: &[(&str, &PathBuf)]) -> Option<PathBuf> {
        state_folder(os, &|name| {
            let mut variables = variables.iter();
            let found = variables.find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_os_str().to_owned())
        })
    }

    #[test]
    fn each_system_has_its_place() {
        // Absolute on every system.
        let root = std::env::temp_dir();
        let (home, relative) = (root.join("home"), PathBuf::from("here"));
        let empty = PathBuf::new();
        let state = home.join(".local/state/dora");
        let table = [
            ("linux", vec![("HOME", &home)], Some(state.clone())),
            (
                "linux",
                vec![("HOME", &home), ("XDG_STATE_HOME", &root)],
                Some(root.join("dora")),
            ),
            (
                "linux",
                vec![("HOME", &home), ("XDG_STATE_HOME", &relative)],
                Some(state.clone()),
            ),
            (
                "linux",
                vec![("HOME", &home), (STATE_DIR_VARIABLE, &relative)],
                Some(relative.clone()),
            ),
            (
                "linux",
                vec![("HOME", &home), (STATE_DIR_VARIABLE, &empty)],
                Some(state),
            ),
            (
                "macos",
                vec![("HOME", &home)],
                Some(home.join("Library/Application Support/dora")),
            ),
            (
                "windows",
                vec![("LOCALAPPDATA", &root), ("HOME", &home)],
                Some(root.join("dora")),
            ),
            ("windows", vec![("HOME", &home)], None),
            ("linux", vec![], None),
        ];
        for (os, variables, expected) in table {
            assert_eq!(found(os, &variables), expected, "{os} {variables:?}");
        }
    }
}
