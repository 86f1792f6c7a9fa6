//! The listener with nodes of a few lines, which speak dora's own types.

use super::{NodeServer, ServerOptions};
use crate::ids::{DataflowId, PortName};
use crate::process::dora::frame::framed;
use crate::process::dora::host::{NodeEnd, NodeHost, Taken, Wake};
use crate::process::dora::launch::Launch;
use crate::process::dora::sniff::Hello;
use crate::process::dora::tests::{FLOW, register_v0, register_v1, stamp_v1};
use crate::process::dora::words::NodeEvent;
use dora_message::common::Timestamped;
use dora_message::daemon_to_node::{DaemonReply, NodeEvent as WireEvent};
use dora_message::metadata::Metadata;
use dora_message::node_to_daemon::DaemonRequest;
use plugin_abi::message::Message;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Inner {
    sent: usize,
    room: usize,
    events: Vec<NodeEvent>,
    last: bool,
    detached: usize,
    wake: Option<Wake>,
}

#[derive(Clone, Default)]
struct Host(Arc<(Mutex<Inner>, Condvar, AtomicUsize)>);

impl Host {
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let out = change(&mut inner);
        self.0.1.notify_all();
        out
    }

    fn wake(&self) {
        if let Some(wake) = self.with(|inner| inner.wake.clone()) {
            wake.wake();
        }
    }

    fn wait(&self, so: impl Fn(&Inner) -> bool) {
        let inner = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(inner, DEADLINE, |it| !so(it));
        let (_inner, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out());
    }
}

impl NodeHost for Host {
    fn attach(&self, hello: &Hello, wake: Wake) -> Result<Arc<dyn NodeEnd>, String> {
        if hello.node.as_str() != "node" {
            return Err(format!("no node `{}`", hello.node.as_str()));
        }
        self.with(|inner| inner.wake = Some(wake));
        Ok(Arc::new(self.clone()))
    }

    fn configuration(&self, _: &str) -> Result<Launch, String> {
        Err("none".to_owned())
    }

    fn refused(&self, _: &Hello, _: &str) {
        self.0.2.fetch_add(1, Ordering::Relaxed);
    }

    fn stranger(&self, _: &str) {}
}

impl NodeEnd for Host {
    fn subscribed(&self) {}

    fn started(&self) -> Option<Result<(), String>> {
        Some(Ok(()))
    }

    fn take(&self, _: usize) -> Taken {
        self.with(|inner| Taken {
            events: std::mem::take(&mut inner.events),
            last: inner.last,
        })
    }

    fn send(&self, _: &PortName, _: Message) {
        self.with(|inner| {
            inner.sent += 1;
            inner.room = inner.room.saturating_sub(1);
        });
    }

    fn sent_directly(&self, _: &PortName) {}

    fn has_room(&self) -> bool {
        self.with(|inner| inner.room > 0)
    }

    fn close_outputs(&self, _: &[PortName]) {}

    fn outputs_done(&self) {}

    fn events_dropped(&self) {}

    fn fault(&self, _: &str) {}

    fn detached(&self) {
        self.with(|inner| inner.detached += 1);
    }
}

fn serve() -> (Host, NodeServer) {
    let host = Host::default();
    host.with(|inner| inner.room = 1000);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = NodeServer::start(listener, Arc::new(host.clone()), ServerOptions::default());
    (host, server.expect("a server"))
}

struct Client(TcpStream);

impl Client {
    /// A connection that has sent this first frame.
    fn first(server: &NodeServer, frame: &[u8]) -> Self {
        let stream = TcpStream::connect(server.address()).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        let mut client = Self(stream);
        client.0.write_all(&framed(frame)).expect("it goes");
        client
    }

    fn registered(server: &NodeServer) -> Self {
        let mut client = Self::first(server, &register_v1("node"));
        let reply = client.reply();
        assert!(
            matches!(reply, Some(DaemonReply::Result(Ok(())))),
            "{reply:?}"
        );
        client
    }

    fn put(&mut self, inner: DaemonRequest) {
        let timestamp = stamp_v1();
        let bytes = dora_message::encode(&Timestamped { inner, timestamp }).expect("bytes");
        self.0.write_all(&framed(&bytes)).expect("it goes");
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 8];
        self.0.read_exact(&mut length).ok()?;
        let mut body = vec![0; u64::from_le_bytes(length) as usize];
        self.0.read_exact(&mut body).expect("a whole frame");
        Some(body)
    }

    fn reply(&mut self) -> Option<DaemonReply> {
        Some(dora_message::decode(&self.bytes()?).expect("a reply"))
    }

    fn ask(&mut self, request: DaemonRequest) -> DaemonReply {
        self.put(request);
        self.reply().expect("a reply")
    }
}

