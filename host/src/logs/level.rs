//! Severity of log lines: five levels with names and numbers.
//!
//! Invariant: the numbers are those of the contract with plugins, the capital names those of dora's JSON. Absent: what
//! to do with a level, and "off", which is a [`super::Limit`].

use super::escape;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Severity of a line, the most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is wrong, the work goes on.
    Warn = 2,
    /// What a user wants to know.
    Info = 3,
    /// What helps to find a fault.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl Level {
    /// All levels, the most severe first.
    pub const ALL: [Level; 5] = [
        Level::Error,
        Level::Warn,
        Level::Info,
        Level::Debug,
        Level::Trace,
    ];

    /// 1 error, 2 warning, 3 information, 4 debug, 5 trace: the numbers of `LogLine::level`.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The level of a number; what is out of range becomes the nearest.
    pub fn from_number(number: u32) -> Self {
        match number {
            0 | 1 => Level::Error,
            2 => Level::Warn,
            3 => Level::Info,
            4 => Level::Debug,
            _ => Level::Trace,
        }
    }

    /// The name as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    /// The name as it stands in log lines and in JSON.
    pub fn capitals(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no level. Displays as a sentence that lists the levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown log level `{}`; the levels are error, warn, info, debug and trace", escape::line(.0))]
pub struct UnknownLevel(pub String);

impl FromStr for Level {
    type Err = UnknownLevel;

    /// In any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Level::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.capitals())
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_numbers_and_names() {
        for (level, number, name) in [
            (Level::Error, 1, "error"),
            (Level::Warn, 2, "warn"),
            (Level::Info, 3, "info"),
            (Level::Debug, 4, "debug"),
            (Level::Trace, 5, "trace"),
        ] {
            assert_eq!(level.number(), number);
            assert_eq!(Level::from_number(number), level);
            assert_eq!(level.to_string(), name);
            assert_eq!(name.to_uppercase().parse(), Ok(level));
        }
        assert_eq!(Level::from_number(0), Level::Error);
        assert_eq!(Level::from_number(u32::MAX), Level::Trace);
    }
}
