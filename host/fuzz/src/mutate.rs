//! Bytes changed at random, the same each time: what a fuzzer does, without its instruments.

/// A xorshift generator.
pub struct Random(u64);

impl Random {
    /// The seed is not 0.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Numbers at which something usually ends.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    1 << 40,
    u64::MAX >> 1,
    1 << 63,
    u64::MAX,
];

/// Changes the bytes in one to eight places; what is put in comes from `others`, at least in part.
pub fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], most: usize, random: &mut Random) {
    for _ in 0..=random.below(8) {
        change(bytes, others, random);
    }
    bytes.truncate(most);
}

fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let edge = EDGES[random.below(EDGES.len())];
    match random.below(10) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.next() as u8),
        2 => over(bytes, at, &edge.to_le_bytes()[..1 << random.below(4)]),
        3 => over(bytes, at, &edge.to_be_bytes()[..1 << random.below(4)]),
        4 => {
            // Numbers in texts.
            let text = edge.to_string();
            bytes.splice(at..at, text.bytes());
        }
        5 => {
            let length = random.below(64).min(bytes.len() - at);
            bytes.drain(at..at + length);
        }
        6 => {
            let length = random.below(64).min(bytes.len() - at);
            let again = bytes[at..at + length].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, again);
        }
        7 if !others.is_empty() => {
            let other = &others[random.below(others.len())];
            let from = random.below(other.len() + 1);
            let length = random.below(256).min(other.len() - from);
            bytes.splice(at..at, other[from..from + length].iter().copied());
        }
        8 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        _ if at < bytes.len() => bytes[at] = random.next() as u8,
        _ => {}
    }
}

fn over(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(with) {
        *place = *byte;
    }
}
