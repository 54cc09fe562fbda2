//! Tidings: sim.
