//! Tests of the machine through its one interface: inputs in, actions out.
//!
//! `rig` is a driver and a store of a few lines; `promises` are those of `docs/protocol.md` §7,
//! `sessions` the rules of a login and what follows it, `windows` what may be in flight and what
//! becomes of it, `closes` the points that MobileIMSDK leaves open, `unproven` what is sent to a UDP
//! address that nobody may be at.

mod agents;
mod closes;
mod promises;
mod rig;
mod sessions;
mod store;
mod unproven;
mod windows;
