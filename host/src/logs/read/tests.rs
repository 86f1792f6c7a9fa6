use super::super::file::Rotation;
use super::super::files::Files;
use super::super::level::Level;
use super::*;
use std::io::Write;
use std::time::{Duration, Instant};

const FLOW: Uuid = Uuid::from_u128(7);

fn said(node: &str, number: u64) -> Record {
    Record {
        time: UNIX_EPOCH + Duration::from_secs(number),
        ..Record::new(Level::Info, "t", number.to_string()).by(Origin {
            dataflow: Some(FLOW),
            node: Some(node.to_owned()),
            ..Origin::default()
        })
    }
}

fn write(out: &Path, max_bytes: u64, records: impl IntoIterator<Item = Record>) {
    let rotation = Rotation {
        max_bytes,
        files: 100,
    };
    let mut files = Files::new(out.to_owned(), rotation);
    for record in records {
        assert!(files.write(&record, Instant::now()).is_none());
    }
    assert!(files.close(FLOW, Instant::now()).is_empty());
}

fn messages(records: impl Iterator<Item = io::Result<Record>>) -> Vec<String> {
    records.map(|record| record.unwrap().message).collect()
}

#[test]
fn rotated_files_are_read_in_order() {
    let out = tempfile::tempdir().unwrap();
    // About three lines a file, and more than ten files, whose names do not sort by number.
    let written: Vec<_> = (0..50).map(|number| said("a", number)).collect();
    write(out.path(), 160, written.clone());
    let folder = files::folder(out.path(), FLOW);
    assert!(fs::read_dir(folder).unwrap().count() > 10);
    let found: io::Result<Vec<_>> = read(out.path(), FLOW, "a").unwrap().collect();
    assert_eq!(found.unwrap(), written);
    for lines in [0, 1, 2, 3, 4, 10, 49, 50, 51, usize::MAX] {
        let found: io::Result<Vec<_>> = tail(out.path(), FLOW, "a", lines).unwrap().collect();
        let first = written.len().saturating_sub(lines);
        assert_eq!(found.unwrap(), written[first..], "the last {lines}");
    }
}

#[test]
fn the_tail_of_a_long_file_is_found() {
    let out = tempfile::tempdir().unwrap();
    let lines = 3 * BLOCK_BYTES / 40;
    write(
        out.path(),
        u64::MAX,
        (0..lines).map(|number| said("a", number)),
    );
    for wanted in [1, 1000, 2000, 3000, lines] {
        let found = messages(tail(out.path(), FLOW, "a", wanted as usize).unwrap());
        assert_eq!(found.len() as u64, wanted);
        assert_eq!(found[0], (lines - wanted).to_string());
    }
}

#[test]
fn whatever_is_in_a_file_is_read() {
    let out = tempfile::tempdir().unwrap();
    write(out.path(), u64::MAX, [said("a", 1)]);
    let path = files::path(out.path(), FLOW, "a");
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"caf\xe9\r\n\n").unwrap();
    file.write_all(&vec![b'x'; MAX_LINE_BYTES + 10]).unwrap();
    file.write_all(b"\n1970-01-01T00:00:02.000000Z WARN  torn\t{\"target\":\"x")
        .unwrap();
    let found: io::Result<Vec<_>> = read(out.path(), FLOW, "a").unwrap().collect();
    let found = found.unwrap();
    let texts: Vec<_> = found
        .iter()
        .map(|record| record.message.chars().take(8).collect::<String>())
        .collect();
    assert_eq!(texts, ["1", "caf\u{fffd}", "", "xxxxxxxx", "torn"]);
    assert_eq!(found[3].message.len(), MAX_LINE_BYTES);
    assert_eq!(found[3].time, found[0].time, "that of the line before");
    assert_eq!(found[4].level, Level::Warn);
    let last = tail(out.path(), FLOW, "a", 1).unwrap();
    assert_eq!(messages(last), ["torn"]);
}

#[test]
fn what_is_not_there_is_not_found() {
    let out = tempfile::tempdir().unwrap();
    let kind = |error: io::Error| error.kind();
    let not_found = Some(io::ErrorKind::NotFound);
    assert_eq!(read(out.path(), FLOW, "a").err().map(kind), not_found);
    assert_eq!(nodes(out.path(), FLOW).err().map(kind), not_found);
    write(out.path(), u64::MAX, [said("b", 1)]);
    assert_eq!(tail(out.path(), FLOW, "a", 1).err().map(kind), not_found);
}

#[test]
fn nodes_are_listed_and_merged_by_time() {
    let out = tempfile::tempdir().unwrap();
    let mut runtime = said("", 4);
    runtime.node = None;
    let all = [
        said("a", 1),
        said("b.txt", 2),
        said("a", 3),
        runtime,
        said("b.txt", 5),
        said("a", 0),
        said("a", 6),
    ];
    write(out.path(), 80, all);
    let nodes = nodes(out.path(), FLOW).unwrap();
    assert_eq!(nodes, ["a", "b.txt", "dora"]);
    let readers = nodes
        .iter()
        .map(|node| read(out.path(), FLOW, node).unwrap());
    let merged: io::Result<Vec<_>> = merge(readers.collect()).collect();
    let merged = merged.unwrap();
    let texts: Vec<_> = merged.iter().map(|record| &record.message).collect();
    assert_eq!(
        texts,
        ["1", "2", "3", "0", "4", "5", "6"],
        "a went back in time"
    );
    assert_eq!(merged[4].node, None);
}
