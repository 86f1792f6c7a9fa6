//! Which lines are wanted: `--log-level`, `--log-filter`, and what a reader of the log asks for.
//!
//! Invariant: a filter that exists is valid. Pure. Absent: where the answers are kept for plugins to read, which is
//! `levels`.

use super::escape;
use super::level::Level;
use super::record::Record;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The least severe level that is wanted, or nothing at all. Ordered by how much passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit(Option<Level>);

impl Limit {
    /// Nothing is wanted.
    pub const OFF: Limit = Limit(None);

    /// This level and the more severe ones.
    pub const fn to(level: Level) -> Self {
        Limit(Some(level))
    }

    /// 0 for nothing, else [`Level::number`]: what plugins compare with.
    pub fn number(self) -> u32 {
        self.0.map_or(0, Level::number)
    }

    /// The level, or `None` for nothing.
    pub fn level(self) -> Option<Level> {
        self.0
    }

    /// Whether a line is wanted. What a process printed has no level and passes every limit but [`Limit::OFF`].
    pub fn admits(self, record: &Record) -> bool {
        match self.0 {
            None => false,
            Some(level) => record.level <= level || record.stream().is_some(),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.map_or("off", Level::name))
    }
}

/// Why a filter cannot be understood. Displays as one line that says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A text that names no level; the second field is the node it was meant for.
    #[error("unknown log level `{}`{}; allowed are off, error, warn, info, debug and trace", escape::line(.0), for_node(.1))]
    UnknownLevel(String, Option<String>),
    /// An entry that is no `node=level`.
    #[error("cannot understand `{}` in a log filter: write node=level, several separated by commas, such as camera=debug,sink=off", escape::line(.0))]
    NotAPair(String),
    /// A node with two levels.
    #[error("the log filter names node `{}` twice", escape::line(.0))]
    Twice(String),
}

fn for_node(node: &Option<String>) -> String {
    match node {
        Some(node) => format!(" for node `{}`", escape::line(node)),
        None => String::new(),
    }
}

impl FromStr for Limit {
    type Err = FilterError;

    /// `off` or the name of a level, in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Limit::OFF);
        }
        match text.parse() {
            Ok(level) => Ok(Limit::to(level)),
            Err(_) => Err(FilterError::UnknownLevel(text.to_owned(), None)),
        }
    }
}

/// What `--log-level` and `--log-filter` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    default: Limit,
    nodes: BTreeMap<String, Limit>,
}

impl Default for Filter {
    /// Information and worse, of every node.
    fn default() -> Self {
        Self::new(Limit::to(Level::Info))
    }
}

impl Filter {
    /// The same limit for every node and for this runtime.
    pub fn new(default: Limit) -> Self {
        Self {
            default,
            nodes: BTreeMap::new(),
        }
    }

    /// Adds `node=level[,node=level]`; spaces around the parts do not matter, and an empty text adds nothing.
    ///
    /// # Errors
    /// The first part that cannot be understood. Whether the nodes exist is not known here.
    pub fn with_nodes(mut self, text: &str) -> Result<Self, FilterError> {
        if text.trim().is_empty() {
            return Ok(self);
        }
        for pair in text.split(',') {
            let pair = pair.trim();
            let (node, level) = pair
                .split_once('=')
                .map(|(node, level)| (node.trim(), level.trim()))
                .filter(|(node, level)| !node.is_empty() && !level.is_empty())
                .ok_or_else(|| FilterError::NotAPair(pair.to_owned()))?;
            let limit: Limit = level
                .parse()
                .map_err(|_| FilterError::UnknownLevel(level.to_owned(), Some(node.to_owned())))?;
            if self.nodes.insert(node.to_owned(), limit).is_some() {
                return Err(FilterError::Twice(node.to_owned()));
            }
        }
        Ok(self)
    }

    /// The limit for nodes that are not named, for libraries and for this runtime.
    pub fn default_limit(&self) -> Limit {
        self.default
    }

    /// The limit of a node that is named.
    pub fn named(&self, node: &str) -> Option<Limit> {
        self.nodes.get(node).copied()
    }

    /// The nodes that are named, sorted: for saying which of them do not exist.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }
}

/// Which lines a reader of the log wants. The default: all that files and console get.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Down to which level, and no printed lines; speakers are made to say that much. `None`: the same lines, printed
    /// ones too, that files and console get.
    pub limit: Option<Limit>,
    /// Only of this dataflow.
    pub dataflow: Option<Uuid>,
    /// Only of this node.
    pub node: Option<String>,
    /// Not of this node: a node that reads the log must not hear itself, or every line would cause another.
    pub except: Option<String>,
}

impl Selection {
    /// Whether a line is wanted; `kept` says whether files and console get it.
    pub fn admits(&self, record: &Record, kept: bool) -> bool {
        let level = match self.limit {
            None => kept,
            Some(limit) => limit.admits(record) && record.stream().is_none(),
        };
        level && self.concerns(record.dataflow, record.node.as_deref())
    }

