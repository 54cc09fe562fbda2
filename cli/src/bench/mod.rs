//! `tidings bench`: measurements that anybody can repeat.

pub(crate) mod desk;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bench {
    /// The customer-service dispatcher, in virtual time, beside what theory allows.
    Desk(desk::DeskArgs),
}

/// Runs it.
///
/// # Errors
/// What the measurement says.
pub(crate) fn run(bench: Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Desk(args) => desk::run(args),
    }
}
