//! A process group whose number is that of its first process.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

#[derive(Debug)]
pub(super) struct Group(Pid);

pub(super) fn prepare(command: &mut Command) {
    command.process_group(0);
}

impl Group {
    pub fn of(child: &Child) -> io::Result<Self> {
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        id.map(Self).ok_or_else(|| Errno::SRCH.into())
    }

    /// Waits for the first process and does not collect it.
    pub fn wait(&self) -> io::Result<()> {
        loop {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            match waitid(WaitId::Pid(self.0), options) {
                // Collected already by another wait.
                Ok(_) | Err(Errno::CHILD) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub fn ask_to_end(&self) {
        // The only failure is that there is nobody left to ask.
        let _ = kill_process_group(self.0, Signal::TERM);
    }

    pub fn ask_only(&self) {
        self.ask_to_end();
    }

    pub fn kill(&self) {
        // As above.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}
