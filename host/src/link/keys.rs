//! Keys: what everything on the network is called.
//!
//! All begin with the protocol's version, except the greeting, which is how versions are compared. Invariant: a key of
//! these types is legal, because the ids that it is made of are. A part that begins with `@` matches no wildcard and no
//! id.

use crate::control::{Epoch, RequestId};
use crate::descriptor::LogLevel;
use crate::ids::{DataflowId, MachineId, NodeId, PortName};
use std::fmt;

const PREFIX: &str = "dora/v1";
/// How the coordinator is called among the machines' tokens.
const COORDINATOR: &str = "@coordinator";
/// No choice among log lines.
const ALL: &str = "@all";

/// What is asked or listened to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// The greeting, the same in all versions.
    pub(super) fn hello() -> Self {
        Self("dora/hello".into())
    }

    /// What the coordinator is asked. `method` is a plain word.
    pub fn coordinator(method: &'static str) -> Self {
        Self(format!("{PREFIX}/co/{method}"))
    }

    /// Where the coordinator takes the `dora` command's requests.
    pub fn for_clients() -> Self {
        Self::coordinator("client")
    }

    /// Where the coordinator takes the daemons' requests.
    pub fn for_daemons() -> Self {
        Self::coordinator("daemon")
    }

    /// Where one life of a daemon takes requests, the coordinator's and the `dora` command's.
    pub fn at_daemon(machine: &MachineId, epoch: Epoch) -> Self {
        Self::daemon(machine, epoch, "request")
    }

    /// What one life of a daemon is asked. `method` is a plain word.
    pub fn daemon(machine: &MachineId, epoch: Epoch, method: &'static str) -> Self {
        Self(format!("{PREFIX}/ctl/{machine}/{epoch}/{method}"))
    }

    /// The tokens of the machines.
    pub(super) fn machines() -> Self {
        Self(format!("{PREFIX}/live/*/*"))
    }

    /// The tokens of coordinators.
    pub(super) fn coordinators() -> Self {
        Self(format!("{PREFIX}/live/{COORDINATOR}/*"))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A stream of messages from one sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataKey(String);

impl DataKey {
    /// An output of a node.
    pub fn output(
        machine: &MachineId,
        dataflow: DataflowId,
        node: &NodeId,
        output: &PortName,
    ) -> Self {
        Self(format!("{PREFIX}/out/{machine}/{dataflow}/{node}/{output}"))
    }

    /// The same stream begun anew, numbers and all, because one of its ends has begun again in this life of its daemon.
    #[must_use]
    pub fn again(self, life: Epoch) -> Self {
        Self(format!("{}/@life/{life}", self.0))
    }

    /// Copies of an output for one who looks on.
    pub fn tap(machine: &MachineId, tap: RequestId) -> Self {
        Self(format!("{PREFIX}/tap/{machine}/{tap}"))
    }

    /// Log lines of a dataflow's nodes on a machine, for its nodes on other machines: down to a level, or what goes to
    /// the log files; of one node or of all.
    pub fn logs(
        machine: &MachineId,
        dataflow: DataflowId,
        level: Option<LogLevel>,
        node: Option<&NodeId>,
    ) -> Self {
        let level = level.map_or_else(|| ALL.to_owned(), |level| level.to_string());
        let node = node.map_or(ALL, NodeId::as_str);
        Self(format!("{PREFIX}/log/{machine}/{dataflow}/{level}/{node}"))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a reader's machine says that it listens, and how much it can take.
    pub(super) fn reader(&self, machine: &MachineId) -> Key {
        Key(format!("{}/@reader/{machine}", self.0))
    }

    /// Where a reader's machine says, unasked, how much it can take.
    pub(super) fn credit(&self, machine: &MachineId) -> Key {
        Key(format!("{}/@credit/{machine}", self.0))
    }
}

impl fmt::Display for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whose token it is: one life of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// The coordinator.
    Coordinator(Epoch),
    /// A machine's daemon.
    Daemon(MachineId, Epoch),
}

impl Member {
    pub(super) fn key(&self) -> Key {
        Key(match self {
            Self::Coordinator(epoch) => format!("{PREFIX}/live/{COORDINATOR}/{epoch}"),
            Self::Daemon(machine, epoch) => format!("{PREFIX}/live/{machine}/{epoch}"),
        })
    }

    /// `None` for a key that is no token's.
    pub fn of(key: &str) -> Option<Self> {
        let rest = key.strip_prefix(PREFIX)?.strip_prefix("/live/")?;
        let (who, epoch) = rest.split_once('/')?;
        let epoch = epoch.parse().ok()?;
        Some(match who {
            COORDINATOR => Self::Coordinator(epoch),
            machine => Self::Daemon(machine.parse().ok()?, epoch),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenoh::key_expr::keyexpr;

    fn machine() -> MachineId {
        "Robot-1_a.b".parse().unwrap()
    }

    #[test]
    fn keys_are_legal_and_kinds_do_not_meet() {
        let (epoch, id) = (Epoch::new(), DataflowId::new());
        let (node, port) = ("a.b-c_D".parse().unwrap(), "op/out".parse().unwrap());
        let data = DataKey::output(&machine(), id, &node, &port);
        let all = [
            Key::hello(),
            Key::coordinator("client"),
            Key::daemon(&machine(), epoch, "order"),
            Member::Coordinator(epoch).key(),
            Member::Daemon(machine(), epoch).key(),
            Key(data.as_str().into()),
            data.reader(&machine()),
            data.credit(&machine()),
            Key(data.clone().again(epoch).0),
            data.clone().again(epoch).reader(&machine()),
            Key(DataKey::tap(&machine(), RequestId::new()).0),
            Key(DataKey::logs(&machine(), id, None, None).0),
            Key(DataKey::logs(&machine(), id, Some(LogLevel::Debug), None).0),
            Key(DataKey::logs(&machine(), id, None, Some(&node)).0),
        ];
        for (i, key) in all.iter().enumerate() {
            let key = keyexpr::new(key.as_str()).unwrap();
            for other in &all[i + 1..] {
                assert!(!key.intersects(keyexpr::new(other.as_str()).unwrap()));
            }
        }
        let longer = DataKey::output(&machine(), id, &node, &"op/out/x".parse().unwrap());
        assert_ne!(data, longer);
    }

    #[test]
    fn members_are_told_by_their_tokens() {
        let epoch = Epoch::new();
        // A machine may be called as it likes.
        let odd = Member::Daemon("coordinator".parse().unwrap(), epoch);
        for member in [
            Member::Coordinator(epoch),
            Member::Daemon(machine(), epoch),
            odd,
        ] {
            assert_eq!(Member::of(member.key().as_str()), Some(member.clone()));
            let key = member.key();
            let key = keyexpr::new(key.as_str()).unwrap();
            let matched = [Key::machines(), Key::coordinators()]
                .map(|all| keyexpr::new(all.as_str()).unwrap().includes(key));
            let expected = matches!(member, Member::Daemon(..));
            assert_eq!(matched, [expected, !expected]);
        }
        for wrong in [
            "",
            "dora/v1/live/a",
            "dora/v2/live/a/b",
            "dora/v1/live/a b/1",
        ] {
            assert_eq!(Member::of(wrong), None, "{wrong}");
        }
    }
}
