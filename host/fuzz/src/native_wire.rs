//! Our own wire, either end, with a peer that writes any bytes and any memory, and changes the memory at any time: a frame
//! or an error, and a message that was taken stays valid.

use crate::codec::assert_whole;
use crate::steps::{Step, steps};
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;
use plugin_abi::wire::WireError;
use plugin_abi::wire::channel::{Channel, Incoming, Raw, Side};
use plugin_abi::wire::frame::{Control, FromNode, HEADER, Packet, ToNode};
use plugin_abi::wire::memory::Pool;
use plugin_abi::wire::page::Page;
use plugin_abi::wire::sys::{Handles, Mapping, Object, Stream, Wait};
use std::sync::{Arc, LazyLock};

/// The kinds of frames that announce a segment and that carry messages, as the wire's description has them.
const SEGMENT: u8 = 65;
/// Most messages and pages that are kept.
const KEPT: usize = 16;
/// Largest object that is made.
const LARGEST: usize = 64 * 1024;

/// Long enough for shared memory.
static LONG: LazyLock<Message> = LazyLock::new(|| {
    let text = "x".repeat(40_000);
    Message::from_text(Timestamp::default(), &text, &[]).expect("a message")
});

/// The peer's end, and what this end has of it.
struct Peer {
    stream: Stream,
    channel: Arc<Channel>,
    incoming: Incoming,
    objects: Vec<Mapping>,
    messages: Vec<Message>,
    pages: Vec<Page>,
}

/// The first byte: bit 0 which side this is, bit 1 whether it has lent memory before. Steps: see [`Peer::step`].
pub(crate) fn target(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else {
        return false;
    };
    let side = match first & 1 {
        0 => Side::Daemon,
        _ => Side::Node,
    };
    let (here, stream) = Stream::local_pair().expect("a connection");
    let (channel, incoming) = Channel::new(here, side, Pool::default());
    if first & 2 > 0 {
        channel.put_message(0, &LONG, &|| true).expect("room");
        channel.flush(&|| true).expect("room");
    }
    let mut peer = Peer {
        stream,
        channel,
        incoming,
        objects: Vec::new(),
        messages: Vec::new(),
        pages: Vec::new(),
    };
    for step in steps(rest) {
        if peer.step(&step).is_err() {
            break;
        }
    }
    // What was taken outlives the connection.
    drop(peer.incoming);
    peer.messages.iter().for_each(assert_whole);
    !peer.messages.is_empty()
}

impl Peer {
    /// 0 to 2: these bytes. 3 and 4: a frame of the kind that the first says, with the others as its fields. 5: memory of
    /// these bytes, announced under the first as its id. 6: a frame as in 3, with memory of a page's length
    /// beside it. 7: memory that was made before is changed.
    fn step(&mut self, step: &Step<'_>) -> Result<(), WireError> {
        match step.what & 7 {
            0..=2 => self.write(step.with, None),
            3 | 4 => {
                if let Some((kind, fields)) = step.with.split_first() {
                    self.write(&frame(*kind, fields), None);
                }
            }
            5 => {
                let (object, len) = self.object(step.with);
                let id = step.with.first().copied().unwrap_or_default();
                let mut fields = u64::from(id).to_le_bytes().to_vec();
                fields.extend((len as u64).to_le_bytes());
                fields.extend(object.name().to_le_bytes());
                self.write(&frame(SEGMENT, &fields), Some(&object));
            }
            6 => {
                if let Some((kind, fields)) = step.with.split_first() {
                    let (object, _) = self.object(&[0; 64]);
                    self.write(&frame(*kind, fields), Some(&object));
                }
            }
            _ => self.change(step.with),
        }
        self.read()
    }

    fn write(&self, bytes: &[u8], object: Option<&Object>) {
        // What does not fit at once is lost, and what follows torn: that is input, too.
        let _ = self.stream.write(bytes, object, Wait::Not);
    }

    fn object(&mut self, bytes: &[u8]) -> (Object, usize) {
        let len = bytes.len().clamp(1, LARGEST);
        let (object, mapping) = Object::new(len, true).expect("memory");
        let count = bytes.len().min(mapping.size());
        // SAFETY: within the mapping, which nobody else knows yet.
        unsafe {
            mapping
                .as_ptr()
                .copy_from_nonoverlapping(bytes.as_ptr(), count);
        }
        self.objects.push(mapping);
        (object, len)
    }

    /// The first byte says which memory; the others are laid over it again and again.
    fn change(&mut self, with: &[u8]) {
        let Some((which, with)) = with.split_first() else {
            return;
        };
        let count = self.objects.len().max(1);
        let Some(object) = self.objects.get(usize::from(*which) % count) else {
            return;
        };
        let pattern = if with.is_empty() { &[0xFF] } else { with };
        for (at, byte) in (0..object.size()).zip(pattern.iter().cycle()) {
            // SAFETY: within the mapping; that others read it at the same time is what is tried here, and all is on one
            // thread.
            unsafe { object.as_ptr().add(at).write_volatile(*byte) };
        }
        self.messages.iter().for_each(assert_whole);
        for page in &self.pages {
            // Whatever stands there now.
            let _ = (page.within(), page.begun(), page.waits());
        }
    }

    fn read(&mut self) -> Result<(), WireError> {
        loop {
            let Some(raw) = self.incoming.next(Wait::Not)? else {
                return self.drain();
            };
            if let Some(message) = meant(&raw, &self.channel)? {
                assert_whole(&message);
                if self.messages.len() == KEPT {
                    self.messages.remove(0);
                }
                self.messages.push(message);
            }
            let create = match raw.decode() {
                Ok(ToNode::Create(create)) => create,
                _ => continue,
            };
            if let Ok(page) = self.incoming.page(create.page)
                && self.pages.len() < KEPT
            {
                self.pages.push(page);
            }
        }
    }

    /// Takes what this end has written, as a peer does that lives.
    fn drain(&mut self) -> Result<(), WireError> {
        let (mut room, mut handles) = ([0; 4096], Handles::default());
        while self
            .stream
            .read(&mut room, &mut handles, Wait::Not)
            .is_ok_and(|read| read > 0)
        {
            handles = Handles::default();
        }
        Ok(())
    }
}

fn frame(kind: u8, fields: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + fields.len());
    out.extend((fields.len() as u32).to_le_bytes());
    out.extend([kind, 0, 0, 0]);
    out.extend(fields);
    out
}

/// What a frame means to whoever may get it, and the message in it.
fn meant(raw: &Raw<'_>, channel: &Arc<Channel>) -> Result<Option<Message>, WireError> {
    if let Ok(Control::Order { .. }) = raw.decode() {
        return Ok(None);
    }
    let (to, from) = (raw.decode::<ToNode<'_>>(), raw.decode::<FromNode<'_>>());
    let packet: Packet<'_> = match (to, from) {
        (Ok(ToNode::Input(packet)), _) | (_, Ok(FromNode::Output(packet))) => packet,
        (Err(WireError::Malformed(_)), Err(error @ WireError::Malformed(_))) => return Err(error),
        _ => return Ok(None),
    };
    channel.message(&packet).map(Some)
}
