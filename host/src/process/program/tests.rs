use super::*;
use crate::descriptor::Descriptor;
use host_testing::{fixtures, fresh_dir};
use plugin_abi::handshake::MESSAGE_FORMAT;
use std::collections::BTreeMap;

type Variables = BTreeMap<&'static str, OsString>;

fn node(more: &str) -> Node {
    let text = format!("nodes:\n  - id: n\n    path: unused\n{more}");
    let descriptor = Descriptor::parse(&text, "flow.yml".as_ref()).expect("a descriptor");
    descriptor.nodes.into_iter().next().expect("a node")
}

fn chosen(
    node: &Node,
    file: &Path,
    uv: bool,
    variables: &Variables,
) -> Result<Launchable, Problem> {
    let folder = file.parent().expect("a folder");
    let machine = Machine::this();
    let options = Options {
        uv,
        machine: &machine,
        lookup: &|name| variables.get(name).cloned(),
    };
    choose(node, file, folder, &options)
}

fn refused(node: &Node, file: &Path, variables: &Variables) -> String {
    let problem = chosen(node, file, false, variables).expect_err("refused");
    let text = problem.to_string();
    let folder = file.parent().expect("a folder").display().to_string();
    text.replace(&folder, "DIR")
}

fn write(file: &Path, content: &[u8]) {
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(file, content).expect("written");
}

#[cfg(unix)]
fn program(file: &Path, content: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    write(file, content);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(file, executable).expect("executable");
}

fn value(launch: &Launch, name: &str) -> Option<OsString> {
    let mut set = launch.env.iter().rev();
    set.find(|(other, _)| other == name)
        .and_then(|(_, value)| value.clone())
}

#[test]
fn an_executable_of_ours_speaks_the_native_wire() {
    let file = fixtures::executable("node-executable");
    let more =
        "    args: [\"a b\", c]\n    env: {X: 1, PYTHONUNBUFFERED: 0}\n    cpu_affinity: [0]\n";
    let found = chosen(&node(more), &file, true, &Variables::new()).expect("chosen");
    match &found.kind {
        Kind::Native(handshake) => assert_eq!(handshake.message_format, MESSAGE_FORMAT),
        other => panic!("{other:?}"),
    }
    let launch = found.launch;
    assert_eq!(launch.program, file);
    assert_eq!(launch.args, ["a b", "c"]);
    assert_eq!(launch.cores, [0]);
    assert_eq!(value(&launch, "X"), Some("1".into()));
    assert_eq!(value(&launch, "PYTHONUNBUFFERED"), Some("0".into()));
    assert!(launch.env.contains(&("DORA_NODE_CONFIG".into(), None)));
}

#[test]
fn an_executable_of_another_version_is_refused_as_a_plugin_is() {
    let machine = Machine::this();
    let file = fixtures::executable("node-executable");
    let mut report = preflight::read_file(&file).expect("read");
    let FileKind::NodeExecutable { handshake } = &mut report.kind else {
        panic!("{report:?}");
    };
    handshake.message_format.minor += 50;
    let checked = preflight::check_executable(&report, &machine).expect("an executable of ours");
    let text = checked.expect_err("refused").to_string();
    assert!(
        text.contains("version mismatch: message format ")
            && text.contains("is not compatible with expected message format"),
        "{text}"
    );
}

#[test]
#[cfg(unix)]
fn python_is_that_of_the_environment_in_force() {
    let dir = fresh_dir();
    let path = |name: &str| dir.path().join(name);
    write(&path("node.py"), b"");
    program(&path("venv/bin/python"), b"#!/bin/sh\n");
    program(&path("own/bin/python3"), b"#!/bin/sh\n");
    program(&path("bin/python3"), b"#!/bin/sh\n");
    program(&path("bin/uv"), b"#!/bin/sh\n");
    let on_path = Variables::from([("PATH", path("bin").into_os_string())]);
    let mut in_venv = on_path.clone();
    in_venv.insert("VIRTUAL_ENV", path("venv").into_os_string());
    let own = format!("    env: {{VIRTUAL_ENV: {}}}\n", path("own").display());
    let script = path("node.py");
    for (more, uv, variables, expected, first) in [
        ("", false, &on_path, "bin/python3", &["-u"][..]),
        ("", false, &in_venv, "venv/bin/python", &["-u"]),
        (&own, false, &in_venv, "own/bin/python3", &["-u"]),
        ("", true, &in_venv, "bin/uv", &["run", "python", "-u"]),
    ] {
        let found = chosen(&node(&format!("{more}    args: x")), &script, uv, variables);
        let launch = found.expect("chosen").launch;
        assert_eq!(launch.program, path(expected));
        let args: Vec<&OsStr> = launch.args.iter().map(OsString::as_os_str).collect();
        let mut wanted: Vec<&OsStr> = first.iter().map(OsStr::new).collect();
        wanted.extend([script.as_os_str(), OsStr::new("x")]);
        assert_eq!(args, wanted);
    }
    let nothing = Variables::from([("PATH", path("venv").into_os_string())]);
    assert_eq!(
        refused(&node(""), &script, &nothing),
        "`DIR/node.py`: no Python was found (on PATH, as VIRTUAL_ENV is not set); install Python 3, activate a virtual \
         environment, or use `--uv`"
    );
    let problem = chosen(&node(""), &script, true, &nothing).expect_err("no uv");
    assert!(problem.to_string().contains("`uv` is not on PATH"));
}

