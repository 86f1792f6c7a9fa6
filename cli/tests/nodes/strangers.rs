//! Who connects to the port for nodes and is none, while a dataflow runs: it goes on, and what strangers cost is bounded.

use crate::DEADLINE;
use crate::dataflow::{Dataflow, Running};
use crate::place::{Place, each};
use host_testing::wait_until;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Connections at once, which is more than may be open before they have registered.
const MANY: usize = 400;
/// What they may cost, in KiB. That many with what the largest may announce would cost 25 GiB.
const MOST_KIB: u64 = 200 << 10;

/// What a node of dora was told: where its daemon listens, and its dataflow.
struct Told {
    address: SocketAddr,
    dataflow: String,
}

fn told(running: &Running) -> Told {
    let process = *running.subjects().first().expect("a process");
    let environment = std::fs::read(format!("/proc/{process}/environ")).expect("its environment");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let value = |key: &str| {
        let (_, rest) = environment.split_once(key).expect("a key");
        let value = rest.trim_start_matches([':', ' ', '"', '\'']);
        let end = value.find(['"', '\'', '\n', ',', '}']);
        value[..end.unwrap_or(value.len())].trim().to_owned()
    };
    Told {
        address: value("socket_addr").parse().expect("an address"),
        dataflow: value("dataflow_id"),
    }
}

/// The bytes of an id.
fn id(text: &str) -> [u8; 16] {
    let digits = text.replace('-', "");
    let number = u128::from_str_radix(&digits, 16).expect("an id");
    number.to_be_bytes()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u64).to_le_bytes(), body].concat()
}

/// A registration as nodes of dora 1.1 write it, as far as it is read.
fn register_v1(dataflow: &str, node: &str) -> Vec<u8> {
    let mut body = vec![0, 16];
    body.extend(id(dataflow));
    for text in [node, "1.1.0"] {
        body.push(u8::try_from(text.len()).expect("short"));
        body.extend(text.as_bytes());
    }
    body.push(2);
    framed(&body)
}

/// As nodes of dora 0.4 write it.
fn register_v0(dataflow: &str, node: &str) -> Vec<u8> {
    let mut body = vec![0; 4];
    for text in [&id(dataflow)[..], node.as_bytes(), b"0.7.0"] {
        body.extend((text.len() as u64).to_le_bytes());
        body.extend(text);
    }
    framed(&body)
}

/// What is answered to a first frame, to the end of the connection.
fn answer(address: SocketAddr, frame: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(frame).expect("it goes");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an end");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A dataflow that goes on until it is stopped, with a node of this release in the middle that has begun.
fn running(place: Place) -> Running {
    let mut dataflow = Dataflow::new(place, "inspect", &[]);
    (dataflow.source, dataflow.tick) = ("count: 1000000, bytes: 1000", 5);
    let running = dataflow.start();
    running.says("subject", "passed on");
    running
}

fn ends_well(running: Running) {
    running.stop();
    let ended = running.end().exits(0).row("subject", "stopped");
    for checker in ["checker", "witness"] {
        let (received, missing) = ended.checked(checker);
        assert!(received > 0 && missing == 0, "{}", ended.run());
    }
}

#[test]
fn who_is_nobody_of_the_dataflow_or_another_than_who_is_there_is_refused() {
    each(&[Place::Dora("1.1.0")], |place| {
        let running = running(place);
        let Told { address, dataflow } = told(&running);
        let nobody = format!("of dataflow {dataflow} is expected here");
        for (frame, wanted) in [
            (register_v1(&dataflow, "nobody"), &*nobody),
            (register_v0(&dataflow, "nobody"), &nobody),
            // A plugin has no connection here.
            (register_v1(&dataflow, "source"), &nobody),
            (
                register_v1("00000000-0000-0000-0000-000000000000", "subject"),
                "is expected here",
            ),
            (
                register_v0(&dataflow, "subject"),
                "registered already, with message format v1.1.0",
            ),
        ] {
            let answer = answer(address, &frame);
            assert!(answer.contains(wanted), "{answer:?}");
        }
        // None of which was the node's.
        ends_well(running);
    });
}

#[test]
fn many_strangers_at_once_harm_nobody() {
    each(
        &[Place::Dora("1.1.0"), Place::Dora("0.4.1"), Place::DoraRust],
        |place| {
            let running = running(place);
            let address = told(&running).address;
            let before = memory(&running);
            let mut open: Vec<TcpStream> = (0..MANY).map(|_| connect(address)).collect();
            for (count, stream) in open.iter_mut().enumerate() {
                let bytes: &[u8] = match count % 5 {
                    // A frame that never ends, one as long as may be, one that is too long, and what is none.
                    0 => &[100, 0, 0, 0, 0, 0, 0, 0, 0, 16],
                    1 => &(64_u64 << 10).to_le_bytes(),
                    2 => &u64::MAX.to_le_bytes(),
                    3 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                    // Says nothing.
                    _ => &[],
                };
                // Those that were open for longest have been ended by now.
                let _ = stream.write_all(bytes);
            }
            let (part, mut sent) = (vec![7; 60 << 10], 0);
            for stream in &mut open {
                // As much as a first frame may have, and slowly.
                sent += usize::from(stream.write_all(&part).is_ok());
            }
            assert!(sent > 0, "somebody is served");
            let more = running.count("passed on") + 20;
            wait_until("the dataflow goes on", DEADLINE, || {
                for stream in &mut open {
                    let _ = stream.write_all(&[0]);
                }
                running.count("passed on") >= more
            });
            let now = memory(&running);
            assert!(now < before + MOST_KIB, "{before} KiB, then {now} KiB");
            drop(open);
            ends_well(running);
        },
    );
}

/// Resident memory of the command's worker, in KiB.
fn memory(running: &Running) -> u64 {
    let workers = running.workers();
    let of = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    workers.iter().filter_map(of).sum()
}
