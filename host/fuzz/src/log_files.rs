//! Log files read back, and lines of processes: nothing in them stops the reading, and what is shown of them no terminal
//! obeys. (There are no recordings of messages on disk.)

use host::logs::read::{read, tail};
use host::logs::{Format, Layout, Level, Record, Records, Stream, Times, files};
use host::process::lines;
use std::fs;
use tempfile::TempDir;
use uuid::Uuid;

const FLOW: Uuid = Uuid::from_u128(7);
const NODE: &str = "node";

thread_local! {
    /// Goes with the thread.
    static OUT: TempDir = {
        let out = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(files::folder(out.path(), FLOW)).expect("a folder");
        out
    };
}

/// The first byte: how many of the last lines are read beside all. The rest is the file.
pub(crate) fn target(bytes: &[u8]) -> bool {
    let Some((wanted, text)) = bytes.split_first() else {
        return false;
    };
    let mut understood = OUT.with(|out| {
        let out = out.path();
        fs::write(files::path(out, FLOW, NODE), text).expect("a file");
        let all = records(read(out, FLOW, NODE).expect("the file is there"));
        let wanted = usize::from(*wanted);
        let last = records(tail(out, FLOW, NODE, wanted).expect("the file is there"));
        assert_eq!(last.len(), all.len().min(wanted));
        let words = |record: &Record| (record.level, record.message.clone());
        let behind = all.iter().skip(all.len() - last.len());
        assert!(behind.map(words).eq(last.iter().map(words)));
        all.iter().for_each(shown);
        all.iter().any(|record| record.level != Level::Info)
    });
    for line in text.split(|byte| *byte == b'\n') {
        understood |= process_line(&String::from_utf8_lossy(line)) != Level::Info;
    }
    // What is not is kept as the text that it is, which is information.
    understood
}

fn records(records: Records) -> Vec<Record> {
    records.map(|record| record.expect("it goes on")).collect()
}

fn shown(record: &Record) {
    for format in [Format::Compact, Format::Pretty, Format::Json] {
        let layout = Layout {
            format,
            times: Times::Utc,
            colour: false,
        };
        let mut out = String::new();
        layout.write(record, &mut out);
        let text = out.strip_suffix('\n').expect("a line's end");
        let odd = |c: char| c.is_control() && !(c == '\n' && format == Format::Pretty);
        assert!(!text.contains(odd), "{text:?}");
    }
    let json = record.to_json();
    let back = Record::from_json(&json).expect("what was written is read");
    assert_eq!(back.to_json(), json);
}

fn process_line(line: &str) -> Level {
    let said = lines::read(Stream::Stdout, line);
    let said = said.line();
    let record = Record::logged(&said, Default::default(), std::time::UNIX_EPOCH);
    shown(&record);
    record.level
}
