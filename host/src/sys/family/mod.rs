//! A child process together with all that it starts: one group on Unix, one job on Windows.
//!
//! Invariant: nothing of a family outlives its [`Family`], nor the end of its first process: what that one leaves
//! running is killed. A descendant that leaves the group (`setsid`) escapes it on Unix.
//! Absent: deadlines; the caller waits in a thread of its own and kills from another.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use std::io;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// This process is about to end: no families any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Lets every start fail from now on.
pub fn start_no_more() {
    CLOSED.store(true, Ordering::SeqCst);
}

/// A child process and its descendants. Any thread.
#[derive(Debug)]
pub struct Family {
    group: system::Group,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Family {
    /// Starts the command as the first of a family of its own: Ctrl-C in the terminal does not reach it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        if CLOSED.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        system::prepare(command);
        let mut child = command.spawn()?;
        let group = match system::Group::of(&child) {
            Ok(group) => group,
            Err(error) => {
                // Without a group its descendants could not be ended later.
                child.kill()?;
                child.wait()?;
                return Err(error);
            }
        };
        let state = State { child, ended: None };
        Ok(Self {
            group,
            state: Mutex::new(state),
        })
    }

    /// The pipes to it that were asked for and not yet taken.
    pub fn pipes(&self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        let child = &mut self.state().child;
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    }

    /// The number of its first process.
    pub fn id(&self) -> u32 {
        self.state().child.id()
    }

    /// Whether its first process has ended and was collected.
    pub fn has_ended(&self) -> bool {
        self.state().ended.is_some()
    }

    /// Waits until its first process ends, then kills what that left.
    ///
    /// # Errors
    /// The system cannot tell how it ended.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        // Not yet collected, so that its number cannot belong to another before the group is killed; and without the
        // lock, so that it can be killed meanwhile.
        self.group.wait()?;
        self.end()
    }

    /// Asks all of it to end, where the system has a way to ask; else kills it.
    pub fn ask_to_end(&self) {
        let state = self.state();
        if state.ended.is_none() {
            self.group.ask_to_end();
        }
    }

    /// As [`Family::ask_to_end`], but where there is no way to ask nothing happens.
    pub fn ask_only(&self) {
        let state = self.state();
        if state.ended.is_none() {
            self.group.ask_only();
        }
    }

    /// Kills all of it.
    pub fn kill(&self) {
        let state = self.state();
        if state.ended.is_none() {
            self.group.kill();
        }
    }

    fn end(&self) -> io::Result<ExitStatus> {
        let mut state = self.state();
        if let Some(status) = state.ended {
            return Ok(status);
        }
        self.group.kill();
        let status = state.child.wait()?;
        state.ended = Some(status);
        Ok(status)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // Killed, it ends soon; collected, it leaves no zombie.
        let _ = self.end();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;
    use std::sync::Arc;

    fn shell(script: &str) -> Family {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        Family::spawn(&mut command).expect("a shell")
    }

    /// What it writes; returns when nobody holds the pipe any more, so a descendant that lives would hang the test.
    fn output(family: &Family) -> String {
        let mut text = String::new();
        if let (_, Some(mut stdout), _) = family.pipes() {
            stdout.read_to_string(&mut text).expect("text");
        }
        text
    }

    #[test]
    fn what_the_first_process_leaves_ends_with_it() {
        let family = shell("sleep 100 & echo started; exit 3");
        assert_eq!(family.wait().expect("ended").code(), Some(3));
        assert_eq!(output(&family), "started\n");
    }

    #[test]
    fn killing_reaches_descendants_and_wakes_who_waits() {
        let family = Arc::new(shell("(sleep 100; echo late) & sleep 100"));
        let waits = family.clone();
        let waiting = std::thread::spawn(move || waits.wait());
        family.kill();
        let status = waiting.join().expect("no panic").expect("ended");
        assert_eq!(
            super::super::ending::crash(status).as_deref(),
            Some("SIGKILL")
        );
        assert_eq!(output(&family), "");
        family.kill();
    }

    #[test]
    fn dropping_ends_it() {
        let family = shell("sleep 100 & sleep 100");
        let (_, stdout, _) = family.pipes();
        drop(family);
        let mut text = String::new();
        stdout
            .expect("a pipe")
            .read_to_string(&mut text)
            .expect("text");
        assert_eq!(text, "");
    }

    #[test]
    fn asking_lets_it_end_in_order() {
        let family =
            shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
        let (_, stdout, _) = family.pipes();
        let mut stdout = stdout.expect("a pipe");
        let mut ready = [0; 6];
        stdout.read_exact(&mut ready).expect("ready");
        family.ask_to_end();
        let status = family.wait().expect("ended");
        assert_eq!(status.code(), Some(0));
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "bye\n");
    }
}
