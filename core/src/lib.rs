//! The pure half of Tidings: bytes, time and random bits in; actions out.
//!
//! No I/O, no clock, no async, no threads: `core/clippy.toml` forbids them and the dependency list
//! does not offer them. The server and the client drive these machines over real sockets and disks;
//! `sim` drives the same machines over a model network and disk, in virtual time.

pub mod bucket;
pub mod custody;
pub mod deadline;
pub mod delivery;
pub mod desk;
pub mod ids;
pub mod limits;
pub mod message;
pub mod node;
pub mod secret;
pub mod session;
pub mod shard;
pub mod time;
pub mod wire;
