//! The file check, with any bytes: it needs no more memory than its budget, and its verdict is a line.

use host::plugin::preflight::{Isolation, Machine, check, read};

pub(crate) fn target(bytes: &[u8]) -> bool {
    let checked = read(bytes).map(|report| {
        let verdict = check(&report, &Machine::this(), Isolation::Shared);
        verdict.map_err(|error| crate::assert_line(&error.to_string()))
    });
    checked.is_ok()
}
