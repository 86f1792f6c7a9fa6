//! New crates from templates: what `dora new` writes.
//!
//! Invariant: nothing is overwritten, and a crate is written as a whole or its files are not begun. What is written
//! builds, is tested and loads as it comes. Absent: cargo; nothing is built here.

mod name;

pub use name::{CrateName, MAX_LEN, NameError};

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

/// Where a new crate finds the crate `plugin-abi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginAbi {
    /// In this folder.
    Folder(PathBuf),
    /// In a registry, with this version or requirement, such as `0.7`.
    Version(String),
}

/// Why no crate was made.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// It cannot be called so.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is something in its folder.
    #[error(
        "{} is not empty ({found} is there); nothing is overwritten, choose another folder with --path", folder.display()
    )]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// One of the things in it.
        found: String,
    },
    /// The folder is a file.
    #[error("{} exists and is no folder; choose another with --path", .0.display())]
    NotAFolder(PathBuf),
    /// There is no such crate.
    #[error("{} is not the folder of the crate plugin-abi; its Cargo.toml should be there", .0.display())]
    NoPluginAbi(PathBuf),
    /// Neither a folder nor a version.
    #[error("`{0}` is neither a folder with the crate plugin-abi nor a version such as `0.7`")]
    NotAVersion(String),
    /// The system refuses.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// What could not be written.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The files of the template: where they go, and their text with `{{words}}` in it.
const PLUGIN: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("plugin/Cargo.toml.in")),
    (".gitignore", include_str!("plugin/gitignore.in")),
    ("README.md", include_str!("plugin/README.md.in")),
    ("dataflow.yml", include_str!("plugin/dataflow.yml.in")),
    ("src/lib.rs", include_str!("plugin/lib.rs.in")),
    ("src/main.rs", include_str!("plugin/main.rs.in")),
    ("src/node.rs", include_str!("plugin/node.rs.in")),
];

/// What the executable needs of plugin-abi.
const FEATURES: &str = r#"features = ["executable"]"#;

/// Types that `src/node.rs` of the template names: the node cannot be called so.
const TAKEN: [&str; 14] = [
    "Config",
    "Context",
    "Default",
    "Deserialize",
    "Flow",
    "Harness",
    "Input",
    "JsonSchema",
    "Kind",
    "Node",
    "Outputs",
    "Port",
    "Result",
    "Vec",
];

impl PluginAbi {
    /// From what a user says: a folder with the crate, or a version.
    ///
    /// # Errors
    /// [`ScaffoldError::NoPluginAbi`] and [`ScaffoldError::NotAVersion`].
    pub fn parse(text: &str) -> Result<Self, ScaffoldError> {
        let folder = Path::new(text);
        if folder.is_dir() || text.contains(['/', '\\']) {
            let folder = absolute(folder);
            return match is_plugin_abi(&folder) {
                true => Ok(Self::Folder(folder)),
                false => Err(ScaffoldError::NoPluginAbi(folder)),
            };
        }
        let number = text.trim_start_matches(['=', '^', '~']);
        let numbers = number.split(['-', '+']).next().unwrap_or_default();
        let is_version = numbers.split('.').all(|part| part.parse::<u32>().is_ok());
        let possible = |c: char| c.is_ascii_alphanumeric() || "=^~.-+".contains(c);
        if is_version && text.chars().all(possible) {
            Ok(Self::Version(text.to_owned()))
        } else {
            Err(ScaffoldError::NotAVersion(text.to_owned()))
        }
    }

    /// The folder if the crate is still there, else the version of this release.
    pub fn built_from(folder: &Path) -> Self {
        let folder = absolute(folder);
        match is_plugin_abi(&folder) {
            true => Self::Folder(folder),
            false => Self::Version(plugin_abi::handshake::ABI.to_string()),
        }
    }

    /// The value of the dependency in the `Cargo.toml` of a crate in `folder`.
    fn dependency(&self, folder: &Path) -> String {
        match self {
            Self::Version(version) => {
                let version = toml_text(version);
                format!("{{ version = {version}, {FEATURES} }}")
            }
            Self::Folder(crate_folder) => {
                let path = relative_within(folder, crate_folder);
                // Forward slashes work everywhere, and need no escape.
                let path = path.to_string_lossy().replace('\\', "/");
                format!("{{ path = {}, {FEATURES} }}", toml_text(&path))
            }
        }
    }
}

/// Makes the crate of a plugin with one node. Returns what was written, in order, relative to `folder`.
///
/// # Errors
/// See [`ScaffoldError`].
pub fn plugin(
    name: &CrateName,
    folder: &Path,
    plugin_abi: &PluginAbi,
) -> Result<Vec<&'static str>, ScaffoldError> {
    let folder = absolute(folder);
    refuse_to_overwrite(&folder)?;
    let dependency = plugin_abi.dependency(&folder);
    let type_name = name.type_name(&TAKEN);
    let words = [
        ("name", name.as_str()),
        ("type", &type_name),
        ("plugin_abi", &dependency),
    ];
    for (file, template) in PLUGIN {
        write_new(&folder.join(file), &fill(template, &words))?;
    }
    Ok(PLUGIN.map(|(file, _)| file).to_vec())
}

/// An empty folder is fine, and one that only a version control system has put something in.
fn refuse_to_overwrite(folder: &Path) -> Result<(), ScaffoldError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(ScaffoldError::NotAFolder(folder.to_owned()));
        }
        Err(source) => {
            let path = folder.to_owned();
            return Err(ScaffoldError::Write { path, source });
        }
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut names = names.map(|name| name.to_string_lossy().into_owned());
    match names.find(|name| !matches!(name.as_str(), ".git" | ".hg" | ".jj")) {
        None => Ok(()),
        Some(found) => Err(ScaffoldError::NotEmpty {
            folder: folder.to_owned(),
            found,
        }),
    }
}

fn write_new(path: &Path, text: &str) -> Result<(), ScaffoldError> {
    let written = || -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::File::create_new(path)?.write_all(text.as_bytes())
    };
    written().map_err(|source| ScaffoldError::Write {
        path: path.to_owned(),
        source,
    })
}

fn fill(template: &str, words: &[(&str, &str)]) -> String {
    words
        .iter()
        .fold(template.to_owned(), |text, (word, value)| {
            text.replace(&format!("{{{{{word}}}}}"), value)
        })
}

fn is_plugin_abi(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"));
    manifest.is_ok_and(|text| {
        text.lines()
            .any(|line| line.trim() == "name = \"plugin-abi\"")
    })
}

/// The whole path, without `.` and `..`; symbolic links stay.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

/// The way from `folder` to `target` when `folder` is in the repository that `target` is in the root of: a path that
/// stays right wherever the repository is. Else the whole path of `target`.
fn relative_within(folder: &Path, target: &Path) -> PathBuf {
    let inside = target
        .parent()
        .and_then(|root| folder.strip_prefix(root).ok());
    match (inside, target.file_name()) {
        (Some(inside), Some(name)) => {
            let up = inside.components().map(|_| Component::ParentDir);
            up.collect::<PathBuf>().join(name)
        }
        _ => target.to_owned(),
    }
}

/// A basic string of TOML.
fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => out.push_str(&format!("\\u{:04X}", letter as u32)),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
