//! What TCP and WebSocket have in common: reading into a shared buffer.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use tidings_core::limits;

use crate::link::{Next, StreamLink};
use crate::router::Router;

/// Read at once from one connection, before others have their turn.
const READ_BYTES: usize = 64 << 10;

/// The same before the login, with what was read before: a whole frame or upgrade, and one byte to tell
/// one that is too long.
const UNADMITTED_BYTES: usize = limits::UPGRADE_HEAD_BYTES_MAX + 1;

/// A frame is about so long, if it is short: to make room for all that were read at once.
pub(super) const FRAME_BYTES: usize = 128;

thread_local! {
    /// Idle connections hold no read buffer: each thread has one for all of them.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The other side closed, or the connection broke.
    Gone,
    /// We closed: the link lingers for the last bytes.
    Closing,
}

/// Reads until the connection ends. `take` gets everything that is not used yet and returns how
/// many bytes it used, or an end. Before the login what it leaves may be whole frames: those behind
/// one whose outcome the link waits for.
pub(super) fn read(
    router: &Router,
    link: &Arc<StreamLink>,
    take: impl FnMut(&mut [u8]) -> Result<usize, End>,
) -> impl Future<Output = End> {
    read_after(router, link, Vec::new(), take)
}

/// The same for a connection of which `rest` was read before.
pub(super) async fn read_after(
    router: &Router,
    link: &Arc<StreamLink>,
    mut rest: Vec<u8>,
    mut take: impl FnMut(&mut [u8]) -> Result<usize, End>,
) -> End {
    // What is there may be more than the beginning of a frame.
    let mut left = !rest.is_empty();
    loop {
        let next = match left {
            true => link.room().await,
            false => link.next().await,
        };
        if next == Next::Linger {
            return End::Closing;
        }
        if router.is_full() {
            // Boxed, as everything rare: what an idle connection waits in must stay small.
            Box::pin(router.room()).await;
        }
        let admitted = link.is_admitted();
        let outcome = match left {
            true => take(&mut rest).inspect(|used| drop(rest.drain(..*used))),
            false => BUFFER.with_borrow_mut(|buffer| read_once(link, buffer, &mut rest, &mut take)),
        };
        let used = match outcome {
            Ok(used) => used,
            Err(end) => return end,
        };
        if rest.is_empty() {
            rest = Vec::new(); // frees: an idle connection holds nothing
        }
        left = !admitted && used > 0 && !rest.is_empty();
    }
}

fn read_once(
    link: &Arc<StreamLink>,
    buffer: &mut Vec<u8>,
    rest: &mut Vec<u8>,
    take: &mut impl FnMut(&mut [u8]) -> Result<usize, End>,
) -> Result<usize, End> {
    let held = rest.len();
    let room = match link.is_admitted() {
        true => READ_BYTES,
        false => UNADMITTED_BYTES.saturating_sub(held).max(1),
    };
    if buffer.len() < held + READ_BYTES {
        buffer.resize(held + READ_BYTES, 0);
    }
    buffer[..held].copy_from_slice(rest);
    let count = match link.try_read(&mut buffer[held..held + room]) {
        Ok(0) => return Err(End::Gone),
        Ok(count) => count,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            return Ok(0);
        }
        Err(_) => return Err(End::Gone),
    };
    let filled = held + count;
    let used = take(&mut buffer[..filled])?;
    rest.clear();
    rest.extend_from_slice(&buffer[used..filled]);
    if buffer.len() > 2 * READ_BYTES {
        buffer.truncate(READ_BYTES);
        buffer.shrink_to_fit();
    }
    Ok(used)
}
