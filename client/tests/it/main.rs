//! The client library against a real server, in one binary: linked once.

#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod killed;
mod outbox;
mod support;
mod tcp;
mod udp;
mod ws;
