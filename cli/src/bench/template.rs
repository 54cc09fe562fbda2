//! Frames as templates, so that the generator costs little next to the server: sending is a patch
//! and a copy, and a frame in the expected form is recognised by comparing bytes. Whatever has
//! another form goes through the protocol's decoder.

use std::borrow::Cow;

use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{self, Frame};

/// Bytes of an id.
pub(super) const ID_BYTES: usize = 36;
/// Digits of the id that stand at the front of a body, so that no two bodies are alike.
const MARK_BYTES: usize = 12;
const MARK_BITS: u32 = 48;
const MARK_MASK: u64 = (1 << MARK_BITS) - 1;
/// Odd, so that multiplying by it can be undone.
const FACTOR: u64 = 0x9e37_79b9_7f4b;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// An id as it stands in a frame.
pub(super) type Id = [u8; ID_BYTES];

/// Ids of one sender. They are UUIDs that look random, so that they are as unkind to an index as
/// real ones; but who has the key can tell a message's number from its id, without a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    key: u64,
}

impl Ids {
    pub(super) fn new(key: u64) -> Ids {
        Ids { key }
    }

    /// The id of message `seq`, which is below 2⁴⁸.
    pub(super) fn id(self, seq: u64) -> Id {
        let high = mix(seq ^ self.key);
        let low = mix(high ^ seq);
        let mut id = [b'-'; ID_BYTES];
        put_hex(&mut id[0..8], high >> 32);
        put_hex(&mut id[9..13], high >> 16);
        put_hex(&mut id[14..18], high & 0x0fff | 0x4000);
        put_hex(&mut id[19..23], low & 0x3fff | 0x8000);
        put_hex(&mut id[24..36], scatter(seq ^ (self.key & MARK_MASK)));
        id
    }

    /// The number of the message with this id; `None` if it is not one of ours.
    pub(super) fn seq(self, id: &[u8]) -> Option<u64> {
        let id: &Id = id.try_into().ok()?;
        let mut mark = 0;
        for digit in &id[24..36] {
            mark = mark << 4 | u64::from(hex(*digit)?);
        }
        let seq = gather(mark) ^ (self.key & MARK_MASK);
        (self.id(seq) == *id).then_some(seq)
    }
}

/// A random-looking permutation of 48 bits.
fn scatter(mut x: u64) -> u64 {
    for _ in 0..2 {
        x = x.wrapping_mul(FACTOR) & MARK_MASK;
        x ^= x >> (MARK_BITS / 2);
    }
    x
}

/// Undoes [`scatter`].
fn gather(mut x: u64) -> u64 {
    for _ in 0..2 {
        x ^= x >> (MARK_BITS / 2);
        x = x.wrapping_mul(INVERSE) & MARK_MASK;
    }
    x
}

/// FACTOR × INVERSE ≡ 1 (mod 2⁶⁴), by Newton's iteration: each round doubles the bits that fit.
const INVERSE: u64 = {
    let mut inverse: u64 = FACTOR;
    let mut round = 0;
    while round < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(FACTOR.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
};

/// The finaliser of splitmix64.
pub(super) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn put_hex(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(value & 15) as usize];
        value >>= 4;
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A frame to send, with holes for the id and the body's mark.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    id_at: usize,
    /// The body's mark: where, and how many digits of the id.
    mark_at: usize,
    mark: usize,
}

impl Outgoing {
    /// A message with a body of `body` bytes.
    pub(super) fn message(from: &str, to: &str, body: usize) -> Outgoing {
        let text: String = "the quick brown fox jumps over the lazy dog "
            .chars()
            .cycle()
            .take(body)
            .collect();
        let head = head(code::COMMON_DATA);
        let frame = Frame {
            kind: code::COMMON_DATA,
            data: Some(Cow::Owned(text)),
            from: Some(Cow::Borrowed(from)),
            to: Some(Cow::Borrowed(to)),
            fp: Some(Cow::Owned("0".repeat(ID_BYTES))),
            qos: true,
            typeu: -1,
            sm: -1,
            ..Frame::default()
        };
        let mut bytes = Vec::new();
        mobileimsdk::encode(&frame, &mut bytes);
        let tail = b"\",\"QoS\":true,\"typeu\":-1,\"sm\":-1}";
        Outgoing {
            id_at: bytes.len() - tail.len() - ID_BYTES,
            bytes,
            mark_at: head.len(),
            mark: body.min(MARK_BYTES),
        }
    }

    /// An acknowledgement by `from` of a message from `to`.
    pub(super) fn ack(from: &str, to: &str) -> Outgoing {
        let frame = Frame {
            kind: code::RECEIVED,
            data: Some(Cow::Owned("0".repeat(ID_BYTES))),
            from: Some(Cow::Borrowed(from)),
            to: Some(Cow::Borrowed(to)),
            typeu: -1,
            sm: -1,
            ..Frame::default()
        };
        let mut bytes = Vec::new();
        mobileimsdk::encode(&frame, &mut bytes);
        Outgoing {
            bytes,
            id_at: head(code::RECEIVED).len(),
            mark_at: 0,
            mark: 0,
        }
    }

