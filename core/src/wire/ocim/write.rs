//! Packets to JSON.

use super::{Packet, Party};
use crate::wire::json::{put_int, put_string, put_uint};

/// Writes one JSON object, member by member.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    pub(super) fn open(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, empty: true }
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        put_string(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub(super) fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            put_string(value, self.name(name));
        }
    }

    pub(super) fn int(&mut self, name: &str, value: Option<i64>) {
        if let Some(value) = value {
            put_int(value, self.name(name));
        }
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.name(name).extend_from_slice(word);
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }
}

/// Appends a packet's JSON. Null members are omitted.
pub fn encode(packet: &Packet, out: &mut Vec<u8>) {
    put(packet, None, out);
}

/// Appends the array that answers a poll. Each packet carries its number there as `seq`: what the
/// next poll's `ack` confirms. Old pages ignore it.
pub fn encode_poll<'p>(packets: impl IntoIterator<Item = (u64, &'p Packet)>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, (seq, packet)) in packets.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put(packet, Some(seq), out);
    }
    out.push(b']');
}

fn put(packet: &Packet, seq: Option<u64>, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("pid", packet.pid.as_deref());
    object.text("cid", packet.cid.as_deref());
    object.text("type", Some(packet.kind.name()));
    for (name, party) in [("from", &packet.from), ("to", &packet.to)] {
        if let Some(party) = party {
            put_party(party, object.name(name));
        }
    }
    if let Some(body) = &packet.body {
        let mut inner = Object::open(object.name("body"));
        inner.text("type", Some(body.kind.name()));
        inner.text("content", body.content.as_deref());
        inner.close();
    }
    object.text("ts", packet.ts.map(super::Transport::name));
    object.int("timestamp", packet.timestamp);
    object.text("datetime", packet.datetime.as_deref());
    object.text("ver", packet.ver.as_deref());
    if let Some(seq) = seq {
        put_uint(seq, object.name("seq"));
    }
    object.close();
}

fn put_party(party: &Party, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("uid", party.uid.as_deref());
    object.text("name", party.name.as_deref());
    object.text("idy", party.idy.map(super::Identity::name));
    object.close();
}

/// `yyyy-MM-dd HH:mm:ss` in UTC of a time in milliseconds since 1970 UTC. The original writes its
/// own local time, which no client can interpret; this one is the same on every node.
#[must_use]
pub fn datetime(now_ms: i64) -> String {
    let seconds = now_ms.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Counted in years that begin in March, so that the leap day is their last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}
