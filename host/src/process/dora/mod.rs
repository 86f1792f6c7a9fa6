//! Unmodified dora nodes, 0.3.12 to 1.1, on one loopback port.
//!
//! From the pure to the worldly: [`frame`] cuts bytes into frames, [`sniff`] tells the generation and the version from
//! the first one, `v0` and `v1` translate between each generation's types and the one vocabulary of [`words`],
//! [`session`] decides for one node with its several connections, [`server`] listens and carries. [`launch`] writes what
//! a node reads when it starts, and [`outside`] makes nodes of the engine of all that.
//!
//! Invariant: whatever bytes arrive, they cost time and memory in proportion to their number, and harm nobody but their
//! sender. Only this module knows dora's crates: the order of their enums is the wire, so their versions are exact.
//! Absent: what is sent to whom, which is up to the engine behind a [`host::NodeHost`]. What the protocols cannot give:
//! they carry no secret, so any process of this machine that can guess a dataflow's id may register as a node of it.

pub mod beside;
pub mod frame;
pub mod host;
pub mod launch;
pub mod outside;
pub mod segment;
pub mod server;
pub mod session;
pub mod sniff;
mod v0;
mod v1;
pub mod words;

use plugin_abi::meta::Timestamp;
use sniff::Generation;
use words::{Malformed, NodeReply, NodeRequest};

/// Reads a frame that is not its connection's first. What lies in shared memory is not looked for.
///
/// # Errors
/// It is no request.
pub fn read(generation: Generation, frame: &[u8]) -> Result<NodeRequest, Malformed> {
    match generation {
        Generation::V0 => v0::decode(frame, &segment::NoSegments),
        Generation::V1 => v1::decode(frame),
    }
}

/// Writes a reply at a time, with all data in it. Messages that the generation cannot hold are left out, with a fault
/// each; `None` when nothing is left of some events.
pub fn write(
    generation: Generation,
    reply: NodeReply,
    now: Timestamp,
    faults: &mut Vec<String>,
) -> Option<Vec<u8>> {
    match generation {
        Generation::V0 => {
            v0::encode(reply, now, &segment::NoSegments, faults).map(|encoded| encoded.body)
        }
        Generation::V1 => v1::encode(reply, now, faults),
    }
}

#[cfg(test)]
mod tests;
