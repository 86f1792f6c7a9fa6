//! Descriptors as users write them: each file in `descriptors/bad` against the messages beside it,
//! each in `descriptors/good` without an error, and what no file should hold made here.
//! `UPDATE_GOLDEN=1` writes the messages anew; read the difference before you commit it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use host::{
    descriptor::{Descriptor, MAX_FILE_BYTES, NodePath, Problems, graph::Graph},
    ids::NodeId,
    plugin::info::{KindInfo, PluginInfo, PortInfo},
};
use serde_json::json;

fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/descriptors").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).expect("the folder of cases");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yml"))
        .collect();
    files.sort();
    files
}

fn variable(name: &str) -> Option<String> {
    (name == "HOST_NAME").then(|| "robot".to_owned())
}

/// What a user would read: the file's problems, and if it has no error those that the plugins'
/// declarations add.
fn messages(text: &str, name: &str) -> (bool, String) {
    let descriptor = match Descriptor::parse_with(text, Path::new(name), &variable) {
        Ok(descriptor) => descriptor,
        Err(problems) => return (false, format!("{problems}\n")),
    };
    let mut all = descriptor.warnings.clone();
    let plugins = plugins(&descriptor);
    let (kinds, problems) = descriptor.select_kinds(&plugins);
    all.append(problems);
    all.append(descriptor.check_kinds(&kinds));
    let executables = descriptor
        .nodes
        .iter()
        .filter(|node| path_of(node).ends_with(".py"));
    let executables = executables.map(|node| node.id.clone()).collect();
    all.append(descriptor.check_executables(&executables));
    all.sort();
    let text = match all.is_empty() {
        true => String::new(),
        false => format!("{all}\n"),
    };
    (all.errors() == 0, text)
}

fn path_of(node: &host::descriptor::Node) -> &str {
    match &node.path {
        NodePath::File(path) => &path.value,
        NodePath::Dynamic => "",
    }
}

/// The plugins of this test: a node's path is `plugins/NAME`.
fn plugins(descriptor: &Descriptor) -> BTreeMap<NodeId, PluginInfo> {
    let known = known_plugins();
    let of_node = |node: &host::descriptor::Node| {
        let name = path_of(node).strip_prefix("plugins/")?;
        let plugin = known.iter().find(|plugin| plugin.name == name)?;
        Some((node.id.clone(), plugin.clone()))
    };
    descriptor.nodes.iter().filter_map(of_node).collect()
}

fn port(name: &str, data_type: Option<&str>) -> PortInfo {
    PortInfo {
        name: name.into(),
        description: String::new(),
        data_type: data_type.map(str::to_owned),
    }
}

fn kind(name: &str, inputs: Vec<PortInfo>, outputs: Vec<PortInfo>) -> KindInfo {
    KindInfo {
        name: name.into(),
        description: String::new(),
        inputs,
        outputs,
        config_schema: None,
    }
}

fn known_plugins() -> Vec<PluginInfo> {
    let plugin = |name: &str, kinds| PluginInfo {
        name: name.into(),
        version: "0.7.0".into(),
        kinds,
    };
    let mut random = kind(
        "random",
        vec![port("tick", Some("Null"))],
        vec![port("random", Some("UInt64"))],
    );
    random.config_schema = Some(json!({
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 1},
            "seed": {"type": "integer"},
            "shape": {"enum": ["uniform", "normal"]},
            "range": {
                "type": "object",
                "properties": {"low": {"type": "number"}, "high": {"type": "number"}},
                "required": ["low", "high"],
                "additionalProperties": false
            },
            "weights": {"type": "array", "items": {"type": "number"}}
        }
    }));
    let status = kind(
        "status",
        vec![port("tick", None), port("random", Some("UInt64"))],
        vec![port("status", Some("Utf8"))],
    );
    let sink = kind("sink", vec![port("message", Some("Utf8"))], vec![]);
    let record = kind("record", vec![port("*", None)], vec![]);
    let blur = kind("blur", vec![port("image", None)], vec![port("image", None)]);
    let edges = kind(
        "edges",
        vec![port("image", None)],
        vec![port("edges", None)],
    );
    let table = kind(
        "table",
        vec![port("rows", Some("Struct"))],
        vec![port("rows", Some("Struct<a: UInt8>"))],
    );
    vec![
        plugin("random", vec![random]),
        plugin("table", vec![table]),
        plugin("status", vec![status]),
        plugin("sink", vec![sink]),
        plugin("record", vec![record]),
        plugin("vision", vec![blur, edges]),
    ]
}

