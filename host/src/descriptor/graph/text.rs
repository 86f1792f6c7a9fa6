//! Texts in HTML and SVG: escaped, cut, and measured roughly.

/// Longer texts are cut in the drawing; the whole text is in the tooltip and in the table.
const MAX_CHARS: usize = 36;

/// Width in pixels of a text whose usual characters have the width `per_char`.
pub(super) fn width(text: &str, per_char: f64) -> f64 {
    let units: usize = text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum();
    units as f64 * per_char
}

/// Scripts whose characters fill a square: from Hangul on, and emoji. Rough, and enough for a box.
fn is_wide(c: char) -> bool {
    matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0x1f300..=0x1faff | 0x20000..=0x3fffd)
}

/// The text, or its start and an ellipsis.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Safe in text and in quoted attributes. Control characters but the line end, which HTML forbids,
/// become spaces.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
