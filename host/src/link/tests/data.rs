//! Messages between daemons.

use super::*;
use crate::ids::DataflowId;
use plugin_abi::message::Message;
use plugin_abi::meta::{Parameters, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel as channel};

/// Two daemons that know each other through a coordinator.
struct Pair {
    coordinator: Link,
    address: Address,
    from: Link,
    to: Link,
    key: DataKey,
}

async fn pair() -> Pair {
    let (coordinator, address) = coordinator(0).await;
    let (from, to) = (daemon("A", &address).await, daemon("B", &address).await);
    from.meet(LONG).await.unwrap();
    to.meet(LONG).await.unwrap();
    let (node, port) = ("camera".parse().unwrap(), "raw/image".parse().unwrap());
    let key = DataKey::output(&machine("A"), DataflowId::new(), &node, &port);
    Pair {
        coordinator,
        address,
        from,
        to,
        key,
    }
}

impl Pair {
    /// The sender's side; with `credits` it waits for the reader.
    fn output(&self, sender: &Sender, capacity: usize, credits: bool) -> Output {
        let spec = OutputSpec {
            key: self.key.clone(),
            readers: BTreeMap::from([(machine("B"), credits)]),
            capacity,
            failed: Box::new(|error| panic!("{error}")),
        };
        self.from.output(sender, spec).unwrap()
    }

    fn spec(&self, credits: &[usize]) -> ReaderSpec {
        ReaderSpec {
            key: self.key.clone(),
            machine: machine("B"),
            from_start: true,
            credits: credits.into(),
        }
    }

    fn reader(&self, credits: &[usize]) -> (Reader, UnboundedReceiver<Arrived>) {
        let (sender, arrived) = channel();
        let handle = move |it| drop(sender.send(it));
        (self.to.read(&self.spec(credits), handle).unwrap(), arrived)
    }

    async fn close(self) {
        close([self.from, self.to, self.coordinator]).await;
    }
}

fn text(text: &str) -> Message {
    let parameters = Parameters::new().with("name", text).encode();
    let stamp = Timestamp {
        time: 77,
        clock: [3; 16],
    };
    Message::from_text(stamp, text, &parameters).unwrap()
}

fn bytes(length: usize) -> Message {
    let schema = plugin_abi::message::Schema::leaf(c"C").unwrap();
    let values: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
    Message::from_plain(Timestamp::default(), &schema, &values, &[]).unwrap()
}

