//! Who is there: the generation and the version of a node, from the first frame of a connection.
//!
//! Invariant: versions that are not served are still understood, as far as the start of a first frame goes, so that a
//! node can be told in its own encoding what is wrong. Absent: all other requests.

use super::v0;
use super::words::{MAX_TEXT, Malformed, excerpt};
use crate::ids::{DataflowId, NodeId};
use semver::{Version, VersionReq};
use uuid::Uuid;

/// Which encoding a node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// bincode: dora 0.x.
    V0,
    /// postcard: dora 1.x.
    V1,
}

/// Which versions are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Versions {
    /// All that can be spoken: message formats 0.5 to 0.8 and 1.x.
    #[default]
    All,
    /// Message format 0.7 only.
    Strict,
}

/// A node that registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its encoding.
    pub generation: Generation,
    /// The dataflow that it says it belongs to.
    pub dataflow: DataflowId,
    /// Which node it says it is.
    pub node: NodeId,
    /// Its message format.
    pub version: Version,
    /// Its format of metadata; 0.x has none.
    pub metadata_version: Option<u16>,
}

/// What a first frame asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// To be registered.
    Register(Hello),
    /// A dynamic node wants its configuration.
    NodeConfig {
        /// Its encoding.
        generation: Generation,
        /// Which it says it is; any text.
        node: String,
    },
}

/// The place of `NodeConfig` in either generation's enum.
const NODE_CONFIG_V0: u32 = 10;
const NODE_CONFIG_V1: u8 = 8;
const REGISTER: u8 = 0;
/// Longest name or version in a first frame, in bytes.
const MAX_NAME: usize = 256;
/// What the metadata of 1.x must be.
const METADATA_V1: u16 = 2;

/// The generation of whoever sent a first frame: bincode writes an enum's place in four bytes.
pub fn generation(frame: &[u8]) -> Generation {
    match frame.get(1..4) {
        Some([0, 0, 0]) => Generation::V0,
        _ => Generation::V1,
    }
}

/// Reads a first frame, also of versions that are not served.
///
/// # Errors
/// It is none.
pub fn first(frame: &[u8]) -> Result<First, Malformed> {
    match generation(frame) {
        Generation::V0 => first_v0(frame),
        Generation::V1 => first_v1(frame),
    }
}

fn first_v0(frame: &[u8]) -> Result<First, Malformed> {
    let mut reader = v0::Reader::new(frame);
    match reader.u32()? {
        place if place == u32::from(REGISTER) => {
            let dataflow = reader.uuid()?;
            let node = short(reader.text()?)?;
            let version = short(reader.text()?)?;
            hello(Generation::V0, dataflow, node, version, None)
        }
        NODE_CONFIG_V0 => Ok(First::NodeConfig {
            generation: Generation::V0,
            node: short(reader.text()?)?.to_owned(),
        }),
        other => Err(unregistered(other)),
    }
}

fn first_v1(frame: &[u8]) -> Result<First, Malformed> {
    let mut reader = Postcard(frame);
    match reader.byte()? {
        REGISTER => {
            let uuid = reader.bytes()?;
            let uuid = Uuid::from_slice(uuid).map_err(|_| Malformed::new("no id of a dataflow"))?;
            let node = short(reader.text()?)?;
            let version = short(reader.text()?)?;
            // Whoever speaks another format need not have these, and is refused by its version.
            let metadata = reader.number().ok().and_then(|it| u16::try_from(it).ok());
            hello(Generation::V1, uuid, node, version, metadata)
        }
        NODE_CONFIG_V1 => Ok(First::NodeConfig {
            generation: Generation::V1,
            node: short(reader.text()?)?.to_owned(),
        }),
        other => Err(unregistered(other.into())),
    }
}

fn unregistered(request: u32) -> Malformed {
    Malformed(format!(
        "the connection starts with request {request} instead of a registration"
    ))
}

fn short(text: &str) -> Result<&str, Malformed> {
    if text.len() > MAX_NAME {
        return Err(Malformed::new("a name longer than 256 bytes"));
    }
    Ok(text)
}

fn hello(
    generation: Generation,
    dataflow: Uuid,
    node: &str,
    version: &str,
    metadata_version: Option<u16>,
) -> Result<First, Malformed> {
    let node = node
        .parse()
        .map_err(|_| Malformed(format!("`{}` is no name of a node", excerpt(node))))?;
    let version = Version::parse(version)
        .map_err(|_| Malformed(format!("`{}` is no version", excerpt(version))))?;
    Ok(First::Register(Hello {
        generation,
        dataflow: DataflowId::from_uuid(dataflow),
        node,
        version,
        metadata_version,
    }))
}

/// Whether a version is served.
///
/// # Errors
/// It is not: the text that its node prints.
pub fn check(hello: &Hello, versions: Versions) -> Result<(), String> {
    let (served, expected) = match (versions, hello.generation) {
        (Versions::Strict, _) => (compatible(&hello.version, V0_7), V0_7),
        (Versions::All, Generation::V0) => {
            let served = hello.version.major == 0 && (5..=8).contains(&hello.version.minor);
            (served, V0_7)
        }
        (Versions::All, Generation::V1) => (compatible(&hello.version, V1_1), V1_1),
    };
    if !served {
        let version = &hello.version;
        return Err(format!(
            "version mismatch: message format v{version} is not compatible with expected message format v{expected}"
        ));
    }
    let spoken = hello.metadata_version.unwrap_or_default();
    if hello.generation == Generation::V1 && spoken != METADATA_V1 {
        return Err(format!(
            "message wire-format mismatch: node speaks metadata format v{spoken} but this daemon speaks \
             v{METADATA_V1}. The node and daemon were built from dora revisions with incompatible message formats; \
             rebuild both from the same revision."
        ));
    }
    Ok(())
}

const V0_7: Version = Version::new(0, 7, 0);
const V1_1: Version = Version::new(1, 1, 0);

/// Whether either could be a caret requirement that the other fits, as dora says it.
fn compatible(theirs: &Version, ours: Version) -> bool {
    let fits = |required: &Version, version: &Version| {
        VersionReq::parse(&required.to_string()).is_ok_and(|it| it.matches(version))
    };
    fits(&ours, theirs) || fits(theirs, &ours)
}

/// The body of the reply that refuses a node, in its own encoding; every version has read it so.
pub fn refusal(generation: Generation, text: &str) -> Vec<u8> {
    let text = &text[..text.floor_char_boundary(MAX_TEXT)];
    let mut out = Vec::with_capacity(16 + text.len());
    match generation {
        Generation::V0 => {
            out.extend_from_slice(&0_u32.to_le_bytes());
            out.extend_from_slice(&1_u32.to_le_bytes());
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        }
        Generation::V1 => {
            out.extend_from_slice(&[0, 1]);
            let mut length = text.len();
            while length >= 0x80 {
                out.push(length as u8 | 0x80);
                length >>= 7;
            }
            out.push(length as u8);
        }
    }
    out.extend_from_slice(text.as_bytes());
    out
}

/// As much of postcard as first frames need.
struct Postcard<'a>(&'a [u8]);

impl<'a> Postcard<'a> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self
            .0
            .split_first()
            .ok_or_else(|| Malformed::new("it ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::new("a number that does not end"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        let (bytes, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| self.0.split_at_checked(length))
            .ok_or_else(|| Malformed::new("it ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::new("text that is not UTF-8"))
    }
}
