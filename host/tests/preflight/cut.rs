//! Files cut short: never a crash, never a pass.

use crate::images::{MachO, Pe, elf};
use crate::{good, verdict};
use host::plugin::preflight::{PreflightError, read_file};
use host_testing::fresh_dir;
use std::fs;

/// Lengths to cut a file to: each of the first 4,096 bytes, each 512 behind them, and all but the last one.
fn lengths(whole: usize) -> impl Iterator<Item = usize> {
    let end = whole.saturating_sub(1);
    (0..end.min(4096))
        .chain((4096..end).step_by(512))
        .chain([end])
}

#[test]
fn a_plugin_of_this_system() {
    for length in lengths(good().len()) {
        let cut = verdict(&good()[..length]);
        match (length, cut) {
            (64.., Err(PreflightError::Incomplete { size, promised })) => {
                assert_eq!(size, length as u64);
                assert!(
                    promised > size && promised <= good().len() as u64,
                    "{promised}"
                );
            }
            (..64, Err(_)) => {}
            (_, other) => panic!("cut to {length} bytes: {other:?}"),
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_message_says_how_much_is_missing() {
    let whole = good().len();
    assert_eq!(
        crate::text(&good()[..whole - 1]),
        format!(
            "file is incomplete ({} bytes, its headers promise {whole})",
            whole - 1
        )
    );
}

#[test]
fn on_disk_it_is_the_same() {
    let folder = fresh_dir();
    let path = folder.path().join("cut.so");
    for length in [1, 63, 64, 100, 4096, good().len() / 2, good().len() - 1] {
        let cut = &good()[..length];
        let written = fs::write(&path, cut);
        assert!(written.is_ok(), "{written:?}");
        assert_eq!(
            read_file(&path).err(),
            verdict(cut)
                .err()
                .filter(|_| host::plugin::preflight::read(cut).is_err())
        );
    }
}

#[test]
fn files_of_other_systems() {
    let images = [
        ("PE", Pe::plugin().build()),
        (
            "PE without a section for the record",
            Pe {
                section: false,
                ..Pe::plugin()
            }
            .build(),
        ),
        ("Mach-O", MachO::plugin().build()),
        ("ELF for 32 bits", elf(false, false, 40)),
        ("ELF, big-endian", elf(true, true, 22)),
    ];
    for (name, image) in images {
        assert!(host::plugin::preflight::read(&image).is_ok(), "{name}");
        for length in 0..image.len() {
            let cut = host::plugin::preflight::read(&image[..length]);
            let refused = match &cut {
                Err(PreflightError::Incomplete { size, promised }) => size < promised,
                // The first bytes do not yet say what it is.
                Err(PreflightError::Empty) => length == 0,
                Ok(report) => length < 4 && report.image.is_none(),
                Err(_) => false,
            };
            assert!(refused, "{name} cut to {length} bytes: {cut:?}");
        }
    }
}
