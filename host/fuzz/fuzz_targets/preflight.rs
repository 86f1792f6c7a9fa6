//! The file check, with any bytes: it neither panics nor hangs, and needs no more memory than its budget.
#![no_main]

use host::plugin::preflight::{Isolation, Machine, check, read};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(report) = read(bytes) {
        // The verdict is a line that fits on a terminal, whatever the file says of itself.
        if let Err(error) = check(&report, &Machine::this(), Isolation::Shared) {
            let text = error.to_string();
            assert!(!text.contains(char::is_control) && text.len() < 4096);
        }
    }
});
