//! zenoh's publisher and subscriber, each in a process of its own, as routers that are linked directly, which is what
//! daemons are, with zenoh's own settings for the rest.
//!
//! Invariant: what is sent in shared memory is copied there after the time was taken, unless it was filled there. Absent: our
//! link.

use super::{PART, Pacing, Seen};
use crate::child::{Part, when_input_ends};
use crate::clock;
use crate::load::Load;
use crate::outcome::Outcome;
use crate::way::Zenoh;
use eyre::{OptionExt, ensure, eyre};
use serde_json::json;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};
use zenoh::bytes::ZBytes;
use zenoh::pubsub::Publisher;
use zenoh::qos::CongestionControl;
use zenoh::sample::Sample;
use zenoh::shm::{
    BlockOn, GarbageCollect, PosixShmProviderBackend, ShmProvider, ShmProviderBuilder, ZShmMut,
};
use zenoh::{Session, Wait};

const KEY: &str = "benchmark/out";
/// What takes longer has failed.
const LONG: Duration = Duration::from_secs(20);
/// Routes are found by then: twice zenoh's own pause, and a moment.
const SETTLED: Duration = Duration::from_millis(250);
/// The size of the shared memory.
const POOL: usize = 128 << 20;

type Provider = ShmProvider<PosixShmProviderBackend>;

/// zenoh's errors are texts.
fn ok<T>(result: zenoh::Result<T>) -> eyre::Result<T> {
    result.map_err(|error| eyre!("zenoh: {error}"))
}

fn name(how: Zenoh) -> &'static str {
    match how {
        Zenoh::Tcp => "tcp",
        Zenoh::TcpDrop => "tcp-drop",
        Zenoh::Copied => "copied",
        Zenoh::InPlace => "in-place",
    }
}

/// Sends from a publisher to a subscriber.
pub fn run(how: Zenoh, load: Load) -> eyre::Result<Outcome> {
    let shared = matches!(how, Zenoh::Copied | Zenoh::InPlace).to_string();
    let timed = load.is_timed().to_string();
    let subscriber = Part::this(&[PART, "subscriber", &shared, &timed])?;
    let locator = subscriber.says("listens ")?;
    let numbers = [
        load.bytes.to_string(),
        load.count.to_string(),
        load.pace.as_micros().to_string(),
        load.limit.as_micros().to_string(),
    ];
    let [bytes, count, pace, limit] = numbers.each_ref().map(String::as_str);
    let publisher = [
        PART,
        "publisher",
        &locator,
        name(how),
        bytes,
        count,
        pace,
        limit,
    ];
    let publisher = Part::this(&publisher)?;
    let sent = publisher.says("sent ")?.parse()?;
    Outcome::read(sent, &subscriber.rest()?)
}

fn open(connect: &[&str], listen: &[&str], shared: bool) -> eyre::Result<Session> {
    let config = json!({
        "mode": "router",
        "connect": { "endpoints": connect },
        "listen": { "endpoints": listen },
        "scouting": { "delay": 0, "multicast": { "enabled": false } },
        // Off: large messages that were not asked to would go through it as well.
        "transport": { "shared_memory": {
            "enabled": shared, "transport_optimization": { "enabled": false },
        } },
    });
    ok(zenoh::open(ok(zenoh::Config::from_json5(&config.to_string()))?).wait())
}

/// The part of the subscriber: says where it listens, and when the publisher has ended what it heard.
pub fn subscribe(shared: bool, timed: bool) -> eyre::Result<()> {
    when_input_ends(|| std::process::exit(0));
    let session = open(&[], &["tcp/127.0.0.1:0"], shared)?;
    let (done, report) = sync_channel(1);
    let mut seen = Seen::new(timed);
    let subscriber = session.declare_subscriber(KEY);
    let subscriber = ok(subscriber
        .callback_mut(move |sample| hear(&mut seen, &sample, &done))
        .wait())?;
    let locators = session.info().locators().wait();
    println!(
        "listens {}",
        locators.first().ok_or_eyre("it does not listen")?
    );
    print!("{}", report.recv()?);
    drop(subscriber);
    ok(session.close().wait())
}

fn hear(seen: &mut Seen, sample: &Sample, done: &SyncSender<String>) {
    let arrived = clock::now();
    let payload = sample.payload();
    if payload.is_empty() {
        // The one who waits for it takes one.
        let _ = done.try_send(seen.report());
        return;
    }
    seen.take(arrived, payload.slices().next().unwrap_or_default());
}