async fn message(arrived: &mut UnboundedReceiver<Arrived>) -> Message {
    match next(arrived).await {
        Arrived::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_lost_from_the_first_message_to_the_end() {
    run(async {
        let pair = pair().await;
        let sender = Sender::new("test").unwrap();
        let output = pair.output(&sender, 1_000, false);
        assert_eq!(
            output.missing(Duration::from_millis(50)).await,
            [machine("B")]
        );
        let (reader, mut arrived) = pair.reader(&[]);
        let began = Instant::now();
        assert_eq!(output.missing(LONG).await, []);
        println!("reader found in {:?}", began.elapsed());
        for number in 0..500 {
            assert!(matches!(output.push(text(&number.to_string())), Pushed::In));
        }
        output.close();
        assert!(matches!(output.push(text("late")), Pushed::Closed));
        for number in 0..500 {
            let message = message(&mut arrived).await;
            let name = number.to_string();
            assert_eq!(message.text(), Ok(name.as_str()));
            assert_eq!(message.timestamp().time, 77);
            let parameters = message.parameters().unwrap();
            assert_eq!(parameters.get("name"), Some(&name.as_str().into()));
        }
        assert!(matches!(next(&mut arrived).await, Arrived::Ended));
        let expected = ReaderCount {
            received: 500,
            ..ReaderCount::default()
        };
        assert_eq!(reader.count(), expected);
        assert_eq!(output.count().sent, 500);
        drop(output);
        assert!(sender.finish(LONG).await);
        pair.close().await;
    });
}

#[test]
fn messages_of_any_size_arrive_whole() {
    run(async {
        let pair = pair().await;
        let sender = Sender::new("test").unwrap();
        let output = pair.output(&sender, 100, true);
        let (reader, mut arrived) = pair.reader(&[100]);
        assert_eq!(output.missing(LONG).await, []);
        // Beyond 64 KiB through shared memory, beyond the pool over the connection.
        for length in [0, 1, 8, 4_096, 60_000, 70_000, 1 << 20, 5 << 20, 80 << 20] {
            let sent = bytes(length);
            assert!(matches!(output.push(sent.clone()), Pushed::In));
            let got = message(&mut arrived).await;
            assert!(got.bytes() == sent.bytes(), "{length} bytes");
            reader.credits().unwrap().taken(0, 1);
        }
        let sent = Message::from_text(Timestamp::default(), &"ä".repeat(1 << 20), &[]).unwrap();
        output.push(sent.clone());
        assert_eq!(message(&mut arrived).await.text(), sent.text());
        drop(output);
        assert!(sender.finish(LONG).await);
        pair.close().await;
    });
}

#[test]
fn what_a_full_queue_loses_is_counted_on_both_sides() {
    run(async {
        let pair = pair().await;
        let sender = Sender::new("test").unwrap();
        let output = pair.output(&sender, 2, false);
        let (reader, mut arrived) = pair.reader(&[]);
        assert_eq!(output.missing(LONG).await, []);
        let large = bytes(1 << 20);
        let mut pushed = 0;
        while output.count().dropped == 0 {
            output.push(large.clone());
            pushed += 1;
        }
        output.close();
        let (mut lost, mut received) = (0, 0);
        loop {
            match next(&mut arrived).await {
                Arrived::Message(_) => received += 1,
                Arrived::Lost(more) => lost += more,
                Arrived::Ended => break,
                Arrived::Broken(why) => panic!("{why}"),
            }
        }
        assert_eq!(received + lost, pushed);
        assert!(lost >= output.count().dropped);
        let count = reader.count();
        assert_eq!((count.received, count.lost), (received, lost));
        pair.close().await;
    });
}

#[test]
fn a_slow_reader_holds_the_sender_up_and_gets_everything() {
    run(async {
        let pair = pair().await;
        let sender = Sender::new("test").unwrap();
        let output = Arc::new(pair.output(&sender, 4, true));
        let (reader, mut arrived) = pair.reader(&[4, 9]);
        assert_eq!(output.missing(LONG).await, []);
        let sending = output.clone();
        let node = std::thread::spawn(move || {
            for number in 0..200 {
                let mut message = text(&number.to_string());
                while let Pushed::Full(back) = sending.push(message) {
                    sending.wait_for_room(LONG, || false);
                    message = back;
                }
            }
            sending.close();
        });
        let credits = reader.credits().unwrap().clone();
        let mut queued = 0;
        for number in 0..200 {
            let message = message(&mut arrived).await;
            assert_eq!(message.text(), Ok(number.to_string().as_str()));
            queued += 1;
            // Takes none before the queue is full.
            if queued == 4 {
                tokio::task::yield_now().await;
                // After the last one the end may be there, which takes no room.
                assert!(
                    number == 199 || arrived.try_recv().is_err(),
                    "more than the queue holds"
                );
                credits.taken(0, queued);
                credits.taken(1, queued);
                queued = 0;
            }
        }
        assert!(matches!(next(&mut arrived).await, Arrived::Ended));
        node.join().unwrap();
        assert_eq!(output.count().dropped, 0);
        pair.close().await;
    });
}

#[test]
fn one_that_waits_for_room_can_be_told_to_stop_and_a_gone_reader_is_not_waited_for() {
    run(async {
        let pair = pair().await;
        let sender = Sender::new("test").unwrap();
        let output = Arc::new(pair.output(&sender, 4, true));
        let (_reader, _arrived) = pair.reader(&[1]);
        assert_eq!(output.missing(LONG).await, []);
        assert!(matches!(output.push(text("1")), Pushed::In));
        assert!(matches!(output.push(text("2")), Pushed::Full(_)));
        let stopping = Arc::new(AtomicBool::new(false));
        let (sending, stop) = (output.clone(), stopping.clone());
        let (done, mut waited) = channel();
        std::thread::spawn(move || {
            let began = Instant::now();
            sending.wait_for_room(LONG, || stop.load(Ordering::SeqCst));
            done.send(began.elapsed()).unwrap();
        });
        stopping.store(true, Ordering::SeqCst);
        output.nudge();
        assert!(next(&mut waited).await < LONG);
        output.forget(&machine("B"));
        assert!(matches!(output.push(text("2")), Pushed::In));
        pair.close().await;
    });
}

#[test]
fn data_go_on_without_the_coordinator() {
    run(async {
        let pair = pair().await;
        let sender = Sender::new("test").unwrap();
        let output = pair.output(&sender, 10, false);
        let (_reader, mut arrived) = pair.reader(&[]);
        assert_eq!(output.missing(LONG).await, []);
        let until = Instant::now() + LONG;
        // The direct connection is made a moment after both are known; then the coordinator is not needed.
        while !pair.from.is_linked_to(&pair.to).await {
            assert!(Instant::now() < until, "no direct connection");
            tokio::task::yield_now().await;
        }
        pair.coordinator.close().await;
        // Routes are found anew a moment after the connection was made; what goes through the coordinator until then ends
        // with it.
        while arrived.is_empty() {
            assert!(Instant::now() < until, "no way without the coordinator");
            output.push(text("through"));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        output.push(text("all"));
        loop {
            match next(&mut arrived).await {
                Arrived::Message(message) if message.text() == Ok("all") => break,
                Arrived::Message(_) | Arrived::Lost(_) => {}
                other => panic!("{other:?}"),
            }
        }
        for number in 0..50 {
            let name = number.to_string();
            output.push(text(&name));
            let message = message(&mut arrived).await;
            assert_eq!(message.text(), Ok(name.as_str()));
        }
        let (again, _) = coordinator(pair.address.port).await;
        pair.from.meet(LONG).await.unwrap();
        output.push(text("after"));
        assert_eq!(message(&mut arrived).await.text(), Ok("after"));
        again.close().await;
        pair.close().await;
    });
}

#[test]
fn without_direct_connections_data_go_through_the_coordinator() {
    run(async {
        let (coordinator, address) = coordinator(0).await;
        let open = async |name| {
            let options = DaemonOptions {
                direct: false,
                ..options(&address)
            };
            let daemon = Link::daemon(&options, hello(Role::Daemon, Some(name)))
                .await
                .unwrap();
            daemon.meet(LONG).await.unwrap();
            daemon
        };
        let pair = Pair {
            from: open("A").await,
            to: open("B").await,
            key: DataKey::tap(&machine("A"), crate::control::RequestId::new()),
            coordinator,
            address: address.clone(),
        };
        let sender = Sender::new("test").unwrap();
        let output = pair.output(&sender, 10, false);
        let (_reader, mut arrived) = pair.reader(&[]);
        assert_eq!(output.missing(LONG).await, []);
        output.push(text("relayed"));
        assert_eq!(message(&mut arrived).await.text(), Ok("relayed"));
        assert!(!pair.from.is_linked_to(&pair.to).await);
        pair.close().await;
    });
}

#[test]
fn a_client_looks_on_and_others_are_not_disturbed() {
    run(async {
        let pair = pair().await;
        let client = client(&pair.address).await;
        let sender = Sender::new("test").unwrap();
        let output = pair.output(&sender, 100, false);
        let (_reader, mut arrived) = pair.reader(&[]);
        assert_eq!(output.missing(LONG).await, []);
        output.push(text("before"));
        message(&mut arrived).await;
        let (looks, mut seen) = channel();
        let spec = ReaderSpec {
            from_start: false,
            ..pair.spec(&[])
        };
        let looking = client.read(&spec, move |it| drop(looks.send(it))).unwrap();
        let until = Instant::now() + LONG;
        // Nobody says that somebody looks on; it is seen when something comes.
        let mut count = 0;
        while seen.is_empty() && Instant::now() < until {
            output.push(text("again"));
            count += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(message(&mut seen).await.text(), Ok("again"));
        for _ in 0..count {
            message(&mut arrived).await;
        }
        assert_eq!(looking.count().lost, 0);
        client.close().await;
        pair.close().await;
    });
}
