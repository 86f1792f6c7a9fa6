//! The other side: zenoh's publisher and subscriber, each in a process of its own, as routers that are linked directly,
//! which is what daemons are, with zenoh's own settings for the rest.

use crate::Way;
use crate::child::{Part, when_input_ends};
use crate::rounds::{Load, Outcome};
use serde_json::json;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use zenoh::bytes::ZBytes;
use zenoh::pubsub::Publisher;
use zenoh::qos::CongestionControl;
use zenoh::sample::Sample;
use zenoh::shm::{
    BlockOn, GarbageCollect, PosixShmProviderBackend, ShmProvider, ShmProviderBuilder, ZShmMut,
};
use zenoh::{Session, Wait};

const KEY: &str = "bench/out";
/// What takes longer has failed.
const LONG: Duration = Duration::from_secs(20);
/// Routes are found by then: twice zenoh's own pause, and a moment.
const SETTLED: Duration = Duration::from_millis(250);
/// The size of the shared memory.
const POOL: usize = 64 << 20;

type Provider = ShmProvider<PosixShmProviderBackend>;

/// Sends from a publisher to a subscriber.
pub fn run(way: Way, load: Load) -> Option<Outcome> {
    let name = match way {
        Way::Tcp { waits: false } => "tcp",
        Way::Tcp { waits: true } => "blocking",
        Way::Copied => "copied",
        Way::InPlace => "in-place",
        Way::Daemons { .. } => return None,
    };
    let shared = matches!(way, Way::Copied | Way::InPlace).to_string();
    let timed = (!load.pace.is_zero()).to_string();
    let subscriber = Part::start(&["subscriber", &shared, &timed]);
    let locator = subscriber.ready();
    let numbers = [
        load.bytes.to_string(),
        load.count.to_string(),
        load.pace.as_micros().to_string(),
    ];
    let [bytes, count, micros] = numbers.each_ref().map(String::as_str);
    let publisher = Part::start(&["publisher", &locator, name, bytes, count, micros]);
    if publisher.ready() != "sent" {
        return None;
    }
    Outcome::read(subscriber.lines())
}

fn open(connect: &[&str], listen: &[&str], shared: bool) -> Session {
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
    let config = zenoh::Config::from_json5(&config.to_string()).expect("a configuration");
    zenoh::open(config).wait().expect("a session")
}

/// Nanoseconds since 1970: see the plugin.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_nanos() as u64
}

/// What a subscriber has heard.
#[derive(Default)]
struct Heard {
    timed: bool,
    received: u64,
    first: u64,
    times: Vec<u64>,
}

impl Heard {
    fn take(&mut self, sample: &Sample, done: &SyncSender<String>) {
        let arrived = now();
        let payload = sample.payload();
        if payload.is_empty() {
            // The one who waits for it takes one.
            let _ = done.try_send(self.report(arrived));
            return;
        }
        self.received += 1;
        if self.timed {
            let sent = payload
                .slices()
                .next()
                .and_then(|slice| slice.first_chunk());
            let sent = sent.copied().map_or(arrived, u64::from_ne_bytes);
            self.times.push(arrived.saturating_sub(sent));
        } else if self.received == 1 {
            self.first = arrived;
        }
    }

    fn report(&self, last: u64) -> String {
        let head = [self.received, last - self.first];
        let numbers = head.iter().chain(&self.times);
        numbers.map(|number| format!("{number}\n")).collect()
    }
}

/// The part of the subscriber: says where it listens, and when the publisher has ended what it heard.
pub fn be_subscriber(shared: &str, timed: &str) {
    when_input_ends(|| std::process::exit(0));
    let session = open(&[], &["tcp/127.0.0.1:0"], shared == "true");
    let (done, report) = sync_channel(1);
    let mut heard = Heard {
        timed: timed == "true",
        times: Vec::with_capacity(100_000),
        ..Heard::default()
    };
    let subscriber = session.declare_subscriber(KEY);
    let subscriber = subscriber.callback_mut(move |sample| heard.take(&sample, &done));
    let subscriber = subscriber.wait().expect("a subscriber");
    let locators = session.info().locators().wait();
    println!("{}", locators.first().expect("it listens"));
    print!("{}", report.recv().expect("a report"));
    drop(subscriber);
    session.close().wait().expect("it closes");
}

