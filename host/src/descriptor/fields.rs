//! From YAML values to typed values: every reader either gives the value or reports what stood
//! there and what was expected. Knows types and ranges, not what the keys mean.

use std::{collections::BTreeMap, time::Duration};

use super::{
    keys::{self, Key, Meaning},
    problem::{Position, Problem, Problems, Severity, listed, quoted, quoted_text},
    suggest::did_you_mean,
    yaml::{Entry, Value, Yaml},
};

/// Where problems go, and what stands before their text.
pub(super) struct Scope<'a> {
    problems: &'a mut Problems,
    node: Option<String>,
    prefix: String,
}

impl<'a> Scope<'a> {
    pub(super) fn new(problems: &'a mut Problems) -> Self {
        Self {
            problems,
            node: None,
            prefix: String::new(),
        }
    }

    /// The same, for problems of one node.
    pub(super) fn of_node(&mut self, node: &str) -> Scope<'_> {
        Scope {
            problems: self.problems,
            node: Some(node.to_owned()),
            prefix: String::new(),
        }
    }

    /// The same, for problems of a part such as ``input `x` ``.
    pub(super) fn inside(&mut self, part: &str) -> Scope<'_> {
        Scope {
            problems: self.problems,
            node: self.node.clone(),
            prefix: format!("{}{part}: ", self.prefix),
        }
    }

    pub(super) fn error(&mut self, at: Position, text: impl AsRef<str>) {
        self.push(Severity::Error, at, text.as_ref());
    }

    pub(super) fn warn(&mut self, at: Position, text: impl AsRef<str>) {
        self.push(Severity::Warning, at, text.as_ref());
    }

    /// Whether costly hints are pointless because nobody will see them.
    pub(super) fn is_full(&self) -> bool {
        self.problems.is_full()
    }

    pub(super) fn errors(&self) -> usize {
        self.problems.errors()
    }

    fn push(&mut self, severity: Severity, at: Position, text: &str) {
        self.problems.push(Problem {
            severity,
            at: Some(at),
            node: self.node.clone(),
            text: format!("{}{text}", self.prefix),
        });
    }

    fn expected(&mut self, entry: &Entry, what: &str) {
        self.expected_at(&quoted(&entry.key), place(entry), &entry.value, what);
    }

    fn expected_at(&mut self, name: &str, at: Position, found: &Yaml, what: &str) {
        self.error(
            at,
            format!("{name} must be {what}, found {}", found.in_words()),
        );
    }
}

/// Where to point for a wrong value: an empty one has no place of its own.
pub(super) fn place(entry: &Entry) -> Position {
    match entry.value.value {
        Value::Null => entry.key_at,
        _ => entry.value.at,
    }
}

/// The working keys of one mapping, each read at most once. Keys that do not work are reported when
/// the mapping is sorted; an empty value counts as left out.
pub(super) struct Fields {
    entries: BTreeMap<&'static str, Entry>,
}

impl Fields {
    /// Sorts a mapping's entries by the table. `what` is the thing that has these keys, such as
    /// `a node`.
    pub(super) fn sort(
        scope: &mut Scope<'_>,
        entries: Vec<Entry>,
        table: &'static [Key],
        what: &str,
    ) -> Self {
        let mut fields = Self {
            entries: BTreeMap::new(),
        };
        for entry in entries {
            let Some(key) = keys::find(table, &entry.key) else {
                unknown_key(scope, &entry, table, what);
                continue;
            };
            let shown = quoted(&entry.key);
            match key.meaning {
                Meaning::Works => fields.put(scope, key.name, entry),
                Meaning::Same(name) => fields.put(scope, name, entry),
                Meaning::NoEffect(why) => {
                    scope.warn(entry.key_at, format!("{shown} has no effect: {why}"));
                }
                Meaning::Refused(instead) => {
                    scope.error(entry.key_at, format!("{shown} is not supported: {instead}"));
                }
            }
        }
        fields
    }

    fn put(&mut self, scope: &mut Scope<'_>, name: &'static str, entry: Entry) {
        if let Some(other) = self.entries.get(name) {
            let (new, old) = (quoted(&entry.key), quoted(&other.key));
            let text = format!(
                "{new} says again what {old} in line {} says; remove one",
                other.key_at.line
            );
            scope.error(entry.key_at, text);
            return;
        }
        self.entries.insert(name, entry);
    }

    /// The entry of a key, unless it is left out or empty.
    pub(super) fn take(&mut self, name: &str) -> Option<Entry> {
        let entry = self.entries.remove(name)?;
        (entry.value.value != Value::Null).then_some(entry)
    }

    /// Where the key stands, if it is given.
    pub(super) fn position_of(&self, name: &str) -> Option<Position> {
        self.entries.get(name).map(|entry| entry.key_at)
    }

    /// A text; see [`text`].
    pub(super) fn text(&mut self, scope: &mut Scope<'_>, name: &str) -> Option<(String, Position)> {
        let entry = self.take(name)?;
        let at = entry.value.at;
        text(scope, entry).map(|text| (text, at))
    }

    /// A text, or a number or boolean as text, for what is only shown to people.
    pub(super) fn label(&mut self, scope: &mut Scope<'_>, name: &str) -> Option<String> {
        let entry = self.take(name)?;
        match scalar_text(&entry.value) {
            Some(text) => Some(text),
            None => {
                scope.expected(&entry, "text");
                None
            }
        }
    }

