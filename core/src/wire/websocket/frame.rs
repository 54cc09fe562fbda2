//! Frames as they arrive: the decoder of both roles.

use std::borrow::Cow;
use std::mem;

use super::utf8::Utf8;
use super::write::CONTROL_BYTES_MAX;
use super::{ProtocolError, mask};

/// Which end reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The server's end: frames must be masked (RFC 6455 §5.1).
    Server,
    /// The client's end: frames must not be masked.
    Client,
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'b> {
    /// A whole text message. Borrowed when it was one frame and lay whole in the buffer.
    Text(Cow<'b, str>),
    /// A whole binary message, borrowed likewise.
    Binary(Cow<'b, [u8]>),
    /// A ping: send the payload back in a pong.
    Ping(&'b [u8]),
    /// A pong.
    Pong(&'b [u8]),
    /// The peer closes. Echo the code, then close; nothing that follows is read.
    Close {
        /// Why; `None` if the peer did not say. Only codes that may be sent come through.
        code: Option<u16>,
        /// Its words.
        reason: &'b str,
    },
}

/// Reads one connection's frames, whatever the pieces in which they arrive.
///
/// Small while idle: the buffer for messages that did not arrive whole is freed with each of them.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    /// A close frame was read, or the peer broke the protocol.
    ended: bool,
    /// A message has begun and its last frame was not read to the end.
    message: Option<Kind>,
    /// Whether the frame in progress is its message's last.
    fin: bool,
    /// The mask of the frame in progress, turned so that it fits its next byte.
    mask: [u8; 4],
    utf8: Utf8,
    /// Limit of a message, in bytes.
    max: usize,
    /// Bytes of the frame in progress that are still to come; a frame is in progress if not 0.
    missing: usize,
    /// What has arrived of the message in progress.
    begun: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// A frame's header, checked but for its place in a message.
#[derive(Debug, Clone, Copy)]
struct Header {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Bytes of the header itself.
    bytes: usize,
    length: u64,
}

impl Decoder {
    /// A decoder for one end of a new connection; messages above `max_message` bytes are refused.
    #[must_use]
    pub fn new(role: Role, max_message: usize) -> Decoder {
        Decoder {
            role,
            ended: false,
            message: None,
            fin: false,
            mask: [0; 4],
            utf8: Utf8::default(),
            max: max_message,
            missing: 0,
            begun: Vec::new(),
        }
    }

    /// From the next frame on, messages above `max_message` bytes are refused.
    pub fn set_max_message(&mut self, max_message: usize) {
        self.max = max_message;
    }

    /// Whether no message is in progress: what is left in the buffer is at most part of a frame.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.message.is_none()
    }

    /// Reads on at the front of `buf`, which holds what arrived and was not used yet. Payloads are
    /// unmasked in place. Answers what arrived, if anything is whole, and how many bytes to remove
    /// from the front: also when nothing is whole, because a part of a long frame is taken over.
    ///
    /// Call again with the rest until it answers `None`, then wait for more bytes. What it leaves
    /// is less than one header and one control frame, so a buffer of any size above 139 bytes
    /// gets on. After a close frame, or an error, it takes everything and answers nothing.
    ///
    /// # Errors
    /// As soon as a byte breaks the protocol; answer with its code in a close frame.
    pub fn next<'b>(
        &mut self,
        buf: &'b mut [u8],
    ) -> Result<(Option<Event<'b>>, usize), ProtocolError> {
        if self.ended {
            return Ok((None, buf.len()));
        }
        let result = self.step(buf);
        if matches!(result, Err(_) | Ok((Some(Event::Close { .. }), _))) {
            self.ended = true;
            self.begun = Vec::new();
        }
        result
    }

    /// The length of the frame at the front of `buf` if it is whole and no other is in progress:
    /// a caller that splits it off can keep what [`Decoder::next`] says of it while it reads on.
    #[must_use]
    pub fn whole_frame(&self, buf: &[u8]) -> Option<usize> {
        if self.missing > 0 || self.ended {
            return None;
        }
        let header = Header::parse(buf, self.role).ok()??;
        let length = usize::try_from(header.length).ok()?;
        let whole = header.bytes.checked_add(length)?;
        (whole <= buf.len()).then_some(whole)
    }

    fn step<'b>(&mut self, buf: &'b mut [u8]) -> Result<(Option<Event<'b>>, usize), ProtocolError> {
        let mut used = 0;
        loop {
            if self.missing == 0 {
                let Some(header) = Header::parse(&buf[used..], self.role)? else {
                    return Ok((None, used));
                };
                if header.opcode >= 8 {
                    return control(header, buf, used);
                }
                let length = self.begin(header)?;
                used += header.bytes;
                if header.fin && header.opcode != 0 && buf.len() - used >= length {
                    let event = self.whole(&mut buf[used..used + length])?;
                    return Ok((Some(event), used + length));
                }
                self.missing = length;
            }
            let take = self.missing.min(buf.len() - used);
            self.absorb(&mut buf[used..used + take])?;
            used += take;
            if self.missing > 0 {
                return Ok((None, used));
            }
            if self.fin {
                return Ok((Some(self.finish()?), used));
            }
        }
    }

    /// Takes a data frame's header; answers its length.
    fn begin(&mut self, header: Header) -> Result<usize, ProtocolError> {
        match (header.opcode, self.message) {
            (0, None) => return Err(ProtocolError::NothingToContinue),
            (0, Some(_)) => {}
            (_, Some(_)) => return Err(ProtocolError::Unfinished),
            (opcode, None) => {
                self.message = Some(if opcode == 1 {
                    Kind::Text
                } else {
                    Kind::Binary
                });
                self.utf8 = Utf8::default();
            }
        }
        let total = header.length.saturating_add(self.begun.len() as u64);
        if total > self.max as u64 {
            return Err(ProtocolError::TooLong {
                length: total,
                max: self.max,
            });
        }
        self.fin = header.fin;
        self.mask = header.mask;
        // Not above `max`, a usize.
        Ok(header.length as usize)
    }

    /// A message of one frame that lies whole in the buffer.
    fn whole<'b>(&mut self, payload: &'b mut [u8]) -> Result<Event<'b>, ProtocolError> {
        mask::apply(payload, self.mask);
        match self.message.take() {
            Some(Kind::Text) => {
                let text = std::str::from_utf8(payload).map_err(|_| ProtocolError::NotUtf8)?;
                Ok(Event::Text(Cow::Borrowed(text)))
            }
            _ => Ok(Event::Binary(Cow::Borrowed(payload))),
        }
    }

    /// Takes over a part of the frame in progress.
    fn absorb(&mut self, part: &mut [u8]) -> Result<(), ProtocolError> {
        mask::apply(part, self.mask);
        self.mask.rotate_left(part.len() % 4);
        if self.message == Some(Kind::Text) && !self.utf8.push(part) {
            return Err(ProtocolError::NotUtf8);
        }
        self.begun.extend_from_slice(part);
        self.missing -= part.len();
        Ok(())
    }

    /// The message in progress is whole.
    fn finish(&mut self) -> Result<Event<'static>, ProtocolError> {
        let bytes = mem::take(&mut self.begun);
        match self.message.take() {
            Some(Kind::Text) if !self.utf8.is_whole() => Err(ProtocolError::NotUtf8),
            Some(Kind::Text) => {
                let text = String::from_utf8(bytes).map_err(|_| ProtocolError::NotUtf8)?;
                Ok(Event::Text(Cow::Owned(text)))
            }
            _ => Ok(Event::Binary(Cow::Owned(bytes))),
        }
    }
}

