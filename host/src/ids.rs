//! Names of the things a dataflow is made of: nodes, ports, machines, dataflows.
//! A value of these types is valid: it can be a zenoh key, a file name and a word of a message
//! without further checks. Knows no descriptor and no graph.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest name in characters: ids become parts of file names, which end at 255 bytes.
pub const MAX_NAME_LEN: usize = 128;

/// Id of a node, unique in its dataflow: 1 to 128 characters of `[a-zA-Z0-9_.-]`, not starting
/// with a dot, and not `dora` (that is where timers and logs come from).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

/// Name of an input or output of a node: as [`NodeId`], and also `/` between non-empty parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortName(String);

/// Name under which a machine's daemon registers: the characters of [`NodeId`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineId(String);

/// Name of a host process or of a thread that several nodes share: the characters of [`NodeId`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShareName(String);

/// Identity of one running dataflow. Time-ordered (UUID version 7), so that listings sort by start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataflowId(Uuid);

impl DataflowId {
    /// A new id from the clock and random bits.
    #[allow(clippy::new_without_default)] // two calls differ, a default would suggest otherwise
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of an existing dataflow, for instance from a wire.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID itself.
    pub fn uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for DataflowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for DataflowId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Why a text cannot be a name. Displays as a whole sentence that quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be a {what}: {reason}", shown(.text))]
pub struct InvalidName {
    /// What it should have named, such as `node id`.
    pub what: &'static str,
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub reason: NameFault,
}

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing was given.
    #[error("it needs at least one character")]
    Empty,
    /// More than [`MAX_NAME_LEN`] characters.
    #[error("it has {0} characters, at most {MAX_NAME_LEN} are allowed")]
    TooLong(usize),
    /// A character outside the allowed set; the second field lists the set.
    #[error("the character {0:?} is not allowed, only {1}")]
    Character(char, &'static str),
    /// A leading dot, which makes hidden files and `..`.
    #[error("it starts with a dot")]
    LeadingDot,
    /// `dora` as node id.
    #[error("`dora` is where timers and logs come from (`dora/timer/...`, `dora/logs`)")]
    Reserved,
    /// `/` at an end or doubled.
    #[error("`/` must stand between two parts")]
    EmptyPart,
}

const PLAIN_SET: &str = "a-z A-Z 0-9 _ . -";
const PORT_SET: &str = "a-z A-Z 0-9 _ . - /";

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn check_plain(text: &str) -> Result<(), NameFault> {
    check_length(text)?;
    match text.chars().find(|c| !is_plain(*c)) {
        Some(c) => Err(NameFault::Character(c, PLAIN_SET)),
        None if text.starts_with('.') => Err(NameFault::LeadingDot),
        None => Ok(()),
    }
}

fn check_node_id(text: &str) -> Result<(), NameFault> {
    check_plain(text)?;
    if text == "dora" {
        return Err(NameFault::Reserved);
    }
    Ok(())
}

fn check_port(text: &str) -> Result<(), NameFault> {
    check_length(text)?;
    if let Some(c) = text.chars().find(|c| !is_plain(*c) && *c != '/') {
        return Err(NameFault::Character(c, PORT_SET));
    }
    for part in text.split('/') {
        if part.is_empty() {
            return Err(NameFault::EmptyPart);
        }
        if part.starts_with('.') {
            return Err(NameFault::LeadingDot);
        }
    }
    Ok(())
}

fn check_length(text: &str) -> Result<(), NameFault> {
    match text.chars().count() {
        0 => Err(NameFault::Empty),
        n if n > MAX_NAME_LEN => Err(NameFault::TooLong(n)),
        _ => Ok(()),
    }
}

/// The text as it may stand in a message: control characters escaped, long texts cut.
fn shown(text: &str) -> String {
    if text.is_empty() {
        return "an empty text".into();
    }
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

macro_rules! name_type {
    ($name:ident, $what:literal, $check:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                match $check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(reason) => Err(InvalidName {
                        what: $what,
                        text,
                        reason,
                    }),
                }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(NodeId, "node id", check_node_id);
name_type!(PortName, "port name", check_port);
name_type!(MachineId, "machine id", check_plain);
name_type!(ShareName, "process or thread name", check_plain);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "x".repeat(MAX_NAME_LEN + 1);
        let table: &[(&str, bool, bool)] = &[
            // text, node id?, port?
            ("camera", true, true),
            ("Camera-2_a.b", true, true),
            ("op/out", false, true),
            ("", false, false),
            ("a b", false, false),
            ("caméra", false, false),
            (".hidden", false, false),
            ("..", false, false),
            ("a/../b", false, false),
            ("a//b", false, false),
            ("/a", false, false),
            ("a/", false, false),
            ("dora", false, true),
            ("dora-node", true, true),
            ("a\n", false, false),
            (&long, false, false),
        ];
        for (text, node, port) in table {
            assert_eq!(text.parse::<NodeId>().is_ok(), *node, "node id {text:?}");
            assert_eq!(text.parse::<PortName>().is_ok(), *port, "port {text:?}");
        }
    }

    #[test]
    fn refusals_quote_the_name_and_say_why() {
        let message = |text: &str| text.parse::<NodeId>().unwrap_err().to_string();
        assert_eq!(
            message("a b"),
            "`a b` cannot be a node id: the character ' ' is not allowed, only a-z A-Z 0-9 _ . -"
        );
        assert_eq!(
            message("a\u{1b}[31m"),
            "`a\\u{1b}[31m` cannot be a node id: the character '\\u{1b}' is not allowed, only a-z A-Z 0-9 _ . -"
        );
    }

    #[test]
    fn serde_refuses_what_parsing_refuses() {
        assert!(serde_json::from_str::<NodeId>("\"a b\"").is_err());
        let id: NodeId = serde_json::from_str("\"ab\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"ab\"");
    }

    #[test]
    fn dataflow_ids_differ_sort_by_time_and_round_trip() {
        let (a, b) = (DataflowId::new(), DataflowId::new());
        assert_ne!(a, b);
        assert!(a < b);
        assert_eq!(a.to_string().parse::<DataflowId>().unwrap(), a);
    }
}
