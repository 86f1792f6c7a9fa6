//! The coordinator's ledger on disk: what is taken can be lived with and written again.

use host::control::{CallId, ClientRequest, Epoch, RequestId, Target, Timing, Verb, encode};
use host::coordinator::{Action, Event, State, parsed};
use std::time::Duration;
use uuid::Uuid;

pub(crate) fn target(bytes: &[u8]) -> bool {
    let ledger = match parsed(bytes) {
        Ok(ledger) => ledger,
        Err(reason) => {
            crate::assert_line(&reason);
            return false;
        }
    };
    let records: Vec<_> = ledger.shown().map(|record| record.ended.dataflow).collect();
    let epoch = Epoch::from_uuid(Uuid::from_u128(1));
    let mut state = State::new(epoch, "0.7.0".into(), Timing::default(), ledger);
    state.handle(Event::Time, Duration::ZERO);
    let first = records.first().map_or(Target::Only, |id| Target::Id(*id));
    let stop = Verb::Stop {
        target: first.clone(),
        grace: Duration::ZERO,
        force: true,
    };
    let verbs = [
        Verb::List,
        Verb::Nodes(Some(first.clone())),
        Verb::Topics(None),
        Verb::Locate(first),
        stop,
        Verb::Clean,
        Verb::List,
    ];
    for (number, verb) in (1..).zip(verbs) {
        let call = CallId(number);
        let request = RequestId::from_uuid(Uuid::from_u128(number.into()));
        let request = Box::new(ClientRequest { request, verb });
        // Far enough for what waits to be decided.
        let now = Duration::from_secs(number * 60);
        for action in state.handle(Event::Client { call, request }, now) {
            if let Action::ReplyClient { reply, .. } = action {
                encode("reply", &reply).expect("an answer can be sent");
            }
        }
        serde_json::to_vec(state.ledger()).expect("a ledger can be written");
    }
    true
}