/// A control frame at `used`, if it is whole.
fn control(
    header: Header,
    buf: &mut [u8],
    used: usize,
) -> Result<(Option<Event<'_>>, usize), ProtocolError> {
    let start = used + header.bytes;
    let end = start + header.length as usize;
    let Some(payload) = buf.get_mut(start..end) else {
        return Ok((None, used));
    };
    mask::apply(payload, header.mask);
    let event = match header.opcode {
        9 => Event::Ping(payload),
        10 => Event::Pong(payload),
        _ => close(payload)?,
    };
    Ok((Some(event), end))
}

fn close(payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(Event::Close {
                code: None,
                reason: "",
            }),
            _ => Err(ProtocolError::CloseTooShort),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999) {
        return Err(ProtocolError::CloseCode(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::NotUtf8)?;
    Ok(Event::Close {
        code: Some(code),
        reason,
    })
}

impl Header {
    /// The header at the front of `buf`, if it is whole. What its first two bytes break is an
    /// error at once.
    fn parse(buf: &[u8], role: Role) -> Result<Option<Header>, ProtocolError> {
        let Some((&[first, second], rest)) = buf.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let fin = first & 0x80 != 0;
        let opcode = first & 0x0f;
        let masked = second & 0x80 != 0;
        let short = second & 0x7f;
        if first & 0x70 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err(ProtocolError::ReservedOpcode(opcode));
        }
        if opcode >= 8 && !fin {
            return Err(ProtocolError::ControlFragmented);
        }
        if opcode >= 8 && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(ProtocolError::ControlTooLong);
        }
        match role {
            Role::Server if !masked => return Err(ProtocolError::NotMasked),
            Role::Client if masked => return Err(ProtocolError::Masked),
            _ => {}
        }
        let Some((length, rest)) = length(short, rest)? else {
            return Ok(None);
        };
        let (mask, rest) = match rest.split_first_chunk::<4>() {
            Some((mask, rest)) if masked => (*mask, rest),
            None if masked => return Ok(None),
            _ => ([0; 4], rest),
        };
        Ok(Some(Header {
            fin,
            opcode,
            mask,
            bytes: buf.len() - rest.len(),
            length,
        }))
    }
}

/// The payload's length and what follows it in the header, if it is whole.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    let (length, rest, least) = match short {
        126 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest, 65_536),
            None => return Ok(None),
        },
        short => (u64::from(short), rest, 0),
    };
    if length < least || length >> 63 != 0 {
        return Err(ProtocolError::LengthForm);
    }
    Ok(Some((length, rest)))
}
