//! Values to bytes and back. What cannot be read is told by what was expected and where it went wrong.

use super::text;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

/// Largest control message that is read, in bytes: descriptors are the largest, and bounded by their own limit.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A message that could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What the message should have been, such as `start request`.
    pub what: String,
    /// What is wrong with it.
    pub reason: String,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was not understood: {}; are both sides the same version of dora?",
            text::shown(&self.what),
            text::shown(&self.reason)
        )
    }
}

/// A value as JSON.
///
/// # Errors
/// A path in it is no Unicode text, which JSON cannot hold.
pub fn encode<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|error| fault(what, error))
}

/// A value from JSON.
///
/// # Errors
/// The bytes are too many, are no JSON, or are JSON of something else.
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Fault> {
    if bytes.len() > MAX_BYTES {
        return Err(fault(what, format!("it has {} bytes", bytes.len())));
    }
    serde_json::from_slice(bytes).map_err(|error| fault(what, error))
}

fn fault(what: &str, reason: impl fmt::Display) -> Fault {
    Fault {
        what: what.to_owned(),
        reason: reason.to_string(),
    }
}
