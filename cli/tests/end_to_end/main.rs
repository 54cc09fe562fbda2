//! End to end: the real binary, real sockets, a real disk.
//!
//! Every test has its own server, on free ports, with its own data directory. Nothing sleeps to wait
//! for something that can be observed, and no test asserts how long anything takes.
//!
//! Some tests run longer by hand; these variables say how long:
//!
//! | variable | what | default |
//! |---|---|---|
//! | `TIDINGS_TEST_KILL_ROUNDS` | rounds of load, SIGKILL, restart (twice as many of an application) | 5 |
//! | `TIDINGS_TEST_DESK_KILLS` | SIGKILLs while a desk serves | 2 |
//! | `TIDINGS_TEST_HOSTILE_FRAMES` | random and mutated frames per transport | 20000 |
//! | `TIDINGS_TEST_SEED` | of everything random | 1 |
//!
//! ```sh
//! TIDINGS_TEST_KILL_ROUNDS=200 cargo test --release -p tidings --test end_to_end sigkill
//! TIDINGS_TEST_HOSTILE_FRAMES=1000000 cargo test --release -p tidings --test end_to_end hostile
//! ```

#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod admin;
mod applications;
mod backup;
mod desk;
mod disk;
mod follow;
mod framing;
mod hostile;
mod operation;
mod page;
mod pairs;
mod reload;
mod sessions;
mod sigkill;
mod slow;
mod support;
mod terminal;
mod wire;
