//! The wires against dora's own crates, golden bytes, and bytes that are neither.

use super::frame::{Frames, HEADER, MAX_FIRST, framed};
use super::launch::{self, Launch, LaunchInput};
use super::segment::{NoSegments, Segments, SystemSegments};
use super::sniff::{self, First, Generation, Hello, Versions};
use super::words::{Malformed, NodeRequest};
use super::{v0, v1};
use crate::ids::DataflowId;
use semver::Version;
use uuid::Uuid;

mod arrays;

pub(super) const FLOW: Uuid = Uuid::from_bytes([0xAB; 16]);

/// A registration as 0.7 writes it.
pub(super) fn register_v0(node: &str) -> Vec<u8> {
    use dora_message_v0::common::Timestamped;
    use dora_message_v0::node_to_daemon::{DaemonRequest, NodeRegisterRequest};
    let request = NodeRegisterRequest::new(FLOW, node.to_owned().into());
    bincode::serialize(&Timestamped {
        inner: DaemonRequest::Register(request),
        timestamp: stamp_v0(),
    })
    .expect("bytes")
}

/// A registration as 1.1 writes it.
pub(super) fn register_v1(node: &str) -> Vec<u8> {
    use dora_message::common::Timestamped;
    use dora_message::node_to_daemon::{DaemonRequest, NodeRegisterRequest};
    let request = NodeRegisterRequest::new(FLOW, node.parse().expect("a name"));
    dora_message::encode(&Timestamped {
        inner: DaemonRequest::Register(request),
        timestamp: stamp_v1(),
    })
    .expect("bytes")
}

pub(super) fn stamp_v0() -> dora_message_v0::uhlc::Timestamp {
    use dora_message_v0::uhlc::{ID, NTP64, Timestamp};
    Timestamp::new(NTP64(5 << 32), ID::try_from([9_u8; 16]).expect("an id"))
}

pub(super) fn stamp_v1() -> dora_message::uhlc::Timestamp {
    use dora_message::uhlc::{ID, NTP64, Timestamp};
    Timestamp::new(NTP64(5 << 32), ID::try_from([9_u8; 16]).expect("an id"))
}

fn replaced(bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|it| it == from);
    let mut bytes = bytes;
    let at = at.expect("it is there");
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

