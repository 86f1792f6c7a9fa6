//! Silence about what the engine does while it ends.
//!
//! A session that closes takes its tables apart while its connections still end. One that ends a moment later makes one of
//! the engine's threads panic. That harms nobody, because the session is over, but a user would read of a crash. Invariant:
//! only panics of the engine's own code are silenced, and only for a moment after a close. Absent: any cure.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

/// Connections have ended by then.
const MOMENT: Duration = Duration::from_secs(3);

static FIRST: OnceLock<Instant> = OnceLock::new();
/// Until when, in milliseconds since the first close.
static UNTIL: AtomicU64 = AtomicU64::new(0);
static HOOK: Once = Once::new();

fn now() -> Duration {
    FIRST.get_or_init(Instant::now).elapsed()
}

/// A session begins to close.
pub(super) fn closing() {
    let until = (now() + MOMENT).as_millis() as u64;
    UNTIL.fetch_max(until, Ordering::Relaxed);
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map(std::panic::Location::file);
            if is_silent(file.unwrap_or_default(), now()) {
                tracing::debug!("the network's engine, while it closes: {info}");
            } else {
                before(info);
            }
        }));
    });
}

fn is_silent(file: &str, now: Duration) -> bool {
    let of_engine = file
        .split(['/', '\\'])
        .any(|part| part.starts_with("zenoh"));
    of_engine && (now.as_millis() as u64) < UNTIL.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_engine_and_only_for_a_moment() {
        let engine = "/home/x/registry/zenoh-1.10.2/src/net/routing/mod.rs";
        closing();
        assert!(is_silent(engine, now()));
        assert!(is_silent(
            "C:\\x\\zenoh-transport-1.10.2\\src\\lib.rs",
            now()
        ));
        assert!(!is_silent("/home/x/nodes/camera/src/node.rs", now()));
        assert!(!is_silent(engine, now() + 100 * MOMENT));
    }
}
