//! The length prefix of TCP (`docs/protocol.md` §1): four bytes, big-endian, then so many bytes of JSON.
//!
//! Here: prefix and body. Not here: the JSON, sockets. Called by the TCP transport and the client.

#[cfg(test)]
mod tests;

/// What stands at the front of a receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A whole frame.
    Frame {
        /// The frame's JSON.
        body: &'a [u8],
        /// Bytes to remove from the front of the buffer, the prefix included.
        used: usize,
    },
    /// So many bytes are missing, at least 1; the prefix's own if it is not whole yet.
    Need(usize),
}

/// A prefix that no frame can have. The connection cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Length 0: the reference server closes, too.
    #[error("the length prefix says 0 bytes; a frame has at least 1")]
    Empty,
    /// Longer than the limit.
    #[error("the length prefix says {length} bytes; a frame has at most {max}")]
    TooLong {
        /// What the prefix says, in bytes.
        length: u32,
        /// The limit, in bytes.
        max: usize,
    },
}

/// Looks for a frame at the front of `buf`; bodies of up to `max` bytes are allowed (usually
/// [`crate::limits::FRAME_BYTES_MAX`]).
///
/// # Errors
/// As soon as the prefix is there and breaks the limit.
pub fn next(buf: &[u8], max: usize) -> Result<Step<'_>, FramingError> {
    let Some((prefix, rest)) = buf.split_first_chunk::<4>() else {
        return Ok(Step::Need(4 - buf.len()));
    };
    let length = u32::from_be_bytes(*prefix);
    if length == 0 {
        return Err(FramingError::Empty);
    }
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    if wanted > max {
        return Err(FramingError::TooLong { length, max });
    }
    Ok(match rest.get(..wanted) {
        Some(body) => Step::Frame {
            body,
            used: 4 + wanted,
        },
        None => Step::Need(wanted - rest.len()),
    })
}

/// Appends a frame whose body `write` appends; returns the body's length in bytes, for the caller
/// to hold against the receiver's limit.
pub fn put(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = out.len().saturating_sub(start + 4);
    // A body above 4 GiB cannot be said; the prefix is then refused by every receiver.
    let prefix = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&prefix);
    }
    length
}
