//! Why a link could not be opened, in words for a user.
//!
//! Absent: finding it out.

use crate::control::Hello;
use crate::sys::listener::Owner;
use std::fmt;
use std::net::SocketAddr;

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taker {
    /// A process of dora, which has said so.
    Dora(Box<Hello>),
    /// Any other program, if the system tells which.
    Other(Option<Owner>),
}

/// Why a link could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// Somebody listens on the port.
    PortTaken {
        /// Where.
        address: SocketAddr,
        /// Who.
        by: Taker,
    },
    /// The address cannot be listened on.
    Address {
        /// Which.
        address: SocketAddr,
        /// The system's words.
        reason: String,
    },
    /// The engine refuses.
    Engine(String),
}

impl std::error::Error for OpenError {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken { address, by } => {
                write!(
                    f,
                    "port {} of {} is taken by ",
                    address.port(),
                    address.ip()
                )?;
                match by {
                    Taker::Dora(hello) => {
                        write!(f, "a dora {} (dora {})", hello.role, shown(&hello.version))?
                    }
                    Taker::Other(None) => f.write_str("another program")?,
                    Taker::Other(Some(owner)) => write!(f, "another program, {owner}")?,
                }
                f.write_str("; end that one, or choose another port")
            }
            Self::Address { address, reason } => {
                write!(f, "cannot listen on {address}: {reason}")
            }
            Self::Engine(reason) => write!(f, "cannot open the network: {reason}"),
        }
    }
}

/// Text of another process as it may stand in a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}
