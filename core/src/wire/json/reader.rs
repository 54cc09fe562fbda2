//! The lenient reader.

use std::borrow::Cow;

use super::{DecodeError, scan};
use crate::limits;

/// One value, or the opening of one: what stands after a name or in an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// `null`, in any case; or an empty place in an array.
    Null,
    /// `true` or `false`, in any case, without quotes.
    Bool(bool),
    /// A number as JSON writes it, as it stands there.
    Number(&'a str),
    /// Anything else without quotes.
    Bare(&'a str),
    /// A string in quotes, unescaped.
    Text(Cow<'a, str>),
    /// `{`; its members follow, or call [`Reader::skip_open`].
    Object,
    /// `[`; its elements follow, or call [`Reader::skip_open`].
    Array,
}

/// Reads one JSON text from front to back.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// Begins at the front; a byte order mark is passed over.
    pub(crate) fn new(text: &'a str) -> Reader<'a> {
        let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
        Reader { text, at }
    }

    /// The opening of the outermost object.
    ///
    /// # Errors
    /// [`DecodeError::NotAnObject`] for every other value, and for none.
    pub(crate) fn open_object(&mut self) -> Result<()> {
        self.skip_blank()?;
        let Some(first) = self.peek() else {
            return Err(DecodeError::NotAnObject { found: "nothing" });
        };
        if first == b'{' {
            self.at += 1;
            return Ok(());
        }
        let found = match self.value()? {
            Token::Null => "null",
            Token::Bool(_) => "a boolean",
            Token::Number(_) => "a number",
            Token::Bare(_) => "a bare word",
            Token::Text(_) => "a string",
            Token::Object | Token::Array => "an array",
        };
        Err(DecodeError::NotAnObject { found })
    }

    /// The next member's name, its colon passed; `None` after the closing brace. `first` says that
    /// nothing of this object was read yet.
    ///
    /// # Errors
    /// [`DecodeError::NotJson`].
    pub(crate) fn next_name(&mut self, first: bool) -> Result<Option<Cow<'a, str>>> {
        self.skip_blank()?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        if !first {
            match self.peek() {
                Some(b',' | b';') => self.at += 1,
                _ => return Err(self.expected("`,` or `}`")),
            }
            self.skip_blank()?;
        }
        let name = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote)?,
            _ => match self.literal() {
                "" => return Err(self.expected("a name")),
                bare => Cow::Borrowed(bare),
            },
        };
        self.skip_blank()?;
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(b'=') => {
                self.at += 1;
                if self.peek() == Some(b'>') {
                    self.at += 1;
                }
            }
            _ => return Err(self.expected("`:`")),
        }
        Ok(Some(name))
    }

    /// The next element of an array; `None` after the closing bracket. An empty place is null.
    ///
    /// # Errors
    /// [`DecodeError::NotJson`].
    pub(crate) fn next_element(&mut self, first: bool) -> Result<Option<Token<'a>>> {
        self.skip_blank()?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(None);
        }
        if !first {
            match self.peek() {
                Some(b',' | b';') => self.at += 1,
                _ => return Err(self.expected("`,` or `]`")),
            }
            self.skip_blank()?;
        }
        match self.peek() {
            Some(b',' | b';' | b']') => Ok(Some(Token::Null)),
            _ => self.value().map(Some),
        }
    }

    /// The next value, or the opening of one.
    ///
    /// # Errors
    /// [`DecodeError::NotJson`].
    pub(crate) fn value(&mut self) -> Result<Token<'a>> {
        self.skip_blank()?;
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => return self.quoted(quote).map(Token::Text),
            Some(b'{') => {
                self.at += 1;
                return Ok(Token::Object);
            }
            Some(b'[') => {
                self.at += 1;
                return Ok(Token::Array);
            }
            _ => {}
        }
        let word = self.literal();
        if word.is_empty() {
            return Err(self.expected("a value"));
        }
        Ok(if word.eq_ignore_ascii_case("null") {
            Token::Null
        } else if word.eq_ignore_ascii_case("true") {
            Token::Bool(true)
        } else if word.eq_ignore_ascii_case("false") {
            Token::Bool(false)
        } else if is_number(word) {
            Token::Number(word)
        } else {
            Token::Bare(word)
        })
    }

    /// Passes over the rest of `token`, if it is an object or array.
    ///
    /// # Errors
    /// [`DecodeError::NotJson`]; [`DecodeError::TooDeep`] beyond
    /// [`limits::JSON_DEPTH_MAX`] levels.
    pub(crate) fn skip_open(&mut self, token: &Token<'_>) -> Result<()> {
        // One bit per open level, the innermost lowest: set for an object.
        let mut kinds: u128 = match token {
            Token::Object => 1,
            Token::Array => 0,
            _ => return Ok(()),
        };
        let mut depth = 1;
        let mut first = true;
        while depth > 0 {
            let next = if kinds & 1 == 1 {
                match self.next_name(first)? {
                    Some(_) => Some(self.value()?),
                    None => None,
                }
            } else {
                self.next_element(first)?
            };
            first = false;
            match next {
                None => {
                    kinds >>= 1;
                    depth -= 1;
                }
                Some(open @ (Token::Object | Token::Array)) => {
                    if depth == limits::JSON_DEPTH_MAX {
                        return Err(DecodeError::TooDeep { offset: self.at });
                    }
                    kinds = kinds << 1 | u128::from(open == Token::Object);
                    depth += 1;
                    first = true;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Demands that nothing but blanks and comments follow.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`].
    pub(crate) fn end(&mut self) -> Result<()> {
        self.skip_blank()?;
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(DecodeError::TrailingBytes { offset: self.at }),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expected(&self, expected: &'static str) -> DecodeError {
        DecodeError::NotJson {
            offset: self.at,
            expected,
        }
    }

    /// Passes over blanks and comments (`//`, `#`, `/* */`).
    fn skip_blank(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                b'#' => self.skip_line(),
                b'/' => match bytes.get(self.at + 1) {
                    Some(b'/') => self.skip_line(),
                    Some(b'*') => {
                        let inside = &self.text[self.at + 2..];
                        let end = inside.find("*/");
                        let end = end.ok_or_else(|| self.expected("the end of a comment"))?;
                        self.at += 2 + end + 2;
                    }
                    _ => return Ok(()),
                },
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn skip_line(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let line = rest.iter().position(|b| matches!(b, b'\n' | b'\r'));
        self.at += line.unwrap_or(rest.len());
    }

    /// What stands here without quotes, up to the next byte with a meaning; may be empty.
    fn literal(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|b| !is_literal(b));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// A string from its opening `quote` to its closing one.
    fn quoted(&mut self, quote: u8) -> Result<Cow<'a, str>> {
        self.at += 1;
        let rest = &self.text[self.at..];
        let Some(stop) = scan::find_quote(rest.as_bytes(), quote) else {
            self.at = self.text.len();
            return Err(self.expected("the end of a string"));
        };
        if rest.as_bytes()[stop] == quote {
            self.at += stop + 1;
            return Ok(Cow::Borrowed(&rest[..stop]));
        }
        match unescape(rest, quote) {
            Ok((text, used)) => {
                self.at += used;
                Ok(Cow::Owned(text))
            }
            Err((at, expected)) => {
                self.at += at;
                Err(self.expected(expected))
            }
        }
    }
}

/// Whether Gson takes this byte as part of a word without quotes.
const fn is_literal(byte: u8) -> bool {
    !matches!(
        byte,
        b'/' | b'\\'
            | b';'
            | b'#'
            | b'='
            | b'{'
            | b'}'
            | b'['
            | b']'
            | b':'
            | b','
            | b' '
            | b'\t'
            | 0x0c
            | b'\r'
            | b'\n'
    )
}

/// Whether `word` is a number by the JSON grammar.
fn is_number(word: &str) -> bool {
    fn digits(text: &str) -> &str {
        text.trim_start_matches(|c: char| c.is_ascii_digit())
    }
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let mut rest = match unsigned.strip_prefix('0') {
        Some(rest) => rest,
        None => digits(unsigned),
    };
    if rest.len() == unsigned.len() {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = digits(fraction);
        if rest.len() == fraction.len() {
            return false;
        }
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        rest = digits(exponent);
        if rest.len() == exponent.len() {
            return false;
        }
    }
    rest.is_empty()
}

/// Unescapes a string whose opening quote was passed; also says how many bytes it took with the
/// closing quote. On failure: where, and what was expected there.
pub(crate) fn unescape(
    rest: &str,
    quote: u8,
) -> std::result::Result<(String, usize), (usize, &'static str)> {
    let bytes = rest.as_bytes();
    let mut text = String::with_capacity(rest.len().min(256));
    let mut at = 0;
    loop {
        let stop = scan::find_quote(&bytes[at..], quote);
        let stop = stop.ok_or((bytes.len(), "the end of a string"))? + at;
        text.push_str(&rest[at..stop]);
        if bytes[stop] == quote {
            return Ok((text, stop + 1));
        }
        at = stop + 2;
        match bytes.get(stop + 1) {
            Some(b'n') => text.push('\n'),
            Some(b't') => text.push('\t'),
            Some(b'r') => text.push('\r'),
            Some(b'b') => text.push('\u{8}'),
            Some(b'f') => text.push('\u{c}'),
            Some(&c @ (b'"' | b'\'' | b'\\' | b'/' | b'\n')) => text.push(char::from(c)),
            Some(b'u') => {
                let (c, used) = unicode(&bytes[at..]).ok_or((stop, "four hexadecimal digits"))?;
                text.push(c);
                at += used;
            }
            _ => return Err((stop, "an escape that JSON knows")),
        }
    }
}

/// The character whose `\u` was passed, and the bytes it took; half a surrogate pair is U+FFFD.
fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let high = hex4(bytes)?;
    if let Some(c) = char::from_u32(high) {
        return Some((c, 4));
    }
    if high < 0xdc00
        && let Some(pair) = bytes.get(4..).and_then(|rest| rest.strip_prefix(b"\\u"))
        && let Some(low @ 0xdc00..=0xdfff) = hex4(pair)
    {
        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return Some((char::from_u32(code)?, 10));
    }
    Some((char::REPLACEMENT_CHARACTER, 4))
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    let mut value = 0;
    for &byte in bytes.get(..4)? {
        value = value << 4 | char::from(byte).to_digit(16)?;
    }
    Some(value)
}
