//! Frames: there and back, cut short, changed at random.

use super::WireError;
use super::frame::*;
use crate::hosting::NodeFailure;
use crate::node::Stop;

fn failure() -> NodeFailure {
    NodeFailure {
        panicked: true,
        text: "größer".into(),
        causes: vec!["one".into(), String::new()],
        place: Some(("node.rs".into(), 7)),
        frames: vec!["   0: /lib/x.so+0x12".into()],
    }
}

fn create() -> Create {
    Create {
        node_id: "detector".into(),
        dataflow_id: "0192".into(),
        plugin: "/lib/x.so".into(),
        kind: "detector".into(),
        config: "{\"a\":1}".into(),
        inputs: vec!["image".into(), "tick".into()],
        outputs: vec!["boxes".into()],
        restart_count: 3,
        level: 4,
        window: 32,
        clock: [9; 16],
        page: u128::MAX,
    }
}

const GREETING: Greeting<'static> = Greeting {
    wire: 7,
    record: b"record",
};
const INLINE: Packet<'static> = Packet {
    port: 3,
    meta: b"meta",
    body: Body::Inline(b"a stream"),
};
const SHARED: Packet<'static> = Packet {
    port: u32::MAX,
    meta: b"",
    body: Body::Shared {
        segment: 1 << 40,
        offset: 1024,
        len: 40 << 20,
    },
};

const AROUND: Packet<'static> = Packet {
    port: 1,
    meta: b"meta",
    body: Body::Around {
        frame: [b"head", b"tail!"],
        segment: 2,
        offset: 64,
        len: 1 << 33,
    },
};

fn to_node() -> Vec<ToNode<'static>> {
    vec![
        ToNode::Greeting(GREETING),
        ToNode::Create(Box::new(create())),
        ToNode::Create(Box::default()),
        ToNode::Go,
        ToNode::Input(INLINE),
        ToNode::Input(SHARED),
        ToNode::Input(AROUND),
        ToNode::Closed(5),
        ToNode::Stop(Stop::Requested),
        ToNode::Stop(Stop::InputsClosed),
        ToNode::Level(2),
        ToNode::Wanted {
            output: 1,
            wanted: false,
        },
    ]
}

fn from_node() -> Vec<FromNode<'static>> {
    let ended = |how| {
        FromNode::Ended(Ended {
            how,
            inputs_closed: true,
        })
    };
    vec![
        FromNode::Hello(GREETING),
        FromNode::Created,
        FromNode::NotCreated(NodeFailure::new("no camera")),
        FromNode::Output(INLINE),
        FromNode::Output(SHARED),
        FromNode::Output(AROUND),
        FromNode::Ready(32),
        ended(How::Done),
        ended(How::Stopped),
        ended(How::Failed(failure())),
        FromNode::Log(Line {
            level: 3,
            target: "node",
            message: "hello",
            fields: "{}",
            spans: "a:b",
            file: "node.rs",
            line: 12,
        }),
        FromNode::Taken {
            input: 1,
            taken: 7,
            dropped: 2,
        },
        FromNode::Unread {
            output: 2,
            messages: u64::MAX,
        },
    ]
}

fn of_memory() -> [OfMemory; 4] {
    let segment = OfMemory::Segment {
        id: 1,
        len: 65536,
        name: 5,
    };
    let release = |spoilt| OfMemory::Release { id: 1, spoilt };
    [
        segment,
        release(false),
        release(true),
        OfMemory::Forget(u64::MAX),
    ]
}

fn bytes<'a>(frame: &impl Frame<'a>) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(&mut out).expect("it is short");
    out
}

/// The frame at the start of bytes, and whether all of it was there.
fn decode<'a, F: Frame<'a>>(bytes: &'a [u8]) -> Result<Option<F>, WireError> {
    let Some((length, kind)) = header(bytes)? else {
        return Ok(None);
    };
    let Some(fields) = bytes.get(HEADER..HEADER + length) else {
        return Ok(None);
    };
    F::decode(kind, fields).map(Some)
}

fn all() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = to_node().iter().map(bytes).collect();
    all.extend(from_node().iter().map(bytes));
    all.extend(of_memory().iter().map(bytes));
    all
}

