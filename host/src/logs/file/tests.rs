use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn small(files: u32) -> Rotation {
    Rotation {
        max_bytes: 10,
        files,
    }
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[test]
fn a_file_is_made_with_its_first_line() {
    let folder = folder();
    let path = folder.path().join("a/b/log_x.txt");
    let now = Instant::now();
    let mut file = LogFile::new(path.clone(), Rotation::default());
    file.flush(now).unwrap();
    assert_eq!(text(&path), None);
    file.append(b"one\n", now).unwrap();
    assert!(file.is_dirty());
    assert_eq!(text(&path).as_deref(), Some(""), "batched");
    file.close(now).unwrap();
    assert!(!file.is_open());
    file.append(b"two\n", now).unwrap();
    file.flush(now).unwrap();
    assert_eq!(text(&path).as_deref(), Some("one\ntwo\n"));
    assert_eq!(file.lost(), 0);
}

#[test]
fn large_batches_are_written_at_once() {
    let folder = folder();
    let path = folder.path().join("log_x.txt");
    let line = vec![b'x'; BATCH_BYTES];
    let mut file = LogFile::new(path.clone(), Rotation::default());
    file.append(&line, Instant::now()).unwrap();
    assert_eq!(text(&path).unwrap().len(), BATCH_BYTES);
}

#[test]
fn files_are_rotated_by_size() {
    let table = [
        (
            3,
            [
                Some("4444444444444\n"),
                Some("333\n"),
                Some("222\n222\n"),
                None,
            ],
        ),
        (2, [Some("4444444444444\n"), Some("333\n"), None, None]),
        (1, [Some("4444444444444\n"), None, None, None]),
        (0, [Some("4444444444444\n"), None, None, None]),
    ];
    for (files, expected) in table {
        let folder = folder();
        let path = folder.path().join("log_x.txt");
        let now = Instant::now();
        let mut file = LogFile::new(path.clone(), small(files));
        let lines = [
            "111\n",
            "111\n",
            "222\n",
            "222\n",
            "333\n",
            "4444444444444\n",
        ];
        for line in lines {
            file.append(line.as_bytes(), now).unwrap();
        }
        file.flush(now).unwrap();
        let found = [
            text(&path),
            text(&rotated(&path, 1)),
            text(&rotated(&path, 2)),
            text(&rotated(&path, 3)),
        ];
        assert_eq!(
            found.each_ref().map(Option::as_deref),
            expected,
            "{files} files"
        );
        assert_eq!(file.lost(), 0);
    }
}

#[test]
fn a_torn_end_is_ended_first() {
    let folder = folder();
    let path = folder.path().join("log_x.txt");
    fs::write(&path, "torn").unwrap();
    let now = Instant::now();
    let mut file = LogFile::new(path.clone(), Rotation::default());
    file.append(b"whole\n", now).unwrap();
    file.flush(now).unwrap();
    assert_eq!(text(&path).as_deref(), Some("torn\nwhole\n"));
}

#[test]
fn lines_are_counted_while_the_file_cannot_be_made() {
    let folder = folder();
    let path = folder.path().join("log_x.txt");
    fs::create_dir(&path).unwrap();
    let start = Instant::now();
    let mut file = LogFile::new(path.clone(), Rotation::default());
    file.append(b"1\n", start).unwrap_err();
    file.append(b"2\n", start).unwrap();
    assert_eq!(file.lost(), 2);
    let soon = start + RETRY_AFTER / 2;
    fs::remove_dir(&path).unwrap();
    file.append(b"3\n", soon).unwrap();
    assert_eq!(file.lost(), 3, "not tried again at once");
    let later = start + RETRY_AFTER;
    file.append(b"4\n", later).unwrap();
    file.flush(later).unwrap();
    assert_eq!(text(&path).as_deref(), Some("4\n"));
    assert_eq!(file.lost(), 3);
}

#[test]
fn a_file_that_cannot_be_moved_grows_on() {
    let folder = folder();
    let path = folder.path().join("log_x.txt");
    let blocked = rotated(&path, 1);
    fs::create_dir_all(blocked.join("full")).unwrap();
    let start = Instant::now();
    let mut file = LogFile::new(path.clone(), small(2));
    file.append(b"1234567\n", start).unwrap();
    file.append(b"2\n", start).unwrap();
    file.append(b"3\n", start).unwrap_err();
    file.append(b"4\n", start).unwrap();
    file.flush(start).unwrap();
    assert_eq!(text(&path).as_deref(), Some("1234567\n2\n3\n4\n"));
    fs::remove_dir_all(&blocked).unwrap();
    let later = start + RETRY_AFTER;
    file.append(b"5\n", later).unwrap();
    file.flush(later).unwrap();
    assert_eq!(text(&path).as_deref(), Some("5\n"));
    assert_eq!(file.lost(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let folder = folder();
    let path = folder.path().join("log_x.txt");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let start = Instant::now();
    let mut file = LogFile::new(path.clone(), Rotation::default());
    file.append(b"1\n", start).unwrap();
    file.append(b"2\n", start).unwrap();
    let error = file.flush(start).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    file.append(b"3\n", start).unwrap();
    assert_eq!(file.lost(), 3);
    fs::remove_file(&path).unwrap();
    let later = start + RETRY_AFTER;
    file.append(b"4\n", later).unwrap();
    file.close(later).unwrap();
    assert_eq!(text(&path).as_deref(), Some("4\n"));
}