fn output() -> DaemonRequest {
    DaemonRequest::SendMessage {
        output_id: "out".parse().expect("a name"),
        metadata: Metadata::new(stamp_v1()),
        data: None,
    }
}

#[test]
fn a_sender_without_room_is_held_and_goes_on_when_there_is_some() {
    let (host, server) = serve();
    let mut control = Client::registered(&server);
    host.with(|inner| inner.room = 3);
    for _ in 0..10 {
        control.put(output());
    }
    host.wait(|inner| inner.sent == 3);
    // Another connection of the node gets an answer after all that was read before it.
    let mut events = Client::first(&server, &register_v1("node"));
    let registered = events.reply();
    assert!(matches!(registered, Some(DaemonReply::Result(Ok(())))));
    assert_eq!(host.with(|inner| inner.sent), 3);
    host.with(|inner| inner.room = 100);
    host.wake();
    host.wait(|inner| inner.sent == 10);
    let done = control.ask(DaemonRequest::OutputsDone);
    assert!(matches!(done, DaemonReply::Result(Ok(()))));
}

#[test]
fn who_waits_for_events_is_answered_when_there_are_some() {
    let (host, server) = serve();
    let mut events = Client::registered(&server);
    let started = events.ask(DaemonRequest::Subscribe);
    assert!(matches!(started, DaemonReply::Result(Ok(()))));
    events.put(DaemonRequest::NextEvent);
    host.with(|inner| inner.events.push(NodeEvent::Stop));
    host.wake();
    let Some(DaemonReply::NextEvents(told)) = events.reply() else {
        panic!("no events");
    };
    assert!(matches!(told[0].inner, WireEvent::Stop));
    host.with(|inner| inner.last = true);
    let last = events.ask(DaemonRequest::NextEvent);
    assert!(matches!(last, DaemonReply::NextEvents(none) if none.is_empty()));
    drop(events);
    host.wait(|inner| inner.detached == 1);
}

#[test]
fn who_is_no_node_of_ours_is_told_so_in_its_own_encoding() {
    let (host, server) = serve();
    let mut new = Client::first(&server, &register_v1("other"));
    let reply = new.reply();
    assert!(matches!(reply, Some(DaemonReply::Result(Err(text))) if text == "no node `other`"));
    assert!(new.bytes().is_none());
    let mut old = Client::first(&server, &register_v0("other"));
    let body = old.bytes().expect("a reply");
    assert!(body.starts_with(&[0, 0, 0, 0, 1, 0, 0, 0]) && body.ends_with(b"no node `other`"));
    // One node does not speak two formats.
    let _node = Client::registered(&server);
    let body = Client::first(&server, &register_v0("node")).bytes();
    let text = String::from_utf8_lossy(&body.expect("a reply")).into_owned();
    assert!(
        text.contains("registered already, with message format v1.1.0"),
        "{text}"
    );
    assert_eq!(host.0.2.load(Ordering::Relaxed), 3);
}

/// A second connection that says it is the node's cannot be told from the node's own; it cannot take its events.
#[test]
fn who_comes_second_does_not_get_the_events() {
    let (_host, server) = serve();
    let mut events = Client::registered(&server);
    let started = events.ask(DaemonRequest::Subscribe);
    assert!(matches!(started, DaemonReply::Result(Ok(()))));
    let mut second = Client::registered(&server);
    for request in [DaemonRequest::Subscribe, DaemonRequest::NextEvent] {
        let reply = second.ask(request);
        assert!(matches!(reply, DaemonReply::Result(Err(_))), "{reply:?}");
    }
}

#[test]
fn a_node_that_is_dismissed_makes_room_for_its_successor() {
    let (host, server) = serve();
    let mut old = Client::registered(&server);
    let node = "node".parse().expect("a name");
    server.dismiss(DataflowId::from_uuid(FLOW), &node);
    let mut new = Client::registered(&server);
    assert!(old.bytes().is_none());
    host.wait(|inner| inner.detached == 1);
    let started = new.ask(DaemonRequest::Subscribe);
    assert!(matches!(started, DaemonReply::Result(Ok(()))));
}

#[test]
fn a_request_that_cannot_be_read_ends_its_connection_only() {
    let (_host, server) = serve();
    let mut broken = Client::registered(&server);
    let mut whole = Client::registered(&server);
    broken.0.write_all(&framed(&[0xFF; 40])).expect("it goes");
    assert!(broken.bytes().is_none());
    let started = whole.ask(DaemonRequest::Subscribe);
    assert!(matches!(started, DaemonReply::Result(Ok(()))));
    drop(server);
    assert!(whole.bytes().is_none());
}
