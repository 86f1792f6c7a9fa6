//! Loading: each content once, newer files beside older ones, and originals that change under a running plugin.

use crate::harness::{Bench, Installed, Running, error, features};
use host::plugin::preflight::PreflightError;
use host::plugin::{LoadError, Plugin};
use host_testing::{fixtures, fresh_dir};
use plugin_abi::ffi;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// How many instances of the kind a copy has made, with this one, and where the copy's static is.
fn statics(plugin: &Plugin) -> (u64, u64) {
    let mut node = Running::start(plugin, "statics", "{}");
    assert_eq!(node.input("ask", ()), ffi::OK);
    (node.number("made"), node.number("at"))
}

/// Makes the file a newer one: other content, the same plugin.
fn renew(path: &Path) {
    let mut file = OpenOptions::new().append(true).open(path).expect("opened");
    // Nothing looks behind the last section.
    file.write_all(b"newer").expect("written");
}

#[test]
fn the_same_library_is_loaded_once() {
    let (bench, installed) = (Bench::new(), Installed::new("features"));
    let first = bench.load(&installed.path);
    let (made, at) = statics(&first);
    assert_eq!(made, 1);

    // By another path, and after it has been touched, written anew, and linked to.
    let dotted = installed
        .folder
        .path()
        .join(".")
        .join(installed.path.file_name().expect("a name"));
    assert!(Arc::ptr_eq(&first, &bench.load(&dotted)));
    let touched = File::options()
        .write(true)
        .open(&installed.path)
        .expect("opened");
    touched
        .set_modified(SystemTime::UNIX_EPOCH)
        .expect("touched");
    drop(touched);
    assert!(Arc::ptr_eq(&first, &bench.load(&installed.path)));
    let bytes = fs::read(&installed.path).expect("read");
    fs::remove_file(&installed.path).expect("removed");
    fs::write(&installed.path, bytes).expect("written");
    assert!(Arc::ptr_eq(&first, &bench.load(&installed.path)));
    assert!(Arc::ptr_eq(
        &first,
        &bench.load(&Installed::new("features").path)
    ));
    #[cfg(unix)]
    {
        let link = installed.folder.path().join("link");
        std::os::unix::fs::symlink(&installed.path, &link).expect("linked");
        assert!(Arc::ptr_eq(&first, &bench.load(&link)));
    }
    assert_eq!(
        statics(&bench.load(&installed.path)),
        (2, at),
        "instances share statics"
    );
    let copies = bench.copies();
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].file_name(), installed.path.file_name());
}

