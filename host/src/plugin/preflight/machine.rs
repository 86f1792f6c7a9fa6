//! What a file was built for, and what this machine is.
//!
//! Invariant: one spelling for each processor and system, whether it comes from a header, a target triple or the
//! compiler, so that comparing names is enough.
//! Absent: the decision what fits (`check`).

use serde::Serialize;
use std::fmt;

/// Processor, operating system and pointer width. Shown as `x86_64 Linux`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Platform {
    /// The processor as Rust's targets call it: `x86_64`, `aarch64`, `x86`, `arm`, `riscv64`, ….
    pub arch: String,
    /// The system as people write it: `Linux`, `Windows`, `macOS`, ….
    pub os: String,
    /// Bits of a pointer.
    pub pointer_width: u16,
}

/// The machine that a plugin is to run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its processor and system.
    pub platform: Platform,
    /// Its C library as the last part of a target triple names it: `gnu`, `musl`, `msvc`, …; may be empty.
    pub libc: String,
    /// Version of the GNU C library; `None` where there is another one.
    pub glibc: Option<GlibcVersion>,
}

/// Version of the GNU C library. Shown, and serialised, as `2.36`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GlibcVersion {
    /// 2, these days.
    pub major: u32,
    /// Grows twice a year.
    pub minor: u32,
}

impl Platform {
    /// From the spellings of Rust's target triples (or of `std::env::consts`).
    pub(super) fn new(arch: &str, os: &str, pointer_width: u16) -> Self {
        Self {
            arch: arch_name(arch).into(),
            os: os_name(os).into(),
            pointer_width,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.arch, self.os)
    }
}

impl Machine {
    /// The machine that this process runs on. Asks the C library for its version.
    pub fn this() -> Self {
        let arch = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => "powerpc64le",
            arch => arch,
        };
        let libc = if cfg!(target_env = "gnu") {
            "gnu"
        } else if cfg!(target_env = "musl") {
            "musl"
        } else if cfg!(target_env = "msvc") {
            "msvc"
        } else {
            ""
        };
        Self {
            platform: Platform::new(arch, std::env::consts::OS, usize::BITS as u16),
            libc: libc.into(),
            glibc: glibc(),
        }
    }
}

impl GlibcVersion {
    /// From `2.36` or `2.2.5`; the third number never decides.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        if numbers.any(|number| number.parse::<u32>().is_err()) {
            return None;
        }
        Some(Self { major, minor })
    }
}

impl Serialize for GlibcVersion {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl fmt::Display for GlibcVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn glibc() -> Option<GlibcVersion> {
    unsafe extern "C" {
        fn gnu_get_libc_version() -> *const std::ffi::c_char;
    }
    // SAFETY: the function takes nothing and returns a static, zero-terminated text.
    let version = unsafe { std::ffi::CStr::from_ptr(gnu_get_libc_version()) };
    GlibcVersion::parse(version.to_str().ok()?)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn glibc() -> Option<GlibcVersion> {
    None
}

/// What a target triple says. Shown as `x86_64 Linux`.
pub(super) struct Triple<'a> {
    pub arch: &'a str,
    pub os: &'a str,
    /// The part behind the system (`gnu`, `gnueabihf`, `musl`, `msvc`), empty when there is none.
    pub libc: &'a str,
}

impl<'a> Triple<'a> {
    /// `None` for a text that is no triple. `x86_64-unknown-linux-gnu`, `aarch64-apple-darwin`, `wasm32-wasip1`, ….
    pub fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let (arch, os, libc) = match parts.as_slice() {
            [arch, _, os, libc] => (arch, os, *libc),
            // `aarch64-linux-android` has no vendor; `aarch64-apple-darwin` has no C library.
            [arch, "linux", libc] if libc.starts_with("android") => (arch, &"android", *libc),
            [arch, _, os] => (arch, os, ""),
            [arch, os] => (arch, os, ""),
            _ => return None,
        };
        Some(Self {
            arch: arch_name(arch),
            os: os_name(os),
            libc,
        })
    }
}

fn arch_name(name: &str) -> &str {
    match name {
        "i386" | "i486" | "i586" | "i686" => "x86",
        "arm64" | "arm64e" => "aarch64",
        "riscv64gc" | "riscv64a23" => "riscv64",
        "x86_64h" => "x86_64",
        arm if arm.starts_with("armv") || arm.starts_with("thumbv") => "arm",
        other => other,
    }
}

fn os_name(name: &str) -> &str {
    match name {
        "linux" => "Linux",
        "windows" => "Windows",
        "macos" | "darwin" => "macOS",
        "ios" => "iOS",
        "android" => "Android",
        "freebsd" => "FreeBSD",
        "netbsd" => "NetBSD",
        "openbsd" => "OpenBSD",
        "solaris" => "Solaris",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triples_say_processor_system_and_c_library() {
        for (text, expected) in [
            ("x86_64-unknown-linux-gnu", ["x86_64", "Linux", "gnu"]),
            ("x86_64-unknown-linux-musl", ["x86_64", "Linux", "musl"]),
            (
                "armv7-unknown-linux-gnueabihf",
                ["arm", "Linux", "gnueabihf"],
            ),
            ("x86_64-pc-windows-msvc", ["x86_64", "Windows", "msvc"]),
            ("i686-pc-windows-gnu", ["x86", "Windows", "gnu"]),
            ("aarch64-apple-darwin", ["aarch64", "macOS", ""]),
            ("x86_64-unknown-freebsd", ["x86_64", "FreeBSD", ""]),
            ("x86_64-linux-android", ["x86_64", "Android", "android"]),
            ("wasm32-wasip1", ["wasm32", "wasip1", ""]),
        ] {
            let triple = Triple::parse(text).map(|t| [t.arch, t.os, t.libc]);
            assert_eq!(triple, Some(expected), "{text}");
        }
        assert!(Triple::parse("x86_64").is_none());
    }

    #[test]
    fn this_machine_has_the_names_of_its_own_triple() {
        let here = Machine::this();
        let triple = Triple::parse(plugin_abi::handshake::TARGET);
        let names = triple.map(|t| [t.arch.to_owned(), t.os.to_owned(), t.libc.to_owned()]);
        assert_eq!(
            names,
            Some([here.platform.arch, here.platform.os, here.libc])
        );
        assert_eq!(
            here.glibc.is_some(),
            cfg!(target_env = "gnu") && cfg!(target_os = "linux")
        );
    }

    #[test]
    fn versions_of_the_c_library_are_compared_as_numbers() {
        let version = GlibcVersion::parse;
        assert!(version("2.39") > version("2.4"));
        assert_eq!(version("2.2.5"), Some(GlibcVersion { major: 2, minor: 2 }));
        for text in ["PRIVATE", "2", "2.x", "2.3.x", ""] {
            assert_eq!(version(text), None, "{text}");
        }
    }
}