/// The part of the publisher, which says how much it has sent. Numbers: bytes, count, microseconds between messages, and at
/// most.
pub fn publish(locator: &str, how: &str, numbers: &[&str]) -> eyre::Result<()> {
    let numbers = numbers.iter().map(|number| number.parse::<u64>());
    let numbers: Vec<_> = numbers.collect::<Result<_, _>>()?;
    let &[bytes, count, pace, limit] = numbers.as_slice() else {
        return Err(eyre!("four numbers are needed, not {numbers:?}"));
    };
    let load = Load {
        bytes: usize::try_from(bytes)?,
        count,
        pace: Duration::from_micros(pace),
        limit: Duration::from_micros(limit),
    };
    let ways = [Zenoh::Tcp, Zenoh::TcpDrop, Zenoh::Copied, Zenoh::InPlace];
    let how = ways
        .into_iter()
        .find(|way| name(*way) == how)
        .ok_or_eyre("no such way")?;
    let shared = matches!(how, Zenoh::Copied | Zenoh::InPlace);
    let session = open(&[locator], &["tcp/127.0.0.1:0"], shared)?;
    let publisher = session
        .declare_publisher(KEY)
        .congestion_control(match how {
            Zenoh::TcpDrop => CongestionControl::Drop,
            _ => CongestionControl::Block,
        });
    let publisher = ok(publisher.wait())?;
    wait_for_subscriber(&publisher)?;
    let pool = match shared {
        true => Some(ok(ShmProviderBuilder::default_backend(POOL).wait())?),
        false => None,
    };
    let sent = send(&publisher, load, pool.as_ref(), how == Zenoh::InPlace)?;
    let end = session.put(KEY, Vec::new());
    ok(end.congestion_control(CongestionControl::Block).wait())?;
    println!("sent {sent}");
    // The subscriber is first to have all; then the one who started this ends it.
    let (over, wait) = sync_channel::<()>(1);
    when_input_ends(move || drop(over));
    let _ = wait.recv();
    Ok(())
}

fn wait_for_subscriber(publisher: &Publisher<'_>) -> eyre::Result<()> {
    let end = Instant::now() + LONG;
    while !ok(publisher.matching_status().wait())?.matching() {
        ensure!(Instant::now() < end, "no subscriber");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(SETTLED);
    Ok(())
}

/// A message before it is sent.
enum Data {
    Own(Vec<u8>),
    Shared(ZShmMut),
}

fn send(
    publisher: &Publisher<'_>,
    load: Load,
    pool: Option<&Provider>,
    in_place: bool,
) -> eyre::Result<u64> {
    let mut pacing = Pacing::new(load);
    // What is sent as fast as it goes is the same each time.
    let mut ours = vec![1; load.bytes];
    ours[..8].copy_from_slice(&pacing.stamp());
    let again = ZBytes::from(ours.clone());
    while pacing.more() {
        let data = match pool {
            // Made before the time is taken: what is measured is the way, not the making.
            Some(pool) if in_place => {
                let mut room = room(pool, load.bytes)?;
                if load.is_timed() {
                    room.fill(1);
                }
                Some(Data::Shared(room))
            }
            _ if load.is_timed() => Some(Data::Own(vec![1; load.bytes])),
            _ => None,
        };
        pacing.now();
        let stamp = |bytes: &mut [u8]| bytes[..8].copy_from_slice(&pacing.stamp());
        let payload: ZBytes = match (data, pool) {
            (Some(Data::Shared(mut room)), _) => {
                stamp(&mut room);
                room.into()
            }
            (Some(Data::Own(mut bytes)), pool) => {
                stamp(&mut bytes);
                match pool {
                    Some(pool) => copied(pool, &bytes)?,
                    None => bytes.into(),
                }
            }
            (None, Some(pool)) => copied(pool, &ours)?,
            (None, None) => again.clone(),
        };
        ok(publisher.put(payload).wait())?;
    }
    Ok(pacing.sent)
}

fn copied(pool: &Provider, bytes: &[u8]) -> eyre::Result<ZBytes> {
    let mut room = room(pool, bytes.len())?;
    room.copy_from_slice(bytes);
    Ok(room.into())
}

fn room(pool: &Provider, bytes: usize) -> eyre::Result<ZShmMut> {
    let room = pool.alloc(bytes).with_policy::<BlockOn<GarbageCollect>>();
    room.wait()
        .map_err(|error| eyre!("no room in the shared memory: {error:?}"))
}
