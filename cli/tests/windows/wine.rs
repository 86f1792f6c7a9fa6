//! Windows for tests: the workspace's programs built for it, a fresh Wine, folders on its drive C.
//!
//! Invariant: nothing that runs in this Wine, and nothing of its files, outlives the test's process, however that ends.

use host_testing::{Background, Run, repo_root, run, skipped, target_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take on a busy machine, where Wine starts a program in a second.
pub const DEADLINE: Duration = Duration::from_secs(120);
const TARGET: &str = "x86_64-pc-windows-gnu";
const COMPILER: &str = "x86_64-w64-mingw32-gcc";
/// The loader behind `wine`, which on some systems has no other name and complains of missing 32 bits.
const LOADERS: [&str; 3] = ["wine64", "/usr/lib/wine/wine64", "wine"];

/// What a console tells the programs in it, by the system's numbers.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    CtrlC = 0,
    CtrlBreak = 1,
    Close = 2,
    LogOff = 5,
    Shutdown = 6,
}

/// The one Wine of this process.
struct Wine {
    loader: &'static str,
    prefix: PathBuf,
    /// Where the Windows programs are.
    built: PathBuf,
}

/// A folder of one test on drive C, with what is needed to run the Windows programs in it.
pub struct Windows {
    wine: &'static Wine,
    folder: TempDir,
}

impl Windows {
    /// A fresh folder; `None`, which has been told, where there is no Windows to be had.
    pub fn new() -> Option<Self> {
        static WINE: OnceLock<Result<Wine, &str>> = OnceLock::new();
        let wine = match WINE.get_or_init(Wine::new) {
            Ok(wine) => wine,
            Err(why) => {
                skipped(why);
                return None;
            }
        };
        let drive = wine.prefix.join("drive_c");
        let folder = tempfile::Builder::new().prefix("t").tempdir_in(drive);
        let folder = folder.expect("a folder on drive C");
        Some(Self { wine, folder })
    }

    /// The folder as Linux sees it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder as Windows sees it, such as `C:\tabc`.
    pub fn name(&self) -> String {
        let name = self.path().file_name().expect("a name");
        format!(r"C:\{}", name.to_string_lossy())
    }

    /// A Windows program or plugin that was built.
    pub fn built(&self, file: &str) -> PathBuf {
        self.wine.built.join(file)
    }

    /// Puts a built file into the test's folder, as it would stand in the target folder of a user.
    pub fn install(&self, files: &[&str]) {
        for file in files {
            self.write(
                &format!("target/release/{file}"),
                fs::read(self.built(file)).expect("it was built"),
            );
        }
    }

    /// Writes a file below the test's folder.
    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().expect("inside a folder")).expect("a folder");
        fs::write(&path, content).expect("written");
        path
    }

    /// A Windows program with arguments, to be run in the folder `inside` the test's own.
    pub fn program(&self, program: &Path, inside: &str, args: &[&str]) -> Command {
        let folder = self.path().join(inside);
        fs::create_dir_all(&folder).expect("a folder");
        let mut command = self.wine.command();
        command.arg(program).args(args).current_dir(folder);
        command
    }

    /// `dora` with arguments, to be run in the folder `inside` the test's own.
    pub fn command(&self, inside: &str, args: &[&str]) -> Command {
        self.program(&self.built("dora.exe"), inside, args)
    }

    /// Runs `dora` to its end.
    pub fn dora(&self, inside: &str, args: &[&str]) -> Run {
        run(&mut self.command(inside, args), DEADLINE)
    }

    /// Starts `dora` in a console that is told this event when the file `go` of the test's folder is there.
    pub fn in_console(&self, event: Event, inside: &str, args: &[&str]) -> Background {
        let console = self.wine.prefix.join("console.exe");
        let go = format!(r"{}\go", self.name());
        let dora = format!("Z:{}", self.built("dora.exe").display()).replace('/', "\\");
        let event = (event as u32).to_string();
        let args = [&[event.as_str(), &go, &dora], args].concat();
        Background::start(&mut self.program(&console, inside, &args))
    }

    /// Has the event sent.
    pub fn go(&self) {
        self.write("go", "");
    }

    /// The quickstart as it stands in the repository, two folders below the test's own, with its plugins.
    pub fn quickstart(&self, parent: &str) {
        self.install(&["random.dll", "status.dll", "sink.dll"]);
        let text = fs::read(repo_root().join("examples/quickstart/dataflow.yml"));
        self.write(
            &format!("{parent}/quickstart/dataflow.yml"),
            text.expect("read"),
        );
    }

    /// Starts `dora` in the folder `inside` the test's own.
    pub fn start(&self, inside: &str, args: &[&str]) -> Background {
        Background::start(&mut self.command(inside, args))
    }

    /// Compiles one of the tests' C programs to this file below the test's folder.
    pub fn compile(&self, source: &str, to: &str) {
        compile(source, &self.write(to, ""), &["-municode", "-lws2_32"]);
    }

    /// The plugin in C of the fixtures, with one thing more that it needs: a DLL of ours.
    pub fn compile_plugin_with_dll(&self, plugin: &str, dll: &str) {
        let dll = self.write(dll, "");
        compile("beside.c", &dll, &["-shared"]);
        let echo = repo_root().join("host/testing/fixtures/c/echo.c");
        let headers = format!("-I{}", repo_root().join("plugin-abi/include").display());
        let (echo, dll) = (echo.to_string_lossy(), dll.to_string_lossy());
        let args = ["-shared", &headers, "-DUSED", &echo, &dll];
        compile("beside.c", &self.write(plugin, ""), &args);
    }

    /// The processes that work in the test's folder or below.
    pub fn processes(&self) -> Vec<String> {
        let entries = fs::read_dir("/proc").expect("processes").flatten();
        let inside = entries.filter(|entry| {
            let folder = fs::read_link(entry.path().join("cwd"));
            folder.is_ok_and(|folder| folder.starts_with(self.path()))
        });
        let name = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("comm")).ok();
        inside.filter_map(name).collect()
    }

    /// As [`Windows::dora`], again while a coordinator on a busy machine does not answer in the time that commands wait.
    pub fn answered(&self, inside: &str, args: &[&str]) -> Run {
        let until = std::time::Instant::now() + DEADLINE;
        loop {
            let run = self.dora(inside, args);
            if !run.stderr.contains("has not answered") || std::time::Instant::now() > until {
                return run;
            }
        }
    }
}

