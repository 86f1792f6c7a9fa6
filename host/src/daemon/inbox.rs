//! What the daemon's parts tell the driver. The channel is bounded; tasks and threads of ours wait for room, and a query
//! for which there is none is put away: whoever asked asks again.

use super::check::Outcome;
use super::flow::FlowNews;
use crate::control::{CoordinatorReply, DaemonRequest, SendId};
use crate::ids::DataflowId;
use crate::link::Call;

/// What may wait to be handled.
pub(super) const WAITING: usize = 1_024;

/// Something has happened.
pub(super) enum In {
    /// A query.
    Asked(Box<DaemonRequest>, Call),
    /// What became of a query of ours; `None` when it was not answered.
    Answered(SendId, Option<Box<CoordinatorReply>>),
    /// A share's nodes were checked.
    Checked(DataflowId, Outcome),
    /// A connection was lost and has come back: what was declared is to be declared anew.
    Renewal,
    /// A dataflow has something to say.
    Flow(DataflowId, FlowNews),
}
