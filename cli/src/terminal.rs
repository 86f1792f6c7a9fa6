//! Standard output and standard error, and the few colours that are used on them.
//!
//! Invariant: escape sequences reach terminals only; `NO_COLOR` and its relatives are respected. Text from files and
//! plugins goes through [`safe`] before it is printed. Absent: what is printed.

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use std::borrow::Cow;
use std::fmt;
use std::io::{StderrLock, StdoutLock, Write};

/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What went wrong.
pub const BAD: Style = AnsiColor::Red.on_default();
/// The word `error`.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Headings and names.
pub const HEADING: Style = Style::new().bold();
/// What matters less.
pub const FAINT: Style = Style::new().dimmed();

/// Standard output.
pub fn stdout() -> AutoStream<StdoutLock<'static>> {
    anstream::stdout().lock()
}

/// Standard error.
pub fn stderr() -> AutoStream<StderrLock<'static>> {
    anstream::stderr().lock()
}

/// A line on standard error for the user. Where nobody reads any more nothing is told, and what is to be done is done all
/// the same.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::terminal::tell(format_args!("{}\n", format_args!($($text)*)))
    };
}
pub(crate) use say;

/// As [`say`], with the text as it is.
pub fn tell(text: fmt::Arguments<'_>) {
    let _ = stderr().write_fmt(text);
}

/// As [`say`], on standard output.
pub fn answer(text: fmt::Arguments<'_>) {
    let _ = stdout().write_fmt(format_args!("{text}\n"));
}

/// The text without what a terminal obeys; line ends and tabs stay.
pub fn safe(text: &str) -> Cow<'_, str> {
    let obeyed = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let escape = |letter: char| -> String {
        if obeyed(letter) {
            letter.escape_default().collect()
        } else {
            letter.into()
        }
    };
    Cow::Owned(text.chars().map(escape).collect())
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn escape_sequences_are_shown_not_obeyed() {
        assert_eq!(safe("größe\n\tx"), "größe\n\tx");
        assert_eq!(safe("\u{1b}[2Jx\r"), "\\u{1b}[2Jx\\r");
    }
}
