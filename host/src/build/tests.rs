//! Builds of descriptors that are written in the test; the commands are programs that every system of the kind has.

use super::*;
use std::path::Path;

const FILE: &str = "flow.yml";

fn descriptor(folder: &Path, nodes: &str) -> Descriptor {
    let text = format!("nodes:\n{nodes}");
    match Descriptor::parse(&text, &folder.join(FILE)) {
        Ok(descriptor) => descriptor,
        Err(problems) => panic!("{problems}"),
    }
}

fn node(id: &str, rest: &str) -> String {
    format!("  - {{id: {id}, path: x, {rest}}}\n")
}

#[test]
fn equal_builds_are_one_job() {
    let nodes = [
        node("a", "build: cargo build -p a"),
        node("b", "build: cargo build -p b"),
        node("c", "build: cargo build -p a"),
        node("d", "build: cargo build -p a, deploy: {working_dir: sub}"),
        node("e", "build: cargo build -p a, env: {X: 1}"),
        node("f", "inputs: {}"),
    ]
    .concat();
    let folder = std::env::temp_dir();
    let jobs = plan(&descriptor(&folder, &nodes)).expect("jobs");
    let nodes: Vec<Vec<&str>> = jobs
        .iter()
        .map(|job| job.nodes.iter().map(|id| id.as_str()).collect())
        .collect();
    assert_eq!(nodes, [vec!["a", "c"], vec!["b"], vec!["d"], vec!["e"]]);
    assert_eq!(jobs[0].folder, folder);
    assert_eq!(jobs[2].folder, folder.join("sub"));
    assert_eq!(jobs[3].env["X"], "1");
}

#[test]
fn commands_are_split_and_those_for_a_shell_are_refused() {
    let refused = [
        (
            "make && make install",
            "`&&` in `make && make install`, but commands are run without a shell; write one command per line, or `sh -c '...'`",
        ),
        (
            "make; ls",
            "`make;` in `make; ls`, but commands are run without a shell; write one command per line, or `sh -c '...'`",
        ),
        (
            "cd x",
            "`cd` in `cd x` is a command of the shell, but commands are run without a shell; use `working_dir` or `env`",
        ),
        ("echo 'x", "a quote is not closed in `echo 'x`"),
        ("'' x", "`'' x` names no program"),
    ];
    for (line, expected) in refused {
        let nodes = node("n", &format!("build: \"{line}\""));
        let problems = plan(&descriptor(Path::new(""), &nodes)).expect_err(line);
        let expected = format!("flow.yml:2:10: node `n`: `build`: {expected}");
        assert_eq!(problems.to_string(), expected);
    }
    let nodes = node("n", r#"build: "sh -c 'a && b'\ncmake -G \"|\" .""#);
    let jobs = plan(&descriptor(Path::new(""), &nodes.replace("\\\"", "'"))).expect("jobs");
    let [one, other] = jobs[0].commands.as_slice() else {
        panic!("{jobs:?}");
    };
    assert_eq!(
        (one.program.as_str(), one.args.as_slice()),
        ("sh", &["-c".to_owned(), "a && b".into()][..])
    );
    assert_eq!(other.args, ["-G", "|", "."]);
}

#[test]
fn names_get_their_extension_where_the_system_needs_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, extensions) = (
        [folder.path().to_owned()],
        [".exe".to_owned(), ".cmd".into()],
    );
    for file in ["npm.cmd", "tool.exe", "tool.cmd", "script"] {
        std::fs::write(folder.path().join(file), "").expect("written");
    }
    let file = |line: &str, extensions: &[String]| {
        let nodes = node("n", &format!("build: {line}"));
        let jobs = plan(&descriptor(folder.path(), &nodes)).expect("a job");
        jobs[0].commands[0].file(folder.path(), &path, extensions)
    };
    assert_eq!(
        file("npm install", &extensions),
        folder.path().join("npm.cmd")
    );
    assert_eq!(file("tool", &extensions), folder.path().join("tool.exe"));
    assert_eq!(file("tool.cmd", &extensions), Path::new("tool.cmd"));
    assert_eq!(file("./npm", &extensions), folder.path().join("./npm.cmd"));
    assert_eq!(file("unknown", &extensions), Path::new("unknown"));
    assert_eq!(file("npm", &[]), Path::new("npm"));
    assert_eq!(file("./script", &[]), folder.path().join("./script"));
}

#[cfg(unix)]
mod with_a_shell {
    use super::*;
    #[cfg(target_os = "linux")]
    use std::thread;

    fn options(parallel: usize) -> Options {
        Options {
            parallel: NonZeroUsize::new(parallel).expect("at least one"),
            stop: Arc::default(),
        }
    }

    /// What happened, one word per event, and how it ended.
    fn build(folder: &Path, nodes: &str, options: &Options) -> (Vec<String>, Result<(), String>) {
        let mut told = Vec::new();
        let result = run(&descriptor(folder, nodes), options, &mut |progress| {
            told.push(match progress {
                Progress::Started(job) => format!("start {}", job.nodes[0]),
                Progress::Output(_, line) => line.to_owned(),
                Progress::Built(job, _) => format!("built {}", job.nodes[0]),
                Progress::Failed(job, _) => format!("failed {}", job.nodes[0]),
                Progress::Tick => return,
            });
        });
        (told, result.map_err(|error| error.to_string()))
    }

