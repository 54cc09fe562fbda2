//! MobileIMSDK over TCP: `docs/protocol.md` §1.

use std::sync::Arc;

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
        let mut arrivals = Vec::with_capacity(bytes.len() / stream::FRAME_BYTES + 1);
        let mut outcome = Ok(());
        loop {
            match tcp::next(&bytes[used..], frame_bytes_max) {
                Ok(tcp::Step::Frame { body, used: n }) => {
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
    Box::pin(link.linger()).await;
}