    /// The frame with this id.
    pub(super) fn with(&mut self, id: &Id) -> &[u8] {
        self.bytes[self.id_at..self.id_at + ID_BYTES].copy_from_slice(id);
        let mark = &id[ID_BYTES - self.mark..];
        self.bytes[self.mark_at..self.mark_at + self.mark].copy_from_slice(mark);
        &self.bytes
    }
}

fn head(kind: i32) -> String {
    format!("{{\"bridge\":false,\"type\":{kind},\"dataContent\":\"")
}

/// A string as it stands in JSON, without its quotes.
fn quoted(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The form in which a frame is expected: known bytes, and an id.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    head: Vec<u8>,
    /// Bytes between head and tail: the body, or the id.
    gap: usize,
    tail: Vec<u8>,
    /// The id stands behind the tail, not in the gap.
    id_follows: bool,
}

impl Expected {
    /// An acknowledgement by `from` to `to`.
    pub(super) fn ack(from: &str, to: &str) -> Expected {
        Expected {
            head: head(code::RECEIVED).into_bytes(),
            gap: ID_BYTES,
            tail: format!(
                "\",\"from\":\"{}\",\"to\":\"{}\",",
                quoted(from),
                quoted(to)
            )
            .into(),
            id_follows: false,
        }
    }

    /// A message with a body of `body` bytes.
    pub(super) fn message(from: &str, to: &str, body: usize) -> Expected {
        let (from, to) = (quoted(from), quoted(to));
        Expected {
            head: head(code::COMMON_DATA).into_bytes(),
            gap: body,
            tail: format!("\",\"from\":\"{from}\",\"to\":\"{to}\",\"fp\":\"").into(),
            id_follows: true,
        }
    }

    /// The gap and the id of a frame that has this form.
    pub(super) fn read<'f>(&self, frame: &'f [u8]) -> Option<(&'f [u8], &'f [u8])> {
        let rest = frame.strip_prefix(self.head.as_slice())?;
        let (gap, rest) = rest.split_at_checked(self.gap)?;
        let rest = rest.strip_prefix(self.tail.as_slice())?;
        if !self.id_follows {
            return Some((gap, gap));
        }
        let (id, rest) = rest.split_at_checked(ID_BYTES)?;
        rest.starts_with(b"\",\"QoS\":true,").then_some((gap, id))
    }
}

/// Whether a body is the one that went out with this id, as far as its mark tells.
pub(super) fn is_body_of(body: &[u8], id: &[u8], bytes: usize) -> bool {
    let mark = bytes.min(MARK_BYTES);
    body.len() == bytes && id.len() >= mark && body[..mark] == id[id.len() - mark..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_number_to_its_own_sender_only() {
        let (ids, others) = (Ids::new(0x1234_5678_9abc_def0), Ids::new(77));
        for seq in (0..5_000).chain([MARK_MASK, MARK_MASK - 1, 1 << 40]) {
            let id = ids.id(seq);
            assert_eq!(ids.seq(&id), Some(seq));
            assert_eq!(others.seq(&id), None);
        }
        assert_eq!(ids.seq(b"short"), None);
        assert_eq!(ids.seq(&[b'z'; ID_BYTES]), None);
    }

    #[test]
    fn an_id_is_a_version_4_uuid_without_visible_order() {
        let ids = Ids::new(9);
        let first: Vec<String> = (0..4)
            .map(|seq| String::from_utf8_lossy(&ids.id(seq)).into_owned())
            .collect();
        for id in &first {
            let groups: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
        let mut sorted = first.clone();
        sorted.sort();
        assert!(sorted.windows(2).all(|pair| pair[0][..8] != pair[1][..8]));
    }

    #[test]
    fn templates_say_what_the_encoder_says() {
        let ids = Ids::new(5);
        for body in [0, 5, 12, 64, 500] {
            let mut outgoing = Outgoing::message("a\"x", "b", body);
            let bytes = outgoing.with(&ids.id(3)).to_vec();
            let frame = mobileimsdk::decode(&bytes).expect("a frame");
            assert_eq!(frame.kind, code::COMMON_DATA);
            assert_eq!(frame.from.as_deref(), Some("a\"x"));
            assert_eq!(frame.fp.as_deref().map(str::as_bytes), Some(&ids.id(3)[..]));
            let data = frame.data.as_deref().expect("a body").as_bytes();
            assert!(is_body_of(data, &ids.id(3), body));
            assert!(body == 0 || !is_body_of(data, &ids.id(4), body));
            let expected = Expected::message("a\"x", "b", body);
            assert_eq!(expected.read(&bytes), Some((data, &ids.id(3)[..])));
        }
        let ack = Outgoing::ack("b", "a").with(&ids.id(8)).to_vec();
        let frame = mobileimsdk::decode(&ack).expect("a frame");
        assert_eq!((frame.kind, frame.qos), (code::RECEIVED, false));
        let (id, _) = Expected::ack("b", "a").read(&ack).expect("expected");
        assert_eq!(ids.seq(id), Some(8));
    }

    #[test]
    fn other_forms_are_left_to_the_decoder() {
        let expected = Expected::ack("b", "a");
        let mut ack = Outgoing::ack("b", "somebody else");
        assert_eq!(expected.read(ack.with(&Ids::new(1).id(0))), None);
        assert_eq!(expected.read(b"{}"), None);
        assert_eq!(
            expected.read(b"{\"bridge\":false,\"type\":4,\"dataContent\":\"00"),
            None
        );
    }
}