/// The part of the publisher, which says when it has sent. Arguments: where the subscriber is, the way, bytes, count,
/// microseconds between messages.
pub fn be_publisher(arguments: &[&str]) {
    let [locator, way, numbers @ ..] = arguments else {
        panic!("no such part: {arguments:?}");
    };
    let numbers: Vec<u64> = numbers.iter().flat_map(|it| it.parse()).collect();
    let [bytes, count, micros] = numbers[..] else {
        panic!("no such part: {arguments:?}");
    };
    let shared = matches!(*way, "copied" | "in-place");
    let session = open(&[locator], &["tcp/127.0.0.1:0"], shared);
    let congestion = match *way {
        "tcp" => CongestionControl::Drop,
        // Shared memory waits for room anyway.
        _ => CongestionControl::Block,
    };
    let publisher = session
        .declare_publisher(KEY)
        .congestion_control(congestion);
    let publisher = publisher.wait().expect("a publisher");
    wait_for_subscriber(&publisher);
    let pool = shared.then(provider);
    let load = Load {
        bytes: bytes as usize,
        count,
        pace: Duration::from_micros(micros),
    };
    send(&publisher, load, pool.as_ref(), *way == "in-place");
    let end = session.put(KEY, Vec::new());
    let end = end.congestion_control(CongestionControl::Block);
    end.wait().expect("the end is sent");
    println!("sent");
    // The subscriber is first to have all; then the one who started this ends it.
    let (over, wait) = sync_channel::<()>(1);
    when_input_ends(move || drop(over));
    let _ = wait.recv();
}

fn provider() -> Provider {
    let pool = ShmProviderBuilder::default_backend(POOL).wait();
    pool.expect("memory that may be shared and locked")
}

fn wait_for_subscriber(publisher: &Publisher<'_>) {
    let end = Instant::now() + LONG;
    while !publisher
        .matching_status()
        .wait()
        .expect("a status")
        .matching()
    {
        assert!(Instant::now() < end, "no subscriber");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(SETTLED);
}

/// A message before it is sent.
enum Data {
    Own(Vec<u8>),
    Shared(ZShmMut),
}

fn send(publisher: &Publisher<'_>, load: Load, pool: Option<&Provider>, in_place: bool) {
    let mut next = Instant::now();
    for _ in 0..load.count {
        // Not while the last message is on its way, which would slow it down.
        sleep_until(next + load.pace / 2, load.pace);
        // Made before the time is taken: what is measured is the way, not the making.
        let data = match pool.filter(|_| in_place) {
            Some(pool) => {
                let mut room = room(pool, load.bytes);
                room.fill(1);
                Data::Shared(room)
            }
            None => Data::Own(vec![1; load.bytes]),
        };
        next += load.pace;
        sleep_until(next, load.pace);
        let stamp = now().to_ne_bytes();
        let payload: ZBytes = match (data, pool) {
            (Data::Shared(mut room), _) => {
                room[..8].copy_from_slice(&stamp);
                room.into()
            }
            (Data::Own(mut bytes), None) => {
                bytes[..8].copy_from_slice(&stamp);
                bytes.into()
            }
            (Data::Own(mut bytes), Some(pool)) => {
                bytes[..8].copy_from_slice(&stamp);
                let mut room = room(pool, load.bytes);
                room.copy_from_slice(&bytes);
                room.into()
            }
        };
        publisher.put(payload).wait().expect("it is published");
    }
}

/// Does nothing without a pace: the clock takes its time, too.
fn sleep_until(time: Instant, pace: Duration) {
    if !pace.is_zero() {
        std::thread::sleep(time.saturating_duration_since(Instant::now()));
    }
}

fn room(pool: &Provider, bytes: usize) -> ZShmMut {
    let room = pool.alloc(bytes).with_policy::<BlockOn<GarbageCollect>>();
    room.wait().expect("room in the shared memory")
}
