//! Tests of the machine through its one interface: inputs in, actions out.
//!
//! `rig` is a driver and a store of a few lines; `promises` are the rows of DESIGN §4's table,
//! `sessions` the rules of §5, `windows` what may be in flight and what becomes of it, `closes` the
//! points that MobileIMSDK leaves open (`mobileimsdk-protocol.md` §10).

mod closes;
mod promises;
mod rig;
mod sessions;
mod store;
mod windows;
