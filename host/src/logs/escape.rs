//! Text of nodes made harmless for terminals and for files of one line per record.
//!
//! Invariant: the result holds no control character, so no text can move a cursor, set a title, forge a line or turn
//! the direction of the ones after it. Colours that a node put into its text are left out, as they would only be
//! noise as text. Absent: quoting, which is `format`'s.

use std::fmt::Write;

/// Whether a character must never reach a terminal as it is: controls, separators of lines, and the invisible marks
/// that turn the direction of writing.
pub(super) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// Appends `text` as one line.
pub(super) fn push(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(is_hostile) {
        let (clean, from) = rest.split_at(at);
        out.push_str(clean);
        rest = match colour_length(from) {
            Some(length) => from.get(length..).unwrap_or_default(),
            None => {
                let mut chars = from.chars();
                if let Some(c) = chars.next() {
                    push_hostile(out, c);
                }
                chars.as_str()
            }
        };
    }
    out.push_str(rest);
}

/// `text` as one line.
pub(super) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push(&mut out, text);
    out
}

fn push_hostile(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        // Writing to a string does not fail.
        other => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(other));
        }
    }
}

/// Length of the colour sequence (`ESC [ ... m`) that `text` starts with.
fn colour_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !(c.is_ascii_digit() || matches!(c, ';' | ':')))?;
    parameters
        .get(end..)?
        .starts_with('m')
        .then_some("\u{1b}[".len() + end + "m".len())
}

/// `json`, the text of a JSON value, with the hostile characters that JSON allows in strings written as escapes.
pub(super) fn json(json: String) -> String {
    if !json.contains(is_hostile) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_hostile(c) {
            // All of them lie below U+10000: one escape is enough.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_one_harmless_line() {
        let table = [
            (
                "plain text, ünïcödé, 漢字 🤖",
                "plain text, ünïcödé, 漢字 🤖",
            ),
            ("C:\\new\\table", "C:\\new\\table"),
            ("two\nlines\r\n", "two\\nlines\\r\\n"),
            ("a\tb", "a\\tb"),
            ("\u{1b}[2J\u{1b}[H", "\\u{1b}[2J\\u{1b}[H"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[1;32mINFO\u{1b}[0m ready\u{1b}[m", "INFO ready"),
            ("\u{1b}[38:2:1:2:3mx", "x"),
            ("\u{1b}[", "\\u{1b}["),
            ("\u{1b}[12", "\\u{1b}[12"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("del\u{7f}nul\0", "del\\u{7f}nul\\u{0}"),
            ("abc\u{202e}fed", "abc\\u{202e}fed"),
            ("sep\u{2028}arated", "sep\\u{2028}arated"),
        ];
        for (text, expected) in table {
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = "a\u{1b}b\u{7f}c\u{9b}d\u{202e}e\n";
        let escaped = json(serde_json::to_string(text).unwrap());
        assert_eq!(escaped, r#""a\u001bb\u007fc\u009bd\u202ee\n""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
