//! The tree and its limits: what is kept, what is refused, and that nothing takes long.

use std::time::{Duration, Instant};

use super::*;

fn tree(text: &str) -> Yaml {
    let (tree, faults) = build(text);
    assert_eq!(faults, []);
    tree.expect("a tree")
}

fn faults(text: &str) -> Vec<String> {
    let (_, faults) = build(text);
    faults
        .iter()
        .map(|f| format!("{}: {}", f.at, f.text))
        .collect()
}

fn keys(yaml: &Yaml) -> Vec<(&str, String)> {
    match &yaml.value {
        Value::Map(entries) => entries
            .iter()
            .map(|e| (e.key.as_str(), format!("{:?}", e.value.value)))
            .collect(),
        other => panic!("no mapping: {other:?}"),
    }
}

#[test]
fn positions_are_one_based_and_count_characters() {
    let root = tree("é: ü\nlist:\n  - a\n  - ä: b\n");
    let Value::Map(entries) = &root.value else {
        panic!("no mapping");
    };
    let at = |p: Position| (p.line, p.column);
    assert_eq!(at(entries[0].key_at), (1, 1));
    assert_eq!(at(entries[0].value.at), (1, 4));
    let Value::List(items) = &entries[1].value.value else {
        panic!("no list");
    };
    assert_eq!(at(items[0].at), (3, 5));
    assert_eq!(at(items[1].at), (4, 5));
}

#[test]
fn merge_keys_add_what_is_missing() {
    let root = tree("base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nall: {y: 0, <<: [*b, *m]}\n");
    let Value::Map(entries) = &root.value else {
        panic!("no mapping");
    };
    let merged = keys(&entries[2].value);
    assert_eq!(
        merged,
        [
            ("y", "Int(0)".into()),
            ("x", "Int(1)".into()),
            ("z", "Int(4)".into())
        ]
    );
    assert_eq!(
        faults("a: {<<: 5}"),
        ["1:9: `<<` merges a mapping or a list of mappings, found the number 5"]
    );
    assert_eq!(keys(&tree("'<<': 5"))[0].0, "<<");
}

#[test]
fn refusals_name_the_place() {
    let table = [
        (
            "a: 1\nb: 2\na: 3\n",
            "3:1: the key `a` stands here a second time (first in line 1); remove one",
        ),
        (
            "a: &x [*x]",
            "1:8: this alias stands inside its own anchor; remove it",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "2:1: a second document starts here; one file holds one descriptor",
        ),
        (
            "[a]: 1",
            "1:1: a list or mapping cannot be a key; a key must be text",
        ),
        (
            "a: !Tcp {x: 1}",
            "1:4: the tag `!Tcp` is not supported here; remove it",
        ),
        ("a: !!int x", "1:4: `x` is no `!!int`"),
    ];
    for (text, expected) in table {
        assert_eq!(faults(text), [expected], "{text:?}");
    }
}

#[test]
fn tags_of_the_core_schema_work() {
    let root = tree("a: !!str 5\nb: !!float 5\nc: !!map {}\nd: !!seq []\n");
    assert_eq!(keys(&root)[0], ("a", "Text(\"5\")".into()));
    assert_eq!(keys(&root)[1], ("b", "Int(5)".into()));
}

#[test]
fn nothing_at_all_is_no_fault() {
    for text in ["", "\n\n", "# only a comment\n", "---\n"] {
        let (tree, faults) = build(text);
        assert!(faults.is_empty(), "{text:?}: {faults:?}");
        let nothing = tree.is_none_or(|tree| tree.value == Value::Null);
        assert!(nothing, "{text:?}");
    }
}

#[test]
fn depth_is_bounded_also_through_aliases() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(faults(&nested(MAX_DEPTH)).is_empty());
    assert_eq!(
        faults(&nested(MAX_DEPTH + 1)),
        ["1:65: nested deeper than 64 levels, which no descriptor needs"]
    );
    let mut ladder = String::from("a0: &a0 [x]\n");
    for n in 1..200 {
        ladder.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
    }
    let found = faults(&ladder);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("nested deeper than 64 levels"),
        "{found:?}"
    );
}

#[test]
fn bombs_fail_fast() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..40 {
        let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    let big = "x".repeat(1_000_000);
    let mut texts = format!("a: &a {big}\nb:\n");
    texts.push_str(&"  - *a\n".repeat(1000));
    let begun = Instant::now();
    let found = faults(&laughs);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("more than 500000 values"), "{found:?}");
    let found = faults(&texts);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("more than 64 MiB of text"), "{found:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// Shapes that make naive scanners quadratic, each about 200 kB; and the same cut short.
#[test]
fn hostile_shapes_end() {
    let shapes: &[&str] = &[
        "[",
        "{",
        "- ",
        "? ",
        "&a ",
        "*a ",
        "!a ",
        "a: ",
        "a: b: ",
        "\"",
        "'",
        "|\n",
        ">\n",
        "a: |\n  x\n",
        "[a, ",
        "{a: ",
        "{? ",
        "\t",
        "\r",
        "\u{feff}",
        "%",
        "---\n",
        "...\n",
        "#",
        "\u{0}",
        "- - ",
        "-\n",
        ":",
        "?\n",
        ",",
        "]",
        "[]: ",
        "<<: {}\n",
        "a\n\n\n",
        "\\",
        "\"\\x",
        "a: 'b\n",
        " ",
        "\n",
        "a ",
        "漢",
    ];
    let begun = Instant::now();
    for shape in shapes {
        let text = shape.repeat(200_000 / shape.len());
        let one = Instant::now();
        let _ = build(&text);
        assert!(one.elapsed() < Duration::from_secs(20), "{shape:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(120));
}

/// Every prefix of a real file, and the file with one character replaced, end without a panic.
#[test]
fn mutations_do_not_panic() {
    let text = "nodes:\n  - id: &a \"x\\u0041\"\n    path: 'p'\n    env: {<<: *a, k: !!str 1}\n    build: |\n      x\n    d: >-\n      é\n";
    let chars: Vec<char> = text.chars().collect();
    for end in 0..=chars.len() {
        let cut: String = chars[..end].iter().collect();
        let _ = build(&cut);
    }
    for place in 0..chars.len() {
        for new in "\0\t\n\r :-?[]{},&*!|>'\"%@`#\\é\u{feff}\u{2028}~<".chars() {
            let mut changed = chars.clone();
            changed[place] = new;
            let _ = build(&changed.iter().collect::<String>());
        }
    }
}
