//! Whatever a descriptor says where a path or a name belongs: what it leads to, or the line that refuses it.

use super::*;
use crate::descriptor::{Lookup, MAX_KEPT, Problems};
use std::path::Path;

/// In a fresh folder `ROOT`: the descriptor in `ROOT/flow`, these (empty) files, and links to what the second names.
const FILES: &[&str] = &[
    "up.py",
    "flow/x.py",
    "flow/$x.py",
    "flow/~me/x.py",
    "flow/a b/ü漢.py",
    "flow/work/deep/y.py",
    "opt/x.py",
    "home/x.py",
    "home/work/y.py",
];
#[cfg(unix)]
const LINKS: &[(&str, &str)] = &[
    ("flow/link.py", "../opt/x.py"),
    ("flow/dir", "../opt"),
    ("flow/folder.py", "../opt"),
    ("flow/dangling.py", "nowhere.py"),
    ("flow/loop.py", "loop.py"),
];

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        for file in FILES {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
            fs::write(file, "").expect("a file");
        }
        #[cfg(unix)]
        for (link, target) in LINKS {
            std::os::unix::fs::symlink(target, root.path().join(link)).expect("a link");
        }
        Self(root)
    }

    /// Of a node with these keys, in which `ROOT` stands for the folder: what its path leads to and where it works, or why
    /// it is refused.
    fn outcome(&self, keys: &str, platform: Platform) -> String {
        let root = self.0.path();
        let shown = root.display().to_string();
        // As it stands in a text of YAML.
        let keys = keys.replace("ROOT", &shown.replace('\\', "/"));
        let file = root.join("flow/f.yml");
        let variable = |name: &str| self.variable(name);
        let text = format!("nodes: [{{id: n, {keys}}}]");
        let told = self.told(&text, &file, platform, &variable);
        told.replace('\\', "/")
            .replace(&shown.replace('\\', "/"), "ROOT")
    }

    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "OPT" => Some(self.0.path().join("opt").display().to_string()),
            "UP" => Some("..".into()),
            "EMPTY" => Some(String::new()),
            "TWICE" => Some("$OPT".into()),
            "LONG" => Some("x/".repeat(1000)),
            _ => None,
        }
    }

    fn told(&self, text: &str, file: &Path, platform: Platform, lookup: Lookup<'_>) -> String {
        let descriptor = match Descriptor::parse_with(text, file, lookup) {
            Ok(descriptor) => descriptor,
            Err(problems) => return line(&problems),
        };
        let places = Places {
            folders: vec![self.0.path().join("flow")],
            path_folders: Vec::new(),
            home: Some(self.0.path().join("home")),
            path_extensions: Vec::new(),
            platform,
            lookup,
        };
        let (programs, problems) = descriptor.resolve(&places, &|_| false);
        let folder = folder_of(&descriptor.nodes[0], &places);
        match (programs.into_values().next(), folder) {
            (Some(Program::Executable(file)), Ok(folder)) => {
                assert!(file.is_file(), "{}", file.display());
                format!("{} in {}", file.display(), folder.display())
            }
            (None, _) => line(&problems),
            other => panic!("{text}: {other:?}"),
        }
    }
}

/// One line that a terminal does not obey, without the place.
fn line(problems: &Problems) -> String {
    let text = problems.to_string();
    assert!(problems.iter().count() <= MAX_KEPT);
    assert!(
        text.len() < 16 * 1024 && !text.contains(char::is_control),
        "{text:?}"
    );
    let (_, why) = text.split_once("node `n`: ").expect("the node is named");
    why.to_owned()
}

