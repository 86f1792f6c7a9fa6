//! What the coordinator hears by: the keys where it is asked, the daemons' tokens, and its own token.
//!
//! Invariant: nothing here waits; what finds no room is refused, and asked again by whoever asked. Absent: what is done
//! about what is heard.

use crate::control::{ClientRequest, CoordinatorRequest, Epoch, Fault};
use crate::link::{Call, Change, Key, Link, LinkError, Member, Served, Token, Watch};
use tokio::sync::mpsc;

/// What the link's threads hand over.
pub(super) enum Incoming {
    Client(Result<ClientRequest, Fault>, Call),
    Daemon(Result<CoordinatorRequest, Fault>, Call),
    Token(Change),
}

/// Hears while it lives.
#[derive(Debug)]
pub(super) struct Ears {
    epoch: Epoch,
    sender: mpsc::Sender<Incoming>,
    _clients: Served,
    _tokens: Watch,
    /// For daemons.
    declared: Option<(Served, Token)>,
}

impl Ears {
    pub fn open(
        link: &Link,
        epoch: Epoch,
        sender: mpsc::Sender<Incoming>,
    ) -> Result<Self, LinkError> {
        // A query that finds no room is dropped, which tells its asker so.
        let (clients, tokens) = (sender.clone(), sender.clone());
        let for_clients = link.serve(&Key::for_clients(), "request", move |request, call| {
            let _ = clients.try_send(Incoming::Client(request, call));
        })?;
        let watch = link.watch(move |change| {
            // What finds no room is told by the daemon's silence, or by its next word.
            let _ = tokens.try_send(Incoming::Token(change));
        })?;
        let mut ears = Self {
            epoch,
            sender,
            _clients: for_clients,
            _tokens: watch,
            declared: None,
        };
        ears.declare(link)?;
        Ok(ears)
    }

    /// Makes itself known to daemons, anew if it did: after a connection was lost and came back, they may not have been
    /// told of what was declared before. Commands connect after that, each by itself.
    pub fn declare(&mut self, link: &Link) -> Result<(), LinkError> {
        // First away, then anew: what is declared twice is told once.
        self.declared = None;
        let daemons = self.sender.clone();
        let for_daemons = link.serve(&Key::for_daemons(), "report", move |request, call| {
            // As above.
            let _ = daemons.try_send(Incoming::Daemon(request, call));
        })?;
        // Last: whoever sees it may ask at once.
        let token = link.show(&Member::Coordinator(self.epoch))?;
        self.declared = Some((for_daemons, token));
        Ok(())
    }
}
