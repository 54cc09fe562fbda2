//! MobileIMSDK over TCP: `docs/protocol.md` §1.

use std::sync::Arc;

use tidings_core::limits;
use tidings_core::session::Transport;
use tidings_core::wire::mobileimsdk::{self, tcp};

use super::stream::{self, End};
use crate::link::StreamLink;
use crate::router::{Arrival, Router};

/// Serves one connection until it ends.
pub(crate) async fn serve(router: Arc<Router>, link: Arc<StreamLink>, frame_bytes_max: usize) {
    let id = router.open_stream(&link, Transport::Tcp);
    let end = stream::read(&router, &link, |bytes| {
        let mut used = 0;
        let mut arrivals = Vec::new();
        let mut outcome = Ok(());
        loop {
            let admitted = link.is_admitted();
            let max = match admitted {
                true => frame_bytes_max,
                false => frame_bytes_max.min(limits::UNADMITTED_FRAME_BYTES_MAX),
            };
            match tcp::next(&bytes[used..], max) {
                Ok(tcp::Step::Frame { body, used: n }) => {
                    if arrivals.capacity() == 0 {
                        arrivals.reserve((bytes.len() - used) / stream::FRAME_BYTES + 1);
                    }
                    arrivals.push(match mobileimsdk::decode(body) {
                        Ok(frame) => Arrival::Frame(frame, body.len()),
                        Err(error) => Arrival::Unreadable(error.to_string()),
                    });
                    used += n;
                }
                Ok(tcp::Step::Need(_)) => break,
                Err(error) => {
                    // Nothing after it can be read: the connection ends, as the reference's does.
                    tracing::debug!(link = id.0, %error, "unreadable length");
                    outcome = Err(End::Gone);
                    break;
                }
            }
            if !admitted {
                // One by one: what follows a login waits in its bytes for the outcome.
                router.arrived(id, std::mem::take(&mut arrivals));
                if link.is_held_back() {
                    break;
                }
            }
        }
        if !arrivals.is_empty() {
            router.arrived(id, arrivals);
        }
        outcome.map(|()| used)
    })
    .await;
    router.closed(id);
    if end == End::Gone {
        link.close(1000, "");
    }
    drop(router); // a server that stops need not wait for the peer
    Box::pin(link.linger()).await;
}
