//! What the end-to-end tests are made with: the real binary as a child process (`server`) and its
//! `tidings admin` (`admin`), its API (`http`), raw sockets that speak the protocol without any of our code (`raw`), a
//! small file system (`disk`), and a small source of repeatable randomness (`dice`).

pub(crate) mod admin;
pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod http;
pub(crate) mod raw;
pub(crate) mod server;

use std::time::Duration;

/// How long a test waits for something that must happen. Not an assertion of speed: only what ends
/// a test that would otherwise hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must happen.
pub(crate) fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number from the environment, to make a test longer by hand.
pub(crate) fn knob(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}
