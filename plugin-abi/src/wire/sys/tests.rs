//! Connections and shared memory, both ends in one process.

use super::{Handles, Object, Stream, Wait};
use std::io::ErrorKind;

fn pair() -> (Stream, Stream) {
    Stream::local_pair().expect("a connection")
}

fn written(mapping: &super::Mapping, at: usize) -> u8 {
    assert!(at < mapping.size());
    // SAFETY: within the mapping.
    unsafe { mapping.as_ptr().add(at).read_volatile() }
}

fn write(mapping: &super::Mapping, at: usize, value: u8) {
    assert!(at < mapping.size());
    // SAFETY: within the mapping.
    unsafe { mapping.as_ptr().add(at).write_volatile(value) }
}

/// Sends an object along with one byte, and maps it at the other end.
fn through(object: &Object, len: usize, writable: bool) -> std::io::Result<super::Mapping> {
    let (here, there) = pair();
    let mut handles = Handles::default();
    assert_eq!(here.write(b"x", Some(object), Wait::Long).expect("room"), 1);
    let mut room = [0; 8];
    let read = there.read(&mut room, &mut handles, Wait::Long);
    assert_eq!(read.expect("a byte"), 1);
    handles
        .map(object.name(), len, writable)
        .map(|(_, mapping)| mapping)
}

#[test]
fn bytes_pass_and_waiting_ends() {
    let (here, there) = pair();
    let mut handles = Handles::default();
    let mut room = [0; 8];
    for wait in [Wait::Not, Wait::AWhile] {
        let error = there
            .read(&mut room, &mut handles, wait)
            .expect_err("nothing yet");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    here.write(b"hello", None, Wait::Long).expect("room");
    let read = there.read(&mut room, &mut handles, Wait::Long);
    assert_eq!(&room[..read.expect("bytes")], b"hello");
    let full = loop {
        match here.write(&[0; 4096], None, Wait::Not) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
}

/// Reads, and waits before it in one of both ways.
fn read(stream: &Stream, undisturbed: bool, room: &mut [u8]) -> usize {
    if undisturbed {
        stream.wait_undisturbed().expect("a connection");
    }
    let read = stream.read(room, &mut Handles::default(), Wait::Long);
    read.expect("bytes, or the end")
}

#[test]
fn a_thread_that_reads_is_interrupted_and_may_still_write() {
    for undisturbed in [false, true] {
        let (here, there) = pair();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| read(&here, undisturbed, &mut [0; 8]));
            here.interrupt();
            assert_eq!(reader.join().expect("no panic"), 0);
        });
        here.write(b"x", None, Wait::Long).expect("room");
        assert_eq!(read(&there, undisturbed, &mut [0; 8]), 1);
    }
}

#[test]
fn a_thread_that_waits_sees_the_end_of_the_other() {
    for undisturbed in [false, true] {
        for closes in [false, true] {
            let (here, there) = pair();
            let reader = std::thread::spawn(move || read(&here, undisturbed, &mut [0; 8]));
            if closes {
                there.close();
            }
            drop(there);
            assert_eq!(reader.join().expect("no panic"), 0);
        }
    }
}

#[test]
fn what_comes_before_an_interruption_is_read() {
    for number in 0..200 {
        let undisturbed = number % 2 == 0;
        let (here, there) = pair();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                there.write(b"x", None, Wait::Long).expect("room");
                here.interrupt();
            });
            assert_eq!(read(&here, undisturbed, &mut [0; 8]), 1);
            assert_eq!(read(&here, undisturbed, &mut [0; 8]), 0);
        });
    }
}

