use super::*;
use std::sync::mpsc::RecvTimeoutError;

const SOON: Duration = Duration::from_secs(30);

type Told = Receiver<Result<(Stream, String), Exit>>;

fn launch(script: &str) -> Launch {
    let args = ["-c", script].map(OsString::from).to_vec();
    Launch::new("sh".into(), args, std::env::temp_dir())
}

fn started(launch: &Launch) -> (Child, Told) {
    let (tell, told) = channel();
    let exit = tell.clone();
    let hooks = Hooks {
        on_line: Box::new(move |stream, line| {
            tell.send(Ok((stream, line.to_owned()))).unwrap();
        }),
        on_exit: Box::new(move |status| exit.send(Err(status)).unwrap()),
    };
    (Child::spawn(launch, hooks).unwrap(), told)
}

/// Its lines up to its end, and that.
fn ended(told: &Told) -> (Vec<(Stream, String)>, Exit) {
    let mut lines = Vec::new();
    loop {
        match told.recv_timeout(SOON).expect("an end") {
            Ok(line) => lines.push(line),
            Err(exit) => return (lines, exit),
        }
    }
}

#[test]
fn lines_come_before_the_end_and_the_end_once() {
    let mut launch = launch("echo \"$A$B\"; echo half >&2; pwd; printf last; exit 3");
    launch.set("A", "x");
    launch.unset("B");
    launch.folder = "/".into();
    let (_child, told) = started(&launch);
    let (lines, exit) = ended(&told);
    let of = |wanted| {
        let lines = lines.iter().filter(move |(stream, _)| *stream == wanted);
        lines.map(|(_, line)| line.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(Stream::Stdout), ["x", "/", "last"]);
    assert_eq!(of(Stream::Stderr), ["half"]);
    assert_eq!(exit.to_string(), "exit code 3");
    assert_eq!(exit.stderr, ["half"]);
    assert!(!exit.killed && !exit.success());
    assert_eq!(
        told.recv_timeout(SOON).unwrap_err(),
        RecvTimeoutError::Disconnected
    );
}

#[test]
fn the_last_lines_of_standard_error_are_kept() {
    let (_child, told) = started(&launch("seq 1 50 >&2; kill -s SEGV $$"));
    let (lines, exit) = ended(&told);
    assert_eq!(lines.len(), 50);
    assert_eq!(exit.to_string(), "SIGSEGV");
    assert_eq!((exit.stderr.len(), exit.stderr_before), (20, 30));
    assert_eq!(exit.stderr.last().map(String::as_str), Some("50"));
}

#[test]
fn what_left_the_family_does_not_hold_up_the_end() {
    let script = "setsid sh -c 'echo $$; exec sleep 100' & read -r go; echo end";
    let mut launch = launch(script);
    launch.stdin = Input::Piped;
    let (child, told) = started(&launch);
    let Ok((_, id)) = told.recv_timeout(SOON).unwrap() else {
        panic!("ended");
    };
    // Only now, so that it has left before the family is killed.
    drop(child.take_stdin());
    let (lines, exit) = ended(&told);
    assert_eq!(lines, [(Stream::Stdout, "end".to_owned())]);
    assert!(exit.success(), "{exit}");
    let kill = Command::new("kill").args(["-s", "KILL", &id]).status();
    assert!(kill.unwrap().success());
}

#[test]
fn a_stop_may_be_asked_for_and_forced() {
    let script = "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let (child, told) = started(&launch(script));
    assert!(told.recv_timeout(SOON).unwrap().is_ok());
    child.terminate();
    let (lines, exit) = ended(&told);
    // Its `sleep` got it too, and some shells say so.
    assert!(
        lines.contains(&(Stream::Stdout, "asked".to_owned())),
        "{lines:?}"
    );
    assert_eq!(
        (exit.to_string().as_str(), exit.killed),
        ("exit code 7", false)
    );

    let (child, told) = started(&launch("trap '' TERM; echo ready; sleep 100 & wait"));
    assert!(told.recv_timeout(SOON).unwrap().is_ok());
    child.kill();
    let (_, exit) = ended(&told);
    assert_eq!((exit.to_string().as_str(), exit.killed), ("SIGKILL", true));
    child.kill();
}

#[test]
fn dropping_kills_it_with_its_family() {
    let (child, told) = started(&launch("sleep 100 & echo ready; wait"));
    assert!(told.recv_timeout(SOON).unwrap().is_ok());
    drop(child);
    let (_, exit) = ended(&told);
    assert!(exit.killed, "{exit}");
}

#[test]
fn what_cannot_be_started_says_why() {
    let launch = Launch::new("/no/such/file".into(), Vec::new(), "/".into());
    let hooks = Hooks {
        on_line: Box::new(|_, _| panic!("a line")),
        on_exit: Box::new(|_| panic!("an end")),
    };
    let error = Child::spawn(&launch, hooks).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
#[cfg(target_os = "linux")]
fn it_runs_on_the_cores_that_it_is_given() {
    let mut launch = launch("grep Cpus_allowed_list /proc/self/status");
    launch.cores = vec![0];
    let (_child, told) = started(&launch);
    let (lines, _) = ended(&told);
    assert_eq!(lines[0].1.split_whitespace().last(), Some("0"));
}
