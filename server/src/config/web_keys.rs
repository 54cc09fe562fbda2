//! The keys of `[web]`: the last part of the table in `keys`.

use super::keys::{Key, Kind, set};
use crate::origins::{HOSTS_ALLOWED, ORIGINS_ALLOWED, PageOrigins, parse_hosts};

pub(super) static KEYS: [Key; 3] = [
    Key {
        path: "web.hosts",
        kind: Kind::Text,
        default: "\"\"",
        allowed: HOSTS_ALLOWED,
        doc: "Names by which browsers reach this server, as behind a proxy. Requests of browsers by \
              another name are refused. Empty: its own names (localhost) where only this machine \
              reaches it, any name elsewhere. Addresses are always taken.",
        option: None,
        place: place!(restart web.hosts),
        set: |s, v| set(&mut s.web.hosts, parse_hosts(v)),
    },
    Key {
        path: "web.origins",
        kind: Kind::Text,
        default: "\"\"",
        allowed: ORIGINS_ALLOWED,
        doc: "Pages from there may use this server, beside its own; for listen.ws all pages of the \
              same host are its own. \"null\" is for pages without an origin, as from a file.",
        option: None,
        place: place!(restart web.origins),
        set: |s, v| set(&mut s.web.origins, PageOrigins::parse(v)),
    },
    Key {
        path: "web.metrics_open",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "/metrics needs no key from this machine. A proxy on this machine looks like it: leave it \
              off if there is one.",
        option: None,
        place: place!(restart web.metrics_open),
        set: |s, v| set(&mut s.web.metrics_open, v.parse().ok()),
    },
];
