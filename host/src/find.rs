//! What a user names on the command line -> plugin files: a file, a stem, or a folder.
//!
//! Invariant: what exists under the very name is taken as it is; only else it is a stem. Absent: whether a file is any
//! good (`preflight`), and the paths of descriptors, which know more places (`descriptor::resolve`).

use crate::descriptor::resolve::{self, Places};
use crate::plugin::preflight::{self, FileKind, Machine, PreflightError};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// The file that `path` names: itself, or as a stem in a descriptor (`target/release/random` for `librandom.so`). Of
/// several files the plugin for this machine wins, then any plugin, then the first.
///
/// # Errors
/// [`PreflightError::NotFound`] with everything that was tried.
pub fn find(path: &Path) -> Result<PathBuf, PreflightError> {
    if path.exists() {
        return Ok(path.to_owned());
    }
    let tried = candidates(path);
    let existing = tried.iter().filter(|path| path.is_file());
    let best = existing.min_by_key(|path| rank(path)).cloned();
    best.ok_or(PreflightError::NotFound { tried, built: None })
}

/// Everything that the path may mean, itself first.
fn candidates(path: &Path) -> Vec<PathBuf> {
    let (Some(name), Some(folder)) = (path.file_name().and_then(OsStr::to_str), path.parent())
    else {
        return vec![path.to_owned()];
    };
    let places = Places {
        folders: vec![folder.to_owned()],
        path_folders: Vec::new(),
        home: None,
        path_extensions: Vec::new(),
        platform: resolve::Platform::current(),
        lookup: &|_| None,
    };
    // The shell has replaced variables already: what it left is part of the name. So is a leading `~`.
    let name = resolve::literally(name);
    let groups = resolve::candidates(&name, &places).unwrap_or_default();
    let mut tried: Vec<PathBuf> = groups.iter().flat_map(resolve::Group::paths).collect();
    if tried.is_empty() {
        tried.push(path.to_owned());
    }
    tried
}

fn rank(path: &Path) -> u32 {
    match preflight::read_file(path) {
        Ok(report) if matches!(report.kind, FileKind::Plugin { .. }) => {
            let here = Machine::this().platform;
            let same = report
                .image
                .is_some_and(|image| image.platform.os == here.os);
            u32::from(!same)
        }
        _ => 2,
    }
}

/// The shared libraries in a folder, not in those below it, by name: what is named like one on any system, and what is
/// a plugin under any name.
///
/// # Errors
/// The folder cannot be read.
pub fn libraries_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() && (is_library_name(&path) || is_plugin(&path)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn is_plugin(path: &Path) -> bool {
    let report = preflight::read_file(path);
    report.is_ok_and(|report| matches!(report.kind, FileKind::Plugin { .. }))
}

/// `x.so`, `x.so.1.2`, `x.dll`, `x.dylib`.
fn is_library_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    let versioned = name
        .split_once(".so.")
        .is_some_and(|(_, version)| version.split('.').all(|part| part.parse::<u32>().is_ok()));
    versioned
        || [".so", ".dll", ".dylib"]
            .iter()
            .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            fs::write(folder.path().join(file), "text").expect("written");
        }
        folder
    }

    #[test]
    fn a_stem_finds_the_library_of_its_name() {
        let folder = folder(&[
            "libmy_node.so",
            "other.dll",
            "exact",
            "libexact.so",
            "libcost$.so",
        ]);
        for (asked, expected) in [
            ("my-node", "libmy_node.so"),
            ("other", "other.dll"),
            ("exact", "exact"),
            ("other.dll", "other.dll"),
            ("cost$", "libcost$.so"),
        ] {
            let found = find(&folder.path().join(asked));
            assert_eq!(found, Ok(folder.path().join(expected)), "{asked}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_everything_that_was_tried() {
        let folder = folder(&[]);
        let at = |name: &str| folder.path().join(name).display().to_string();
        let error = find(&folder.path().join("x")).expect_err("nothing there");
        let tried = ["x", "x.exe", "libx.so", "x.dll", "libx.dylib"].map(at);
        assert_eq!(
            error.to_string(),
            format!("not found (tried {})", tried.join(", "))
        );
        let error = find(&folder.path().join("x.so")).expect_err("nothing there");
        assert_eq!(
            error.to_string(),
            format!("not found (tried {})", at("x.so"))
        );
    }

    #[test]
    fn a_folder_has_its_libraries_in_order_of_name() {
        let folder = folder(&[
            "b.dll",
            "liba.so",
            "libc.so.1.2",
            "x.so.d",
            "notes.txt",
            "d.DYLIB",
        ]);
        fs::create_dir(folder.path().join("folder.so")).expect("made");
        let found = libraries_in(folder.path()).expect("read");
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["b.dll", "d.DYLIB", "liba.so", "libc.so.1.2"]);
    }
}
