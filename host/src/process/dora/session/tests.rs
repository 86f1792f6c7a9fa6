//! Sessions as nodes lead them, request by request.

use super::{Action, Connection, Event, MAX_CONNECTIONS, Session};
use crate::process::dora::words::{DropToken, NodeEvent, NodeReply, NodeRequest, Sent};
use plugin_abi::message::{Message, Schema};
use plugin_abi::meta::Timestamp;
use uuid::Uuid;

const EVENTS: Connection = Connection(1);
const DROPS: Connection = Connection(2);
const CONTROL: Connection = Connection(3);

fn token(number: u128) -> DropToken {
    DropToken(Uuid::from_u128(number))
}

fn next(released: Vec<DropToken>) -> NodeRequest {
    NodeRequest::NextEvent { released }
}

fn message() -> Message {
    let bytes = Schema::leaf(c"C").expect("a type");
    Message::from_plain(Timestamp::default(), &bytes, &[1], &[]).expect("a message")
}

fn input(name: &str) -> NodeEvent {
    NodeEvent::Input {
        input: name.parse().expect("a name"),
        message: message(),
    }
}

fn sent(token: Option<DropToken>) -> NodeRequest {
    NodeRequest::Send(Sent {
        output: "out".parse().expect("a name"),
        message: Ok(message()),
        token: token.map(|token| (token, "/shmem_1".to_owned())),
    })
}

/// What was done, in short words.
fn words(actions: Vec<Action>) -> Vec<String> {
    let word = |action| match action {
        Action::Reply(to, NodeReply::Done(Ok(()))) => format!("{} ok", to.0),
        Action::Reply(to, NodeReply::Done(Err(text))) => format!("{} err {text}", to.0),
        Action::Reply(to, NodeReply::Events(events)) => {
            let events: Vec<_> = events.iter().map(event_word).collect();
            format!("{} events {}", to.0, events.join(" "))
                .trim_end()
                .to_owned()
        }
        Action::Reply(to, NodeReply::Drops(tokens)) => {
            let tokens: Vec<_> = tokens.iter().map(|it| it.0.as_u128().to_string()).collect();
            format!("{} drops {}", to.0, tokens.join(" "))
                .trim_end()
                .to_owned()
        }
        Action::Free(tokens) => format!("free {}", tokens.len()),
        Action::Send(output, _) => format!("send {}", output.as_str()),
        Action::CloseOutputs(outputs) => format!("close {}", outputs.len()),
        Action::HangUp(connection) => format!("hang up {}", connection.0),
        Action::Fault(text) => format!("fault {text}"),
        other => format!("{other:?}"),
    };
    actions.into_iter().map(word).collect()
}

fn event_word(event: &NodeEvent) -> String {
    match event {
        NodeEvent::Input { input, .. } => input.as_str().to_owned(),
        NodeEvent::InputClosed { input } => format!("-{}", input.as_str()),
        other => format!("{other:?}"),
    }
}

/// Plays a script: each event and what must follow.
fn play(session: &mut Session, script: Vec<(Event, &[&str])>) {
    for (step, (event, expected)) in script.into_iter().enumerate() {
        let shown = format!("step {step}: {event:?}");
        assert_eq!(words(session.handle(event)), expected, "{shown}");
    }
}

fn request(from: Connection, request: NodeRequest) -> Event {
    Event::Request(from, request)
}

fn running() -> Session {
    let mut session = Session::default();
    play(
        &mut session,
        vec![
            (Event::Opened(EVENTS), &["1 ok"]),
            (request(EVENTS, NodeRequest::Subscribe), &["Subscribed"]),
            (Event::Opened(DROPS), &["2 ok"]),
            (request(DROPS, NodeRequest::SubscribeDrops), &["2 ok"]),
            (Event::Opened(CONTROL), &["3 ok"]),
            (Event::Started(Ok(())), &["1 ok"]),
            (Event::Started(Ok(())), &[]),
        ],
    );
    session
}

#[test]
fn a_node_lives_from_its_registration_to_its_end() {
    let mut session = running();
    let close = NodeRequest::CloseOutputs(vec!["out".parse().expect("a name")]);
    let closed = NodeEvent::InputClosed {
        input: "a".parse().expect("a name"),
    };
    play(
        &mut session,
        vec![
            (request(EVENTS, next(vec![])), &["Take"]),
            (
                Event::Taken(vec![input("a"), input("b")], false),
                &["1 events a b"],
            ),
            (request(CONTROL, sent(None)), &["send out"]),
            (request(EVENTS, next(vec![])), &["Take"]),
            (
                Event::Taken(vec![closed, NodeEvent::AllInputsClosed], true),
                &["1 events -a AllInputsClosed"],
            ),
            (request(EVENTS, next(vec![])), &["1 events"]),
            (
                request(EVENTS, NodeRequest::EventsDropped),
                &["EventsDropped", "1 ok"],
            ),
            (request(CONTROL, close), &["close 1", "3 ok"]),
            (request(DROPS, NodeRequest::NextDrops), &[]),
            (
                request(CONTROL, NodeRequest::OutputsDone),
                &["OutputsDone", "3 ok", "2 drops"],
            ),
            (Event::Closed(EVENTS), &[]),
            (Event::Closed(CONTROL), &[]),
            (Event::Closed(DROPS), &["Detached"]),
            (Event::Closed(DROPS), &[]),
        ],
    );
}

