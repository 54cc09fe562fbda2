//! What TCP and WebSocket have in common: reading into a shared buffer.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use crate::link::{Next, StreamLink};
use crate::router::Router;

/// Read at once from one connection, before others have their turn.
const READ_BYTES: usize = 64 << 10;

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
/// many bytes it used, or an end.
pub(super) async fn read(
    router: &Router,
    link: &Arc<StreamLink>,
    take: impl FnMut(&mut [u8]) -> Result<usize, End>,
) -> End {
    read_after(router, link, Vec::new(), take).await
}

/// The same for a connection of which `rest` was read before.
pub(super) async fn read_after(
    router: &Router,
    link: &Arc<StreamLink>,
    mut rest: Vec<u8>,
    mut take: impl FnMut(&mut [u8]) -> Result<usize, End>,
) -> End {
    if !rest.is_empty() {
        match take(&mut rest) {
            Ok(used) => drop(rest.drain(..used)),
            Err(end) => return end,
        }
    }
    loop {
        if link.next().await == Next::Linger {
            return End::Closing;
        }
        if router.is_full() {
            // Boxed, as everything rare: what an idle connection waits in must stay small.
            Box::pin(router.room()).await;
        }
        let outcome =
            BUFFER.with_borrow_mut(|buffer| read_once(link, buffer, &mut rest, &mut take));
        if let Err(end) = outcome {
            return end;
        }
    }
}

fn read_once(
    link: &Arc<StreamLink>,
    buffer: &mut Vec<u8>,
    rest: &mut Vec<u8>,
    take: &mut impl FnMut(&mut [u8]) -> Result<usize, End>,
) -> Result<(), End> {
    let held = rest.len();
    if buffer.len() < held + READ_BYTES {
        buffer.resize(held + READ_BYTES, 0);
    }
    buffer[..held].copy_from_slice(rest);
    let count = match link.try_read(&mut buffer[held..]) {
        Ok(0) => return Err(End::Gone),
        Ok(count) => count,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            return Ok(());
        }
        Err(_) => return Err(End::Gone),
    };
    let filled = held + count;
    let used = take(&mut buffer[..filled])?;
    let left = filled - used;
    if left == 0 {
        *rest = Vec::new(); // frees: an idle connection holds nothing
    } else {
        rest.clear();
        rest.extend_from_slice(&buffer[used..filled]);
    }
    if buffer.len() > 2 * READ_BYTES {
        buffer.truncate(READ_BYTES);
        buffer.shrink_to_fit();
    }
    Ok(())
}
