//! What the system's loader says when it refuses a library, in our own words.
//!
//! Invariant: always an answer; words that nobody foresaw come back as they are.
//! Absent: Windows, whose loader names nothing; there [`super::find_dlls`] is asked first.

use super::PreflightError;
use super::machine::Machine;
use super::source::printable;

/// Turns the loader's words into the error that names the culprit. `text` may have words before the loader's own.
/// Understands the loaders of the GNU C library, of musl and of macOS.
pub fn explain_loader_error(text: &str, machine: &Machine) -> PreflightError {
    gnu(text, machine)
        .or_else(|| musl(text))
        .or_else(|| apple(text))
        .unwrap_or_else(|| PreflightError::Loader {
            reason: printable(text.lines().next().unwrap_or("").as_bytes()),
        })
}

fn gnu(text: &str, machine: &Machine) -> Option<PreflightError> {
    if let Some((before, after)) = text.split_once(": cannot open shared object file: ") {
        return after
            .starts_with("No such file")
            .then(|| missing_library(last(before), None));
    }
    if let Some((before, after)) = text.split_once(": version `") {
        let (version, _) = after.split_once("' not found")?;
        let library = file_name(last(before));
        return Some(match (version.strip_prefix("GLIBC_"), machine.glibc) {
            (Some(_), Some(here)) => PreflightError::NewerSystem {
                needs: version.into(),
                symbol: None,
                here: here.to_string(),
            },
            _ => PreflightError::OlderLibrary {
                library: library.into(),
                version: version.into(),
            },
        });
    }
    let (_, after) = text.split_once(": undefined symbol: ")?;
    Some(missing_symbol(after.split([',', ' ', '\n']).next()?))
}

fn musl(text: &str) -> Option<PreflightError> {
    if let Some((_, after)) = text.split_once("Error loading shared library ") {
        let (library, rest) = after.split_once(": No such file or directory")?;
        let needed_by = rest
            .split_once("(needed by ")
            .and_then(|(_, rest)| rest.split_once(')'))
            .map(|(library, _)| file_name(library).to_owned());
        return Some(missing_library(library, needed_by));
    }
    let (_, after) = text.split_once("Error relocating ")?;
    let (before, _) = after.split_once(": symbol not found")?;
    Some(missing_symbol(last(before)))
}

fn apple(text: &str) -> Option<PreflightError> {
    if let Some((_, after)) = text.split_once("Library not loaded: ") {
        return Some(missing_library(after.lines().next()?, None));
    }
    let (_, after) = text.split_once("Symbol not found: ")?;
    // C names start with `_` there.
    let symbol = after.split([',', ' ', '\n']).next()?;
    Some(missing_symbol(symbol.strip_prefix('_').unwrap_or(symbol)))
}

fn missing_library(library: &str, needed_by: Option<String>) -> PreflightError {
    PreflightError::MissingLibrary {
        library: library.into(),
        needed_by,
    }
}

fn missing_symbol(symbol: &str) -> PreflightError {
    PreflightError::MissingSymbol {
        symbol: symbol.into(),
    }
}

/// What stands behind the last colon.
fn last(text: &str) -> &str {
    text.rsplit_once(": ").map_or(text, |(_, last)| last)
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::preflight::{GlibcVersion, Platform};

    #[test]
    fn every_loader_says_what_is_missing() {
        let machine = Machine {
            platform: Platform::new("x86_64", "linux", 64),
            libc: "gnu".into(),
            glibc: GlibcVersion::parse("2.36"),
        };
        let library = |name: &str| missing_library(name, None);
        let table = [
            (
                "libfoo.so.1: cannot open shared object file: No such file or directory",
                library("libfoo.so.1"),
            ),
            (
                "dlopen: libfoo.so.1: cannot open shared object file: No such file or directory",
                library("libfoo.so.1"),
            ),
            (
                "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.39' not found (required by /p/libx.so)",
                PreflightError::NewerSystem {
                    needs: "GLIBC_2.39".into(),
                    symbol: None,
                    here: "2.36".into(),
                },
            ),
            (
                "/usr/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /p/libx.so)",
                PreflightError::OlderLibrary {
                    library: "libstdc++.so.6".into(),
                    version: "GLIBCXX_3.4.32".into(),
                },
            ),
            (
                "/p/libx.so: undefined symbol: frobnicate, version FROB_1",
                missing_symbol("frobnicate"),
            ),
            (
                "Error loading shared library libfoo.so: No such file or directory (needed by /p/libx.so)",
                missing_library("libfoo.so", Some("libx.so".into())),
            ),
            (
                "Error relocating /p/libx.so: frobnicate: symbol not found",
                missing_symbol("frobnicate"),
            ),
            (
                "dlopen(libx.dylib, 0x0006): Library not loaded: @rpath/libfoo.dylib\n  Referenced from: x",
                library("@rpath/libfoo.dylib"),
            ),
            (
                "dlopen(libx.dylib, 0x0006): Symbol not found: _frobnicate\n  Referenced from: x",
                missing_symbol("frobnicate"),
            ),
            (
                "/p/libx.so: cannot allocate memory in static TLS block\nmore",
                PreflightError::Loader {
                    reason: "/p/libx.so: cannot allocate memory in static TLS block".into(),
                },
            ),
            (
                "",
                PreflightError::Loader {
                    reason: String::new(),
                },
            ),
        ];
        for (text, expected) in table {
            assert_eq!(explain_loader_error(text, &machine), expected, "{text}");
        }
    }
}
