//! UTF-8 that arrives in pieces.

/// Checks a text piece by piece and fails at the first byte that no text can have there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Utf8 {
    /// The bytes so far of a character that is not whole yet.
    begun: [u8; 3],
    count: u8,
}

impl Utf8 {
    /// Whether `piece` can go on the text so far.
    pub(super) fn push(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        while self.count > 0 {
            let Some((&byte, after)) = rest.split_first() else {
                return true;
            };
            rest = after;
            let count = usize::from(self.count);
            let mut joined = [0; 4];
            joined[..count].copy_from_slice(&self.begun[..count]);
            joined[count] = byte;
            match std::str::from_utf8(&joined[..=count]) {
                Ok(_) => self.count = 0,
                Err(error) if error.error_len().is_some() || count == 3 => return false,
                Err(_) => {
                    self.begun[count] = byte;
                    self.count += 1;
                }
            }
        }
        match std::str::from_utf8(rest) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                let left = &rest[error.valid_up_to()..];
                self.begun[..left.len()].copy_from_slice(left);
                self.count = left.len() as u8;
                true
            }
        }
    }

    /// Whether the text may end here.
    pub(super) fn is_whole(self) -> bool {
        self.count == 0
    }
}
