//! What is known of a crash of a node, for its report: a panic, or a process that has crashed.
//!
//! Absent: where the report goes, and what a node's code is when the engine made it (`EngineLog::hosts`).

use plugin_abi::message::Message;
use plugin_abi::meta::{Timestamp, Value};
use std::fmt;

/// A crash.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Crash {
    /// What has happened: the panic, or how the process ended, with the callback.
    pub how: String,
    /// What the node's code is, in lines, if that was not said before.
    pub code: String,
    /// The message that it was called with, or had got last.
    pub message: Option<LastMessage>,
    /// Frames, and what else there is: lines.
    pub trace: Vec<String>,
}

/// What is told of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct LastMessage {
    /// The input that it came on.
    pub input: String,
    /// When it was sent.
    pub sent: Timestamp,
    /// Its type in words; nothing when it is not known.
    pub data_type: String,
    /// How many values it has.
    pub values: u64,
    /// Its parameters, as text.
    pub parameters: Vec<(String, String)>,
}

/// Characters of a parameter's value that are told.
const VALUE: usize = 200;
/// Parameters that are told.
const PARAMETERS: usize = 32;

impl LastMessage {
    /// Of a message that came on this input.
    pub fn of(input: &str, message: &Message) -> Self {
        Self {
            data_type: message.data_type(),
            ..Self::of_meta(
                input,
                message.len() as u64,
                message.timestamp(),
                message.parameter_bytes(),
            )
        }
    }

    /// Of what is left of a message's metadata.
    pub fn of_meta(input: &str, values: u64, sent: Timestamp, parameters: &[u8]) -> Self {
        let parameters = plugin_abi::meta::Parameters::decode(parameters).unwrap_or_default();
        let told = parameters.iter().take(PARAMETERS);
        Self {
            input: input.to_owned(),
            sent,
            data_type: String::new(),
            values,
            parameters: told
                .map(|(name, value)| (name.to_owned(), text(value)))
                .collect(),
        }
    }
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(value) => format!("{value:?}"),
        Value::Integers(values) => format!("{values:?}"),
        Value::Floats(values) => format!("{values:?}"),
        Value::Texts(values) => format!("{values:?}"),
    };
    text.chars().take(VALUE).collect()
}

impl fmt::Display for LastMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on input `{}`, {} values", self.input, self.values)?;
        if !self.data_type.is_empty() {
            write!(f, " of {}", self.data_type)?;
        }
        write!(f, ", sent at {} ns", self.sent.unix_nanos())?;
        for (name, value) in &self.parameters {
            write!(f, ", {name}={value}")?;
        }
        Ok(())
    }
}
