//! One instance's connection: what the daemon says on it, handed to the engine.
//!
//! Invariant: a thread per connection, which ends with it. Absent: what is said back (`bench`).

use super::bench::{Bench, Place};
use crate::engine::Drive;
use plugin_abi::node::Stop;
use plugin_abi::wire::channel::{Channel, Incoming, Side};
use plugin_abi::wire::frame::{Create, FromNode, Greeting, ToNode};
use plugin_abi::wire::page::Page;
use plugin_abi::wire::sys::{Stream, Wait};
use plugin_abi::wire::{VERSION, WireError};
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Serves a node's next instance on a thread of its own.
pub fn start(stream: Stream, node: usize, bench: &Bench, orders: &Sender<Drive>) {
    let Some(place) = bench.place(node).cloned() else {
        return;
    };
    let (channel, incoming) = Channel::new(stream, Side::Node, bench.pool().clone());
    let service = Service {
        node,
        place,
        channel,
        window: bench.window(),
        orders: orders.clone(),
    };
    let thread = std::thread::Builder::new().name("dora-wire".into());
    // Without a thread the connection ends, which the daemon sees.
    let _ = thread.spawn(move || service.run(incoming));
}

struct Service {
    node: usize,
    place: Arc<Place>,
    channel: Arc<Channel>,
    window: u32,
    orders: Sender<Drive>,
}

impl Service {
    fn run(self, mut incoming: Incoming) {
        // The daemon has ended it, or says what this version does not know; the connection's end tells it so.
        let _ = self.serve(&mut incoming);
    }

    fn serve(&self, incoming: &mut Incoming) -> Result<(), WireError> {
        loop {
            let Some(raw) = incoming.next(Wait::Long)? else {
                continue;
            };
            let frame = raw.decode::<ToNode>()?;
            if let ToNode::Create(create) = frame {
                let page = incoming.page(create.page)?;
                self.create(&create, page);
                continue;
            }
            match frame {
                ToNode::Greeting(greeting) => {
                    let hello = Greeting {
                        wire: VERSION,
                        record: greeting.record,
                    };
                    self.channel.send(&FromNode::Hello(hello))?;
                }
                ToNode::Create(_) => {}
                ToNode::Go => {
                    self.order(Drive::Go(self.node));
                    self.place.give_room(self.window);
                }
                ToNode::Input(packet) => {
                    let message = self.channel.message(&packet)?;
                    self.place.message(packet.port, message);
                }
                ToNode::Closed(input) => self.place.close(input),
                ToNode::Stop(why) => {
                    // That its inputs have ended the node finds out here, after what waits in them; told to stop it
                    // would not get that, nor send any more.
                    if why == Stop::Requested {
                        self.order(Drive::Stop(self.node));
                    }
                    self.place.give_room(1);
                }
                ToNode::Level(level) => self.place.set_level(level),
                ToNode::Wanted { output, wanted } => self.place.want(output, wanted),
            }
        }
    }

    fn create(&self, create: &Create, page: Page) {
        self.place.set_level(create.level);
        self.place.serve(self.channel.clone(), page);
        self.order(Drive::Create {
            node: self.node,
            restart_count: create.restart_count,
        });
    }

    fn order(&self, order: Drive) {
        // An engine that has ended takes no orders.
        let _ = self.orders.blocking_send(order);
    }
}