    /// A text with a parser whose error is a whole message.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        scope: &mut Scope<'_>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<(T, Position)> {
        let (text, at) = self.text(scope, name)?;
        match parse(&text) {
            Ok(value) => Some((value, at)),
            Err(error) => {
                scope.error(at, format!("`{name}`: {error}"));
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, scope: &mut Scope<'_>, name: &str) -> Option<bool> {
        let entry = self.take(name)?;
        match entry.value.value {
            Value::Bool(value) => Some(value),
            _ => {
                scope.expected(&entry, "`true` or `false`");
                None
            }
        }
    }

    /// A whole number within the range.
    pub(super) fn whole(
        &mut self,
        scope: &mut Scope<'_>,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let entry = self.take(name)?;
        let value = match entry.value.value {
            Value::Int(value) => u64::try_from(value).ok(),
            _ => None,
        };
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            let what = format!("a whole number from {} to {}", range.start(), range.end());
            scope.expected(&entry, &what);
        }
        value
    }

    /// A number of seconds; `zero` says whether 0 is allowed.
    pub(super) fn seconds(
        &mut self,
        scope: &mut Scope<'_>,
        name: &str,
        zero: bool,
    ) -> Option<Duration> {
        let entry = self.take(name)?;
        let seconds = match entry.value.value {
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        };
        let duration = seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|duration| zero || !duration.is_zero());
        if duration.is_none() {
            let what = match zero {
                true => "a number of seconds, such as 0.5 or 10",
                false => "a number of seconds above 0, such as 0.5 or 10",
            };
            scope.expected(&entry, what);
        }
        duration
    }

    /// One of the named values.
    pub(super) fn choice<T: Copy>(
        &mut self,
        scope: &mut Scope<'_>,
        name: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let entry = self.take(name)?;
        let names = || choices.iter().map(|(name, _)| *name);
        let Value::Text(text) = &entry.value.value else {
            scope.expected(&entry, &format!("one of {}", listed(names())));
            return None;
        };
        let found = choices.iter().find(|(name, _)| name == text);
        if found.is_none() {
            let hint = did_you_mean(text, names());
            let message = format!(
                "{} must be one of {}, found {}{hint}",
                quoted(name),
                listed(names()),
                quoted_text(text),
            );
            scope.error(entry.value.at, message);
        }
        found.map(|(_, value)| *value)
    }

    pub(super) fn list(
        &mut self,
        scope: &mut Scope<'_>,
        name: &str,
        of: &str,
    ) -> Option<Vec<Yaml>> {
        let entry = self.take(name)?;
        match entry.value.value {
            Value::List(items) => Some(items),
            _ => {
                scope.expected(&entry, &format!("a list of {of}"));
                None
            }
        }
    }

    pub(super) fn map(
        &mut self,
        scope: &mut Scope<'_>,
        name: &str,
        of: &str,
    ) -> Option<Vec<Entry>> {
        let entry = self.take(name)?;
        match entry.value.value {
            Value::Map(entries) => Some(entries),
            _ => {
                scope.expected(&entry, &format!("a mapping of {of}"));
                None
            }
        }
    }

    /// Keys that were sorted as working and that nobody has read: there must be none.
    pub(super) fn left(&self) -> Vec<&'static str> {
        self.entries.keys().copied().collect()
    }
}

fn unknown_key(scope: &mut Scope<'_>, entry: &Entry, table: &'static [Key], what: &str) {
    if scope.is_full() {
        scope.error(entry.key_at, "");
        return;
    }
    let hint = did_you_mean(&entry.key, keys::working(table));
    let known = match hint.as_str() {
        "" => format!(
            "; {what} can have: {}",
            keys::working(table).collect::<Vec<_>>().join(", ")
        ),
        _ => hint,
    };
    scope.error(
        entry.key_at,
        format!("unknown key {}{known}", quoted(&entry.key)),
    );
}

/// The text of an entry. Numbers and booleans are refused: `1.10` would have become 1.1 already.
pub(super) fn text(scope: &mut Scope<'_>, entry: Entry) -> Option<String> {
    let name = quoted(&entry.key);
    let at = place(&entry);
    text_at(scope, &name, at, entry.value)
}

/// The text of a value that `name` tells of in messages.
pub(super) fn text_at(
    scope: &mut Scope<'_>,
    name: &str,
    at: Position,
    yaml: Yaml,
) -> Option<String> {
    match yaml.value {
        Value::Text(text) => Some(text),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            let found = yaml.in_words();
            scope.error(
                at,
                format!("{name} must be text, found {found}; put it in quotes"),
            );
            None
        }
        _ => {
            scope.expected_at(name, at, &yaml, "text");
            None
        }
    }
}

/// Reports a NUL character: for the operating system it would be the end of the text.
pub(super) fn refuse_nul(scope: &mut Scope<'_>, name: &str, at: Position, text: &str) {
    if text.contains('\0') {
        scope.error(at, format!("{name} contains a NUL character"));
    }
}

/// A scalar as text: booleans and numbers in their shortest form.
pub(super) fn scalar_text(yaml: &Yaml) -> Option<String> {
    match &yaml.value {
        Value::Text(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}
