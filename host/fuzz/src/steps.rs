//! Bytes as a list of steps, so that a change somewhere leaves the steps behind it whole.
//!
//! A step is one byte what to do, a `u16` little-endian length, and so many bytes, or as many as there are.

/// Most steps of one input.
const MOST: usize = 256;

/// What to do, and with what.
pub(crate) struct Step<'a> {
    pub what: u8,
    pub with: &'a [u8],
}

pub(crate) fn steps(mut bytes: &[u8]) -> impl Iterator<Item = Step<'_>> {
    std::iter::from_fn(move || {
        let [what, low, high, rest @ ..] = bytes else {
            return None;
        };
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (with, rest) = rest.split_at(length);
        bytes = rest;
        Some(Step { what: *what, with })
    })
    .take(MOST)
}
