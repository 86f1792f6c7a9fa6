//! Where the libraries are that a plugin needs, as far as that hangs on the plugin's own folder.
//!
//! The loader gets a copy of the plugin in another folder, where `$ORIGIN` means the wrong place. [`beside`] finds
//! what it means in the right one. Two things make the loader take a library found so, and both are needed: opening
//! it first, by its absolute path, gives the library its own right `$ORIGIN`; and the loader must recognise it under
//! the name that the plugin needs, which it does by the library's `SONAME`, or, where it has none (as libraries made
//! by cargo), by a link to it in the copy's folder.
//!
//! Invariant: only looks; what it reads of a library is bounded as for a plugin.
//! Absent: the loader's own search (`LD_LIBRARY_PATH`, its cache, the system's folders). What is not found here is
//! left to it, and [`super::explain_loader_error`] names what it misses. macOS: `@loader_path` is not resolved.

use super::image::Links;
use super::{FileReport, Format, PreflightError, read_file};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Libraries that are followed for one plugin.
const MOST_LIBRARIES: usize = 256;

/// A library that a plugin finds through its own folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// The name that the plugin, or a library of its, needs it by.
    pub needed: String,
    /// Where it is, from the folder that was given.
    pub path: PathBuf,
    /// Whether the loader recognises it under `needed` once it is open.
    pub known_by_name: bool,
    /// Where the plugin's copy expects it, from the copy's folder: `libx.so`, `../lib/libx.so`. `None` for what only
    /// another library needs.
    pub link: Option<PathBuf>,
}

/// The libraries that an ELF plugin whose original lies in `folder` finds through `$ORIGIN`, in the order to open
/// them in. Empty for other formats. A library that is also in a folder that comes first in the search is not among
/// them; `LD_LIBRARY_PATH` is not looked at, so that what lies beside a plugin goes before it.
pub fn beside(report: &FileReport, folder: &Path) -> Vec<Beside> {
    let mut search = Search {
        found: Vec::new(),
        seen: HashSet::new(),
    };
    if let Some(image) = &report.image
        && image.format == Format::Elf
    {
        search.visit(&image.links, folder, &[], true);
    }
    search.found
}

struct Search {
    found: Vec<Beside>,
    seen: HashSet<PathBuf>,
}

/// A folder to look in.
#[derive(Clone)]
struct Folder {
    path: PathBuf,
    /// The same from the plugin's folder; `None` for one that the loader finds as well as we do.
    origin: Option<PathBuf>,
}

impl Search {
    /// Adds what `links` needs from the folders that `$ORIGIN` leads to, dependencies before dependents.
    fn visit(&mut self, links: &Links, folder: &Path, inherited: &[Folder], plugin: bool) {
        // With a RUNPATH the loader ignores RPATHs, also those of the libraries above.
        let (own, pass_on) = if links.runpath.is_empty() {
            (&links.rpath, true)
        } else {
            (&links.runpath, false)
        };
        let mut folders: Vec<Folder> = own.iter().map(|text| expand(text, folder)).collect();
        if pass_on {
            folders.extend_from_slice(inherited);
        }
        for needed in &links.needed {
            let Some((place, origin)) = first(&folders, needed) else {
                continue;
            };
            if self.seen.len() == MOST_LIBRARIES || !self.seen.insert(place.clone()) {
                continue;
            }
            // What cannot be read is left to the loader: it is opened, and the loader says what is wrong with it.
            let links = read_file(&place)
                .ok()
                .and_then(|report| report.image)
                .map(|image| image.links)
                .unwrap_or_default();
            if pass_on && let Some(folder) = place.parent() {
                self.visit(&links, folder, &folders, false);
            }
            self.found.push(Beside {
                needed: needed.clone(),
                known_by_name: links.soname.as_ref() == Some(needed),
                link: plugin.then(|| origin.join(needed)),
                path: place,
            });
        }
    }
}

/// The first place where the library is; `None` when that is the loader's business.
fn first(folders: &[Folder], needed: &str) -> Option<(PathBuf, PathBuf)> {
    // A name with a slash is a path, and not searched for.
    if needed.contains('/') {
        return None;
    }
    let folder = folders
        .iter()
        .find(|folder| folder.path.join(needed).is_file())?;
    Some((folder.path.join(needed), folder.origin.clone()?))
}

fn expand(text: &str, folder: &Path) -> Folder {
    let rest = text
        .strip_prefix("$ORIGIN")
        .or_else(|| text.strip_prefix("${ORIGIN}"));
    match rest {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let inside = rest.trim_start_matches('/');
            Folder {
                path: folder.join(inside),
                origin: Some(inside.into()),
            }
        }
        _ => Folder {
            path: text.into(),
            origin: None,
        },
    }
}

/// Looks for every DLL that a PE file imports in `folders`, the plugin's own first, and then for those that the DLLs
/// in the plugin's own folder import. Windows itself says only that something is missing. Does nothing for other
/// formats. Names are compared without regard to case.
///
/// # Errors
/// [`PreflightError::MissingLibrary`] for the first that is in none of them.
pub fn find_dlls(report: &FileReport, folders: &[PathBuf]) -> Result<(), PreflightError> {
    let mut seen = HashSet::new();
    let mut open = vec![(None, report.clone())];
    while let Some((needed_by, report)) = open.pop() {
        let Some(image) = report
            .image
            .filter(|image| image.format == Format::Pe && seen.len() < MOST_LIBRARIES)
        else {
            continue;
        };
        for library in image.links.needed {
            if is_virtual(&library) || !seen.insert(library.to_ascii_lowercase()) {
                continue;
            }
            let found = folders
                .iter()
                .enumerate()
                .find_map(|(index, folder)| Some((index, in_folder(folder, &library)?)));
            match found {
                None => return Err(PreflightError::MissingLibrary { library, needed_by }),
                // What the system's own libraries need is the system's business.
                Some((0, path)) => {
                    if let Ok(report) = read_file(&path) {
                        open.push((Some(library), report));
                    }
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Names that Windows maps to libraries itself; there are no files of these names.
fn is_virtual(library: &str) -> bool {
    let name = library.to_ascii_lowercase();
    name.starts_with("api-ms-win-") || name.starts_with("ext-ms-")
}

fn in_folder(folder: &Path, library: &str) -> Option<PathBuf> {
    let path = folder.join(library);
    if path.is_file() {
        return Some(path);
    }
    if cfg!(windows) {
        return None;
    }
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .find(|entry| {
            let name = entry.file_name();
            name.to_str()
                .is_some_and(|name| name.eq_ignore_ascii_case(library))
        })
        .map(|entry| entry.path())
}
