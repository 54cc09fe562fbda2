//! Removes what is old enough: regularly, and when an operator asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::router::Router;
use crate::store::StoreError;

/// How often messages that are old enough are looked for.
const INTERVAL: Duration = Duration::from_secs(600);
/// A device that was not seen for so long no longer holds messages back.
const DEVICE_DAYS: i64 = 90;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Removes messages older than this, a little at a time; returns how many went. Blocks. Ends early
/// when the server stops.
pub(crate) fn pass(router: &Router, days: u32) -> Result<u64, StoreError> {
    // Two at once would each leave out what the other has passed.
    let _one_at_a_time = router.retaining();
    let now = router.wall_ms();
    let before = now - i64::from(days) * DAY_MS;
    let mut removed = 0;
    while !router.is_stopping() {
        let step = router.store().retain(before, now - DEVICE_DAYS * DAY_MS)?;
        removed += step.removed;
        if !step.more {
            break;
        }
    }
    Ok(removed)
}

/// Does so at once, whenever the days change, and from time to time; 0 days keep everything.
pub(crate) async fn run(router: Arc<Router>, mut days: watch::Receiver<u32>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            Ok(()) = days.changed() => {}
        }
        let old = *days.borrow_and_update();
        if old == 0 {
            continue;
        }
        let router = router.clone();
        match tokio::task::spawn_blocking(move || pass(&router, old)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => tracing::info!(removed, days = old, "old messages were removed"),
            Ok(Err(error)) => tracing::error!(%error, "old messages could not be removed"),
            Err(error) => tracing::error!(%error, "removing old messages was cut off"),
        }
    }
}
