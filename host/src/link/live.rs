//! Who is there: each process of dora shows a token while it lives and is connected.
//!
//! Invariant: a token is gone within milliseconds when its process has ended, and within the lease of two seconds when
//! its machine was cut off. Absent: what that means. A token that is gone makes its owner suspect, not dead; the epoch
//! in a token that comes back tells whether it is the same life.

use super::keys::{Key, Member};
use super::{Link, LinkError};
use std::fmt;
use std::sync::Arc;
use zenoh::Wait;
use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::Subscriber;
use zenoh::sample::{Sample, SampleKind};

/// This process's token. Dropping it takes it away.
pub struct Token {
    _token: LivelinessToken,
    /// The last to let go of a session must not be one that waits in a runtime; see [`Link`].
    _link: Link,
}

/// A look at everybody's tokens. Dropping it ends it.
pub struct Watch {
    _subscribers: [Subscriber<()>; 2],
    /// As above.
    _link: Link,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A token has appeared, or was there when the watch began. It may be told twice.
    Appeared(Member),
    /// A token is gone.
    Gone(Member),
}

impl Link {
    /// Shows a token. The same for everybody who watches, also for those who come later. Any thread.
    ///
    /// # Errors
    /// The link was closed.
    pub fn show(&self, member: &Member) -> Result<Token, LinkError> {
        let key = member.key();
        let declared = self
            .session()?
            .liveliness()
            .declare_token(key.as_str())
            .wait();
        let refused = |error| LinkError::new("cannot show the token", &key, error);
        let token = declared.map_err(refused)?;
        Ok(Token {
            _token: token,
            _link: self.clone(),
        })
    }

    /// Watches all tokens, also this process's own. `changed` is called on the link's threads and must not block.
    ///
    /// # Errors
    /// The link was closed.
    pub fn watch(
        &self,
        changed: impl Fn(Change) + Send + Sync + 'static,
    ) -> Result<Watch, LinkError> {
        let changed = Arc::new(changed);
        let declare = |key: Key| {
            let changed = changed.clone();
            let on_sample = move |sample: Sample| {
                // Who shows something else under these keys is of another version.
                if let Some(member) = Member::of(sample.key_expr().as_str()) {
                    changed(match sample.kind() {
                        SampleKind::Put => Change::Appeared(member),
                        SampleKind::Delete => Change::Gone(member),
                    });
                }
            };
            let liveliness = self.session()?.liveliness();
            let subscriber = liveliness.declare_subscriber(key.as_str().to_owned());
            let declared = subscriber.history(true).callback(on_sample).wait();
            declared.map_err(|error| LinkError::new("cannot watch", &key, error))
        };
        Ok(Watch {
            _subscribers: [declare(Key::coordinators())?, declare(Key::machines())?],
            _link: self.clone(),
        })
    }
}
