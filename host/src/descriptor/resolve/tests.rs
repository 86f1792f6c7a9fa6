//! Which files a path means, on each platform, and what is said when there is none.

use std::fs;

mod tricks;

use super::*;
use crate::descriptor::Descriptor;

fn places(platform: Platform) -> Places<'static> {
    Places {
        folders: vec!["/flow".into()],
        path_folders: vec!["/usr/bin".into(), "/bin".into()],
        home: Some("/home/me".into()),
        path_extensions: match platform {
            Platform::Windows => vec![".exe".into(), ".bat".into()],
            Platform::Linux | Platform::Mac => Vec::new(),
        },
        platform,
        lookup: &|name| (name == "ROOT").then(|| "/opt/x".to_owned()),
    }
}

fn tried(path: &str, platform: Platform) -> Vec<String> {
    let groups = candidates(path, &places(platform)).expect("candidates");
    let paths = groups.iter().flat_map(Group::paths);
    paths
        .map(|path| path.display().to_string().replace('\\', "/"))
        .collect()
}

// Absolute paths of Unix are not absolute on Windows, where `candidates` runs with its rules.
#[cfg(unix)]
#[test]
fn candidates_by_form() {
    let linux = |path| tried(path, Platform::Linux);
    assert_eq!(linux("./libx.so"), ["/flow/./libx.so"]);
    assert_eq!(linux("../a/x.py"), ["/flow/../a/x.py"]);
    assert_eq!(linux("a/libx.so.1"), ["/flow/a/libx.so.1"]);
    assert_eq!(
        linux("a/x"),
        [
            "/flow/a/x",
            "/flow/a/x.exe",
            "/flow/a/libx.so",
            "/flow/a/x.dll",
            "/flow/a/libx.dylib"
        ]
    );
    assert_eq!(
        linux("a/x-y"),
        [
            "/flow/a/x-y",
            "/flow/a/x-y.exe",
            "/flow/a/libx-y.so",
            "/flow/a/x-y.dll",
            "/flow/a/libx-y.dylib",
            "/flow/a/libx_y.so",
            "/flow/a/x_y.dll",
            "/flow/a/libx_y.dylib",
        ]
    );
    assert_eq!(linux("/abs/x.py"), ["/abs/x.py"]);
    assert_eq!(linux("~/x.py"), ["/home/me/x.py"]);
    assert_eq!(linux("$ROOT/x.py"), ["/opt/x/x.py"]);
    assert_eq!(
        linux("node.py"),
        ["/flow/node.py", "/usr/bin/node.py", "/bin/node.py"]
    );
    assert_eq!(linux("~other/x.py"), ["/flow/~other/x.py"]);
    assert_eq!(
        tried("a/x", Platform::Windows),
        [
            "/flow/a/x",
            "/flow/a/x.exe",
            "/flow/a/x.bat",
            "/flow/a/libx.so",
            "/flow/a/x.dll",
            "/flow/a/libx.dylib"
        ]
    );
    assert_eq!(tried("a/x.bat", Platform::Windows), ["/flow/a/x.bat"]);
    assert_eq!(tried("a/X.EXE", Platform::Windows), ["/flow/a/X.EXE"]);
    // Written on Windows; a file may also be called so.
    let groups = candidates(r"..\a\x.py", &places(Platform::Linux)).expect("candidates");
    let paths: Vec<_> = groups.iter().flat_map(Group::paths).collect();
    let expected = [r"/flow/..\a\x.py", "/flow/../a/x.py"];
    assert_eq!(paths, expected.map(PathBuf::from));
}

#[test]
fn variables_and_home_that_are_missing() {
    let mut places = places(Platform::current());
    assert_eq!(
        candidates("$NO/x", &places).unwrap_err().to_string(),
        "`path`: the variable `NO` is not set; set it, or write `${NO:-default}`"
    );
    places.home = None;
    assert_eq!(
        candidates("~/x", &places).unwrap_err(),
        ResolveError::NoHome { key: "path" }
    );
}

/// A descriptor with one node, in a folder with these (empty) files.
struct Case {
    folder: tempfile::TempDir,
    descriptor: Descriptor,
}

impl Case {
    fn new(node: &str, files: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
            fs::write(file, "").expect("a file");
        }
        let text = format!("nodes: [{{id: n, {node}}}]");
        let file = folder.path().join("flow.yml");
        let descriptor = Descriptor::parse(&text, &file).expect("a valid descriptor");
        Self { folder, descriptor }
    }

    /// What the node's path leads to, or the message, as texts without the folder.
    fn resolve(&self, platform: Platform) -> Result<Program, String> {
        let mut places = places(platform);
        places.folders = vec![self.folder.path().to_owned()];
        places.path_folders = vec![self.folder.path().join("bin")];
        let is_plugin =
            |path: &Path| path.to_string_lossy().contains("plug") && candidates::is_library(path);
        let (programs, problems) = self.descriptor.resolve(&places, &is_plugin);
        let short = |text: String| {
            let folder = format!("{}", self.folder.path().display());
            text.replace(&folder, "FLOW").replace('\\', "/")
        };
        match programs.into_values().next() {
            Some(Program::Plugin(path)) => {
                Ok(Program::Plugin(short(path.display().to_string()).into()))
            }
            Some(Program::Executable(path)) => Ok(Program::Executable(
                short(path.display().to_string()).into(),
            )),
            Some(Program::Dynamic) => Ok(Program::Dynamic),
            None => Err(short(problems.to_string())),
        }
    }
}

