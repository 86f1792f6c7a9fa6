//! The greeting: who is there and which versions of the protocol it speaks. Its shape must never change in a way that an
//! older reader does not understand, because it is what tells them apart.

use super::text;
use crate::ids::MachineId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What this build speaks.
pub const PROTOCOL: Protocol = Protocol { min: 1, max: 1 };

/// A range of protocol versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// The oldest version that is understood.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.min == self.max {
            true => write!(f, "{}", self.min),
            false => write!(f, "{} to {}", self.min, self.max),
        }
    }
}

/// What a process of dora is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The coordinator.
    Coordinator,
    /// A daemon.
    Daemon,
    /// The `dora` command.
    Client,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coordinator => "coordinator",
            Self::Daemon => "daemon",
            Self::Client => "dora command",
        })
    }
}

/// The answer to a greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who answers.
    pub role: Role,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its version, such as `0.7.0`.
    pub version: String,
    /// A daemon's machine id.
    #[serde(default)]
    pub machine: Option<MachineId>,
    /// This life of the process; `None` for the `dora` command.
    #[serde(default)]
    pub epoch: Option<super::Epoch>,
}

impl Hello {
    /// The version that both speak, the newest if there are several.
    ///
    /// # Errors
    /// There is none.
    pub fn agree(&self, other: &Hello) -> Result<u32, Box<Incompatible>> {
        let newest = self.protocol.max.min(other.protocol.max);
        if newest >= self.protocol.min && newest >= other.protocol.min {
            return Ok(newest);
        }
        Err(Box::new(Incompatible {
            here: self.clone(),
            there: other.clone(),
        }))
    }
}

/// Two processes of dora that have no protocol version in common. Each side names itself `here`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incompatible {
    /// Who says so.
    pub here: Hello,
    /// The other one.
    pub there: Hello,
}

impl Incompatible {
    /// The same, as the other side sees it.
    pub fn seen_from_there(&self) -> Self {
        Self {
            here: self.there.clone(),
            there: self.here.clone(),
        }
    }
}

impl std::error::Error for Incompatible {}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (here, there) = (&self.here, &self.there);
        let older = match here.protocol.max < there.protocol.min {
            true => here,
            false => there,
        };
        write!(
            f,
            "this {} is dora {} (protocol {}), the {} is dora {} (protocol {}), and they have no protocol in common; \
             install the same dora on both sides, that is: update the {} (dora {})",
            here.role,
            text::shown(&here.version),
            here.protocol,
            there.role,
            text::shown(&there.version),
            there.protocol,
            older.role,
            text::shown(&older.version),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(role: Role, min: u32, max: u32, version: &str) -> Hello {
        Hello {
            role,
            protocol: Protocol { min, max },
            version: version.into(),
            machine: None,
            epoch: None,
        }
    }

    #[test]
    fn the_newest_common_version_is_agreed_on() {
        let table = [
            ((1, 1), (1, 1), Some(1)),
            ((1, 3), (2, 5), Some(3)),
            ((2, 5), (1, 3), Some(3)),
            ((1, 2), (3, 4), None),
            ((3, 4), (1, 2), None),
        ];
        for ((a, b), (c, d), agreed) in table {
            let here = hello(Role::Daemon, a, b, "0.7.0");
            let there = hello(Role::Coordinator, c, d, "0.8.0");
            assert_eq!(here.agree(&there).ok(), agreed);
        }
    }

    #[test]
    fn both_versions_and_the_remedy_are_named_on_both_sides() {
        let here = hello(Role::Daemon, 1, 1, "0.7.0");
        let there = hello(Role::Coordinator, 2, 3, "0.9.1");
        let error = here.agree(&there).unwrap_err();
        assert_eq!(
            error.to_string(),
            "this daemon is dora 0.7.0 (protocol 1), the coordinator is dora 0.9.1 (protocol 2 to 3), and they have \
             no protocol in common; install the same dora on both sides, that is: update the daemon (dora 0.7.0)"
        );
        let other = error.seen_from_there().to_string();
        assert!(
            other.starts_with("this coordinator is dora 0.9.1"),
            "{other}"
        );
        assert!(other.ends_with("update the daemon (dora 0.7.0)"), "{other}");
    }
}
