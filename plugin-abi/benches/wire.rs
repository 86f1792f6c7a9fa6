//! What a message costs on its way to a process and back to "taken", against a bare Unix socket in the same run.
//!
//! The program starts itself: as the node, whose callback does nothing, and as a bare echo. A round is: a message goes out,
//! the node's callback returns, its word of that comes back. Rows are measured in turns, so that what else the machine
//! does hits all of them. Compare the ratios, not the times: those are the machine's.

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    unix::main()
}

#[cfg(not(unix))]
fn main() {
    println!("the bare socket that this compares with is one of Unix");
}

#[cfg(unix)]
mod unix {
    use plugin_abi::handshake::Record;
    use plugin_abi::hosting::Room;
    use plugin_abi::message::{Message, Schema};
    use plugin_abi::meta::Timestamp;
    use plugin_abi::prelude::*;
    use plugin_abi::wire::VERSION;
    use plugin_abi::wire::channel::{Channel, Incoming, Side};
    use plugin_abi::wire::frame::{Create, FromNode, Greeting, ToNode};
    use plugin_abi::wire::memory::Pool;
    use plugin_abi::wire::page::Page;
    use plugin_abi::wire::sys::{Stream, Wait};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::process::{Child, Command, ExitCode, Stdio};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    static RECORD: Record = Record::new("bench", "0.0.0", true, false);
    const MIB: usize = 1 << 20;
    /// Bare messages are streamed up to this length.
    const ECHO: &str = "--bare-echo";

    struct Takes;

    impl Node for Takes {
        type Config = NoConfig;

        fn kind() -> Kind {
            Kind::new("takes").input("in")
        }

        fn create(_: NoConfig, _: &Context<'_>) -> Result<Self> {
            Ok(Self)
        }

        fn on_input(&mut self, _: Input<'_>, _: &Outputs) -> Result<Flow> {
            Ok(Flow::Continue)
        }
    }