#[test]
fn every_frame_comes_back_as_it_was() {
    for frame in to_node() {
        let bytes = bytes(&frame);
        assert_eq!(decode(&bytes).expect("valid"), Some(frame));
    }
    for frame in from_node() {
        let bytes = bytes(&frame);
        assert_eq!(decode(&bytes).expect("valid"), Some(frame));
    }
    for frame in of_memory() {
        assert_eq!(decode(&bytes(&frame)).expect("valid"), Some(frame));
    }
}

#[test]
fn the_bytes_are_those_that_are_described() {
    assert_eq!(bytes(&ToNode::Go), [0, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(
        bytes(&ToNode::Closed(258)),
        [4, 0, 0, 0, 5, 0, 0, 0, 2, 1, 0, 0]
    );
    let mut expected = vec![36, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0];
    expected.extend([0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend(b"a streammeta");
    assert_eq!(bytes(&ToNode::Input(INLINE)), expected);
    let mut expected = vec![61, 0, 0, 0, 36, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0];
    expected.extend([4, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
    expected.extend(b"headtail!meta");
    assert_eq!(bytes(&FromNode::Output(AROUND)), expected);
    let greeting = bytes(&ToNode::Greeting(GREETING));
    assert!(is_greeting(&greeting) && is_greeting(&greeting[..24]));
    assert!(!is_greeting(&greeting[..23]) && !is_greeting(b"hello\n"));
    assert!(!is_greeting(&bytes(&FromNode::Hello(GREETING))));
}

#[test]
fn a_frame_that_is_cut_short_or_too_long_is_none() {
    for whole in all() {
        for length in 0..whole.len() {
            let cut = &whole[..length];
            assert!(matches!(decode::<ToNode<'_>>(cut), Ok(None)), "{whole:?}");
            // The same fields in a frame that says it is shorter.
            if length >= HEADER {
                let kind = whole[4];
                let fields = &whole[HEADER..length];
                assert!(ToNode::decode(kind, fields).is_err(), "{kind} {length}");
                assert!(FromNode::decode(kind, fields).is_err(), "{kind} {length}");
                assert!(OfMemory::decode(kind, fields).is_err(), "{kind} {length}");
            }
        }
        let longer = [&whole[HEADER..], &[0]].concat();
        let kind = whole[4];
        assert!(ToNode::decode(kind, &longer).is_err(), "{kind}");
        assert!(FromNode::decode(kind, &longer).is_err(), "{kind}");
        assert!(OfMemory::decode(kind, &longer).is_err(), "{kind}");
    }
}

#[test]
fn headers_that_promise_too_much_are_refused() {
    let most = |kind: u8, length: usize| {
        let [a, b, c, d] = (length as u32).to_le_bytes();
        header(&[a, b, c, d, kind, 0, 0, 0]).is_ok()
    };
    assert!(most(3, MAX_FRAME) && !most(3, MAX_FRAME + 1));
    assert!(most(4, MAX_MESSAGE) && !most(4, MAX_MESSAGE + 1));
    assert!(most(36, MAX_MESSAGE) && !most(36, usize::MAX));
    assert!(header(&[0, 0, 0, 0, 3, 0, 1, 0]).is_err());
}

/// A generator, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn changed_bytes_are_a_frame_or_an_error() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let all = all();
    let often = if cfg!(miri) { 300 } else { 200_000 };
    for _ in 0..often {
        let mut bytes = all[numbers.next() as usize % all.len()].clone();
        for _ in 0..=numbers.next() % 4 {
            let at = numbers.next() as usize % bytes.len();
            bytes[at] = match numbers.next() % 3 {
                0 => 0xFF,
                1 => 0,
                _ => numbers.next() as u8,
            };
        }
        let fields = bytes.get(HEADER..).unwrap_or_default();
        for kind in [bytes[4], numbers.next() as u8 % 70] {
            let _ = ToNode::decode(kind, fields);
            let _ = FromNode::decode(kind, fields);
            let _ = OfMemory::decode(kind, fields);
        }
        let _ = decode::<ToNode<'_>>(&bytes);
    }
}
