//! Connections that are no nodes, beside one that is.

use crate::each;
use crate::echo::{self, input};
use crate::host::serve;
use ::host::process::dora::frame::framed;
use ::host::process::dora::server::MAX_UNREGISTERED;
use ::host::process::dora::sniff::Versions;
use ::host::process::dora::words::NodeEvent;
use arrow_array::{ArrayRef, UInt8Array};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    let deadline = Some(Duration::from_secs(20));
    stream.set_read_timeout(deadline).expect("a deadline");
    stream
}

/// Whether the other side ends the connection, without a word.
fn is_ended(mut stream: TcpStream) -> bool {
    let mut some = [0; 16];
    match stream.read(&mut some) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn what_is_no_registration_is_ended_and_named() {
    let served = serve(Versions::All);
    let frames: [(&str, Vec<u8>); 6] = [
        ("oversized", u64::MAX.to_le_bytes().to_vec()),
        ("large first", (1_u64 << 20).to_le_bytes().to_vec()),
        ("empty", framed(&[])),
        ("text", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("no registration, 0.x", framed(&[1, 0, 0, 0])),
        ("no registration, 1.x", framed(&[1, 2, 3, 4])),
    ];
    for (count, (name, bytes)) in frames.iter().enumerate() {
        let mut stream = connect(served.launch.address);
        stream.write_all(bytes).expect("it goes");
        assert!(is_ended(stream), "{name}");
        served.host.wait(name, |seen| seen.faults.len() > count);
    }
}

#[test]
fn strangers_that_say_nothing_make_room_for_others() {
    let served = serve(Versions::All);
    let mut silent: Vec<_> = (0..MAX_UNREGISTERED + 1)
        .map(|_| connect(served.launch.address))
        .collect();
    assert!(is_ended(silent.remove(0)), "the oldest goes");
}

#[test]
fn a_node_works_on_among_strangers() {
    each(|python, format| {
        let folder = host_testing::fresh_dir();
        let (served, running) = echo::started(python, folder.path());
        let mut half = connect(served.launch.address);
        half.write_all(&100_u64.to_le_bytes()).expect("it goes");
        half.write_all(&[0; 50]).expect("it goes");
        let mut wild = connect(served.launch.address);
        wild.write_all(&[0xFF; 100]).expect("it goes");
        let _silent = connect(served.launch.address);
        // The largest that is inline in every generation's frames, and more than any one read.
        let large: ArrayRef = Arc::new(UInt8Array::from(vec![5; 40 << 20]));
        served.host.put(input("data", &large));
        served.host.wait(format, |seen| seen.sent.len() == 1);
        served.host.look(|seen| {
            let back = seen.sent[0].1.array().expect("an array");
            assert!(back == large, "{format}");
        });
        served.host.put(NodeEvent::Stop);
        served.host.end();
        let output = running.ended(Duration::from_secs(30)).expect("it ends");
        assert!(output.status.success(), "{format}");
    });
}
