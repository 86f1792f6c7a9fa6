//! The configurations of a session: three for what takes part, and one for who only looks on.
//!
//! Coordinator and daemons are routers that mesh with each other, so that data between two daemons need no coordinator,
//! and so that what cannot go directly goes through it; the command is a client. Nothing is looked for by multicast.
//! Implicit shared memory is off: `data` puts large messages there itself, within what may be locked.

use super::address::Address;
use super::data::has_shared_memory;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use zenoh::Config;

/// How long a silent connection lives. Four keep-alives go out in that time.
const LEASE: Duration = Duration::from_millis(2_000);
/// How long opening a connection may take.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_millis(2_000);

/// How long a message that may be lost waits for room on a connection. A connection that is stuck costs its senders this
/// once; by default it is a millisecond, which a busy processor takes to run the connection's task.
const PATIENCE: Duration = Duration::from_millis(50);
/// Batches of 64 KiB that wait on a connection, for each class of data: the most that the engine allows. `data` counts on
/// them.
const BATCHES: u32 = 16;

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

fn endpoint(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("tcp/[{host}]:{port}"),
        false => format!("tcp/{host}:{port}"),
    }
}

fn listening(address: SocketAddr) -> Value {
    json!({ "endpoints": [format!("tcp/{address}")] })
}

fn transport() -> Value {
    // Without room no connection would come about.
    let shares = has_shared_memory();
    json!({
        "unicast": { "open_timeout": ms(OPEN_TIMEOUT), "accept_timeout": ms(OPEN_TIMEOUT) },
        "link": { "tx": {
            "lease": ms(LEASE),
            "keep_alive": 4,
            "queue": {
                "size": { "data": BATCHES, "data_low": BATCHES },
                "congestion_control": { "drop": { "wait_before_drop": PATIENCE.as_micros() as u64 } },
            },
        } },
        "shared_memory": { "enabled": shares, "transport_optimization": { "enabled": false } },
    })
}

pub(super) fn coordinator(listen: SocketAddr) -> Value {
    json!({
        "mode": "router",
        "listen": listening(listen),
        // A router sleeps the delay at every start.
        "scouting": { "delay": 0, "multicast": { "enabled": false } },
        "transport": transport(),
    })
}

pub(super) fn daemon(coordinator: &Address, listen: SocketAddr, direct: bool) -> Value {
    let gossip = match direct {
        true => json!({
            "autoconnect": { "router": ["router"] },
            "autoconnect_strategy": "greater-zid",
        }),
        false => json!({ "enabled": false }),
    };
    json!({
        "mode": "router",
        "connect": {
            "endpoints": [endpoint(&coordinator.host, coordinator.port)],
            "retry": { "period_init_ms": 200, "period_max_ms": 1000, "period_increase_factor": 2 },
        },
        "listen": listening(listen),
        "scouting": { "delay": 0, "multicast": { "enabled": false }, "gossip": gossip },
        "transport": transport(),
    })
}

pub(super) fn client(coordinator: &Address) -> Value {
    json!({
        "mode": "client",
        "connect": { "endpoints": [endpoint(&coordinator.host, coordinator.port)], "timeout_ms": 0 },
        "scouting": { "multicast": { "enabled": false } },
        "transport": transport(),
    })
}

/// Of a session with one process of this machine that is none of ours.
pub(super) fn beside(port: u16) -> Value {
    json!({
        "mode": "client",
        "connect": { "endpoints": [endpoint("127.0.0.1", port)], "timeout_ms": 0 },
        "scouting": { "multicast": { "enabled": false }, "gossip": { "enabled": false } },
        "transport": { "shared_memory": { "enabled": false } },
    })
}

/// The engine's configuration.
pub(super) fn parsed(config: &Value) -> Result<Config, String> {
    Config::from_json5(&config.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_takes_all_of_them() {
        let there = Address::new("::1", 53290);
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        for config in [
            coordinator(here),
            daemon(&there, here, true),
            daemon(&there, here, false),
            client(&there),
            beside(1),
        ] {
            let parsed = parsed(&config).unwrap();
            assert_eq!(
                parsed.get_json("mode").unwrap(),
                config["mode"].to_string(),
                "{config}"
            );
            assert_eq!(
                parsed.get_json("scouting/multicast/enabled").unwrap(),
                "false"
            );
        }
    }
}
