//! Ids of processes, requests and exchanges. Those of processes and requests travel; those of exchanges are numbers
//! that a driver gives to tell its own calls apart.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// One life of a process: a daemon or coordinator that restarts has another epoch. Time-ordered on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(Uuid);

/// One wish of a user. A request that is repeated because no answer came keeps its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(Uuid);

macro_rules! travelling_id {
    ($name:ident) => {
        impl $name {
            /// A new id from the clock and random bits.
            #[allow(clippy::new_without_default)] // two calls differ, a default would suggest otherwise
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id of something that exists, for instance from a key.
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            pub fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

travelling_id!(Epoch);
travelling_id!(RequestId);

/// A query that came in and waits for its one answer. Numbers are the driver's, each used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A query that went out. The state machine numbers them; the driver reports how each ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendId(pub u64);
