use super::super::ledger::Standing;
use super::*;
use crate::control::Ended;
use crate::ids::DataflowId;

fn ledger(ids: &[DataflowId]) -> Ledger {
    let mut ledger = Ledger::default();
    for id in ids {
        let ended = Ended {
            dataflow: *id,
            name: Some("arm".into()),
            started: true,
            stopped: true,
            error: None,
            rows: Vec::new(),
            took: Duration::from_millis(1_500),
            machines: Vec::new(),
            unreachable: Vec::new(),
        };
        ledger.enter(ended, Standing::Over);
    }
    ledger
}

fn open(folder: &Path) -> (Disk, Ledger, Option<MemoryTrouble>) {
    let (disk, ledger, trouble) = Disk::open(folder, 7);
    (disk.unwrap(), ledger, trouble)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Writes it, to the end, also where the disk has much to do.
async fn write(disk: &mut Disk, ledger: &Ledger) -> Option<MemoryTrouble> {
    for _ in 0..30 {
        let outcome = disk.begin(ledger).await;
        let is_late = |reason: &String| reason.starts_with("the disk does not answer");
        if !outcome.as_ref().is_err_and(is_late) {
            return disk.trouble(outcome);
        }
    }
    panic!("the disk does not answer for a minute");
}

#[tokio::test]
async fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("not/there/yet");
    let (mut disk, before, trouble) = open(&place);
    assert_eq!((before, trouble), (Ledger::default(), None));
    let ids = [DataflowId::new(), DataflowId::new()];
    assert_eq!(write(&mut disk, &ledger(&ids[..1])).await, None);
    assert_eq!(write(&mut disk, &ledger(&ids)).await, None);
    let (_, again, trouble) = open(&place);
    assert_eq!((again, trouble), (ledger(&ids), None));
    assert_eq!(names(&place), ["coordinator-7.json"]);
    let (_, other, _) = Disk::open(&place, 8);
    assert_eq!(other, Ledger::default(), "another port, another memory");
}

#[tokio::test]
async fn what_cannot_be_used_is_set_aside_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coordinator-7.json");
    let (mut disk, ..) = open(folder.path());
    write(&mut disk, &ledger(&[DataflowId::new()])).await;
    let whole = fs::read(&path).unwrap();
    let newer = String::from_utf8(whole.clone()).unwrap();
    let newer = newer.replacen("\"form\":1,\"dora\":\"", "\"form\":2,\"dora\":\"9.", 1);
    let mismatched = format!(
        r#"{{"form":1,"ledger":{{"records":{{"{}":{}}}}}}}"#,
        DataflowId::new(),
        serde_json::to_value(ledger(&[DataflowId::new()])).unwrap()["records"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
    );
    let deep = "[".repeat(100_000);
    let table: [(&[u8], &str); 7] = [
        (&whole[..whole.len() / 2], "damaged"),
        (b"", "damaged"),
        (b"\xff\x00", "damaged"),
        (b"{}", "damaged"),
        (newer.as_bytes(), "written by dora 9."),
        (mismatched.as_bytes(), "contradicts itself"),
        (deep.as_bytes(), "damaged"),
    ];
    for (bytes, expected) in table {
        fs::write(&path, bytes).unwrap();
        let (mut disk, read, trouble) = open(folder.path());
        assert_eq!(read, Ledger::default());
        let trouble = trouble.unwrap();
        let text = trouble.to_string();
        assert!(text.contains(expected), "{text}");
        let MemoryTrouble::SetAside { now: Ok(aside), .. } = trouble else {
            panic!("{text}");
        };
        assert!(text.contains(aside.file_name().unwrap().to_str().unwrap()));
        assert_eq!(fs::read(&aside).unwrap(), bytes, "nothing is lost");
        assert_eq!(write(&mut disk, &Ledger::default()).await, None);
    }
    for _ in 0..20 {
        fs::write(&path, "x").unwrap();
        open(folder.path());
    }
    assert_eq!(names(folder.path()).len(), ASIDE as usize, "bounded");
}

#[tokio::test]
async fn a_disk_that_refuses_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    fs::write(&place, "in the way").unwrap();
    let (mut disk, read, trouble) = open(&place);
    assert_eq!(read, Ledger::default());
    // Some systems say that there is no such file, others that the folder is none.
    assert!(matches!(
        trouble,
        None | Some(MemoryTrouble::Unreadable { .. })
    ));
    let first = write(&mut disk, &Ledger::default()).await;
    assert!(matches!(&first, Some(MemoryTrouble::NotWritten { .. })));
    assert!(first.unwrap().to_string().contains("DORA_STATE_DIR"));
    assert_eq!(write(&mut disk, &Ledger::default()).await, None);
    fs::remove_file(&place).unwrap();
    let again = write(&mut disk, &Ledger::default()).await;
    assert!(matches!(again, Some(MemoryTrouble::WrittenAgain { .. })));
    assert_eq!(write(&mut disk, &Ledger::default()).await, None);
}

#[test]
fn what_is_wrong_with_a_record_may_be_shown() {
    let record = "{\"form\":1,\"dora\":\"0.7.0\",\"ledger\":{\"records\":{\"0000\u{7f}000\":0}}}";
    let reason = parsed(record.as_bytes()).expect_err("it is damaged");
    assert!(reason.starts_with("it is damaged ("), "{reason}");
    assert!(!reason.contains(char::is_control), "{reason:?}");
}
