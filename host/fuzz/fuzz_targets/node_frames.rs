//! The port for nodes of dora, with any bytes in pieces of any size: reading neither panics nor hangs, takes memory for
//! what has come only, and what is said of it fits on a line.
#![no_main]

use host::process::dora::frame::{Frames, MAX_FIRST, MAX_FRAME};
use host::process::dora::{read, sniff};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let mut frames = Frames::new(MAX_FIRST);
    let mut is_first = true;
    for piece in bytes.chunks(usize::from(*first) + 1) {
        let mut piece = piece;
        while !piece.is_empty() {
            let room = frames.room();
            let count = piece.len().min(room.len());
            room[..count].copy_from_slice(&piece[..count]);
            frames.filled(count);
            piece = &piece[count..];
        }
        loop {
            let said = match frames.cut() {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    let said = match is_first {
                        true => sniff::first(frame).err(),
                        false => read(frame).err(),
                    };
                    said.map(|error| error.to_string())
                }
                Err(error) => {
                    let said = error.to_string();
                    assert!(!said.contains(char::is_control) && said.len() < 4096);
                    return;
                }
            };
            if let Some(said) = said {
                assert!(!said.contains(char::is_control) && said.len() < 16 * 1024);
            }
            is_first = false;
            frames.accept(MAX_FRAME);
        }
    }
});
