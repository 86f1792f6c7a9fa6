//! Metadata of a message as bytes: a timestamp and named parameters.
//!
//! Form, all integers little-endian: `u64` time, 16 bytes clock id, then parameters until the end, each
//! `u8` tag, `u16` length of the key, the key, the value. Values by tag: 1 bool `u8`; 2 integer `i64`; 3 float
//! `f64`; 4 text `u32` length and UTF-8; 5, 6, 7 lists of integers, floats, texts: `u32` count and the items.
//! Invariant: decoding any bytes ends, in memory proportional to their number, with a value or an error.
//! Absent: the clock. The host stamps a message when it is sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of the timestamp at the start of every message's metadata.
pub const HEADER: usize = 24;

/// When a message was sent: a hybrid logical clock's time and the clock's id, as in dora.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// NTP64: seconds since the Unix epoch in the upper 32 bits, their fraction in the lower.
    pub time: u64,
    /// Which process's clock it was.
    pub clock: [u8; 16],
}

impl Timestamp {
    /// The stamp of a clock at a system time; times before the epoch become the epoch.
    pub fn new(time: SystemTime, clock: [u8; 16]) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        Self {
            time: (since.as_secs() << 32) | fraction,
            clock,
        }
    }

    /// The system time, to the nanosecond or so.
    pub fn system_time(self) -> SystemTime {
        let nanos = ((self.time & 0xFFFF_FFFF) * 1_000_000_000) >> 32;
        UNIX_EPOCH + Duration::new(self.time >> 32, nanos as u32)
    }

    /// Nanoseconds since the Unix epoch.
    pub fn unix_nanos(self) -> u64 {
        let since = self.system_time().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
    }

    /// The time from an earlier stamp to this one; zero when it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.system_time()
            .duration_since(earlier.system_time())
            .unwrap_or_default()
    }

    /// The stamp as the first [`HEADER`] bytes of metadata.
    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&self.time.to_le_bytes());
        out[8..].copy_from_slice(&self.clock);
        out
    }

    /// Reads the stamp back; metadata that are too short have the default stamp.
    pub fn from_bytes(meta: &[u8]) -> Self {
        let (Some(time), Some(clock)) = (meta.first_chunk(), meta.get(8..HEADER)) else {
            return Self::default();
        };
        let mut id = [0; 16];
        id.copy_from_slice(clock);
        Self {
            time: u64::from_le_bytes(*time),
            clock: id,
        }
    }
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(String),
    /// Whole numbers.
    Integers(Vec<i64>),
    /// Floating-point numbers.
    Floats(Vec<f64>),
    /// Texts.
    Texts(Vec<String>),
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
value_from!(bool => Bool, i64 => Integer, i32 => Integer, u32 => Integer, f64 => Float, f32 => Float, &str => Text,
    String => Text, Vec<i64> => Integers, Vec<f64> => Floats, Vec<String> => Texts);

/// Named parameters of a message, in the order in which they were set. A W3C trace context is the parameter
/// `traceparent`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters(Vec<(String, Value)>);

impl Parameters {
    /// No parameters.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets a parameter, replacing an earlier value, and hands the whole back: for building in one expression.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Sets a parameter, replacing an earlier value. Keys are cut at 65,535 bytes.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let key = &key[..key.floor_char_boundary(usize::from(u16::MAX))];
        let value = value.into();
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// The value of a parameter.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// A parameter that is a whole number.
    pub fn integer(&self, key: &str) -> Option<i64> {
        match self.get(key) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// A parameter that is a number, whole or not.
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.get(key) {
            Some(Value::Float(value)) => Some(*value),
            Some(Value::Integer(value)) => Some(*value as f64),
            _ => None,
        }
    }

    /// A parameter that is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// A parameter that is true or false.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Value::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    /// All parameters, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters as bytes, without the timestamp.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in &self.0 {
            out.push(value.tag());
            out.extend_from_slice(&(key.len() as u16).to_le_bytes());
            out.extend_from_slice(key.as_bytes());
            value.encode(&mut out);
        }
        out
    }

    /// Reads parameters back from bytes without the timestamp.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader(bytes);
        let mut out = Self::new();
        while !reader.0.is_empty() {
            let tag = reader.array::<1>()?[0];
            let length = u16::from_le_bytes(reader.array()?);
            let key = reader.text(usize::from(length))?;
            out.0.push((key, Value::decode(tag, &mut reader)?));
        }
        Ok(out)
    }
}

/// Why bytes are no metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaError {
    /// They end within a parameter.
    Short,
    /// A key or a text is not UTF-8.
    NotUtf8,
    /// A tag that does not exist.
    UnknownTag(u8),
}

