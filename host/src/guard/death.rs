//! The death of a worker: what is said of it.

use std::fmt;
use std::time::Duration;

/// How a worker died. Displays as a sentence without its point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// `was killed by SIGSEGV`, or what else it did.
    pub how: String,
    /// Whether all its descendants have ended: else one is stuck in the system.
    pub all_ended: bool,
    /// Until the next worker; `None` if there will be none.
    pub pause: Option<Duration>,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the worker {}; ", self.how)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_one_line() {
        let death = Death {
            how: "was killed by SIGSEGV".into(),
            all_ended: true,
            pause: Some(Duration::from_millis(100)),
        };
        assert_eq!(
            death.to_string(),
            "the worker was killed by SIGSEGV; every process of its nodes has been ended; another worker starts in 100ms"
        );
    }
}
