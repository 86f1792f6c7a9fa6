//! Messages from bytes: what is taken is valid Arrow and comes back equal when it is sent on.

use arrow_array::Array;
use bytes::Bytes;
use host::codec::{Origin, decode, encode};
use plugin_abi::message::Message;

/// The first byte: bit 0 whose memory it is, the rest how far the data lie from where they should. Then the length of the
/// metadata as `u16`, the metadata, the data.
pub(crate) fn target(bytes: &[u8]) -> bool {
    let [first, low, high, rest @ ..] = bytes else {
        return false;
    };
    let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (meta, body) = rest.split_at(length);
    let origin = match first & 1 {
        0 => Origin::Own,
        _ => Origin::Shared,
    };
    let Ok(message) = decode(shifted(body, usize::from(first >> 4)), meta, origin) else {
        return false;
    };
    assert_whole(&message);
    assert_comes_back(&message);
    true
}

/// Bytes that start so many behind a multiple of 64.
fn shifted(bytes: &[u8], by: usize) -> Bytes {
    let mut room = vec![0; bytes.len() + 64 + by];
    let start = room.as_ptr().align_offset(64) + by;
    room.truncate(start + bytes.len());
    room[start..].copy_from_slice(bytes);
    Bytes::from(room).slice(start..)
}

/// What a reader can do with a message, it can do with this one.
pub(crate) fn assert_whole(message: &Message) {
    let data = message.array().expect("an array").to_data();
    data.validate_full().expect("only valid data pass");
    message.field().expect("a type");
    message.parameters().expect("parameters");
    // Each gives the value, or says that it is of another type.
    let _ = (message.text(), message.bytes(), message.plain());
    let _ = (message.value::<u64>(), message.values::<f32>());
    assert!(!message.data_type().is_empty());
}

fn assert_comes_back(message: &Message) {
    let Ok(encoded) = encode(message) else {
        // Not all that can be read is written.
        return;
    };
    let again = decode(encoded.to_vec().into(), encoded.meta(), Origin::Own);
    let again = again.expect("what was written is read");
    assert_eq!(again.field(), message.field());
    assert_eq!(again.timestamp(), message.timestamp());
    assert_eq!(again.parameter_bytes(), message.parameter_bytes());
    let (here, there) = (message.array(), again.array());
    let (here, there) = (here.expect("an array"), there.expect("an array"));
    assert_eq!(here.to_data(), there.to_data());
}
