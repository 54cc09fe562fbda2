//! The one binary: `tidings`.
fn main() {}
