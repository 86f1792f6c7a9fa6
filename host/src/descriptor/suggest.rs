//! Near-miss suggestions: the name a user probably meant. Knows nothing of descriptors.

use super::problem::quoted;

/// Names longer than this are not compared, nor are more candidates than the second number:
/// the cost is the product of lengths times candidates, and files may be hostile.
const MAX_LEN: usize = 64;
const MAX_CANDIDATES: usize = 1000;

/// The candidate closest to `name`, if it is close enough to be a likely slip: other case, `-` for `_`,
/// about one wrong character in four, or one name that continues the other.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = folded(name);
    let len = wanted.chars().count();
    if len == 0 || len > MAX_LEN {
        return None;
    }
    let allowed = 1 + len / 4;
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates.into_iter().take(MAX_CANDIDATES) {
        let other = folded(candidate);
        let other_len = other.chars().count();
        if other_len > MAX_LEN || other_len.abs_diff(len) > allowed {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&wanted, &other);
        let close = distance <= allowed && distance < len.max(other_len);
        if close && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `; did you mean ``x``?`, or nothing.
pub(super) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    match nearest(name, candidates) {
        Some(candidate) => format!("; did you mean {}?", quoted(candidate)),
        None => String::new(),
    }
}

/// `` (did you mean `x`?)``, or nothing: for the middle of a sentence.
pub(super) fn maybe_meant<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, candidates) {
        Some(candidate) => format!(" (did you mean {}?)", quoted(candidate)),
        None => String::new(),
    }
}

fn folded(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let names = ["random", "status", "queue_size", "id", "inputs", "outputs"];
        let table: &[(&str, Option<&str>)] = &[
            ("randon", Some("random")),
            ("RANDOM", Some("random")),
            ("queue-size", Some("queue_size")),
            ("queuesize", Some("queue_size")),
            ("input", Some("inputs")),
            ("output", Some("outputs")),
            ("ids", Some("id")),
            ("x", None),
            ("", None),
            ("completely", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, names), *expected, "{name}");
        }
        assert_eq!(nearest(&"r".repeat(1_000_000), names), None);
    }
}
