//! Costs of the wire formats.

fn main() {
    divan::main();
}