impl Wine {
    fn new() -> Result<Self, &'static str> {
        let there = |program: &&str| {
            let mut command = Command::new(program);
            let command = command.arg("--version").stdout(Stdio::null());
            command.stderr(Stdio::null()).status().is_ok()
        };
        let loader = LOADERS.into_iter().find(there).ok_or("no wine")?;
        if !has_target() || !there(&COMPILER) {
            return Err("no Windows target");
        }
        let wine = Self {
            loader,
            prefix: prefix(),
            built: build(),
        };
        let system = wine.prefix.join("drive_c/windows/system32");
        let boot = run(wine.command().args(["wineboot", "--init"]), DEADLINE);
        assert!(system.is_dir(), "no Windows was made: {boot}");
        // Newer Wines have it.
        let library = system.join("bcryptprimitives.dll");
        if !library.exists() {
            compile("bcryptprimitives.c", &library, &["-shared", "-ladvapi32"]);
        }
        compile(
            "console.c",
            &wine.prefix.join("console.exe"),
            &["-municode"],
        );
        Ok(wine)
    }

    /// A Windows program is to be run.
    fn command(&self) -> Command {
        let mut command = Command::new(self.loader);
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEARCH", "win64")
            .env("WINEDEBUG", "-all")
            // Neither asks for a download when the prefix is made.
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            // Names of files are UTF-8.
            .env("LC_ALL", "C.UTF-8")
            .env("RUST_BACKTRACE", "1")
            .env_remove("DISPLAY");
        for name in ["CACHE_DIR", "STATE_DIR", "OUT_DIR", "COORDINATOR_ADDR"] {
            command.env_remove(format!("DORA_{name}"));
        }
        command
    }
}

fn has_target() -> bool {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let folder = rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let folder = folder.output().expect("rustc runs").stdout;
    Path::new(String::from_utf8_lossy(&folder).trim()).is_dir()
}

/// The Windows programs, in the target folder of the workspace.
fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repo_root()).args(["build", "--quiet"]);
    for package in ["dora", "random", "status", "sink"] {
        cargo.args(["--package", package]);
    }
    let output = cargo
        .args(["--target", TARGET, "--target-dir"])
        .arg(target_dir())
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo starts");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "no build for Windows: {words}");
    target_dir().join(TARGET).join("debug")
}

/// A folder for Wine. When the pipe closes, which only this process holds open, all in it is ended and removed.
fn prefix() -> PathBuf {
    const CLEAN_UP: &str = r#"read -r _; wineserver -k; wineserver -w; rm -rf "$WINEPREFIX""#;
    let parent = target_dir().join("wine");
    fs::create_dir_all(&parent).expect("a folder");
    let folder = tempfile::Builder::new()
        .prefix("prefix-")
        .tempdir_in(parent);
    let folder = folder.expect("a folder").keep();
    let mut watcher = Command::new("sh");
    watcher.args(["-c", CLEAN_UP]).env("WINEPREFIX", &folder);
    std::os::unix::process::CommandExt::process_group(&mut watcher, 0);
    let watcher = watcher.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    // Never closed before the process ends.
    std::mem::forget(watcher.expect("sh starts"));
    folder
}

fn compile(source: &str, to: &Path, args: &[&str]) {
    let source = repo_root().join("cli/tests/windows/c").join(source);
    let mut compiler = Command::new(COMPILER);
    let compiler = compiler.args(["-Wall", "-Wextra", "-Werror", "-o"]);
    run(compiler.arg(to).arg(source).args(args), DEADLINE).success();
}

/// The quickstart, sending so many numbers.
pub fn with_count(text: &str, count: u64) -> String {
    let config = format!("- random\n    config: {{count: {count}}}\n\n");
    let text = text.replace("- random\n\n", &config);
    assert!(text.contains("config:"), "{text}");
    text
}

/// Checks that a command has failed by the user's mistake: status 1, and an error with these parts.
pub fn assert_fails(run: &Run, parts: &[&str]) {
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(1),
        "{run}"
    );
    for part in parts {
        assert!(run.stderr.contains(part), "`{part}` is missing: {run}");
    }
}
