//! Sessions of all three roles in one process, over loopback, each test on ports of its own.

mod data;
mod meeting;
mod talk;

use super::*;
use crate::control::{Epoch, Hello, PROTOCOL, Protocol, Role};
use crate::ids::MachineId;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What takes longer has failed.
const LONG: Duration = Duration::from_secs(20);

fn machine(name: &str) -> MachineId {
    name.parse().unwrap()
}

fn hello(role: Role, machine: Option<&str>) -> Hello {
    Hello {
        role,
        protocol: PROTOCOL,
        version: "0.7.0".into(),
        machine: machine.map(self::machine),
        epoch: (role != Role::Client).then(Epoch::new),
    }
}

/// Runs a test as the product runs: on a runtime of one thread.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let outcome = tokio::time::timeout(3 * LONG, test).await;
        outcome.expect("the test ends")
    })
}

async fn coordinator(port: u16) -> (Link, Address) {
    let me = hello(Role::Coordinator, None);
    let (link, port) = Link::coordinator(HERE, port, me).await.unwrap();
    (link, Address::new("127.0.0.1", port))
}

fn options(coordinator: &Address) -> DaemonOptions {
    DaemonOptions {
        coordinator: coordinator.clone(),
        listen: SocketAddr::new(HERE, 0),
        direct: true,
        shared_memory: true,
    }
}

/// A daemon that does not wait for its coordinator.
async fn daemon(name: &str, coordinator: &Address) -> Link {
    let me = hello(Role::Daemon, Some(name));
    Link::daemon(&options(coordinator), me).await.unwrap()
}

async fn client(coordinator: &Address) -> Link {
    let me = hello(Role::Client, None);
    Link::client(coordinator, me, LONG).await.unwrap().0
}

/// The next of what a channel brings.
async fn next<T>(receiver: &mut tokio::sync::mpsc::UnboundedReceiver<T>) -> T {
    let next = tokio::time::timeout(LONG, receiver.recv()).await;
    next.expect("in time").expect("something")
}

async fn close(links: impl IntoIterator<Item = Link>) {
    for link in links {
        link.close().await;
    }
}
