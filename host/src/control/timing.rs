//! Every time limit of the control plane, in one place. Both state machines take them as a value, so that tests may
//! shorten them.

use std::time::Duration;

/// The time limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// A daemon that has nothing else to say says that it is there so often.
    pub beat: Duration,
    /// A query that is not answered within this counts as unanswered.
    pub query: Duration,
    /// Pause before something unanswered is sent again.
    pub retry: Duration,
    /// A daemon that was not heard of for so long is lost.
    pub lost: Duration,
    /// A second daemon that asks for a machine id waits at most so long until the first has shown that it lives.
    pub claim: Duration,
    /// Nodes that are checked, and plugins loaded, take at most so long.
    pub prepare: Duration,
    /// Nodes are made, and their connections to other machines probed, within this.
    pub spawn: Duration,
    /// All daemons must have let their nodes go within this.
    pub go: Duration,
    /// What nodes have for their end when a dataflow ends because its readers have.
    pub grace: Duration,
    /// What nodes have for their end when a start is undone.
    pub undo: Duration,
    /// What a daemon may need beyond the nodes' grace period until it has stopped a dataflow.
    pub stop: Duration,
    /// A client that asks for something long is answered with the progress so often.
    pub poll: Duration,
    /// After its start, and after it has learned of a dataflow that is between check and run, a coordinator waits so
    /// long for the other daemons before it decides.
    pub recovery: Duration,
    /// A daemon ends by itself what it has prepared or made when no further order comes for so long.
    pub lease: Duration,
    /// Inputs that read a lost machine are closed after so long.
    pub peer: Duration,
    /// Messages of a node that has ended elsewhere may still arrive for so long; then the inputs that read it are
    /// closed even if its end was not heard of on the data's own way.
    pub settle: Duration,
    /// The same where the node waited for its readers: what was lost on the way is sent again.
    pub settle_waited: Duration,
    /// Nodes of a machine that stays lost for so long are given up.
    pub give_up: Duration,
    /// A daemon that ends waits so long for the coordinator to have heard of it.
    pub farewell: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            beat: ms(1_000),
            query: ms(1_000),
            retry: ms(250),
            lost: ms(3_000),
            claim: ms(1_500),
            prepare: ms(20_000),
            spawn: ms(15_000),
            go: ms(5_000),
            grace: ms(10_000),
            undo: ms(2_000),
            stop: ms(5_000),
            poll: ms(1_000),
            recovery: ms(5_000),
            lease: ms(60_000),
            peer: ms(3_000),
            settle: ms(1_000),
            settle_waited: ms(8_000),
            give_up: ms(600_000),
            farewell: ms(2_000),
        }
    }
}
