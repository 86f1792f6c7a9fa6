//! Problems found in a descriptor: where, which node, what is wrong and what is expected.
//! Every problem of a file is collected before any is shown. Decides nothing, prints nothing.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// More problems than this are counted, not kept: nobody reads them, and hostile files have millions.
pub const MAX_KEPT: usize = 200;

/// A place in the descriptor's file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Position {
    /// Line, the first is 1.
    pub line: u32,
    /// Column in characters, the first is 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Whether a problem stops the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// The dataflow must not start.
    Error,
    /// The dataflow may start; the user should know.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// Where in the file; `None` when the file could not be read at all.
    pub at: Option<Position>,
    /// The node at fault: its id as written; `None` for the file itself or a node without id.
    pub node: Option<String>,
    /// What is wrong and what is expected, in one line without a final stop.
    pub text: String,
}

/// All problems of one file, in the order of the file once [`Problems::sort`] was called.
///
/// Displays one problem per line as `file:line:column: node ``x``: text`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Problems {
    file: PathBuf,
    kept: Vec<Problem>,
    errors: usize,
    warnings: usize,
}

impl std::error::Error for Problems {}

impl Problems {
    /// No problems yet, for the file that messages will name as `file`.
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::default()
        }
    }

    /// The file the problems are about, as it was given.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Adds a problem; beyond [`MAX_KEPT`] it is only counted.
    pub fn push(&mut self, problem: Problem) {
        match problem.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.kept.len() < MAX_KEPT {
            self.kept.push(problem);
        } else if problem.severity == Severity::Error && self.kept_errors() == 0 {
            // A flood of warnings must not hide that there is an error, nor which.
            self.kept.pop();
            self.kept.push(problem);
        }
    }

    /// Adds all problems of `other`. What is known already, as when two machines say the same, is not said again.
    pub fn append(&mut self, other: Problems) {
        let uncounted_errors = other.errors - other.kept_errors();
        let uncounted_warnings = other.warnings - (other.kept.len() - other.kept_errors());
        for problem in other.kept {
            if !self.kept.contains(&problem) {
                self.push(problem);
            }
        }
        self.errors += uncounted_errors;
        self.warnings += uncounted_warnings;
    }

    /// Orders the problems as the file has them; problems of one place keep their order.
    pub fn sort(&mut self) {
        self.kept.sort_by_key(|problem| problem.at);
    }

    /// Number of errors, the counted-only ones included.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Number of warnings, the counted-only ones included.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// Whether there is neither error nor warning.
    pub fn is_empty(&self) -> bool {
        self.errors + self.warnings == 0
    }

    /// Whether another problem would only be counted, so that costly hints need not be made.
    pub(super) fn is_full(&self) -> bool {
        self.kept.len() >= MAX_KEPT
    }

    /// The kept problems.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.kept.iter()
    }

    /// One problem as a line of text, without a line end.
    pub fn line(&self, problem: &Problem) -> String {
        let mut line = shown_path(&self.file);
        if let Some(at) = problem.at {
            line.push_str(&format!(":{at}"));
        }
        line.push_str(": ");
        if problem.severity == Severity::Warning {
            line.push_str("warning: ");
        }
        if let Some(node) = &problem.node {
            line.push_str(&format!("node {}: ", quoted(node)));
        }
        line.push_str(&problem.text);
        line
    }

    fn kept_errors(&self) -> usize {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        self.kept.iter().filter(is_error).count()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.kept.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.line(problem))?;
        }
        let hidden = self.errors + self.warnings - self.kept.len();
        if hidden > 0 {
            write!(
                f,
                "\n{}: and {hidden} more problems",
                shown_path(&self.file)
            )?;
        }
        Ok(())
    }
}

/// A path as it may stand in a message.
pub(super) fn shown_path(path: &Path) -> String {
    clean(&path.display().to_string())
}

/// A name from the file as it may stand in a message: in backquotes, cut, nothing a terminal obeys.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", cut(text))
}

/// A text from the file in double quotes, cut and escaped.
pub(super) fn quoted_text(text: &str) -> String {
    format!("\"{}\"", cut(text))
}

fn cut(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", clean(&text[..end])),
        None => clean(text),
    }
}

/// Escapes what would move the cursor or reorder the text (control and bidirectional characters).
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || bidi {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// `a, b, c` for a message; after 20 names `and N more`.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let mut out = String::new();
    let mut more = 0;
    for (index, name) in names.into_iter().enumerate() {
        if index >= SHOWN {
            more += 1;
            continue;
        }
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(&cut(name));
    }
    if more > 0 {
        out.push_str(&format!(" and {more} more"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(severity: Severity, line: u32) -> Problem {
        Problem {
            severity,
            at: Some(Position { line, column: 1 }),
            node: None,
            text: "x".into(),
        }
    }

    #[test]
    fn a_flood_is_counted_and_an_error_behind_it_is_shown() {
        let mut problems = Problems::new(Path::new("f.yml"));
        for line in 0..1000 {
            problems.push(problem(Severity::Warning, line));
        }
        problems.push(problem(Severity::Error, 1000));
        assert_eq!((problems.errors(), problems.warnings()), (1, 1000));
        let text = problems.to_string();
        assert!(text.contains("f.yml:1000:1: x"), "{text}");
        assert!(text.ends_with("f.yml: and 801 more problems"), "{text}");

        let mut all = Problems::new(Path::new("f.yml"));
        all.append(problems);
        assert_eq!((all.errors(), all.warnings()), (1, 1000));
    }

    #[test]
    fn nothing_from_the_file_reaches_the_terminal_raw() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "`a\\u{1b}[2Jb`");
        assert_eq!(quoted("a\u{202e}b"), "`a\\u{202e}b`");
        assert_eq!(quoted("ünï漢"), "`ünï漢`");
    }
}
