//! A node on a thread, and the daemon's part played by the test.

use super::*;
use crate::export;
use crate::node::{Context, Flow, Input, Kind, NoConfig, Node, Port, Result as NodeResult};
use crate::outputs::Outputs;
use crate::testing;
use crate::wire::channel::Side;
use crate::wire::frame::Line;
use crate::wire::memory::Pool;
use crate::wire::sys::{Object, Stream};
use std::thread::JoinHandle;

/// Does what the text says that it gets.
struct Obedient;

impl Node for Obedient {
    type Config = NoConfig;

    fn kind() -> Kind {
        Kind::new("obedient")
            .input(Port::ANY)
            .output("text")
            .output(Port::new("number").of("UInt64"))
    }

    fn create(_: NoConfig, context: &Context<'_>) -> NodeResult<Self> {
        context.outputs().send("text", "made")?;
        Ok(Self)
    }

    fn on_input(&mut self, input: Input<'_>, outputs: &Outputs) -> NodeResult<Flow> {
        let what = input.text()?;
        let outputs = outputs.clone();
        match what {
            "echo" => outputs.send("text", input.message())?,
            "wrong type" => outputs.send("number", "seven")?,
            "panic" => panic!("as asked"),
            "done" => return Ok(Flow::Done),
            "log" => log::warn!("a line"),
            "finish" => drop(std::thread::spawn(move || outputs.finish())),
            "fail" => drop(std::thread::spawn(move || {
                outputs.fail(&"on its own".into())
            })),
            "forever" => while outputs.send("text", "more").is_ok() {},
            other => return Err(other.into()),
        }
        Ok(Flow::Continue)
    }

    fn on_input_closed(&mut self, input: &str, outputs: &Outputs) -> NodeResult<Flow> {
        outputs.send("text", format!("closed {input}"))?;
        Ok(Flow::Continue)
    }

    fn on_stop(&mut self, why: Stop, outputs: &Outputs) -> NodeResult<()> {
        outputs.send("text", format!("stop {why:?}"))?;
        Ok(())
    }
}

static RECORD: Record = Record::new("test", "1.2.3", true, true);

/// The daemon's end.
struct Daemon {
    channel: Arc<Channel>,
    incoming: Incoming,
    page: Page,
    object: Option<Object>,
    node: JoinHandle<Result<bool, ServeError>>,
}

impl Daemon {
    /// A connection with nothing said yet.
    fn connected() -> Self {
        let (here, there) = Stream::local_pair().expect("a connection");
        let (channel, incoming) = Channel::new(here, Side::Daemon, Pool::default());
        let (object, page) = Page::new().expect("memory");
        let node = std::thread::spawn(move || {
            let (_, incoming) = Channel::new(there, Side::Node, Pool::default());
            let level = Arc::new(AtomicU32::new(0));
            let library = LibraryTable::new("", level.clone(), |_| {});
            crate::log::install(library.as_ptr());
            let kind = KindTable::own(Box::leak(Box::new(export::kind::<Obedient>())));
            let mut find = |create: &Create| match create.kind.as_str() {
                "obedient" => Ok((kind, library)),
                other => Err(NodeFailure::new(format!("no kind {other}"))),
            };
            serve(&RECORD, incoming, level, &mut find)
        });
        Self {
            channel,
            incoming,
            page,
            object: Some(object),
            node,
        }
    }

    fn greet(&self, record: &[u8], wire: u16) {
        let greeting = Greeting { wire, record };
        self.channel
            .send(&ToNode::Greeting(greeting))
            .expect("sent");
    }

    fn create(&mut self, kind: &str) {
        let create = Create {
            node_id: "node".into(),
            dataflow_id: "flow".into(),
            kind: kind.into(),
            config: "{}".into(),
            inputs: vec!["in".into()],
            outputs: vec!["text".into(), "number".into()],
            level: 3,
            window: 2,
            ..Create::default()
        };
        let object = self.object.take().expect("once");
        let create = Create {
            page: object.name(),
            ..create
        };
        let create = ToNode::Create(Box::new(create));
        self.channel.put_with(&create, object).expect("room");
        self.flush();
    }

    /// One that has been made and told to go.
    fn gone() -> Self {
        let mut daemon = Self::connected();
        daemon.greet(RECORD.as_bytes(), super::super::VERSION);
        daemon.create("obedient");
        daemon.channel.send(&ToNode::Go).expect("sent");
        let expected = ["hello", "created", "ready 2", "0: made"];
        assert_eq!(daemon.heard(expected.len()), expected);
        daemon
    }

    fn flush(&self) {
        self.channel.flush(&|| false).expect("connected");
    }

    fn say(&self, text: &str) {
        let message = testing::message(text, &crate::meta::Parameters::new());
        let put = self.channel.put_message(0, &message, &|| false);
        put.expect("connected");
        self.flush();
    }

