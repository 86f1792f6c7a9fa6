//! Loading: file check, private copy, library, second look at the record, layout check, entry, declared kinds.
//!
//! Invariant: a library that got this far is never unloaded: its threads, thread-locals and the release functions of
//! its messages may run until the process ends. Absent: instances.

use super::info::{KindInfo, PluginInfo, PortInfo};
use super::preflight::{
    self, Beside, Details, FileKind, Handshake, Isolation, Language, Machine, PreflightError,
};
use super::{Copies, CopyError};
use libloading::Library;
use plugin_abi::ffi::{self, Entry};
use plugin_abi::handshake::{self, ABI_STABLE, PREFIX, Record};
use plugin_abi::hosting::{self, KindTable, LibraryTable, LogLine};
use plugin_abi::{layout, types};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

/// Takes the lines of a library, by its plugin's name, that no node is known for.
pub type LibraryLog = Arc<dyn Fn(&str, &LogLine<'_>) + Send + Sync>;

/// How plugins are loaded.
#[derive(Clone)]
pub struct LoaderOptions {
    /// What a plugin shares its process with.
    pub isolation: Isolation,
    /// Whether files are loaded where they are, without a private copy.
    pub in_place: bool,
    /// The most verbose level wanted from lines that no node is known for; may change at any time.
    pub level: Arc<AtomicU32>,
    /// Where such lines go.
    pub log: LibraryLog,
}

/// Loads plugins, each content once. Any thread.
pub struct Loader {
    options: LoaderOptions,
    machine: Machine,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    copies: Option<Copies>,
    loaded: HashMap<PathBuf, Arc<Plugin>>,
}

/// A loaded plugin. Its code stays until the process ends.
#[derive(Debug)]
pub struct Plugin {
    path: PathBuf,
    handshake: Handshake,
    info: PluginInfo,
    kinds: Vec<KindTable>,
    library: &'static LibraryTable,
}

/// Why a plugin was not loaded. The text is what follows the file's path.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file does not pass the file check, or the system's loader refuses it.
    #[error(transparent)]
    Refused(#[from] PreflightError),
    /// A library that lies beside it, and that it needs, cannot be loaded.
    #[error("its library {}: {error}", library.display())]
    Dependency {
        /// The library's file.
        library: PathBuf,
        /// What is wrong with it.
        error: PreflightError,
    },
    /// There is no private copy.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The record in memory is not the one in the file.
    #[error("its handshake record changed while it was loaded; rebuild it")]
    Changed,
    /// The deep layout check found what the record's list cannot tell.
    #[error("same ABI version but {0}; build plugin and dora from one release")]
    Layout(String),
    /// What it declares makes no sense.
    #[error("{0}; correct the plugin")]
    Declares(String),
}

impl Loader {
    /// A loader for this machine.
    pub fn new(options: LoaderOptions) -> Self {
        Self {
            options,
            machine: Machine::this(),
            state: Mutex::default(),
        }
    }

    /// As [`Loader::new`], with private copies in a folder that the caller chose.
    pub fn with_copies(options: LoaderOptions, copies: Copies) -> Self {
        let loader = Self::new(options);
        let state = State {
            copies: Some(copies),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            ..loader
        }
    }

    /// Loads a plugin file, or returns the one that was loaded from the same content.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&self, path: &Path) -> Result<Arc<Plugin>, LoadError> {
        // One at a time: the system's loader has a lock of its own, and the table must not load a file twice.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The original first, so that nothing but a plugin is ever copied.
        self.check(path)?;
        let copy = self.copy(&mut state, path)?;
        if let Some(plugin) = state.loaded.get(&copy) {
            return Ok(plugin.clone());
        }
        let (handshake, details) = self.check(&copy)?;
        let folder = super::copies::canonical(path)
            .ok()
            .and_then(|path| path.parent().map(Path::to_owned));
        let folder = folder.unwrap_or_default();
        let plugin = Arc::new(self.open(path, &copy, &folder, handshake, &details)?);
        state.loaded.insert(copy, plugin.clone());
        Ok(plugin)
    }

    fn check(&self, path: &Path) -> Result<(Handshake, Details), LoadError> {
        let report = preflight::read_file(path)?;
        preflight::check(&report, &self.machine, self.options.isolation)?;
        match report.kind {
            FileKind::Plugin { handshake } => match handshake.details.clone() {
                Some(details) => Ok((handshake, details)),
                None => Err(PreflightError::NoRecord.into()),
            },
            _ => Err(PreflightError::NoRecord.into()),
        }
    }

    fn copy(&self, state: &mut State, path: &Path) -> Result<PathBuf, LoadError> {
        if self.options.in_place {
            return Ok(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        }
        if state.copies.is_none() {
            state.copies = Some(Copies::new()?);
        }
        match &mut state.copies {
            Some(copies) => Ok(copies.copy_of(path)?),
            None => Ok(path.to_owned()),
        }
    }

    fn open(
        &self,
        path: &Path,
        copy: &Path,
        folder: &Path,
        handshake: Handshake,
        details: &Details,
    ) -> Result<Plugin, LoadError> {
        open_dependencies(copy, folder, &self.machine)?;
        // Kept mapped for good, see the module's invariant: also when it is refused below, for its constructors have run.
        let opened = open_library(copy, &self.machine)
            .map_err(|error| with_missing_dll(copy, folder, error))?;
        let library: &'static Library = Box::leak(Box::new(opened));
        let name = details.name.clone();
        let log = self.options.log.clone();
        let table = LibraryTable::new(
            &folder.to_string_lossy(),
            self.options.level.clone(),
            move |line| {
                log(&name, line);
            },
        );
        // SAFETY: the file check has passed and the record is compared first; the library is leaked, so every
        // pointer that it hands out stays valid.
        let kinds = unsafe {
            same_record(library, &handshake)?;
            if details.language == Language::Rust && details.abi_stable == ABI_STABLE {
                same_layout(library)?;
            }
            let entry = symbol::<Entry>(library, ffi::ENTRY)?;
            hosting::kinds(entry(table.as_ptr())).map_err(LoadError::Declares)?
        };
        let info = declared(details, &kinds)?;
        Ok(Plugin {
            path: path.to_owned(),
            handshake,
            info,
            kinds,
            library: table,
        })
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("isolation", &self.options.isolation)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// The original file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its record says.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// What it declares.
    pub fn info(&self) -> &PluginInfo {
        &self.info
    }

    /// The node kind of that name.
    pub fn kind(&self, name: &str) -> Option<KindTable> {
        let index = self.info.kinds.iter().position(|kind| kind.name == name)?;
        self.kinds.get(index).copied()
    }

    /// The library's table, for making instances.
    pub fn library(&self) -> &'static LibraryTable {
        self.library
    }
}

/// Opens the libraries that lie where the original's search path says, by their whole paths: the copy's own `$ORIGIN`
/// leads elsewhere. The system's loader then finds them open, by their names: of two libraries of one name beside two
/// plugins, both plugins get the first, as they would without a copy.
fn open_dependencies(copy: &Path, folder: &Path, machine: &Machine) -> Result<(), LoadError> {
    let report = preflight::read_file(copy)?;
    for beside in preflight::beside(&report, folder) {
        let opened = whole(&beside.path).and_then(|()| open_library(&beside.path, machine));
        std::mem::forget(opened.map_err(|error| LoadError::Dependency {
            library: beside.path.clone(),
            error,
        })?);
        if !beside.known_by_name && !copy.starts_with(folder) {
            link(copy, &beside);
        }
    }
    #[cfg(windows)]
    crate::sys::dll::search_also(folder);
    Ok(())
}

/// The system's loader dies of a library that is cut short, whoever asks for it.
fn whole(library: &Path) -> Result<(), PreflightError> {
    match preflight::read_file(library)?.kind {
        FileKind::Other { starts } => Err(PreflightError::NotALibrary { starts }),
        _ => Ok(()),
    }
}

/// A library without a name of its own is recognised by its path only: puts a link where the copy looks for it. If that
/// fails the loader says which library it misses.
fn link(copy: &Path, beside: &Beside) {
    let at = beside.link.as_deref();
    let Some(at) = at.and_then(|link| super::copies::beside_copy(copy, link)) else {
        return;
    };
    if let Some(parent) = at.parent()
        && std::fs::create_dir_all(parent).is_ok()
    {
        #[cfg(unix)]
        let _ = std::os::unix::fs::symlink(&beside.path, &at);
        #[cfg(windows)]
        let _ = std::os::windows::fs::symlink_file(&beside.path, &at);
    }
}

#[cfg(unix)]
fn open_library(path: &Path, machine: &Machine) -> Result<Library, PreflightError> {
    use libloading::os::unix;
    // SAFETY: runs the constructors of a file that has passed the file check, or of a library that it asks for.
    let opened = unsafe { unix::Library::open(Some(path), unix::RTLD_NOW | unix::RTLD_LOCAL) };
    opened
        .map(Library::from)
        .map_err(|error| preflight::explain_loader_error(&loader_words(&error), machine))
}

#[cfg(windows)]
fn open_library(path: &Path, machine: &Machine) -> Result<Library, PreflightError> {
    use libloading::os::windows;
    // Neither the current folder nor PATH: only the system's, and what has been opened by its whole path.
    let flags = windows::LOAD_LIBRARY_SEARCH_SYSTEM32 | windows::LOAD_LIBRARY_SEARCH_USER_DIRS;
    // SAFETY: as on Unix.
    let opened = unsafe { windows::Library::load_with_flags(path, flags) };
    opened
        .map(Library::from)
        .map_err(|error| preflight::explain_loader_error(&loader_words(&error), machine))
}

/// Other systems' loaders name what they miss.
#[cfg(not(windows))]
fn with_missing_dll(_: &Path, _: &Path, error: PreflightError) -> PreflightError {
    error
}

/// Windows says only that something is missing.
#[cfg(windows)]
fn with_missing_dll(copy: &Path, folder: &Path, error: PreflightError) -> PreflightError {
    let mut folders = vec![folder.to_owned()];
    folders.extend(crate::sys::dll::system_folders());
    let looked = preflight::read_file(copy).map(|report| preflight::find_dlls(&report, &folders));
    match looked {
        Ok(Err(missing)) => missing,
        Ok(Ok(())) | Err(_) => error,
    }
}

/// The crate keeps the system's words in the cause.
fn loader_words(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// # Safety
/// The symbol is a function of the type `T`.
unsafe fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, LoadError> {
    // SAFETY: passed on to the caller.
    let found = unsafe { library.get::<T>(name.as_bytes()) };
    found.map(|symbol| *symbol).map_err(|_| {
        PreflightError::NotExported {
            symbol: name.to_owned(),
        }
        .into()
    })
}

/// Compares the record in memory with the one that was read from the file.
unsafe fn same_record(library: &Library, read: &Handshake) -> Result<(), LoadError> {
    // SAFETY: the file check found a record behind this symbol, of at least `PREFIX` bytes.
    let prefix = unsafe {
        let record = symbol::<*const u8>(library, handshake::SYMBOL)?;
        std::ptr::read_unaligned(record.cast::<[u8; PREFIX]>())
    };
    let field = |offset: usize| {
        let bytes = prefix
            .get(offset..offset + 2)
            .and_then(|bytes| bytes.first_chunk().copied());
        u16::from_ne_bytes(bytes.unwrap_or_default())
    };
    let (abi, format) = (
        std::mem::offset_of!(Record, abi),
        std::mem::offset_of!(Record, message_format),
    );
    let same = prefix.starts_with(&handshake::MAGIC)
        && [field(abi), field(abi + 2)] == [read.abi.major, read.abi.minor]
        && [field(format), field(format + 2)]
            == [read.message_format.major, read.message_format.minor];
    if same {
        Ok(())
    } else {
        Err(LoadError::Changed)
    }
}

unsafe fn same_layout(library: &Library) -> Result<(), LoadError> {
    // SAFETY: a Rust plugin of this ABI and of this version of abi_stable exports it with this type.
    unsafe {
        let describe = symbol::<layout::LayoutFn>(library, layout::SYMBOL)?;
        layout::check(describe()).map_err(LoadError::Layout)
    }
}

fn declared(details: &Details, kinds: &[KindTable]) -> Result<PluginInfo, LoadError> {
    let mut info = PluginInfo {
        name: details.name.clone(),
        version: details.version.clone(),
        kinds: Vec::new(),
    };
    for kind in kinds {
        let name = kind.name();
        if name.is_empty() || info.kind(&name).is_some() {
            return Err(LoadError::Declares(format!(
                "it exports no or two node kinds named \"{name}\""
            )));
        }
        let schema = kind.config_schema();
        let schema = (!schema.is_empty())
            .then(|| serde_json::from_str(&schema))
            .transpose();
        let schema = schema.map_err(|error| {
            LoadError::Declares(format!(
                "the config schema of node kind \"{name}\" is no JSON ({error})"
            ))
        })?;
        info.kinds.push(KindInfo {
            inputs: ports(&name, kind.inputs())?,
            outputs: ports(&name, kind.outputs())?,
            description: kind.description(),
            config_schema: schema,
            name,
        });
    }
    Ok(info)
}

fn ports(kind: &str, ports: Vec<[String; 3]>) -> Result<Vec<PortInfo>, LoadError> {
    let mut out: Vec<PortInfo> = Vec::new();
    for [name, description, data_type] in ports {
        let fault = |what: &str| {
            Err(LoadError::Declares(format!(
                "port \"{name}\" of node kind \"{kind}\" {what}"
            )))
        };
        if out.iter().any(|port| port.name == name) {
            return fault("is declared twice");
        }
        if name != info_any() && name.parse::<crate::ids::PortName>().is_err() {
            return fault("has a name that is none (letters, digits, `_.-` and `/`)");
        }
        if !data_type.is_empty() && !types::is_known(&data_type) {
            return fault(&format!(
                "declares the type \"{data_type}\", which Arrow does not have"
            ));
        }
        out.push(PortInfo {
            name,
            description,
            data_type: Some(data_type).filter(|text| !text.is_empty()),
        });
    }
    Ok(out)
}

fn info_any() -> &'static str {
    super::info::ANY_PORT
}