#[test]
#[cfg(unix)]
fn what_cannot_run_is_refused_with_its_reason() {
    let dir = fresh_dir();
    let path = |name: &str| dir.path().join(name);
    let variables = Variables::from([("PATH", path("nowhere").into_os_string())]);
    let refused = |name: &str| refused(&node(""), &path(name), &variables);
    let built = node("    build: make");
    write(&path("plain"), b"#!/bin/sh\n");
    assert_eq!(
        refused("plain"),
        "`DIR/plain` is not executable; make it so with `chmod +x`"
    );
    for (name, content, expected) in [
        (
            "text",
            "hello",
            "`DIR/text` is no program (it starts with \"hello\"); name the program, or give a script a first line such as `#!/bin/sh`",
        ),
        ("empty", "", "`DIR/empty`: is empty"),
        (
            "script",
            "#!/no/such thing\n",
            "`DIR/script`: its first line names the interpreter `/no/such`, which was not found; install it, or correct the line",
        ),
        (
            "env",
            "#! /usr/bin/env python9\n",
            "`DIR/env`: its first line names the interpreter `python9`, which was not found; install it, or correct the line",
        ),
    ] {
        program(&path(name), content.as_bytes());
        assert_eq!(refused(name), expected);
    }
    // Whoever reads a socket or a pipe may wait for ever.
    dir.may_leave(host_testing::Left::Sockets, "it is what is refused");
    let _socket = std::os::unix::net::UnixListener::bind(path("eye.py")).expect("a socket");
    assert_eq!(
        refused("eye.py"),
        "`DIR/eye.py`: is neither a file nor a directory"
    );
    let gone = super::tests::refused(&built, &path("gone"), &variables);
    assert_eq!(
        gone,
        "`DIR/gone` is not there any more; run `dora build` again"
    );
    for (name, content) in [("sh", "#!/bin/sh\n"), ("odd", "#!/usr/bin/env -S x y\n")] {
        program(&path(name), content.as_bytes());
        let found = chosen(&node(""), &path(name), false, &variables).expect("chosen");
        assert_eq!((found.kind, found.launch.program), (Kind::Dora, path(name)));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn another_processor_is_named() {
    if search::has_emulators() {
        return;
    }
    let sh = std::fs::read("/bin/sh").expect("a program");
    let dir = fresh_dir();
    let file = dir.path().join("sh");
    let mut other = sh;
    // `e_machine`: S/390.
    other[18..20].copy_from_slice(&22_u16.to_le_bytes());
    program(&file, &other);
    let text = refused(&node(""), &file, &Variables::new());
    assert!(text.contains("was built for "), "{text}");
}

#[test]
#[cfg(unix)]
fn a_failed_start_says_what_the_system_said() {
    let dir = fresh_dir();
    let file = dir.path().join("text");
    program(&file, b"text");
    let launch = Launch::new(file.clone(), Vec::new(), dir.path().to_owned());
    let hooks = || crate::process::child::Hooks {
        on_line: Box::new(|_, _| {}),
        on_exit: Box::new(|_| {}),
    };
    let spawn = |launch: &Launch| crate::process::child::Child::spawn(launch, hooks());
    let text = |launch: &Launch| {
        let error = spawn(launch).expect_err("refused");
        Problem::of_start(launch, &error).to_string()
    };
    assert!(text(&launch).contains("/text` cannot be started: "));
    let mut elsewhere = launch.clone();
    elsewhere.folder = dir.path().join("no");
    assert!(text(&elsewhere).contains("/no` does not exist"));
    std::fs::remove_file(&file).expect("removed");
    assert!(text(&launch).contains("is not there any more"));
}
