//! The files that a `path:` may mean, in the order in which they are tried. Touches no disk.

use std::{
    env,
    path::{Component, Path, PathBuf},
};

use super::{
    super::expand::{Lookup, expand},
    ResolveError,
};

/// Ends of file names that say what a file is, so that nothing is added to them.
const COMPLETE: [&str; 5] = ["so", "dll", "dylib", "exe", "py"];

/// Longest path, with the values of its variables: as Linux has it. Windows takes longer ones, which nobody writes.
pub const MAX_PATH_BYTES: usize = 4096;

/// The systems whose file names differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// `x`, `libx.so`
    Linux,
    /// `x`, `libx.dylib`
    Mac,
    /// `x.exe`, `x.dll`
    Windows,
}

impl Platform {
    /// The system this program was built for.
    pub const fn current() -> Self {
        if cfg!(windows) {
            Platform::Windows
        } else if cfg!(target_os = "macos") {
            Platform::Mac
        } else {
            Platform::Linux
        }
    }

    /// Whether a file of this name is one of this system's, as far as a name can tell.
    pub(super) fn is_native(self, path: &Path) -> bool {
        let extension = lower_extension(path).unwrap_or_default();
        match self {
            Platform::Linux => !matches!(extension.as_str(), "exe" | "dll" | "dylib"),
            Platform::Mac => !matches!(extension.as_str(), "exe" | "dll"),
            Platform::Windows => !matches!(extension.as_str(), "" | "so" | "dylib"),
        }
    }
}

/// Where paths start and what is added to them.
#[derive(Clone)]
pub struct Places<'a> {
    /// Folders from which a relative path starts, the first that has a candidate decides.
    pub folders: Vec<PathBuf>,
    /// The folders of PATH, for bare names.
    pub path_folders: Vec<PathBuf>,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// Extensions that make a file a program on Windows (PATHEXT), with their dot; else empty.
    pub path_extensions: Vec<String>,
    /// Whose file names come first.
    pub platform: Platform,
    /// Values of variables in paths.
    pub lookup: Lookup<'a>,
}

impl Places<'static> {
    /// The places of this process and machine, relative paths starting from `folders`, of which
    /// relative ones start from the current folder.
    pub fn of_this_process(folders: &[&Path]) -> Self {
        let absolute = |folder: &&Path| std::path::absolute(folder).unwrap_or(folder.to_path_buf());
        let path = env::var_os("PATH").unwrap_or_default();
        let extensions = match cfg!(windows) {
            true => env::var("PATHEXT").unwrap_or_else(|_| ".COM;.EXE;.BAT;.CMD".into()),
            false => String::new(),
        };
        let extensions = extensions.split(';').filter(|ext| ext.starts_with('.'));
        Self {
            folders: folders.iter().map(absolute).collect(),
            path_folders: env::split_paths(&path)
                .filter(|folder| folder.is_absolute())
                .collect(),
            home: env::home_dir(),
            path_extensions: extensions.map(str::to_lowercase).collect(),
            platform: Platform::current(),
            lookup: &|name| env::var(name).ok(),
        }
    }
}

impl Places<'_> {
    fn separators(&self) -> &'static [char] {
        match self.platform {
            Platform::Windows => &['/', '\\'],
            Platform::Linux | Platform::Mac => &['/'],
        }
    }

    /// Whether the text may be a path of Windows, and this is another system.
    fn is_foreign(&self, text: &str) -> bool {
        self.platform != Platform::Windows && text.contains('\\')
    }
}

/// Candidates in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The folder.
    pub folder: PathBuf,
    /// File names in it, in the order in which they are tried.
    pub names: Vec<String>,
    /// Whether the folder is one of PATH.
    pub on_path: bool,
}

impl Group {
    /// The candidates as paths.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.names.iter().map(|name| self.folder.join(name))
    }
}

/// All files that `path` may mean, by folder, in order. Where backslashes are no separators the path is tried as it is,
/// then as one of Windows: a descriptor that was written there means the same here.
///
/// # Errors
/// [`ResolveError::Expand`], [`ResolveError::NoHome`], [`ResolveError::TooLong`] and [`ResolveError::OfDrive`].
pub fn candidates(path: &str, places: &Places<'_>) -> Result<Vec<Group>, ResolveError> {
    let expanded = expand(path, places.lookup).map_err(ResolveError::Expand)?;
    if !places.is_foreign(&expanded) {
        return by_folder(&expanded, places);
    }
    // Before the first use: what is too long is so in either form.
    let there = by_folder(&expanded.replace('\\', "/"), places)?;
    let path = Path::new(&expanded);
    let (inside, file) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    );
    let as_it_is = |folder: &Path| Group {
        folder: folder.join(inside.unwrap_or(Path::new(""))),
        names: vec![file.unwrap_or_default().to_owned()],
        on_path: false,
    };
    let mut groups: Vec<Group> = match path.is_absolute() {
        true => vec![as_it_is(Path::new(""))],
        false => places.folders.iter().map(|it| as_it_is(it)).collect(),
    };
    groups.extend(there);
    Ok(groups)
}

