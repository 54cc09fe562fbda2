//! The frame's encoder.

use super::Frame;
use crate::ids;
use crate::wire::json::{put_int, put_string, put_uint};

/// Appends `frame` as JSON: the members in the order that the Java implementation writes. All
/// seven that the Flutter client demands are always there; `from` and `to` are `-1` when
/// unset; `dataContent` and `fp` are left out when unset. Escapes as standard JSON, not as HTML.
pub fn encode(frame: &Frame<'_>, out: &mut Vec<u8>) {
    put_members(frame, out);
    out.push(b'}');
}

/// [`encode`] with the members of the extension at the end: `id` (repeats `fp`; left out with
/// it), `seq` and `time`. For sessions that declared it only.
pub fn encode_extended(frame: &Frame<'_>, seq: u64, time_ms: i64, out: &mut Vec<u8>) {
    put_members(frame, out);
    if let Some(fp) = &frame.fp {
        out.extend_from_slice(b",\"id\":");
        put_string(fp, out);
    }
    out.extend_from_slice(b",\"seq\":");
    put_uint(seq, out);
    out.extend_from_slice(b",\"time\":");
    put_int(time_ms, out);
    out.push(b'}');
}

fn put_members(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let data = frame.data.as_deref();
    out.reserve(192 + data.map_or(0, str::len));
    out.extend_from_slice(if frame.bridge {
        b"{\"bridge\":true,\"type\":"
    } else {
        b"{\"bridge\":false,\"type\":"
    });
    put_int(i64::from(frame.kind), out);
    if let Some(data) = data {
        out.extend_from_slice(b",\"dataContent\":");
        put_string(data, out);
    }
    out.extend_from_slice(b",\"from\":");
    put_string(frame.from.as_deref().unwrap_or(ids::UNSET), out);
    out.extend_from_slice(b",\"to\":");
    put_string(frame.to.as_deref().unwrap_or(ids::UNSET), out);
    if let Some(fp) = &frame.fp {
        out.extend_from_slice(b",\"fp\":");
        put_string(fp, out);
    }
    out.extend_from_slice(if frame.qos {
        b",\"QoS\":true,\"typeu\":"
    } else {
        b",\"QoS\":false,\"typeu\":"
    });
    put_int(i64::from(frame.typeu), out);
    out.extend_from_slice(b",\"sm\":");
    put_int(frame.sm, out);
}
