//! When what was declared on the network is to be declared anew.

use std::time::Duration;
use tokio::sync::watch;

/// After a connection has come back, so long until it can be declared anew.
const PAUSE: Duration = Duration::from_millis(300);

/// Waits until a connection was lost and has come back, and has been there for a moment; `again` is from
/// [`Link::reconnections`](super::Link::reconnections). May be cancelled at any time.
pub async fn renewal(again: &mut watch::Receiver<u64>) {
    let mut seen = again.clone();
    if seen.changed().await.is_err() {
        // The network is closed.
        std::future::pending::<()>().await;
    }
    // Several at a time count once.
    while tokio::time::timeout(PAUSE, seen.changed())
        .await
        .is_ok_and(|changed| changed.is_ok())
    {}
    *again = seen;
}
