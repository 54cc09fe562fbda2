//! The scanner for frames as MobileIMSDK's Java and iOS clients and we write them.
//!
//! It knows one narrow form: known members only, plain values, no escapes but in `dataContent`;
//! blanks anywhere, because iOS sends pretty-printed JSON. Anything else is `None`, and the lenient reader decides. Where it does answer, it
//! answers the same as the lenient reader: a property test holds it to that.

use std::borrow::Cow;

use super::frame::Wide;
use crate::wire::json::{scan, unescape};

/// Reads a frame, or leaves it to the lenient reader. `EXTENDED` adds `id`, `seq` and `time`.
pub(super) fn decode<const EXTENDED: bool>(text: &str) -> Option<Wide<'_>> {
    let mut scanner = Scanner { text, at: 0 };
    let mut wide = Wide::default();
    let frame = &mut wide.frame;
    scanner.blanks();
    scanner.eat(b"{")?;
    loop {
        match scanner.member::<EXTENDED>()? {
            Member::Bridge => frame.bridge = scanner.boolean()?,
            Member::Type => frame.kind = scanner.int32()?,
            Member::Data => frame.data = Some(scanner.string()?),
            Member::From => frame.from = Some(scanner.plain_string()?),
            Member::To => frame.to = Some(scanner.plain_string()?),
            Member::Fp => frame.fp = Some(scanner.plain_string()?),
            Member::Qos => frame.qos = scanner.boolean()?,
            Member::Typeu => frame.typeu = scanner.int32()?,
            Member::Sm => frame.sm = scanner.int64()?,
            Member::Id => drop(scanner.plain_string()?),
            Member::Seq => wide.seq = Some(u64::try_from(scanner.int64()?).ok()?),
            Member::Time => wide.time_ms = Some(scanner.int64()?),
        }
        scanner.blanks();
        match scanner.byte()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    scanner.blanks();
    (scanner.at == text.len()).then_some(wide)
}

enum Member {
    Bridge,
    Type,
    Data,
    From,
    To,
    Fp,
    Qos,
    Typeu,
    Sm,
    Id,
    Seq,
    Time,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The length is a constant so that the comparison is a few machine words.
    #[inline]
    fn eat<const N: usize>(&mut self, expected: &[u8; N]) -> Option<()> {
        (self.rest().first_chunk() == Some(expected)).then(|| self.at += N)
    }

    #[inline]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    /// The next member's name with its quotes and colon, and the blanks around them.
    #[inline]
    fn member<const EXTENDED: bool>(&mut self) -> Option<Member> {
        self.blanks();
        let rest = self.rest();
        let member = match (rest.get(1)?, rest.get(2)?) {
            (b'b', _) => self.name(Member::Bridge, b"\"bridge\":"),
            (b't', b'y') if rest.get(5) == Some(&b'"') => self.name(Member::Type, b"\"type\":"),
            (b't', b'y') => self.name(Member::Typeu, b"\"typeu\":"),
            (b't', b'o') => self.name(Member::To, b"\"to\":"),
            (b'd', _) => self.name(Member::Data, b"\"dataContent\":"),
            (b'f', b'r') => self.name(Member::From, b"\"from\":"),
            (b'f', _) => self.name(Member::Fp, b"\"fp\":"),
            (b'Q', _) => self.name(Member::Qos, b"\"QoS\":"),
            (b's', b'm') => self.name(Member::Sm, b"\"sm\":"),
            (b'i', _) if EXTENDED => self.name(Member::Id, b"\"id\":"),
            (b's', _) if EXTENDED => self.name(Member::Seq, b"\"seq\":"),
            (b't', _) if EXTENDED => self.name(Member::Time, b"\"time\":"),
            _ => None,
        }?;
        self.blanks();
        Some(member)
    }

    #[inline]
    fn name<const N: usize>(&mut self, member: Member, name: &[u8; N]) -> Option<Member> {
        if self.eat(name).is_none() {
            self.spaced_name(name)?;
        }
        Some(member)
    }

    /// A name with blanks before its colon.
    fn spaced_name(&mut self, name: &[u8]) -> Option<()> {
        let quoted = name.strip_suffix(b":")?;
        self.at += self.rest().starts_with(quoted).then_some(quoted.len())?;
        self.blanks();
        self.eat(b":")
    }

    #[inline]
    fn boolean(&mut self) -> Option<bool> {
        if self.eat(b"false").is_some() {
            return Some(false);
        }
        self.eat(b"true")?;
        Some(true)
    }

    /// Up to 18 digits, so that nothing overflows.
    #[inline]
    fn int64(&mut self) -> Option<i64> {
        let rest = self.rest();
        let negative = rest.first() == Some(&b'-');
        let start = usize::from(negative);
        let mut end = start;
        let mut value: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = rest.get(end) {
            if end - start == 18 {
                return None;
            }
            value = value * 10 + i64::from(digit - b'0');
            end += 1;
        }
        if end == start {
            return None;
        }
        self.at += end;
        Some(if negative { -value } else { value })
    }

    #[inline]
    fn int32(&mut self) -> Option<i32> {
        i32::try_from(self.int64()?).ok()
    }

    #[inline]
    fn plain_string(&mut self) -> Option<Cow<'a, str>> {
        self.eat(b"\"")?;
        let stop = scan::find_quote(self.rest(), b'"')?;
        let end = self.at + stop;
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return None;
        }
        let text = self.text.get(self.at..end)?;
        self.at = end + 1;
        Some(Cow::Borrowed(text))
    }

    #[inline]
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        if let Some(text) = self.plain_string() {
            return Some(text);
        }
        self.at = start;
        self.eat(b"\"")?;
        let (text, used) = unescape(self.text.get(self.at..)?, b'"').ok()?;
        self.at += used;
        Some(Cow::Owned(text))
    }
}
