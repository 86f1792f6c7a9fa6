//! One connection: from its first frame to its end.

use super::super::frame::{Frames, MAX_FIRST, MAX_FRAME, framed};
use super::super::launch;
use super::super::session::{Connection, Event};
use super::super::sniff::{self, First, Generation, Hello};
use super::super::words::Malformed;
use super::Shared;
use super::node::{Node, Out};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

/// How long a first frame may take after its first byte, and a refusal to be written.
const FIRST: Duration = Duration::from_secs(10);
/// How long a connection that was ended here may take to end there, so that the last reply is read.
const LINGER: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(super) async fn run(stream: TcpStream, shared: Arc<Shared>, id: u64, evicted: Arc<Notify>) {
    let mut wire = Wire {
        stream,
        frames: Frames::new(MAX_FIRST),
    };
    let first = tokio::select! {
        () = evicted.notified() => return,
        first = wire.first() => first,
    };
    shared.registered(id);
    match first {
        Ok(Some(First::Register(hello))) => {
            let connection = Connection(id);
            match admit(&shared, &hello, connection) {
                Ok((node, outbox)) => {
                    wire.frames.accept(MAX_FRAME);
                    // An end that was not announced is an end as well.
                    let _ = wire.serve(&node, connection, outbox).await;
                    node.closed(connection);
                }
                Err(text) => wire.refuse(hello.generation, &text).await,
            }
        }
        Ok(Some(First::NodeConfig { node, .. })) => {
            let answer = launch::answer(&shared.host.configuration(&node));
            wire.end_with(&answer).await;
        }
        // It has ended.
        Ok(None) => {}
        Err(error) => shared.host.stranger(&error.to_string()),
    }
}

fn admit(
    shared: &Arc<Shared>,
    hello: &Hello,
    connection: Connection,
) -> Result<(Arc<Node>, mpsc::Receiver<Out>), String> {
    let admitted = sniff::check(hello, shared.options.versions)
        .and_then(|()| Node::register(shared, hello.clone(), connection));
    admitted.inspect_err(|text| shared.host.refused(hello, text))
}

struct Wire {
    stream: TcpStream,
    frames: Frames,
}

impl Wire {
    /// The first frame; `None` when there will be none.
    async fn first(&mut self) -> Result<Option<First>, Malformed> {
        if !matches!(self.read().await, Ok(1..)) {
            return Ok(None);
        }
        let whole = async {
            loop {
                if let Some(frame) = self.frames.cut()? {
                    return sniff::first(frame).map(Some);
                }
                if !matches!(self.read().await, Ok(1..)) {
                    return Ok(None);
                }
            }
        };
        timeout(FIRST, whole)
            .await
            .unwrap_or_else(|_| Err(Malformed::new("its first frame did not arrive in time")))
    }

    async fn read(&mut self) -> io::Result<usize> {
        let count = self.stream.read(self.frames.room()).await?;
        self.frames.filled(count);
        Ok(count)
    }

    /// Requests in, replies out, until either side ends.
    async fn serve(
        &mut self,
        node: &Node,
        connection: Connection,
        mut outbox: mpsc::Receiver<Out>,
    ) -> io::Result<()> {
        loop {
            let held = self.requests(node, connection)?;
            tokio::select! {
                biased;
                out = outbox.recv() => match out {
                    Some(Out::Body(body)) => self.write(&body).await?,
                    Some(Out::HangUp) | None => {
                        self.linger().await;
                        return Ok(());
                    }
                },
                () = node.room.notified(), if held => {}
                read = self.stream.read(self.frames.room()), if !held => match read? {
                    0 => return Ok(()),
                    count => self.frames.filled(count),
                },
            }
        }
    }

    /// Handles what has arrived; whether the rest has to wait for room.
    fn requests(&mut self, node: &Node, connection: Connection) -> io::Result<bool> {
        while node.end.has_room() {
            let request = match self.frames.cut() {
                Ok(None) => return Ok(false),
                Ok(Some(frame)) => node.decode(frame),
                Err(error) => Err(error),
            };
            match request {
                Ok(request) => node.handle(Event::Request(connection, request)),
                Err(error) => {
                    // What follows cannot be trusted to be what it seems.
                    node.end
                        .fault(&format!("its connection is closed: {error}"));
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        Ok(true)
    }

    async fn write(&mut self, body: &[u8]) -> io::Result<()> {
        /// Up to this length one call with a copy is cheaper than two.
        const JOINED: usize = 16 << 10;
        if body.len() <= JOINED {
            return self.stream.write_all(&framed(body)).await;
        }
        self.stream
            .write_all(&(body.len() as u64).to_le_bytes())
            .await?;
        self.stream.write_all(body).await
    }

    async fn refuse(&mut self, generation: Generation, text: &str) {
        self.end_with(&sniff::refusal(generation, text)).await;
    }

    async fn end_with(&mut self, body: &[u8]) {
        if timeout(FIRST, self.write(body)).await.is_ok() {
            self.linger().await;
        }
    }

    /// Ends this side and waits for the other: bytes left unread would cancel what was written.
    async fn linger(&mut self) {
        let _ = self.stream.shutdown().await;
        let mut ignored = [0; 1024];
        let _ = timeout(LINGER, async {
            while matches!(self.stream.read(&mut ignored).await, Ok(1..)) {}
        })
        .await;
    }
}
