//! The requests of a dora node of either generation, on its connections, and what its session makes of them: whoever waits
//! is answered once, what was lent comes back once, and what it is told can be written.

use crate::steps::{Step, steps};
use host::ids::PortName;
use host::process::dora::session::{Action, Connection, Event, Session};
use host::process::dora::sniff::Generation;
use host::process::dora::words::{DropToken, NodeEvent, NodeReply, NodeRequest};
use host::process::dora::{read, write};
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use uuid::Uuid;

/// Actions that one event may lead to.
const MOST: usize = 4096;

struct Node {
    generation: Generation,
    session: Session,
    /// By connection: how many answers it may still get.
    owed: BTreeMap<u64, usize>,
    lent: BTreeSet<DropToken>,
    token: u128,
    /// The last message that it has sent.
    sent: Option<Message>,
}

/// The first byte: the generation. Steps: the low three bits say which connection, the others what (see [`Node::step`]).
pub(crate) fn target(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else {
        return false;
    };
    let mut node = Node {
        generation: match first & 1 {
            0 => Generation::V0,
            _ => Generation::V1,
        },
        session: Session::default(),
        owed: BTreeMap::new(),
        lent: BTreeSet::new(),
        token: 0,
        sent: None,
    };
    for step in steps(rest) {
        node.step(&step);
    }
    let open: Vec<_> = node.owed.keys().copied().collect();
    for connection in open {
        node.handle(Event::Closed(Connection(connection)));
    }
    assert!(node.lent.is_empty(), "what was lent is not given back");
    node.sent.is_some()
}

impl Node {
    /// 0 to 2: a request. 3: the connection opens. 4: it ends. 5: the start, or none. 6: events. 7: memory is lent.
    fn step(&mut self, step: &Step<'_>) {
        let connection = Connection(u64::from(step.what & 7));
        match step.what >> 3 & 7 {
            0..=2 => match read(self.generation, step.with) {
                Ok(request) => self.request(connection, request),
                Err(error) => crate::assert_line(&error.to_string()),
            },
            3 => {
                self.owe(connection);
                self.handle(Event::Opened(connection));
            }
            4 => {
                self.owed.remove(&connection.0);
                self.handle(Event::Closed(connection));
            }
            5 => {
                let started = match step.with {
                    [] => Ok(()),
                    text => Err(String::from_utf8_lossy(text).into_owned()),
                };
                self.handle(Event::Started(started));
            }
            6 => {
                let last = step.with.first().is_some_and(|first| first & 1 == 1);
                let events = step.with.iter().map(|byte| self.event(*byte)).collect();
                if self.session.waits_for_events() {
                    self.handle(Event::Taken(events, last));
                }
            }
            _ => {
                if self.session.may_lend() {
                    self.token += 1;
                    let token = DropToken(Uuid::from_u128(self.token));
                    self.lent.insert(token);
                    self.handle(Event::Lent(vec![token]));
                }
            }
        }
    }

    fn owe(&mut self, connection: Connection) {
        *self.owed.entry(connection.0).or_default() += 1;
    }

    fn request(&mut self, from: Connection, request: NodeRequest) {
        // These get no answer.
        let silent = matches!(
            request,
            NodeRequest::Send(_) | NodeRequest::Released(_) | NodeRequest::SentDirectly { .. }
        );
        if !silent {
            self.owe(from);
        }
        self.handle(Event::Request(from, request));
    }

    fn event(&self, which: u8) -> NodeEvent {
        let input: PortName = ["in", "a/b", "x-1"][usize::from(which) % 3]
            .parse()
            .expect("a name");
        match which % 7 {
            0 => NodeEvent::Stop,
            1 => NodeEvent::InputClosed { input },
            2 => NodeEvent::InputRecovered { input },
            3 => NodeEvent::AllInputsClosed,
            4 => NodeEvent::NodeRestarted {
                node: "other".parse().expect("a name"),
            },
            5 => NodeEvent::NodeFailed {
                node: "other".parse().expect("a name"),
                inputs: vec![input],
                error: "x".repeat(usize::from(which) * 100),
            },
            _ => match &self.sent {
                Some(message) => NodeEvent::Input {
                    input,
                    message: message.clone(),
                },
                None => NodeEvent::Stop,
            },
        }
    }

    fn handle(&mut self, event: Event) {
        let mut actions = VecDeque::from(self.session.handle(event));
        let mut count = 0;
        while let Some(action) = actions.pop_front() {
            count += 1;
            assert!(count < MOST, "it does not come to an end");
            self.perform(action, &mut actions);
        }
    }

    fn perform(&mut self, action: Action, more: &mut VecDeque<Action>) {
        match action {
            Action::Reply(to, reply) => self.reply(to, reply, more),
            Action::HangUp(connection) => {
                self.owed.remove(&connection.0);
            }
            Action::Send(_, message) => {
                crate::codec::assert_whole(&message);
                self.sent = Some(message);
            }
            Action::Free(tokens) => {
                for token in tokens {
                    assert!(self.lent.remove(&token), "given back twice, or never lent");
                }
            }
            Action::Fault(text) => assert!(text.len() < 16 * 1024),
            Action::Subscribed
            | Action::Take
            | Action::SentDirectly(_)
            | Action::CloseOutputs(_)
            | Action::OutputsDone
            | Action::EventsDropped
            | Action::Unlink(_)
            | Action::Detached => {}
        }
    }

    fn reply(&mut self, to: Connection, reply: NodeReply, more: &mut VecDeque<Action>) {
        let ends = matches!(&reply, NodeReply::Events(events) if events.is_empty());
        let mut faults = Vec::new();
        let Some(body) = write(self.generation, reply, Timestamp::default(), &mut faults) else {
            // Nothing is left to tell: as if it asked again.
            assert!(!ends, "the end of the events is lost");
            let released = Vec::new();
            let again = Event::Request(to, NodeRequest::NextEvent { released });
            more.extend(self.session.handle(again));
            return;
        };
        assert!(!body.is_empty());
        let owed = self.owed.get_mut(&to.0).expect("an answer to nobody");
        *owed = owed
            .checked_sub(1)
            .expect("an answer that nobody waits for");
    }
}
