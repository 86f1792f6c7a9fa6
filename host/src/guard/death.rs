//! The death of a worker: what is said of it.

use crate::sys::scene::Crash;
use std::fmt;
use std::time::Duration;

/// How a worker died. Displays as a sentence without its point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// `SIGSEGV`, or `exit code 3`, with what is known of its cause.
    pub how: String,
    /// Whether that was a signal.
    pub killed: bool,
    /// What it has left.
    pub crash: Option<Crash>,
    /// Whether all its descendants have ended: else one is stuck in the system.
    pub all_ended: bool,
    /// Until the next worker; `None` if there will be none.
    pub pause: Option<Duration>,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.of_node(), self.killed) {
            (Some((node, crash)), _) => write!(f, "node `{node}` {crash}; ")?,
            (None, true) => write!(f, "the worker was killed by {}; ", self.how)?,
            (None, false) => write!(
                f,
                "the worker ended without being asked to, with {}; ",
                self.how
            )?,
        }
        f.write_str(match self.all_ended {
            true => "every process of its nodes has been ended",
            false => "the processes of its nodes were killed, and some have not ended yet",
        })?;
        match self.pause {
            Some(pause) => write!(f, "; another worker starts in {pause:?}"),
            None => Ok(()),
        }
    }
}

impl Death {
    /// The node whose callback has brought it about, and in words that follow that, what it did.
    pub fn of_node(&self) -> Option<(&str, String)> {
        let crash = self.crash.as_ref()?;
        let node = crash.node.as_deref()?;
        let who = match crash.life.who.as_str() {
            "" => "its process",
            who => who,
        };
        let hint = match self.killed {
            true => "",
            false => "; a node must not call exit",
        };
        let text = format!("crashed {who}: {}{}{hint}", self.how, crash.words());
        Some((node, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scene::{Callback, Life};

    #[test]
    fn it_is_told_in_one_line() {
        let death = Death {
            how: "SIGSEGV".into(),
            killed: true,
            crash: None,
            all_ended: true,
            pause: Some(Duration::from_millis(100)),
        };
        let rest = "every process of its nodes has been ended; another worker starts in 100ms";
        let killed = format!("the worker was killed by SIGSEGV; {rest}");
        assert_eq!(death.to_string(), killed);
        let crash = Crash {
            life: Life {
                who: "the daemon of machine `A`".into(),
                ..Life::default()
            },
            node: Some("cam".into()),
            callback: Some(Callback::Input(0)),
            inputs: vec!["image".into()],
            ..Crash::default()
        };
        let by_node = Death {
            crash: Some(crash),
            ..death
        };
        let text = "node `cam` crashed the daemon of machine `A`: SIGSEGV in its callback for input `image`; ";
        assert_eq!(by_node.to_string(), format!("{text}{rest}"));
    }
}
