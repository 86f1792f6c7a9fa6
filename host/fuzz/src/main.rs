//! One target under libFuzzer: `FUZZ_TARGET=codec fuzz FOLDER -runs=1000000`. Absent: the targets (`host_fuzz`).
#![no_main]

use std::sync::OnceLock;

static TARGET: OnceLock<host_fuzz::Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let target = host_fuzz::TARGETS.iter().find(|(known, _)| *known == name);
        let (_, run) = target.unwrap_or_else(|| panic!("FUZZ_TARGET is `{name}`, which is no target"));
        TARGET.set(*run).unwrap_or_else(|_| panic!("it is set once"));
        // Panics that a library's caller catches are no failures; those that nobody does abort the program.
        host_fuzz::say_last_panic_only();
    },
    |bytes: &[u8]| {
        if let Some(target) = TARGET.get() {
            host_fuzz::run(*target, bytes);
        }
    }
);