/// Compares with the golden text, or writes it when asked to. Gives the difference.
fn compare(golden: &Path, found: &str) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(golden, found).expect("the golden file is writable");
        return None;
    }
    // Checked out on Windows, the files may have other line ends.
    let expected = fs::read_to_string(golden)
        .unwrap_or_default()
        .replace("\r\n", "\n");
    let name = golden.display();
    (expected != found).then(|| format!("{name}\n--- expected\n{expected}--- found\n{found}"))
}

#[test]
fn bad_descriptors_have_golden_messages() {
    let files = files("bad");
    assert!(files.len() >= 40, "only {} cases", files.len());
    let mut differences = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).expect("a case is text");
        let name = file.file_name().expect("a name").to_string_lossy();
        let (valid, found) = messages(&text, &name);
        let only_warns = name.starts_with("warn-");
        assert_eq!(valid, only_warns, "{name}: {found}");
        assert!(!found.is_empty(), "{name} has nothing to say");
        for line in found.lines() {
            assert!(
                line.starts_with(&*name),
                "{name}: a line without its file: {line}"
            );
        }
        differences.extend(compare(&file.with_extension("txt"), &found));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn good_descriptors_have_nothing_to_say() {
    for file in files("good") {
        let text = fs::read_to_string(&file).expect("a case is text");
        let name = file.file_name().expect("a name").to_string_lossy();
        let (valid, found) = messages(&text, &name);
        assert!(valid && found.is_empty(), "{name}: {found}");
        let read = Descriptor::parse_with(&text, Path::new(&*name), &variable).expect("valid");
        let wire = serde_json::to_string(&read).expect("a descriptor is data");
        let back: Descriptor = serde_json::from_str(&wire).expect("what was written is read");
        assert_eq!(back, read, "{name} over the wire");
    }
}

fn read_bytes(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flow.yml");
    fs::write(&file, bytes).expect("a file");
    let problems = Descriptor::read(&file).expect_err("no descriptor");
    shown(&problems, folder.path())
}

fn shown(problems: &Problems, folder: &Path) -> String {
    let text = problems.to_string();
    text.replace(
        &format!("{}{}", folder.display(), std::path::MAIN_SEPARATOR),
        "",
    )
}