    #[test]
    fn commands_run_in_order_in_their_folder_with_their_env() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().canonicalize().expect("a path");
        let nodes = [
            node(
                "a",
                r#"env: {WORD: "two words"}, build: "pwd\nsh -c 'echo $WORD'""#,
            ),
            node("b", "build: ./script.sh"),
            node("c", "build: ./script.sh"),
        ];
        std::fs::write(at.join("script.sh"), "#!/bin/sh\necho script\n").expect("written");
        make_executable(&at.join("script.sh"));
        let (told, result) = build(&at, &nodes.concat(), &options(1));
        assert_eq!(result, Ok(()));
        let folder = at.display().to_string();
        let expected = [
            "start a",
            &folder,
            "two words",
            "built a",
            "start b",
            "script",
            "built b",
        ];
        assert_eq!(told, expected);
    }

    /// The key `build` with a text of any characters.
    fn in_quotes(build: &str) -> String {
        format!("build: {}", serde_json::Value::from(build))
    }

    fn make_executable(file: &Path) {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file, mode).expect("permissions");
    }

    const FAILING: &str = r#"sh -c 'seq 50; printf "\033[31mred\n"; exit 3'"#;

    #[test]
    fn a_failure_says_what_where_and_what_was_printed_last_and_nothing_more_is_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let nodes = [
            node("a", &in_quotes(&format!("{FAILING}\nsh -c 'echo never'"))),
            node("b", "build: sh -c 'echo never'"),
        ];
        let (told, result) = build(at, &nodes.concat(), &options(1));
        assert_eq!(told.last().map(String::as_str), Some("failed a"));
        assert!(
            !told
                .iter()
                .any(|word| word.contains("never") || word == "start b"),
            "{told:?}"
        );
        let text = result.expect_err("failed");
        let first = format!(
            "{}:2:10: node `a`: `{FAILING}` failed (exit status: 3), in {}\n  | (11 lines before)\n",
            at.join(FILE).display(),
            at.display()
        );
        assert!(text.starts_with(&first), "{text}");
        assert!(
            text.contains("\n  | 50") && text.contains("\n  | red"),
            "{text}"
        );
    }

    #[test]
    fn what_does_not_start_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        for (rest, expected) in [
            (
                "build: no-such-tool -x",
                "`no-such-tool -x` does not start: `no-such-tool` is not on PATH, install it, in FOLDER",
            ),
            (
                "build: ./nowhere",
                "`./nowhere` does not start: there is no file `./nowhere`, in FOLDER",
            ),
            (
                "build: make, deploy: {working_dir: gone}",
                "`make` needs the folder FOLDER/gone, which does not exist",
            ),
            (
                "build: sh -c 'kill -SEGV $$'",
                "`sh -c 'kill -SEGV $$'` crashed (SIGSEGV), in FOLDER",
            ),
        ] {
            let (_, result) = build(at, &node("n", rest), &options(1));
            let text = result
                .expect_err("failed")
                .replace(&at.display().to_string(), "FOLDER");
            assert_eq!(text, format!("FOLDER/flow.yml:2:10: node `n`: {expected}"));
        }
    }

    #[test]
    fn as_many_run_at_a_time_as_asked_and_all_failures_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        // Each waits for the other's file: one after the other they would wait for ever.
        let script = |own: &str, other: &str| {
            in_quotes(&format!(
                "sh -c 'touch {own}; while [ ! -e {other} ]; do sleep 0.01; done; exit 1'"
            ))
        };
        let nodes = [node("a", &script("x", "y")), node("b", &script("y", "x"))];
        let (_, result) = build(folder.path(), &nodes.concat(), &options(2));
        let text = result.expect_err("both fail");
        assert_eq!(text.matches("failed (exit status: 1)").count(), 2, "{text}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_stop_ends_all_that_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = options(1);
        // The second process would hold the pipe open, and the first one does not listen to being asked.
        let script =
            "build: sh -c \"trap '' TERM; sleep 100 & echo $!; while :; do sleep 0.01; done\"";
        let nodes = [node("a", script), node("b", "build: sh -c 'echo never'")].concat();
        let descriptor = descriptor(folder.path(), &nodes);
        let stop = options.stop.clone();
        let started = Instant::now();
        let mut left = String::new();
        let result = run(&descriptor, &options, &mut |progress| {
            if let Progress::Output(_, line) = progress {
                left = line.to_owned();
                stop.store(true, Ordering::Relaxed);
            }
        });
        assert!(matches!(result, Err(BuildError::Stopped)), "{result:?}");
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(has_ended(&left), "{left} is running");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_panic_of_whoever_is_told_ends_all_that_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let nodes = node("a", "build: sh -c 'sleep 100 & echo $!; sleep 100'");
        let descriptor = descriptor(folder.path(), &nodes);
        let (pid, told) = std::sync::mpsc::channel();
        let result = thread::spawn(move || {
            let _ = run(&descriptor, &options(1), &mut |progress| {
                if let Progress::Output(_, line) = progress {
                    pid.send(line.to_owned()).expect("somebody waits");
                    panic!("on purpose");
                }
            });
        });
        assert!(result.join().is_err());
        let pid = told.recv().expect("a line");
        assert!(has_ended(&pid), "{pid} is running");
    }

    #[cfg(target_os = "linux")]
    /// Whether a process ends soon; one that nobody has collected yet has ended.
    fn has_ended(pid: &str) -> bool {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = state.rsplit(") ").next().unwrap_or_default();
            if state.is_empty() || state.starts_with('Z') {
                return true;
            }
            thread::yield_now();
        }
        false
    }
}
