//! Paths that lead to no readable plugin, and reading from disk.

use crate::images::{MachO, Pe, elf};
use crate::{good, verdict};
use host::plugin::preflight::{PreflightError, read, read_file};
use host_testing::{fixtures, fresh_dir};
use std::fs;
use std::path::Path;

fn text(path: &Path) -> String {
    match read_file(path) {
        Ok(report) => format!("{:?}", report.kind),
        Err(error) => error.to_string(),
    }
}

fn write(path: &Path, bytes: &[u8]) {
    let written = fs::write(path, bytes);
    assert!(written.is_ok(), "{}: {written:?}", path.display());
}

#[test]
fn paths_without_a_file() {
    let folder = fresh_dir();
    let missing = folder.path().join("libmissing.so");
    assert_eq!(
        text(&missing),
        format!("not found (tried {})", missing.display())
    );
    let file = folder.path().join("file");
    write(&file, b"");
    assert_eq!(text(&file), "is empty");
    let below = file.join("libx.so");
    assert_eq!(
        text(&below),
        format!("not found (tried {})", below.display())
    );
    assert_eq!(
        text(folder.path()),
        "is a directory, not a plugin; name the file in it"
    );
    if cfg!(unix) {
        assert_eq!(
            text("/dev/null".as_ref()),
            "is neither a file nor a directory"
        );
    }
}

#[test]
fn what_was_tried_and_what_would_make_it() {
    let not_found = |built| PreflightError::NotFound {
        tried: ["x", "libx.so", "x.dll"].map(Into::into).to_vec(),
        built,
    };
    for (built, expected) in [
        (None, "not found (tried x, libx.so, x.dll)"),
        (
            Some(true),
            "not found (tried x, libx.so, x.dll); `dora build` makes it",
        ),
        (
            Some(false),
            "not found (tried x, libx.so, x.dll); the node has no `build:`, so `dora build` does not make it",
        ),
    ] {
        assert_eq!(not_found(built).to_string(), expected);
    }
}

#[test]
#[cfg(unix)]
fn no_right_to_read() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    // Set in the process that has no right to read the file, to the file's path.
    const UNPRIVILEGED: &str = "DORA_TEST_UNREADABLE";
    const REFUSAL: &str = "permission denied; make it readable for the user that runs dora";
    if let Some(path) = std::env::var_os(UNPRIVILEGED) {
        assert_eq!(text(path.as_ref()), REFUSAL);
        return;
    }
    let folder = fresh_dir();
    let mode = |path: &Path, mode| {
        let set = fs::set_permissions(path, fs::Permissions::from_mode(mode));
        assert!(set.is_ok(), "{set:?}");
    };
    let path = folder.path().join("libx.so");
    write(&path, good());
    mode(&path, 0);
    if fs::read(&path).is_err() {
        assert_eq!(text(&path), REFUSAL);
        return;
    }
    // Root may read everything: the same test again as somebody who may not.
    mode(folder.path(), 0o755);
    let this = folder.path().join("test");
    let copied = std::env::current_exe().and_then(|exe| fs::copy(exe, &this));
    assert!(copied.is_ok(), "{copied:?}");
    let mut test = std::process::Command::new(&this);
    test.args(["--exact", "files::no_right_to_read"])
        .env(UNPRIVILEGED, &path);
    test.uid(65_534).gid(65_534).current_dir("/");
    let output = host_testing::run(&mut test, std::time::Duration::from_secs(60)).success();
    assert!(output.contains("1 passed"), "{output}");
}

#[test]
fn from_disk_as_from_memory() {
    let folder = fresh_dir();
    let path = folder.path().join("image");
    let node = crate::file(&fixtures::executable("node-executable"));
    let pe = Pe::plugin().build();
    let mach_o = MachO::plugin().build();
    let elf = elf(false, true, 8);
    for bytes in [
        good(),
        &node,
        &pe,
        &mach_o,
        &elf,
        b"#!/bin/sh\n",
        &pe[..700],
    ] {
        write(&path, bytes);
        assert_eq!(read_file(&path), read(bytes));
    }
    assert!(verdict(good()).is_ok());
}

#[test]
#[cfg(unix)]
fn what_headers_ask_for_is_bounded() {
    use crate::bytes::File;
    let folder = fresh_dir();
    let sparse = |name: &str, bytes: &[u8], size: u64| {
        let path = folder.path().join(name);
        write(&path, bytes);
        let file = fs::OpenOptions::new().write(true).open(&path);
        let grown = file.and_then(|file| file.set_len(size));
        assert!(grown.is_ok(), "{grown:?}");
        path
    };
    let large = 2 << 30;
    assert_eq!(
        text(&sparse("larger", b"", large + 1)),
        "is too large for a plugin (2147483649 bytes, at most 2147483648)"
    );
    // Section header 0 holds the number of the others when it is too large for the file header.
    let mut many = File::new(&elf(true, false, 62));
    let start = u64::from_le_bytes(many.bytes[40..48].try_into().unwrap_or_default()) as usize;
    many.put(60, 2, 0).put(start + 32, 8, 20_000_000);
    let refusal =
        "file is damaged (its tables are larger than any plugin's); build or copy it again";
    assert_eq!(text(&sparse("many", &many.bytes, large)), refusal);
    // Names as large as the file.
    let mut names = File::new(&elf(true, false, 62));
    let third = start + 2 * 64;
    names.put(third + 24, 8, 0).put(third + 32, 8, large);
    assert_eq!(text(&sparse("names", &names.bytes, large)), refusal);
    // A record as large as the file.
    let mut record = File::new(&elf(true, false, 62));
    record.put(start + 64 + 32, 8, large - 64);
    assert_eq!(
        text(&sparse("record", &record.bytes, large)),
        "its handshake record is damaged (its section is too large); rebuild it with plugin-abi 0.7"
    );
}
