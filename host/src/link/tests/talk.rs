//! Questions and answers, and tokens.

use super::*;
use crate::control::{Fault, encode};
use std::time::Instant;
use tokio::sync::mpsc::unbounded_channel as channel;

/// A key that is asked in these tests.
fn key() -> Key {
    Key::coordinator("test")
}

#[test]
fn a_question_is_answered_or_it_is_said_why_not() {
    run(async {
        let (coordinator, address) = coordinator(0).await;
        let client = client(&address).await;
        let ask = |question: &'static str, deadline: Duration| {
            let client = client.clone();
            async move {
                client
                    .call::<_, String>("the coordinator", &key(), &question, deadline)
                    .await
            }
        };
        let target = || "the coordinator".to_owned();
        assert_eq!(
            ask("?", LONG).await,
            Err(CallError::Absent { target: target() })
        );
        let (kept, mut calls) = channel();
        let served = coordinator.serve(
            &key(),
            "question",
            move |question: Result<String, Fault>, call: Call| match question.as_deref() {
                Ok("hello") => call.reply("answer", &"hello yourself"),
                Ok("number") => call.reply("answer", &5),
                Ok("later") => kept.send(call).unwrap(),
                Ok(_) => {}
                Err(Fault { what, .. }) => call.reply("answer", &what),
            },
        );
        let _served = served.unwrap();
        assert_eq!(ask("hello", LONG).await.as_deref(), Ok("hello yourself"));
        let error = ask("number", LONG).await.unwrap_err();
        assert!(
            matches!(&error, CallError::Fault { fault, .. } if fault.what == "reply"),
            "{error}"
        );
        assert_eq!(
            ask("never", LONG).await,
            Err(CallError::Dropped { target: target() })
        );
        let began = Instant::now();
        let after = Duration::from_millis(300);
        assert_eq!(
            ask("later", after).await,
            Err(CallError::TimedOut {
                target: target(),
                after
            })
        );
        assert!(began.elapsed() < Duration::from_secs(2));
        // Nobody listens any more; the answer harms nobody.
        next(&mut calls).await.reply("answer", &"late");
        let number: Result<String, _> = client.call("it", &key(), &7, LONG).await;
        assert_eq!(number.as_deref(), Ok("question"));
        close([client, coordinator]).await;
    });
}

#[test]
fn questions_go_all_ways_and_large_ones_too() {
    run(async {
        let (coordinator, address) = coordinator(0).await;
        let (daemon, client) = (daemon("A", &address).await, client(&address).await);
        daemon.meet(LONG).await.unwrap();
        let epoch = daemon.me().epoch.unwrap();
        let here = Key::daemon(&machine("A"), epoch, "test");
        let echo = |text: Result<String, Fault>, call: Call| call.reply("answer", &text.unwrap());
        let _served = (
            daemon.serve(&here, "text", echo).unwrap(),
            coordinator.serve(&key(), "text", echo).unwrap(),
        );
        let text = "ä".repeat(3_000_000);
        for (link, key) in [
            (&client, &here),
            (&coordinator, &here),
            (&daemon, &key()),
            (&client, &key()),
        ] {
            // What was declared last may not be known everywhere yet.
            let until = Instant::now() + LONG;
            let answer: String = loop {
                match link.call("it", key, &text, LONG).await {
                    Err(CallError::Absent { .. }) if Instant::now() < until => {}
                    other => break other.unwrap(),
                }
            };
            assert_eq!(answer, text);
        }
        let other = Key::daemon(&machine("A"), Epoch::new(), "test");
        let stale = client.call::<_, String>("it", &other, &"", LONG).await;
        assert!(matches!(stale, Err(CallError::Absent { .. })));
        close([client, daemon, coordinator]).await;
    });
}

#[test]
fn a_thousand_questions_at_once_are_all_answered() {
    run(async {
        let (coordinator, address) = coordinator(0).await;
        let client = client(&address).await;
        let double =
            |number: Result<u64, Fault>, call: Call| call.reply("answer", &(number.unwrap() * 2));
        let _served = coordinator.serve(&key(), "number", double).unwrap();
        let began = Instant::now();
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..1_000_u64 {
            let client = client.clone();
            calls.spawn(async move {
                let answer = client.call::<_, u64>("it", &key(), &number, LONG).await;
                assert_eq!(answer, Ok(number * 2));
            });
        }
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
        println!("1,000 questions in {:?}", began.elapsed());
        close([client, coordinator]).await;
    });
}