#[test]
fn paths_that_lead_somewhere() {
    let world = World::new();
    let table = [
        ("path: x.py", "ROOT/flow/x.py in ROOT/flow"),
        ("path: ./x.py", "ROOT/flow/./x.py in ROOT/flow"),
        ("path: ../up.py", "ROOT/flow/../up.py in ROOT/flow"),
        (
            "path: work/../../up.py",
            "ROOT/flow/work/../../up.py in ROOT/flow",
        ),
        ("path: 'ROOT/opt/x.py'", "ROOT/opt/x.py in ROOT/flow"),
        ("path: $OPT/x.py", "ROOT/opt/x.py in ROOT/flow"),
        ("path: '${OPT}/x.py'", "ROOT/opt/x.py in ROOT/flow"),
        ("path: $UP/up.py", "ROOT/flow/../up.py in ROOT/flow"),
        (
            "path: '${NO:-work/deep}/y.py'",
            "ROOT/flow/work/deep/y.py in ROOT/flow",
        ),
        (
            "path: '${EMPTY:-work/deep}/y.py'",
            "ROOT/flow/work/deep/y.py in ROOT/flow",
        ),
        ("path: $$x.py", "ROOT/flow/$x.py in ROOT/flow"),
        ("path: ~/x.py", "ROOT/home/x.py in ROOT/flow"),
        // Of another user: nothing is looked up, and a file may be called so.
        ("path: ~me/x.py", "ROOT/flow/~me/x.py in ROOT/flow"),
        ("path: a b/ü漢.py", "ROOT/flow/a b/ü漢.py in ROOT/flow"),
        // Written on Windows.
        (r"path: ..\up.py", "ROOT/flow/../up.py in ROOT/flow"),
        (
            r"path: .\work\deep\y.py",
            "ROOT/flow/./work/deep/y.py in ROOT/flow",
        ),
        (r"path: ~\x.py", "ROOT/home/x.py in ROOT/flow"),
        (
            "path: y.py, deploy: {working_dir: work/deep}",
            "ROOT/flow/work/deep/y.py in ROOT/flow/work/deep",
        ),
        (
            "path: ../x.py, deploy: {working_dir: work}",
            "ROOT/flow/work/../x.py in ROOT/flow/work",
        ),
        (
            r"path: deep\y.py, deploy: {working_dir: .\work}",
            "ROOT/flow/./work/deep/y.py in ROOT/flow/./work",
        ),
        (
            "path: y.py, deploy: {working_dir: ~/work}",
            "ROOT/home/work/y.py in ROOT/home/work",
        ),
        (
            "path: x.py, deploy: {working_dir: $OPT}",
            "ROOT/opt/x.py in ROOT/opt",
        ),
        (
            "path: x.py, deploy: {working_dir: 'ROOT/opt'}",
            "ROOT/opt/x.py in ROOT/opt",
        ),
        (
            "path: x.py, deploy: {working_dir: ..}",
            "`x.py` was not found; tried x.py in `ROOT`; build it, or correct the path",
        ),
        // A folder that is missing stays the node's: whoever starts it there says so.
        (
            "path: 'ROOT/opt/x.py', deploy: {working_dir: gone}",
            "ROOT/opt/x.py in ROOT/flow/gone",
        ),
    ];
    let here = Platform::current();
    for (keys, expected) in table {
        assert_eq!(world.outcome(keys, here), expected, "{keys}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_as_the_system_does() {
    let world = World::new();
    let table = [
        ("path: link.py", "ROOT/flow/link.py in ROOT/flow"),
        ("path: dir/x.py", "ROOT/flow/dir/x.py in ROOT/flow"),
        // Behind a link `..` is where the link leads, not where it stands.
        (
            "path: dir/../home/x.py",
            "ROOT/flow/dir/../home/x.py in ROOT/flow",
        ),
        (
            "path: x.py, deploy: {working_dir: dir}",
            "ROOT/flow/dir/x.py in ROOT/flow/dir",
        ),
        (
            "path: folder.py",
            "`folder.py` was not found; tried folder.py in `ROOT/flow`; `ROOT/flow/folder.py` is a folder; build it, or correct the path",
        ),
        (
            "path: ./dangling.py",
            "`./dangling.py` was not found; tried dangling.py in `ROOT/flow`; build it, or correct the path",
        ),
        (
            "path: ./loop.py",
            "`./loop.py` was not found; tried loop.py in `ROOT/flow`; build it, or correct the path",
        ),
    ];
    for (keys, expected) in table {
        assert_eq!(world.outcome(keys, Platform::Linux), expected, "{keys}");
    }
}

#[test]
fn paths_that_lead_nowhere() {
    let world = World::new();
    let long = "x".repeat(MAX_PATH_BYTES + 1);
    let table: &[(&str, &str)] = &[
        (r#"path: "a\0b""#, "`path` contains a NUL character"),
        (
            r#"path: x, deploy: {working_dir: "a\0"}"#,
            "`deploy`: `working_dir` contains a NUL character",
        ),
        (
            r#"path: x, build: "a\0b""#,
            "`build` contains a NUL character",
        ),
        (
            r#"path: x, args: "a\0b""#,
            "`args` contains a NUL character",
        ),
        (
            r#"path: x, args: ["a\0b"]"#,
            "an item of `args` contains a NUL character",
        ),
        (
            r#"path: x, env: {A: "a\0b"}"#,
            "`env` `A` contains a NUL character",
        ),
        (
            "path: ''",
            "`path` is empty; name the node's plugin or executable",
        ),
        (
            "path: x, deploy: {working_dir: ''}",
            "`deploy`: `working_dir` is empty; name a folder, or leave it out",
        ),
        (
            &format!("path: {long}"),
            "`path` has 4097 bytes, at most 4096 are possible",
        ),
        (
            "path: $LONG$LONG$LONG",
            "`path` is longer than 4096 bytes with the values of its variables",
        ),
        (
            "path: x, deploy: {working_dir: $LONG$LONG$LONG}",
            "`working_dir` is longer than 4096 bytes with the values of its variables",
        ),
        (
            "path: $NO/x",
            "`path`: the variable `NO` is not set; set it, or write `${NO:-default}`",
        ),
        (
            "path: x, deploy: {working_dir: '${NO}'}",
            "`working_dir`: the variable `NO` is not set; set it, or write `${NO:-default}`",
        ),
        // The value of a variable is not itself replaced.
        (
            "path: ./$TWICE.py",
            "`./$TWICE.py` was not found; tried $OPT.py in `ROOT/flow`; build it, or correct the path",
        ),
        (
            "path: ~",
            "`path` is missing; name the node's plugin or executable, such as `path: target/release/camera`",
        ),
        (
            "path: '~'",
            "`~` was not found; tried home, home.exe, libhome.so, home.dll, libhome.dylib in `ROOT`; `ROOT/home` is a folder; build it, or correct the path",
        ),
        (
            "path: .",
            "`.` was not found; `ROOT/flow` is a folder; build it, or correct the path",
        ),
        (
            "path: work/..",
            "`work/..` was not found; `ROOT/flow` is a folder; build it, or correct the path",
        ),
        (
            r#"path: "./\e[2J\r\n\u202e.py""#,
            r"`./\u{1b}[2J\r\n\u{202e}.py` was not found; tried \u{1b}[2J\r\n\u{202e}.py in `ROOT/flow`; build it, or correct the path",
        ),
    ];
    for (keys, expected) in table {
        let found = world.outcome(keys, Platform::current());
        // The driver writes all paths with `/`.
        assert_eq!(found, expected.replace('\\', "/"), "{keys}");
    }
    // Longer than any system's file names, which is the system's to say: no such file.
    let name = "x".repeat(300);
    let found = world.outcome(&format!("path: ./{name}.py"), Platform::current());
    assert!(found.contains("…` was not found; tried xxx"), "{found}");
}

#[test]
fn paths_of_a_drive_and_of_a_share() {
    use Platform::Windows;
    let world = World::new();
    let of_drive = "starts from whatever folder is the drive's current one; write a `/` behind the `:`, or leave the drive out";
    for (keys, expected) in [
        ("path: 'C:x.py'", format!("`path`: `C:x.py` {of_drive}")),
        ("path: 'c:'", format!("`path`: `c:` {of_drive}")),
        (
            "path: x, deploy: {working_dir: 'D:work'}",
            format!("`working_dir`: `D:work` {of_drive}"),
        ),
    ] {
        assert_eq!(world.outcome(keys, Windows), expected, "{keys}");
    }
    #[cfg(unix)]
    for (keys, expected) in [
        // A name like any other.
        (
            "path: './C:x.py'",
            "`./C:x.py` was not found; tried C:x.py in `ROOT/flow`; build it, or correct the path",
        ),
        (
            r"path: 'C:\flow\x.py'",
            "`C:/flow/x.py` was not found; tried C:/flow/x.py in `ROOT/flow`; and x.py in `ROOT/flow/C:/flow`; build it, or correct the path",
        ),
        (
            r"path: '\\server\share\no.py'",
            "`//server/share/no.py` was not found; tried //server/share/no.py in `ROOT/flow`; and no.py in `/server/share`; build it, or correct the path",
        ),
        (
            r"path: '\\?\C:\x.py'",
            "`//?/C:/x.py` was not found; tried //?/C:/x.py in `ROOT/flow`; and x.py in `/?/C:`; build it, or correct the path",
        ),
    ] {
        assert_eq!(world.outcome(keys, Platform::Linux), expected, "{keys}");
    }
}

#[test]
fn no_name_is_a_path() {
    let long = "x".repeat(129);
    let texts: &[&str] = &[
        "../up", "/abs", r"a\\b", "C:", "a:b", "a\\0b", ".", "..", ".hidden", "$OPT", "~", "a b",
        "a*", "a\\e[2J", "", &long,
    ];
    // Ports are of parts, so that only what is between slashes must be a name.
    let names = [
        "id: N, path: x",
        "id: n, path: x, process: N",
        "id: n, path: x, thread: N",
        "id: n, path: x, deploy: {machine: N}",
        "id: n, path: x, outputs: [N]",
        "id: n, path: x, send_stdout_as: N",
        "id: n, path: x, send_logs_as: N",
        "id: n, path: x, inputs: {N: dora/timer/secs/1}",
        "id: n, path: x, inputs: {i: {source: N}}",
    ];
    for keys in names {
        for text in texts {
            let quoted = format!("\"{text}\"");
            let keys = keys.replace('N', &quoted);
            let text = format!("nodes: [{{{keys}}}]");
            let refused = Descriptor::parse_with(&text, Path::new("f.yml"), &|_| None);
            let problems = refused.expect_err(&text);
            for line in problems.to_string().lines() {
                assert!(line.starts_with("f.yml:1:"), "{text}: {line:?}");
                assert!(!line.contains(char::is_control), "{text}: {line:?}");
            }
        }
    }
}