impl std::fmt::Display for MetaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Short => f.write_str("metadata end within a parameter"),
            Self::NotUtf8 => f.write_str("metadata hold text that is not UTF-8"),
            Self::UnknownTag(tag) => write!(f, "metadata hold a value of the unknown kind {tag}"),
        }
    }
}

impl std::error::Error for MetaError {}

impl Value {
    fn tag(&self) -> u8 {
        match self {
            Self::Bool(_) => 1,
            Self::Integer(_) => 2,
            Self::Float(_) => 3,
            Self::Text(_) => 4,
            Self::Integers(_) => 5,
            Self::Floats(_) => 6,
            Self::Texts(_) => 7,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Integer(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Float(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Text(value) => encode_text(value, out),
            Self::Integers(list) => encode_list(list, out, |value, out| {
                out.extend_from_slice(&value.to_le_bytes())
            }),
            Self::Floats(list) => encode_list(list, out, |value, out| {
                out.extend_from_slice(&value.to_le_bytes())
            }),
            Self::Texts(list) => encode_list(list, out, |value, out| encode_text(value, out)),
        }
    }

    fn decode(tag: u8, reader: &mut Reader<'_>) -> Result<Self, MetaError> {
        Ok(match tag {
            1 => Self::Bool(reader.array::<1>()?[0] != 0),
            2 => Self::Integer(i64::from_le_bytes(reader.array()?)),
            3 => Self::Float(f64::from_le_bytes(reader.array()?)),
            4 => Self::Text(reader.long_text()?),
            5 => Self::Integers(reader.list(8, |reader| Ok(i64::from_le_bytes(reader.array()?)))?),
            6 => Self::Floats(reader.list(8, |reader| Ok(f64::from_le_bytes(reader.array()?)))?),
            7 => Self::Texts(reader.list(4, Reader::long_text)?),
            other => return Err(MetaError::UnknownTag(other)),
        })
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn encode_list<T>(list: &[T], out: &mut Vec<u8>, item: impl Fn(&T, &mut Vec<u8>)) {
    out.extend_from_slice(&(list.len() as u32).to_le_bytes());
    for value in list {
        item(value, out);
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], MetaError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(MetaError::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    fn text(&mut self, length: usize) -> Result<String, MetaError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(MetaError::Short)?;
        self.0 = rest;
        std::str::from_utf8(head)
            .map(str::to_owned)
            .map_err(|_| MetaError::NotUtf8)
    }

    fn long_text(&mut self) -> Result<String, MetaError> {
        let length = u32::from_le_bytes(self.array()?);
        self.text(length as usize)
    }

    /// A list whose items take at least `least` bytes each, so that a lying count reserves nothing.
    fn list<T>(
        &mut self,
        least: usize,
        item: impl Fn(&mut Self) -> Result<T, MetaError>,
    ) -> Result<Vec<T>, MetaError> {
        let count = u32::from_le_bytes(self.array()?) as usize;
        if count > self.0.len() / least {
            return Err(MetaError::Short);
        }
        (0..count).map(|_| item(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Parameters {
        Parameters::new()
            .with("flag", true)
            .with("count", -5_i64)
            .with("ratio", 0.25)
            .with("name", "ä")
            .with("counts", vec![1_i64, 2])
            .with("ratios", vec![0.5_f64])
            .with("names", vec!["a".to_owned(), String::new()])
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        assert_eq!(Parameters::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn values_are_asked_for_by_their_kind() {
        let parameters = sample();
        assert_eq!(
            (parameters.flag("flag"), parameters.integer("count")),
            (Some(true), Some(-5))
        );
        assert_eq!(
            (parameters.float("ratio"), parameters.float("count")),
            (Some(0.25), Some(-5.0))
        );
        assert_eq!(
            (parameters.text("name"), parameters.text("count")),
            (Some("ä"), None)
        );
    }

    #[test]
    fn cut_anywhere_they_never_panic_and_never_grow() {
        let bytes = sample().encode();
        for end in 0..bytes.len() {
            if let Ok(cut) = Parameters::decode(&bytes[..end]) {
                assert!(cut.iter().count() < sample().iter().count());
            }
        }
        assert_eq!(
            Parameters::decode(&[5, 0, 0, 255, 255, 255, 255]),
            Err(MetaError::Short)
        );
        assert_eq!(
            Parameters::decode(&[9, 0, 0]),
            Err(MetaError::UnknownTag(9))
        );
    }

    #[test]
    fn a_timestamp_comes_back_to_the_nanosecond() {
        let time = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        let stamp = Timestamp::new(time, [7; 16]);
        assert_eq!(Timestamp::from_bytes(&stamp.to_bytes()), stamp);
        let back = stamp.system_time();
        assert!(
            time.duration_since(back).unwrap_or_default() <= Duration::from_nanos(1),
            "{back:?}"
        );
    }
}
