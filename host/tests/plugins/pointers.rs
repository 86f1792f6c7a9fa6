//! Plugins in threads of their own hand each other data by pointer, whatever their size.

use crate::harness::{Bench, Running, address, features};
use host_testing::fixtures;
use plugin_abi::ffi;
use plugin_abi::message::Message;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;

const SIZE: u64 = 40 << 20;

#[test]
fn forty_mebibytes_go_to_three_readers_in_one_allocation() {
    let bench = Bench::new();
    let other = bench.load(&fixtures::path("other-arrow"));
    // A second copy of the same plugin: other code, other statics.
    let second = bench.load(&fixtures::path("features"));
    let (data, at) = thread::spawn(|| {
        let mut produces = Running::start(features(), "produces", "{}");
        assert_eq!(produces.input("length", SIZE), ffi::OK);
        (produces.one("data"), produces.number("at"))
    })
    .join()
    .expect("produced");
    assert_eq!((address(&data), data.references()), (at, Some(1)));

    // Two that report where their data are, and one that passes them on through another arrow.
    let (answer, answers) = channel::<(u64, Message, Running)>();
    let readers = [
        (&second, "address"),
        (features(), "address"),
        (&other, "passes"),
    ];
    for (plugin, kind) in readers {
        let (plugin, data, answer) = (plugin.clone(), data.clone(), answer.clone());
        thread::spawn(move || {
            let mut reader = Running::start(&plugin, kind, "{}");
            assert_eq!(reader.give("in", &data), ffi::OK);
            let seen = match kind {
                "address" => reader.number("address"),
                _ => address(&reader.one("out")),
            };
            answer.send((seen, data, reader)).expect("the test waits");
        });
    }
    drop(answer);
    let all: Vec<(u64, Message, Running)> = answers.iter().collect();
    assert_eq!(
        all.iter().map(|(seen, ..)| *seen).collect::<Vec<_>>(),
        [at; 3]
    );
    assert_eq!(data.references(), Some(4), "three readers and this test");
    drop(all);
    assert_eq!(data.references(), Some(1));
    assert_eq!(data.bytes().map(<[u8]>::len), Ok(SIZE as usize));
}

#[test]
fn the_hosts_memory_goes_to_three_readers_and_back() {
    let mut fills = Running::start(features(), "fills", "{}");
    let rooms = fills.recorder.rooms.clone();
    assert_eq!(fills.input("length", SIZE / 4), ffi::OK);
    let (squares, at) = (fills.one("squares"), fills.number("at"));
    drop(fills);
    let readers: Vec<Running> = (0..3)
        .map(|_| {
            let mut echo = Running::start(features(), "echo", "{}");
            assert_eq!(echo.give("in", &squares), ffi::OK);
            let passed = echo.recorder.seen().sent[0].1.clone();
            let values = passed.values::<u32>().expect("numbers");
            assert_eq!(values.as_ptr().addr() as u64, at);
            echo
        })
        .collect();
    assert_eq!(squares.references(), Some(4));
    drop(squares);
    assert_eq!(rooms.load(Ordering::SeqCst), 1);
    drop(readers);
    assert_eq!(
        rooms.load(Ordering::SeqCst),
        0,
        "one allocation, given back by the last reader"
    );
}

#[test]
fn two_plugins_in_two_threads_talk_while_the_level_changes() {
    let (to_reader, from_writer) = channel::<Message>();
    let writer = thread::spawn(move || {
        let mut sends = Running::start(features(), "sends", "{}");
        for _ in 0..1000 {
            assert_eq!(sends.input("in", ()), ffi::OK);
            to_reader
                .send(sends.one("number"))
                .expect("the reader reads");
        }
    });
    let reader = thread::spawn(move || {
        let mut echo = Running::start(features(), "echo", "{}");
        let mut lines = Running::start(features(), "lines", "{}");
        lines.lines();
        for (i, message) in from_writer.iter().enumerate() {
            assert_eq!(echo.give("in", &message), ffi::OK);
            assert_eq!(echo.number("out"), i as u64 + 1);
            lines.level.store(i as u32 % 6, Ordering::Relaxed);
            assert_eq!(lines.input("say", "levels"), ffi::OK);
            assert_eq!(lines.lines().len(), i % 6);
        }
    });
    writer.join().expect("written");
    reader.join().expect("read");
}