#[test]
fn files_that_are_no_text() {
    let table: &[(&[u8], &str)] = &[
        (
            b"nodes:\n  - id: \xff\xfe\n",
            "flow.yml:2:9: the file is not UTF-8 text (byte 0xff here); save it as UTF-8",
        ),
        (
            b"\xff\xfen\0o\0",
            "flow.yml:1:1: the file is UTF-16 text; save it as UTF-8",
        ),
        (
            b"",
            "flow.yml:1:1: the file is empty; a descriptor needs at least `nodes` with one node, such as \
             `nodes: [{id: camera, path: target/release/camera}]`",
        ),
        (
            b"\x7fELF\x02\x01\x01\0\0\0",
            "flow.yml:1:8: not valid YAML: found unprintable character; is this a text file?",
        ),
    ];
    for (bytes, expected) in table {
        assert_eq!(read_bytes(bytes), *expected);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = Descriptor::read(&folder.path().join("no.yml")).expect_err("missing");
    assert_eq!(
        shown(&missing, folder.path()),
        "no.yml: there is no such file; check the path"
    );
    let inside = folder.path().join("sub");
    fs::create_dir(&inside).expect("a folder");
    let no_file = Descriptor::read(&inside).expect_err("a folder");
    assert_eq!(
        shown(&no_file, folder.path()),
        "sub: this is a folder; name the descriptor's file in it, such as `dataflow.yml`"
    );
    let big = folder.path().join("big.yml");
    let file = fs::File::create(&big).expect("a file");
    file.set_len(MAX_FILE_BYTES * 1000).expect("a sparse file");
    let begun = Instant::now();
    let too_big = Descriptor::read(&big).expect_err("too big");
    assert_eq!(
        shown(&too_big, folder.path()),
        "big.yml: the file is larger than 16 MiB, which no descriptor needs to be"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "refused by size, not by reading"
    );
}

/// Ten megabytes of each kind of mistake end soon and say little.
#[test]
fn ten_megabytes_end_soon() {
    let shapes: &[(&str, &str)] = &[
        ("nodes", "  - {id: a, path: x, inputs: {i: b/c}}\n"),
        ("same keys", "    k: 1\n"),
        ("unknown keys", "  - {id: x, pth: y, inptus: 1}\n"),
        ("deep", "[["),
        ("comment", "# x\n"),
        ("text", "漢字"),
        (
            "senders",
            "  - {id: a, path: x, thread: sender, inputs: {i: {source: a/b, queue_policy: backpressure}}}\n",
        ),
    ];
    for (name, shape) in shapes {
        let text = format!("nodes:\n{}", shape.repeat(10_000_000 / shape.len()));
        let begun = Instant::now();
        let problems = Descriptor::parse(&text, Path::new("big.yml")).expect_err(name);
        assert!(problems.to_string().len() < 100_000, "{name}");
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{name}: {:?}",
            begun.elapsed()
        );
    }
}

/// A ring of as many nodes as the limits allow, all of them called by their sender.
#[test]
fn a_huge_graph_ends_soon() {
    let count = 5_000;
    let mut text = String::from("nodes:\n");
    for n in 0..count {
        let from = (n + count - 1) % count;
        text.push_str(&format!(
            "  - {{id: n{n}, path: x, thread: sender, outputs: [o], inputs: {{i: {{source: n{from}/o, queue_policy: backpressure}}}}}}\n"
        ));
    }
    let begun = Instant::now();
    let problems = Descriptor::parse(&text, Path::new("ring.yml")).expect_err("a ring");
    assert!(problems.errors() >= count);
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}

/// Slips of the keyboard in every case: whatever comes out, it comes out without a panic, and what is
/// accepted can be drawn.
#[test]
fn damaged_cases_do_not_panic() {
    let replacements: Vec<char> = "\t\n :-?[]{},&*!|>'\"%@`#\\/.é\u{feff}\u{0}~<$5"
        .chars()
        .collect();
    let mut random: u64 = 7;
    let mut next = |below: usize| {
        // Knuth's linear congruential generator: the same damage in every run.
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (random >> 33) as usize % below
    };
    for file in [files("good"), files("bad")].concat() {
        let text = fs::read_to_string(&file).expect("a case is text");
        let chars: Vec<char> = text.chars().collect();
        // Each reading of the bomb costs all that the limits allow.
        let times = if text.contains("&x9") { 5 } else { 150 };
        for _ in 0..times {
            let mut damaged = chars.clone();
            for _ in 0..=next(2) {
                let place = next(damaged.len());
                match next(3) {
                    0 => damaged[place] = replacements[next(replacements.len())],
                    1 => drop(damaged.remove(place)),
                    _ => damaged.insert(place, replacements[next(replacements.len())]),
                }
            }
            let damaged: String = damaged.into_iter().collect();
            if let Ok(descriptor) = Descriptor::parse_with(&damaged, &file, &variable) {
                let graph = Graph::new(&descriptor);
                assert!(graph.to_html().ends_with("</html>\n"));
                messages(&damaged, "damaged.yml");
            }
        }
    }
}
