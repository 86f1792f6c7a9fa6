//! The coordinator: joins the daemons and starts, watches and stops dataflows.
//!
//! `state` decides and never waits; whoever drives it carries its actions out. Invariant: daemons own the truth of what
//! runs; what the coordinator must not forget (that a dataflow is to end, and how it ended) is in its ledger, which is
//! on disk before anybody acts on it. `driver` is who drives it, with the network, a clock and `disk`; all else here knows
//! none of them.

mod again;
mod claim;
mod client;
mod dataflow;
mod disk;
mod driver;
mod ears;
mod ending;
mod event;
mod folder;
mod ledger;
mod machine;
mod news;
mod orders;
mod outcome;
mod placement;
mod probe;
mod share;
mod start;
mod state;
mod targets;
mod views;

pub use disk::{MemoryTrouble, parsed};
pub use driver::{Coordinator, Options};
pub use event::{Action, Event, Note};
pub use folder::{STATE_DIR_VARIABLE, state_folder};
pub use ledger::{Ledger, MAX_RECORDS, Record, Standing};
pub use news::News;
pub use placement::{Candidate, place};
pub use state::{MAX_LIVE, State};