#[test]
fn what_cannot_be_written_is_not_asked() {
    run(async {
        let (coordinator, _) = coordinator(0).await;
        let odd = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(encode("request", &odd).is_err());
        let refused = coordinator.call::<_, ()>("it", &key(), &odd, LONG).await;
        assert!(matches!(refused, Err(CallError::Fault { .. })));
        coordinator.close().await;
        let closed = coordinator.call::<_, ()>("it", &key(), &(), LONG).await;
        assert!(matches!(closed, Err(CallError::Link(_))));
    });
}

#[test]
fn tokens_come_and_go_with_their_processes() {
    run(async {
        let (coordinator, address) = coordinator(0).await;
        let (daemon, client) = (daemon("A", &address).await, client(&address).await);
        daemon.meet(LONG).await.unwrap();
        let members = [
            Member::Coordinator(coordinator.me().epoch.unwrap()),
            Member::Daemon(machine("A"), daemon.me().epoch.unwrap()),
        ];
        let _token = coordinator.show(&members[0]).unwrap();
        let token = daemon.show(&members[1]).unwrap();
        // One that watches from before, and one that comes later, see the same.
        for link in [&coordinator, &client] {
            let (sender, mut changes) = channel();
            let _watch = link
                .watch(move |change| sender.send(change).unwrap())
                .unwrap();
            let mut seen = Vec::new();
            while !members.iter().all(|member| seen.contains(member)) {
                let Change::Appeared(member) = next(&mut changes).await else {
                    panic!("nobody has gone");
                };
                seen.push(member);
            }
        }
        let (sender, mut changes) = channel();
        let _watch = client
            .watch(move |change| sender.send(change).unwrap())
            .unwrap();
        drop(token);
        while next(&mut changes).await != Change::Gone(members[1].clone()) {}
        // The same life again, then its end without a word.
        let _again = daemon.show(&members[1]).unwrap();
        while next(&mut changes).await != Change::Appeared(members[1].clone()) {}
        let began = Instant::now();
        daemon.close().await;
        while next(&mut changes).await != Change::Gone(members[1].clone()) {}
        println!("gone after {:?}", began.elapsed());
        close([client, coordinator]).await;
    });
}

#[test]
fn everything_is_there_again_when_the_coordinator_is() {
    run(async {
        let (first, address) = coordinator(0).await;
        let (a, b) = (daemon("A", &address).await, daemon("B", &address).await);
        for daemon in [&a, &b] {
            daemon.meet(LONG).await.unwrap();
        }
        let member = |link: &Link, name| Member::Daemon(machine(name), link.me().epoch.unwrap());
        let members = [member(&a, "A"), member(&b, "B")];
        let mut tokens = [a.show(&members[0]).unwrap(), b.show(&members[1]).unwrap()];
        let here = Key::daemon(&machine("A"), a.me().epoch.unwrap(), "test");
        let echo = |text: Result<String, Fault>, call: Call| call.reply("answer", &text.unwrap());
        let mut served = a.serve(&here, "text", echo).unwrap();
        first.close().await;
        let (second, _) = coordinator(address.port).await;
        let began = Instant::now();
        assert_eq!(&a.meet(LONG).await.unwrap(), second.me());
        assert_eq!(&b.meet(LONG).await.unwrap(), second.me());
        println!("met again after {:?}", began.elapsed());
        let until = Instant::now() + LONG;
        let answer: String = loop {
            let asked = second.call("it", &here, &"still there", LONG).await;
            match asked {
                Err(CallError::Absent { .. }) if Instant::now() < until => {}
                other => break other.unwrap(),
            }
            // What a daemon does when it is told that it cannot be reached: the engine forgets to tell a process that
            // takes the place of another within a tenth of a second.
            drop((served, tokens));
            served = a.serve(&here, "text", echo).unwrap();
            tokens = [a.show(&members[0]).unwrap(), b.show(&members[1]).unwrap()];
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(answer, "still there");
        let (sender, mut changes) = channel();
        let _watch = second
            .watch(move |change| sender.send(change).unwrap())
            .unwrap();
        let mut seen = Vec::new();
        while !members.iter().all(|member| seen.contains(member)) {
            match tokio::time::timeout(Duration::from_millis(500), changes.recv()).await {
                Ok(Some(Change::Appeared(member))) => seen.push(member),
                Ok(Some(Change::Gone(_))) => {}
                Ok(None) => panic!("the watch has ended"),
                Err(_) => {
                    assert!(Instant::now() < until, "{seen:?}");
                    drop(tokens);
                    tokens = [a.show(&members[0]).unwrap(), b.show(&members[1]).unwrap()];
                }
            }
        }
        close([a, b, second]).await;
    });
}