#[test]
fn threads_that_load_the_same_library_at_once_get_the_same() {
    let (bench, installed) = (Bench::new(), Installed::new("features"));
    let loaded = std::thread::scope(|scope| {
        let load = || bench.load(&installed.path);
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("loaded");
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    assert!(loaded.iter().all(|plugin| Arc::ptr_eq(plugin, &loaded[0])));
    assert_eq!(bench.copies().len(), 1);
}

#[test]
fn many_libraries_of_the_same_kind_live_side_by_side() {
    let (bench, folder) = (Bench::new(), fresh_dir());
    let plugins: Vec<Arc<Plugin>> = (0..6)
        .map(|i| {
            let path = folder.path().join(format!("plugin-{i}"));
            fs::copy(fixtures::path("features"), &path).expect("copied");
            bench.load(&path)
        })
        .collect();
    let others = ["odd", "other-arrow"].map(|name| bench.load(&fixtures::path(name)));
    let mut places: Vec<u64> = plugins
        .iter()
        .map(|plugin| {
            let (made, at) = statics(plugin);
            assert_eq!(made, 1, "each has statics of its own");
            at
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), plugins.len());
    let names: Vec<&str> = others
        .iter()
        .map(|plugin| plugin.info().name.as_str())
        .collect();
    assert_eq!(names, ["odd", "other-arrow"]);
}

#[test]
fn a_newer_copy_runs_beside_the_older_one() {
    let (bench, installed) = (Bench::new(), Installed::new("features"));
    let old = bench.load(&installed.path);
    let mut old_node = Running::start(&old, "counts", "{}");
    let (_, old_at) = statics(&old);
    assert_eq!(old_node.input("tick", ()), ffi::OK);

    renew(&installed.path);
    let new = bench.load(&installed.path);
    assert!(!Arc::ptr_eq(&old, &new));
    let (made, new_at) = statics(&new);
    assert_eq!(made, 1, "new statics");
    assert_ne!(old_at, new_at);
    let mut new_node = Running::start(&new, "counts", "{}");
    assert_eq!(
        new_node.restore(&old_node.save().expect("a state")),
        ffi::OK
    );
    for (node, count) in [(&mut old_node, 2), (&mut new_node, 2)] {
        node.take("count");
        assert_eq!(node.input("tick", ()), ffi::OK);
        assert_eq!(node.number("count"), count);
    }
    assert_eq!(bench.copies().len(), 2);
    assert!(Arc::ptr_eq(&new, &bench.load(&installed.path)));

    // A message of the old one's is read by the new one, also when the old node is gone.
    let mut produces = Running::start(&old, "produces", "{}");
    assert_eq!(produces.input("length", 1000_u64), ffi::OK);
    let data = produces.one("data");
    drop(produces);
    let mut address = Running::start(&new, "address", "{}");
    assert_eq!(address.give("in", &data), ffi::OK);
    assert_eq!(address.number("address"), crate::harness::address(&data));
}

#[test]
fn what_happens_to_the_original_does_not_touch_what_runs() {
    let (bench, installed) = (Bench::new(), Installed::new("features"));
    let plugin = bench.load(&installed.path);
    // Kinds that have not run yet: their pages may not have been read.
    let fresh = |kind: &str| Running::start(&plugin, kind, "{}").input("in", "x");

    let half = fs::metadata(&installed.path).expect("a file").len() / 2;
    let file = File::options()
        .write(true)
        .open(&installed.path)
        .expect("opened");
    file.set_len(half).expect("cut");
    assert_eq!(fresh("echo"), ffi::OK);
    let cut = error(&bench.loader, &installed.path);
    assert!(
        matches!(cut, LoadError::Refused(PreflightError::Incomplete { .. })),
        "{cut}"
    );
    file.set_len(0).expect("cut");
    assert_eq!(fresh("sends"), ffi::OK);
    assert_eq!(bench.refusal(&installed.path), "is empty");
    drop(file);
    fs::write(&installed.path, vec![0xff; half as usize]).expect("overwritten");
    assert_eq!(
        fresh("address"),
        ffi::ERR_FAILED,
        "with an error about its type"
    );
    fs::remove_file(&installed.path).expect("removed");
    assert_eq!(fresh("idle"), ffi::OK);
    assert!(
        bench
            .refusal(&installed.path)
            .starts_with("not found (tried ")
    );

    // The private copy too: the system keeps what is mapped.
    drop(bench);
    let mut node = Running::start(&plugin, "configured", "{}");
    assert_eq!(node.input("in", ()), ffi::DONE);
}

#[test]
fn in_place_means_no_copy() {
    let bench = Bench::with(|options| options.in_place = true);
    let installed = Installed::new("features");
    let plugin = bench.load(&installed.path);
    assert_eq!(statics(&plugin).0, 1);
    assert!(Arc::ptr_eq(&plugin, &bench.load(&installed.path)));
    assert!(bench.copies().is_empty());
    if cfg!(target_os = "linux") {
        let maps = fs::read_to_string("/proc/self/maps").expect("maps");
        let path = installed.path.canonicalize().expect("a path");
        assert!(maps.contains(&*path.to_string_lossy()));
    }
    // What runs is what was loaded, whatever has become of the file.
    let newer = installed.folder.path().join("newer");
    fs::copy(&installed.path, &newer).expect("copied");
    renew(&newer);
    if fs::rename(&newer, &installed.path).is_ok() {
        assert!(Arc::ptr_eq(&plugin, &bench.load(&installed.path)));
    }
}

#[test]
fn a_plugin_says_where_it_came_from_and_what_its_record_says() {
    let plugin = features();
    assert_eq!(plugin.path(), fixtures::path("features"));
    let details = plugin
        .handshake()
        .details
        .as_ref()
        .expect("the rest of the record");
    assert_eq!(
        (details.name.as_str(), details.version.as_str()),
        ("features", "0.1.0")
    );
    assert!(plugin.kind("no such kind").is_none());
}

#[cfg(target_os = "linux")]
mod in_c {
    use crate::harness::{Bench, Running, Workshop};
    use plugin_abi::ffi;
    use std::fs;

    /// Fails to be mapped without the right dependency.
    const NEEDY: &str = "#include <stdlib.h>\nint dependency(void);\n\
        __attribute__((constructor)) static void need(void) { if (dependency() != 7) abort(); }\n";

    #[test]
    fn libraries_beside_the_original_are_found() {
        let table = [
            ("named", true, "."),
            ("nameless", false, "."),
            ("below", false, "lib"),
            ("above", false, "../lib"),
            ("further-above", false, "../../lib"),
            ("named-far-above", true, "../../../lib"),
            // Nobody else's folders are written to; with a name it would have been found.
            ("far-above", false, "../../../lib"),
        ];
        for (name, named, place) in table {
            for in_place in [false, true] {
                if in_place && !matches!(name, "nameless" | "far-above") {
                    continue;
                }
                let workshop = Workshop::new();
                // The system knows libraries by their names: each case has its own.
                let near = format!("{name}-{in_place}");
                let soname = format!("-Wl,-soname,lib{near}.so");
                let args: &[&str] = if named { &[&soname] } else { &[] };
                let code = "int dependency(void) { return 7; }\n";
                let library = workshop.library(&near, code, args);
                let found = format!("-L{}", workshop.path(&near).display());
                let link = format!("-l{near}");
                let search = format!("-Wl,-rpath,$ORIGIN/{place}");
                let built = workshop.echo(name, NEEDY, &[&found, &link, &search]);
                let original = workshop.path("one/two/three/libneedy.so");
                let folder = original.parent().expect("a folder");
                for folder in [folder.to_owned(), folder.join(place)] {
                    fs::create_dir_all(folder).expect("a folder");
                }
                fs::rename(built, &original).expect("moved");
                let place = folder
                    .join(place)
                    .join(library.file_name().expect("a name"));
                fs::rename(library, place).expect("moved");
                let bench = Bench::with(|options| options.in_place = in_place);
                if name == "far-above" && !in_place {
                    let text = bench.refusal(&original);
                    assert!(text.contains("so, which could not be found"), "{text}");
                    continue;
                }
                let plugin = bench.load(&original);
                let mut echo = Running::start(&plugin, "c-echo", "null");
                assert_eq!(echo.input("any", "x"), ffi::OK, "{name}");
            }
        }
    }

    #[test]
    fn a_damaged_library_beside_a_plugin_is_an_error() {
        let workshop = Workshop::new();
        let near = workshop.library("damaged", "int dependency(void) { return 7; }\n", &[]);
        let found = format!("-L{}", workshop.path("damaged").display());
        let plugin = workshop.echo("needy", NEEDY, &[&found, "-ldamaged", "-Wl,-rpath,$ORIGIN"]);
        let beside = workshop.path("needy/libdamaged.so");
        let bytes = fs::read(near).expect("read");
        let text = Bench::new().refusal(&plugin);
        assert!(
            text.contains("libdamaged.so, which could not be found"),
            "{text}"
        );
        let size = bytes.len();
        for (bytes, expected) in [
            (
                &b"no library"[..],
                "is not a shared library (starts with \"no library\")".into(),
            ),
            (b"", "is empty".into()),
            (
                &bytes[..size / 2],
                format!(
                    "file is incomplete ({} bytes, its headers promise {size})",
                    size / 2
                ),
            ),
            (
                &bytes[..size - 100],
                format!(
                    "file is incomplete ({} bytes, its headers promise {size})",
                    size - 100
                ),
            ),
        ] {
            fs::write(&beside, bytes).expect("written");
            let text = Bench::new().refusal(&plugin);
            assert_eq!(
                text,
                format!("its library {}: {expected}", beside.display())
            );
        }
    }
}