    pub fn main() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        match arguments.first().map(String::as_str) {
            Some(ECHO) => return echo(arguments[1].parse().expect("a length")),
            Some("--node") => {
                return plugin_abi::executable::main(&RECORD, &[plugin_abi::export::kind::<Takes>]);
            }
            _ => {}
        }
        measure();
        ExitCode::SUCCESS
    }

    /// Answers each `length` bytes with one.
    fn echo(length: usize) -> ExitCode {
        let mut room = vec![0; length];
        let stdin = rustix_free_stdin();
        let mut socket = stdin;
        while socket.read_exact(&mut room).is_ok() && socket.write_all(&[1]).is_ok() {}
        ExitCode::SUCCESS
    }

    fn rustix_free_stdin() -> UnixStream {
        use std::os::fd::AsFd;
        let stdin = std::io::stdin();
        let owned = stdin.as_fd().try_clone_to_owned().expect("a descriptor");
        UnixStream::from(owned)
    }

    fn this() -> Command {
        Command::new(std::env::current_exe().expect("this program"))
    }

    struct Bare {
        socket: UnixStream,
        child: Child,
        data: Vec<u8>,
    }

    impl Bare {
        fn new(length: usize) -> Self {
            let (socket, there) = UnixStream::pair().expect("a pair");
            let there = Stdio::from(std::os::fd::OwnedFd::from(there));
            let arguments = [ECHO.to_owned(), length.to_string()];
            let child = this()
                .args(arguments)
                .stdin(there)
                .spawn()
                .expect("it starts");
            Self {
                socket,
                child,
                data: vec![7; length],
            }
        }

        fn round(&mut self) -> Duration {
            let began = Instant::now();
            self.socket.write_all(&self.data).expect("a reader");
            self.socket.read_exact(&mut [0]).expect("an answer");
            began.elapsed()
        }
    }

    impl Drop for Bare {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[derive(Clone, Copy, PartialEq)]
    enum How {
        Copied,
        InPlace,
    }

    struct Wired {
        channel: Arc<Channel>,
        incoming: Incoming,
        child: Child,
        _page: Page,
        data: Vec<u8>,
        how: How,
        stamp: u64,
    }

    impl Wired {
        fn new(length: usize, how: How) -> Self {
            let (stream, stdin) = Stream::pair().expect("a pair");
            let (channel, incoming) = Channel::new(stream, Side::Daemon, Pool::default());
            let greeting = Greeting {
                wire: VERSION,
                record: RECORD.as_bytes(),
            };
            channel.send(&ToNode::Greeting(greeting)).expect("room");
            let child = this()
                .arg("--node")
                .stdin(stdin.into_stdin().expect("an end"))
                .spawn()
                .expect("it starts");
            let (object, page) = Page::new().expect("memory");
            let create = Create {
                config: "{}".into(),
                inputs: vec!["in".into()],
                level: 3,
                window: 1,
                ..Create::default()
            };
            let create = ToNode::Create(Box::new(create));
            channel.put_with(&create, object).expect("room");
            channel.send(&ToNode::Go).expect("room");
            let mut wired = Self {
                channel,
                incoming,
                child,
                _page: page,
                data: vec![7; length],
                how,
                stamp: 0,
            };
            wired.wait();
            wired
        }

        /// Waits until the node takes the next message.
        fn wait(&mut self) {
            loop {
                let raw = self.incoming.next(Wait::Long).expect("a frame");
                let frame = raw.expect("it waited").decode().expect("a frame");
                match frame {
                    FromNode::Ready(_) => return,
                    FromNode::Hello(_) | FromNode::Created => {}
                    other => panic!("{other:?}"),
                }
            }
        }

        fn message(&mut self) -> Message {
            self.stamp += 1;
            let stamp = Timestamp {
                time: self.stamp,
                ..Timestamp::default()
            };
            let schema = Schema::leaf(c"C").expect("a type");
            let length = self.data.len();
            let memory: Box<dyn Room> = match self.how {
                How::InPlace => self.channel.pool().room(length).expect("memory"),
                How::Copied => {
                    return Message::from_plain(stamp, &schema, &self.data, &[]).expect("valid");
                }
            };
            Message::in_memory(stamp, &schema, length as i64, memory.freeze(), &[]).expect("valid")
        }

        fn round(&mut self) -> Duration {
            let message = self.message();
            let began = Instant::now();
            let never = || false;
            self.channel
                .put_message(0, &message, &never)
                .expect("a reader");
            self.channel.flush(&never).expect("a reader");
            self.wait();
            began.elapsed()
        }
    }

    impl Drop for Wired {
        fn drop(&mut self) {
            self.channel.close();
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    type Round = Box<dyn FnMut() -> Duration>;

    fn rows() -> Vec<(String, Round)> {
        let mut rows: Vec<(String, Round)> = Vec::new();
        for (name, length) in [
            ("8 B", 8),
            ("4 KiB", 4096),
            ("32 KiB", 32 << 10),
            ("4 MiB", 4 * MIB),
        ] {
            let mut bare = Bare::new(length);
            rows.push((
                format!("{name}, bare socket"),
                Box::new(move || bare.round()),
            ));
            let mut wired = Wired::new(length, How::Copied);
            rows.push((
                format!("{name}, wire, copied"),
                Box::new(move || wired.round()),
            ));
            if length > 8192 {
                let mut wired = Wired::new(length, How::InPlace);
                rows.push((
                    format!("{name}, wire, in place"),
                    Box::new(move || wired.round()),
                ));
            }
        }
        for how in [How::Copied, How::InPlace] {
            let mut wired = Wired::new(40 * MIB, how);
            let what = if how == How::Copied {
                "copied"
            } else {
                "in place"
            };
            rows.push((
                format!("40 MiB, wire, {what}"),
                Box::new(move || wired.round()),
            ));
        }
        rows
    }

    fn measure() {
        let mut rows = rows();
        for (title, pause, rounds) in [
            ("at once", Duration::ZERO, 200),
            ("500 Hz", Duration::from_millis(2), 40),
        ] {
            let mut times: Vec<Vec<Duration>> = vec![Vec::new(); rows.len()];
            for _ in 0..5 {
                for ((name, round), times) in rows.iter_mut().zip(&mut times) {
                    let rounds = if name.contains("MiB") {
                        rounds / 5
                    } else {
                        rounds
                    };
                    for i in 0..rounds + 5 {
                        std::thread::sleep(pause);
                        let time = round();
                        if i >= 5 {
                            times.push(time);
                        }
                    }
                }
            }
            println!("\n| {title} | p50 us | p99 us |\n| --- | --- | --- |");
            for ((name, _), mut times) in rows.iter().zip(times) {
                times.sort();
                let at =
                    |part: usize| times[(times.len() - 1) * part / 100].as_nanos() as f64 / 1e3;
                println!("| {name} | {:.1} | {:.1} |", at(50), at(99));
            }
        }
    }
}
