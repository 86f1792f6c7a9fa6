//! YAML text -> a tree in which every value knows its line and column, within hard limits.
//! The only module that names the YAML library. Knows nothing of descriptors.
//!
//! What comes out is bounded in depth, in values and in bytes, with aliases expanded, merge keys
//! applied and keys unique. Any text gives a tree or an error, never a panic.

mod build;
mod scalar;

use super::problem::{Position, quoted_text};

/// Nesting of lists and mappings, aliases expanded.
pub(super) const MAX_DEPTH: usize = 64;

/// Values in one file, aliases expanded (and anchors counted twice, since they are kept).
pub(super) const MAX_VALUES: usize = 500_000;

/// Bytes of text in all values, aliases expanded.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;

/// A value and where it stands. An aliased value stands where its anchor is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Yaml {
    pub at: Position,
    pub value: Value,
}

/// What a YAML value is, by the core schema of YAML 1.2 (so `yes` and `on` are text).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// Within `i64::MIN..=u64::MAX`.
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Position,
    pub value: Yaml,
}

/// What is wrong with the text as YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: Position,
    pub text: String,
}

/// The tree of a text's one document, and its faults. There is no tree when the syntax is broken
/// or a limit is passed; an empty text has neither.
pub(super) fn parse(text: &str) -> (Option<Yaml>, Vec<Fault>) {
    build::build(text)
}

impl Yaml {
    /// What the value is, in words for a message: `the number 5`, `a list`.
    pub(super) fn in_words(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(value) => format!("the text {}", quoted_text(value)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }
}
