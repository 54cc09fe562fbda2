//! What became of the bytes of one connection, for whoever must know whether an answer arrived.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How much of a connection the system has taken since it was accepted, and how it ended. Kept by
/// the connection, asked by others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bytes: AtomicU64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    end: Option<End>,
    /// Wakes the connection, so that it looks at its socket.
    reader: Option<Waker>,
    /// How often somebody asked it to look, and the last of these after which it did.
    asked: u64,
    looked: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The other side ended it, or we did.
    Closed,
    /// It was reset: the other side was gone before it had read what the system took from us.
    Broken,
}

impl Written {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Acquire)
    }

    /// A write was tried.
    pub(crate) fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(bytes)) => {
                self.0.bytes.fetch_add(*bytes as u64, Ordering::AcqRel);
                self.0.changed.notify_waiters();
            }
            Poll::Ready(Err(_)) => self.end(End::Broken),
            Poll::Pending => {}
        }
    }

    /// A look at the socket begins: what [`Written::read`] wants.
    pub(super) fn looks(&self) -> u64 {
        self.0.state.lock().asked
    }

    /// A read was tried that began at this look. `end`: it brought the end of the connection.
    pub(super) fn read(
        &self,
        look: u64,
        cx: &Context<'_>,
        polled: &Poll<io::Result<()>>,
        end: bool,
    ) {
        match polled {
            Poll::Ready(Err(_)) => self.end(End::Broken),
            Poll::Ready(Ok(())) if end => self.end(End::Closed),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        let mut state = self.0.state.lock();
        if polled.is_pending() && !matches!(&state.reader, Some(w) if w.will_wake(cx.waker())) {
            state.reader = Some(cx.waker().clone());
        }
        if state.looked < look {
            state.looked = look;
            drop(state);
            self.0.changed.notify_waiters();
        }
    }

    /// The connection is over.
    pub(crate) fn over(&self) {
        self.end(End::Closed);
    }

    fn end(&self, end: End) {
        let mut state = self.0.state.lock();
        state.end.get_or_insert(end);
        state.reader = None;
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Waits until it is known whether everything up to `upto` was taken, and then looks once more
    /// whether the connection was reset since. False as well if it ended before.
    pub(crate) async fn arrived(&self, upto: u64) -> bool {
        let mut mine = None;
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            let whole = self.bytes() >= upto;
            {
                let mut state = self.0.state.lock();
                match state.end {
                    Some(End::Broken) => return false,
                    Some(End::Closed) => return whole,
                    None => {}
                }
                if whole {
                    let mine = *mine.get_or_insert_with(|| {
                        state.asked += 1;
                        state.reader.take().into_iter().for_each(Waker::wake);
                        state.asked
                    });
                    if state.looked >= mine {
                        return true;
                    }
                }
            }
            changed.await;
        }
    }

    /// The same as far as it is known now.
    pub(crate) fn seems_arrived(&self, upto: u64) -> bool {
        self.bytes() >= upto && self.0.state.lock().end != Some(End::Broken)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn wrote(written: &Written, bytes: usize) {
        written.wrote(&Poll::Ready(Ok(bytes)));
    }

    /// A connection's task, for as long as nothing comes.
    fn idle(written: &Written) -> tokio::task::JoinHandle<()> {
        let written = written.clone();
        tokio::spawn(poll_fn(move |cx| {
            let look = written.looks();
            written.read(look, cx, &Poll::Pending, false);
            Poll::<()>::Pending
        }))
    }

    #[tokio::test]
    async fn it_arrived_once_all_was_taken_and_the_connection_was_looked_at() {
        let written = Written::default();
        let asked = tokio::spawn({
            let written = written.clone();
            async move { written.arrived(10).await }
        });
        let task = idle(&written);
        wrote(&written, 4);
        tokio::task::yield_now().await;
        assert!(!asked.is_finished());
        wrote(&written, 6);
        assert!(asked.await.unwrap());
        task.abort();
    }

    #[tokio::test]
    async fn an_end_before_and_a_reset_after_are_no_arrival() {
        let cut = Written::default();
        wrote(&cut, 4);
        cut.over();
        assert!(!cut.arrived(10).await);
        let whole = Written::default();
        wrote(&whole, 10);
        whole.over();
        assert!(whole.arrived(10).await);
        // The reset is there and was not read yet: looking finds it.
        let reset = Written::default();
        wrote(&reset, 10);
        let task = tokio::spawn({
            let reset = reset.clone();
            let mut first = true;
            poll_fn(move |cx| {
                let look = reset.looks();
                let polled = match std::mem::take(&mut first) {
                    true => Poll::Pending,
                    false => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                };
                reset.read(look, cx, &polled, false);
                polled.map(drop)
            })
        });
        tokio::task::yield_now().await;
        assert!(!reset.arrived(10).await);
        task.await.unwrap();
    }
}
