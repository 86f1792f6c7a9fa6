//! Words of other processes as they may stand in a message: nothing that a terminal obeys, and not without end.

use std::fmt::{Display, Write};
use std::time::Duration;

/// Longest text that is shown of a name.
const SHOWN: usize = 80;

/// A text without what would move a cursor or turn the direction of writing, cut when it is long.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN {
            out.push('…');
            break;
        }
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c.is_control() || turns {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// A text in backquotes.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", shown(text))
}

/// `a, b and c`.
pub(super) fn listed<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<T> = items.into_iter().collect();
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        let joint = match index {
            0 => "",
            _ if index + 1 == items.len() => " and ",
            _ => ", ",
        };
        // Writing to a string does not fail.
        let _ = write!(out, "{joint}{item}");
    }
    out
}

/// A time in seconds with as many digits as it has, at most three.
pub(super) fn seconds(time: Duration) -> String {
    let text = format!("{:.3}", time.as_secs_f64());
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_obeys_is_shown() {
        assert_eq!(
            quoted("a\u{1b}[2J\u{202e}b\n"),
            "`a\\u{1b}[2J\\u{202e}b\\n`"
        );
        assert_eq!(shown(&"x".repeat(100)).chars().count(), SHOWN + 1);
        assert_eq!(shown("ünï漢"), "ünï漢");
    }

    #[test]
    fn lists_and_times_read_as_text() {
        assert_eq!(listed(["a"]), "a");
        assert_eq!(listed(["a", "b", "c"]), "a, b and c");
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(seconds(Duration::from_secs(20)), "20 s");
    }
}
