//! The keys of `[ocim]`: the third part of the table in `keys`.

use tidings_core::ids;

use super::keys::{Key, Kind, number, set};
use crate::ocim::settings::Origin;

pub(super) static KEYS: [Key; 11] = [
    Key {
        path: "ocim.origin",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "an origin as \"https://shop.example\", \"any\", or \"\"",
        doc: "Pages from there may use /ws.io and /poll.io, beside pages from the same host.",
        option: None,
        place: place!(restart ocim.origin),
        set: |s, v| set(&mut s.ocim.origin, Origin::parse(v)),
    },
    Key {
        path: "ocim.team",
        kind: Kind::Text,
        default: "\"\"",
        allowed: "the name of a team, without its @, or \"\"",
        doc: "The team that customers write to; without one it is the default team of the only tenant.",
        option: None,
        place: place!(restart ocim.team),
        set: |s, v| {
            let name = (v.is_empty() || ids::check_user(v).is_ok()).then(|| v.to_owned());
            set(&mut s.ocim.team, name)
        },
    },
    Key {
        path: "ocim.poll_hold_ms",
        kind: Kind::Number,
        default: "60000",
        allowed: "milliseconds, 100 to 600000",
        doc: "How long a poll waits for something to say before it is answered with {\"ret\":\"ok\"}.",
        option: None,
        place: place!(restart ocim.poll_hold_ms),
        set: |s, v| set(&mut s.ocim.poll_hold_ms, number(v, 100, 600_000)),
    },
    Key {
        path: "ocim.life_ms",
        kind: Kind::Number,
        default: "72000",
        allowed: "milliseconds, 200 to 3600000, more than ocim.poll_hold_ms",
        doc: "A customer who has not polled for so long, or whose WebSocket was lost so long ago, has \
              gone: he leaves the queue and his agent.",
        option: None,
        place: place!(restart ocim.life_ms),
        set: |s, v| set(&mut s.ocim.life_ms, number(v, 200, 3_600_000)),
    },
    Key {
        path: "ocim.idle_ms",
        kind: Kind::Number,
        default: "60000",
        allowed: "milliseconds, 200 to 3600000",
        doc: "A WebSocket, or a desktop agent's connection, from which nothing is heard for so long is \
              closed. WebSockets are pinged at half of it.",
        option: None,
        place: place!(restart ocim.idle_ms),
        set: |s, v| set(&mut s.ocim.idle_ms, number(v, 200, 3_600_000)),
    },
    Key {
        path: "ocim.first_data_ms",
        kind: Kind::Number,
        default: "5000",
        allowed: "milliseconds, 100 to 600000",
        doc: "A connection to listen.http, or a desktop agent's, on which nothing arrives for so long \
              is closed.",
        option: None,
        place: place!(restart ocim.first_data_ms),
        set: |s, v| set(&mut s.ocim.first_data_ms, number(v, 100, 600_000)),
    },
    Key {
        path: "ocim.sessions_per_address",
        kind: Kind::Number,
        default: "1000",
        allowed: "0 to 1000000, 0 for no limit",
        doc: "How many customers and agents of OCIM one address may have at a time; further ones are \
              refused.",
        option: None,
        place: place!(restart ocim.sessions_per_address),
        set: |s, v| set(&mut s.ocim.sessions_per_address, number(v, 0, 1_000_000)),
    },
    Key {
        path: "ocim.compat.credentials_in_url",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "Takes passwords and tokens from URLs, as the demo pages send them. URLs end up in the \
              logs of proxies and in histories.",
        option: None,
        place: place!(restart ocim.compat.credentials_in_url),
        set: |s, v| set(&mut s.ocim.compat.credentials_in_url, v.parse().ok()),
    },
    Key {
        path: "ocim.compat.send_by_get",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "Takes messages and CLOSE by GET, as the demo pages send them. Caches and prefetching may \
              repeat a GET.",
        option: None,
        place: place!(restart ocim.compat.send_by_get),
        set: |s, v| set(&mut s.ocim.compat.send_by_get, v.parse().ok()),
    },
    Key {
        path: "ocim.compat.any_origin",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "Lets pages from everywhere use it, with the customer's cookie.",
        option: None,
        place: place!(restart ocim.compat.any_origin),
        set: |s, v| set(&mut s.ocim.compat.any_origin, v.parse().ok()),
    },
    Key {
        path: "ocim.compat.waitting",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "Tells a place in the queue twice: as WAITING and WAITING_NO, and as WAITTING and \
              WAITTING_NO, which the published pages look for.",
        option: None,
        place: place!(restart ocim.compat.waitting),
        set: |s, v| set(&mut s.ocim.compat.waitting, v.parse().ok()),
    },
];