    fn hear(&mut self) -> String {
        let channel = self.channel.clone();
        let raw = match self.incoming.next(Wait::Long) {
            Ok(raw) => raw.expect("it waited"),
            Err(error) => return error.to_string(),
        };
        match raw.decode().expect("a frame") {
            FromNode::Hello(greeting) => {
                assert_eq!(greeting.record, RECORD.as_bytes());
                "hello".into()
            }
            FromNode::Created => "created".into(),
            FromNode::NotCreated(why) => format!("not created: {why}"),
            FromNode::Output(packet) => {
                let message = channel.message(&packet).expect("a message");
                format!("{}: {}", packet.port, message.text().expect("text"))
            }
            FromNode::Ready(messages) => format!("ready {messages}"),
            FromNode::Ended(ended) => match ended.how {
                How::Done => "done".into(),
                How::Stopped => "stopped".into(),
                How::Failed(failure) => format!("failed: {failure}"),
            },
            FromNode::Log(Line { message, .. }) => format!("log: {message}"),
            FromNode::Unread { output, messages } => format!("unread {output}: {messages}"),
            FromNode::Taken { input, taken, .. } => format!("taken {input}: {taken}"),
        }
    }

    fn heard(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.hear()).collect()
    }

    fn end(self) -> Result<bool, String> {
        let Self { incoming, node, .. } = self;
        drop(incoming);
        let served = node.join().expect("no panic leaves it");
        served.map_err(|error| error.to_string())
    }
}

#[test]
fn it_does_what_a_plugin_does() {
    let mut daemon = Daemon::gone();
    daemon.say("echo");
    assert_eq!(daemon.heard(2), ["0: echo", "ready 1"]);
    daemon.say("log");
    assert_eq!(daemon.heard(2), ["log: a line", "ready 1"]);
    daemon.channel.put(&ToNode::Closed(0)).expect("room");
    let stop = ToNode::Stop(Stop::InputsClosed);
    daemon.channel.send(&stop).expect("sent");
    let expected = ["0: closed in", "0: stop InputsClosed", "done"];
    assert_eq!(daemon.heard(3), expected);
    assert_eq!(daemon.page.begun(), 6);
    assert_eq!(daemon.page.within(), None);
    assert_eq!(daemon.end(), Ok(true));
}

#[test]
fn every_way_to_end_is_told() {
    for (said, expected, good) in [
        ("done", "done", true),
        ("finish", "done", true),
        ("fail", "failed: on its own", false),
        ("no picture", "failed: no picture", false),
        (
            "panic",
            "failed: panicked at plugin-abi/src/wire/node/tests.rs",
            false,
        ),
        (
            "wrong type",
            "failed: output \"number\" is declared as UInt64",
            false,
        ),
    ] {
        let mut daemon = Daemon::gone();
        daemon.say(said);
        let mut last = daemon.hear();
        if last == "ready 1" {
            last = daemon.hear();
        }
        let last = last.replace('\\', "/");
        assert!(last.starts_with(expected), "{said}: {last}");
        assert_eq!(daemon.end(), Ok(good), "{said}");
    }
}

#[test]
fn a_request_to_stop_reaches_a_node_that_only_sends() {
    let mut daemon = Daemon::gone();
    daemon.say("forever");
    assert_eq!(daemon.hear(), "0: more");
    let stop = ToNode::Stop(Stop::Requested);
    daemon.channel.send(&stop).expect("sent");
    loop {
        match daemon.hear().as_str() {
            "0: more" | "ready 1" => {}
            last => break assert_eq!(last, "stopped"),
        }
    }
    assert_eq!(daemon.end(), Ok(true));
}

#[test]
fn what_nobody_reads_is_counted_and_not_sent() {
    let mut daemon = Daemon::gone();
    let (output, wanted) = (0, false);
    let unwanted = ToNode::Wanted { output, wanted };
    daemon.channel.put(&unwanted).expect("room");
    daemon.say("echo");
    daemon.say("done");
    assert_eq!(daemon.heard(3), ["ready 1", "unread 0: 1", "done"]);
}

#[test]
fn without_a_daemon_it_stops() {
    let daemon = Daemon::gone();
    let ended = daemon.end().expect_err("nobody to tell");
    assert_eq!(ended, "the other end of the connection is gone");
}

#[test]
fn what_cannot_be_made_says_why() {
    let mut daemon = Daemon::connected();
    daemon.greet(RECORD.as_bytes(), super::super::VERSION);
    daemon.create("other");
    let expected = ["hello", "not created: no kind other"];
    assert_eq!(daemon.heard(2), expected);
    assert_eq!(daemon.end(), Ok(false));
}

#[test]
fn another_version_is_refused_with_both_versions() {
    let mut newer = RECORD;
    newer.message_format.minor = 9;
    newer.abi.minor = 9;
    let mut abi = RECORD;
    abi.abi.minor = 9;
    for (record, wire, expected) in [
        (
            newer.as_bytes(),
            1,
            "version mismatch: message format v0.7.0 is not compatible with expected message format v0.9.0; rebuild it with plugin-abi 0.9",
        ),
        (
            abi.as_bytes(),
            1,
            "built for plugin ABI 0.7, this dora speaks 0.9; rebuild it with plugin-abi 0.9",
        ),
        (
            RECORD.as_bytes(),
            8,
            "version mismatch: node wire 8 is not compatible with node wire 3; build node and dora from one release",
        ),
        (
            b"nothing".as_slice(),
            1,
            "version mismatch: the daemon's greeting has no handshake record",
        ),
    ] {
        let mut daemon = Daemon::connected();
        daemon.greet(record, wire);
        assert_eq!(daemon.hear(), "hello");
        assert_eq!(daemon.end(), Err(expected.into()));
    }
}
