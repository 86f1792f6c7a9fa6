//! Sizes in bytes: `1048576`, `"50MB"`, `"1.5 GB"`; K, M and G are powers of 1024, as in dora.

use std::num::NonZeroU64;

use super::{
    fields::{Fields, Scope, scalar_text},
    problem::quoted,
};

/// Reads a size above 0.
pub(super) fn read(scope: &mut Scope<'_>, fields: &mut Fields, name: &str) -> Option<NonZeroU64> {
    let entry = fields.take(name)?;
    let size = scalar_text(&entry.value).and_then(|text| parse(&text));
    if size.is_none() {
        let found = entry.value.in_words();
        let text = format!(
            "{} must be a number of bytes above 0, such as 1048576 or \"50MB\" (B, KB, MB, GB), found {found}",
            quoted(name)
        );
        scope.error(entry.value.at, text);
    }
    size
}

fn parse(text: &str) -> Option<NonZeroU64> {
    let text = text.trim();
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor: u64 = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" => 1 << 10,
        "M" | "MB" => 1 << 20,
        "G" | "GB" => 1 << 30,
        _ => return None,
    };
    let number = number.trim();
    if let Ok(whole) = number.parse::<u64>() {
        return NonZeroU64::new(whole.checked_mul(factor)?);
    }
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    // Below 2^63 the cast is exact enough and cannot saturate.
    let fits = bytes.is_finite() && (1.0..9e18).contains(&bytes);
    fits.then(|| NonZeroU64::new(bytes as u64))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let table = [
            ("1024", Some(1024)),
            ("1KB", Some(1024)),
            ("1.5 kb", Some(1536)),
            ("50MB", Some(50 << 20)),
            ("2G", Some(2 << 30)),
            ("0", None),
            ("-1KB", None),
            ("1TB", None),
            ("", None),
            ("MB", None),
            ("20000000000GB", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).map(NonZeroU64::get), expected, "{text:?}");
        }
    }
}