#[test]
fn what_is_found() {
    use Platform::{Linux, Windows};
    let plugin = |path: &str| Ok(Program::Plugin(path.into()));
    let executable = |path: &str| Ok(Program::Executable(path.into()));
    type Row<'a> = (&'a str, &'a [&'a str], Platform, Result<Program, String>);
    let table: &[Row<'_>] = &[
        (
            "path: t/plug",
            &["t/libplug.so", "t/plug.dll", "t/plug.d"],
            Linux,
            plugin("FLOW/t/libplug.so"),
        ),
        (
            "path: t/plug",
            &["t/libplug.so", "t/plug.dll"],
            Windows,
            plugin("FLOW/t/plug.dll"),
        ),
        (
            "path: t/plug",
            &["t/plug.dll"],
            Linux,
            plugin("FLOW/t/plug.dll"),
        ),
        (
            "path: t/x",
            &["t/x", "t/x.exe"],
            Linux,
            executable("FLOW/t/x"),
        ),
        (
            "path: t/x",
            &["t/x", "t/x.exe"],
            Windows,
            executable("FLOW/t/x.exe"),
        ),
        (
            "path: t/x",
            &["t/x", "t/libx.so"],
            Linux,
            executable("FLOW/t/x"),
        ),
        ("path: t/x", &["t/libx.so"], Linux, plugin("FLOW/t/libx.so")),
        (
            r"path: .\t\x",
            &["t/libx.so"],
            Linux,
            plugin("FLOW/./t/libx.so"),
        ),
        (
            "path: t/plug, load: plugin",
            &["t/plug", "t/libplug.so"],
            Linux,
            plugin("FLOW/t/libplug.so"),
        ),
        (
            "path: t/plug, load: executable",
            &["t/plug", "t/libplug.so"],
            Linux,
            executable("FLOW/t/plug"),
        ),
        (
            "path: t/plug",
            &["t/plug.exe", "t/libplug.so"],
            Linux,
            plugin("FLOW/t/libplug.so"),
        ),
        (
            "path: x.py",
            &["x.py", "bin/x.py"],
            Linux,
            executable("FLOW/x.py"),
        ),
        ("path: dynamic", &["dynamic"], Linux, Ok(Program::Dynamic)),
    ];
    for (node, files, platform, expected) in table {
        let case = Case::new(node, files);
        assert_eq!(
            case.resolve(*platform),
            *expected,
            "{node} with {files:?} on {platform:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn on_path_only_programs_count() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new("path: tool", &["bin/tool"]);
    let tool = case.folder.path().join("bin/tool");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o644)).expect("permissions");
    assert!(case.resolve(Platform::Linux).is_err());
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("permissions");
    let found = Program::Executable("FLOW/bin/tool".into());
    assert_eq!(case.resolve(Platform::Linux), Ok(found));
}

#[test]
fn what_is_said() {
    let table: &[(&str, &[&str], &str)] = &[
        (
            "path: ./t/x",
            &["t/other"],
            "`./t/x` was not found; tried x, x.exe, libx.so, x.dll, libx.dylib in `FLOW/t`; build it, or \
             correct the path",
        ),
        (
            "path: t/x.py, build: make",
            &[],
            "`t/x.py` was not found; tried x.py in `FLOW/t`; the node has a `build`, run `dora build` first",
        ),
        (
            "path: tool.py",
            &[],
            "`tool.py` was not found; tried tool.py in `FLOW`; and in the folder of PATH; build it, or \
             correct the path",
        ),
        (
            "path: t/x.py",
            &["t/x.py/file"],
            "`t/x.py` was not found; tried x.py in `FLOW/t`; `FLOW/t/x.py` is a folder; build it, or \
             correct the path",
        ),
        (
            "path: t/plug",
            &["t/plug", "t/libplug.so"],
            "`path` matches the plugin `FLOW/t/libplug.so` and the executable `FLOW/t/plug`; add \
             `load: plugin` or `load: executable`, or write the file's full name",
        ),
        (
            "path: t/x.py, load: plugin",
            &["t/x.py"],
            "`load: plugin`, but `FLOW/t/x.py` is no plugin; remove `load`, or correct the path",
        ),
        (
            "path: t/libplug.so, load: executable",
            &["t/libplug.so"],
            "`load: executable`, but `FLOW/t/libplug.so` is a shared library; remove `load`, or correct \
             the path",
        ),
    ];
    for (node, files, expected) in table {
        let found = Case::new(node, files).resolve(Platform::Linux).unwrap_err();
        let column = 17 + "path: ".len();
        assert_eq!(
            found,
            format!("FLOW/flow.yml:1:{column}: node `n`: {expected}")
        );
    }
}