fn hello(frame: &[u8]) -> Hello {
    match sniff::first(frame) {
        Ok(First::Register(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

#[test]
fn registrations_are_read_as_they_are_written() {
    let mut golden = vec![0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0];
    golden.extend([0xAB; 16]);
    golden.extend([1, 0, 0, 0, 0, 0, 0, 0, b'n', 5, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend(b"0.7.0");
    assert!(register_v0("n").starts_with(&golden));
    let mut golden = vec![0, 16];
    golden.extend([0xAB; 16]);
    golden.extend([1, b'n', 5]);
    golden.extend(b"1.1.0");
    golden.push(2);
    assert!(register_v1("n").starts_with(&golden));

    for (frame, generation, version, metadata) in [
        (register_v0("camera"), Generation::V0, "0.7.0", None),
        (register_v1("camera"), Generation::V1, "1.1.0", Some(2)),
    ] {
        let expected = Hello {
            generation,
            dataflow: DataflowId::from_uuid(FLOW),
            node: "camera".parse().expect("a name"),
            version: version.parse().expect("a version"),
            metadata_version: metadata,
        };
        assert_eq!(hello(&frame), expected);
    }
}

#[test]
fn versions_are_served_or_refused_in_their_own_words() {
    let frame = |generation, version: &str| match generation {
        Generation::V0 => replaced(register_v0("n"), b"0.7.0", version.as_bytes()),
        Generation::V1 => replaced(register_v1("n"), b"1.1.0", version.as_bytes()),
    };
    let check =
        |generation, version, versions| sniff::check(&hello(&frame(generation, version)), versions);
    let mismatch = |theirs, ours| {
        Err(format!(
            "version mismatch: message format v{theirs} is not compatible with expected message format v{ours}"
        ))
    };
    use Generation::{V0, V1};
    use Versions::{All, Strict};
    for (generation, version) in [
        (V0, "0.5.0"),
        (V0, "0.6.0"),
        (V0, "0.7.9"),
        (V0, "0.8.0"),
        (V1, "1.0.0"),
        (V1, "1.1.0"),
        (V1, "1.9.0"),
    ] {
        assert_eq!(check(generation, version, All), Ok(()), "{version}");
        let strict = check(generation, version, Strict);
        match version {
            "0.7.9" => assert_eq!(strict, Ok(())),
            _ => assert_eq!(strict, mismatch(version, "0.7.0")),
        }
    }
    assert_eq!(check(V0, "0.4.9", All), mismatch("0.4.9", "0.7.0"));
    assert_eq!(check(V0, "0.9.0", All), mismatch("0.9.0", "0.7.0"));
    assert_eq!(check(V1, "2.0.0", All), mismatch("2.0.0", "1.1.0"));

    let mut other = hello(&register_v1("n"));
    other.metadata_version = Some(3);
    let text = sniff::check(&other, All).expect_err("another format of metadata");
    assert!(text.contains("metadata format v3"), "{text}");
    assert_eq!(Version::new(0, 7, 0), hello(&register_v0("n")).version);
}

#[test]
fn a_refusal_is_what_dora_reads_as_one() {
    for text in ["no", &"long ".repeat(100)] {
        let body = sniff::refusal(Generation::V0, text);
        let reply: dora_message_v0::daemon_to_node::DaemonReply =
            bincode::deserialize(&body).expect("a reply");
        let dora_message_v0::daemon_to_node::DaemonReply::Result(Err(read)) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(read, text);
        let body = sniff::refusal(Generation::V1, text);
        let reply = dora_message::decode(&body).expect("a reply");
        let dora_message::daemon_to_node::DaemonReply::Result(Err(read)) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(read, text);
    }
    let mut golden = vec![0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
    golden.extend(b"no");
    assert_eq!(sniff::refusal(Generation::V0, "no"), golden);
    assert_eq!(sniff::refusal(Generation::V1, "no"), b"\0\x01\x02no");
}

#[test]
fn frames_come_out_as_they_went_in_however_they_are_cut() {
    let bodies: Vec<Vec<u8>> = [0, 1, 7, 100, 40_000, 70_000, 3_000_000, 3]
        .iter()
        .map(|length| (0..*length).map(|it: u32| it as u8).collect())
        .collect();
    let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
    for step in [1_usize, 9, 4096, 1 << 22] {
        let stream = if step == 1 {
            &stream[..41_000]
        } else {
            &stream[..]
        };
        let mut frames = Frames::new(4 << 20);
        let (mut at, mut out) = (0, Vec::new());
        while at < stream.len() {
            let room = frames.room();
            let count = step.min(room.len()).min(stream.len() - at);
            room[..count].copy_from_slice(&stream[at..at + count]);
            frames.filled(count);
            at += count;
            while let Some(body) = frames.cut().expect("frames") {
                out.push(body.to_vec());
            }
        }
        assert!(out.len() >= 5 && bodies.starts_with(&out), "step {step}");
        assert_eq!(frames.is_within(), step == 1);
    }
}

#[test]
fn a_frame_costs_what_has_arrived_not_what_was_announced() {
    let mut frames = Frames::new(MAX_FIRST);
    frames.room()[..HEADER].copy_from_slice(&u64::MAX.to_le_bytes());
    frames.filled(HEADER);
    assert!(matches!(frames.cut(), Err(Malformed(text)) if text.contains("at most")));

    let mut frames = Frames::new(64 << 20);
    frames.room()[..HEADER].copy_from_slice(&(64_u64 << 20).to_le_bytes());
    frames.filled(HEADER);
    assert!(matches!(frames.cut(), Ok(None)));
    assert!(frames.room().len() <= 1 << 20);
}

#[test]
fn memory_for_large_frames_is_kept_while_there_are_some() {
    let mut frames = Frames::new(64 << 20);
    let mut pass = |length: usize| {
        let frame = framed(&vec![7; length]);
        let mut at = 0;
        while at < frame.len() {
            let room = frames.room();
            let count = room.len().min(frame.len() - at);
            room[..count].copy_from_slice(&frame[at..at + count]);
            frames.filled(count);
            at += count;
        }
        assert_eq!(frames.cut().expect("a frame").expect("whole").len(), length);
        frames.room().len()
    };
    assert!(pass(10) <= 1 << 16);
    assert!(pass(4 << 20) >= 4 << 20, "kept");
    assert!(pass(10) >= 4 << 20, "also after a small one");
    assert!(pass(30 << 20) <= 1 << 16, "too much to keep");
    pass(4 << 20);
    for _ in 0..2000 {
        pass(10);
    }
    assert!(pass(10) <= 1 << 16, "there were none for long");
}

#[test]
fn bytes_that_are_no_requests_are_refused_and_harm_nobody() {
    let requests = arrays::requests();
    let mut random = fastrand::Rng::with_seed(7);
    let mut read = 0;
    for request in &requests {
        for end in 0..request.len().min(600) {
            try_all(&request[..end]);
        }
        for _ in 0..400 {
            let mut bytes = request.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                let any = random.u8(..);
                let bytes_that_matter = [0, 1, 0x7F, 0x80, 0xFF, any];
                bytes[at] = bytes_that_matter[random.usize(..bytes_that_matter.len())];
            }
            read += usize::from(try_all(&bytes));
        }
    }
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
        try_all(&bytes);
    }
    assert!(read > 0, "some must get further than the frame");
}

fn try_all(bytes: &[u8]) -> bool {
    let _ = sniff::first(bytes);
    v0::decode(bytes, &NoSegments).is_ok() | v1::decode(bytes).is_ok()
}

#[test]
fn a_type_nested_without_end_is_refused() {
    // A dictionary of dictionaries: four bytes a level.
    let mut bytes = vec![2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'o', 0, 0];
    bytes.extend([0; 24]);
    for _ in 0..1_000_000 {
        bytes.extend(34_u32.to_le_bytes());
    }
    let Err(Malformed(text)) = v0::decode(&bytes, &NoSegments) else {
        panic!("it is no request");
    };
    assert!(text.contains("too deep"), "{text}");
}

#[test]
fn a_name_from_the_wire_stays_in_the_folder_of_shared_memory() {
    for name in ["", "/", "../etc/passwd", "/a/b", "a b", &"x".repeat(200)] {
        assert!(SystemSegments.read(name, 1).is_err(), "{name}");
    }
    assert!(SystemSegments.read("shmem_none", usize::MAX).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn shared_memory_goes_with_its_last_holder() {
    let segment = SystemSegments.create(&[1, 2, 3]).expect("a segment");
    let name = segment.name().to_owned();
    assert_eq!(SystemSegments.read(&name, 3).expect("it"), [1, 2, 3]);
    assert!(SystemSegments.read(&name, 4).is_err());
    let other = segment.clone();
    drop(segment);
    // It is no node's.
    SystemSegments.remove(&name);
    assert!(SystemSegments.read(&name, 3).is_ok());
    drop(other);
    assert!(SystemSegments.read(&name, 3).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn shared_memory_that_a_node_has_left_is_removed() {
    let name = format!("/shmem_{}", Uuid::now_v7().simple());
    let file = format!("/dev/shm{name}");
    std::fs::write(&file, [1]).expect("a file");
    SystemSegments.remove(&name);
    assert!(!std::path::Path::new(&file).exists());
}

fn launch() -> Launch {
    Launch {
        dataflow: DataflowId::from_uuid(FLOW),
        node: "node".parse().expect("a name"),
        inputs: vec![LaunchInput {
            input: "tick".parse().expect("a name"),
            source: "dora/timer/millis/200".to_owned(),
            queue: 3,
        }],
        outputs: ["out", "direct"]
            .map(|name| name.parse().expect("a name"))
            .to_vec(),
        address: ([127, 0, 0, 1], 4711).into(),
        descriptor: serde_json::json!({"nodes": [], "name": "quote\" ä \u{85} : # {"}),
        dynamic: false,
        restarts: 2,
        direct: [(
            "direct".parse().expect("a name"),
            vec![(
                "reader".parse().expect("a name"),
                "in".parse().expect("a name"),
            )],
        )]
        .into(),
    }
}

#[test]
fn every_generation_reads_its_configuration() {
    let yaml = launch().yaml();
    let old: dora_message_v0::daemon_to_node::NodeConfig =
        serde_yaml::from_str(&yaml).expect("0.x reads it");
    let new: dora_message::daemon_to_node::NodeConfig =
        serde_yaml::from_str(&yaml).expect("1.x reads it");
    assert_eq!((old.dataflow_id, new.dataflow_id), (FLOW, FLOW));
    assert_eq!(new.restart_count, 2);
    let routing = new.output_routing.expect("a routing");
    let routing: Vec<_> = routing
        .iter()
        .map(|(output, of)| (output.to_string(), of.daemon_only, of.required_ackers.len()))
        .collect();
    assert_eq!(
        routing,
        [("direct".to_owned(), false, 1), ("out".to_owned(), true, 0)]
    );
    let old_input = old.run_config.inputs.values().next().expect("an input");
    let new_input = new.run_config.inputs.values().next().expect("an input");
    assert_eq!(
        (old_input.queue_size, new_input.queue_size),
        (Some(3), Some(3))
    );
    assert_eq!(new.dataflow_descriptor["name"], "quote\" ä \u{85} : # {");
    assert!(format!("{:?}", old.daemon_communication).contains("127.0.0.1:4711"));
    assert!(format!("{:?}", new.daemon_communication).contains("127.0.0.1:4711"));

    let json = launch::answer(&Ok(launch()));
    let old: dora_message_v0::daemon_to_node::DaemonReply =
        serde_json::from_slice(&json).expect("0.x reads it");
    assert!(format!("{old:?}").contains("127.0.0.1:4711"));
    let _: dora_message::dynamic_node::DynamicNodeConfigReply =
        serde_json::from_slice(&json).expect("1.x reads it");
    let json = launch::answer(&Err("none".to_owned()));
    let old: dora_message_v0::daemon_to_node::DaemonReply =
        serde_json::from_slice(&json).expect("0.x reads it");
    assert!(format!("{old:?}").contains("none"));
}

#[test]
fn a_descriptor_that_no_variable_holds_is_left_out() {
    let mut launch = launch();
    launch.descriptor = serde_json::json!({"nodes": [], "name": "x".repeat(200_000)});
    let yaml = launch.yaml();
    assert!(yaml.len() < 2_000);
    let read: dora_message::daemon_to_node::NodeConfig =
        serde_yaml::from_str(&yaml).expect("a node reads it");
    assert_eq!(read.dataflow_id, FLOW);
}

#[test]
fn a_dynamic_node_is_understood_before_it_registers() {
    use dora_message_v0::node_to_daemon::DaemonRequest;
    let old = bincode::serialize(&dora_message_v0::common::Timestamped {
        inner: DaemonRequest::NodeConfig {
            node_id: "plot".to_owned().into(),
        },
        timestamp: stamp_v0(),
    })
    .expect("bytes");
    let new = dora_message::encode(&dora_message::common::Timestamped {
        inner: dora_message::node_to_daemon::DaemonRequest::NodeConfig {
            node_id: "plot".parse().expect("a name"),
        },
        timestamp: stamp_v1(),
    })
    .expect("bytes");
    for (frame, generation) in [(old, Generation::V0), (new, Generation::V1)] {
        let node = "plot".to_owned();
        assert_eq!(
            sniff::first(&frame),
            Ok(First::NodeConfig { generation, node })
        );
    }
    assert!(matches!(
        v1::decode(&register_v1("n")),
        Ok(NodeRequest::RegisterAgain)
    ));
}