    /// Whether lines of this speaker are wanted, at some level.
    pub(super) fn concerns(&self, dataflow: Option<Uuid>, node: Option<&str>) -> bool {
        let only_node = self.node.as_deref();
        (self.dataflow.is_none() || self.dataflow == dataflow)
            && (only_node.is_none() || only_node == node)
            && (node.is_none() || self.except.as_deref() != node)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Origin, Stream};
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn limits_are_parsed() {
        for (text, number) in [
            ("off", 0),
            ("OFF", 0),
            ("error", 1),
            ("Warn", 2),
            ("info", 3),
            ("debug", 4),
            ("TRACE", 5),
        ] {
            assert_eq!(text.parse::<Limit>().unwrap().number(), number, "{text}");
        }
        assert_eq!(
            "loud".parse::<Limit>().unwrap_err().to_string(),
            "unknown log level `loud`; allowed are off, error, warn, info, debug and trace"
        );
        assert!(Limit::OFF < Limit::to(Level::Error));
        assert!(Limit::to(Level::Error) < Limit::to(Level::Trace));
    }

    #[test]
    fn filters_answer_for_nodes() {
        let filter = Filter::new(Limit::to(Level::Warn))
            .with_nodes(" camera = debug,sink=off,a=b=c")
            .unwrap_err();
        assert_eq!(
            filter.to_string(),
            "unknown log level `b=c` for node `a`; allowed are off, error, warn, info, debug and trace"
        );
        let filter = Filter::new(Limit::to(Level::Warn))
            .with_nodes(" camera = debug,sink=off")
            .unwrap();
        assert_eq!(filter.named("camera"), Some(Limit::to(Level::Debug)));
        assert_eq!(filter.named("sink"), Some(Limit::OFF));
        assert_eq!(filter.named("other"), None);
        assert_eq!(filter.default_limit().to_string(), "warn");
        assert_eq!(filter.nodes().collect::<Vec<_>>(), ["camera", "sink"]);
        assert_eq!(Filter::default().with_nodes("  "), Ok(Filter::default()));
    }

    #[test]
    fn bad_filters_say_what_is_allowed() {
        let form = "write node=level, several separated by commas, such as camera=debug,sink=off";
        let table = [
            (
                "camera",
                format!("cannot understand `camera` in a log filter: {form}"),
            ),
            (
                "a=info,",
                format!("cannot understand `` in a log filter: {form}"),
            ),
            (
                "=info",
                format!("cannot understand `=info` in a log filter: {form}"),
            ),
            (
                "a=",
                format!("cannot understand `a=` in a log filter: {form}"),
            ),
            (
                "a\u{1b}[2J",
                format!("cannot understand `a\\u{{1b}}[2J` in a log filter: {form}"),
            ),
            (
                "a=info,a=warn",
                "the log filter names node `a` twice".to_owned(),
            ),
        ];
        for (text, expected) in table {
            let error = Filter::default().with_nodes(text).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn selections_admit_what_they_name() {
        let flow = Uuid::from_u128(1);
        let origin = |node: &str| Origin {
            dataflow: Some(flow),
            node: Some(node.to_owned()),
            ..Origin::default()
        };
        let said = |level, node| Record::new(level, "t", "m").by(origin(node));
        let printed = Record::printed(Stream::Stdout, "p", origin("a"), UNIX_EPOCH);
        let runtime = Record::new(Level::Info, "host", "m");
        let all = Selection::default();
        let only = |node: &str| Selection {
            node: Some(node.to_owned()),
            ..Selection::default()
        };
        let except = Selection {
            except: Some("a".to_owned()),
            ..Selection::default()
        };
        let warn = Selection {
            limit: Some(Limit::to(Level::Warn)),
            ..Selection::default()
        };
        let elsewhere = Selection {
            dataflow: Some(Uuid::from_u128(2)),
            ..Selection::default()
        };
        let off = Selection {
            limit: Some(Limit::OFF),
            ..Selection::default()
        };
        let table = [
            (&all, [true, true, true, true, true]),
            (&only("a"), [true, true, false, true, false]),
            (&except, [false, false, true, false, true]),
            (&warn, [true, false, false, false, false]),
            (&elsewhere, [false; 5]),
            (&off, [false; 5]),
        ];
        let records = [
            said(Level::Warn, "a"),
            said(Level::Trace, "a"),
            said(Level::Info, "b"),
            printed,
            runtime,
        ];
        for (selection, expected) in table {
            let found = records
                .each_ref()
                .map(|record| selection.admits(record, true));
            assert_eq!(found, expected, "{selection:?}");
        }
        assert!(!all.admits(&records[0], false));
        assert!(warn.admits(&records[0], false));
    }
}
