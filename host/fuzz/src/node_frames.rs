//! The port for nodes of dora, with any bytes in pieces of any size: reading takes memory for what has come only, and what
//! is said of it is a line.

use host::process::dora::frame::{Frames, MAX_FIRST, MAX_FRAME};
use host::process::dora::{read, sniff};

/// The first byte is the length of the pieces.
pub(crate) fn target(bytes: &[u8]) -> bool {
    let Some((length, bytes)) = bytes.split_first() else {
        return false;
    };
    let mut frames = Frames::new(MAX_FIRST);
    let (mut is_first, mut taken) = (true, false);
    for mut piece in bytes.chunks(usize::from(*length) + 1) {
        while !piece.is_empty() {
            let room = frames.room();
            let count = piece.len().min(room.len());
            room[..count].copy_from_slice(&piece[..count]);
            frames.filled(count);
            piece = &piece[count..];
        }
        loop {
            let refused = match frames.cut() {
                Ok(None) => break,
                Ok(Some(frame)) if is_first => sniff::first(frame).err(),
                Ok(Some(frame)) => read(sniff::generation(frame), frame).err(),
                Err(error) => {
                    crate::assert_line(&error.to_string());
                    return taken;
                }
            };
            match refused {
                Some(error) => crate::assert_line(&error.to_string()),
                None => taken = true,
            }
            is_first = false;
            frames.accept(MAX_FRAME);
        }
    }
    taken
}