/// The folders that a `working_dir` may mean, each once: from each folder where paths start, and as for a path of Windows.
///
/// # Errors
/// [`ResolveError::WorkingDir`], and what [`whole`] refuses.
pub(super) fn working_folders(
    text: &str,
    places: &Places<'_>,
) -> Result<Vec<PathBuf>, ResolveError> {
    const KEY: &str = "working_dir";
    let expanded = expand(text, places.lookup).map_err(ResolveError::WorkingDir)?;
    let mut spelled = vec![whole(&expanded, KEY, places)?];
    if places.is_foreign(&expanded) {
        spelled.push(whole(&expanded.replace('\\', "/"), KEY, places)?);
    }
    let mut folders = Vec::new();
    for folder in &places.folders {
        for path in &spelled {
            let folder = folder.join(path);
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    Ok(folders)
}

/// The text of a descriptor that means exactly this path: a file that has been found, or that a shell has named.
pub fn literally(path: &str) -> String {
    let path = path.replace('$', "$$");
    match path.starts_with('~') {
        true => format!("./{path}"),
        false => path,
    }
}

/// The path of a text whose variables have been replaced, with the home folder for `~`. `key` is what gives the text.
///
/// # Errors
/// [`ResolveError::NoHome`], [`ResolveError::TooLong`], [`ResolveError::OfDrive`].
fn whole(expanded: &str, key: &'static str, places: &Places<'_>) -> Result<PathBuf, ResolveError> {
    if expanded.len() > MAX_PATH_BYTES {
        return Err(ResolveError::TooLong { key });
    }
    let separators = places.separators();
    if places.platform == Platform::Windows && is_of_drive(expanded) {
        let path = expanded.to_owned();
        return Err(ResolveError::OfDrive { key, path });
    }
    match expanded.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with(separators) => {
            let home = places.home.clone().ok_or(ResolveError::NoHome { key })?;
            Ok(home.join(rest.trim_start_matches(separators)))
        }
        _ => Ok(PathBuf::from(expanded)),
    }
}

/// `C:x`, or `C:` alone.
fn is_of_drive(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':', rest @ ..]
        if letter.is_ascii_alphabetic() && !matches!(rest, [b'/' | b'\\', ..]))
}

fn by_folder(expanded: &str, places: &Places<'_>) -> Result<Vec<Group>, ResolveError> {
    let path = whole(expanded, "path", places)?;
    let bare = !expanded.contains(places.separators()) && !expanded.starts_with('~');
    let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
        // `..` and `/` name no file; they are folders, and found to be so.
        let folder = places.folders.first().cloned().unwrap_or_default();
        return Ok(vec![Group {
            folder: folder.join(&path),
            names: vec![String::new()],
            on_path: false,
        }]);
    };
    let names = names(file, places);
    let inside = path.parent().unwrap_or(Path::new(""));
    let group = |folder: &Path, on_path| Group {
        folder: folder.join(inside),
        names: names.clone(),
        on_path,
    };
    if path.is_absolute() {
        return Ok(vec![group(Path::new(""), false)]);
    }
    let mut groups: Vec<Group> = places.folders.iter().map(|f| group(f, false)).collect();
    if bare {
        groups.extend(places.path_folders.iter().map(|f| group(f, true)));
    }
    Ok(groups)
}

/// The names that a file's name or stem stands for.
fn names(file: &str, places: &Places<'_>) -> Vec<String> {
    let extension = lower_extension(Path::new(file)).unwrap_or_default();
    let dotted = format!(".{extension}");
    let complete = COMPLETE.contains(&extension.as_str())
        || file.contains(".so.")
        || places.path_extensions.contains(&dotted);
    let mut names = vec![file.to_owned()];
    if complete {
        return names;
    }
    names.push(format!("{file}.exe"));
    let others = places.path_extensions.iter().filter(|ext| *ext != ".exe");
    names.extend(others.map(|ext| format!("{file}{ext}")));
    // A crate `my-node` builds `libmy_node.so`.
    let underscored = file.replace('-', "_");
    let mut stems = vec![file];
    if underscored != file {
        stems.push(&underscored);
    }
    for stem in stems {
        names.push(format!("lib{stem}.so"));
        names.push(format!("{stem}.dll"));
        names.push(format!("lib{stem}.dylib"));
    }
    names
}

/// Whether a file's name is that of a shared library, on any system.
pub(super) fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = lower_extension(path).unwrap_or_default();
    matches!(extension.as_str(), "so" | "dll" | "dylib") || name.contains(".so.")
}

fn lower_extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// The path without `.` and with `dir/..` taken out, for people. Not for opening: behind a symbolic
/// link `..` leads elsewhere.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(tidy.components().next_back(), Some(Component::Normal(_))) =>
            {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}
