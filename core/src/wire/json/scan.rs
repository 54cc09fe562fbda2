//! Finding bytes eight at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bit of every byte of `word` that is zero. Bytes above the lowest hit may be wrong.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// Where the first `quote` or backslash stands.
#[inline]
pub(crate) fn find_quote(bytes: &[u8], quote: u8) -> Option<usize> {
    let quotes = ONES * u64::from(quote);
    let slashes = ONES * u64::from(b'\\');
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = zeros(word ^ quotes) | zeros(word ^ slashes);
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let hit = tail.iter().position(|&b| b == quote || b == b'\\')?;
    Some(words.len() * 8 + hit)
}

/// Where the first byte stands that a JSON string must escape: `"`, `\` or below 0x20.
#[inline]
pub(crate) fn find_escaped(bytes: &[u8]) -> Option<usize> {
    let quotes = ONES * u64::from(b'"');
    let slashes = ONES * u64::from(b'\\');
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hits = zeros(word ^ quotes) | zeros(word ^ slashes) | control;
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let hit = tail.iter().position(|&b| needs_escape(b))?;
    Some(words.len() * 8 + hit)
}

/// Whether a JSON string must escape this byte.
pub(crate) const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}
