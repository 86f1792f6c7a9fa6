//! Plugins for other systems: read here, refused here, and accepted for a machine that they fit.

use crate::images::{MachO, Pe, elf, record_for};
use host::plugin::preflight::{FileKind, Isolation, Machine, Platform, check, find_dlls, read};
use host_testing::fresh_dir;
use std::fs;
use std::path::PathBuf;

fn machine(arch: &str, os: &str, libc: &str) -> Machine {
    Machine {
        platform: Platform {
            arch: arch.into(),
            os: os.into(),
            pointer_width: 64,
        },
        libc: libc.into(),
        glibc: None,
    }
}

fn text(bytes: &[u8], machine: &Machine) -> String {
    match read(bytes).and_then(|report| check(&report, machine, Isolation::Shared)) {
        Ok(()) => "ok".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn pe() {
    let windows = machine("x86_64", "Windows", "msvc");
    let linux = machine("x86_64", "Linux", "gnu");
    let plugin = Pe::plugin();
    let foreign = "built for x86_64 Windows, this machine is x86_64 Linux";
    let hidden = |symbol: &str| {
        format!(
            "does not export `{symbol}`; export it (plugin-abi does so with export_plugin!, C with default visibility)"
        )
    };
    let mut twice = plugin.record.clone();
    twice.extend_from_slice(&plugin.record);
    let mut padded = plugin.record.clone();
    padded.resize(padded.len() + 100, 0);
    let damaged = |what: &str| {
        format!("its handshake record is damaged ({what}); rebuild it with plugin-abi 0.7")
    };
    let table: Vec<(&str, Pe, &Machine, String)> = vec![
        ("fits", plugin.clone(), &windows, "ok".into()),
        ("on Linux", plugin.clone(), &linux, foreign.into()),
        ("symbol only", Pe { section: false, ..plugin.clone() }, &windows, "ok".into()),
        ("no symbols", Pe { symbols: false, ..plugin.clone() }, &windows, "ok".into()),
        ("padded", Pe { record: padded, ..plugin.clone() }, &windows, "ok".into()),
        ("two records", Pe { record: twice, ..plugin.clone() }, &windows, damaged("there are two of them")),
        (
            "no record",
            Pe { section: false, exports: vec!["other"], ..plugin.clone() },
            &windows,
            "is a shared library but no dora plugin (no handshake record)".into(),
        ),
        ("no entry", Pe { exports: vec!["DORA_PLUGIN_RECORD"], ..plugin.clone() }, &windows, hidden("dora_plugin_entry")),
        ("no exports", Pe { exports: vec![], ..plugin.clone() }, &windows, hidden("DORA_PLUGIN_RECORD")),
        (
            "executable",
            Pe { library: false, ..plugin.clone() },
            &windows,
            "is the executable of a node, not a plugin; name the node's shared library, or run it with `load: executable`".into(),
        ),
        (
            "other executable",
            Pe { library: false, section: false, exports: vec![], ..plugin.clone() },
            &windows,
            "is an executable, not a plugin".into(),
        ),
        ("another processor", Pe { machine: 0xaa64, ..plugin.clone() }, &windows, "built for aarch64 Windows, this machine is x86_64 Windows".into()),
        ("32 bits", Pe { wide: false, machine: 0x14c, ..plugin.clone() }, &windows, "built for x86 Windows, this machine is x86_64 Windows".into()),
    ];
    for (name, pe, machine, expected) in table {
        assert_eq!(text(&pe.build(), machine), expected, "{name}");
    }
}

#[test]
fn a_dos_program_is_no_library() {
    let mut dos = Pe::plugin().build();
    dos[0x40] = b'N';
    assert_eq!(
        text(&dos, &machine("x86_64", "Windows", "msvc")),
        "is not a shared library (starts with \"MZ\")"
    );
}

#[test]
fn mach_o() {
    let mac = machine("aarch64", "macOS", "");
    let linux = machine("x86_64", "Linux", "gnu");
    let plugin = MachO::plugin();
    let table: Vec<(&str, MachO, &Machine, &str)> = vec![
        ("fits", plugin.clone(), &mac, "ok"),
        (
            "bundle",
            MachO {
                file_type: 8,
                ..plugin.clone()
            },
            &mac,
            "ok",
        ),
        (
            "symbol only",
            MachO {
                section: false,
                ..plugin.clone()
            },
            &mac,
            "ok",
        ),
        (
            "on Linux",
            plugin.clone(),
            &linux,
            "built for aarch64 macOS, this machine is x86_64 Linux",
        ),
        (
            "another processor",
            MachO {
                processor: 0x0100_0007,
                ..plugin.clone()
            },
            &mac,
            "built for x86_64 macOS, this machine is aarch64 macOS",
        ),
        (
            "no record",
            MachO {
                section: false,
                exports: vec!["_x"],
                ..plugin.clone()
            },
            &mac,
            "is a shared library but no dora plugin (no handshake record)",
        ),
        (
            "executable",
            MachO {
                file_type: 2,
                ..plugin.clone()
            },
            &mac,
            "is the executable of a node, not a plugin; name the node's shared library, or run it with `load: executable`",
        ),
        (
            "object",
            MachO {
                file_type: 1,
                ..plugin.clone()
            },
            &mac,
            "is not a shared library (a Mach-O object file)",
        ),
        (
            "no entry",
            MachO {
                exports: vec!["_DORA_PLUGIN_RECORD", "dora_plugin_entry"],
                ..plugin.clone()
            },
            &mac,
            "does not export `dora_plugin_entry`; export it (plugin-abi does so with export_plugin!, C with default visibility)",
        ),
    ];
    for (name, mach_o, machine, expected) in table {
        assert_eq!(text(&mach_o.build(), machine), expected, "{name}");
    }
}

#[test]
fn elf_of_other_widths_and_byte_orders() {
    let here = machine("x86_64", "Linux", "gnu");
    let table = [
        (
            false,
            false,
            62,
            "built for 32-bit pointers, those of this machine have 64 bits",
        ),
        (
            false,
            false,
            40,
            "built for arm Linux, this machine is x86_64 Linux",
        ),
        (
            true,
            true,
            22,
            "built for s390x Linux, this machine is x86_64 Linux",
        ),
        (
            true,
            true,
            21,
            "built for powerpc64 Linux, this machine is x86_64 Linux",
        ),
    ];
    for (wide, big, number, expected) in table {
        let image = elf(wide, big, number);
        assert_eq!(text(&image, &here), expected);
        let FileKind::Plugin { handshake } = read(&image)
            .map(|report| report.kind)
            .unwrap_or(FileKind::Library)
        else {
            panic!("the record of {expected} was not found");
        };
        assert_eq!(handshake.damage, None, "{expected}");
        assert!(
            handshake
                .details
                .is_some_and(|details| details.name == "good-plugin")
        );
    }
}

#[test]
fn inspecting_says_what_each_file_needs() {
    let links = |bytes: &[u8]| {
        let image = read(bytes).ok().and_then(|report| report.image);
        image.map(|image| image.links).unwrap_or_default()
    };
    let pe = links(&Pe::plugin().build());
    assert_eq!(
        pe.needed,
        ["KERNEL32.dll", "api-ms-win-core-synch-l1-2-0.dll"]
    );
    let mach_o = links(&MachO::plugin().build());
    assert_eq!(mach_o.needed, ["/usr/lib/libSystem.B.dylib"]);
    assert_eq!(mach_o.soname.as_deref(), Some("@rpath/libgood.dylib"));
    assert_eq!(mach_o.rpath, ["@loader_path"]);
}

#[test]
fn a_missing_dll_is_named() {
    let folder = fresh_dir();
    let (own, system) = (folder.path().join("own"), folder.path().join("System32"));
    let write = |path: PathBuf, bytes: &[u8]| {
        let written =
            path.parent().map(fs::create_dir_all).is_some() && fs::write(&path, bytes).is_ok();
        assert!(written, "{}", path.display());
    };
    let image = |imports: &[&'static str]| {
        Pe {
            imports: imports.to_vec(),
            record: record_for("x86_64-pc-windows-gnu"),
            ..Pe::plugin()
        }
        .build()
    };
    write(system.join("kernel32.dll"), b"whatever");
    let plugin = read(&image(&[
        "KERNEL32.dll",
        "api-ms-win-core-synch-l1-2-0.dll",
        "camera.dll",
    ]));
    let Ok(plugin) = plugin else {
        panic!("{plugin:?}");
    };
    let folders = [own.clone(), system];
    let remedy = if cfg!(windows) {
        "install it, or put it beside the plugin"
    } else if cfg!(target_os = "macos") {
        "install it, or put it beside the plugin and link that with -Wl,-rpath,@loader_path"
    } else {
        "install it, or put it beside the plugin and link that with -Wl,-rpath,$ORIGIN"
    };
    let found = || find_dlls(&plugin, &folders).map_err(|error| error.to_string());
    assert_eq!(
        found(),
        Err(format!(
            "needs the library camera.dll, which could not be found; {remedy}"
        ))
    );
    write(
        own.join("Camera.DLL"),
        &image(&["kernel32.dll", "lens.dll"]),
    );
    assert_eq!(
        found(),
        Err(format!(
            "needs the library lens.dll (for camera.dll), which could not be found; {remedy}"
        ))
    );
    // Two that need each other are no reason to search for ever.
    write(own.join("lens.dll"), &image(&["camera.dll"]));
    assert_eq!(found(), Ok(()));
}