#[test]
fn a_start_that_does_not_come_is_said_to_who_waits() {
    let mut session = Session::default();
    let text = "Node camera exited before initializing dora".to_owned();
    play(
        &mut session,
        vec![
            (Event::Opened(EVENTS), &["1 ok"]),
            (request(EVENTS, NodeRequest::Subscribe), &["Subscribed"]),
            (
                Event::Started(Err(text)),
                &["1 err Node camera exited before initializing dora"],
            ),
            (request(EVENTS, next(vec![])), &["1 events"]),
        ],
    );
}

#[test]
fn shared_memory_is_given_back_once_per_delivery() {
    let mut session = running();
    play(
        &mut session,
        vec![
            (Event::Lent(vec![token(1), token(2), token(3)]), &[]),
            (
                request(EVENTS, next(vec![token(1), token(1), token(9)])),
                &["free 1", "Take"],
            ),
            (
                request(CONTROL, NodeRequest::Released(vec![token(2)])),
                &["free 1"],
            ),
            (request(CONTROL, NodeRequest::Released(vec![token(2)])), &[]),
            (Event::Closed(EVENTS), &[]),
            (Event::Closed(DROPS), &[]),
            (Event::Closed(CONTROL), &["free 1", "Detached"]),
            (Event::Lent(vec![token(4)]), &["free 1"]),
        ],
    );
}

#[test]
fn a_senders_shared_memory_is_free_as_soon_as_it_was_read() {
    let mut session = running();
    play(
        &mut session,
        vec![
            (request(CONTROL, sent(Some(token(5)))), &["send out"]),
            (request(DROPS, NodeRequest::NextDrops), &["2 drops 5"]),
            (request(DROPS, NodeRequest::NextDrops), &[]),
            (
                request(CONTROL, sent(Some(token(6)))),
                &["send out", "2 drops 6"],
            ),
            (Event::Closed(EVENTS), &[]),
            (Event::Closed(DROPS), &[]),
            (
                Event::Closed(CONTROL),
                &["Unlink([\"/shmem_1\"])", "Detached"],
            ),
        ],
    );
}

#[test]
fn requests_out_of_turn_are_refused_and_change_nothing() {
    let mut session = Session::default();
    let refused = |text: &str| {
        [
            format!("fault a request is refused: {text}"),
            format!("1 err {text}"),
        ]
    };
    let steps: [(NodeRequest, &str); 4] = [
        (next(vec![]), "the node has not subscribed"),
        (NodeRequest::RegisterAgain, "the connection is registered"),
        (
            NodeRequest::Unserved {
                what: "ExtensionLoad",
            },
            "this daemon does not serve ExtensionLoad",
        ),
        (
            NodeRequest::NodeConfig {
                node: "x".to_owned(),
            },
            "a registered node has its configuration",
        ),
    ];
    assert_eq!(words(session.handle(Event::Opened(EVENTS))), ["1 ok"]);
    for (step, text) in steps {
        assert_eq!(words(session.handle(request(EVENTS, step))), refused(text));
    }
    // Never opened.
    assert_eq!(
        words(session.handle(request(CONTROL, next(vec![])))),
        [""; 0]
    );
    assert_eq!(
        words(session.handle(request(EVENTS, NodeRequest::Subscribe))),
        ["Subscribed"]
    );
    let twice = session.handle(request(EVENTS, NodeRequest::Subscribe));
    assert_eq!(words(twice), refused("the node has subscribed already"));
}

#[test]
fn a_node_has_a_bounded_number_of_connections() {
    let mut session = Session::default();
    for number in 0..MAX_CONNECTIONS as u64 {
        session.handle(Event::Opened(Connection(number)));
    }
    let more = words(session.handle(Event::Opened(Connection(99))));
    assert_eq!(more.last().map(String::as_str), Some("hang up 99"));
}

#[test]
fn large_events_are_told_one_by_one() {
    let mut session = running();
    let bytes = Schema::leaf(c"C").expect("a type");
    let large = vec![0; 3 << 20];
    let large = Message::from_plain(Timestamp::default(), &bytes, &large, &[]).expect("a message");
    let event = || NodeEvent::Input {
        input: "large".parse().expect("a name"),
        message: large.clone(),
    };
    play(
        &mut session,
        vec![
            (request(EVENTS, next(vec![])), &["Take"]),
            (
                Event::Taken(vec![event(), event(), input("a")], true),
                &["1 events large"],
            ),
            (request(EVENTS, next(vec![])), &["1 events large a"]),
            (request(EVENTS, next(vec![])), &["1 events"]),
        ],
    );
}