#[test]
fn the_end_is_seen_after_what_was_written() {
    let (here, there) = pair();
    here.write(b"last", None, Wait::Long).expect("room");
    drop(here);
    let (mut room, mut handles) = ([0; 8], Handles::default());
    assert_eq!(
        there
            .read(&mut room, &mut handles, Wait::Long)
            .expect("bytes"),
        4
    );
    assert_eq!(
        there
            .read(&mut room, &mut handles, Wait::Long)
            .expect("the end"),
        0
    );
    let error = there
        .write(b"x", None, Wait::Long)
        .expect_err("nobody reads");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn both_ends_see_one_memory_also_after_one_has_let_go() {
    let (object, here) = Object::new(1 << 20, false).expect("memory");
    write(&here, 70_000, 5);
    let there = through(&object, 1 << 20, false).expect("memory");
    assert_eq!(written(&there, 70_000), 5);
    write(&here, 70_000, 6);
    assert_eq!(written(&there, 70_000), 6);
    drop((object, here));
    assert_eq!(written(&there, 70_000), 6);
}

#[test]
fn memory_is_found_as_long_as_its_maker_has_it_mapped() {
    let (object, ours) = Object::new(4096, true).expect("memory");
    let (here, there) = pair();
    let name = object.name();
    let sent = here.write(b"x", Some(&object), Wait::Long);
    assert_eq!(sent.expect("room"), 1);
    drop(object);
    let mut handles = Handles::default();
    let read = there.read(&mut [0; 8], &mut handles, Wait::Long);
    assert_eq!(read.expect("a byte"), 1);
    let (theirs, mapped) = handles.map(name, 4096, true).expect("mapped");
    write(&ours, 7, 42);
    assert_eq!(written(&mapped, 7), 42);
    // And can be given on, although its maker has let go of it.
    drop(ours);
    let third = through(&theirs, 4096, false).expect("mapped");
    assert_eq!(written(&third, 7), 42);
}

#[test]
fn memory_for_both_is_written_by_both() {
    let (object, here) = Object::new(64, true).expect("memory");
    let there = through(&object, 64, true).expect("memory");
    write(&there, 3, 9);
    assert_eq!(written(&here, 3), 9);
}

#[test]
fn an_object_that_never_came_is_not_mapped() {
    assert!(Handles::default().map(77, 64, false).is_err());
}

/// What a process that means ill might send.
#[cfg(target_os = "linux")]
mod hostile {
    use super::*;
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    use std::fs::File;
    use std::os::fd::OwnedFd;

    fn refused(object: OwnedFd, len: usize) -> String {
        let object = Object::from(object);
        through(&object, len, false)
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn memory_that_could_be_cut_off_is_refused() {
        let open = memfd_create("test", MemfdFlags::ALLOW_SEALING).expect("memory");
        ftruncate(&open, 4096).expect("a length");
        assert_eq!(refused(open, 4096), "it could be cut off while it is read");
        let file: OwnedFd = File::open("/proc/self/exe").expect("this program").into();
        let error = refused(file, 4096);
        assert!(error.contains("Invalid argument"), "{error}");
    }

    #[test]
    fn memory_that_is_shorter_than_it_says_is_refused() {
        let short = memfd_create("test", MemfdFlags::ALLOW_SEALING).expect("memory");
        ftruncate(&short, 100).expect("a length");
        fcntl_add_seals(&short, SealFlags::SHRINK).expect("a seal");
        assert_eq!(refused(short, 4096), "it has 100 bytes, not 4096");
    }

    #[test]
    fn a_reader_cannot_write_what_is_not_its() {
        let (object, _here) = Object::new(4096, false).expect("memory");
        assert!(object.is_for_reading());
        assert!(!Object::new(4096, true).expect("memory").0.is_for_reading());
        let error = through(&object, 4096, true)
            .expect_err("sealed")
            .to_string();
        assert!(error.contains("not permitted"), "{error}");
    }

    #[test]
    fn its_length_stays() {
        let (object, _here) = Object::new(4096, true).expect("memory");
        assert!(ftruncate(&object.0, 1).is_err());
        assert!(ftruncate(&object.0, 8192).is_err());
    }

    #[test]
    fn more_descriptors_than_frames_end_the_connection() {
        let (object, _here) = Object::new(4096, false).expect("memory");
        let (here, there) = pair();
        let mut handles = Handles::default();
        let error = (0..100).find_map(|_| {
            here.write(b"x", Some(&object), Wait::Long).expect("room");
            there.read(&mut [0; 8], &mut handles, Wait::Long).err()
        });
        let error = error.expect("too many").to_string();
        assert_eq!(error, "more descriptors than frames name");
    }
}
