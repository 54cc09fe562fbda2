//! Work that peers cause who have shown nothing yet, as the arithmetic of a TLS handshake: few at a
//! time, and each network in its turn, so that a crowd from one keeps nobody else waiting for long.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::auth::network;

#[derive(Debug)]
struct Queues {
    free: usize,
    waiting: HashMap<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
    /// Networks with somebody waiting, in the order in which their turn comes.
    order: VecDeque<IpAddr>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Mutex<Queues>>);

/// Somebody's turn; the next one's when dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Turns>);

impl Turns {
    /// So many at a time.
    pub(crate) fn new(at_once: usize) -> Turns {
        Turns(Arc::new(Mutex::new(Queues {
            free: at_once,
            waiting: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// Waits for the turn of somebody there.
    pub(crate) async fn wait(&self, address: IpAddr) -> Option<Turn> {
        let waiting = {
            let mut queues = self.0.lock();
            if queues.free > 0 {
                queues.free -= 1;
                return Some(Turn(Some(self.clone())));
            }
            let (sender, waiting) = oneshot::channel();
            let network = network(address);
            let queue = queues.waiting.entry(network).or_default();
            queue.push_back(sender);
            if queue.len() == 1 {
                queues.order.push_back(network);
            }
            waiting
        };
        waiting.await.ok()
    }

    /// A turn is over.
    fn next(&self) {
        let mut queues = self.0.lock();
        while let Some(network) = queues.order.pop_front() {
            let Some(queue) = queues.waiting.get_mut(&network) else {
                continue;
            };
            let sender = queue.pop_front();
            match queue.is_empty() {
                true => drop(queues.waiting.remove(&network)),
                false => queues.order.push_back(network),
            }
            let Some(sender) = sender else {
                continue;
            };
            match sender.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Who waited has gone. His turn must not end here, where the lock is held.
                Err(mut turn) => turn.0 = None,
            }
        }
        queues.free += 1;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_crowd_waits_for_itself() {
        let turns = Turns::new(1);
        let crowd: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        let first = turns.wait(crowd).await.unwrap();
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..5 {
            let from = if n == 4 { other } else { crowd };
            let mut wait = Box::pin({
                let turns = turns.clone();
                async move { turns.wait(from).await }
            });
            // Everybody is in the queue before the next comes.
            assert!(futures_poll(&mut wait).await.is_none());
            let told = told.clone();
            tokio::spawn(async move {
                let turn = wait.await;
                told.send(n).unwrap();
                drop(turn);
            });
        }
        drop(first);
        let mut order = Vec::new();
        for _ in 0..5 {
            order.push(heard.recv().await.unwrap());
        }
        assert_eq!(order, [0, 4, 1, 2, 3]);
        let queues = turns.0.lock();
        assert_eq!((queues.free, queues.waiting.len()), (1, 0));
    }

    #[tokio::test]
    async fn who_has_gone_takes_no_turn() {
        let turns = Turns::new(1);
        let from: IpAddr = "192.0.2.1".parse().unwrap();
        let first = turns.wait(from).await.unwrap();
        let mut gone = Box::pin(turns.wait(from));
        assert!(futures_poll(&mut gone).await.is_none());
        drop(gone);
        drop(first);
        assert!(turns.wait(from).await.is_some());
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
