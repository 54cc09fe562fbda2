//! Frames to be sent.

use super::mask;

/// What a frame is (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message begun before.
    Continuation = 0,
    /// Text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// Close; see [`encode_close`].
    Close = 8,
    /// Ping: the peer sends the payload back.
    Ping = 9,
    /// Answer to a ping.
    Pong = 10,
}

/// Longest header, in bytes.
pub const HEADER_BYTES_MAX: usize = 14;

/// Longest payload of a control frame, in bytes (RFC 6455 §5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// Appends the header of a frame whose `length` bytes of payload follow, masked if `mask` is set:
/// a client must give a fresh random one for each frame, a server none (RFC 6455 §5.1).
pub fn encode_header(
    opcode: Opcode,
    fin: bool,
    mask: Option<[u8; 4]>,
    length: usize,
    out: &mut Vec<u8>,
) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.push(opcode as u8 | if fin { 0x80 } else { 0 });
    if length <= CONTROL_BYTES_MAX {
        out.push(masked | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(masked | 126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(masked | 127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
    if let Some(mask) = mask {
        out.extend_from_slice(&mask);
    }
}

/// Appends a whole frame; the payload is masked if `mask` is set (see [`encode_header`]). Control
/// frames must be whole and carry at most 125 bytes: that is the caller's duty.
pub fn encode_frame(
    opcode: Opcode,
    fin: bool,
    mask: Option<[u8; 4]>,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    encode_header(opcode, fin, mask, payload.len(), out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(mask), Some(payload)) = (mask, out.get_mut(start..)) {
        mask::apply(payload, mask);
    }
}

/// Appends a close frame: `code` and as much of `reason` as fits in 123 bytes, cut between
/// characters. Without a code it is empty, as is the answer to an empty one (RFC 6455 §5.5.1).
pub fn encode_close(code: Option<u16>, reason: &str, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let mut payload = [0; CONTROL_BYTES_MAX];
    let mut length = 0;
    if let Some(code) = code {
        let end = reason.floor_char_boundary(CONTROL_BYTES_MAX - 2);
        length = 2 + end;
        payload[..2].copy_from_slice(&code.to_be_bytes());
        payload[2..length].copy_from_slice(&reason.as_bytes()[..end]);
    }
    encode_frame(Opcode::Close, true, mask, &payload[..length], out);
}
